//! A case as its folder has it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ast::Source;
use compiler::Options;
use oci::Platform;
use serde_json::Value;

/// Session that the expected results were made with.
const SESSION: &str = "test-session";

/// A Dockerfile with its options and what is expected of it.
#[derive(Debug)]
pub struct Case {
    /// Its folder.
    pub folder: PathBuf,
    /// The text.
    pub source: Source,
    /// The options.
    pub options: Options,
    /// `case.json`.
    pub(super) settings: Value,
    /// `expect.json`.
    pub(super) expected: Value,
}

impl Case {
    /// `group/case`.
    pub fn name_of(folder: &Path) -> String {
        let parts: Vec<_> = folder.components().rev().take(2).map(|part| part.as_os_str().to_string_lossy()).collect();
        parts.into_iter().rev().collect::<Vec<_>>().join("/")
    }

    /// Reads a case.
    pub fn read(folder: &Path) -> Result<Self, String> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let json = |name: &str| -> Result<Value, String> {
            serde_json::from_slice(&read(name)?).map_err(|error| format!("{name}: {error}"))
        };
        let settings = json("case.json")?;
        let options = options(&settings)?;
        let filename = settings["filename"].as_str().unwrap_or("Dockerfile");
        let source = Source::new(filename, read("Dockerfile")?);
        Ok(Self { folder: folder.to_owned(), source, options, settings, expected: json("expect.json")? })
    }
}

fn options(settings: &Value) -> Result<Options, String> {
    let mut opts = BTreeMap::new();
    let mut set = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            opts.insert(name.to_owned(), value);
        }
    };
    let simple = [
        ("target", "target"),
        ("platform", "platform"),
        ("cgroupParent", "cgroup-parent"),
        ("hostname", "hostname"),
        ("imageResolveMode", "image-resolve-mode"),
        ("filename", "filename"),
        ("network", "force-network-mode"),
        ("shmSize", "shm-size"),
        ("cacheIDNamespace", "build-arg:BUILDKIT_CACHE_MOUNT_NS"),
        ("sourceDateEpoch", "build-arg:SOURCE_DATE_EPOCH"),
        ("check", "build-arg:BUILDKIT_DOCKERFILE_CHECK"),
        ("context", "context"),
    ];
    for (field, option) in simple {
        let value = text(&settings[field]);
        set(option, value.filter(|value| !(field == "network" && value == "default")));
    }
    set("ulimit", list(&settings["ulimits"]));
    set("add-hosts", hosts(&settings["addHosts"]));
    set(
        "no-cache",
        match &settings["noCache"] {
            Value::Bool(true) => Some(String::new()),
            other => list(other),
        },
    );
    for (field, prefix) in
        [("buildArgs", "build-arg:"), ("labels", "label:"), ("namedContexts", "context:"), ("opts", "")]
    {
        for (name, value) in settings[field].as_object().into_iter().flatten() {
            set(&format!("{prefix}{name}"), text(value));
        }
    }
    let build = settings["buildPlatform"].as_str().unwrap_or("linux/amd64");
    let build = Platform::parse(build, &Platform::new("linux", "amd64")).map_err(|error| error.to_string())?;
    Ok(Options {
        opts,
        build_platforms: vec![build],
        session: Some(SESSION.to_owned()),
        labs: settings["channel"] == "labs",
        ..Options::default()
    })
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn list(value: &Value) -> Option<String> {
    let items: Vec<String> = value.as_array()?.iter().filter_map(text).collect();
    Some(items.join(","))
}

fn hosts(value: &Value) -> Option<String> {
    let Value::Object(hosts) = value else { return list(value) };
    let sorted: BTreeMap<_, _> = hosts.iter().collect();
    let entries = sorted.into_iter().map(|(host, address)| format!("{host}={}", text(address).unwrap_or_default()));
    Some(entries.collect::<Vec<_>>().join(","))
}
