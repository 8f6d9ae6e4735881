//! `llbc` and `executor` together: what is built, and what happens when something is wrong.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::process::Stdio;
use std::time::{Duration, Instant};

use e2e::{Registry, Sandbox, process, registry};
use serde_json::Value;

const HELLO: &str = "FROM base\nARG WHO=world\nRUN echo \"hello, $WHO\" > /hello\nCMD [\"cat\", \"/hello\"]\n";

fn mounts() -> usize {
    std::fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count()
}

#[test]
fn two_commands_make_an_image_with_a_name() {
    let sandbox = Sandbox::with_base();
    sandbox.write("Dockerfile", HELLO);
    sandbox.succeed(&mut sandbox.shell("llbc Dockerfile | executor -t hello:1 --iidfile id --metadata-file meta.json"));
    let images = sandbox.succeed(sandbox.executor().args(["images", "ls", "--quiet"])).out();
    assert_eq!(images, "base:latest\nhello:1\n");
    let metadata: Value = serde_json::from_str(&sandbox.read("meta.json")).unwrap();
    assert_eq!(metadata["containerimage.config.digest"], Value::String(sandbox.read("id")));
    sandbox.succeed(sandbox.executor().args(["images", "rm", "hello:1"]));
    assert_eq!(sandbox.succeed(sandbox.executor().args(["images", "ls", "-q"])).out(), "base:latest\n");
}

#[test]
fn one_command_makes_the_same_image() {
    let sandbox = Sandbox::with_base();
    sandbox.write("Dockerfile", HELLO);
    sandbox.write("file", "content");
    let epoch = "--build-arg=SOURCE_DATE_EPOCH=1700000000";
    let piped = sandbox.succeed(&mut sandbox.shell(&format!("llbc {epoch} Dockerfile | executor --quiet"))).out();
    let built = sandbox.succeed(&mut sandbox.shell(&format!("llbc build {epoch} --quiet ."))).out();
    assert!(piped.starts_with("sha256:"), "{piped}");
    assert_eq!(piped, built);
}

#[test]
fn a_tree_comes_out_as_a_directory_and_to_standard_output() {
    let sandbox = Sandbox::with_base();
    sandbox.write("Dockerfile", HELLO);
    sandbox.succeed(&mut sandbox.shell("llbc Dockerfile --build-arg WHO=you | executor -o tree"));
    assert_eq!(sandbox.read("tree/hello"), "hello, you\n");
    let list = sandbox.succeed(&mut sandbox.shell("llbc Dockerfile | executor --progress=quiet -o - | tar -t")).out();
    assert!(list.lines().any(|line| line == "hello"), "{list}");
}

#[test]
fn a_second_build_runs_nothing() {
    let sandbox = Sandbox::with_base();
    sandbox.write("Dockerfile", "FROM base\nRUN cat /proc/sys/kernel/random/uuid > /id\n");
    let build = |flags: &str| {
        sandbox
            .succeed(&mut sandbox.shell(&format!("llbc Dockerfile | executor {flags} -o tree --progress=plain")))
            .err();
        sandbox.read("tree/id")
    };
    let first = build("");
    assert_eq!(build(""), first);
    assert_ne!(build("--no-cache"), first);
}

#[test]
fn a_failing_step_is_shown_with_its_line_and_its_last_words() {
    let sandbox = Sandbox::with_base();
    sandbox.write("Dockerfile", "FROM base\nRUN true\nRUN echo about to fail; exit 7\n");
    let said =
        sandbox.fail(1, &mut sandbox.shell("llbc Dockerfile | executor -o type=tar,dest=out.tar --progress=plain"));
    for words in ["[3/3] RUN echo about to fail; exit 7", "Dockerfile:3", ">>> RUN echo about to fail", "exit code: 7"]
    {
        assert!(said.contains(words), "{words} is missing in\n{said}");
    }
    let summary = said.rsplit("------\n > ").next().unwrap();
    assert!(summary.contains("about to fail\n"), "{said}");
    assert!(!sandbox.has("out.tar"), "a failed build left an output");
}

#[test]
fn a_missing_file_of_the_context_is_named() {
    let sandbox = Sandbox::with_base();
    sandbox.write("Dockerfile", "FROM base\nCOPY nowhere.txt /\n");
    let said = sandbox.fail(1, &mut sandbox.shell("llbc Dockerfile | executor -o tree"));
    assert!(said.contains("nowhere.txt") && said.contains("not found") && said.contains("Dockerfile:2"), "{said}");
    assert!(!sandbox.has("tree"), "a failed build left an output");
}

