//! Which servers answer for a registry's name.
//!
//! Mirrors are asked first, in order, then the registry itself. Loopback registries speak plain HTTP unless said
//! otherwise, as everywhere in this trade; `docker.io` is served by `registry-1.docker.io`. Of those that may speak either,
//! a [`Client`](super::Client) finds out.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{Error, Result};

/// What the user said about registries. Field names are those of BuildKit's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Hosts {
    /// By domain as it stands in references, and by host for mirrors.
    #[serde(default, rename = "registry")]
    pub registries: BTreeMap<String, Host>,
}

/// What the user said about one registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Hosts to ask first: `host[:port][/path]`.
    #[serde(default)]
    pub mirrors: Vec<String>,
    /// Whether it speaks plain HTTP; unset: loopback does.
    pub http: Option<bool>,
    /// Whether its certificate is not checked.
    #[serde(default)]
    pub insecure: bool,
    /// Files with certificates to trust besides the system's (PEM).
    #[serde(default)]
    pub ca: Vec<PathBuf>,
    /// What to show the server that wants to know who asks: one at most.
    #[serde(default)]
    pub keypair: Vec<KeyPair>,
    /// Directories with more of both: `*.crt` to trust, `*.cert` and `*.key` to show.
    #[serde(default, rename = "tlsconfigdir")]
    pub tls_config_dirs: Vec<PathBuf>,
}

/// A client's certificate and its key, in files (PEM).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyPair {
    /// The private key.
    pub key: PathBuf,
    /// The certificate, and those that vouch for it.
    pub cert: PathBuf,
}

/// One server that answers for a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// `host[:port]`: what credentials and connections belong to.
    pub(super) host: String,
    /// `https://host/v2/` and the path of a mirror.
    pub(super) base: String,
    /// The registry it mirrors.
    pub(super) mirror_of: Option<String>,
    /// Whether it may speak plain HTTP all the same.
    pub(super) may_be_plain: bool,
}

impl Hosts {
    /// Reads a JSON file: `{"registry": {"docker.io": {"mirrors": ["mirror.example.com"]}}}`.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        let mut hosts: Self = serde_json::from_slice(&bytes)
            .map_err(|error| Error::Invalid(format!("registries file {}: {error}", path.display())))?;
        hosts.registries.values_mut().try_for_each(Host::read_directories)?;
        Ok(hosts)
    }

    /// What was said about a host.
    pub(super) fn host(&self, host: &str) -> Host {
        self.registries.get(host).cloned().unwrap_or_default()
    }

    /// The servers that answer for a domain, in the order to ask.
    pub(super) fn endpoints(&self, domain: &str) -> Vec<Endpoint> {
        let mirrors = self.host(domain).mirrors;
        let mirrors = mirrors.iter().map(|mirror| {
            let (host, path) = mirror.split_once('/').unwrap_or((mirror, ""));
            self.endpoint(host, host, path, Some(domain))
        });
        mirrors.chain([self.endpoint(domain, server_of(domain), "", None)]).collect()
    }

    fn endpoint(&self, name: &str, host: &str, path: &str, mirror_of: Option<&str>) -> Endpoint {
        let said = self.host(name);
        let plain = said.http.unwrap_or_else(|| is_loopback(host));
        // parity: but for certificates, which BuildKit passes over here.
        let may_be_plain = plain && (said.insecure || said.http.is_none() && said.has_certificates());
        let scheme = if plain && !may_be_plain { "http" } else { "https" };
        let path = path.trim_matches('/');
        let slash = if path.is_empty() { "" } else { "/" };
        Endpoint {
            host: host.to_owned(),
            base: format!("{scheme}://{host}/v2/{path}{slash}"),
            mirror_of: mirror_of.map(str::to_owned),
            may_be_plain,
        }
    }
}

impl Host {
    fn has_certificates(&self) -> bool {
        !self.ca.is_empty() || !self.keypair.is_empty()
    }

