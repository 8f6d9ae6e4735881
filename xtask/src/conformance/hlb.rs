//! The HLB corpus: every program compiled in process, and held against what HLB's own compiler makes of it.
//!
//! `tests/conformance/hlb/README.md` says what a case is. Operations are compared by content: HLB pins an older BuildKit.
//! A case that is marked `quirk` may differ if `docs/hlb.md` says so; the list is [`QUIRKS`].

mod expected;
mod world;

use std::path::{Path, PathBuf};

use ast::{Diagnostic, LineIndex, Severity, Source, Span, builtin};
use compiler::{ExportKind, Facts, Needs, Options, Order, Outcome, Plan, Question};
use oci::Platform;
use serde_json::{Value, json};

use expected::{normal, ops_of};
use world::CaseWorld;

/// Cases in which we do something else than HLB on purpose. Each is explained in `docs/hlb.md`.
pub const QUIRKS: &[&str] = &[
    "hlb/eval-error/bool-argument",
    "hlb/export/docker-engine",
    "hlb/func/variadic-user-function",
    "hlb/modules/interpolating-an-import",
    "hlb/mount/cache-cannot-be-bound",
    "hlb/pipeline/builtin-call-as-target",
    "hlb/string/bool-is-not-a-value",
];

/// The folders of all cases whose name holds `filter`, sorted.
///
/// **Errors**: the corpus cannot be read.
pub fn cases(corpus: &Path, filter: &str) -> Result<Vec<PathBuf>, String> {
    let root = corpus.join("hlb");
    let mut found = Vec::new();
    for group in super::folders(&root)? {
        found.extend(super::folders(&group)?.into_iter().filter(|case| name_of(case).contains(filter)));
    }
    found.sort();
    Ok(found)
}

/// `group/case`.
pub fn name_of(folder: &Path) -> String {
    let part = |path: Option<&Path>| {
        path.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    };
    format!("hlb/{}/{}", part(folder.parent()), part(Some(folder)))
}

/// Runs one case; what differs is the error.
pub fn run_case(folder: &Path) -> Result<(), String> {
    let read = |name: &str| -> Result<Value, String> {
        let text = std::fs::read(folder.join(name)).map_err(|error| format!("{name}: {error}"))?;
        serde_json::from_slice(&text).map_err(|error| format!("{name}: {error}"))
    };
    let (case, expected) = (read("case.json")?, read("expect.json")?);
    let text = std::fs::read(folder.join("main.hlb")).map_err(|error| format!("main.hlb: {error}"))?;
    let source = Source::new("main.hlb", text);
    let world = CaseWorld { folder, case: &case };
    let outcome = compiler::compile(&source, &options(&case), Facts::default(), &world);
    let mut differences = Vec::new();
    let mut compare = |what: &str, expected: Value, found: Value| {
        if expected != found {
            differences.push(format!("{what}\n  expected {expected}\n  found    {found}"));
        }
    };
    // Where HLB says no place, ours is not held against it.
    let placed = expected["error"]["diagnostics"].is_array();
    let sources: Vec<&Source> = std::iter::once(&source).chain(&outcome.modules).collect();
    compare("error", expected_error(&expected["error"]), found_error(&sources, &outcome, placed));
    let lints = outcome.diagnostics.iter().filter(|found| found.severity == Severity::Warning && in_main(found));
    compare("lint", expected::lints(&expected["lint"]), lints.map(|found| json!(found.message)).collect());
    if let Some(formatted) = expected["formatted"].as_str() {
        let edits = compiler::format(&source).unwrap_or_default();
        let found = String::from_utf8_lossy(&ast::apply(&source.bytes, &edits)).into_owned();
        compare("formatted", json!(formatted), json!(found));
    }
    if let (Some(plan), Some(request)) = (&outcome.plan, expected.get("request")) {
        let found = request_of(plan, &plan.order)?;
        compare("request", expected::request(request), found);
        let none = Vec::new();
        let exports = expected["exports"].as_array().unwrap_or(&none);
        let mut wanted: Vec<String> = exports.iter().map(|export| expected::export(export).to_string()).collect();
        let mut found = exports_of(plan)?;
        wanted.sort();
        found.sort();
        compare("exports", json!(wanted), json!(found));
        let frontends = expected["frontend_requests"].as_array().unwrap_or(&none);
        compare("frontends", frontends.iter().map(expected::frontend).collect(), frontends_of(&outcome)?);
    }
    if differences.is_empty() { Ok(()) } else { Err(differences.join("\n")) }
}

