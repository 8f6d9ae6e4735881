//! Many small builds next to other builders of the same files: layers entry by entry, configs, histories.
//!
//! `tests/e2e/differential/README.md` says how cases are written and how the results of BuildKit are recorded.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use e2e::{Buildkit, Docker, Sandbox, Tree, base, docker, image, process};
use serde_json::Value;

/// Set to record what BuildKit makes of cases instead of comparing with it.
const RECORD: &str = "E2E_RECORD";

fn place() -> PathBuf {
    e2e::workspace().join("tests/e2e/differential")
}

/// A file of cases: every stage whose name does not begin with `x-` is one.
struct Group {
    name: String,
    file: PathBuf,
    text: String,
}

impl Group {
    fn all() -> Vec<Self> {
        let mut groups: Vec<Self> = std::fs::read_dir(place())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "Dockerfile"))
            .map(|file| Self {
                name: file.file_stem().unwrap().to_str().unwrap().to_owned(),
                text: std::fs::read_to_string(&file).unwrap(),
                file,
            })
            .collect();
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        groups
    }

    fn cases(&self) -> impl Iterator<Item = &str> {
        let stages = self.text.lines().filter(|line| line.starts_with("FROM "));
        let names = stages.map(|line| line.rsplit_once(" AS ").map_or("", |(_, name)| name));
        names.filter(|name| !name.starts_with("x-") && !name.is_empty())
    }

    /// Results of the cases: `buildkit` are BuildKit's, `differs` those that are meant to differ.
    fn recorded(&self, who: &str) -> BTreeMap<String, String> {
        let text = std::fs::read_to_string(place().join(format!("{who}/{}.txt", self.name))).unwrap_or_default();
        let text = format!("\n{text}");
        let sections = text.split("\n== ").skip(1).map(|section| section.split_once('\n').unwrap());
        sections.map(|(name, text)| (name.to_owned(), text.trim_end().to_owned() + "\n")).collect()
    }

    /// What a comment of the form `# docker: WORD, REASON` says of this file or a case: `no`.
    fn is_for_docker(&self, case: &str) -> bool {
        let lines = self.text.lines().filter_map(|line| line.strip_prefix("# docker: "));
        let mut named = lines.map(|line| line.split_once(',').expect("a reason is given").0);
        !case.starts_with("fails-") && !named.any(|name| name == "no" || name == case)
    }
}

/// The context of all cases, and the base: as it is in the store, as its layers are.
struct Bench {
    sandbox: Sandbox,
    layers: Vec<Value>,
}

impl Bench {
    fn new() -> Self {
        let sandbox = Sandbox::with_base();
        sandbox.write("context/placeholder", "");
        let context = sandbox.directory().join("context");
        std::fs::remove_file(context.join("placeholder")).unwrap();
        process::succeed(Command::new("sh").arg(place().join("context.sh")).current_dir(context)).unwrap();
        sandbox.write("base.Dockerfile", "FROM base\n");
        sandbox.succeed(sandbox.llbc().args(["build", "-f", "base.Dockerfile", "-o", "type=oci,dest=base.tar", "."]));
        let config = image::config(&sandbox.directory().join("base.tar")).unwrap();
        let layers = config["rootfs"]["diff_ids"].as_array().unwrap().clone();
        Self { sandbox, layers }
    }

    /// What the executor makes of a case.
    fn build(&self, group: &Group, case: &str) -> String {
        let archive = self.sandbox.directory().join(format!("{}-{case}.tar", group.name));
        let mut command = self.sandbox.llbc();
        // Layers are those of BuildKit's own graph.
        command.args(["build", "-O0", "--progress=plain", "--target", case, "-f"]).arg(&group.file);
        command.arg("-o").arg(format!("type=oci,compression=uncompressed,dest={}", archive.display())).arg("context");
        let run = process::run(&mut command).unwrap();
        match run.status.code() {
            Some(0) => self.show(&archive),
            Some(1) if !archive.exists() => format!("fails: {}\n", last_error(&run.err())),
            code => panic!("{}/{case}: exit code {code:?}\n{}", group.name, run.err()),
        }
    }

