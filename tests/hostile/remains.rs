//! Odd settings, names and clocks: what is left of a list of cases, each of which once did something else.

use std::ffi::OsStr;
use std::fs::{File, FileTimes};
use std::os::unix::ffi::OsStrExt;
#[cfg(feature = "torch")]
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use crate::common::Workspace;
#[cfg(feature = "torch")]
use crate::watched::bounded;

const AUDIT: [&str; 11] = [
    "model.onnx",
    "--images",
    "photos",
    "--crop",
    "8",
    "--attack",
    "ifgsm",
    "--iterations",
    "1",
    "--runtime",
    "tract",
];

/// The folder of a run that is to go on, with something else in the place of its checkpoint.
#[test]
#[cfg(feature = "torch")]
fn a_checkpoint_that_is_no_file_is_refused_at_once() {
    let workspace = Workspace::new();
    std::fs::create_dir(workspace.path("out")).unwrap();
    let checkpoint = workspace.path("out/checkpoint.safetensors");
    let resume = "harden --data photos --out out --no-audit --device cpu --features 4 --blocks 1 --scale 2 --batch 2 \
                  --patch 8 --steps 4 --resume";
    let resume: Vec<&str> = resume.split_whitespace().collect();
    symlink("/dev/zero", &checkpoint).unwrap();
    for what in ["a link to /dev/zero", "a pipe"] {
        let outcome = bounded(&workspace, what, &resume);
        assert_eq!(outcome.code, Some(2), "{what}: {}", outcome.said);
        assert!(outcome.said.contains("checkpoint.safetensors: is a device"), "{what}: {}", outcome.said);
        std::fs::remove_file(&checkpoint).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&checkpoint).status().unwrap().success());
    }
}

#[test]
#[cfg(feature = "torch")]
fn a_value_of_a_configuration_that_is_of_another_type_is_named_with_its_file() {
    let workspace = Workspace::new();
    let cases = [
        ("[recipe]\nsteps = \"many\"\n", "c.toml: [recipe] `steps`: "),
        ("[recipe]\nstpes = 3\n", "c.toml: [recipe] has no key `stpes`"),
        ("[recipe]\n\nsteps = \n", "c.toml: line 3: "),
    ];
    for (text, part) in cases {
        workspace.file("c.toml", text.as_bytes());
        let said =
            workspace.refused(&["harden", "--config", "c.toml", "--data", "photos", "--out", "out"], 2);
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn budgets_of_17_digits_keep_the_table_narrow() {
    let workspace = Workspace::new();
    let budgets = ["--budget", "0.12345678901234567,4.0000000000000001,1.2345678901234567"];
    let (table, report) = workspace.audit(&[&AUDIT[..], &budgets, &["--no-cache"]].concat());
    // Two images at three budgets.
    assert_eq!(report["rows"].as_array().unwrap().len(), 6);
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with(" model.onnx")).collect();
    assert!(rows.len() >= 3, "{table}");
    assert!(rows.iter().all(|row| row.chars().count() <= 100), "{table}");
}

#[test]
fn names_that_are_not_utf_8_stay_apart() {
    let workspace = Workspace::new();
    workspace.photo("photos/a.png", 22, 30);
    for name in [&b"photos/c\xff.png"[..], b"photos/c\xfe.png"] {
        std::fs::copy(workspace.path("photos/a.png"), workspace.path("").join(OsStr::from_bytes(name)))
            .unwrap();
    }
    let (_, report) = workspace.audit(&[&AUDIT[..], &["--budget", "4", "--no-cache"]].concat());
    let mut names: Vec<String> =
        report["images"].as_array().unwrap().iter().map(|it| it.to_string()).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!((count, names.len()), (4, 4), "{names:?}");
}

/// What was kept is known by content: a clock that jumps in either direction costs nothing and changes nothing.
#[test]
fn what_was_kept_serves_whatever_the_clock_said() {
    let workspace = Workspace::new();
    let arguments = [&AUDIT[..], &["--budget", "4"]].concat();
    let (_, first) = workspace.audit(&arguments);
    let entries = workspace.files_in("out/cache");
    assert!(!entries.is_empty());
    for jump in [SystemTime::UNIX_EPOCH, SystemTime::now() + Duration::from_secs(80 * 365 * 86_400)] {
        let inputs = ["model.onnx", "photos/a.png", "photos/b.png"].map(str::to_owned);
        for name in inputs.into_iter().chain(entries.iter().map(|name| format!("out/cache/{name}"))) {
            let file = File::options().write(true).open(workspace.path(&name)).unwrap();
            file.set_times(FileTimes::new().set_accessed(jump).set_modified(jump)).unwrap();
        }
        let (_, again) = workspace.audit(&arguments);
        assert_eq!(again["rows"], first["rows"]);
        for name in &entries {
            let metadata = std::fs::metadata(workspace.path("out/cache").join(name)).unwrap();
            assert_eq!(metadata.modified().unwrap(), jump, "{name} was written again");
        }
    }
}

/// A checkpoint is known by content, too: with it, the images and all else dated long ago or far ahead, the run that goes
/// on is the run that never stopped.
#[test]
#[cfg(feature = "torch")]
fn a_run_goes_on_whatever_the_clock_said() {
    let workspace = Workspace::new();
    let harden = |words: &str| {
        let flags = "harden --data photos --no-audit --device cpu --features 4 --blocks 1 --scale 2 --batch 2 --patch 8";
        let words: Vec<&str> = flags.split(' ').chain(words.split(' ')).collect();
        let output = workspace.temper(&words).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let model = |out: &str| std::fs::read(workspace.path(out).join("model.onnx")).unwrap();
    harden("--steps 6 --out whole");
    harden("--steps 2 --out out");
    assert!(model("out") != model("whole"), "two steps are not six");
    let jumps = [SystemTime::UNIX_EPOCH, SystemTime::now() + Duration::from_secs(80 * 365 * 86_400)];
    for (jump, steps) in jumps.into_iter().zip([4, 6]) {
        let kept = workspace.files_in("out").into_iter().map(|name| format!("out/{name}"));
        for name in kept.chain(["photos/a.png", "photos/b.png"].map(str::to_owned)) {
            let file = File::options().write(true).open(workspace.path(&name)).unwrap();
            file.set_times(FileTimes::new().set_accessed(jump).set_modified(jump)).unwrap();
        }
        harden(&format!("--steps {steps} --out out --resume"));
    }
    assert!(model("out") == model("whole"), "the resumed run gave another file");
}

/// What a run that was killed in the middle of a picture left goes with the next one.
#[test]
fn half_written_pictures_of_a_killed_run_are_removed() {
    let workspace = Workspace::new();
    let (_, report) = workspace.audit(&[&AUDIT[..], &["--budget", "4"]].concat());
    let pictures = workspace.path("out/pictures/model.onnx");
    let of_image = std::fs::read_dir(&pictures).unwrap().next().unwrap().unwrap().path();
    let folders = || std::fs::read_dir(&of_image).unwrap().map(|entry| entry.unwrap().path());
    let of_attack = folders().find(|path| path.is_dir()).expect("an attack was drawn");
    let parts = [&of_image, &of_attack].map(|folder| folder.join(".temper-x1.part"));
    parts.iter().for_each(|part| std::fs::write(part, b"half").unwrap());
    let (_, again) = workspace.audit(&[&AUDIT[..], &["--budget", "4"]].concat());
    assert_eq!(again["rows"], report["rows"]);
    assert!(parts.iter().all(|part| !part.exists()), "{parts:?}");
}
