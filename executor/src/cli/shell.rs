//! `--on-error=shell`: somebody looks around in a step that failed.
//!
//! On a terminal the shell has one of its own in the container, and ours hands everything through. Else it reads standard
//! input as a script, and what it writes goes to standard output and standard error.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use super::say;
use crate::ops::exec::Talk;
use crate::{Error, FailedStep, Result};

/// The terminal of this process, whatever its standard streams are.
const TERMINAL: &str = "/dev/tty";

/// What a shell will read.
pub(super) struct Shell {
    input: Arc<OwnedFd>,
    /// The same, when it is a terminal.
    screen: Option<File>,
}

impl Shell {
    /// Finds out what there is to read. **Errors**: nothing, as the build itself came from standard input.
    pub(super) fn new(stdin_is_taken: bool) -> Result<Self> {
        let input = if stdin_is_taken { terminal()? } else { stdin()? };
        let screen = input.is_terminal().then(|| input.try_clone().map(File::from));
        let screen = screen.transpose().map_err(Error::io("open", TERMINAL))?;
        Ok(Self { input: Arc::new(input), screen })
    }

    /// Opens a shell in a step and waits for its end. Whatever becomes of it, the build has failed.
    pub(super) fn open(&self, step: &FailedStep<'_>) {
        if let Error::Step { name, source, .. } = step.error {
            say(&format!(
                "{source}\na shell in {name}, with what it has changed, its mounts, variables, user and network; \
                 the build ends with it"
            ));
        }
        match self.talk(step) {
            Ok(()) | Err(Error::Cancelled) => {}
            Err(error) => say(&format!("WARN: no shell in the failed step: {error}")),
        }
    }

    fn talk(&self, step: &FailedStep<'_>) -> Result<()> {
        let raw = self.screen.as_ref().map(|_| Raw::enter(self.input.clone())).transpose()?;
        let kind = || std::env::var("TERM").unwrap_or_else(|_| "dumb".to_owned());
        let talk = Talk { input: self.input.clone(), terminal: self.screen.as_ref().map(|_| kind()) };
        let done = step.shell(talk, &|stream, data| self.show(stream, data));
        drop(raw);
        let exit = done?;
        if [126, 127].contains(&exit.code) {
            say("the shell ended with an error; if the image has none, there is nothing to look around with");
        }
        Ok(())
    }

    /// Nothing can be done about streams that somebody closed.
    fn show(&self, stream: u8, data: &[u8]) {
        let _ = match (&self.screen, stream) {
            (Some(screen), 1) => { screen }.write_all(data),
            (None, 1) => std::io::stdout().write_all(data).and_then(|()| std::io::stdout().flush()),
            _ => std::io::stderr().write_all(data),
        };
    }
}

fn stdin() -> Result<OwnedFd> {
    std::io::stdin().as_fd().try_clone_to_owned().map_err(Error::io("read", "standard input"))
}

fn terminal() -> Result<OwnedFd> {
    let opened = std::fs::OpenOptions::new().read(true).write(true).open(TERMINAL);
    opened.map(OwnedFd::from).map_err(|_| {
        Error::Invalid(
            "--on-error=shell: the shell would read standard input, which the build itself came from, and there is no \
             terminal; name a file to build"
                .into(),
        )
    })
}

/// A terminal that hands through what is typed, key by key; as it was before when dropped.
struct Raw {
    terminal: Arc<OwnedFd>,
    before: Termios,
}

impl Raw {
    fn enter(terminal: Arc<OwnedFd>) -> Result<Self> {
        let failed = |errno: rustix::io::Errno| Error::io("set up", TERMINAL)(errno.into());
        let before = tcgetattr(&*terminal).map_err(failed)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&*terminal, OptionalActions::Now, &raw).map_err(failed)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // What was typed and not read is nobody's any more.
        let _ = tcsetattr(&*self.terminal, OptionalActions::Flush, &self.before);
    }
}
