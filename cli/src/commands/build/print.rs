//! `llbc build --print`: the resolved plan, in the form of `docker buildx bake --print`. Nobody is asked.

use ast::{Diagnostic, GoalKind, Module, Severity, Source, Sources};
use compiler::Destination;
use compiler::plan::Resolved;
use serde_json::{Map, Value, json};

use super::goals;
use crate::failure::{Failure, Result};
use crate::printer;
use crate::settings::Settings;

/// Prints what would be built of what names mean.
pub(super) fn run(
    settings: &Settings,
    module: &Module,
    source: &Source,
    included: &[Source],
    names: &[String],
) -> Result<()> {
    let errors: Vec<Diagnostic> =
        module.diagnostics.iter().filter(|found| found.severity == Severity::Error).cloned().collect();
    if !errors.is_empty() {
        return Err(refused(settings, source, included, &errors));
    }
    let asked = goals::asked(module, names)?;
    let mut targets = Map::new();
    for name in asked.names.iter().chain(&asked.required) {
        find(module, name)?;
        let mut options = settings.options.clone();
        if !name.is_empty() {
            options.opts.insert("target".to_owned(), name.clone());
        }
        let resolved = compiler::resolve(module, source, included, &options)
            .map_err(|errors| refused(settings, source, included, &errors))?;
        targets.insert(title(module, name), target(settings, &resolved));
    }
    let plan = json!({ "group": groups(module, names)?, "target": targets });
    let mut text = serde_json::to_vec_pretty(&plan).expect("JSON values are valid JSON");
    text.push(b'\n');
    printer::data(&text)
}

/// What was asked for as the group `default`, and each group that was asked for by its name.
fn groups(module: &Module, names: &[String]) -> Result<Map<String, Value>> {
    let mut groups = Map::new();
    let members = |names: &[String]| -> Result<Value> {
        let members = goals::asked(module, names)?.names;
        Ok(json!({ "targets": members.iter().map(|name| title(module, name)).collect::<Vec<_>>() }))
    };
    for name in names {
        if let Some(GoalKind::Group(_)) = module.goal(name).map(|goal| &goal.kind) {
            groups.insert(name.clone(), members(std::slice::from_ref(name))?);
        }
    }
    if !groups.contains_key("default") {
        let default = if names.is_empty() { members(&[])? } else { json!({ "targets": names }) };
        groups.insert("default".to_owned(), default);
    }
    Ok(groups)
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
    match &shipment.destination {
        Destination::Image { tags, annotations, attestations } => {
            put("tags", json!(tags));
            put(
                "annotations",
                annotations.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().into(),
            );
            put("attest", attestations.iter().map(|text| attestation(text)).collect::<Vec<_>>().into());
        }
        Destination::Files { to } => put("output", json!([{ "type": "local", "dest": to }])),
        Destination::Nowhere => put("output", json!([{ "type": "cacheonly" }])),
    }
    target.into()
}

/// `type=TYPE[,KEY=VALUE]` as an object.
fn attestation(text: &str) -> Value {
    let fields = text.split(',').filter_map(|field| field.split_once('='));
    fields.map(|(key, value)| (key.to_owned(), Value::from(value))).collect::<Map<_, _>>().into()
}