#[test]
fn what_is_no_definition_is_refused() {
    let sandbox = Sandbox::with_base();
    sandbox.write("Dockerfile", HELLO);
    let definition = sandbox.succeed(sandbox.llbc().arg("Dockerfile")).stdout;
    let executor = || {
        let mut command = sandbox.executor();
        command.args(["-o", "tree"]);
        command
    };
    for (what, bytes) in [
        ("cut off", &definition[..definition.len() - 40]),
        ("cut in half", &definition[..definition.len() / 2]),
        ("text", b"FROM scratch\n"),
        ("nothing", b""),
    ] {
        let run = process::run_with_input(&mut executor(), bytes).unwrap();
        assert_eq!(run.status.code(), Some(1), "{what}: {}", run.err());
        assert!(run.err().starts_with("error: "), "{what}: {}", run.err());
        assert!(!sandbox.has("tree"), "{what} was built");
    }
}

#[test]
fn an_interrupted_build_ends_at_once_and_leaves_nothing() {
    /// No other process of the machine has this command line.
    const MARK: &str = "sleep 300.0427";
    let sandbox = Sandbox::with_base();
    sandbox.write("Dockerfile", &format!("FROM base\nRUN echo started; {MARK}; true\n"));
    sandbox.succeed(sandbox.llbc().args(["-o", "definition", "Dockerfile"]));
    let before = mounts();
    let mut command = sandbox.executor();
    command.args(["--progress=plain", "-o", "tree", "definition"]).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains(" started") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut stderr, &mut line).unwrap() > 0, "the step never started");
    }
    let asked = Instant::now();
    process::succeed(std::process::Command::new("kill").args(["-INT", &child.id().to_string()])).unwrap();
    // What it still says must be read, or it waits for us.
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stderr, &mut rest).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130), "{rest}");
    assert!(asked.elapsed() < Duration::from_secs(5), "it took {:?} to stop", asked.elapsed());
    assert!(!sandbox.has("tree"));
    assert_eq!(mounts(), before, "mounts are left behind");
    let left = sandbox.left_behind();
    let sleeping = process::run(std::process::Command::new("pgrep").args(["-fx", MARK])).unwrap();
    assert_eq!(sleeping.out(), "", "a process is left behind");
    assert!(left.is_empty(), "temporary files are left behind: {left:?}");
}

#[test]
fn secrets_reach_steps_and_nothing_else() {
    let sandbox = Sandbox::with_base();
    sandbox.write(
        "Dockerfile",
        "FROM base\nRUN --mount=type=secret,id=key,required=true wc -c < /run/secrets/key > /size\n",
    );
    sandbox.write("key.txt", "hunter2-hunter2");
    sandbox.succeed(&mut sandbox.shell("llbc Dockerfile | executor --secret id=key,src=key.txt -o tree"));
    assert_eq!(sandbox.read("tree/size").trim(), "15");
    assert!(!sandbox.has("tree/run/secrets/key"));
    let said = sandbox.fail(1, &mut sandbox.shell("llbc Dockerfile | executor --no-cache -o other"));
    assert!(said.contains("secret key"), "{said}");
    let traces = process::run(std::process::Command::new("grep").args(["-r", "hunter2"]).arg(sandbox.store())).unwrap();
    assert_eq!(traces.out(), "", "the secret is in the store");
}

/// Whether a process of this machine has a text among its arguments.
fn is_an_argument(text: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path().join("cmdline"));
    processes.filter_map(|path| std::fs::read(path).ok()).any(|all| String::from_utf8_lossy(&all).contains(text))
}

