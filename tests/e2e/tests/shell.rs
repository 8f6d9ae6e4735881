//! `--on-error=shell`: what somebody finds who looks around in a step that failed, and what is left of it afterwards.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use e2e::user::{self, Ids, User};
use e2e::{Run, Sandbox, process};

/// A step that has everything a step can have, and fails.
const FAILS: &str = "\
FROM base
ENV GREETING=hello
WORKDIR /work
RUN chown 65534 /work
USER nobody
RUN --mount=type=cache,target=/cache,uid=65534 --mount=type=secret,id=key,uid=65534 --network=none \\
    echo half > half; echo cached > /cache/file; exit 7
";
/// What is asked in there.
const LOOK: &str =
    "echo $GREETING; cat half /cache/file /run/secrets/key; pwd; id -u; ip -o link | wc -l; id -un; exit 3\n";
/// And what is seen; the secret is masked.
const SEEN: &str = "hello\nhalf\ncached\n***\n/work\n65534\n1\nnobody\n";

const RUNTIMES: [&str; 3] = ["", "--oci-runtime=crun", "--oci-runtime=runc"];

fn prepare(sandbox: &Sandbox) {
    sandbox.write("Dockerfile", FAILS);
    sandbox.write("key", "hunter2\n");
}

/// Whether something of the store is mounted.
fn is_mounted(sandbox: &Sandbox) -> bool {
    std::fs::read_to_string("/proc/self/mountinfo").unwrap().contains(sandbox.store().to_str().unwrap())
}

/// What the shell shows when it waits.
const PROMPT: &str = "$ ";

/// Somebody at a terminal.
struct Terminal {
    program: Child,
    shown: Arc<Mutex<String>>,
    /// Bytes of it that were looked at.
    read: usize,
}

impl Terminal {
    fn start(command: &mut Command) -> Self {
        let mut program = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut stdout, shown) = (program.stdout.take().unwrap(), Arc::new(Mutex::new(String::new())));
        let all = shown.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut buffer) {
                all.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        });
        Self { program, shown, read: 0 }
    }

    /// Types, and waits for an answer in what is shown from then on.
    #[track_caller]
    fn talk(&mut self, typed: &str, answer: &str) {
        self.program.stdin.as_mut().unwrap().write_all(typed.as_bytes()).unwrap();
        let found = || self.shown.lock().unwrap()[self.read..].find(answer);
        let came = process::wait_until(Duration::from_secs(60), || found().is_some());
        assert!(came, "{answer} is missing in\n{}", self.shown.lock().unwrap());
        self.read += found().unwrap() + answer.len();
    }

    /// Types Ctrl-C until there is a prompt: one that comes before the process is in the foreground interrupts nothing.
    #[track_caller]
    fn interrupt(&mut self) {
        let prompt = || self.shown.lock().unwrap()[self.read..].find(PROMPT);
        let came = (0..60).any(|_| {
            self.program.stdin.as_ref().unwrap().write_all(b"\x03").unwrap();
            process::wait_until(Duration::from_secs(1), || prompt().is_some())
        });
        assert!(came, "no prompt in\n{}", self.shown.lock().unwrap());
        self.read += prompt().unwrap() + PROMPT.len();
    }

    /// Waits for the end of the build, which has failed; returns all that was shown.
    fn end(mut self) -> String {
        let shown = || self.shown.lock().unwrap().clone();
        assert_eq!(self.program.wait().unwrap().code(), Some(1), "{}", shown());
        shown()
    }
}

#[track_caller]
fn check_failed(run: &Run) {
    assert_eq!(run.status.code(), Some(1), "{}", run.err());
    let last = run.err().lines().last().unwrap_or_default().to_owned();
    assert!(last.starts_with("error: ") && last.ends_with("exit code: 7"), "{}", run.err());
    assert_eq!(run.err().matches("Dockerfile:6").count(), 1, "{}", run.err());
}

