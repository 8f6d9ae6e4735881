//! Handing a build over to the frontend that its text, or an option, names.

use gateway::Status;
use gateway::message::{Result as Solved, SolveRequest};

use crate::session::{Session, plain_solve};
use crate::text::Text;
use crate::{places, status};

/// The option that names a frontend, whatever the text says.
const SYNTAX: &str = "build-arg:BUILDKIT_SYNTAX";
/// Set when a build was handed over already: then this is the frontend that was named.
const COMMAND: &str = "cmdline";

/// The result of the frontend that is named, if another one is.
///
/// A text that names a frontend of a language that is compiled here is compiled here: whoever chose this frontend for it
/// meant so. That is the one difference from BuildKit's own, which always hands over.
pub(crate) fn forward(session: &Session<'_>, text: &Text) -> Option<Result<Solved, Status>> {
    if session.opt(COMMAND).is_some() {
        return None;
    }
    if let Some(command) = session.opt(SYNTAX) {
        let reference = command.trim().split(' ').next().unwrap_or_default();
        let failed = |status: Status| {
            if status::has_source(&status) {
                status
            } else {
                status.context(&format!("failed with {SYNTAX} = {command}"))
            }
        };
        return Some(hand_over(session, reference, command).map_err(failed));
    }
    let syntax = frontends::syntax(&text.source.bytes)?;
    let reference = &syntax.reference.text;
    if frontends::of_frontend(reference).is_some() || Some(reference.as_str()) == session.opt("source") {
        return None;
    }
    let failed = |status: Status| {
        if status::has_source(&status) {
            return status;
        }
        status.detail(status::source(&text.info("Dockerfile"), &[places::line(syntax.line)]))
    };
    Some(hand_over(session, reference, &syntax.command).map_err(failed))
}

fn hand_over(session: &Session<'_>, reference: &str, command: &str) -> Result<Solved, Status> {
    let mut opts = session.options.opts.clone();
    opts.insert(COMMAND.to_owned(), command.to_owned());
    opts.insert("source".to_owned(), reference.to_owned());
    let request = SolveRequest {
        frontend: "gateway.v0".to_owned(),
        frontend_opt: opts,
        frontend_inputs: session.inputs.clone(),
        ..plain_solve()
    };
    Ok(session.call(&request)?.result.unwrap_or_default())
}
