//! The source files and the paths that they name, read as tokens: `use` trees with all their branches, and
//! paths in the middle of code. Deliberately absent: macros, `cfg`, and paths that start at a crate.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A module's path from the crate's root: `["audit", "measure"]`.
pub type Module = Vec<String>;

/// One file, tests and comments taken off.
pub struct Source {
    /// From the project's root, with slashes.
    pub path: String,
    /// Its code.
    pub code: String,
    tokens: Vec<String>,
}

/// Every source file, by its module.
pub struct Sources(BTreeMap<Module, Source>);

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

impl Sources {
    /// Those of this project.
    pub fn read() -> Self {
        fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { walk(&path, found) } else { found.push(path) }
            }
        }
        let mut paths = Vec::new();
        walk(&root().join("src"), &mut paths);
        // Unit tests lie in `tests.rs`, or in a folder `tests`.
        let is_tests = |path: &Path| path.ends_with("tests.rs") || path.parent().unwrap().ends_with("tests");
        let is_code =
            |path: &PathBuf| path.extension().is_some_and(|end| end == "rs") && !is_tests(path.as_path());
        let texts = paths.into_iter().filter(is_code).map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/"), text)
        });
        Self::of(texts)
    }

    /// Those of the given paths (from the project's root) and texts.
    pub fn of(texts: impl Iterator<Item = (String, String)>) -> Self {
        let source = |(path, text): (String, String)| {
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            let lines: Vec<_> = code.lines().map(|line| line.split("//").next().unwrap_or("")).collect();
            let code = lines.join("\n");
            (module(&path), Source { path, tokens: tokens(&code), code })
        };
        Self(texts.map(source).collect())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Module, &Source)> {
        self.0.iter()
    }

    /// The modules whose items a module uses, itself left out: what `use` brings from a folder counts as used
    /// where it is defined. What a file re-exports, it does not use.
    pub fn uses(&self, module: &Module) -> BTreeSet<Module> {
        let source = &self.0[module];
        let own = without_visibilities(&without_exports(&source.tokens));
        let mut used: BTreeSet<Module> =
            self.named(module, &own).iter().filter_map(|path| self.home(path, 0)).collect();
        used.remove(module);
        used
    }

    /// Whether a module has brought a module of ours into it under this name, which may be a crate's too.
    pub fn imports_module(&self, module: &Module, name: &str) -> bool {
        let named = |path: &Vec<String>| path.last().is_some_and(|last| last == name);
        self.imports(module).iter().any(|path| named(path) && self.0.contains_key(path))
    }

    /// The full paths that tokens of a module name.
    fn named(&self, module: &Module, tokens: &[String]) -> Vec<Vec<String>> {
        let child = |name: &str| self.0.contains_key(&[&module[..], &[name.to_owned()]].concat());
        let starts = (0..tokens.len()).filter(|&at| {
            let first = at == 0 || tokens[at - 1] != "::";
            let head = matches!(tokens[at].as_str(), "crate" | "self" | "super") || child(&tokens[at]);
            first && head && tokens.get(at + 1).is_some_and(|next| next == "::")
        });
        let mut named = Vec::new();
        // A group may name children too: those are read with the group, and again alone, to the same effect.
        starts.for_each(|at| branches(tokens, at, &[], &mut named));
        named.into_iter().map(|path| absolute(module, path)).collect()
    }

    /// The module in which what a full path names is defined, as far as imports tell.
    fn home(&self, path: &[String], followed: usize) -> Option<Module> {
        let depth = (1..=path.len()).rev().find(|&depth| self.0.contains_key(&path[..depth]))?;
        let (module, rest) = (path[..depth].to_vec(), &path[depth..]);
        let Some(name) = rest.first().filter(|_| followed < 8) else { return Some(module) };
        let imported = self.imports(&module).into_iter().find(|path| path.last() == Some(name));
        match imported {
            Some(target) if target != path => self.home(&target, followed + 1).or(Some(module)),
            _ => Some(module),
        }
    }

    /// The full paths that a module's `use` lines bring into it.
    fn imports(&self, module: &Module) -> Vec<Vec<String>> {
        let tokens = &self.0[module].tokens;
        let mut named = Vec::new();
        for at in (0..tokens.len()).filter(|&at| tokens[at] == "use") {
            branches(tokens, at + 1, &[], &mut named);
        }
        named.into_iter().map(|path| absolute(module, path)).collect()
    }
}