    /// Finds the certificates in directories. parity: those that are not there or may not be read have none.
    fn read_directories(&mut self) -> Result<()> {
        for dir in &self.tls_config_dirs {
            let entries = match std::fs::read_dir(dir) {
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => continue,
                entries => entries.and_then(Iterator::collect::<std::io::Result<Vec<_>>>),
            };
            let entries = entries.map_err(Error::io("list", dir))?;
            let mut paths: Vec<_> = entries.iter().map(std::fs::DirEntry::path).collect();
            paths.sort();
            for path in paths {
                match path.extension().and_then(OsStr::to_str) {
                    Some("crt") => self.ca.push(path),
                    Some("cert") => self.keypair.push(KeyPair { key: path.with_extension("key"), cert: path }),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

impl Endpoint {
    /// The same in plain HTTP.
    pub(super) fn plain(self) -> Self {
        Self { base: self.base.replacen("https://", "http://", 1), ..self }
    }

    /// The address of something in a repository: `manifests/latest`.
    pub(super) fn url(&self, repository: &str, rest: &str) -> String {
        let mark = if rest.contains('?') { '&' } else { '?' };
        // Mirrors of several registries tell them apart by this parameter.
        let mirrored = self.mirror_of.as_ref().map(|domain| format!("{mark}ns={domain}"));
        format!("{}{repository}/{rest}{}", self.base, mirrored.unwrap_or_default())
    }
}

fn server_of(domain: &str) -> &str {
    if domain == "docker.io" { "registry-1.docker.io" } else { domain }
}

/// Whether a `host[:port]` is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    };
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: &str, domain: &str, expected: &[&str]) {
        let hosts: Hosts = serde_json::from_str(config).unwrap();
        let urls: Vec<_> =
            hosts.endpoints(domain).iter().map(|endpoint| endpoint.url("a/b", "manifests/latest")).collect();
        assert_eq!(urls, expected);
    }

    #[test]
    fn defaults() {
        check("{}", "docker.io", &["https://registry-1.docker.io/v2/a/b/manifests/latest"]);
        check("{}", "example.com:5000", &["https://example.com:5000/v2/a/b/manifests/latest"]);
        for local in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000"] {
            check("{}", local, &[&format!("http://{local}/v2/a/b/manifests/latest")]);
        }
        check("{}", "localhost.example.com", &["https://localhost.example.com/v2/a/b/manifests/latest"]);
    }

    #[test]
    fn configured() {
        check(
            r#"{"registry": {"docker.io": {"mirrors": ["m.example.com/hub", "127.0.0.1:5000"]}, "m.example.com": {"http": true}}}"#,
            "docker.io",
            &[
                "http://m.example.com/v2/hub/a/b/manifests/latest?ns=docker.io",
                "http://127.0.0.1:5000/v2/a/b/manifests/latest?ns=docker.io",
                "https://registry-1.docker.io/v2/a/b/manifests/latest",
            ],
        );
        check(
            r#"{"registry": {"localhost:5000": {"http": false}}}"#,
            "localhost:5000",
            &["https://localhost:5000/v2/a/b/manifests/latest"],
        );
        assert!(serde_json::from_str::<Hosts>(r#"{"registry": {"a": {"mirror": []}}}"#).is_err());
    }

    #[test]
    fn what_may_be_plain() {
        let check = |host: &str, said: &str, expected: &str| {
            let hosts: Hosts = serde_json::from_str(&format!(r#"{{"registry": {{"{host}": {said}}}}}"#)).unwrap();
            let endpoint = hosts.endpoints(host).remove(0);
            let either = if endpoint.may_be_plain { endpoint.clone().plain().base } else { String::new() };
            assert_eq!(format!("{} {either}", endpoint.base).replace(host, "H"), expected, "{host} {said}");
        };
        check("localhost:1", "{}", "http://H/v2/ ");
        check("localhost:1", r#"{"insecure": true}"#, "https://H/v2/ http://H/v2/");
        check("localhost:1", r#"{"ca": ["x"]}"#, "https://H/v2/ http://H/v2/");
        check("localhost:1", r#"{"ca": ["x"], "http": true}"#, "http://H/v2/ ");
        check("localhost:1", r#"{"insecure": true, "http": false}"#, "https://H/v2/ ");
        check("example.com", r#"{"insecure": true}"#, "https://H/v2/ ");
        check("example.com", r#"{"insecure": true, "http": true}"#, "https://H/v2/ http://H/v2/");
        check("example.com", r#"{"ca": ["x"]}"#, "https://H/v2/ ");
    }

    #[test]
    fn directories_of_certificates() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.crt", "a.crt", "me.cert", "me.key", "other.pem"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let file = dir.path().join("registries.json");
        let text = format!(
            r#"{{"registry": {{"h": {{"ca": ["x"], "tlsconfigdir": ["{}", "/nonexistent"]}}}}}}"#,
            dir.path().display()
        );
        std::fs::write(&file, text).unwrap();
        let host = Hosts::read(&file).unwrap().host("h");
        let at = |name: &str| dir.path().join(name);
        assert_eq!(host.ca, [PathBuf::from("x"), at("a.crt"), at("b.crt")]);
        assert_eq!(host.keypair, [KeyPair { key: at("me.key"), cert: at("me.cert") }]);
    }
}
