//! llbc as a frontend of BuildKit: the compiler, with a builder as its outside.
//!
//! A builder (BuildKit, Docker, the executor) starts the process, says by environment variables what is wanted, and
//! answers its calls over the process' standard streams. What the compiler asks becomes calls, all open questions at
//! once; the plan becomes one solve a platform; what was found becomes warnings, or the error that is handed back.
//!
//! Mirrors `frontend/dockerfile/builder` and `frontend/dockerui` of BuildKit v0.32. It reads no file and no network of
//! its own: all it knows comes through the gateway.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod asked;
mod build;
mod environment;
mod forward;
mod lint;
mod places;
mod requests;
mod scan;
mod session;
mod status;
mod text;
mod warnings;
mod world;

use std::fmt;
use std::process::ExitCode;

use gateway::message::ReturnRequest;
use gateway::{Bridge, Status};

use environment::Environment;
use session::Session;

/// Why the frontend ended badly.
#[derive(Debug)]
pub enum Failure {
    /// It was not started by a builder.
    NoBuilder(std::io::Error),
    /// The builder could not be reached, or broke off.
    Builder(Status),
    /// The build failed; the builder knows why.
    Reported(Status),
}

impl Failure {
    /// Exit code of the process.
    pub fn code(&self) -> ExitCode {
        match self {
            Self::NoBuilder(_) => ExitCode::from(2),
            Self::Builder(_) | Self::Reported(_) => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBuilder(error) => write!(
                f,
                "{error}; a builder starts this program from an image that `# syntax=` names; to build by hand: `llbc build`"
            ),
            Self::Builder(status) | Self::Reported(status) => status.fmt(f),
        }
    }
}

impl std::error::Error for Failure {}

/// Serves one build, from the environment and over the standard streams of this process.
pub fn run() -> Result<(), Failure> {
    let environment = Environment::read(std::env::vars_os());
    let streams = gateway::stdio::take().map_err(Failure::NoBuilder)?;
    let bridge = Bridge::open(|| gateway::stdio::halves(streams)).map_err(Failure::Builder)?;
    let result = Session::start(&bridge, environment).and_then(|session| build::build(&session));
    let (request, failed) = match result {
        Ok(result) => (ReturnRequest { result: Some(result), error: None }, None),
        Err(status) => (ReturnRequest { result: None, error: Some(status.clone().into_message()) }, Some(status)),
    };
    bridge.call(&request).map_err(Failure::Builder)?;
    failed.map_or(Ok(()), |status| Err(Failure::Reported(status)))
}
