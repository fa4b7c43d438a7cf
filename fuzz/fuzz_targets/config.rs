//! Any bytes as the file of settings of `harden`: settings that their own writing brings back, or one message.

#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use temper::harden::Settings;

const PRESETS: [&str; 2] = ["paper", "robust"];

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().expect("there is a folder for temporary files");
    file.write_all(bytes).expect("there is room for a small file");
    for preset in PRESETS {
        let Ok(settings) = Settings::layered(preset, Some(file.path()), toml::Table::new()) else { continue };
        // In range or not: that is one message, too. The network that they state is not built.
        let _ = settings.recipe.check();
        let Ok(text) = settings.to_toml() else { continue };
        let again = tempfile::NamedTempFile::new().expect("there is a folder for temporary files");
        std::fs::write(again.path(), &text).expect("there is room for a small file");
        let read = Settings::layered(preset, Some(again.path()), toml::Table::new()).expect("what was written is read");
        assert_eq!(read.to_toml().expect("as before"), text);
    }
});