#[test]
fn a_secret_is_in_no_log_no_list_of_processes_and_no_key() {
    let sandbox = Sandbox::with_base();
    let mounts = "--mount=type=secret,id=key,env=KEY --mount=type=secret,id=file,target=/f";
    let mark = format!("mark-{}", std::process::id());
    sandbox.write(
        "Dockerfile",
        &format!("FROM base\nRUN {mounts} cat /f; echo $KEY; set > /dev/stderr; sleep 3; : {mark}\n"),
    );
    sandbox.write("key.txt", "hunter2-of-a-file");
    for runtime in ["", "--oci-runtime=crun"] {
        let build = format!(
            "exec llbc build --no-cache --progress=plain {runtime} --secret id=key,env=TOKEN --secret id=file,src=key.txt -o type=oci,compression=uncompressed,dest=image.tar ."
        );
        let mut command = sandbox.shell(&build);
        let child = command.env("TOKEN", "hunter2-of-a-variable").stderr(std::process::Stdio::piped()).spawn().unwrap();
        let runs = || is_an_argument(&mark);
        assert!(process::wait_until(std::time::Duration::from_secs(60), runs), "the step does not start");
        assert!(!is_an_argument("hunter2"), "{runtime}");
        let run = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success() && said.contains("KEY=") && !said.contains("hunter2"), "{said}");
    }
    let places = [sandbox.store(), sandbox.directory().join("image.tar")];
    let traces = process::run(std::process::Command::new("grep").args(["-rlE", "hunter2"]).args(places)).unwrap();
    assert_eq!(traces.out(), "");
    // Another secret is the same step.
    sandbox.write("key.txt", "another");
    let again =
        "TOKEN=another llbc build --progress=plain --secret id=key,env=TOKEN --secret id=file,src=key.txt -o tree .";
    assert!(sandbox.succeed(&mut sandbox.shell(again)).err().contains("CACHED"));
}

#[test]
fn a_key_in_a_file_is_an_agent_in_a_step() {
    if !e2e::have(&["ssh-keygen"]) {
        return;
    }
    let sandbox = Sandbox::with_base();
    sandbox.write(
        "Dockerfile",
        "FROM base\nRUN --mount=type=ssh,uid=7,mode=640 stat -c '%F %u %a' $SSH_AUTH_SOCK > /seen\n",
    );
    sandbox
        .succeed(&mut sandbox.shell("ssh-keygen -q -t ed25519 -N '' -f key; ssh-keygen -q -t ed25519 -N x -f locked"));
    for runtime in ["", "--oci-runtime=crun"] {
        sandbox.succeed(&mut sandbox.shell(&format!("llbc build --no-cache --ssh default=key {runtime} -o tree .")));
        assert_eq!(sandbox.read("tree/seen"), "socket 7 640\n", "{runtime}");
    }
    let said = sandbox.fail(1, &mut sandbox.shell("llbc build --ssh default=key,locked -o other ."));
    assert!(said.contains("SSH key locked: it has a passphrase") && said.contains("ssh-add"), "{said}");
    assert!(!sandbox.has("other"));
}

#[test]
fn named_contexts_and_other_files() {
    let sandbox = Sandbox::with_base();
    sandbox.write("ctx/app.txt", "app");
    sandbox.write("ctx/skip.log", "skip");
    sandbox.write("ctx/.dockerignore", "*.log\n");
    sandbox.write("lib/lib.txt", "lib");
    sandbox.write("other.Dockerfile", "FROM scratch\nCOPY . /app/\nCOPY --from=lib lib.txt /lib/\n");
    sandbox.succeed(&mut sandbox.shell("llbc build -f other.Dockerfile --build-context lib=lib -o tree ctx"));
    assert_eq!((sandbox.read("tree/app/app.txt"), sandbox.read("tree/lib/lib.txt")), ("app".into(), "lib".into()));
    assert!(!sandbox.has("tree/app/skip.log"));
    let run = process::succeed_with_input(&mut sandbox.shell("llbc build -o two -"), b"FROM base\nRUN echo x > /x\n");
    run.unwrap();
    assert_eq!(sandbox.read("two/x"), "x\n");
    // An empty context is empty whatever others leave in directories that everybody may write to.
    sandbox.write("tmp/llbc-empty-context/theirs", "");
    let mut three = sandbox.shell("TMPDIR=$PWD/tmp llbc build -o three -");
    process::succeed_with_input(&mut three, b"FROM scratch\nCOPY . /\n").unwrap();
    assert!(std::fs::read_dir(sandbox.directory().join("three")).unwrap().next().is_none());
}

