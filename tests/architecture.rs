//! Holds the code to ARCHITECTURE.md: modules use only what the table lets them, and a crate that
//! stands behind a wall is named in one file.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests are tests

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The rows of the table under a heading of ARCHITECTURE.md, cell by cell, without backticks.
fn table(heading: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let section = text.split(&format!("## {heading}\n")).nth(1).expect("the heading stands");
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect())
        .collect()
}

/// Every source file with its text, tests and comments taken off.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut paths = Vec::new();
    walk(&root().join("src"), &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let lines: Vec<_> = code.lines().map(|line| line.split("//").next().unwrap_or("")).collect();
        (path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/"), lines.join("\n"))
    };
    let is_code =
        |path: &PathBuf| path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs");
    paths.into_iter().filter(is_code).map(read).collect()
}

/// The module of the code map that a file belongs to; none for the crate's roots.
fn module_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let module = inside.split('/').next()?.trim_end_matches(".rs");
    (!matches!(module, "lib" | "main" | "bin")).then_some(module)
}

/// The top-level modules that a file names by `crate::`.
fn used_modules(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for part in code.split("crate::").skip(1) {
        let head: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if head.is_empty() && part.starts_with('{') {
            let group = part[1..].split('}').next().unwrap_or("");
            used.extend(group.split(',').map(|item| item.trim().split("::").next().unwrap_or("").to_owned()));
        }
        used.insert(head);
    }
    used.retain(|name| !name.is_empty());
    used
}

#[test]
fn modules_use_only_what_the_table_lets_them() {
    let rows = table("Code map");
    let may_use: BTreeMap<String, BTreeSet<String>> = rows
        .iter()
        .map(|row| (row[0].clone(), row[2].split(',').map(|name| name.trim().to_owned()).collect()))
        .collect();
    let mut wrong = Vec::new();
    for (path, code) in sources() {
        let Some(module) = module_of(&path) else { continue };
        let allowed =
            may_use.get(module).unwrap_or_else(|| panic!("module `{module}` is not in the code map"));
        for used in used_modules(&code) {
            if used != module && !allowed.contains(&used) {
                wrong.push(format!("{path} uses crate::{used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "not in the table of ARCHITECTURE.md:\n{}", wrong.join("\n"));
}

#[test]
fn the_table_lists_modules_that_exist_and_points_downwards() {
    let rows = table("Code map");
    let order: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    for (position, row) in rows.iter().enumerate() {
        let module = &row[0];
        let file = root().join(format!("src/{module}.rs"));
        assert!(
            file.exists() || root().join(format!("src/{module}/mod.rs")).exists(),
            "`{module}` has no file"
        );
        for used in row[2].split(',').map(str::trim).filter(|used| *used != "-") {
            let below = order.iter().position(|name| *name == used).expect("a used module is in the table");
            assert!(below > position, "`{module}` uses `{used}`, which stands above it");
        }
    }
}

#[test]
fn walled_crates_are_named_in_one_file() {
    let mut wrong = Vec::new();
    for row in table("Crates that stand behind a wall") {
        let (name, home) = (&row[0], &row[1]);
        let mut at_home = false;
        for (path, code) in sources() {
            let named = code.contains(&format!("use {name}::"))
                || code.lines().any(|line| names_crate(line, name))
                || code.contains(&format!("extern crate {name}"));
            at_home |= named && path == *home;
            if named && path != *home {
                wrong.push(format!("{path} names `{name}`, whose home is {home}"));
            }
        }
        assert!(at_home, "{home} does not name `{name}`");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether a line of code names a crate by path: `name::` or `::name::` that no other path leads to.
fn names_crate(line: &str, name: &str) -> bool {
    let path = format!("{name}::");
    line.match_indices(&path).any(|(at, _)| {
        let before = line[..at].strip_suffix("::").unwrap_or(&line[..at]);
        // `image` is a module of ours too, so only its `use` counts.
        name != "image"
            && !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '>')
    })
}

#[test]
fn every_source_file_opens_with_what_it_is() {
    for (path, _) in sources() {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        assert!(text.starts_with("//! "), "{path} does not open with a `//!` line");
    }
}
