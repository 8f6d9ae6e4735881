//! What we make of a case, in the form in which it is expected.

use ast::{Diagnostic, LineIndex, Severity, Source};
use compiler::{Facts, Outcome, Plan};
use llb::Definition;
use oci::Digest;
use serde_json::{Map, Value, json};

/// The error and the warnings of a compilation, as `expect.json` has them.
pub(super) fn messages(source: &Source, diagnostics: &[Diagnostic]) -> (Option<Value>, Value) {
    let error = diagnostics.iter().position(|found| found.severity == Severity::Error);
    let before = &diagnostics[..error.unwrap_or(diagnostics.len())];
    let warnings = before.iter().map(|warning| {
        json!({
            "rule": warning.code,
            "message": warning.message,
            "url": warning.url.unwrap_or_default(),
            "ranges": ranges(&locations(source, warning).concat()),
        })
    });
    (error.map(|at| error_value(source, &diagnostics[at])), warnings.collect())
}

fn error_value(source: &Source, error: &Diagnostic) -> Value {
    let locations = locations(source, error);
    let all: Vec<u32> = locations.concat();
    let mut value = json!({"message": error.message, "ranges": ranges(&all)});
    if locations.len() > 1 {
        value["locations"] = locations.iter().map(|lines| ranges(lines)).collect();
    }
    value
}

/// Lines of each place.
fn locations(source: &Source, diagnostic: &Diagnostic) -> Vec<Vec<u32>> {
    let places = match (&diagnostic.locations, diagnostic.at) {
        (Some(places), _) => places.clone(),
        (None, Some(at)) => vec![vec![source.lines.lines_of(at)]],
        (None, None) => Vec::new(),
    };
    let lines = |ranges: &Vec<(u32, u32)>| ranges.iter().flat_map(|(first, last)| *first..=*last).collect();
    places.iter().map(lines).collect()
}

fn ranges(lines: &[u32]) -> Value {
    lines.iter().map(|line| json!(line)).collect()
}

/// A definition with everything in it that is random made comparable.
pub(super) fn normalized(mut definition: Definition) -> Definition {
    let mut groups: Vec<String> = Vec::new();
    for vertex in &definition.vertices {
        let Some(group) = definition.metadata.get_mut(&vertex.digest).and_then(|meta| meta.progress_group.as_mut())
        else {
            continue;
        };
        let at = groups.iter().position(|known| *known == group.id).unwrap_or_else(|| {
            groups.push(group.id.clone());
            groups.len() - 1
        });
        group.id = format!("pg-{}", at + 1);
    }
    if let Some(source) = &mut definition.source {
        source.texts.iter_mut().for_each(|text| text.data = Default::default());
    }
    definition
}

/// Digest of the definition that the text is read from.
pub(super) fn text_digest(definition: &Definition) -> Option<String> {
    let text = definition.source.as_ref()?.texts.first()?;
    Some(Digest::sha256(&text.definition.as_ref()?.to_bytes()).to_string())
}

/// What is exported beside the definition.
pub(super) fn image(plan: &Plan) -> Map<String, Value> {
    let mut value = Map::new();
    let Some(output) = plan.outputs.first() else { return value };
    let image: Value = serde_json::from_slice(&output.image).unwrap_or(Value::Null);
    value.insert("image".to_owned(), image);
    value.insert("image_digest".to_owned(), json!(Digest::sha256(&output.image).as_str()));
    if let Some(base) = &output.base_image {
        value.insert("base_image_digest".to_owned(), json!(Digest::sha256(&base.to_json()).as_str()));
    }
    if let Some(epoch) = output.epoch {
        value.insert("epoch".to_owned(), json!(epoch));
    }
    value
}

/// Targets and outline, as `expect.json` has them; `None` when they cannot be told.
pub(super) fn targets(outcome: &Outcome, lines: &LineIndex) -> Option<Value> {
    let targets = compiler::targets::targets(&outcome.module, lines).ok()?;
    Some(with_ranges(serde_json::to_value(targets.0).ok()?))
}

/// The outline of the target.
pub(super) fn outline(outcome: &Outcome, lines: &LineIndex) -> Option<Value> {
    if outcome.failed() {
        return None;
    }
    let outline = compiler::outline::outline(&outcome.module, lines, &outcome.captures);
    Some(with_ranges(serde_json::to_value(outline).ok()?))
}

/// Replaces every location by its lines.
fn with_ranges(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(with_ranges).collect(),
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(key, value)| match key.as_str() {
                    "location" => ("ranges".to_owned(), location_lines(&value)),
                    _ => (key, with_ranges(value)),
                })
                .collect(),
        ),
        other => other,
    }
}

fn location_lines(location: &Value) -> Value {
    let ranges = location["ranges"].as_array().into_iter().flatten();
    ranges.map(|range| range["start"]["line"].clone()).collect()
}

/// Answers for a compilation that only differs in what it is for.
pub(super) fn facts(outcome: &Outcome) -> Facts {
    outcome.facts.clone()
}
