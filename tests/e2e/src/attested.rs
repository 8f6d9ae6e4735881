//! What is said of images, as far as two builders must agree on it.

use serde_json::{Value, json};

use crate::Sandbox;

/// A directory `app` with a Dockerfile and the `file` that it copies, beside the base.
pub fn app(dockerfile: &str) -> Sandbox {
    let sandbox = Sandbox::with_base();
    sandbox.write("app/Dockerfile", dockerfile);
    sandbox.write("app/file", "content\n");
    sandbox
}

/// The index of an image in a layout, and the statements of each manifest of what is said of it, whose kinds it names.
pub fn statements(sandbox: &Sandbox, layout: &str) -> (Value, Vec<Vec<Value>>) {
    let read = read(sandbox, layout);
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let of = |(manifest, statements): (&Value, &Value)| {
        let statements = list(statements);
        for (layer, statement) in list(&manifest["layers"]).iter().zip(&statements) {
            assert_eq!(layer["annotations"]["in-toto.io/predicate-type"], statement["predicateType"]);
        }
        statements
    };
    (read[0].clone(), list(&read[1]).iter().zip(&list(&read[2])).map(of).collect())
}

/// The index of an image in a layout, the manifests of what is said of it, and for each of them the statements.
pub fn read(sandbox: &Sandbox, layout: &str) -> Value {
    let file = |name: &str| sandbox.json(&format!("{layout}/{name}"));
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap_or_default();
        file(&format!("blobs/sha256/{}", digest.trim_start_matches("sha256:")))
    };
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let index = blob(&file("index.json")["manifests"][0]);
    let said = list(&index, "manifests").into_iter().filter(|image| image["platform"]["os"] == "unknown");
    let manifests: Vec<Value> = said.map(|descriptor| blob(&descriptor)).collect();
    let statements = |manifest: &Value| list(manifest, "layers").iter().map(blob).collect::<Value>();
    let statements: Vec<Value> = manifests.iter().map(statements).collect();
    json!([index, manifests, statements])
}

/// Leaves out what is another each time: digests of images, of layers and of what a session has a part in, sizes, ids, times.
pub fn comparable(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(comparable),
        Value::Object(map) => {
            for key in
                ["invocationId", "startedOn", "finishedOn", "buildInvocationID", "buildStartedOn", "buildFinishedOn"]
            {
                if let Some(text) = map.get_mut(key) {
                    assert!(text.as_str().is_some_and(|text| !text.is_empty()), "{key}");
                    *text = Value::Null;
                }
            }
            if let Some(Value::Object(steps)) = map.get_mut("digestMapping") {
                let mut ids: Vec<Value> = std::mem::take(steps).into_iter().map(|(_, id)| id).collect();
                ids.sort_by_key(Value::to_string);
                map.insert("digestMapping".to_owned(), ids.into());
            }
            for key in ["size", "vnd.docker.reference.digest"] {
                map.remove(key);
            }
            // parity: but for these three, which docs/differences.md names.
            for key in ["root", "dockerfileVersion", "llbcVersion"] {
                map.remove(key);
            }
            // Each builder adds itself.
            if let Some(Value::Array(creators)) = map.get_mut("creators") {
                let builders = ["Tool: buildkit-", "Tool: llbc-"];
                for creator in creators.iter_mut() {
                    if creator.as_str().is_some_and(|name| builders.iter().any(|builder| name.starts_with(builder))) {
                        *creator = "the builder".into();
                    }
                }
            }
            // Materials have the digest of the base, which is one.
            if !map.contains_key("uri") {
                map.remove("digest");
            }
            map.values_mut().for_each(comparable);
        }
        _ => {}
    }
}
