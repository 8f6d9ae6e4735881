//! Images in archives: their config and history, as far as two builders can agree on them.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use crate::process::{Error, Result};
use crate::tree;

/// Config of the one image in a docker archive (`docker save`) or an OCI archive.
pub fn config(archive: &Path) -> Result<Value> {
    let files = read_small(archive)?;
    let json = |name: &str| -> Result<Value> {
        let bytes = files.get(name).ok_or_else(|| Error(format!("{} has no {name}", archive.display())))?;
        serde_json::from_slice(bytes).map_err(Error::when(format!("{name} of {}", archive.display())))
    };
    if files.contains_key("manifest.json") {
        let manifest = json("manifest.json")?;
        return json(manifest[0]["Config"].as_str().unwrap_or_default());
    }
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap_or_default();
        json(&format!("blobs/{}", digest.replace(':', "/")))
    };
    let manifest = blob(&json("index.json")?["manifests"][0])?;
    blob(&manifest["config"])
}

/// The id an engine gives the one image in a docker archive.
pub fn id(archive: &Path) -> Result<String> {
    let files = read_small(archive)?;
    let manifest = files.get("manifest.json").ok_or_else(|| Error("no manifest.json".into()))?;
    let manifest: Value = serde_json::from_slice(manifest).map_err(Error::when("manifest.json"))?;
    let config = manifest[0]["Config"].as_str().unwrap_or_default();
    Ok(config.trim_start_matches("blobs/").replace('/', ":"))
}

/// Layers of the one image in an OCI archive that do not come from its base, entry by entry in their order. Layers must
/// not be compressed. `base` holds the digests of the base's layers.
pub fn new_layers(archive: &Path, base: &[Value]) -> Result<Vec<Vec<String>>> {
    let config = config(archive)?;
    let digests = config["rootfs"]["diff_ids"].as_array().cloned().unwrap_or_default();
    let files = read(archive, u64::MAX)?;
    let new = digests.iter().filter(|digest| !base.contains(digest));
    new.map(|digest| {
        let name = format!("blobs/{}", digest.as_str().unwrap_or_default().replace(':', "/"));
        let layer = files.get(&name).ok_or_else(|| Error(format!("{} has no {name}", archive.display())))?;
        list_layer(layer).map_err(Error::when(format!("cannot read {name} of {}", archive.display())))
    })
    .collect()
}

fn list_layer(layer: &[u8]) -> std::io::Result<Vec<String>> {
    let mut lines = Vec::new();
    for entry in tar::Archive::new(layer).entries()? {
        let mut entry = entry?;
        let path = tree::name(&entry.path_bytes());
        let what = match tree::hard_link(&entry) {
            Some(target) => format!("hard link to {target}"),
            None => tree::Entry::read(&mut entry)?.to_string(),
        };
        lines.push(format!("{path:?} {what}"));
    }
    Ok(lines)
}

/// What two builders of the same file must agree on: no times, no layer digests (they hold times), nothing that only
/// Docker's engine writes.
pub fn comparable(config: &Value) -> Value {
    let mut config = config.clone();
    let Some(fields) = config.as_object_mut() else { return config };
    for key in [
        "created",
        "container",
        "container_config",
        "docker_version",
        "rootfs",
        "moby.buildkit.buildinfo.v1",
        "id",
        "parent",
    ] {
        fields.remove(key);
    }
    for step in fields.get_mut("history").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(step) = step.as_object_mut() {
            step.remove("created");
            if let Some(text) = step.get_mut("created_by") {
                *text = version_neutral(text.as_str().unwrap_or_default()).into();
            }
        }
    }
    if let Some(config) = fields.get_mut("config").and_then(Value::as_object_mut) {
        // Engine 20.10 writes every field; newer ones and BuildKit leave out what is empty.
        let empty = |value: &Value| match value {
            Value::Null => true,
            Value::Bool(value) => !value,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Number(_) => false,
        };
        config.retain(|_, value| !empty(value));
    }
    config
}

/// An instruction without what BuildKit has spelled in several ways over the years: flags of copies (left out by engine
/// 20.10), values of arguments (likewise), lists of ports and health checks (Go's own print of changing types). The corpus holds today's exact spelling.
fn version_neutral(instruction: &str) -> String {
    let mut words = instruction.split(' ');
    let keyword = words.next().unwrap_or_default();
    match keyword {
        "EXPOSE" | "HEALTHCHECK" => keyword.to_owned(),
        "ARG" => instruction.split('=').next().unwrap_or_default().to_owned(),
        "COPY" | "ADD" => {
            let rest: Vec<&str> = words.skip_while(|word| word.starts_with("--")).collect();
            format!("{keyword} {}", rest.join(" "))
        }
        _ => instruction.to_owned(),
    }
}

/// Files of an archive that are small enough to be metadata.
fn read_small(archive: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    read(archive, 1 << 20)
}

/// Files of an archive below a size.
fn read(archive: &Path, limit: u64) -> Result<BTreeMap<String, Vec<u8>>> {
    let failed = || Error::when::<std::io::Error>(format!("cannot read {}", archive.display()));
    let mut tar = tar::Archive::new(std::fs::File::open(archive).map_err(failed())?);
    let mut files = BTreeMap::new();
    for entry in tar.entries_with_seek().map_err(failed())? {
        let mut entry = entry.map_err(failed())?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).trim_start_matches("./").to_owned();
        if entry.size() < limit {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(failed())?;
            files.insert(name, bytes);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_instruction_are_one() {
        for (newer, older) in [
            ("COPY --chmod=755 --link a b # buildkit", "COPY a b # buildkit"),
            ("ARG V=1", "ARG V"),
            ("EXPOSE [80/tcp]", "EXPOSE map[80/tcp:{}]"),
        ] {
            assert_eq!(version_neutral(newer), version_neutral(older));
        }
        assert_ne!(version_neutral("RUN --x a"), version_neutral("RUN a"));
    }
}