fn options(case: &Value) -> Options {
    let text = |key: &str, default: &str| case[key].as_str().unwrap_or(default).to_owned();
    let targets = case["targets"]
        .as_array()
        .map(|targets| targets.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","));
    let platform = text("platform", "linux/amd64");
    let (os, architecture) = platform.split_once('/').unwrap_or((&platform, ""));
    let mut options = Options { build_platforms: vec![Platform::new(os, architecture)], ..Options::default() };
    options.opts.insert("target".to_owned(), targets.unwrap_or_else(|| text("target", "default")));
    options
}

fn in_main(found: &Diagnostic) -> bool {
    found.at.is_none_or(|at| at.file.0 == 0)
}

/// Message and places of the errors that HLB reports.
fn expected_error(error: &Value) -> Value {
    if error.is_null() {
        return Value::Null;
    }
    let is_syntax =
        error["stage"] == "parse" || error["diagnostics"].is_null() && error["message"].to_string().contains(".hlb:");
    let Some(diagnostics) = error["diagnostics"].as_array() else {
        return if is_syntax { json!("syntax") } else { json!([error["message"]]) };
    };
    if is_syntax {
        let at = &diagnostics[0];
        return json!(format!(
            "{}:{}:{}",
            at["file"].as_str().unwrap_or_default(),
            at["start"]["line"],
            at["start"]["col"]
        ));
    }
    diagnostics.iter().map(expected::diagnostic).collect()
}

fn found_error(sources: &[&Source], outcome: &Outcome, placed: bool) -> Value {
    let errors: Vec<&Diagnostic> =
        outcome.diagnostics.iter().filter(|found| found.severity == Severity::Error).collect();
    let Some(first) = errors.first() else { return Value::Null };
    match first.at {
        Some(at) if first.code == ast::code::SYNTAX && at.file.0 == 0 => json!(start_of(sources, at)),
        Some(_) if first.code == ast::code::SYNTAX => json!("syntax"),
        _ if !placed => errors.iter().map(|error| json!(error.message)).collect(),
        _ => errors.iter().map(|error| shown(sources, error)).collect(),
    }
}

/// A message; with its places where HLB has some.
fn shown(sources: &[&Source], error: &Diagnostic) -> Value {
    let labels = error.also.iter().filter(|label| label.message != "in this call" && label.message != "no such escape");
    let mut places: Vec<String> = labels.map(|label| place(sources, label.span)).collect();
    places.extend(error.at.map(|at| place(sources, at)));
    places.sort();
    places.dedup();
    json!([error.message, places])
}

fn start_of(sources: &[&Source], span: Span) -> String {
    let source = sources[span.file.0 as usize];
    let lines = LineIndex::new(&source.bytes);
    if span.start as usize == source.bytes.len() {
        // HLB reads one line break more than there is.
        return format!("{}:{}:1", source.name, lines.line(span.start) + 1);
    }
    format!("{}:{}", source.name, position(source, span.start))
}

fn position(source: &Source, offset: u32) -> String {
    let line = source.lines.line(offset);
    let start = source.lines.start_of(line).unwrap_or_default() as usize;
    let column = String::from_utf8_lossy(&source.bytes[start..offset as usize]).chars().count() + 1;
    format!("{line}:{column}")
}

