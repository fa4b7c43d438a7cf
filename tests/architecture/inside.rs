//! Inside a module: its table in ARCHITECTURE.md orders its files and folders, imports point down, and
//! nowhere in a circle, inside folders neither.
//!
//! A folder's `mod.rs` stands above all that lies in it, unless the table has the row `mod`: then what it
//! defines stands there. What it re-exports counts as used where it is defined.

use std::collections::{BTreeMap, BTreeSet};

use crate::sources::{Module, Sources, root};
use crate::table;

/// The modules that have such a table, under the heading "Inside `NAME`".
fn ordered() -> Vec<String> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let headings = text.lines().filter_map(|line| line.strip_prefix("## Inside `")?.strip_suffix('`'));
    let ordered: Vec<String> = headings.map(str::to_owned).collect();
    for large in ["harden", "attack", "audit"] {
        assert!(ordered.iter().any(|module| module == large), "the section \"Inside `{large}`\" is missing");
    }
    ordered
}

/// What is used inside a module, file by file.
type Uses = BTreeMap<Module, BTreeSet<Module>>;

fn uses_inside(sources: &Sources, top: &str) -> Uses {
    let inside = |module: &Module| module.first().is_some_and(|first| first == top);
    let modules = sources.iter().map(|(module, _)| module).filter(|module| inside(module));
    let used = |module: &Module| sources.uses(module).into_iter().filter(&inside).collect();
    modules.map(|module| (module.clone(), used(module))).collect()
}

/// The row of a module's table to which a file belongs.
fn entry(module: &Module) -> &str {
    module.get(1).map_or("mod", String::as_str)
}

#[test]
fn inside_modules_imports_point_down() {
    let sources = Sources::read();
    let mut wrong = Vec::new();
    for top in ordered() {
        let rows = table(&format!("Inside `{top}`"));
        let order: Vec<&str> = rows.iter().map(|row| row[0].trim_end_matches('/')).collect();
        let uses = uses_inside(&sources, &top);
        let mut entries: BTreeSet<&str> = uses.keys().map(entry).collect();
        if !order.contains(&"mod") {
            entries.remove("mod");
        }
        assert_eq!(entries, order.iter().copied().collect(), "the table of `{top}`, and its files");
        // Without a row of its own `mod.rs` stands above the first.
        let place =
            |module: &Module| order.iter().position(|row| *row == entry(module)).map_or(-1, |at| at as i32);
        for (module, used) in &uses {
            let upwards = used.iter().filter(|used| place(used) < place(module));
            wrong.extend(upwards.map(|used| format!("{} uses {}", module.join("::"), used.join("::"))));
        }
    }
    assert!(wrong.is_empty(), "against the tables of ARCHITECTURE.md:\n{}", wrong.join("\n"));
}

#[test]
fn inside_modules_no_imports_go_in_a_circle() {
    let sources = Sources::read();
    for top in ordered() {
        let circle = circle(uses_inside(&sources, &top));
        let join = |used: &BTreeSet<Module>| {
            used.iter().map(|module| module.join("::")).collect::<Vec<_>>().join(", ")
        };
        let lines: Vec<_> = circle
            .iter()
            .map(|(module, used)| format!("{} uses {}", module.join("::"), join(used)))
            .collect();
        assert!(circle.is_empty(), "in `{top}` imports go in a circle:\n{}", lines.join("\n"));
    }
}

/// What is left when files that use no other, and files that no other uses, have been taken away: those on
/// circles, and those between circles.
fn circle(mut uses: Uses) -> Uses {
    loop {
        let used: BTreeSet<Module> = uses.values().flatten().cloned().collect();
        let free: Vec<Module> =
            uses.keys().filter(|at| uses[*at].is_empty() || !used.contains(*at)).cloned().collect();
        if free.is_empty() {
            return uses;
        }
        uses.retain(|module, _| !free.contains(module));
        uses.values_mut().for_each(|used| used.retain(|module| !free.contains(module)));
    }
}

#[test]
fn a_circle_is_found() {
    let module = |name: &str| vec![name.to_owned()];
    let uses = |pairs: &[(&str, &str)]| -> Uses {
        pairs.iter().map(|(user, used)| (module(user), used.split(' ').map(module).collect())).collect()
    };
    let mut tree = uses(&[("a", "b c"), ("b", "c")]);
    tree.insert(module("c"), BTreeSet::new());
    assert!(circle(tree.clone()).is_empty());
    tree.insert(module("c"), BTreeSet::from([module("b")]));
    assert_eq!(circle(tree).into_keys().collect::<Vec<_>>(), [module("b"), module("c")]);
}
