//! What we make of a case against what is expected.

use std::fmt::Write as _;

use compiler::{Outcome, Plan};
use llb::Definition;
use oci::Platform;
use serde_json::{Map, Value, json};

use super::{Case, CorpusWorld, actual};

/// Differences shown of one case.
const MOST_SHOWN: usize = 12;

/// Compares everything; what differs is the error.
pub(super) fn compare(case: &Case, world: &CorpusWorld) -> Result<(), String> {
    let outcome = compiler::compile(&case.source, &case.options, compiler::Facts::default(), world);
    let mut diff = Diff::default();
    let error = compare_build(case, &outcome, &mut diff);
    diff.values("syntax", &case.expected["syntax"], &syntax(&outcome));
    compare_requests(case, &outcome, world, error, &mut diff);
    diff.finish()
}

/// The build itself: error, warnings, definitions, images. Gives the error and the warnings.
fn compare_build(case: &Case, outcome: &Outcome, diff: &mut Diff) -> (Value, Value) {
    let expected = &case.expected;
    let (mut error, warnings) = actual::messages(&case.source, &outcome.diagnostics);
    let built = outcome.plan.as_ref().map(|plan| compare_plan(case, plan, diff));
    if let Some(Err(message)) = built {
        error = Some(json!({"message": message, "ranges": []}));
    }
    let error = error.unwrap_or(Value::Null);
    diff.values("error", &expected["error"], &error);
    diff.values("warnings", &expected["warnings"], &warnings);
    (error, warnings)
}

/// **Errors**: what cannot be encoded.
fn compare_plan(case: &Case, plan: &Plan, diff: &mut Diff) -> Result<(), String> {
    let Some(platforms) = case.expected["platforms"].as_array() else {
        return compare_output(case, "expect.pb", &case.expected, plan, diff);
    };
    let mut actual: Vec<String> = plan.outputs.iter().map(|output| output.platform.to_string()).collect();
    actual.sort();
    let wanted: Vec<&str> = platforms.iter().filter_map(|platform| platform["platform"].as_str()).collect();
    diff.values("platforms", &json!(wanted), &json!(actual));
    for expected in platforms {
        let name = expected["platform"].as_str().unwrap_or_default();
        let platform = Platform::parse(name, &Platform::new("linux", "amd64")).map_err(|error| error.to_string())?;
        if let Some(plan) = plan.clone().only(&platform) {
            compare_output(case, &format!("expect.{}.pb", name.replace('/', "-")), expected, &plan, diff)?;
        }
    }
    // All platforms in one definition must be possible too.
    llb::encode(&plan.graph).map(drop).map_err(|error| error.to_string())
}

fn compare_output(case: &Case, file: &str, expected: &Value, plan: &Plan, diff: &mut Diff) -> Result<(), String> {
    let definition = llb::encode(&plan.graph).map_err(|error| error.to_string())?;
    let definition = actual::normalized(definition);
    if expected["error"].is_null() {
        compare_definition(case, file, expected, &definition, diff);
        let image = actual::image(plan);
        for key in ["image", "image_digest", "base_image_digest", "epoch"] {
            diff.values(key, &expected[key], image.get(key).unwrap_or(&Value::Null));
        }
    }
    Ok(())
}

fn compare_definition(case: &Case, file: &str, expected: &Value, definition: &Definition, diff: &mut Diff) {
    let infos = &expected["definition"]["source"]["infos"][0]["definition_digest"];
    let text_digest = actual::text_digest(definition).map_or(Value::Null, Value::String);
    diff.values("definition of the text", infos, &text_digest);
    let wanted = match std::fs::read(case.folder.join(file)) {
        Ok(bytes) => bytes,
        Err(error) => return diff.add("definition", &format!("{file}: {error}")),
    };
    let bytes = definition.to_bytes();
    if bytes == wanted {
        return;
    }
    let wanted = match llb::decode(&wanted) {
        Ok(decoded) => decoded.definition,
        Err(error) => return diff.add("definition", &format!("{file}: {error}")),
    };
    let before = diff.found.len();
    diff.values("ops", &ops(&wanted), &ops(definition));
    diff.values("locations", &places(&wanted), &places(definition));
    if diff.found.len() == before {
        diff.add("definition", "the bytes differ, though everything in them is equal");
    }
}

/// Vertices and what is said of them, as JSON.
fn ops(definition: &Definition) -> Value {
    let dump = llb::dump::json(definition).unwrap_or_default();
    dump.lines().map(|line| serde_json::from_str(line).unwrap_or(Value::Null)).collect()
}

