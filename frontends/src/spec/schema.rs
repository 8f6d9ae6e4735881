//! The JSON schema of the language, from the same declarations that read it: TOML editors complete and check by it.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::model::Spec;
use super::read::{Read, Table};

/// The tables met so far.
#[derive(Default)]
pub(super) struct Schemas {
    tables: BTreeMap<&'static str, Json>,
}

impl Schemas {
    /// A reference to the schema of a table, which is put among the definitions the first time.
    pub(super) fn table<T: Table>(&mut self) -> Json {
        if !self.tables.contains_key(T::NAME) {
            // A table may hold itself: its name is taken first.
            self.tables.insert(T::NAME, Json::Null);
            let schema = object::<T>(self);
            self.tables.insert(T::NAME, schema);
        }
        json!({ "$ref": format!("#/$defs/{}", T::NAME) })
    }
}

fn object<T: Table>(schemas: &mut Schemas) -> Json {
    let properties: Map<String, Json> = T::keys(schemas)
        .into_iter()
        .map(|(key, doc, mut schema)| {
            if let Some(schema) = schema.as_object_mut() {
                schema.insert("description".into(), doc.trim().into());
            }
            (key.to_owned(), schema)
        })
        .collect();
    json!({
        "type": "object",
        "description": T::DOC.trim(),
        "properties": properties,
        "additionalProperties": false,
    })
}

/// The schema of a build spec, for `grammar/spec.schema.json`.
pub fn json() -> Json {
    let mut schemas = Schemas::default();
    let root = Spec::schema(&mut schemas);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "build.toml, version 1",
        "$ref": root["$ref"],
        "$defs": schemas.tables,
    })
}

/// The reference of the language, for `docs/spec.md`: every table with its keys.
pub fn reference() -> String {
    let mut schemas = Schemas::default();
    Spec::schema(&mut schemas);
    let mut text = String::new();
    for (name, table) in &schemas.tables {
        text +=
            &format!("### {name}\n\n{}\n\n| key | value | meaning |\n|---|---|---|\n", prose(&table["description"]));
        for (key, schema) in table["properties"].as_object().into_iter().flatten() {
            text += &format!("| `{key}` | {} | {} |\n", kind(schema), prose(&schema["description"]));
        }
        text.push('\n');
    }
    text
}

/// The text of a description, which may hold the bar that ends a cell.
fn prose(description: &Json) -> String {
    description.as_str().unwrap_or_default().replace('|', "\\|")
}

/// What a value is, in words.
fn kind(schema: &Json) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return reference.trim_start_matches("#/$defs/").to_owned();
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<String> = words.iter().filter_map(Json::as_str).map(|word| format!("`{word}`")).collect();
        return words.join(", ");
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        return choices.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    match &schema["type"] {
        Json::String(name) if name == "array" => format!("list of {}", kind(&schema["items"])),
        Json::String(name) if name == "object" => format!("table of {}", kind(&schema["additionalProperties"])),
        Json::String(name) => name.clone(),
        Json::Array(names) => names.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(" or "),
        _ => String::new(),
    }
}
