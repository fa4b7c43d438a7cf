//! Where the dependencies come from, and where the compiler's guarantees are set aside.

use std::path::{Path, PathBuf};

#[test]
fn every_dependency_is_pinned_by_its_hash_and_comes_from_one_registry() {
    let lock = include_str!("../../Cargo.lock");
    let packages: Vec<&str> =
        lock.split("[[package]]").skip(1).filter(|it| it.contains("\nsource = ")).collect();
    assert!(packages.len() > 100, "{} dependencies", packages.len());
    for package in packages {
        let from_crates_io =
            package.contains("\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\n");
        assert!(from_crates_io && package.contains("\nchecksum = \""), "{package}");
    }
}

/// Every source of the program, with its path as SECURITY.md names it.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut folders, mut found) = (vec![root.join("src")], Vec::new());
    while let Some(folder) = folders.pop() {
        let paths: Vec<PathBuf> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        for path in paths {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                found.push((name, std::fs::read_to_string(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn unsafe_code_is_listed_with_its_reason() {
    // Written apart, so that this file is not one that holds it.
    let word = ["un", "safe"].concat();
    let mut found = Vec::new();
    for (name, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        let opens = |line: &&str| line.contains(&format!("{word} {{"));
        let blocks: Vec<usize> = (0..lines.len()).filter(|&index| opens(&lines[index])).collect();
        for &index in &blocks {
            let before = &lines[index.saturating_sub(4)..index];
            assert!(before.iter().any(|line| line.contains("// SAFETY: ")), "{name}:{}", index + 1);
        }
        for item in ["fn", "impl", "trait"] {
            let item = format!("{word} {item} ");
            assert!(!lines.iter().any(|line| line.trim_start().starts_with(&item)), "{name}: {item}");
        }
        if !blocks.is_empty() {
            found.push(format!("| `{name}` | {} |", blocks.len()));
        }
    }
    let listed: Vec<&str> =
        include_str!("../../SECURITY.md").lines().filter(|line| line.starts_with("| `src/")).collect();
    assert_eq!(found.len(), listed.len(), "{found:?} against {listed:?}");
    for (found, listed) in found.iter().zip(listed) {
        assert!(listed.starts_with(found) && listed.len() > found.len() + 40, "{found} against {listed}");
    }
}
