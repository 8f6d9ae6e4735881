//! The arrows of ARCHITECTURE.md, held by force: between crates (from `cargo metadata`), inside crates (from sources),
//! and the bans of the pure crates (their lint configuration, and a scan that does not depend on clippy).
//!
//! Terms: an *arrow* `a → b` lets code of `a` name code of `b`. What is not listed is forbidden.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which crate may depend on which; test dependencies included.
const CRATES: &[(&str, &[&str])] = &[
    ("ast", &[]),
    ("oci", &[]),
    ("archive", &[]),
    ("frontends", &["ast"]),
    ("llb", &["oci"]),
    // Definitions are bytes to it.
    ("gateway", &["oci"]),
    ("compiler", &["ast", "frontends", "oci", "llb"]),
    // A language's program inside a builder: the compiler on one side, the gateway on the other, no executor.
    ("buildkit-frontend", &["ast", "frontends", "oci", "llb", "compiler", "gateway", "archive"]),
    // Of the languages it wants their words, of images their references.
    ("lsp", &["ast", "compiler", "frontends", "oci"]),
    ("executor", &["llb", "oci", "gateway", "archive"]),
    ("cli", &["ast", "oci", "llb", "frontends", "compiler", "buildkit-frontend", "lsp", "executor"]),
    // Drives the real binaries from outside, so that no test takes a short cut.
    ("e2e", &[]),
    ("xtask", &["ast", "oci", "llb", "frontends", "compiler", "gateway", "executor", "e2e"]),
];

/// Crates that compute and never look outside.
const PURE: &[&str] = &["ast", "oci", "archive", "llb", "frontends", "compiler"];

/// What no line of a pure crate may name outside its tests.
const OUTSIDE: &[&str] = &[
    "std::fs",
    "std::env",
    "std::process",
    "std::net",
    "std::time::SystemTime",
    "std::time::Instant",
    "HashMap",
    "HashSet",
];

/// Folders (or files) of a crate, and the words none of their lines may hold outside tests.
const INNER: &[(&str, &[&str])] = &[
    ("compiler/src/plan", &["frontends::"]),
    ("compiler/src/lint", &["frontends::"]),
    ("lsp/src/features", &["lsp_types", "lsp_server", "crate::protocol"]),
    ("executor/src", &["ast::", "frontends::", "compiler::"]),
    ("buildkit-frontend/src", &["std::fs", "std::net", "executor::"]),
    ("gateway/src", &["std::fs", "std::env", "std::process", "std::net"]),
];

/// Modules of the executor, lowest first. A module names only modules of lower ranks; equal rank is a peer, not a floor.
/// Modules that are not here (`error`, `cancel`, `progress`, `session`, `rootfs`, `userns`) are vocabulary that all may name.
const EXECUTOR_RANKS: &[&[&str]] = &[
    &["store"],
    &["snapshot"],
    &["layer"],
    &["cache"],
    &["registry", "sources", "exporters", "import", "runtime"],
    &["cdi"],
    &["ops", "prune"],
    // What to do with what is in other places is the engine's to know.
    &["solver", "remote_cache"],
    &["engine"],
    &["gateway"],
    &["cli"],
];

/// Arrows between modules of one rank, or against the ranks, each with its reason.
const EXECUTOR_EXTRA: &[(&str, &str)] = &[
    // An image source pulls, an image exporter pushes.
    ("sources", "registry"),
    ("exporters", "registry"),
    // What is exported may still be where it came from.
    ("exporters", "sources"),
];

/// What the scheduler must not name: it takes events and gives actions, nothing else.
const SCHEDULER_BANS: &[&str] = &[
    "crate::store",
    "crate::snapshot",
    "crate::cache",
    "crate::sources",
    "crate::exporters",
    "crate::runtime",
    "crate::ops",
    "std::fs",
    "std::thread",
    "std::time",
    "Mutex",
    "RwLock",
    "Condvar",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Crate → crates of the workspace it depends on in any way.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |value: &serde_json::Value| value["name"].as_str().unwrap().to_owned();
    packages
        .iter()
        .map(|package| {
            let deps = package["dependencies"].as_array().unwrap().iter();
            (name(package), deps.filter(|dep| dep["path"].is_string()).map(name).collect())
        })
        .collect()
}

/// What is built, each package with its features, when cargo is told so.
fn packages(arguments: &[&str]) -> BTreeSet<String> {
    let list = ["tree", "--locked", "--prefix", "none", "--no-dedupe", "--format", "{p} with {f}"];
    let output = Command::new(env!("CARGO")).args(list).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect()
}

/// Rust files below a folder (or the file itself), sorted.
fn rust_files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return if path.extension().is_some_and(|extension| extension == "rs") {
            vec![path.to_owned()]
        } else {
            Vec::new()
        };
    }
    let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.flat_map(|entry| rust_files(&entry.unwrap().path())).collect();
    files.sort();
    files
}

/// Whether a file is part of a module that only tests have: `#[cfg(test)] mod NAME;` in one of the files above it.
fn is_test(file: &Path) -> bool {
    let declares = |parent: &Path, name: &str| {
        let text = std::fs::read_to_string(parent).unwrap_or_default();
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let declaration = format!("mod {name};");
        lines.windows(2).any(|pair| pair[0].starts_with("#[cfg(test)]") && pair[1].ends_with(&declaration))
    };
    file.ancestors().take_while(|path| !path.ends_with("src")).any(|path| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let folder = path.parent().unwrap();
        [folder.join("mod.rs"), folder.join("lib.rs"), folder.with_extension("rs")]
            .iter()
            .any(|parent| declares(parent, &name))
    })
}