fn place(sources: &[&Source], span: Span) -> String {
    if span.file == builtin::FILE {
        return "<builtin>".to_owned();
    }
    let source = sources[span.file.0 as usize];
    format!("{}:{}-{}", source.name, position(source, span.start), position(source, span.end))
}

fn request_of(plan: &Plan, order: &Order) -> Result<Value, String> {
    let children = |kind: &str, all: &[Order]| {
        let children = all.iter().map(|order| request_of(plan, order)).collect::<Result<Vec<_>, _>>()?;
        Ok(json!({ "kind": kind, "children": children }))
    };
    match order {
        Order::Nothing => Ok(json!({ "kind": "nil" })),
        Order::Output(number) => {
            let needs = &plan.outputs[*number].needs;
            Ok(
                json!({ "kind": "single", "ops": solved(plan, *number)?, "session": session(needs), "entitlements": entitlements(needs) }),
            )
        }
        Order::Parallel(all) => children("parallel", all),
        Order::Sequence(all) => children("sequential", all),
    }
}

fn solved(plan: &Plan, number: usize) -> Result<Value, String> {
    let definition = llb::encode(&plan.output(number).graph).map_err(|error| error.to_string())?;
    ops_of(&definition)
}

fn entitlements(needs: &Needs) -> Value {
    json!(needs.entitlements.iter().collect::<Vec<_>>())
}

fn session(needs: &Needs) -> Value {
    let agents = needs.agents.iter().map(|(id, agent)| (id.clone(), json!({"ssh": agent.ssh, "paths": agent.paths})));
    let mut session = serde_json::Map::new();
    let agents: serde_json::Map<String, Value> = agents.collect();
    session.insert("local_dirs".to_owned(), json!(needs.directories.keys().collect::<Vec<_>>()));
    session.insert("secrets".to_owned(), json!(needs.secrets));
    session.insert("agents".to_owned(), Value::Object(agents));
    normal(&Value::Object(session))
}

fn exports_of(plan: &Plan) -> Result<Vec<String>, String> {
    plan.exports
        .iter()
        .map(|export| {
            let output = &plan.outputs[export.output];
            let image: Value = serde_json::from_slice(&output.image).map_err(|error| error.to_string())?;
            let (options, image) = match &export.kind {
                ExportKind::Push { reference, stargz } => {
                    (json!({"push_image": reference, "stargz": stargz}), Some(image))
                }
                ExportKind::Load { reference } => (json!({"docker_ref": reference}), Some(image)),
                ExportKind::Directory { path } => (json!({"download": path}), None),
                ExportKind::Tar { .. } => (json!({"download_tarball": true}), None),
                ExportKind::Oci { .. } => (json!({"download_oci_tarball": true}), None),
                ExportKind::Docker { reference, .. } => (json!({"docker_ref": reference}), Some(image)),
            };
            let found = json!({
                "options": normal(&options),
                "image": image.map(|image| expected::image(&image)),
                "ops": solved(plan, export.output)?,
                "entitlements": entitlements(&output.needs),
            });
            Ok(found.to_string())
        })
        .collect()
}

fn frontends_of(outcome: &Outcome) -> Result<Value, String> {
    let asked = outcome.facts.answers.keys().filter_map(|question| match question {
        Question::Frontend { opts, inputs, .. } => Some((opts, inputs)),
        _ => None,
    });
    asked
        .map(|(opts, inputs)| {
            let inputs = inputs.iter().map(|(name, bytes)| {
                let decoded = llb::decode(bytes).map_err(|error| error.to_string())?;
                let definition = llb::encode(&decoded.graph).map_err(|error| error.to_string())?;
                Ok((name.clone(), expected::without_places(&ops_of(&definition)?)))
            });
            let inputs = inputs.collect::<Result<serde_json::Map<_, _>, String>>()?;
            Ok(json!({ "opts": opts, "inputs": inputs }))
        })
        .collect()
}
