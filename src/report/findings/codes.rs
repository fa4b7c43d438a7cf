//! The codes of findings, which are promised to stay the same from version to version.

/// Every code, in alphabetical order.
pub const CODES: [&str; 26] = [
    "attacks-disagree",
    "averaged-gradient",
    "below-bicubic",
    "branches-on-size",
    "gradient-free-wins",
    "gradient-not-trusted",
    "near-noise",
    "no-rise",
    "no-upscale",
    "noise-wins",
    "non-finite-gradient",
    "non-finite-output",
    "not-repeatable",
    "overshoot",
    "restarts-help",
    "rounded-wins",
    "rugged",
    "runtime-died",
    "runtimes-differ",
    "sibling-wins",
    "size-dependent",
    "smaller-budget-wins",
    "still-climbing",
    "straight-through",
    "transfer-wins",
    "zero-gradient",
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The words in quotes that read like codes or stand behind a level, in the code of this folder but for
    /// its tests.
    fn written() -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report/findings");
        let mut codes = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("codes.rs") {
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            let is_code = |word: &&str| {
                word.contains('-')
                    && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
                    && word.len() > 4
            };
            codes.extend(code.split('"').filter(is_code).map(str::to_owned));
            let behind_level = code.split("Level::").skip(1).filter_map(|rest| {
                let (level, rest) = rest.split_once(", \"")?;
                level.chars().all(char::is_alphabetic).then(|| rest.split('"').next())?
            });
            codes.extend(behind_level.map(str::to_owned));
        }
        codes.sort();
        codes.dedup();
        codes
    }

    #[test]
    fn every_code_is_in_the_table() {
        assert_eq!(written(), CODES);
    }
}
