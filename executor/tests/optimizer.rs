//! Random graphs, run as they are and optimized: the trees are those that the evaluator of `llb`'s tests says, so that
//! both the passes and the evaluator, which judges many more graphs, are held against the real thing.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../../llb/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use executor::progress::Silent;
use executor::{Engine, Output, Request, exporters, runtime::Embedded};
use llb::Graph;
use llb::passes::{Level, Options, optimize};
use support::eval::listings;
use support::random;
use support::tree::{Entry, Layer};

/// Enough to meet every kind of vertex and of failure; each is built three times.
const GRAPHS: u64 = 40;

/// Writes one of the evaluator's directories to disk.
fn write(directory: &Path, layer: &Layer) {
    let mut files: BTreeMap<u64, std::path::PathBuf> = BTreeMap::new();
    for (name, entry) in layer {
        let path = directory.join(&name[1..]);
        match entry {
            Entry::Dir { .. } => fs::create_dir_all(&path).unwrap(),
            Entry::Link { text, owner } => {
                symlink(text, &path).unwrap();
                lchown(&path, Some(owner.0), Some(owner.1)).unwrap();
            }
            Entry::File { inode, .. } if files.contains_key(inode) => fs::hard_link(&files[inode], &path).unwrap(),
            Entry::File { mode, owner, data, time, inode } => {
                fs::write(&path, &**data).unwrap();
                chown(&path, Some(owner.0), Some(owner.1)).unwrap();
                fs::set_permissions(&path, Permissions::from_mode(*mode)).unwrap();
                let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(*time as u64);
                File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
                files.insert(*inode, path);
            }
            Entry::Whiteout => unreachable!("directories hold none"),
        }
    }
    for (name, entry) in layer {
        if let Entry::Dir { mode, owner } = entry {
            let path = directory.join(&name[1..]);
            chown(&path, Some(owner.0), Some(owner.1)).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(*mode)).unwrap();
        }
    }
}

/// A tar in the words of the evaluator.
fn listing(tar: &Path) -> String {
    let mut lines: BTreeMap<String, String> = BTreeMap::new();
    let mut links: BTreeMap<String, String> = BTreeMap::new();
    let mut archive = tar::Archive::new(File::open(tar).unwrap());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = format!("/{}", entry.path().unwrap().to_str().unwrap().trim_matches('/'));
        let link = entry.link_name().unwrap().map(|link| link.to_str().unwrap().to_owned());
        let header = entry.header().clone();
        let owner = (header.uid().unwrap(), header.gid().unwrap());
        let mode = header.mode().unwrap() & 0o7777;
        let line = match header.entry_type() {
            tar::EntryType::Directory => format!("d {mode:o} {owner:?}"),
            tar::EntryType::Symlink => format!("l {} {owner:?}", link.unwrap()),
            tar::EntryType::Link => {
                links.insert(path, format!("/{}", link.unwrap().trim_start_matches('/')));
                continue;
            }
            _ => {
                let mut data = String::new();
                std::io::Read::read_to_string(&mut entry, &mut data).unwrap();
                format!("f {mode:o} {owner:?} {data:?}")
            }
        };
        lines.insert(path, line);
    }
    // Names of one file are noted under the first of them.
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, target) in links {
        lines.insert(path.clone(), lines[&target].clone());
        groups.entry(target.clone()).or_insert_with(|| vec![target]).push(path);
    }
    let first: BTreeMap<String, String> = groups
        .into_values()
        .flat_map(|mut names| {
            names.sort();
            let first = names[0].clone();
            names.into_iter().map(move |name| (name, first.clone()))
        })
        .collect();
    let mut text = String::new();
    for (path, line) in lines.iter().filter(|(path, _)| *path != "/") {
        let suffix =
            if line.starts_with("f ") { format!(" {}", first.get(path).unwrap_or(path)) } else { String::new() };
        let _ = writeln!(text, "{path} {line}{suffix}");
    }
    text
}

struct Bench {
    directory: tempfile::TempDir,
    engine: Engine,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let runtime = Embedded::with_shim(env!("CARGO_BIN_EXE_executor"));
        let engine = Engine::with_runtime(directory.path().join("store"), std::sync::Arc::new(runtime)).unwrap();
        for (name, layer) in random::sources() {
            let place = directory.path().join(&name);
            fs::create_dir(&place).unwrap();
            write(&place, &layer);
        }
        Self { directory, engine }
    }

    /// What the engine makes; why not.
    fn build(&self, graph: &Graph) -> Result<String, String> {
        let tar = self.directory.path().join("out.tar");
        let output = Output { kind: exporters::Kind::Tar, dest: Some(tar.clone()), attrs: BTreeMap::new(), part: None };
        let definition = llb::encode_to_bytes(graph).unwrap();
        let mut request = Request { definition, outputs: vec![output], ..Request::default() };
        for name in random::sources().keys() {
            request.session.locals.insert(name.clone(), self.directory.path().join(name));
        }
        self.engine.solve(&request, &Silent).map_err(|error| error.to_string())?;
        Ok(listing(&tar))
    }
}

#[test]
fn random_graphs_make_what_the_evaluator_says() {
    let bench = Bench::new();
    let mut made = 0;
    for seed in 0..GRAPHS {
        let mut given = random::graph(seed, false);
        given.outputs.truncate(1);
        given.outputs[0].platform = None;
        let expected = listings(&given, &random::sources()).map(|mut listings| listings.remove(0));
        for level in [Level::O0, Level::O1, Level::O2] {
            let mut graph = given.clone();
            optimize(&mut graph, Options { level, preserve_layers: false });
            let built = bench.build(&graph);
            let agree = built.as_ref().ok() == expected.as_ref().ok();
            assert!(
                agree,
                "seed {seed} at {level}\n{}\nthe evaluator says {expected:#?}\nthe executor makes {built:#?}",
                llb::text::print(&graph)
            );
        }
        made += u32::from(expected.is_ok());
    }
    assert!(made > 10, "only {made} can be built");
}
