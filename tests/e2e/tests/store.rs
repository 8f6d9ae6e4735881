//! One store and many executors: at once, killed, short of space; and what it takes to make it smaller.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use e2e::{Registry, Sandbox, process, registry};

/// No other process of the machine has this command line.
const MARK: &str = "sleep 0.0631";

fn mounts_below(path: &Path) -> usize {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    table.lines().filter(|line| line.contains(path.to_str().unwrap())).count()
}

fn processes(mark: &str) -> usize {
    let marked = |entry: &std::fs::DirEntry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").contains(mark)
    };
    std::fs::read_dir("/proc").unwrap().flatten().filter(marked).count()
}

/// Files below a directory, in no order.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.is_symlink() { waiting.push(path) } else { found.push(path) }
        }
    }
    found
}

/// Every blob is what its name says; nothing is left of work that was not finished.
fn check_store(sandbox: &Sandbox) {
    let blobs = files(&sandbox.store().join("blobs-v1/sha256"));
    assert!(!blobs.is_empty());
    for chunk in blobs.chunks(100) {
        let sums = process::succeed(Command::new("sha256sum").args(chunk)).unwrap().out();
        for line in sums.lines() {
            let (sum, path) = line.split_once("  ").unwrap();
            assert!(path.ends_with(sum), "{line}");
        }
    }
    let left = sandbox.left_behind();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(mounts_below(&sandbox.store()), 0);
}