/// The module that a file is.
fn module(path: &str) -> Module {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    let inside = if matches!(inside, "lib" | "main" | "bin/temper-torch") { "" } else { inside };
    inside.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Identifiers, `::`, and every other character by itself.
fn tokens(code: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = code.chars().peekable();
    while let Some(first) = rest.next() {
        let mut token = String::from(first);
        if first.is_alphanumeric() || first == '_' {
            while let Some(next) = rest.next_if(|c| c.is_alphanumeric() || *c == '_') {
                token.push(next);
            }
        } else if first == ':' && rest.next_if_eq(&':').is_some() {
            token.push(':');
        } else if first.is_whitespace() {
            continue;
        }
        tokens.push(token);
    }
    tokens
}

/// Collects every path of the tree that starts at a token.
fn branches(tokens: &[String], mut at: usize, before: &[String], found: &mut Vec<Vec<String>>) {
    let is_name = |token: &String| token.chars().all(|c| c.is_alphanumeric() || c == '_');
    let mut path = before.to_vec();
    while let Some(token) = tokens.get(at).filter(|token| is_name(token)) {
        path.push(token.clone());
        let goes_on = tokens.get(at + 1).is_some_and(|next| next == "::");
        let next = tokens.get(at + 2).filter(|next| goes_on && (is_name(next) || *next == "{"));
        at += 2;
        match next {
            None => return found.push(path),
            Some(open) if open == "{" => break,
            Some(_) => {}
        }
    }
    let mut depth = 0;
    let mut start = true;
    for place in at..tokens.len() {
        match tokens[place].as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ if depth == 1 && start => branches(tokens, place, &path, found),
            _ => {}
        }
        if depth == 0 {
            return;
        }
        start = depth == 1 && matches!(tokens[place].as_str(), "{" | ",");
    }
}

/// A path from the crate's root.
fn absolute(module: &Module, path: Vec<String>) -> Vec<String> {
    let mut full = module.clone();
    let mut rest = path.into_iter().peekable();
    match rest.peek().map(String::as_str) {
        Some("crate") => full.clear(),
        Some("super") => {
            full.pop();
        }
        Some("self") => {}
        _ => {
            full.extend(rest);
            return full;
        }
    }
    rest.next();
    while rest.next_if(|part| part == "super").is_some() {
        full.pop();
    }
    full.extend(rest.filter(|part| part != "self"));
    full
}

/// The tokens without the paths of `pub(in ...)`, which say who may use an item.
fn without_visibilities(tokens: &[String]) -> Vec<String> {
    let mut inside = false;
    let mut kept = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        inside = (inside && token != ")") || (token == "in" && at > 0 && tokens[at - 1] == "(");
        if !inside {
            kept.push(token.clone());
        }
    }
    kept
}

/// The tokens without `pub use ...;`.
fn without_exports(tokens: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let scope =
            if tokens[at] == "pub" && tokens.get(at + 1).is_some_and(|next| next == "(") { 3 } else { 0 };
        let exports = tokens[at] == "pub" && tokens.get(at + 1 + scope).is_some_and(|next| next == "use");
        if exports {
            at += tokens[at..].iter().position(|token| token == ";").unwrap_or(0);
        } else {
            kept.push(tokens[at].clone());
        }
        at += 1;
    }
    kept
}

#[test]
fn paths_are_read_with_all_their_branches() {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let sources = Sources::of(
        [
            file(
                "src/a/mod.rs",
                "mod x; mod y; pub mod z;\npub use self::x::{X, Y as Z};\nuse y::Hidden;\npub struct Own;",
            ),
            file("src/a/x.rs", "pub struct X; pub(in crate::a) struct Y;"),
            file("src/a/y.rs", "use super::{X, z::{self, deep::Deep}}; pub struct Hidden;"),
            file("src/a/z/mod.rs", "mod deep; fn f() { crate::a::Own; super::y::g::<u8>() }"),
            file("src/a/z/deep.rs", "use super::super::Hidden; // use crate::a::x::X;\nuse crate::a::{x};"),
        ]
        .into_iter(),
    );
    let uses = |module: &str| {
        let module: Module = module.split("::").map(str::to_owned).collect();
        let used: Vec<_> = sources.uses(&module).iter().map(|used| used.join("::")).collect();
        used.join(" ")
    };
    assert_eq!(uses("a"), "a::y");
    assert_eq!(uses("a::x"), "");
    assert_eq!(uses("a::y"), "a::x a::z a::z::deep");
    assert_eq!(uses("a::z"), "a a::y");
    assert_eq!(uses("a::z::deep"), "a::x a::y");
}