#[test]
fn a_script_sees_what_the_step_had_and_the_build_fails() {
    let sandbox = Sandbox::with_base();
    prepare(&sandbox);
    for runtime in RUNTIMES {
        let build = format!("llbc build --on-error=shell --secret id=key,src=key -o tree {runtime} .");
        let run = process::run_with_input(&mut sandbox.shell(&build), LOOK.as_bytes()).unwrap();
        check_failed(&run);
        assert_eq!(run.out(), SEEN, "{runtime}: {}", run.err());
        assert!(!sandbox.has("tree"));
        assert_eq!(sandbox.left_behind(), Vec::<std::path::PathBuf>::new(), "{runtime}");
        assert!(!is_mounted(&sandbox), "mounts are left behind");
    }
}

#[test]
fn a_terminal_is_a_terminal_inside() {
    if !e2e::have(&["script", "stty"]) {
        return;
    }
    let sandbox = Sandbox::with_base();
    prepare(&sandbox);
    for runtime in RUNTIMES {
        let build = format!("llbc build --on-error=shell --secret id=key,src=key -o tree --progress=plain {runtime} .");
        let session = format!("script --quiet --return --command 'stty rows 33 cols 99; {build}' typescript");
        let mut terminal = Terminal::start(&mut sandbox.shell(&session));
        // What is typed is echoed, so that only answers that are computed prove something.
        terminal.talk("", "the build ends with it");
        terminal.talk("tty; stty size; cat half; echo $((40 + 2)) $GREETING; sleep 300\n", "42 hello");
        terminal.interrupt();
        terminal.talk("echo $((50 + 5))\n", "55");
        terminal.talk("exit\n", "exit code: 7");
        let shown = terminal.end();
        for words in ["/dev/pts/0", "33 99", "\nhalf"] {
            assert!(shown.contains(words), "{runtime}: {words} is missing in\n{shown}");
        }
        assert_eq!(sandbox.left_behind(), Vec::<std::path::PathBuf>::new(), "{runtime}");
    }
}

#[test]
fn an_ordinary_user_looks_around_too() {
    if !e2e::have(user::PROGRAMS) {
        return;
    }
    let user = User::new(Ids::Range);
    prepare(user.sandbox());
    for runtime in RUNTIMES {
        let build = format!("llbc build --on-error=shell --secret id=key,src=key -o tree {runtime} .");
        let run = process::run_with_input(&mut user.shell(&build), LOOK.as_bytes()).unwrap();
        check_failed(&run);
        assert_eq!(run.out(), SEEN, "{runtime}: {}", run.err());
        assert_eq!(user.sandbox().left_behind(), Vec::<std::path::PathBuf>::new(), "{runtime}");
    }
}

#[test]
fn a_build_from_standard_input_needs_a_terminal() {
    let sandbox = Sandbox::with_base();
    prepare(&sandbox);
    // A session of its own has no terminal, whoever runs the test.
    let script = "llbc Dockerfile > definition && setsid --wait executor --on-error=shell -o tree < definition";
    let said = sandbox.fail(1, &mut sandbox.shell(script));
    assert!(said.contains("--on-error=shell") && said.contains("no terminal; name a file"), "{said}");
}

#[test]
fn an_image_without_a_shell_is_said_to_have_none() {
    let sandbox = Sandbox::with_base();
    sandbox.write(
        "Dockerfile",
        "FROM base AS tools\nFROM scratch\nCOPY --from=tools /bin/busybox /busybox\nRUN [\"/busybox\", \"false\"]\n",
    );
    let said = sandbox.fail(1, &mut sandbox.shell("llbc build --on-error=shell -o tree ."));
    assert!(
        said.contains("/bin/sh") && said.contains("no such file") && said.contains("nothing to look around"),
        "{said}"
    );
}

#[test]
fn a_cache_mount_is_free_afterwards() {
    let sandbox = Sandbox::with_base();
    let file = |last| format!("FROM base\nRUN --mount=type=cache,target=/c,sharing=locked touch /c/kept; {last}\n");
    sandbox.write("Dockerfile", &file("exit 7"));
    sandbox.fail(1, &mut sandbox.shell("llbc build --on-error=shell -o tree . < /dev/null"));
    sandbox.write("Dockerfile", &file("ls /c > /seen"));
    sandbox.succeed(&mut sandbox.shell("timeout 60 llbc build -o tree ."));
    assert_eq!(sandbox.read("tree/seen"), "kept\n");
}
