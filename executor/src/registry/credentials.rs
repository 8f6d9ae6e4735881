//! Docker's `config.json` and the credential helpers it names.
//!
//! Mirrors the Docker command line: a helper of the registry (`credHelpers`), else the helper of all (`credsStore`), else
//! what the file itself holds (`auths`). Docker Hub's entry is called `https://index.docker.io/v1/`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use serde::Deserialize;

use crate::{Error, Result};

const HUB_KEY: &str = "https://index.docker.io/v1/";

/// Who asks.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A name and a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token that others are got with.
    IdentityToken(String),
    /// A token that is shown to the registry as it is.
    RegistryToken(String),
}

/// Never prints a secret.
impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Password { user, .. } => write!(f, "password of {user:?}"),
            Self::IdentityToken(_) => f.write_str("identity token"),
            Self::RegistryToken(_) => f.write_str("registry token"),
        }
    }
}

/// Finds credentials; asks every helper once.
#[derive(Debug)]
pub struct Credentials {
    /// `config.json`; read when first needed.
    file: Option<PathBuf>,
    found: Mutex<BTreeMap<String, Option<Credential>>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ConfigFile {
    auths: BTreeMap<String, Auth>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

impl Credentials {
    /// Credentials from this file; none when there is none.
    pub fn new(file: Option<PathBuf>) -> Self {
        Self { file, found: Mutex::default() }
    }

    /// Those of the same file, read again.
    pub(super) fn anew(&self) -> Self {
        Self::new(self.file.clone())
    }

    /// The file the Docker command line uses: `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`.
    pub fn default_file() -> Option<PathBuf> {
        let directory = std::env::var_os("DOCKER_CONFIG").filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker"));
        directory.or_else(home).map(|directory| directory.join("config.json"))
    }

    /// The credential for a registry host, if there is one. **Errors**: a broken file, a helper that fails.
    pub fn find(&self, host: &str) -> Result<Option<Credential>> {
        // Held while a helper runs: parallel requests to one registry ask it once.
        let mut found = self.found.lock().expect("no panic while credentials are looked up");
        if let Some(known) = found.get(host) {
            return Ok(known.clone());
        }
        let credential = self.look_up(host)?;
        found.insert(host.to_owned(), credential.clone());
        Ok(credential)
    }

    fn look_up(&self, host: &str) -> Result<Option<Credential>> {
        let config = self.read()?;
        let key = config_key(host);
        let helper =
            config.cred_helpers.get(host).or_else(|| config.cred_helpers.get(key)).unwrap_or(&config.creds_store);
        if !helper.is_empty()
            && let Some(credential) = ask_helper(helper, key)?
        {
            return Ok(Some(credential));
        }
        let exact = config.auths.get(key);
        let auth =
            exact.or_else(|| config.auths.iter().find(|(name, _)| host_of(name) == host_of(key)).map(|(_, auth)| auth));
        auth.map_or(Ok(None), |auth| auth.credential(host))
    }

    fn read(&self) -> Result<ConfigFile> {
        let Some(file) = &self.file else { return Ok(ConfigFile::default()) };
        let bytes = match std::fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(ConfigFile::default()),
            Err(error) => return Err(Error::io("read", file)(error)),
        };
        serde_json::from_slice(&bytes).map_err(|error| Error::Invalid(format!("{}: {error}", file.display())))
    }
}

impl Auth {
    fn credential(&self, host: &str) -> Result<Option<Credential>> {
        if !self.registrytoken.is_empty() {
            return Ok(Some(Credential::RegistryToken(self.registrytoken.clone())));
        }
        if !self.identitytoken.is_empty() {
            return Ok(Some(Credential::IdentityToken(self.identitytoken.clone())));
        }
        let (user, password) = match self.auth.is_empty() {
            true => (self.username.clone(), self.password.clone()),
            false => decode_auth(&self.auth).ok_or_else(|| {
                Error::Invalid(format!("the auth entry of {host} in config.json is not base64 of name:password"))
            })?,
        };
        Ok((!user.is_empty()).then_some(Credential::Password { user, password }))
    }
}

fn decode_auth(auth: &str) -> Option<(String, String)> {
    let text = String::from_utf8(oci::base64::decode(auth.trim())?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.trim_end_matches('\0').to_owned()))
}

