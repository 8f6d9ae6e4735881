//! What a case expects and what we have, in one form.

use std::collections::{BTreeMap, BTreeSet};

use llb::Definition;
use serde_json::{Map, Value, json};

/// A value without what JSON may leave out: zeroes, empty texts, lists and objects.
pub(super) fn normal(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept =
                fields.iter().map(|(key, value)| (rename(key), normal(value))).filter(|(_, value)| !is_empty(value));
            let sorted: BTreeMap<String, Value> = kept.collect();
            Value::Object(sorted.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(normal).collect()),
        other => other.clone(),
    }
}

/// The one field that BuildKit's two versions print by different names.
fn rename(key: &str) -> String {
    if key == "byID" { "byId".to_owned() } else { key.to_owned() }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) => false,
    }
}

/// Operations by content: inputs by their number instead of their digest.
fn by_number(ops: &[(String, Value, Value)]) -> Value {
    let numbers: BTreeMap<&str, usize> =
        ops.iter().enumerate().map(|(at, (digest, ..))| (digest.as_str(), at)).collect();
    ops.iter()
        .map(|(digest, op, said)| {
            let mut op = op.clone();
            for input in op["inputs"].as_array_mut().into_iter().flatten() {
                let number = input["digest"].as_str().and_then(|digest| numbers.get(digest)).copied();
                input["digest"] = json!(format!("#{}", number.map_or(-1, |number| number as i64)));
            }
            json!({ "op": normal(&op), "said": said, "digest": digest })
        })
        .collect()
}

/// The operations of a definition of ours.
pub(super) fn ops_of(definition: &Definition) -> Result<Value, String> {
    // HLB pins a BuildKit that encodes the same fields in another order.
    let older = llb::ascending_digests(definition);
    let of = |digest: &str| {
        let found = older.iter().find(|(known, _)| known.as_str() == digest);
        found.map_or_else(|| digest.to_owned(), |(_, older)| older.to_string())
    };
    let lines = llb::dump::json(definition).map_err(|error| error.to_string())?;
    let mut ops = Vec::new();
    for line in lines.lines() {
        let value: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let digest = value["Digest"].as_str().unwrap_or_default().to_owned();
        let name = value["OpMetadata"]["description"].clone();
        let mut op = value["Op"].clone();
        for input in op["inputs"].as_array_mut().into_iter().flatten() {
            input["digest"] = json!(of(input["digest"].as_str().unwrap_or_default()));
        }
        ops.push((of(&digest), op, json!({ "description": normal(&name), "source": places(definition, &digest) })));
    }
    Ok(by_number(&ops))
}

fn places(definition: &Definition, digest: &str) -> Vec<String> {
    let Some(source) = &definition.source else { return Vec::new() };
    let found = source.locations.iter().find(|(known, _)| known.as_str() == digest);
    let locations = found.map(|(_, locations)| locations.as_slice()).unwrap_or_default();
    let mut places = Vec::new();
    for location in locations {
        let file = source.texts.get(location.source as usize).map_or("", |text| text.filename.as_str());
        let position = |at: llb::Position| format!("{}:{}", at.line, at.character + 1);
        places.extend(
            location.ranges.iter().map(|range| format!("{file}:{}-{}", position(range.start), position(range.end))),
        );
    }
    places
}

fn ops(single: &Value) -> Value {
    let none = Vec::new();
    let ops = single["ops"].as_array().unwrap_or(&none).iter().map(|op| {
        let sources = op["source"].as_array().unwrap_or(&none).iter().map(place);
        let said = json!({
            "description": normal(&op["metadata"]["description"]),
            "source": sources.collect::<Vec<_>>(),
        });
        (op["digest"].as_str().unwrap_or_default().to_owned(), op["op"].clone(), said)
    });
    by_number(&ops.collect::<Vec<_>>())
}

/// `file:line:column-line:column`.
fn place(value: &Value) -> String {
    if value["file"] == "<builtin>" {
        return "<builtin>".to_owned();
    }
    let position = |key: &str| format!("{}:{}", value[key]["line"], value[key]["col"]);
    format!("{}:{}-{}", value["file"].as_str().unwrap_or_default(), position("start"), position("end"))
}

/// Message and places of an error.
pub(super) fn diagnostic(value: &Value) -> Value {
    let mut places: Vec<String> = match value["annotations"].as_array() {
        Some(annotations) => annotations.iter().map(place).collect(),
        None => vec![place(value)],
    };
    places.sort();
    places.dedup();
    json!([value["message"], places])
}

pub(super) fn lints(value: &Value) -> Value {
    value.as_array().unwrap_or(&Vec::new()).iter().map(|lint| lint["message"].clone()).collect()
}

/// A request with what it asks of the client.
pub(super) fn request(value: &Value) -> Value {
    if let Some(children) = value["children"].as_array() {
        return json!({ "kind": value["kind"], "children": children.iter().map(request).collect::<Vec<_>>() });
    }
    if value["kind"] == "nil" {
        return json!({ "kind": "nil" });
    }
    json!({
        "kind": value["kind"],
        "ops": ops(value),
        "session": session(&value["session"]),
        "entitlements": entitlements(value),
    })
}

/// What is asked for, once each.
fn entitlements(value: &Value) -> Value {
    let asked = value["solve_options"]["entitlements"].as_array().into_iter().flatten().filter_map(Value::as_str);
    json!(asked.collect::<BTreeSet<_>>())
}

fn session(value: &Value) -> Value {
    let mut session = Map::new();
    for key in ["local_dirs", "secrets", "agents"] {
        session.insert(key.to_owned(), value[key].clone());
    }
    let mut session = normal(&Value::Object(session));
    // A nameless agent is one all the same.
    if let Some(agents) = value["agents"].as_object() {
        session["agents"] = agents
            .iter()
            .map(|(id, agent)| (id.clone(), normal(agent)))
            .filter(|(_, agent)| !is_empty(agent))
            .collect();
    }
    session
}

/// A side solve: where it goes, the image, the operations.
pub(super) fn export(value: &Value) -> Value {
    let options = &value["solve_options"];
    let mut kept = Map::new();
    for key in ["push_image", "stargz", "docker_ref", "download", "download_tarball", "download_oci_tarball"] {
        kept.insert(key.to_owned(), options[key].clone());
    }
    let image = options.get("image_spec").map(image);
    json!({
        "options": normal(&Value::Object(kept)),
        "image": image,
        "ops": ops(value),
        "entitlements": entitlements(value),
    })
}

/// What an image is: its platform, config and history. `container_config` is of old, and not in images of today.
pub(super) fn image(value: &Value) -> Value {
    let fields = ["created", "config", "history"].map(|key| (key.to_owned(), value[key].clone()));
    normal(&Value::Object(fields.into_iter().collect()))
}

/// A request of a frontend, without places.
pub(super) fn frontend(value: &Value) -> Value {
    let inputs = value["inputs"].as_object().into_iter().flatten();
    let inputs: Map<String, Value> = inputs.map(|(name, input)| (name.clone(), without_places(&ops(input)))).collect();
    json!({ "opts": value["opts"], "inputs": inputs })
}

pub(super) fn without_places(ops: &Value) -> Value {
    ops.as_array().unwrap_or(&Vec::new()).iter().map(|op| op["op"].clone()).collect()
}
