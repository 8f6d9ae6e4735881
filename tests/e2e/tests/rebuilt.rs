//! Random builds, made again: what was built is found in the cache, and what comes of a context that changed is what comes of it
//! without the cache.
#![allow(clippy::unwrap_used)] // Its helpers are no `#[test]` to clippy.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use e2e::{Random, Sandbox, Tree, process};

/// Builds there are, each from its number as the seed.
const BUILDS: u64 = 60;
/// Changes after each of them.
const CHANGES: usize = 3;

const NAMES: &[&str] = &["a", "b", "c.txt", "d.txt", "e f", "sub", ".hidden", "[x]"];
const FLAGS: &[&str] = &[
    "--link",
    "--parents",
    "--chmod=u+x",
    "--chmod=750",
    "--chown=5:6",
    "--exclude=*",
    "--exclude=**",
    "--exclude=**/*.txt",
    "--exclude=a --exclude=!a/b",
];
const SOURCES: &[&str] = &[".", "*", "*/", "**/*.txt", "[a-c]*", "*/*", "su[b]/."];
const TARGETS: &[&str] = &["/", "/out/", "/out", "in/", "/out/sub/", "/link/", "../up/"];
const COMMANDS: &[&str] = &[
    "mkdir -p /out/sub; touch /out/new",
    "rm -rf /out",
    "rm -rf /out/* /in",
    "ln -sfn /etc /link",
    "mv /out /moved || true",
    "cp -r /etc /out2",
    "echo more >> /list",
    "ls -R /etc /in /out > /list || true",
    "chmod -R g+w /etc",
    "pwd > /where; id >> /where",
];
/// Commands that see the context.
const READERS: &[&str] =
    &["ls -R /context > /seen", "cat /context/*.txt > /texts || true", "test -e /context/sub || touch /none"];
const OTHERS: &[&str] = &["WORKDIR /out/work", "WORKDIR sub", "ENV SEEN=1", "USER 7", "USER 0", "LABEL l=1"];

/// Fills a directory.
fn grow(random: &mut Random, dir: &Path, depth: usize) {
    for name in NAMES {
        let path = dir.join(name);
        match random.below(10) {
            0..3 => continue,
            3..5 if depth < 2 => {
                fs::create_dir(&path).unwrap();
                grow(random, &path, depth + 1);
            }
            5 => symlink(random.choose(&["a", "../b", "/etc", "sub", "nowhere"]), &path).unwrap(),
            _ => fs::write(&path, format!("{name}{}\n", random.below(3))).unwrap(),
        }
        if !path.is_symlink() && random.chance(20) {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o711)).unwrap();
        }
    }
}

/// All paths below a directory, in a fixed order.
fn paths(dir: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let below = |path: PathBuf| {
        let inside = if path.is_dir() && !path.is_symlink() { paths(&path) } else { Vec::new() };
        std::iter::once(path).chain(inside)
    };
    entries.into_iter().flat_map(below).collect()
}

fn dockerfile(random: &mut Random, context: &Path) -> String {
    let known = paths(context);
    let mut text = String::new();
    for stage in 0..1 + random.below(3) {
        let on = if stage > 0 && random.chance(40) { format!("s{}", random.below(stage)) } else { "base".into() };
        writeln!(text, "FROM {on} AS s{stage}").unwrap();
        for _ in 0..2 + random.below(4) {
            writeln!(text, "{}", step(random, context, &known, stage)).unwrap();
        }
    }
    text
}

fn step(random: &mut Random, context: &Path, known: &[PathBuf], stage: usize) -> String {
    let flag = |random: &mut Random| if random.chance(50) { random.choose(FLAGS) } else { "" };
    match random.below(10) {
        0..4 => {
            let some = known.get(random.below(known.len())).filter(|_| random.chance(75));
            let source = some.map_or_else(
                || random.choose(SOURCES).to_owned(),
                |path| path.strip_prefix(context).unwrap().to_str().unwrap().replace('[', "[[]"),
            );
            format!("COPY {} {}", flag(random), serde_json::json!([source, random.choose(TARGETS)]))
        }
        4..7 if stage > 0 => {
            let (from, source) = (random.below(stage), random.choose(&["/etc", "/out*", "/lis[t]", "/etc/passwd"]));
            format!("COPY --from=s{from} {} {}", flag(random), serde_json::json!([source, random.choose(TARGETS)]))
        }
        4..8 => format!("RUN {}", random.choose(COMMANDS)),
        8 => format!("RUN --mount=type=bind,target=/context {}", random.choose(READERS)),
        _ => random.choose(OTHERS).into(),
    }
}

