//! Entries of lists as the maps that they are: where results go, caches, secrets, agents, attestations.
//!
//! A file has them as maps or as flags have them; bake shows them as maps, and so do we.

use serde_json::{Map, Value, json};

use super::shown;

/// Keys of lists whose entries are maps.
const KEYS: [&str; 6] = ["attest", "cache-from", "cache-to", "output", "secret", "ssh"];

/// The value of a key, with what is a map as one. What is quoted, or is no list of fields, stays as it is.
pub(crate) fn as_maps(key: &str, value: &Value) -> Value {
    let Value::Array(entries) = value else { return value.clone() };
    if !KEYS.contains(&key) {
        return value.clone();
    }
    entries.iter().map(|entry| as_map(key, entry).map_or_else(|| entry.clone(), Value::Object)).collect()
}

/// The map that an entry of a list is.
pub(super) fn as_map(key: &str, entry: &Value) -> Option<Map<String, Value>> {
    let text = match entry {
        Value::Object(fields) => return Some(fields.clone()),
        Value::String(text) if !text.contains('"') => text.as_str(),
        _ => return None,
    };
    let is_alone = !text.contains(',');
    let map = match key {
        "output" if text == "-" => json!({ "type": "tar", "dest": "-" }),
        "output" if is_alone && !text.starts_with("type=") => json!({ "type": "local", "dest": text }),
        "cache-from" | "cache-to" if is_alone && !text.contains('=') => json!({ "type": "registry", "ref": text }),
        "ssh" => match text.split_once('=') {
            Some((id, paths)) => json!({ "id": id, "paths": paths.split(',').collect::<Vec<_>>() }),
            None => json!({ "id": text }),
        },
        _ => {
            let mut fields = fields(text)?;
            match key {
                "secret" => name_source(&mut fields),
                "attest" if fields.get("disabled").is_some_and(|disabled| disabled == "true") => {
                    fields.insert("disabled".to_owned(), true.into());
                }
                _ => {}
            }
            return Some(fields);
        }
    };
    map.as_object().cloned()
}

/// What an entry of a list says of a field.
pub(super) fn field_of(key: &str, entry: &Value, field: &str) -> Option<Value> {
    as_map(key, entry)?.remove(field)
}

/// `KEY=VALUE,…`; keys are in small letters.
fn fields(text: &str) -> Option<Map<String, Value>> {
    let field = |field: &str| {
        let (key, value) = field.split_once('=')?;
        Some((key.trim().to_lowercase(), value.into()))
    };
    text.split(',').map(field).collect()
}

/// A secret says by the name of its source of which type it is.
fn name_source(fields: &mut Map<String, Value>) {
    let kind = fields.remove("type");
    let source = fields.remove("source").or_else(|| fields.remove("src"));
    let is_variable = kind.is_some_and(|kind| kind == "env") && !fields.contains_key("env");
    fields.extend(source.map(|source| (if is_variable { "env" } else { "src" }.to_owned(), source)));
}

/// Agents as flags have them: `ID=PATH,…`.
pub(crate) fn agents(value: &Value) -> Vec<String> {
    let agent = |entry: &Value| {
        let Some(id) = entry.get("id") else { return shown(entry) };
        let paths = entry.get("paths").and_then(Value::as_array).into_iter().flatten();
        let paths: Vec<String> = paths.map(shown).collect();
        if paths.is_empty() { shown(id) } else { format!("{}={}", shown(id), paths.join(",")) }
    };
    value.as_array().map_or_else(|| vec![agent(value)], |entries| entries.iter().map(agent).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_maps() {
        for (key, text, expected) in [
            ("output", "-", json!({ "type": "tar", "dest": "-" })),
            ("output", "out", json!({ "type": "local", "dest": "out" })),
            ("output", "a=b", json!({ "type": "local", "dest": "a=b" })),
            ("output", "type=image,Name=x", json!({ "type": "image", "name": "x" })),
            ("cache-from", "acme/app", json!({ "type": "registry", "ref": "acme/app" })),
            ("cache-to", "type=inline", json!({ "type": "inline" })),
            ("secret", "id=k,source=f", json!({ "id": "k", "src": "f" })),
            ("secret", "type=env,id=k,src=K", json!({ "id": "k", "env": "K" })),
            ("ssh", "default", json!({ "id": "default" })),
            ("ssh", "k=/p,/q", json!({ "id": "k", "paths": ["/p", "/q"] })),
            ("attest", "type=sbom,disabled=true", json!({ "type": "sbom", "disabled": true })),
            ("output", "type=image,\"name=a,b\"", json!("type=image,\"name=a,b\"")),
            ("secret", "k", json!("k")),
            ("tags", "a=b", json!("a=b")),
        ] {
            assert_eq!(as_maps(key, &json!([text])), json!([expected]), "{key} {text}");
        }
        assert_eq!(as_maps("cache-to", &Value::Null), Value::Null);
    }

    #[test]
    fn agents_are_flags() {
        let maps = as_maps("ssh", &json!(["default", "k=/p,/q"]));
        assert_eq!(agents(&maps), ["default", "k=/p,/q"]);
        assert_eq!(agents(&json!(["default"])), ["default"]);
    }
}