    /// What BuildKit makes of a case. `layout` is the base as an OCI layout, and its digest.
    fn build_by_buildkit(
        &self,
        buildkit: &Buildkit,
        (layout, digest): (&Path, &str),
        group: &Group,
        case: &str,
    ) -> String {
        let archive = self.sandbox.directory().join(format!("buildkit-{}-{case}.tar", group.name));
        let mut command = buildkit.client();
        command.args(["build", "--progress=plain", "--frontend=dockerfile.v0", "--opt", &format!("target={case}")]);
        command.arg("--opt").arg(format!("filename={}.Dockerfile", group.name));
        command.arg("--opt").arg(format!("context:base=oci-layout://base@{digest}"));
        command.arg("--oci-layout").arg(format!("base={}", layout.display()));
        command.arg("--local").arg(format!("dockerfile={}", place().display()));
        command.arg("--local").arg(format!("context={}", self.sandbox.directory().join("context").display()));
        command.arg("-o").arg(format!("type=oci,compression=uncompressed,dest={}", archive.display()));
        let run = process::run(&mut command).unwrap();
        if run.status.success() { self.show(&archive) } else { format!("fails: {}\n", last_error(&run.err())) }
    }

    fn show(&self, archive: &Path) -> String {
        let mut text = String::new();
        for layer in image::new_layers(archive, &self.layers).unwrap() {
            writeln!(text, "layer").unwrap();
            layer.iter().for_each(|line| writeln!(text, "  {line}").unwrap());
        }
        let config = image::config(archive).unwrap();
        writeln!(text, "config {}", config["config"]).unwrap();
        for step in config["history"].as_array().into_iter().flatten() {
            let mut step = step.clone();
            step.as_object_mut().unwrap().remove("created");
            writeln!(text, "history {step}").unwrap();
        }
        text
    }
}

fn last_error(text: &str) -> String {
    let line = text.lines().rev().find_map(|line| line.strip_prefix("error: "));
    line.unwrap_or_else(|| text.lines().last().unwrap_or_default()).to_owned()
}

/// Applies something to every case, on all processors.
fn for_each_case(groups: &[Group], act: impl Fn(&Group, &str) + Sync) {
    let cases: Vec<_> = groups.iter().flat_map(|group| group.cases().map(move |case| (group, case))).collect();
    let next = Mutex::new(cases.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let Some((group, case)) = next.lock().unwrap().next() else { return };
                    act(group, case);
                }
            });
        }
    });
}

/// Records the cases that `which` names (`GROUP/CASE`, separated by commas; `all` is all) and those that are new.
fn record(bench: &Bench, groups: &[Group], which: &str) {
    let buildkit = Buildkit::get().expect("recording needs a buildkitd in PATH or BUILDKITD").unwrap();
    let layout = bench.sandbox.directory().join("base");
    let archive = bench.sandbox.directory().join("base.tar");
    std::fs::create_dir(&layout).unwrap();
    process::succeed(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(&layout)).unwrap();
    let index: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let results = Mutex::new(BTreeMap::new());
    for_each_case(groups, |group, case| {
        let name = format!("{}/{case}", group.name);
        let known = group.recorded("buildkit").remove(case);
        let known = known.filter(|_| which != "all" && !which.split(',').any(|wanted| wanted == name));
        let text = known.unwrap_or_else(|| bench.build_by_buildkit(&buildkit, (&layout, &digest), group, case));
        results.lock().unwrap().insert((group.name.clone(), case.to_owned()), text);
    });
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for ((group, case), text) in results.into_inner().unwrap() {
        write!(files.entry(group).or_default(), "== {case}\n{text}").unwrap();
    }
    for (group, text) in files {
        std::fs::write(place().join(format!("buildkit/{group}.txt")), text).unwrap();
    }
}

