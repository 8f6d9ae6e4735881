//! Image configs in Docker's flavour, in the field order and with the omissions of the Go types BuildKit marshals.
//!
//! Mirrors `moby/docker-image-spec` v1 (`DockerOCIImage`), which the Dockerfile frontend reads base configs into and
//! writes results from: fields it does not know are dropped there, so they are dropped here. An exporter that must keep
//! unknown fields works on [`crate::json::RawObject`] instead.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::{Digest, Platform, Time, json};

/// A whole image config: the document an image's manifest points to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// When it was made.
    pub created: Option<Time>,
    /// Who made it.
    pub author: String,
    /// What it runs on.
    pub platform: Platform,
    /// Its layers.
    pub rootfs: RootFs,
    /// How it came about; **shape**: oldest first, one entry per layer that is not `empty_layer`.
    pub history: Vec<History>,
    /// How containers run.
    pub config: ContainerConfig,
}

/// What is written of a config, in the order of Go's fields.
#[derive(Serialize)]
struct Written<'c, H> {
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<Time>,
    #[serde(skip_serializing_if = "str::is_empty")]
    author: &'c str,
    #[serde(flatten)]
    platform: &'c Platform,
    rootfs: &'c RootFs,
    #[serde(skip_serializing_if = "<[H]>::is_empty")]
    history: &'c [H],
    config: &'c ContainerConfig,
}

/// The layers of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RootFs {
    /// `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Digests of the uncompressed layers, lowest first. `None` prints `null`, as Go prints a list never set.
    pub diff_ids: Option<Vec<Digest>>,
}

/// One step in the making of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct History {
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Time>,
    /// The instruction.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    /// Who.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// Which tool: `buildkit.dockerfile.v0`.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub comment: Cow<'static, str>,
    /// Whether the step made no layer.
    #[serde(skip_serializing_if = "is_false")]
    pub empty_layer: bool,
}

/// How containers of an image run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// `user[:group]`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `80/tcp`, ….
    #[serde(skip_serializing_if = "BTreeSet::is_empty", serialize_with = "as_object")]
    pub exposed_ports: BTreeSet<String>,
    /// `KEY=value`, in the order set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The process.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// The process, or arguments to the entrypoint.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// Mount points.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", serialize_with = "as_object")]
    pub volumes: BTreeSet<String>,
    /// Working directory.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The signal that stops the container.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Whether `cmd` is escaped already (Windows; BuildKit sets it with every `CMD`).
    #[serde(skip_serializing_if = "is_false")]
    pub args_escaped: bool,
    /// How health is checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Instructions for images built on this one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
    /// The shell of shell-form commands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
}

/// How health is checked; durations in nanoseconds, 0 inherits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]`, `["CMD-SHELL", line]`; empty inherits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Nanoseconds between checks.
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// Nanoseconds until a check hangs.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// Nanoseconds in which failures do not count.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Nanoseconds between checks in that time.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// Failures until the container is unhealthy.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: i64,
}

impl ImageConfig {
    /// The config of an image with nothing in it.
    pub fn empty(platform: Platform) -> Self {
        let rootfs = RootFs { kind: "layers".to_owned(), diff_ids: None };
        Self { platform, rootfs, ..Self::default() }
    }

    /// The exact bytes BuildKit's frontend exports.
    pub fn to_json(&self) -> Vec<u8> {
        self.written(&self.history)
    }

    /// The same with a history that is kept elsewhere, in place of its own.
    pub fn to_json_with(&self, history: &[&History]) -> Vec<u8> {
        self.written(history)
    }

    fn written<H: Serialize>(&self, history: &[H]) -> Vec<u8> {
        let Self { created, author, platform, rootfs, history: _, config } = self;
        json::to_vec(&Written { created: *created, author, platform, rootfs, history, config })
    }

    /// Digests of the uncompressed layers, lowest first.
    pub fn diff_ids(&self) -> &[Digest] {
        self.rootfs.diff_ids.as_deref().unwrap_or_default()
    }
}

impl ContainerConfig {
    /// The value of a variable: that of the first entry with this key.
    pub fn env(&self, key: &str) -> Option<&str> {
        self.env.iter().find_map(|entry| entry.split_once('=').filter(|(name, _)| *name == key).map(|(_, value)| value))
    }
}

/// Go's `map[string]struct{}`.
fn as_object<S: Serializer>(names: &BTreeSet<String>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(names.len()))?;
    for name in names {
        map.serialize_entry(name, &serde_json::Map::new())?;
    }
    map.end()
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &i64) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(image: &ImageConfig, expected: &str) {
        let bytes = image.to_json();
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), expected);
        assert_eq!(ImageConfig::from_json(&bytes).unwrap(), *image);
    }

    #[test]
    fn empty() {
        check(
            &ImageConfig::empty(Platform::new("linux", "amd64")),
            r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":null},"config":{}}"#,
        );
    }

    #[test]
    fn everything() {
        let created = Time::parse("2026-02-03T04:05:06.5Z").ok();
        let strings = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let image = ImageConfig {
            created,
            author: "me <me@example.com>".into(),
            platform: Platform {
                os_version: "10".into(),
                os_features: strings(&["f"]),
                variant: "v7".into(),
                ..Platform::new("linux", "arm")
            },
            rootfs: RootFs { kind: "layers".into(), diff_ids: Some(vec![]) },
            history: vec![History {
                created,
                created_by: "RUN a && b".into(),
                author: "me".into(),
                comment: "buildkit.dockerfile.v0".into(),
                empty_layer: true,
            }],
            config: ContainerConfig {
                user: "u".into(),
                exposed_ports: ["80/tcp".to_owned(), "53/udp".to_owned()].into(),
                env: strings(&["A=1", "A=2"]),
                entrypoint: strings(&["/e"]),
                cmd: strings(&["c"]),
                volumes: ["/v".to_owned()].into(),
                working_dir: "/w".into(),
                labels: [("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())].into(),
                stop_signal: "SIGINT".into(),
                args_escaped: true,
                healthcheck: Some(Healthcheck {
                    test: strings(&["NONE"]),
                    interval: 1,
                    timeout: 2,
                    start_period: 3,
                    start_interval: 4,
                    retries: 5,
                }),
                on_build: strings(&["RUN x"]),
                shell: strings(&["/bin/sh", "-c"]),
            },
        };
        assert_eq!(image.config.env("A"), Some("1"));
        check(
            &image,
            concat!(
                r#"{"created":"2026-02-03T04:05:06.5Z","author":"me \u003cme@example.com\u003e","architecture":"arm","os":"linux","#,
                r#""os.version":"10","os.features":["f"],"variant":"v7","rootfs":{"type":"layers","diff_ids":[]},"#,
                r#""history":[{"created":"2026-02-03T04:05:06.5Z","created_by":"RUN a \u0026\u0026 b","author":"me","comment":"buildkit.dockerfile.v0","empty_layer":true}],"#,
                r#""config":{"User":"u","ExposedPorts":{"53/udp":{},"80/tcp":{}},"Env":["A=1","A=2"],"Entrypoint":["/e"],"Cmd":["c"],"Volumes":{"/v":{}},"#,
                r#""WorkingDir":"/w","Labels":{"a":"1","b":"2"},"StopSignal":"SIGINT","ArgsEscaped":true,"#,
                r#""Healthcheck":{"Test":["NONE"],"Interval":1,"Timeout":2,"StartPeriod":3,"StartInterval":4,"Retries":5},"OnBuild":["RUN x"],"Shell":["/bin/sh","-c"]}}"#,
            ),
        );
    }
}