#[test]
fn a_registry_answers_once_and_a_lock_file_from_then_on() {
    if !e2e::have(registry::PROGRAMS) || !e2e::have(&["skopeo"]) {
        return;
    }
    let sandbox = Sandbox::with_base();
    sandbox.write("Dockerfile", HELLO);
    sandbox.succeed(&mut sandbox.shell("llbc Dockerfile | executor -o type=oci,dest=hello.tar"));
    let registry = Registry::start().unwrap();
    let name = format!("{}/team/hello:1", registry.address);
    let destination = format!("docker://{name}");
    sandbox.succeed(
        &mut sandbox.shell(&format!("skopeo copy --quiet --dest-tls-verify=false oci-archive:hello.tar {destination}")),
    );

    sandbox.write("two", &format!("FROM {name}\nRUN cat /hello > /copy\n"));
    let fresh = Sandbox::new();
    std::fs::copy(sandbox.directory().join("two"), fresh.directory().join("two")).unwrap();
    let said = fresh.fail(1, fresh.llbc().args(["--offline", "-o", "x", "two"]));
    assert!(said.contains(&name) && said.contains("--write-facts"), "{said}");
    let online = fresh.succeed(fresh.llbc().args(["--write-facts", "lock.json", "two"])).stdout;
    let offline = fresh.succeed(fresh.llbc().args(["--offline", "--facts", "lock.json", "two"])).stdout;
    assert_eq!(online, offline);
    process::succeed_with_input(fresh.executor().args(["-o", "tree"]), &offline).unwrap();
    assert_eq!(fresh.read("tree/copy"), "hello, world\n");
}

#[test]
fn an_image_of_another_tool_is_a_base() {
    if !e2e::have(&["skopeo"]) {
        return;
    }
    let sandbox = Sandbox::with_base();
    sandbox.write("Dockerfile", HELLO);
    sandbox.succeed(&mut sandbox.shell("llbc Dockerfile | executor -t hello -o type=docker,dest=hello.tar"));
    let fresh = Sandbox::new();
    let archive = sandbox.directory().join("hello.tar");
    assert!(
        fresh
            .succeed(fresh.executor().args(["images", "import"]).arg(&archive))
            .out()
            .starts_with("hello:latest sha256:")
    );
    fresh.write("Dockerfile", "FROM hello\nRUN cat /hello > /copy\n");
    fresh.succeed(&mut fresh.shell("llbc --offline Dockerfile | executor -o tree"));
    assert_eq!(fresh.read("tree/copy"), "hello, world\n");
}

#[test]
fn an_ignore_file_that_cannot_be_read_is_an_error() {
    let sandbox = Sandbox::new();
    sandbox.write("Dockerfile", "FROM scratch\nCOPY . /\n");
    let ignore = sandbox.directory().join(".dockerignore");
    std::os::unix::fs::symlink(".dockerignore", &ignore).unwrap();
    for build in ["llbc build -o out .", "llbc check .", "llbc build --build-context other=. -o out ."] {
        let said = sandbox.fail(1, &mut sandbox.shell(build));
        assert!(said.contains(".dockerignore: Too many levels of symbolic links"), "{build}: {said}");
    }
    std::fs::remove_file(&ignore).unwrap();
    process::succeed(std::process::Command::new("mkfifo").arg(&ignore)).unwrap();
    let said = sandbox.fail(1, &mut sandbox.shell("llbc build -o out ."));
    assert!(said.contains(".dockerignore is no regular file"), "{said}");
    assert!(!sandbox.has("out"));
    // One that is not there is none, whatever leads to it.
    std::fs::remove_file(&ignore).unwrap();
    std::os::unix::fs::symlink("nowhere", &ignore).unwrap();
    sandbox.succeed(&mut sandbox.shell("llbc build -o out ."));
}

#[test]
fn a_file_whose_name_means_something_else_in_a_layer_is_said() {
    let sandbox = Sandbox::with_base();
    sandbox.write("Dockerfile", "FROM base\nCOPY d /etc\n");
    sandbox.write("d/.wh.passwd", "x");
    for (output, times) in [("-t app", 1), ("-o type=oci,compression=zstd,dest=app.tar", 1), ("-o tree", 0)] {
        let said = sandbox.succeed(&mut sandbox.shell(&format!("llbc build --progress=plain {output} ."))).err();
        assert_eq!(said.matches("WARN: /etc/.wh.passwd will not be in the image").count(), times, "{output}: {said}");
    }
    assert_eq!(sandbox.read("tree/etc/.wh.passwd"), "x");
}
