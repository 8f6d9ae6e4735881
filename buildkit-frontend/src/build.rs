//! From the text to the result: compile, warn, solve a definition for each platform.

use compiler::{Outcome, Output, Plan};
use gateway::caps;
use gateway::message::{IdMap, Ref, Result as Solved, SolveRequest, SourceInfo, result};
use gateway::{Code, Status};
use oci::Platform;
use serde::Serialize;

use crate::session::{Session, encode, multi_platform, plain_solve, solve};
use crate::text::Text;
use crate::warnings::{self, warn};
use crate::world::Outside;
use crate::{asked, forward, places, requests, scan, status};

const CONFIG: &str = "containerimage.config";
const BASE_CONFIG: &str = "containerimage.base.config";
const PLATFORMS: &str = "refs.platforms";
const EPOCH: &str = "source.date.epoch";

/// Serves a build.
pub(crate) fn build(session: &Session<'_>) -> Result<Solved, Status> {
    let unsupported = compiler::plan::unsupported_cap(session.opt("frontend.caps").unwrap_or_default());
    if let Some(cap) = unsupported.filter(|cap| !cap.may_forward) {
        return Err(status::unsupported_cap(cap.name));
    }
    let text = Text::read(session)?;
    if let Some(result) = forward::forward(session, &text) {
        return result;
    }
    if let Some(cap) = unsupported {
        return Err(status::unsupported_cap(cap.name));
    }
    if let Some(request) = session.opt("requestid") {
        return requests::answer(session, &text, request);
    }
    let passes = asked::optimizer(&session.options.opts)?;
    let outside = Outside::new(session, Some(&text));
    let mut outcome = compiler::compile(&text.source, &session.options, text.facts.clone(), &outside);
    let scans = outcome.plan.as_ref().map(|plan| scan::definitions(session, &outside, plan, passes)).transpose();
    if let Some(plan) = &mut outcome.plan {
        plan.optimize(passes);
    }
    finish(session, &text, outcome, scans?.unwrap_or_default())
}

/// `scans` are the definitions of bills of materials, one for each output where they are wanted.
fn finish(session: &Session<'_>, text: &Text, outcome: Outcome, scans: Vec<Vec<u8>>) -> Result<Solved, Status> {
    let info = text.info(outcome.module.dialect.id);
    let lines = &text.source.lines;
    let warnings = warnings::of(session, text, &outcome.diagnostics, &info);
    let Some(plan) = outcome.plan else {
        warn(session, warnings);
        return Err(status::of_diagnostics(&outcome.diagnostics, lines, &info));
    };
    if outcome.module.dialect.functions && (!plan.exports.is_empty() || plan.outputs.len() != plan.variants) {
        let message = "a frontend gives one result: choose a target that sends nothing away (push, load, download)";
        return Err(Status::new(Code::Unimplemented, message));
    }
    let requests = definitions(session, &plan, &info)?.into_iter().map(|bytes| session.solve_request(bytes));
    let requests: Vec<SolveRequest> = requests.collect();
    warn(session, warnings);
    let mut result = result(session, &plan, solve_all(session, requests)?);
    let scans = scans.into_iter().map(|definition| SolveRequest { definition, ..plain_solve() }).collect();
    let platforms = plan.outputs.iter().map(|output| output.platform.to_string());
    let scanned = platforms.zip(solve_all(session, scans)?);
    result.attestations = scanned.map(|(platform, found)| (platform, scan::attestations(found))).collect();
    Ok(result)
}

/// The names of results, in the order of their requests.
fn solve_all(session: &Session<'_>, requests: Vec<SolveRequest>) -> Result<Vec<String>, Status> {
    let solves = requests.into_iter().map(|request| {
        let calls = session.bridge.calls().clone();
        async move { solve(&calls, &request).await }
    });
    session.bridge.together(solves).into_iter().collect()
}

/// The definition for each platform, encoded.
///
/// **Errors**: what the builder cannot do, with the instruction that needs it.
fn definitions(session: &Session<'_>, plan: &Plan, info: &SourceInfo) -> Result<Vec<Vec<u8>>, Status> {
    let definition = |output: &Output| {
        let single = plan.clone().only(&output.platform).expect("the platform is one of the plan's");
        let (definition, _) = encode(&session.options, &single.graph).map_err(|error| status::unknown(&error))?;
        check_caps(session, &definition, info)?;
        Ok(definition.to_bytes())
    };
    plan.outputs.iter().map(definition).collect()
}

fn check_caps(session: &Session<'_>, definition: &llb::Definition, info: &SourceInfo) -> Result<(), Status> {
    for (digest, metadata) in &definition.metadata {
        let Some(cap) = metadata.caps.iter().find(|cap| !session.options.supports(cap)) else { continue };
        let message = format!("the builder does not support {cap}, which this build needs; update BuildKit or Docker");
        let locations = definition.source.as_ref().and_then(|source| source.locations.get(digest));
        let lines = locations.into_iter().flatten().flat_map(|location| &location.ranges);
        let ranges: Vec<_> = lines.map(|range| places::line(range.start.line as u32)).collect();
        return Err(Status::new(Code::Unimplemented, message).detail(status::source(info, &ranges)));
    }
    Ok(())
}

fn result(session: &Session<'_>, plan: &Plan, solved: Vec<String>) -> Solved {
    let several = multi_platform(&session.options, plan.outputs.len());
    let mut result = Solved::default();
    for output in &plan.outputs {
        let suffix = if several { format!("/{}", output.platform) } else { String::new() };
        let mut put = |key: &str, value: Vec<u8>| result.metadata.insert(format!("{key}{suffix}"), value);
        put(CONFIG, output.image.clone());
        output.base_image.as_ref().map(|base| put(BASE_CONFIG, base.to_json()));
        output.epoch.map(|epoch| put(EPOCH, epoch.to_string().into_bytes()));
    }
    result.metadata.insert(PLATFORMS.to_owned(), platforms(plan));
    let names = plan.outputs.iter().map(|output| output.platform.to_string());
    result.result = Some(references(session, several, names.zip(solved)));
    result
}

/// References as messages, or as plain names for a builder that knows no others.
fn references(session: &Session<'_>, several: bool, solved: impl Iterator<Item = (String, String)>) -> result::Result {
    let message = |id: String| Ref { id, def: Vec::new() };
    let mut solved = solved;
    match (several, session.caps.has(caps::REF_ARRAY)) {
        (true, true) => result::Result::Refs(solved.map(|(name, id)| (name, message(id))).collect()),
        (true, false) => result::Result::Ids(IdMap { refs: solved.collect() }),
        (false, array) => {
            let (_, id) = solved.next().expect("a plan has an output");
            if array { result::Result::Ref(message(id)) } else { result::Result::Id(id) }
        }
    }
}

/// What the results are for, as exporters read it.
fn platforms(plan: &Plan) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Platforms<'p> {
        platforms: Vec<Named<'p>>,
    }
    #[derive(Serialize)]
    struct Named<'p> {
        #[serde(rename = "ID")]
        id: String,
        #[serde(rename = "Platform")]
        platform: &'p Platform,
    }
    let platforms = plan.outputs.iter().map(|Output { platform, .. }| Named { id: platform.to_string(), platform });
    oci::json::to_vec(&Platforms { platforms: platforms.collect() })
}
