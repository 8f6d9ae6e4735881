//! Definitions that no Dockerfile can say, next to what BuildKit v0.32 made of them: the tree, and the graph of cache keys.
//!
//! `definitions/cases.llb` holds them, `definitions/buildkit.txt` what was recorded. To record: set `E2E_RECORD` (`all`, or the
//! names of cases; new ones are recorded in any case) and `BUILDKITD` (the path of a `buildkitd`, its `buildctl` beside it), as root. For every case a daemon with an empty
//! store is started, the definition is given to `buildctl build` with the cache exported (`type=local,mode=max`) and the
//! tree as a tar, and the config blob of the cache is printed record by record. Results that are meant to differ are in
//! `definitions/differs.txt`, each with a reason in `docs/differences.md`.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "definitions/buildkit.rs"]
mod buildkit;
#[path = "definitions/keys.rs"]
mod keys;
#[path = "definitions/listing.rs"]
mod listing;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use executor::progress::{Event, Sink};
use executor::runtime::Embedded;
use executor::{Engine, Output, Request, exporters};

/// The smallest program there is: 64 bytes of ELF header, a segment, and three instructions that exit with 0.
const TRUE: &str = "f0VMRgIBAQAAAAAAAAAAAAIAPgABAAAAeABAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAAAAEAAOAABAAAAAAAAAAEAAAAFAAAAAAAAAAAAAAAAAEAAAAAAAAAAQAAAAAAAgQAAAAAAAACBAAAAAAAAAAAQAAAAAAAAMf+4PAAAAA8F";

fn place() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/definitions")
}

/// Sections of a file: `== NAME` and what follows it.
fn sections(file: &str) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(place().join(file)).unwrap_or_default();
    let sections = format!("\n{text}");
    let sections = sections.split("\n== ").skip(1).map(|section| section.split_once('\n').unwrap_or((section, "")));
    sections.map(|(name, text)| (name.trim().to_owned(), text.trim_end().to_owned())).collect()
}

fn definition(text: &str) -> Vec<u8> {
    let text = text.replace("$true", &format!("base64\"{TRUE}\""));
    let graph = llb::text::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    llb::encode_to_bytes(&graph).unwrap()
}

/// The user's directory of the cases that read one.
fn make_context(at: &Path) {
    use std::os::unix::fs::{PermissionsExt, symlink};

    std::fs::create_dir_all(at.join("dir/sub")).unwrap();
    for (name, text, mode) in [("a.txt", "a\n", 0o644), ("dir/x.md", "# x\n", 0o600), ("dir/sub/run", "r\n", 0o755)] {
        std::fs::write(at.join(name), text).unwrap();
        std::fs::set_permissions(at.join(name), PermissionsExt::from_mode(mode)).unwrap();
    }
    symlink("../a.txt", at.join("dir/link")).unwrap();
    for (name, mode) in [("", 0o755), ("dir", 0o750), ("dir/sub", 0o755)] {
        std::fs::set_permissions(at.join(name), PermissionsExt::from_mode(mode)).unwrap();
    }
}

struct Silent;

impl Sink for Silent {
    fn event(&self, _: Event) {}
}

/// Builds a case with an empty store; returns the tree and the keys, or why it failed.
fn build(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let context = dir.path().join("context");
    std::fs::create_dir(&context).unwrap();
    make_context(&context);
    let tar = dir.path().join("tree.tar");
    let runtime = Embedded::with_shim(env!("CARGO_BIN_EXE_executor"));
    let engine = Engine::with_runtime(dir.path().join("store"), Arc::new(runtime)).unwrap();
    let mut request = Request { definition: definition(text), ..Request::default() };
    request.session.locals.insert("context".into(), context);
    request.outputs.push(Output {
        kind: exporters::Kind::Tar,
        dest: Some(tar.clone()),
        attrs: BTreeMap::new(),
        part: None,
    });
    match engine.solve(&request, &Silent) {
        Ok(_) => format!("{}{}", listing::of_tar(&tar), keys::of_store(engine.store())),
        Err(error) => format!("fails: {error}\n"),
    }
}

/// Builds all cases, on all processors.
fn build_all(cases: &[(String, String)]) -> Vec<String> {
    let next = Mutex::new(cases.iter().enumerate());
    let built = Mutex::new(vec![String::new(); cases.len()]);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let Some((index, (_, case))) = next.lock().unwrap().next() else { return };
                    let result = build(case).trim_end().to_owned();
                    built.lock().unwrap()[index] = result;
                }
            });
        }
    });
    built.into_inner().unwrap()
}

/// Records the cases that `which` names, separated by commas; `all` is all.
fn record(cases: &[(String, String)], which: &str) {
    let mut known: BTreeMap<_, _> = sections("buildkit.txt").into_iter().collect();
    let mut text = String::new();
    for (name, case) in cases {
        let is_wanted = which == "all" || which.split(',').any(|wanted| wanted == name) || !known.contains_key(name);
        let recorded = known.remove(name).filter(|_| !is_wanted);
        let result = recorded.unwrap_or_else(|| buildkit::build(&definition(case), make_context));
        writeln!(text, "== {name}\n{}", result.trim_end()).unwrap();
    }
    std::fs::write(place().join("buildkit.txt"), text).unwrap();
}

#[test]
fn every_definition_gives_buildkits_tree_under_buildkits_keys() {
    assert!(rustix::process::geteuid().is_root(), "these tests make containers: run them as root");
    let cases = sections("cases.llb");
    if let Ok(which) = std::env::var("E2E_RECORD") {
        return record(&cases, &which);
    }
    let (theirs, own): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (sections("buildkit.txt").into_iter().collect(), sections("differs.txt").into_iter().collect());
    let document = std::fs::read_to_string(place().join("../../../docs/differences.md")).unwrap_or_default();
    let mut failures = Vec::new();
    for ((name, _), mine) in cases.iter().zip(build_all(&cases)) {
        let recorded = theirs.get(name).unwrap_or_else(|| panic!("{name} is not recorded"));
        let expected = own.get(name).unwrap_or(recorded);
        assert!(!own.contains_key(name) || document.contains(name), "{name} differs, and no document says why");
        assert!(own.get(name) != Some(recorded), "{name} is said to differ, and does not");
        let both_fail = mine.starts_with("fails: ") && expected.starts_with("fails: ");
        if mine != *expected && !both_fail {
            failures.push(format!("== {name}\n--- ours\n{mine}--- expected\n{expected}"));
        }
    }
    assert!(failures.is_empty(), "{} of {} differ\n{}", failures.len(), cases.len(), failures.join("\n"));
}