/// Changes something, in a way that some caches do not notice, mostly what the build file names; says what.
fn change(random: &mut Random, context: &Path, text: &str) -> String {
    let mut known = paths(context);
    if random.chance(85) {
        let name = |path: &PathBuf| serde_json::json!(path.strip_prefix(context).unwrap()).to_string();
        known.retain(|path| text.contains(&name(path)));
    }
    let Some(path) = known.get(random.below(known.len())) else { return "nothing".into() };
    let is_file = path.is_file() && !path.is_symlink();
    let beside = path.with_file_name(random.choose(NAMES));
    let what = match random.below(7) {
        0 if is_file => {
            let (mut bytes, time) = (fs::read(path).unwrap(), fs::metadata(path).unwrap().modified().unwrap());
            bytes[0] ^= 1;
            fs::write(path, bytes).unwrap();
            set_time(path, time);
            "another byte, at the same time"
        }
        1 if is_file => {
            fs::write(path, "longer than it was\n").unwrap();
            "another content"
        }
        2 if !path.is_symlink() => {
            let mode = fs::metadata(path).unwrap().permissions().mode();
            fs::set_permissions(path, fs::Permissions::from_mode(mode ^ 0o010)).unwrap();
            "another mode"
        }
        3 if path.is_dir() && !path.is_symlink() => {
            fs::remove_dir_all(path).unwrap();
            "removed"
        }
        3 => {
            fs::remove_file(path).unwrap();
            "removed"
        }
        4 if !beside.exists() && !beside.is_symlink() => {
            fs::rename(path, &beside).unwrap();
            "renamed"
        }
        5 if !beside.exists() && !beside.is_symlink() => {
            fs::write(&beside, "new\n").unwrap();
            "another one beside it"
        }
        _ => {
            if is_file {
                set_time(path, SystemTime::UNIX_EPOCH);
            }
            "another time at most"
        }
    };
    format!("{}: {what}", path.display())
}

fn set_time(path: &Path, time: SystemTime) {
    fs::File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
}

/// What a build said, and the tree it made, without times; `None` where it failed.
fn build(sandbox: &Sandbox, place: &Path, flags: &[&str]) -> (String, Option<Tree>) {
    let tar = sandbox.directory().join("tree.tar");
    let mut command = sandbox.llbc();
    command.args(["build", "--progress=plain", "--offline"]).args(flags);
    command.arg("-o").arg(format!("type=tar,dest={}", tar.display()));
    command.arg("-f").arg(place.join("Dockerfile")).arg(place.join("context"));
    let run = process::run(&mut command).unwrap();
    let tree = run.status.success().then(|| Tree::from_tar(fs::File::open(&tar).unwrap()).unwrap().without_times());
    (run.err(), tree)
}

/// The steps of a build that were made: those of which it is not said that they were cached.
fn made(said: &str) -> Vec<&str> {
    let is_cached = |number: &str| said.lines().any(|line| line == format!("{number} CACHED"));
    let is_made = |line: &&str| {
        let Some((number, name)) = line.split_once(' ') else { return false };
        let is_step = name.starts_with('[') && !name.starts_with("[internal]") && !name.contains("] FROM ");
        number.starts_with('#') && is_step && !is_cached(number)
    };
    said.lines().filter(is_made).collect()
}

#[test]
fn what_was_built_is_found_again_and_what_changed_is_built_anew() {
    let sandbox = Sandbox::with_base();
    let mut compared = 0;
    for seed in 1..=BUILDS {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let place = sandbox.directory().join(format!("build-{seed}"));
        let context = place.join("context");
        fs::create_dir_all(&context).unwrap();
        grow(&mut random, &context, 0);
        let text = dockerfile(&mut random, &context);
        fs::write(place.join("Dockerfile"), &text).unwrap();
        let level = random.choose(&["-O0", "-O1", "-O2"]);
        let mut changed = Vec::new();
        for _ in 0..=CHANGES {
            let shown = format!("seed {seed}, {level}, after {changed:?}:\n{text}");
            let (_, first) = build(&sandbox, &place, &[level]);
            let (said, again) = build(&sandbox, &place, &[level]);
            let (_, fresh) = build(&sandbox, &place, &[level, "--no-cache"]);
            assert_eq!(first.is_some(), fresh.is_some(), "{shown}{said}");
            if let (Some(first), Some(again), Some(fresh)) = (&first, &again, &fresh) {
                assert!(made(&said).is_empty(), "{shown}{:?} were made again", made(&said));
                let differences = first.difference(fresh, ("cached", "fresh"));
                assert!(differences.is_empty(), "{shown}{differences:#?}");
                assert!(again.difference(first, ("again", "first")).is_empty(), "{shown}");
                compared += 1;
            }
            changed.push(change(&mut random, &context, &text));
        }
    }
    assert!(compared > BUILDS, "only {compared} builds did not fail");
}
