//! Requests that want to know something of the text instead of a build of it.

use compiler::{Outcome, outline, targets};
use gateway::Status;
use gateway::message::Result as Solved;
use serde::Serialize;

use crate::session::{Session, encode};
use crate::text::Text;
use crate::world::Outside;
use crate::{lint, status, warnings};

/// A request, as `frontend.subrequests.describe` tells of it.
#[derive(Serialize)]
struct Request {
    name: &'static str,
    version: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    description: &'static str,
    opts: Option<&'static [Named]>,
    inputs: Option<&'static [Named]>,
    metadata: &'static [Named],
    refs: Option<&'static [Named]>,
}

/// An option or a part of the result.
#[derive(Serialize)]
struct Named {
    name: &'static str,
    description: &'static str,
}

const OUTLINE: &str = "frontend.outline";
const TARGETS: &str = "frontend.targets";
const LINT: &str = "frontend.lint";
const CONVERT: &str = "frontend.convertllb";
const CONVERT_VERSION: &[u8] = b"0.1.0";
const DESCRIBE: &str = "frontend.subrequests.describe";

const RESULTS: &[Named] =
    &[Named { name: "result.json", description: "" }, Named { name: "result.txt", description: "" }];

/// parity: those that BuildKit's own frontend describes, in its words; it answers lints without saying so.
const DESCRIBED: &[Request] = &[
    Request {
        name: OUTLINE,
        version: "1.0.0",
        kind: "rpc",
        description: "List all parameters current build target supports",
        opts: Some(&[Named { name: "target", description: "Target build stage" }]),
        inputs: None,
        metadata: RESULTS,
        refs: None,
    },
    Request {
        name: TARGETS,
        version: "1.0.0",
        kind: "rpc",
        description: "List all targets current build supports",
        opts: Some(&[]),
        inputs: None,
        metadata: RESULTS,
        refs: None,
    },
    Request {
        name: DESCRIBE,
        version: "1.0.0",
        kind: "rpc",
        description: "List available subrequest types",
        opts: None,
        inputs: None,
        metadata: RESULTS,
        refs: None,
    },
];

/// Answers a request.
pub(crate) fn answer(session: &Session<'_>, text: &Text, request: &str) -> Result<Solved, Status> {
    match request {
        DESCRIBE => Ok(result(oci::json::to_vec_indented(DESCRIBED), &describe())),
        TARGETS => list_targets(text),
        OUTLINE => survey(session, text),
        LINT => Ok(lint::lint(session, text)),
        CONVERT => convert(session, text),
        other => Err(status::unsupported_request(other)),
    }
}

fn describe() -> String {
    let rows = DESCRIBED.iter().map(|request| {
        let name = request.name.strip_prefix("frontend.").unwrap_or(request.name);
        [name, request.version, request.description]
    });
    let rows: Vec<[&str; 3]> = std::iter::once(["NAME", "VERSION", "DESCRIPTION"]).chain(rows).collect();
    compiler::columns(&rows, 1)
}

fn list_targets(text: &Text) -> Result<Solved, Status> {
    let module = compiler::parse(&text.source);
    let targets = targets::targets(&module, &text.source.lines)
        .map_err(|errors| status::of_diagnostics(&errors, &text.source.lines, &text.info(module.dialect.id)))?;
    Ok(result(targets.json(&text.source.bytes), &targets.text()))
}

fn survey(session: &Session<'_>, text: &Text) -> Result<Solved, Status> {
    let outside = Outside::new(session, Some(text));
    let outcome = compiler::survey(&text.source, &session.options, text.facts.clone(), &outside);
    let Outcome { module, diagnostics, captures, .. } = &outcome;
    let lines = &text.source.lines;
    warn(session, text, &outcome);
    if outcome.failed() {
        return Err(status::of_diagnostics(diagnostics, lines, &text.info(module.dialect.id)));
    }
    let outline = outline::outline(module, lines, captures);
    Ok(result(outline.json(&text.source.bytes), &outline.text()))
}

/// The graph of the text as BuildKit's JSON. parity: for the platform of the builder, whatever is asked for.
fn convert(session: &Session<'_>, text: &Text) -> Result<Solved, Status> {
    let mut options = session.options.clone();
    options.opts.remove("platform");
    let outcome = compiler::compile(&text.source, &options, text.facts.clone(), &Outside::new(session, Some(text)));
    warn(session, text, &outcome);
    let Some(plan) = &outcome.plan else {
        let info = text.info(outcome.module.dialect.id);
        return Err(status::of_diagnostics(&outcome.diagnostics, &text.source.lines, &info));
    };
    let (definition, _) = encode(&session.options, &plan.graph).map_err(|error| status::unknown(&error))?;
    let json = llb::dump::converted(&definition).map_err(|error| status::unknown(&error))?;
    let metadata = [("result.json", json), ("version", CONVERT_VERSION.to_vec())];
    let metadata = metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Ok(Solved { metadata, ..Solved::default() })
}

fn warn(session: &Session<'_>, text: &Text, outcome: &Outcome) {
    let info = text.info(outcome.module.dialect.id);
    warnings::warn(session, warnings::of(session, text, &outcome.diagnostics, &info));
}

/// What a request gives: the same for programs and for people.
pub(crate) fn result(json: Vec<u8>, text: &str) -> Solved {
    let metadata = [("result.json", json), ("result.txt", text.as_bytes().to_vec()), ("version", b"1.0.0".to_vec())];
    let metadata = metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Solved { metadata, ..Solved::default() }
}
