//! One file of specifications: what it says, and whether it may say that.
//!
//! parity: the library of the Container Device Interface v1.1.0, `specs-go` and `pkg/cdi`, as BuildKit v0.32 uses it: keys,
//! names, versions and what each brought.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::yaml;
use crate::runtime::HOOKS;

/// Versions of the format, oldest first. The first two are known to be too old.
const VERSIONS: &[&str] = &["0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"];

/// What a file says.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Spec {
    #[serde(deserialize_with = "text")]
    cdi_version: String,
    /// `vendor/class`.
    #[serde(deserialize_with = "text")]
    pub(super) kind: String,
    #[serde(deserialize_with = "texts_by_key")]
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) devices: Vec<Device>,
    /// What comes with any of the devices.
    pub(super) container_edits: Edits,
}

/// A device.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Device {
    #[serde(deserialize_with = "text")]
    pub(super) name: String,
    #[serde(deserialize_with = "texts_by_key")]
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) container_edits: Edits,
}

/// What changes of a container.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Edits {
    #[serde(deserialize_with = "texts")]
    pub(super) env: Vec<String>,
    pub(super) device_nodes: Vec<Node>,
    pub(super) net_devices: Vec<NetDevice>,
    pub(super) hooks: Vec<Hook>,
    pub(super) mounts: Vec<Mount>,
    pub(super) intel_rdt: Option<IntelRdt>,
    pub(super) additional_gids: Vec<u32>,
}

/// A file of a device. Numbers are 0 where they are those of the host's file.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Node {
    #[serde(deserialize_with = "text")]
    pub(super) path: String,
    #[serde(deserialize_with = "text")]
    pub(super) host_path: String,
    #[serde(rename = "type", deserialize_with = "text")]
    pub(super) kind: String,
    pub(super) major: u32,
    pub(super) minor: u32,
    pub(super) file_mode: Option<u32>,
    #[serde(deserialize_with = "text")]
    pub(super) permissions: String,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
}

/// A network interface of the host that moves into the container.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct NetDevice {
    #[serde(deserialize_with = "text")]
    pub(super) host_interface_name: String,
    #[serde(deserialize_with = "text")]
    name: String,
}

/// A program that is run at a point of the container's life.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Hook {
    #[serde(deserialize_with = "text")]
    pub(super) hook_name: String,
    #[serde(deserialize_with = "text")]
    pub(super) path: String,
    #[serde(deserialize_with = "texts")]
    pub(super) args: Vec<String>,
    #[serde(deserialize_with = "texts")]
    pub(super) env: Vec<String>,
    /// Seconds.
    pub(super) timeout: Option<u32>,
}

/// Something of the host's file system.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Mount {
    #[serde(deserialize_with = "text")]
    pub(super) host_path: String,
    #[serde(deserialize_with = "text")]
    pub(super) container_path: String,
    #[serde(deserialize_with = "texts")]
    pub(super) options: Vec<String>,
    #[serde(rename = "type", deserialize_with = "text")]
    pub(super) kind: String,
}

/// A part of the processor's caches.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct IntelRdt {
    #[serde(rename = "closID", deserialize_with = "text")]
    pub(super) clos_id: String,
    #[serde(rename = "l3CacheSchema", deserialize_with = "text")]
    pub(super) l3_cache_schema: String,
    #[serde(rename = "memBwSchema", deserialize_with = "text")]
    pub(super) mem_bw_schema: String,
    pub(super) schemata: Option<Vec<String>>,
    #[serde(rename = "enableMonitoring")]
    pub(super) enable_monitoring: bool,
}

/// What a text of a file says.
///
/// **Errors**: why it says nothing that can be used, without the name of the file.
pub(super) fn read(path: &Path, text: &str) -> Result<Spec, String> {
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    let value = if is_json { serde_json::from_str(text).map_err(|error| error.to_string()) } else { yaml::read(text) };
    let spec: Spec = serde_json::from_value(without_nulls(value?)).map_err(|error| error.to_string())?;
    check(&spec).map(|()| spec)
}

