//! Image configs in Docker's flavour, in the field order and with the omissions of the Go types BuildKit marshals.
//!
//! Mirrors `moby/docker-image-spec` v1 (`DockerOCIImage`), which the Dockerfile frontend reads base configs into and
//! writes results from: fields it does not know are dropped there, so they are dropped here. They are read by `config_read` and
//! written by `config_write`. An exporter that must keep
//! unknown fields works on [`crate::json::RawObject`] instead.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::{Digest, Platform, Time};

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

/// The layers of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RootFs {
    /// `layers`.
    pub kind: String,
    /// Digests of the uncompressed layers, lowest first. `None` prints `null`, as Go prints a list never set.
    pub diff_ids: Option<Vec<Digest>>,
}

/// One step in the making of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// When.
    pub created: Option<Time>,
    /// The instruction.
    pub created_by: String,
    /// Who.
    pub author: String,
    /// Which tool: `buildkit.dockerfile.v0`.
    pub comment: Cow<'static, str>,
    /// Whether the step made no layer.
    pub empty_layer: bool,
}

/// How containers of an image run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerConfig {
    /// `user[:group]`.
    pub user: String,
    /// `80/tcp`, ….
    pub exposed_ports: BTreeSet<String>,
    /// `KEY=value`, in the order set.
    pub env: Vec<String>,
    /// The process.
    pub entrypoint: Vec<String>,
    /// The process, or arguments to the entrypoint.
    pub cmd: Vec<String>,
    /// Mount points.
    pub volumes: BTreeSet<String>,
    /// Working directory.
    pub working_dir: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The signal that stops the container.
    pub stop_signal: String,
    /// Whether `cmd` is escaped already (Windows; BuildKit sets it with every `CMD`).
    pub args_escaped: bool,
    /// How health is checked.
    pub healthcheck: Option<Healthcheck>,
    /// Instructions for images built on this one.
    pub on_build: Vec<String>,
    /// The shell of shell-form commands.
    pub shell: Vec<String>,
}

/// How health is checked; durations in nanoseconds, 0 inherits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]`, `["CMD-SHELL", line]`; empty inherits.
    pub test: Vec<String>,
    /// Nanoseconds between checks.
    pub interval: i64,
    /// Nanoseconds until a check hangs.
    pub timeout: i64,
    /// Nanoseconds in which failures do not count.
    pub start_period: i64,
    /// Nanoseconds between checks in that time.
    pub start_interval: i64,
    /// Failures until the container is unhealthy.
    pub retries: i64,
}

impl ImageConfig {
    /// The config of an image with nothing in it.
    pub fn empty(platform: Platform) -> Self {
        let rootfs = RootFs { kind: "layers".to_owned(), diff_ids: None };
        Self { platform, rootfs, ..Self::default() }
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