/// The name of a registry in `config.json`.
fn config_key(host: &str) -> &str {
    match host {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => HUB_KEY,
        _ => host,
    }
}

/// The host of an entry, which may be an address with scheme and path.
fn host_of(key: &str) -> &str {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// Runs `docker-credential-<name> get`; `None` when it knows nothing of the registry.
fn ask_helper(name: &str, key: &str) -> Result<Option<Credential>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase", default)]
    #[derive(Default)]
    struct Answer {
        username: String,
        secret: String,
    }
    let program = format!("docker-credential-{name}");
    let failed =
        |reason: String| Error::Remote { attempt: format!("asking {program} for the credentials of {key}"), reason };
    if name.contains(['/', '\0']) {
        return Err(failed("a helper's name is no path; correct credsStore or credHelpers in config.json".to_owned()));
    }
    let output = run_helper(&program, key).map_err(|error| {
        failed(format!("{error}; install it, or take it out of credsStore and credHelpers in config.json"))
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        return if said.contains("credentials not found") { Ok(None) } else { Err(failed(said)) };
    }
    let answer: Answer = serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))?;
    Ok(match (answer.username.as_str(), answer.secret) {
        (_, secret) if secret.is_empty() => None,
        ("<token>", secret) => Some(Credential::IdentityToken(secret)),
        (user, password) => Some(Credential::Password { user: user.to_owned(), password }),
    })
}

fn run_helper(program: &str, key: &str) -> std::io::Result<std::process::Output> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read its input fails by its own words.
        let _ = stdin.write_all(key.as_bytes());
    }
    child.wait_with_output()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: &str, host: &str, expected: Option<Credential>) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.json");
        std::fs::write(&file, config).unwrap();
        let credentials = Credentials::new(Some(file));
        for _ in 0..2 {
            assert_eq!(credentials.find(host).unwrap(), expected, "{host} in {config}");
        }
    }

    fn password(user: &str, password: &str) -> Option<Credential> {
        Some(Credential::Password { user: user.to_owned(), password: password.to_owned() })
    }

    #[test]
    fn entries_of_the_file() {
        // "me:se:cret"
        let auth = r#"{"auths": {"example.com": {"auth": "bWU6c2U6Y3JldA=="}, "https://other.example.com/v1/": {"username": "u", "password": "p"}}}"#;
        check(auth, "example.com", password("me", "se:cret"));
        check(auth, "other.example.com", password("u", "p"));
        check(auth, "nowhere.example.com", None);
        check("{}", "example.com", None);
        check(r#"{"auths": {"example.com": {}}}"#, "example.com", None);
        let tokens = r#"{"auths": {"a": {"auth": "bWU6cA==", "identitytoken": "i"}, "b": {"registrytoken": "r"}}}"#;
        check(tokens, "a", Some(Credential::IdentityToken("i".into())));
        check(tokens, "b", Some(Credential::RegistryToken("r".into())));
    }

    #[test]
    fn docker_hub_has_an_odd_name() {
        let config = r#"{"auths": {"https://index.docker.io/v1/": {"username": "u", "password": "p"}}}"#;
        check(config, "docker.io", password("u", "p"));
        check(config, "registry-1.docker.io", password("u", "p"));
    }

    #[test]
    fn failures_say_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.json");
        assert_eq!(Credentials::new(Some(file.clone())).find("a").unwrap(), None);
        for (config, expected) in [
            ("{", "config.json"),
            (r#"{"auths": {"a": {"auth": "!"}}}"#, "not base64"),
            (r#"{"credsStore": "no-such-helper"}"#, "take it out of credsStore"),
            (r#"{"credHelpers": {"a": "../x"}}"#, "no path"),
        ] {
            std::fs::write(&file, config).unwrap();
            let error = Credentials::new(Some(file.clone())).find("a").unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        assert!(!format!("{:?}", password("u", "hidden")).contains("hidden"));
    }
}
