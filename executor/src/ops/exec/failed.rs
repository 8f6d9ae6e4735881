//! Steps that failed, kept with all they had, so that somebody can look around in them.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use oci::Digest;

use super::mask::Mask;
use super::mounts::Mounted;
use crate::runtime::{Exit, Output, Runtime, Spec};
use crate::{Cancel, Error, Result};

/// The shell of steps that were not run by one.
const SHELL: &str = "/bin/sh";

/// What failed in one build.
#[derive(Default)]
pub struct Failures(Mutex<Vec<Failed>>);

impl Failures {
    pub(super) fn keep(&self, failed: Failed) {
        self.0.lock().expect("no panic while the list is held").push(failed);
    }

    /// The step that an error is of; the others are thrown away.
    pub fn take(&self, error: &Error) -> Option<Failed> {
        let all = std::mem::take(&mut *self.0.lock().expect("no panic while the list is held"));
        let Error::Step { digest, .. } = error else { return None };
        all.into_iter().find(|failed| failed.digest == *digest)
    }
}

/// One step. Dropped, its trees are removed and its cache mounts are free.
pub struct Failed {
    digest: Digest,
    spec: Spec,
    /// Names of variables that hold secrets.
    secrets: Vec<String>,
    mounted: Mounted,
}

/// How somebody talks to a shell.
pub struct Talk {
    /// What it reads.
    pub input: Arc<OwnedFd>,
    /// The kind of terminal that this is; `None` when it is none: then secrets are masked in what it writes.
    pub terminal: Option<String>,
}

impl Failed {
    pub(super) fn new(digest: Digest, spec: Spec, secrets: Vec<String>, mounted: Mounted) -> Self {
        Self { digest, spec, secrets, mounted }
    }

    /// Runs a shell in place of the process.
    pub fn shell(&self, runtime: &dyn Runtime, talk: Talk, output: Output<'_>, cancel: &Cancel) -> Result<Exit> {
        self.mounted.mount_again()?;
        let mut spec = self.spec.clone();
        spec.args = vec![shell_of(&self.spec.args).to_owned()];
        spec.terminal = talk.terminal.is_some();
        spec.stdin = Some(talk.input);
        match talk.terminal {
            Some(kind) => {
                if !spec.env.iter().any(|entry| entry.starts_with("TERM=")) {
                    spec.env.push(format!("TERM={kind}"));
                }
                runtime.run(&spec, output, cancel)
            }
            None => {
                let mask = Mask::new(&spec, &self.secrets);
                let exit = runtime.run(&spec, &|stream, data| mask.write(stream, data, output), cancel);
                mask.finish(output);
                exit
            }
        }
    }
}

/// The shell that a command line was run by.
fn shell_of(args: &[String]) -> &str {
    match args {
        [shell, .., flags, _] if flags.starts_with('-') && flags.ends_with('c') => shell,
        _ => SHELL,
    }
}

#[cfg(test)]
mod tests {
    use super::shell_of;

    #[test]
    fn the_shell_is_the_one_that_ran_the_step() {
        let check = |args: &[&str], want: &str| {
            let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
            assert_eq!(shell_of(&args), want, "{args:?}");
        };
        check(&["/bin/bash", "-eo", "pipefail", "-c", "x"], "/bin/bash");
        check(&["/bin/bash", "-ec", "x"], "/bin/bash");
        check(&["/bin/sh", "-c", "x"], "/bin/sh");
        check(&["/app", "-c"], "/bin/sh");
        check(&["-c", "x"], "/bin/sh");
        check(&["/app"], "/bin/sh");
    }
}
