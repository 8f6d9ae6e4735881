//! Every build of the conformance corpus that a pass changes, and the examples, are run at each level: the same trees and
//! configs, or the same failure.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use e2e::corpus::{self, Bench, LEVELS};
use e2e::{Buildkit, Sandbox, Tree, image, process};
use serde_json::Value;

/// What came of a build: its tree and its config, or that it failed.
type Made = Result<(Tree, Value), String>;

/// Builds, on all processors.
fn for_each<T: Sync>(items: &[T], act: impl Fn(&T) + Sync) {
    let next = Mutex::new(items.iter());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let Some(item) = next.lock().unwrap().next() else { return };
                    act(item);
                }
            });
        }
    });
}

/// Those definitions that are not those of a level below; the first is `-O0`.
fn different(definitions: &[PathBuf; 3]) -> Vec<(&'static str, &PathBuf)> {
    let mut known: Vec<Vec<u8>> = Vec::new();
    let mut is_new = |file: &PathBuf| {
        let bytes = std::fs::read(file).unwrap();
        let is_new = !known.contains(&bytes);
        known.push(bytes);
        is_new
    };
    LEVELS.into_iter().zip(definitions).filter(|(_, file)| is_new(file)).collect()
}

fn build(bench: &Bench, definition: &Path) -> Made {
    let [tar, image] = ["tar", "oci"].map(|extension| definition.with_extension(extension));
    let outputs =
        [("tar", &tar), ("oci", &image)].map(|(kind, file)| format!("--output=type={kind},dest={}", file.display()));
    let run = bench.run(definition, &bench.locals(), &["--progress=plain", &outputs[0], &outputs[1]]).unwrap();
    if !run.status.success() {
        return Err(run.err());
    }
    let tree = Tree::from_tar(std::fs::File::open(&tar).unwrap()).unwrap().without_times();
    let config = without_layers(image::config(&image).unwrap());
    [tar, image].iter().for_each(|file| std::fs::remove_file(file).unwrap());
    Ok((tree, config))
}

/// A config without what layers say: their digests, when they were made, and which step made one. There must be as many as
/// the history says.
fn without_layers(mut config: Value) -> Value {
    let layers = config["rootfs"]["diff_ids"].as_array().map(Vec::len);
    let history = config["history"].as_array_mut().unwrap();
    let layered = history.iter().filter(|entry| entry["empty_layer"] != true).count();
    assert_eq!(Some(layered), layers, "{history:#?}");
    for entry in history {
        let entry = entry.as_object_mut().unwrap();
        ["empty_layer", "created"].iter().for_each(|key| drop(entry.remove(*key)));
    }
    config["rootfs"] = Value::Null;
    config["created"] = Value::Null;
    config
}

/// Two builds that were made must be alike.
fn difference(given: &(Tree, Value), made: &(Tree, Value), level: &str) -> Vec<String> {
    let mut found = given.0.difference(&made.0, ("-O0", level));
    if given.1 != made.1 {
        found.push(format!("{} is the config, and {} at {level}", given.1, made.1));
    }
    found
}

#[test]
fn every_build_of_the_corpus_makes_the_same_at_every_level() {
    if !e2e::have(&["busybox"]) {
        return;
    }
    let examples = Sandbox::with_base();
    let cases = [corpus::cases().unwrap(), corpus::examples(&examples).unwrap()].concat();
    let bench = Bench::new(&cases);
    let (failures, failed, made) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    for_each(&cases, |case| {
        let definitions = bench.definitions(case);
        let definitions = different(&definitions);
        if definitions.len() == 1 {
            return;
        }
        let given = build(&bench, definitions[0].1);
        for (level, definition) in &definitions[1..] {
            match (&given, &build(&bench, definition)) {
                (Ok(given), Ok(made)) => {
                    let difference = difference(given, made, level);
                    if !difference.is_empty() {
                        failures.lock().unwrap().push(format!("{}: {difference:#?}", case.name));
                    }
                }
                (Err(_), Err(_)) => {}
                (Ok(_), Err(error)) | (Err(error), Ok(_)) => {
                    failures.lock().unwrap().push(format!("{} fails or not, by its level: {error}", case.name));
                }
            }
        }
        match given {
            Ok(_) => made.lock().unwrap().push(case.name.clone()),
            Err(error) => failed.lock().unwrap().push(format!("{}: {error}", case.name)),
        }
    });
    let (failures, failed, made) =
        (failures.into_inner().unwrap(), failed.into_inner().unwrap(), made.into_inner().unwrap());
    process::say(&format!(
        "{} builds made at every level, {} failed at every level\n{}",
        made.len(),
        failed.len(),
        failed.join("\n")
    ));
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    // The rest fails where what stands in is no file, or is meant to fail.
    assert!(made.len() >= 70, "only {made:?}");
}