fn places(definition: &Definition) -> Value {
    let Some(source) = &definition.source else { return Value::Null };
    let texts: Vec<Value> =
        source.texts.iter().map(|text| json!({"filename": text.filename, "language": text.language})).collect();
    let lines =
        |location: &llb::Location| -> Vec<i32> { location.ranges.iter().map(|range| range.start.line).collect() };
    let locations: Map<String, Value> = definition
        .vertices
        .iter()
        .filter_map(|vertex| {
            let places = source.locations.get(&vertex.digest)?;
            Some((vertex.digest.to_string(), places.iter().map(lines).collect()))
        })
        .collect();
    json!({"texts": texts, "locations": locations})
}

fn syntax(outcome: &Outcome) -> Value {
    let Some(syntax) = &outcome.module.syntax else { return Value::Null };
    json!({"ref": syntax.reference.text, "cmdline": syntax.command, "ranges": [syntax.line]})
}

/// Targets, outline and lint.
fn compare_requests(case: &Case, outcome: &Outcome, world: &CorpusWorld, build: (Value, Value), diff: &mut Diff) {
    let expected = &case.expected;
    let lines = &case.source.lines;
    let facts = || actual::facts(outcome);
    if let Some(targets) = expected.get("targets") {
        diff.values("targets", targets, &actual::targets(outcome, lines).unwrap_or(Value::Null));
    }
    if let Some(outline) = expected.get("outline") {
        let surveyed = compiler::survey(&case.source, &case.options, facts(), world);
        diff.values("outline", outline, &actual::outline(&surveyed, lines).unwrap_or(Value::Null));
    }
    let checked = compiler::check(&case.source, &case.options, facts(), world);
    let (error, warnings) = actual::messages(&case.source, &checked.diagnostics);
    let (wanted_error, wanted_warnings) = match expected.get("lint") {
        Some(lint) => (lint["error"].clone(), lint["warnings"].clone()),
        None => build,
    };
    // A definition that cannot be encoded is nothing that a lint would see.
    let is_encoding = wanted_error["message"].as_str().is_some_and(|text| text.starts_with("failed to marshal LLB"));
    let mut error = error.unwrap_or(Value::Null);
    let mut wanted_error = if is_encoding { Value::Null } else { wanted_error };
    for error in [&mut error, &mut wanted_error].into_iter().filter_map(Value::as_object_mut) {
        // Of a lint, only merged lines are reported.
        error.remove("locations");
        if let Some(Value::Array(lines)) = error.get_mut("ranges") {
            lines.sort_by_key(|line| line.as_u64());
            lines.dedup();
        }
    }
    diff.values("lint.error", &wanted_error, &error);
    diff.values("lint.warnings", &wanted_warnings, &warnings);
}

/// Differences of a case.
#[derive(Default)]
struct Diff {
    found: Vec<String>,
}

impl Diff {
    fn add(&mut self, path: &str, what: &str) {
        self.found.push(format!("{path}: {what}"));
    }

    /// Compares two values; what only one side has is shown.
    fn values(&mut self, path: &str, expected: &Value, actual: &Value) {
        match (expected, actual) {
            (expected, actual) if expected == actual => {}
            (Value::Object(expected), Value::Object(actual)) => {
                let keys = expected.keys().chain(actual.keys().filter(|key| !expected.contains_key(*key)));
                for key in keys {
                    let side = |fields: &Map<String, Value>| fields.get(key).cloned().unwrap_or(Value::Null);
                    self.values(&format!("{path}.{key}"), &side(expected), &side(actual));
                }
            }
            (Value::Array(expected), Value::Array(actual)) => {
                for at in 0..expected.len().max(actual.len()) {
                    let side = |items: &[Value]| items.get(at).cloned().unwrap_or(Value::Null);
                    self.values(&format!("{path}[{at}]"), &side(expected), &side(actual));
                }
            }
            (expected, actual) => self.found.push(format!("{path}:\n    expected {expected}\n    actual   {actual}")),
        }
    }

    fn finish(self) -> Result<(), String> {
        if self.found.is_empty() {
            return Ok(());
        }
        let mut text = self.found[..self.found.len().min(MOST_SHOWN)].join("\n");
        if self.found.len() > MOST_SHOWN {
            let _ = write!(text, "\n… and {} more", self.found.len() - MOST_SHOWN);
        }
        Err(text)
    }
}