/// Encoded definition of a build file.
fn define(sandbox: &Sandbox, name: &str, text: &str) -> String {
    sandbox.write(name, text);
    sandbox.succeed(sandbox.llbc().args(["-o", &format!("{name}.llb"), name]));
    format!("{name}.llb")
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

#[test]
fn killed_at_any_moment() {
    if !e2e::have(registry::PROGRAMS) || !e2e::have(&["sha256sum"]) {
        return;
    }
    let sandbox = Sandbox::with_base();
    let registry = Registry::start().unwrap();
    let at = &registry.address;
    sandbox.write("Pulled", "FROM base\nRUN seq 1 9999 > /numbers\n");
    sandbox.succeed(&mut sandbox.shell(&format!("llbc build -f Pulled --push -t {at}/pulled .")));
    sandbox.write("data", &"some text\n".repeat(100_000));
    let steps = format!("COPY data /data\nRUN {MARK}; cat /data /data > /more\nRUN {MARK}; rm /more\n");
    let definitions = [
        define(&sandbox, "Steps", &format!("FROM base\n{steps}")),
        define(&sandbox, "Pull", &format!("FROM {at}/pulled\nRUN {MARK}; wc -l /numbers\n")),
        define(&sandbox, "Export", "FROM base\nCOPY data /a\nCOPY data /b\n"),
    ];
    let push = format!("type=registry,name={at}/pushed");
    let outputs = ["type=image,name=killed", "type=oci,dest=out.tar", "type=tar,dest=tree.tar", "tree", &push];
    let mut dice = Dice(42);
    let mut killed = 0;
    for round in 0..200 {
        let mut command = sandbox.executor();
        command.arg(&definitions[round % definitions.len()]).args([
            "--progress=quiet",
            "-o",
            outputs[round % outputs.len()],
        ]);
        if round % 5 == 0 {
            command.arg("--no-cache");
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(dice.below(150)));
        if child.try_wait().unwrap().is_none() {
            killed += 1;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(killed > 50, "only {killed} of 200 were still running");
    let gone = process::wait_until(Duration::from_secs(5), || processes(MARK) == 0);
    assert!(gone, "steps outlive their executor");
    let beside: Vec<_> =
        std::fs::read_dir(sandbox.directory()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!beside.iter().any(|name| name.to_string_lossy().starts_with('.')), "{beside:?}");
    for (definition, output) in definitions.iter().flat_map(|d| outputs.map(|output| (d, output))) {
        sandbox.succeed(sandbox.executor().arg(definition).args(["--progress=plain", "-o", output]));
    }
    for name in ["out.tar", "tree.tar"] {
        sandbox.succeed(&mut sandbox.shell(&format!("tar -tf {name}")));
    }
    let aside = |name: &std::ffi::OsString| name.to_string_lossy().starts_with('.');
    let tree = std::fs::read_dir(sandbox.directory().join("tree")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(tree.filter(aside).count(), 0, "the next export removes what was written aside");
    check_store(&sandbox);
}

#[test]
fn several_at_once() {
    let sandbox = Sandbox::with_base();
    let start = |file: &str, output: &str| -> Child {
        let mut command = sandbox.executor();
        command.arg(file).args(["--progress=plain", "-o", output]).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    sandbox.write("data", "data\n");
    let same =
        define(&sandbox, "Same", "FROM base\nRUN sleep 0.2; cat /proc/sys/kernel/random/uuid > /id\nCOPY data /\n");
    let others: Vec<_> = (0..4)
        .map(|n| define(&sandbox, &format!("Other{n}"), &format!("FROM base\nRUN sleep 0.1; echo {n} > /n\n")))
        .collect();
    let mut running: Vec<_> = (0..4).map(|n| start(&same, &format!("type=oci,dest=same{n}.tar"))).collect();
    running.extend(others.iter().enumerate().map(|(n, file)| start(file, &format!("tree{n}"))));
    // Pruning waits until they are done.
    running.push({
        let mut prune = sandbox.executor();
        prune
            .args(["prune", "--all"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    });
    for child in running {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    for n in 0..4 {
        assert_eq!(sandbox.read(&format!("tree{n}/n")), format!("{n}\n"));
        sandbox.succeed(&mut sandbox.shell(&format!("tar -tf same{n}.tar")));
    }
    check_store(&sandbox);
}

#[test]
fn builds_go_well_while_somebody_prunes_all_the_time() {
    let sandbox = Sandbox::with_base();
    let definitions: Vec<_> = (0..3)
        .map(|n| {
            let text =
                format!("FROM base AS a\nRUN echo {n} > /a\nFROM base\nCOPY --from=a /a /a\nRUN cat /a /a > /b\n");
            define(&sandbox, &format!("Race{n}"), &text)
        })
        .collect();
    let build = |n: usize, definition: &str| {
        for round in 0..8 {
            let archive = format!("race{n}-{round}.tar");
            let outputs = [format!("type=oci,dest={archive}"), format!("race{n}")];
            let mut command = sandbox.executor();
            command.args([definition, "--progress=plain", "-o", &outputs[0], "-o", &outputs[1]]);
            sandbox.succeed(&mut command);
            assert_eq!(sandbox.read(&format!("race{n}/b")), format!("{n}\n{n}\n"), "round {round}");
            sandbox.succeed(&mut sandbox.shell(&format!("tar -tf {archive} > /dev/null && rm {archive}")));
        }
    };
    std::thread::scope(|scope| {
        let build = &build;
        let builders: Vec<_> =
            definitions.iter().enumerate().map(|(n, definition)| scope.spawn(move || build(n, definition))).collect();
        while builders.iter().any(|builder| !builder.is_finished()) {
            sandbox.succeed(sandbox.executor().args(["prune", "--all"]));
        }
    });
    check_store(&sandbox);
}

#[test]
fn what_is_used_and_what_is_pruned() {
    let sandbox = Sandbox::with_base();
    let text = "FROM base AS made\nRUN --mount=type=cache,target=/c head -c 1000000 /dev/urandom > /c/x; cp /c/x /x\n";
    let made = define(&sandbox, "Made", text);
    let build = || sandbox.succeed(sandbox.executor().args([&*made, "--progress=plain", "-o", "tree"])).err();
    build();
    let du = sandbox.succeed(sandbox.executor().arg("du")).out();
    assert!(du.contains("exec.cachemount") && du.contains("Reclaimable:"), "{du}");
    let rows = sandbox.succeed(sandbox.executor().args(["du", "--json", "--filter", "type=exec.cachemount"])).out();
    let row: serde_json::Value = serde_json::from_str(&rows).unwrap();
    assert!(row["Size"].as_u64().unwrap() >= 1_000_000, "{row}");
    assert!(build().contains("CACHED"));
    let pruned = sandbox.succeed(sandbox.executor().args(["prune", "--filter", "type=exec.cachemount"])).out();
    assert!(pruned.contains("exec.cachemount") && !pruned.contains("regular"), "{pruned}");
    assert!(build().contains("CACHED"));
    let kept = sandbox.succeed(sandbox.executor().args(["prune", "--keep-duration=1h"])).out();
    assert!(kept.contains("Total:        0 B"), "{kept}");
    sandbox.succeed(sandbox.executor().args(["prune", "--all", "--force"]));
    let said = build();
    assert!(
        !said.contains("RUN --mount=type=cache,target=/c head -c 1000000 /dev/urandom > /c/x; cp /c/x /x\n#2 CACHED"),
        "{said}"
    );
    assert_eq!(sandbox.succeed(sandbox.executor().args(["images", "ls", "-q"])).out(), "base:latest\n");
    let other = sandbox.succeed(sandbox.executor().args(["prune", "--filter", "colour=red"]));
    assert!(other.out().contains("Total:        0 B"), "{}", other.out());
    assert!(other.err().contains("no record has the field colour of the filter"), "{}", other.err());
    let wrong = sandbox.fail(1, sandbox.executor().args(["prune", "--filter", "type~=/[/"]));
    assert!(wrong.contains("filter type~=/[/, column 7: it is no regular expression"), "{wrong}");
}

/// A small file system, unmounted when dropped.
struct Small(PathBuf);

impl Small {
    fn mount(at: PathBuf, size: &str) -> Self {
        std::fs::create_dir_all(&at).unwrap();
        let options = format!("size={size}");
        process::succeed(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&at)).unwrap();
        Self(at)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_is_full() {
    let sandbox = Sandbox::with_base();
    let small = Small::mount(sandbox.directory().join("small"), "12m");
    let store = small.0.join("store");
    let executor = |arguments: &[&str]| {
        let mut command = sandbox.executor();
        command.env("LLBC_ROOT", &store).args(arguments);
        command
    };
    let tar = e2e::base::busybox().unwrap();
    sandbox.succeed(executor(&["images", "import"]).arg(tar).arg("base"));
    let define_there = |name: &str, text: &str| {
        sandbox.write(name, text);
        let file = format!("{name}.llb");
        sandbox.succeed(sandbox.llbc().env("LLBC_ROOT", &store).args(["-o", &file, name]));
        file
    };
    let big = define_there("Big", "FROM base\nRUN dd if=/dev/zero of=/big bs=1000000 count=20\n");
    let fine = define_there("Fine", "FROM base\nRUN echo fine > /fine\n");
    let said = sandbox.fail(1, &mut executor(&[&big, "--progress=plain", "-o", "tree"]));
    assert!(said.to_lowercase().contains("no space left on device"), "{said}");
    assert!(!sandbox.has("tree"));
    // The place it took is free again, and what fits is built.
    sandbox.succeed(&mut executor(&[&fine, "--progress=plain", "-o", "tree"]));
    assert_eq!(sandbox.read("tree/fine"), "fine\n");
    // The same where the result goes.
    let big_data = vec![b'x'; 20_000_000];
    std::fs::write(sandbox.directory().join("data"), big_data).unwrap();
    let copy = define(&sandbox, "Copy", "FROM scratch\nCOPY data /\n");
    let output = format!("type=tar,dest={}/out.tar", small.0.display());
    let said = sandbox.fail(1, sandbox.executor().args([&*copy, "--progress=plain", "-o", &output]));
    assert!(said.contains("cannot write") && said.contains("No space left on device"), "{said}");
    let left: Vec<_> = std::fs::read_dir(&small.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["store"]);
    // A directory that was there stays as it was.
    let tree = small.0.join("tree");
    std::fs::create_dir(&tree).unwrap();
    std::fs::write(tree.join("data"), "old\n").unwrap();
    let output = format!("type=local,dest={}", tree.display());
    let said = sandbox.fail(1, sandbox.executor().args([&*copy, "--progress=plain", "-o", &output]));
    assert!(said.contains(&format!("cannot copy to {}/data: No space left on device", tree.display())), "{said}");
    assert_eq!(std::fs::read_to_string(tree.join("data")).unwrap(), "old\n");
    assert_eq!(std::fs::read_dir(&tree).unwrap().count(), 1);
}

#[test]
fn a_build_waits_while_somebody_prunes() {
    let sandbox = Sandbox::with_base();
    let file = define(&sandbox, "File", "FROM base\nRUN true\n");
    let lock =
        std::fs::File::options().write(true).create(true).truncate(false).open(sandbox.store().join("in-use")).unwrap();
    lock.lock().unwrap();
    let mut child = sandbox.executor().arg(&file).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it did not wait");
    drop(lock);
    assert!(child.wait().unwrap().success());
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_store_on_a_full_disk_is_looked_at_and_pruned() {
    let sandbox = Sandbox::new();
    let small = Small::mount(sandbox.directory().join("small"), "24m");
    let executor = |arguments: &[&str]| {
        let mut command = sandbox.executor();
        command.env("LLBC_ROOT", small.0.join("store")).args(arguments);
        command
    };
    sandbox.succeed(executor(&["images", "import"]).arg(e2e::base::busybox().unwrap()).arg("base"));
    sandbox.write(
        "Dockerfile",
        "FROM base\nRUN --mount=type=cache,target=/c head -c 3000000 /dev/urandom > /c/x\nRUN echo y > y\n",
    );
    let build = || {
        let mut command = sandbox.llbc();
        command.env("LLBC_ROOT", small.0.join("store")).args(["build", "--progress=plain", "-t", "app", "."]);
        command
    };
    sandbox.succeed(&mut build());
    let fill = || {
        let mut file = std::fs::File::create(small.0.join("other")).unwrap();
        let full = std::io::copy(&mut std::io::repeat(0), &mut file).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    };
    fill();
    let said = sandbox.fail(1, build().arg("--no-cache"));
    assert!(said.contains("No space left on device") && said.contains("`executor prune` makes room"), "{said}");
    assert!(sandbox.succeed(&mut executor(&["du"])).out().contains("exec.cachemount"));
    assert!(sandbox.succeed(&mut executor(&["images", "ls"])).out().contains("app:latest"));
    sandbox.succeed(&mut executor(&["images", "rm", "app"]));
    let pruned = sandbox.succeed(&mut executor(&["prune"])).out();
    assert!(pruned.contains("exec.cachemount"), "{pruned}");
    std::fs::remove_file(small.0.join("other")).unwrap();
    sandbox.succeed(&mut build());
    // Where what is kept for that is gone, somebody else has to make room.
    std::fs::remove_dir_all(small.0.join("store/reserve-v1")).unwrap();
    fill();
    let said = sandbox.fail(1, &mut executor(&["prune"]));
    assert!(said.contains("so full that nothing can be removed from the store"), "{said}");
}

#[test]
fn a_closed_terminal_ends_a_build_in_order_unless_nobody_wants_that() {
    const SLEEP: &str = "sleep 60.0733";
    let sandbox = Sandbox::with_base();
    sandbox.write("Dockerfile", &format!("FROM base\nRUN {SLEEP}\n"));
    let end = |before: &str, signals: &[&str]| {
        let mut shell = sandbox.shell(&format!("{before} exec llbc build --no-cache --progress=quiet ."));
        let mut child = shell.stderr(Stdio::null()).spawn().unwrap();
        assert!(process::wait_until(Duration::from_secs(60), || processes(SLEEP) > 0));
        for signal in signals {
            process::succeed(Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()])).unwrap();
        }
        let code = child.wait().unwrap().code();
        assert!(process::wait_until(Duration::from_secs(60), || processes(SLEEP) == 0));
        assert!(sandbox.left_behind().is_empty());
        code
    };
    assert_eq!(end("", &["HUP"]), Some(130));
    // Two signals end it at once: that one of them did not count is what leaves it the time to clean up.
    assert_eq!(end("trap '' HUP;", &["HUP", "TERM"]), Some(130));
}

#[test]
fn limits_of_files_are_errors() {
    let sandbox = Sandbox::with_base();
    sandbox.write("Dockerfile", "FROM base\n");
    let said =
        sandbox.fail(1, &mut sandbox.shell("ulimit -f 100; llbc build --progress=plain -o type=tar,dest=out.tar ."));
    assert!(said.contains("File too large") && said.contains("`ulimit -f`"), "{said}");
    assert!(!sandbox.has("out.tar"));
    let said = sandbox.fail(1, &mut sandbox.shell("ulimit -n 10; llbc build --no-cache --progress=plain ."));
    assert!(said.contains("Too many open files") && said.contains("`ulimit -n`"), "{said}");
}

#[test]
fn what_is_damaged_is_named_with_the_way_on() {
    let sandbox = Sandbox::with_base();
    sandbox.write("Dockerfile", "FROM base\n");
    sandbox
        .succeed(&mut sandbox.shell("llbc build --progress=quiet -t other . && llbc build --progress=quiet -t one ."));
    let digest =
        sandbox.succeed(&mut sandbox.shell("executor images ls --json | grep '\"base:' | grep -o 'sha256:[0-9a-f]*'"));
    let blob = sandbox.store().join("blobs-v1/sha256").join(digest.out().trim().trim_start_matches("sha256:"));
    std::fs::remove_file(blob).unwrap();
    let listed = sandbox.succeed(sandbox.executor().args(["images", "ls", "-q"]));
    assert_eq!(listed.out(), "base:latest\none:latest\nother:latest\n");
    assert!(listed.err().contains("`executor images rm base:latest` removes it"), "{}", listed.err());
    sandbox.succeed(sandbox.executor().args(["images", "rm", "base"]));
    // The same of the database.
    for name in ["db-v1.sqlite", "db-v1.sqlite-wal"] {
        std::fs::write(sandbox.store().join(name), [b'x'; 8192]).unwrap();
    }
    let said = sandbox.fail(1, sandbox.executor().args(["images", "ls"]));
    assert!(said.contains("db-v1.sqlite*"), "{said}");
    sandbox.succeed(&mut sandbox.shell("rm \"$LLBC_ROOT\"/db-v1.sqlite*"));
    let tar = e2e::base::busybox().unwrap();
    sandbox.succeed(sandbox.executor().args(["images", "import"]).arg(tar).arg("base"));
    sandbox.succeed(&mut sandbox.shell("llbc build -t other ."));
    // And of a machine that has no /proc.
    let without = "unshare -m sh -c 'mount -t tmpfs none /proc; llbc build --no-cache .'";
    let said = sandbox.fail(1, &mut sandbox.shell(without));
    assert!(said.contains("/proc is not there"), "{said}");
}

#[test]
fn nobody_else_enters_the_parts_of_a_store_whoever_made_its_directory() {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.store()).unwrap();
    std::fs::set_permissions(sandbox.store(), std::fs::Permissions::from_mode(0o755)).unwrap();
    sandbox.write("Dockerfile", "FROM scratch\nCOPY d /d/\n");
    (0..200).for_each(|number| drop(sandbox.write(&format!("d/{number}"), "x")));
    // What changed just now is not remembered.
    sandbox.succeed(&mut sandbox.shell("sleep 0.1; umask 000; llbc build --progress=quiet ."));
    assert!(sandbox.store().join("stat-v1").is_dir());
    for entry in std::fs::read_dir(sandbox.store()).unwrap().map(|entry| entry.unwrap()) {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert!(!entry.path().is_dir() || mode == 0o700, "{}: {mode:o}", entry.path().display());
    }
}