/// Lines that ship: no comments, nothing from the first test module on.
fn shipped_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let tests = ["#[cfg(test)]", "#[cfg(all(test"];
    text.lines()
        .take_while(move |line| !tests.iter().any(|marker| line.trim_start().starts_with(marker)))
        .enumerate()
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default()))
}

/// Whether `line` holds `word` as a path of its own, not as the end of a longer name.
fn names(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

/// `file:line: word` for each banned word in what ships of a text.
fn violations(file: &str, text: &str, banned: &[&str]) -> Vec<String> {
    shipped_lines(text)
        .flat_map(|(number, line)| {
            let found = banned.iter().filter(move |word| names(line, word));
            found.map(move |word| format!("{file}:{number}: {word}"))
        })
        .collect()
}

fn violations_below(path: &str, banned: &[&str]) -> Vec<String> {
    rust_files(&root().join(path))
        .iter()
        .filter(|file| !is_test(file))
        .flat_map(|file| violations(&file.display().to_string(), &std::fs::read_to_string(file).unwrap(), banned))
        .collect()
}

/// Cargo builds a package again for other features, and all that depends on it.
#[test]
fn tasks_programs_and_tests_are_built_of_the_same_packages() {
    let tasks = packages(&["--package", "xtask", "--edges", "normal,build"]);
    let programs = packages(&["--workspace", "--edges", "normal,build"]);
    let tests = packages(&["--workspace", "--edges", "normal,build,dev"]);
    let advice = "give the workspace's dependency the features that it has there";
    for (some, all) in [(&tasks, &programs), (&programs, &tests)] {
        assert!(some.len() > 100, "{some:?}");
        let others: Vec<_> = some.difference(all).collect();
        assert!(others.is_empty(), "built twice: {others:#?}; {advice}");
    }
}

#[test]
fn crates_depend_only_along_the_arrows() {
    let allowed: BTreeMap<&str, &[&str]> = CRATES.iter().copied().collect();
    for (name, dependencies) in dependencies() {
        let Some(arrows) = allowed.get(name.as_str()) else {
            panic!("crate {name} has no row in CRATES (and in ARCHITECTURE.md)");
        };
        let extra: Vec<&String> = dependencies.iter().filter(|dep| !arrows.contains(&dep.as_str())).collect();
        assert!(extra.is_empty(), "{name} must not depend on {extra:?}");
    }
}

#[test]
fn pure_crates_share_the_lint_configuration() {
    let shared = root().join("clippy-pure.toml").canonicalize().unwrap();
    for name in PURE {
        let link = root().join(name).join("clippy.toml").canonicalize();
        assert_eq!(link.ok().as_ref(), Some(&shared), "{name}/clippy.toml must be a link to ../clippy-pure.toml");
    }
}

#[test]
fn pure_crates_name_nothing_outside() {
    let found: Vec<String> = PURE.iter().flat_map(|name| violations_below(&format!("{name}/src"), OUTSIDE)).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn inner_arrows() {
    let found: Vec<String> = INNER.iter().flat_map(|(path, banned)| violations_below(path, banned)).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_scheduler_uses_no_other_part_of_the_executor() {
    let found = violations_below("executor/src/solver/scheduler.rs", SCHEDULER_BANS);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn executor_modules_point_down() {
    let mut found = Vec::new();
    for (rank, modules) in EXECUTOR_RANKS.iter().enumerate() {
        let above = EXECUTOR_RANKS[rank..].iter().copied().flatten();
        for module in *modules {
            let extra = |other: &str| EXECUTOR_EXTRA.contains(&(module, other));
            let banned: Vec<String> = above
                .clone()
                .filter(|other| *other != module && !extra(other))
                .map(|other| format!("crate::{other}"))
                .collect();
            let banned: Vec<&str> = banned.iter().map(String::as_str).collect();
            found.extend(violations_below(&format!("executor/src/{module}"), &banned));
            found.extend(violations_below(&format!("executor/src/{module}.rs"), &banned));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn stdout_belongs_to_the_printers() {
    let banned = &["println!", "print!", "eprintln!", "eprint!"];
    let crates = CRATES.iter().map(|(name, _)| *name).filter(|name| !["xtask", "e2e"].contains(name));
    let found: Vec<String> = crates.flat_map(|name| violations_below(&format!("{name}/src"), banned)).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_file_says_what_it_is() {
    let crates = CRATES.iter().map(|(name, _)| if *name == "e2e" { "tests/e2e" } else { name });
    let silent: Vec<PathBuf> = crates
        .flat_map(|name| rust_files(&root().join(name)))
        .filter(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            let generated = text.lines().take(3).any(|line| line.contains("@generated"));
            !generated && !text.trim_start().starts_with("//!")
        })
        .collect();
    assert!(silent.is_empty(), "files must start with `//!`: {silent:#?}");
}

mod the_guards_bite {
    use super::*;

    #[test]
    fn a_banned_word_is_found_with_its_line() {
        assert_eq!(violations("a.rs", "fn f() {\n    std::fs::read(p);\n}", &["std::fs"]), ["a.rs:2: std::fs"]);
    }

    #[test]
    fn comments_and_tests_may_say_it() {
        let text = "// std::fs is banned\n//! std::fs\nfn f() {}\n#[cfg(test)]\nmod tests { use std::fs; }";
        assert_eq!(violations("a.rs", text, &["std::fs"]), [""; 0]);
    }

    #[test]
    fn a_longer_name_is_not_the_word() {
        assert!(!names("use past::x;", "ast::"));
        assert!(names("use ast::x;", "ast::"));
        assert!(names("let a = crate::store::Blobs;", "crate::store"));
    }
}
