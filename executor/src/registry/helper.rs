//! Docker's credential helpers: programs that know passwords.
//!
//! `docker-credential-NAME get` reads the name of a registry and answers with `{"Username": …, "Secret": …}`; one that
//! knows nothing fails and says so. It may ask whoever sits at the terminal, so it is neither hurried nor put in a group
//! of its own, but nobody waits for it longer than for the build.

use std::io::{self, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::{Map, Value};

use super::credentials::Credential;
use crate::{Cancel, Error, Result};

/// Longest answer, in bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// What a helper knows of a registry; `None` is nothing. **Errors**: one that is not there, fails or talks nonsense.
pub(super) fn ask(name: &str, registry: &str, cancel: &Cancel) -> Result<Option<Credential>> {
    let program = format!("docker-credential-{name}");
    let failed = |reason: String| Error::Remote {
        attempt: format!("asking {program} for the credentials of {registry}"),
        reason,
    };
    if name.contains(['/', '\0']) {
        return Err(failed("a helper's name is no path; correct credsStore or credHelpers in config.json".to_owned()));
    }
    let child = start(&program, registry).map_err(|error| {
        failed(format!("{error}; install it, or take it out of credsStore and credHelpers in config.json"))
    })?;
    let (status, said) = end(child, cancel)?.map_err(|error| failed(error.to_string()))?;
    if status.success() {
        return read(&said).map_err(failed);
    }
    let said = String::from_utf8_lossy(&said);
    match said.trim() {
        said if said.contains("credentials not found") => Ok(None),
        "" => Err(failed(format!("{}, and it says nothing", ending(status)))),
        said => Err(failed(format!("{}: {said}", ending(status)))),
    }
}

fn start(program: &str, registry: &str) -> io::Result<Child> {
    let mut command = Command::new(program);
    let mut child = command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read its input fails by its own words.
        let _ = stdin.write_all(registry.as_bytes());
    }
    Ok(child)
}

type Ended = io::Result<(ExitStatus, Vec<u8>)>;

/// How it ends, and what it said till then. One that nobody waits for is killed; what it started may live on, and keep
/// its output open.
fn end(mut child: Child, cancel: &Cancel) -> Result<Ended> {
    let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty());
    let (sender, receiver) = channel();
    let wake = sender.clone();
    let _hook = cancel.on_cancel(move || {
        if let Ok(process) = process {
            // It may have ended just now.
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
        drop(wake.send(None));
    });
    std::thread::spawn(move || {
        let mut said = Vec::new();
        // Dropped once it is read: who goes on talking then ends.
        let read = child.stdout.take().map_or(Ok(0), |output| output.take(MAX_ANSWER).read_to_end(&mut said));
        drop(sender.send(Some(read.and_then(|_| Ok((child.wait()?, said))))));
    });
    let ended = receiver.recv().expect("the thread sends before it ends").ok_or(Error::Cancelled)?;
    cancel.check()?;
    Ok(ended)
}

fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// parity: what follows the first value counts for nothing, and `null` is an answer that names nobody.
fn read(said: &[u8]) -> std::result::Result<Option<Credential>, String> {
    let nonsense = |why: String| format!("its answer is not {{\"Username\": …, \"Secret\": …}}: {why}");
    let mut values = serde_json::Deserializer::from_slice(said).into_iter::<Option<Map<String, Value>>>();
    let value = values.next().ok_or_else(|| nonsense("there is none".to_owned()))?;
    let Some(value) = value.map_err(|error| nonsense(error.to_string()))? else { return Ok(None) };
    let text = |name: &str| match value.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)) {
        None | Some((_, Value::Null)) => Ok(""),
        Some((_, Value::String(text))) => Ok(text.as_str()),
        Some(_) => Err(nonsense(format!("{name} is no text"))),
    };
    Ok(Credential::of(text("Username")?, text("Secret")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(said: &str, expected: std::result::Result<Option<(&str, &str)>, &str>) {
        let expected = expected.map(|found| found.and_then(|(user, secret)| Credential::of(user, secret)));
        match (read(said.as_bytes()), expected) {
            (Err(actual), Err(expected)) => assert!(actual.ends_with(expected), "{said}: {actual}"),
            (actual, expected) => assert_eq!(actual, expected.map_err(str::to_owned), "{said}"),
        }
    }

    #[test]
    fn answers() {
        check(r#"{"ServerURL": "x", "Username": "u", "Secret": "p"}"#, Ok(Some(("u", "p"))));
        check(r#"{"username": "u", "secret": "p"} more"#, Ok(Some(("u", "p"))));
        check(r#"{"Username": "<token>", "Secret": "t"}"#, Ok(Some(("<token>", "t"))));
        check(r#"{"Username": "u", "Secret": null}"#, Ok(None));
        check("null", Ok(None));
        check("{}", Ok(None));
        check("", Err("…}: there is none"));
        check("hello", Err("…}: expected value at line 1 column 1"));
        check("[]", Err("…}: invalid type: sequence, expected a map at line 1 column 0"));
        check(r#"{"Username": 1, "Secret": "hidden"}"#, Err("…}: Username is no text"));
    }

    /// What a helper of this text answers.
    fn run(script: &str, cancel: &Cancel) -> Result<Ended> {
        let mut command = Command::new("sh");
        let mut child = command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // What the script starts ends with the test.
        let _input = child.stdin.take();
        end(child, cancel)
    }

    #[test]
    fn ends() {
        let ended = |script: &str| {
            let (status, said) = run(script, &Cancel::default()).unwrap().unwrap();
            format!("{}: {}", ending(status), String::from_utf8(said).unwrap())
        };
        assert_eq!(ended("echo no; exit 3"), "exit status 3: no\n");
        assert_eq!(ended("kill -9 $$"), "killed by signal 9: ");
        let (status, said) = run("exec yes", &Cancel::default()).unwrap().unwrap();
        assert_eq!((ending(status), said.len() as u64), ("killed by signal 13".to_owned(), MAX_ANSWER));
    }

    #[test]
    fn nobody_waits_for_a_helper_longer_than_for_the_build() {
        let cancel = Cancel::default();
        let ended = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(std::time::Duration::from_millis(50));
                cancel.cancel();
            });
            // `cat` holds the output, though the shell is killed.
            run("exec 3<&0; cat <&3 & wait", &cancel)
        });
        assert!(matches!(ended, Err(Error::Cancelled)), "{ended:?}");
    }
}