/// What is expected of a case: what BuildKit makes of it, unless it is one that is meant to differ.
fn expected(theirs: Option<&String>, own: Option<&String>) -> Result<String, String> {
    let theirs = theirs.ok_or("not recorded")?;
    match own {
        Some(own) if own == theirs => Err("said to differ from BuildKit, and does not".into()),
        Some(own) => Ok(own.clone()),
        None => Ok(theirs.clone()),
    }
}

/// Messages are not compared, but both fail.
fn agree(mine: &str, expected: &str) -> bool {
    mine == expected || (mine.starts_with("fails: ") && expected.starts_with("fails: "))
}

#[test]
fn every_case_is_what_buildkit_makes_of_it() {
    if !e2e::have(&["busybox", "bzip2", "xz", "zstd", "mknod"]) {
        return;
    }
    let (bench, groups) = (Bench::new(), Group::all());
    if let Ok(which) = std::env::var(RECORD) {
        return record(&bench, &groups, &which);
    }
    let differences = std::fs::read_to_string(e2e::workspace().join("docs/differences.md")).unwrap_or_default();
    let recorded: BTreeMap<_, _> = groups
        .iter()
        .map(|group| (group.name.as_str(), (group.recorded("buildkit"), group.recorded("differs"))))
        .collect();
    let failures = Mutex::new(Vec::new());
    for_each_case(&groups, |group, case| {
        let (theirs, own) = &recorded[group.name.as_str()];
        let name = format!("{}/{case}", group.name);
        let mine = bench.build(group, case);
        let failure = match expected(theirs.get(case), own.get(case)) {
            Err(why) => why,
            Ok(_) if own.contains_key(case) && !differences.contains(&name) => {
                "differs, and no document says why".into()
            }
            Ok(expected) if !agree(&mine, &expected) => format!("\n--- ours\n{mine}--- expected\n{expected}"),
            Ok(_) => return,
        };
        failures.lock().unwrap().push(format!("== {name}: {failure}"));
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    assert!(failures.is_empty(), "{} cases differ\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_tree_is_what_docker_makes_of_it() {
    if !e2e::have(docker::PROGRAMS) || !e2e::have(&["busybox", "bzip2", "xz", "zstd", "mknod"]) {
        return;
    }
    let Some(docker) = Docker::get() else { return };
    let bench = Bench::new();
    docker.import(&base::busybox().unwrap(), "base", &[]).unwrap();
    let mut failures = Vec::new();
    for group in Group::all() {
        let cases: Vec<_> = group.cases().filter(|case| group.is_for_docker(case)).collect();
        if cases.is_empty() {
            continue;
        }
        // All cases in one build: each tree in a directory of its own.
        let copies: String = cases.iter().map(|case| format!("COPY --from={case} / /{case}/\n")).collect();
        let name = format!("all-{}.Dockerfile", group.name);
        let file = bench.sandbox.write(&name, &format!("{}\nFROM scratch\n{copies}", group.text));
        let (ours, theirs) = (bench.sandbox.directory().join("ours.tar"), bench.sandbox.directory().join("docker.tar"));
        let tar = |path: &Path| format!("--output=type=tar,dest={}", path.display());
        bench.sandbox.succeed(bench.sandbox.llbc().args(["build", "-f", &name, &tar(&ours), "context"]));
        let context = bench.sandbox.directory().join("context");
        docker.build(&context, &["-f", file.to_str().unwrap(), &tar(&theirs)]).unwrap();
        let read = |path: &Path| Tree::from_tar(std::fs::File::open(path).unwrap()).unwrap().without_times();
        let difference = read(&ours).difference(&read(&theirs), ("ours", "docker's"));
        failures.extend(difference.into_iter().map(|line| format!("{}/{line}", group.name)));
    }
    assert!(failures.is_empty(), "{} paths differ\n{}", failures.len(), failures.join("\n"));
}
