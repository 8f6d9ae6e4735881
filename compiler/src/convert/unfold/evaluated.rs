//! What functions come to: each is compiled by itself, with marks for its parameters.

use std::collections::BTreeSet;

use ast::{Def, Severity, Source, Span};

use super::{Marks, StandIns};
use crate::{Facts, Options, Order, Outcome};

/// A number for each parameter, which stands nowhere in the program: it may be part of any name, and is a number where one is
/// wanted.
pub(super) fn marks(source: &Source, defs: &[&Def]) -> Marks {
    let text = String::from_utf8_lossy(&source.bytes);
    let stem = (731..1000).find(|stem| !text.contains(&stem.to_string())).unwrap_or(731);
    let names = defs.iter().flat_map(|def| &def.params).filter(|param| param.default.is_some());
    let names: BTreeSet<&str> = names.map(|param| param.name.text.as_str()).collect();
    names.iter().enumerate().map(|(at, name)| ((*name).to_owned(), format!("{stem}{at:06}"))).collect()
}

pub(super) fn options(target: &str, marks: &Marks) -> Options {
    let mut options = Options::default();
    options.opts.insert("target".to_owned(), target.to_owned());
    options.opts.extend(marks.iter().map(|(name, mark)| (format!("build-arg:{name}"), mark.clone())));
    options
}

/// What a function comes to, with marks for its parameters, and where it asks what the client is; `None` when it cannot be
/// built.
pub(super) fn outcome(source: &Source, def: &Def, marks: &Marks, world: &StandIns<'_>) -> Option<(Outcome, Vec<Span>)> {
    let own = |name: &str| def.params.iter().any(|param| param.name.text == name);
    let marks = marks.iter().filter(|(name, _)| own(name)).map(|(name, mark)| (name.clone(), mark.clone())).collect();
    let options = options(&def.name.as_ref()?.text, &marks);
    let outcome = crate::compile(source, &options, Facts::default(), &world.without_client());
    if outcome.plan.is_some() {
        return Some((outcome, Vec::new()));
    }
    let asks =
        outcome.diagnostics.iter().filter(|found| found.severity == Severity::Error).filter_map(|found| found.at);
    let asks = asks.collect();
    let outcome = crate::compile(source, &options, Facts::default(), world);
    outcome.plan.is_some().then_some((outcome, asks))
}

/// Whether a function does nothing but fetch: a directory, a file, a repository.
pub(super) fn is_fetched(outcome: &Outcome) -> bool {
    let fetched = || {
        let plan = outcome.plan.as_ref()?;
        let llb::Op::Source(source) = &plan.graph.nodes[result(plan)?.edge?.node.0 as usize].op else { return None };
        Some(!source.identifier.starts_with("docker-image://"))
    };
    fetched().unwrap_or(false)
}

/// The result that a function is.
pub(super) fn result(plan: &crate::Plan) -> Option<&crate::Output> {
    match &plan.order {
        Order::Output(at) => plan.variants(*at).first(),
        _ => plan.outputs.first(),
    }
}
