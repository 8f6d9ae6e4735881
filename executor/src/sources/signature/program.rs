//! How the programs that verify are run: for one signature, and apart from the user's configuration.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::sources::Context;
use crate::sources::process::{self, Patience};
use crate::{Error, Result};

/// How long one may take: `gpgv` 2.2 hashes some hundred megabytes a second.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// A program that verifies.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) name: &'static str,
    /// What it verifies.
    pub(super) what: &'static str,
    /// What to install.
    pub(super) package: &'static str,
    /// Where it is looked for.
    pub(super) path: Option<OsString>,
}

impl Program {
    /// Runs it with bytes as its input.
    pub(super) fn run(&self, arguments: &[&OsStr], input: File, context: Context<'_>) -> Result<Output> {
        let mut command = Command::new(self.name);
        command.env_clear().env("LC_ALL", "C").env("HOME", "/dev/null");
        command.envs(self.path.as_ref().map(|path| ("PATH", path)));
        command.args(arguments).stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = process::output(command, Patience::InAll(PATIENCE), context, |error| Error::Unsupported {
            what: format!("verifying {}", self.what),
            why: format!(
                "the program {} cannot be run ({error}); install it ({}), or ask for a checksum instead",
                self.name, self.package
            ),
        })?;
        if output.status.code().is_none() {
            return Err(Error::Invalid(format!("{} was killed: {}", self.name, output.status)));
        }
        Ok(output)
    }
}

/// What a program says to people, in one line.
pub(super) fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("; ")
}