/// Go takes a null for what is left out.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(entries) => {
            let said = entries.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(said.map(|(key, value)| (key, without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

/// A text; a number or a truth is one, too, as YAML has no quotes around them.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let value = Value::deserialize(from)?;
    yaml::text_of(value).ok_or_else(|| serde::de::Error::custom("there is a list or a map where a text has to be"))
}

fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let values = Vec::<Value>::deserialize(from)?.into_iter();
    values.map(|value| text(value).map_err(serde::de::Error::custom)).collect()
}

fn texts_by_key<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let values = BTreeMap::<String, Value>::deserialize(from)?.into_iter();
    values.map(|(key, value)| Ok((key, text(value).map_err(serde::de::Error::custom)?))).collect()
}

fn check(spec: &Spec) -> Result<(), String> {
    check_version(spec)?;
    let (vendor, class) = spec.kind.split_once('/').unwrap_or(("", &spec.kind));
    check_word("vendor", vendor)?;
    check_word("class", class)?;
    spec.container_edits.check()?;
    let mut names = BTreeSet::new();
    for device in &spec.devices {
        let name = &device.name;
        check_name(name)?;
        if device.container_edits == Edits::default() {
            return Err(format!("device {name:?} changes nothing: its containerEdits are empty"));
        }
        device.container_edits.check().map_err(|error| format!("device {name:?}: {error}"))?;
        if !names.insert(name) {
            return Err(format!("device {name:?} is there twice"));
        }
    }
    if names.is_empty() { Err("there are no devices in it".to_owned()) } else { Ok(()) }
}

fn check_version(spec: &Spec) -> Result<(), String> {
    let rank = |version: &str| VERSIONS.iter().position(|known| *known == version);
    let said = spec.cdi_version.strip_prefix('v').unwrap_or(&spec.cdi_version);
    let said = rank(said).ok_or_else(|| format!("cdiVersion {:?} is none of {}", said, VERSIONS.join(", ")))?;
    let needed = spec.needs();
    match rank(needed) {
        Some(needs) if needs > said => Err(format!("cdiVersion must be at least {needed} for what it says")),
        _ => Ok(()),
    }
}

impl Spec {
    /// The version that brought the newest of what it has.
    fn needs(&self) -> &'static str {
        let edits = || self.devices.iter().map(|device| &device.container_edits).chain([&self.container_edits]);
        let rdt = || edits().filter_map(|edits| edits.intel_rdt.as_ref());
        if edits().any(|edits| !edits.net_devices.is_empty())
            || rdt().any(|rdt| rdt.schemata.is_some() || rdt.enable_monitoring)
        {
            return "1.1.0";
        }
        if rdt().next().is_some() || edits().any(|edits| !edits.additional_gids.is_empty()) {
            return "0.7.0";
        }
        let is_annotated =
            !self.annotations.is_empty() || self.devices.iter().any(|device| !device.annotations.is_empty());
        if is_annotated || self.kind.split_once('/').is_some_and(|(_, class)| class.contains('.')) {
            return "0.6.0";
        }
        let has_number = |device: &Device| device.name.starts_with(|first: char| first.is_ascii_digit());
        if self.devices.iter().any(has_number)
            || edits().flat_map(|edits| &edits.device_nodes).any(|node| !node.host_path.is_empty())
        {
            return "0.5.0";
        }
        if edits().flat_map(|edits| &edits.mounts).any(|mount| !mount.kind.is_empty()) {
            return "0.4.0";
        }
        "0.3.0"
    }
}

impl Edits {
    fn check(&self) -> Result<(), String> {
        check_env(&self.env)?;
        self.device_nodes.iter().try_for_each(Node::check)?;
        for Hook { hook_name, path, env, .. } in &self.hooks {
            if !HOOKS.contains(&hook_name.as_str()) {
                return Err(format!("hook {hook_name:?} is none of {}", HOOKS.join(", ")));
            }
            if path.is_empty() {
                return Err(format!("hook {hook_name:?} has no path"));
            }
            check_env(env).map_err(|error| format!("hook {hook_name:?}: {error}"))?;
        }
        for mount in &self.mounts {
            if mount.host_path.is_empty() || mount.container_path.is_empty() {
                return Err("a mount needs a hostPath and a containerPath".to_owned());
            }
        }
        if let Some(IntelRdt { clos_id, .. }) = &self.intel_rdt {
            let is_name = clos_id.len() < 4096 && !clos_id.contains(['/', '\n']) && clos_id != "." && clos_id != "..";
            if clos_id != "/" && !is_name {
                return Err("the closID of intelRdt is no name".to_owned());
            }
        }
        let mut seen = (BTreeSet::new(), BTreeSet::new());
        for NetDevice { host_interface_name, name } in &self.net_devices {
            if host_interface_name.is_empty() || name.is_empty() {
                return Err("a network device needs a hostInterfaceName and a name".to_owned());
            }
            if !seen.0.insert(host_interface_name) || !seen.1.insert(name) {
                return Err(format!("network device {host_interface_name:?} ({name:?}) is there twice"));
            }
        }
        Ok(())
    }
}

