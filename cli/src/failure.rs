//! Why a command failed, and the exit code that says so.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

/// Result of a command.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// A failed command.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The build file has errors; they are printed already.
    Diagnosed,
    /// The outside world said no.
    Message(Message),
    /// The build failed.
    Build(executor::Error),
}

/// What happened, on what, and what to do. In JSON a diagnostic without a place.
#[derive(Debug)]
pub(crate) struct Message {
    /// Class of the failure: `usage`, `io`, `unsupported`, `facts`.
    pub(crate) code: &'static str,
    /// What is.
    pub(crate) text: String,
    /// What to do.
    pub(crate) help: Option<String>,
}

/// Class of wrong usage; the only one with an exit code of its own.
const USAGE: &str = "usage";

impl Failure {
    /// A flag or an argument that makes no sense.
    pub(crate) fn usage(text: impl Into<String>, help: impl Into<Option<String>>) -> Self {
        Self::Message(Message { code: USAGE, text: text.into(), help: help.into() })
    }

    /// A failure of the outside world, and what to do.
    pub(crate) fn message(code: &'static str, text: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Message(Message { code, text: text.into(), help: Some(help.into()) })
    }

    /// Something that is not there yet, why, and the way on.
    pub(crate) fn unsupported(what: &str, why: impl Into<String>) -> Self {
        Self::Message(Message {
            code: "unsupported",
            text: format!("{what} is not supported yet"),
            help: Some(why.into()),
        })
    }

    /// A failed system call on a path; use with `map_err`.
    pub(crate) fn io(attempt: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().display().to_string();
        move |error| {
            Self::Message(Message { code: "io", text: format!("cannot {attempt} {path}: {error}"), help: None })
        }
    }

    /// Whether a build was stopped.
    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self, Self::Build(executor::Error::Cancelled))
    }

    /// The exit code: 2 for wrong usage, 130 when interrupted, else 1.
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Self::Message(Message { code: USAGE, .. }) => ExitCode::from(2),
            Self::Build(executor::Error::Cancelled) => ExitCode::from(executor::cli::INTERRUPTED),
            _ => ExitCode::FAILURE,
        }
    }
}

impl From<executor::Error> for Failure {
    fn from(error: executor::Error) -> Self {
        Self::Build(error)
    }
}

impl From<buildkit_frontend::Failure> for Failure {
    fn from(failure: buildkit_frontend::Failure) -> Self {
        let code = if matches!(failure, buildkit_frontend::Failure::NoBuilder(_)) { USAGE } else { "frontend" };
        Self::Message(Message { code, text: failure.to_string(), help: None })
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