/// A row of the table of `docs/optimizer.md`.
struct Row {
    name: String,
    file: String,
    again: Vec<usize>,
}

fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(e2e::workspace().join("docs/optimizer.md")).unwrap();
    let table = text.lines().skip_while(|line| !line.starts_with("| build | vertices |")).skip(2);
    let rows = table.take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    let rows = cells.filter(|cells| cells[4] != "none").map(|cells| Row {
        name: cells[1].to_owned(),
        file: cells[4].to_owned(),
        again: cells[5].split(" / ").map(|count| count.parse().unwrap()).collect(),
    });
    rows.collect()
}

/// How many vertices the executor runs after a change of a file.
fn run_again(bench: &Bench, definition: &Path, locals: &Path, file: &Path) -> usize {
    let run = || {
        let run = bench.run(definition, locals, &["--progress=rawjson", "--output=type=tar,dest=/dev/null"]).unwrap();
        assert!(run.status.success(), "{}: {}", definition.display(), run.err());
        run.err()
    };
    run();
    let line = format!("changed for {}\n", definition.display());
    std::fs::write(file, std::fs::read_to_string(file).unwrap_or_default() + &line).unwrap();
    let mut ran: BTreeSet<String> = BTreeSet::new();
    for line in run().lines() {
        let status: Value = serde_json::from_str(line).unwrap();
        for vertex in status["vertexes"].as_array().into_iter().flatten() {
            let is_done = !vertex["completed"].is_null() && vertex["cached"] != true;
            let name = vertex["name"].as_str().unwrap();
            // What exporters do has names of its own.
            if is_done && !name.starts_with("exporting") && !name.starts_with("sending") {
                ran.insert(vertex["digest"].as_str().unwrap().to_owned());
            }
        }
    }
    ran.len()
}

/// The same by BuildKit.
fn build_by_buildkit(bench: &Bench, buildkit: &Buildkit, definition: &Path) -> Made {
    let tar = definition.with_extension("buildkit.tar");
    let mut command = bench.buildkit(buildkit, definition);
    command.arg(format!("--output=type=tar,dest={}", tar.display()));
    let run = process::run(&mut command).unwrap();
    if !run.status.success() {
        return Err(run.err());
    }
    // It takes configs from frontends alone.
    Ok((Tree::from_tar(std::fs::File::open(&tar).unwrap()).unwrap().without_times(), Value::Null))
}

#[test]
fn buildkit_makes_the_same_at_every_level() {
    let Some(buildkit) = Buildkit::get() else {
        return process::say("not run: no buildkitd in BUILDKITD or PATH");
    };
    if !e2e::have(&["busybox"]) {
        return;
    }
    let buildkit = buildkit.unwrap();
    let mut cases = corpus::cases().unwrap();
    cases.retain(|case| case.name.starts_with("real/"));
    let examples = Sandbox::with_base();
    cases.extend(corpus::examples(&examples).unwrap());
    let bench = Bench::new(&cases);
    let mut built = 0;
    for case in &cases {
        let definitions = bench.definitions(case);
        let given = build_by_buildkit(&bench, &buildkit, &definitions[0]);
        for (level, definition) in &different(&definitions)[1..] {
            match (&given, &build_by_buildkit(&bench, &buildkit, definition)) {
                (Ok(given), Ok(made)) => {
                    let difference = difference(given, made, level);
                    assert!(difference.is_empty(), "{} at {level}: {difference:#?}", case.name);
                    built += 1;
                }
                (Err(_), Err(_)) => {}
                (Ok(_), Err(error)) | (Err(error), Ok(_)) => panic!("{} at {level}: {error}", case.name),
            }
        }
    }
    process::say(&format!("{built} definitions that passes changed were built by BuildKit"));
    assert!(built >= 20, "only {built}");
}

#[test]
fn what_runs_again_is_what_the_documentation_counts() {
    if !e2e::have(&["busybox"]) {
        return;
    }
    let rows = rows();
    let mut cases = corpus::cases().unwrap();
    cases.retain(|case| rows.iter().any(|row| row.name == case.name));
    assert_eq!(cases.len(), rows.len());
    let bench = Bench::new(&cases);
    let wrong = Mutex::new(Vec::new());
    for_each(&cases, |case| {
        let row = rows.iter().find(|row| row.name == case.name).unwrap();
        // A context of its own, to change it.
        let locals = bench.sandbox.directory().join(format!("locals-{}", case.name.replace('/', "-")));
        process::succeed(Command::new("cp").arg("-r").arg(bench.locals()).arg(&locals)).unwrap();
        let file = locals.join("context").join(&row.file);
        let ran = bench.definitions(case).map(|definition| run_again(&bench, &definition, &locals, &file));
        if ran[..] != row.again[..] {
            wrong.lock().unwrap().push(format!("{}: {ran:?} ran again, not {:?}", case.name, row.again));
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