impl Node {
    fn check(&self) -> Result<(), String> {
        let Self { path, kind, permissions, .. } = self;
        if path.is_empty() {
            return Err("a device node needs a path".to_owned());
        }
        if !["", "b", "c", "u", "p"].contains(&kind.as_str()) {
            return Err(format!("device node {path:?}: type {kind:?} is none of b, c, u, p"));
        }
        if !permissions.chars().all(|letter| "rwm".contains(letter)) {
            return Err(format!("device node {path:?}: permissions {permissions:?} are not of r, w, m"));
        }
        Ok(())
    }

    /// The file of the host that it is.
    pub(super) fn host(&self) -> PathBuf {
        PathBuf::from(if self.host_path.is_empty() { &self.path } else { &self.host_path })
    }
}

fn check_env(env: &[String]) -> Result<(), String> {
    match env.iter().find(|entry| entry.find('=').is_none_or(|at| at == 0)) {
        Some(entry) => Err(format!("variable {entry:?} is not of the form NAME=VALUE")),
        None => Ok(()),
    }
}

/// Vendors and classes: letters, digits, `_`, `-`, `.`, a letter first, and a letter or digit last.
fn check_word(what: &str, word: &str) -> Result<(), String> {
    let fits = word.starts_with(|c: char| c.is_ascii_alphabetic()) && is_made_of(word, "_-.");
    if fits { Ok(()) } else { Err(format!("{what} {word:?} of the kind is no name")) }
}

/// Names of devices: a digit may be first, and there may be colons.
fn check_name(name: &str) -> Result<(), String> {
    let fits = name.starts_with(|c: char| c.is_ascii_alphanumeric()) && is_made_of(name, "_-.:");
    if fits { Ok(()) } else { Err(format!("{name:?} is no name of a device")) }
}

fn is_made_of(word: &str, more: &str) -> bool {
    word.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c)) && !word.ends_with(|c| more.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str =
        "cdiVersion: 0.6.0\nkind: vendor.com/class\ndevices:\n- name: a\n  containerEdits: {env: [A=1]}\n";

    fn error(text: &str) -> String {
        read(Path::new("a.yaml"), text).unwrap_err()
    }

    #[test]
    fn json_and_yaml_say_the_same() {
        let json = r#"{"cdiVersion": "0.6.0", "kind": "vendor.com/class", "annotations": null,
            "devices": [{"name": "a", "containerEdits": {"env": ["A=1"]}}]}"#;
        assert_eq!(read(Path::new("a.json"), json).unwrap(), read(Path::new("a.yaml"), PLAIN).unwrap());
        assert!(read(Path::new("a.json"), PLAIN).unwrap_err().contains("line 1"));
    }

    const ALL: &str = "
cdiVersion: v1.1.0
kind: vendor.com/class.b
annotations: {a: true, b: 1}
devices:
- name: 0
  annotations:
  containerEdits:
    env: [A=1]
    deviceNodes: [{path: /dev/x, hostPath: /dev/y, type: c, major: 1, minor: 5, fileMode: 0660, permissions: rw, uid: 1, gid: 2}]
    netDevices: [{hostInterfaceName: eth0, name: x}]
    hooks: [{hookName: createContainer, path: /bin/x, args: [x, 1], env: [B=2], timeout: 3}]
    mounts: [{hostPath: /a, containerPath: /b, options: [ro], type: bind}]
    intelRdt: {closID: x, l3CacheSchema: a, memBwSchema: b, schemata: [c], enableMonitoring: true}
    additionalGids: [4, 5]
