//! `llbc build --print`: the resolved plan, in the form of `docker buildx bake --print`. Nobody is asked.

use ast::{Diagnostic, Module, Severity, Source, Sources};
use compiler::Destination;
use compiler::plan::Resolved;
use serde_json::{Map, Value, json};

use super::goals::Asked;
use crate::failure::{Failure, Result};
use crate::printer;
use crate::settings::Settings;

/// Prints what would be built.
pub(super) fn run(
    settings: &Settings,
    module: &Module,
    source: &Source,
    included: &[Source],
    asked: &Asked,
) -> Result<()> {
    let errors: Vec<Diagnostic> =
        module.diagnostics.iter().filter(|found| found.severity == Severity::Error).cloned().collect();
    if !errors.is_empty() {
        return Err(refused(settings, source, included, &errors));
    }
    let mut targets = Map::new();
    let mut shown = Vec::new();
    for name in asked.names.iter().chain(&asked.required) {
        find(module, name)?;
        let mut options = settings.options.clone();
        if !name.is_empty() {
            options.opts.insert("target".to_owned(), name.clone());
        }
        let resolved = compiler::resolve(module, source, included, &options)
            .map_err(|errors| refused(settings, source, included, &errors))?;
        let title = title(module, name);
        shown.push(title.clone());
        targets.insert(title, target(settings, &resolved));
    }
    shown.truncate(asked.names.len());
    let plan = json!({ "group": { "default": { "targets": shown } }, "target": targets });
    let mut text = serde_json::to_vec_pretty(&plan).expect("JSON values are valid JSON");
    text.push(b'\n');
    printer::data(&text)
}

/// Shows what is wrong.
fn refused(settings: &Settings, source: &Source, included: &[Source], errors: &[Diagnostic]) -> Failure {
    let sources: Sources = std::iter::once(source).chain(included).cloned().collect();
    printer::diagnostics(settings.error_format, &sources, errors);
    Failure::Diagnosed
}

/// Refuses a name that nothing has.
fn find(module: &Module, name: &str) -> Result<()> {
    let defs = || module.defs.iter().filter_map(|def| def.name.as_ref());
    let is_stage = || defs().any(|def| def.text.eq_ignore_ascii_case(name));
    let is_place = || name.parse().is_ok_and(|place: usize| place < module.defs.len());
    if name.is_empty() || module.goal(name).is_some() || is_stage() || is_place() {
        return Ok(());
    }
    let known = module.goals.iter().map(|goal| goal.name.text.as_str()).chain(defs().map(|def| def.text.as_str()));
    let text = format!("target stage {} could not be found", ast::quote(name.as_bytes()));
    let text = ast::with_suggestion(text, ast::suggest(name, known));
    Err(Failure::message("target", text, "`llbc targets` shows what there is"))
}

/// The name of a result, for the default one, too.
fn title(module: &Module, name: &str) -> String {
    let default = || module.defs.last().and_then(|def| def.name.as_ref()).map(|name| name.text.clone());
    if name.is_empty() { default().unwrap_or_else(|| "default".to_owned()) } else { name.to_owned() }
}

fn target(settings: &Settings, resolved: &Resolved) -> Value {
    let mut target = Map::new();
    let mut put = |key: &str, value: Value| {
        let is_empty = value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty);
        if !is_empty && value != json!("") {
            target.insert(key.to_owned(), value);
        }
    };
    let context = settings.context().map(str::to_owned);
    let local = || settings.locals.get("context").map(|path| path.display().to_string());
    put("context", context.or_else(local).into());
    put("dockerfile", settings.input.name().into());
    put("args", json!(resolved.args));
    put("target", resolved.def.as_str().into());
    put("platforms", resolved.platforms.iter().map(ToString::to_string).collect::<Vec<_>>().into());
    let Some(shipment) = &resolved.shipment else { return target.into() };
    put("requires", json!(shipment.requires));
    match &shipment.destination {
        Destination::Image { tags, annotations, attestations } => {
            put("tags", json!(tags));
            put(
                "annotations",
                annotations.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().into(),
            );
            put("attest", json!(attestations));
        }
        Destination::Files { to } => put("output", json!([{ "type": "local", "dest": to }])),
        Destination::Nowhere => put("output", json!([{ "type": "cacheonly" }])),
    }
    target.into()
}
