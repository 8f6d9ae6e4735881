//! The patience of who only looks at a text: a server that does not answer soon is not waited for, and not asked again in
//! the same run. What it would have said is then not known, and the text is looked at without.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, mpsc};
use std::time::Duration;

use compiler::AskError;

use super::Answered;

/// How long a server may take: more than a registry at the other end of the world needs, less than a person would wait.
const WAIT: Duration = Duration::from_secs(1);

/// Which servers did not answer. Shared by all files of a run.
#[derive(Debug)]
pub(crate) struct Patience {
    wait: Duration,
    silent: Mutex<BTreeSet<String>>,
}

impl Default for Patience {
    fn default() -> Self {
        Self { wait: WAIT, silent: Mutex::default() }
    }
}

impl Patience {
    /// The answer to `ask` about `what` of a server, unless it takes too long. Who is still asked then is left alone: the
    /// thread ends with the process.
    pub(super) fn ask(&self, server: &str, what: &str, ask: impl FnOnce() -> Answered + Send + 'static) -> Answered {
        if self.silent().contains(server) {
            return Err(unknown(format!("{what}: {server} did not answer before, and is not asked again")));
        }
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || drop(sender.send(ask())));
        receiver.recv_timeout(self.wait).unwrap_or_else(|_| {
            self.silent().insert(server.to_owned());
            Err(unknown(format!("{what}: {server} did not answer within {} ms", self.wait.as_millis())))
        })
    }

    fn silent(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.silent.lock().expect("no panic while the list is held")
    }
}

fn unknown(message: String) -> AskError {
    let help = "a build waits longer; `llbc compile --write-facts FILE` keeps answers, and --facts FILE gives them";
    AskError { message, help: Some(help.to_owned()), unreachable: true, ..AskError::default() }
}

#[cfg(test)]
mod tests {
    use compiler::Answer;

    use super::*;

    #[test]
    fn who_does_not_answer_is_asked_once() {
        let patience = Patience { wait: Duration::ZERO, ..Patience::default() };
        let (release, blocked) = mpsc::channel::<()>();
        let answer = patience.ask("r", "r/a", move || {
            let _ = blocked.recv();
            Ok(Answer::Timestamp(None))
        });
        assert_eq!(answer.unwrap_err().message, "r/a: r did not answer within 0 ms");
        let again = patience.ask("r", "r/b", || unreachable!("a silent server is not asked again"));
        assert_eq!(again.unwrap_err().message, "r/b: r did not answer before, and is not asked again");
        drop(release);
    }

    #[test]
    fn who_answers_is_heard() {
        let patience = Patience { wait: Duration::from_secs(60), ..Patience::default() };
        for _ in 0..2 {
            assert_eq!(patience.ask("r", "r/a", || Ok(Answer::Timestamp(Some(1)))), Ok(Answer::Timestamp(Some(1))));
        }
    }
}