containerEdits: {env: [C=3]}
";

    #[test]
    fn everything_there_is() {
        let spec = read(Path::new("a.yaml"), ALL).unwrap();
        assert_eq!(spec.annotations.values().collect::<Vec<_>>(), ["true", "1"]);
        let edits = &spec.devices[0].container_edits;
        assert_eq!((edits.device_nodes[0].file_mode, edits.additional_gids.as_slice()), (Some(0o660), &[4, 5][..]));
        assert_eq!((spec.devices[0].name.as_str(), edits.hooks[0].args[1].as_str()), ("0", "1"));
    }

    #[test]
    fn any_text_is_read_or_refused() {
        for (at, _) in ALL.char_indices().step_by(7) {
            let (before, after) = ALL.split_at(at);
            for with in ["", "\u{0}", "\t]", "{", "\n- ", ": ", "\u{e9}", "99999999999999999999", "*a", "!!"] {
                for text in [format!("{before}{with}"), format!("{before}{with}{after}")] {
                    let _ = read(Path::new("a.yaml"), &text);
                    let _ = read(Path::new("a.json"), &text);
                }
            }
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let with = |from: &str, to: &str| error(&PLAIN.replace(from, to));
        assert!(with("kind", "knd").contains("unknown field `knd`"));
        assert!(with("0.6.0", "0.6").contains("cdiVersion \"0.6\" is none of 0.1.0"));
        assert!(with("vendor.com/", "").contains("vendor \"\" of the kind"));
        assert!(with("/class", "/class-").contains("class \"class-\" of the kind"));
        assert!(with("name: a", "name: a b").contains("\"a b\" is no name of a device"));
        assert!(with("name: a", "name: [a]").contains("where a text has to be"));
        assert!(with("A=1", "A").contains("device \"a\": variable \"A\" is not of the form"));
        assert!(with("{env: [A=1]}", "{}").contains("changes nothing"));
        assert!(with("env: [A=1]", "deviceNodes: [{path: /a, major: -1}]").contains("invalid value"));
        assert!(with("env: [A=1]", "deviceNodes: [{path: /a, type: x}]").contains("type \"x\" is none of"));
        assert!(with("env: [A=1]", "deviceNodes: [{path: /a, permissions: rx}]").contains("permissions \"rx\""));
        assert!(with("env: [A=1]", "hooks: [{hookName: later, path: /a}]").contains("hook \"later\" is none of"));
        assert!(with("env: [A=1]", "mounts: [{hostPath: /a}]").contains("needs a hostPath and a containerPath"));
        let two = format!("{PLAIN}- name: a\n  containerEdits: {{env: [A=1]}}\n");
        assert!(error(&two).contains("\"a\" is there twice"));
        assert!(error("cdiVersion: 0.6.0\nkind: a.b/c\n").contains("no devices"));
    }

    #[test]
    fn newer_parts_need_a_newer_version() {
        let with = |from: &str, to: &str| error(&PLAIN.replace("0.6.0", "0.3.0").replace(from, to));
        assert!(with("devices", "annotations: {a: b}\ndevices").contains("at least 0.6.0"));
        assert!(with("vendor.com/class", "vendor.com/class.x").contains("at least 0.6.0"));
        assert!(with("name: a", "name: 0a").contains("at least 0.5.0"));
        assert!(with("env: [A=1]", "deviceNodes: [{path: /a, hostPath: /b}]").contains("at least 0.5.0"));
        assert!(with("env: [A=1]", "mounts: [{hostPath: /a, containerPath: /b, type: x}]").contains("at least 0.4.0"));
        assert!(with("env: [A=1]", "additionalGids: [1]").contains("at least 0.7.0"));
        assert!(with("env: [A=1]", "intelRdt: {schemata: []}").contains("at least 1.1.0"));
        assert!(with("env: [A=1]", "netDevices: [{hostInterfaceName: a, name: b}]").contains("at least 1.1.0"));
        assert!(error(&PLAIN.replace("0.6.0", "0.2.0")).contains("at least 0.3.0"));
        assert!(read(Path::new("a.yaml"), &PLAIN.replace("0.6.0", "0.3.0")).is_ok());
    }
}
