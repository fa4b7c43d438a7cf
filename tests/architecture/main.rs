//! Holds the code to ARCHITECTURE.md: modules use only what the table lets them, inside the larger ones
//! imports point down, and a crate that stands behind a wall is named in one file.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests are tests

mod inside;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use sources::{Source, Sources, root};

/// The rows of the table under a heading of ARCHITECTURE.md, cell by cell, without backticks.
fn table(heading: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let section = text.split(&format!("## {heading}\n")).nth(1).expect("the heading stands");
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect())
        .collect()
}

/// A table's names, in order.
fn names(cell: &str) -> BTreeSet<String> {
    cell.split(',').map(|name| name.trim().to_owned()).filter(|name| name != "-").collect()
}

#[test]
fn modules_use_only_what_the_table_lets_them() {
    let rows = table("Code map");
    let may_use: BTreeMap<String, BTreeSet<String>> =
        rows.iter().map(|row| (row[0].clone(), names(&row[2]))).collect();
    let sources = Sources::read();
    let mut wrong = Vec::new();
    for (module, source) in sources.iter() {
        let Some(top) = module.first() else { continue };
        let allowed = may_use.get(top).unwrap_or_else(|| panic!("module `{top}` is not in the code map"));
        for used in sources.uses(module) {
            if used.first().is_some_and(|used| used != top && !allowed.contains(used)) {
                wrong.push(format!("{} uses crate::{}", source.path, used.join("::")));
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
        for used in names(&row[2]) {
            let below = order.iter().position(|name| *name == used).expect("a used module is in the table");
            assert!(below > position, "`{module}` uses `{used}`, which stands above it");
        }
    }
}

#[test]
fn walled_crates_are_named_in_one_file() {
    let sources = Sources::read();
    let mut wrong = Vec::new();
    for row in table("Crates that stand behind a wall") {
        let (name, home) = (&row[0], &row[1]);
        let mut at_home = false;
        for (module, Source { path, code, .. }) in sources.iter() {
            let ours = sources.imports_module(module, name);
            let named = code.contains(&format!("use {name}::"))
                || (!ours && code.lines().any(|line| names_crate(line, name)))
                || code.contains(&format!("extern crate {name}"));
            at_home |= named && path == home;
            if named && path != home {
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
    for (_, Source { path, .. }) in Sources::read().iter() {
        let text = fs::read_to_string(root().join(path)).unwrap();
        assert!(text.starts_with("//! "), "{path} does not open with a `//!` line");
    }
}
