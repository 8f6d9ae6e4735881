//! A copy of a directory that hardly changed since the last one: what comes of it is what comes of a whole copy, layers of
//! images included, with less work.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use executor::{Expectation, Output, Request, exporters};

use crate::bench::{Bench, definition, graph};

/// Copies the context where the base has a directory and a file of it already.
const COPY: &str = r#"
    %1 = sh(%0) "mkdir /context /context/d0; chmod 700 /context; echo base > /context/d0/covered; touch -d @5 /context/d0"
    %2 = source "local://context"
    %3 = file(%1, %2) copy("/", "/context/", base=0, from=1, to=0, dir_copy_contents, create_dest_path, exclude_patterns=["**/*.tmp"]) platform("linux", "amd64")
    %4 = sh(%3) "echo later > /later"
    output %4
    "#;

/// The same between directories that are made: one that is there, and one that comes with the copy.
const BETWEEN: &str = r#"
    %1 = sh(%0) "mkdir /context /context/d0; chmod 700 /context; echo base > /context/d0/covered; touch -d @5 /context/d0"
    %2 = source "local://context"
    %3 = file(%1, %2) mkdir("/context", base=0, mode=0o755, make_parents) copy("/", "/context/", base=#0, from=1, dir_copy_contents, create_dest_path, exclude_patterns=["**/*.tmp"]) mkdir("/context/d4", base=#1, to=0, mode=0o700, make_parents) platform("linux", "amd64")
    %4 = sh(%3) "echo later > /later"
    output %4
    "#;

/// Patterns take the files, not the directories they are in, of which one is there before.
const ON_THE_WAY: &str = r#"
    %1 = sh(%0) "mkdir /context /context/DIR; chmod 711 /context/DIR; chown 7:8 /context/DIR; touch -d @5 /context/DIR"
    %2 = source "local://context"
    %3 = file(%1, %2) copy("/", "/context/", base=0, from=1, to=0, dir_copy_contents, create_dest_path, include_patterns=["d*/*"]) platform("linux", "amd64")
    %4 = sh(%3) "echo later > /later"
    output %4
    "#;

/// Ten directories of forty files; all is old enough to be known by its stamp.
const CONTEXT: &str =
    "for d in 0 1 2 3 4 5 6 7 8 9; do mkdir d$d; for f in $(seq 40); do echo $d $f > d$d/$f; done; done
    echo ours > d0/covered; mkdir d1/empty; ln -s 1 d1/link; echo no > d2/x.tmp
    find . -exec touch -h -d @1000 {} +; sleep 0.05";

/// Layers of the image: the base's, and one for each step.
const LAYERS: u64 = 4;

fn sh(dir: &Path, script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Builds; gives the digests of the layers and what is in the tree.
fn build(bench: &Bench, steps: &str, context: &Path) -> (String, String) {
    let (layout, tree) = (bench.path("layout"), bench.path("tree"));
    for old in [&layout, &tree] {
        let _ = std::fs::remove_dir_all(old);
    }
    let attrs = [("tar", "false"), ("compression", "uncompressed")];
    let attrs = attrs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut request = Request {
        definition: definition(&graph(steps)),
        outputs: vec![
            Output { kind: exporters::Kind::Oci, dest: Some(layout.clone()), attrs: BTreeMap::from(attrs), part: None },
            Output { kind: exporters::Kind::Local, dest: Some(tree.clone()), attrs: BTreeMap::new(), part: None },
        ],
        // A layer that goes on with the one below is no layer more.
        expected: vec![Expectation {
            name: "image".into(),
            results: 0..1,
            max_layers: Some(LAYERS),
            ..Default::default()
        }],
        ..Request::default()
    };
    request.session.locals.insert("context".into(), context.to_owned());
    bench.request(request).ok();
    // The layer of the copy: the others hold times of their own.
    let layers = sh(&layout, "for b in blobs/sha256/*; do tar tvf $b context/d3 2>/dev/null && echo $b; done; true");
    (
        layers,
        sh(&tree.join("context"), "find . -printf '%p %y %m %n %T@ %l\\n' | sort; cat */* 2>/dev/null | sha256sum"),
    )
}

/// Files in all layers of a store.
fn files(bench: &Bench) -> usize {
    sh(&bench.path("store/layers-v1"), "find */fs -type f | wc -l").trim().parse().unwrap()
}

/// Changes what was copied, copies it again, and compares with a whole copy. `most`: files that the second copy makes.
#[track_caller]
fn check(changes: &[&str], most: usize) {
    for steps in [COPY, BETWEEN] {
        check_steps(steps, changes, most);
    }
}

#[track_caller]
fn check_steps(steps: &str, changes: &[&str], most: usize) {
    let (bench, fresh) = (Bench::new(), Bench::new());
    let context = tempfile::tempdir().unwrap();
    sh(context.path(), CONTEXT);
    build(&bench, steps, context.path());
    let mut again = Default::default();
    for change in changes {
        sh(context.path(), &format!("{change}; sleep 0.05"));
        let before = files(&bench);
        again = build(&bench, steps, context.path());
        // One more is what the step after the copy makes.
        assert!(files(&bench) - before <= most + 1, "{change}: {} files were made", files(&bench) - before);
    }
    let whole = build(&fresh, steps, context.path());
    assert_eq!(again.0, whole.0, "{changes:?}");
    assert_eq!(again.1, whole.1, "{changes:?}");
    bench.expect_clean();
}

const ALL: usize = 402;

#[test]
fn files_that_changed_or_came_are_copied() {
    check(&["echo new > d3/5"], 1);
    check(&["echo other > d3/5", "echo new > d3/5; echo more > d4/5; touch -d @2000 d4", "echo last > d4/5"], 2);
    check(&["echo new > d3/new; mkdir -p e/f; echo x > e/f/x"], 2);
    check(&["touch -d @3000 d3/7; chmod 600 d3/8; ln -sf 2 d1/link; echo no > d3/y.tmp"], 2);
}

#[test]
fn directories_alone_may_change() {
    check(&["chmod 700 d5; touch -d @3000 d6 d1/empty; mkdir d7/empty; chmod 711 ."], 0);
}

#[test]
fn all_is_copied_when_something_vanished_or_most_changed() {
    check(&["rm d3/5"], ALL);
    check(&["rmdir d1/empty"], ALL);
    check(&["mv d3/5 d3/renamed"], ALL);
    check(&["rm d3/5; mkdir d3/5"], ALL);
    check(&["for f in d[0-4]/*; do [ -d $f ] || [ -L $f ] || echo more >> $f; done"], ALL);
}

#[test]
fn files_that_are_linked_to_each_other_are_copied_together() {
    check(&["ln d2/1 d2/other"], 2);
    check(&["ln d2/1 d2/other", "echo new > d2/1"], ALL);
}

#[test]
fn all_is_copied_when_what_changed_covers_something_below() {
    check(&["echo theirs > d0/covered"], ALL);
}

#[test]
fn directories_on_the_way_that_were_there_keep_their_owner() {
    let (there, made) = (ON_THE_WAY.replace("DIR", "d0"), ON_THE_WAY.replace("DIR", "other"));
    check_steps(&there, &["chmod 700 d0; echo new > d3/5"], ALL);
    check_steps(&made, &["chmod 700 d0; echo new > d3/5"], 1);
}
