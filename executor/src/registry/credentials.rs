//! Docker's `config.json` and the credential helpers it names.
//!
//! Mirrors the Docker command line: what `DOCKER_AUTH_CONFIG` holds (`auths`), else a helper of the registry
//! (`credHelpers`), else the helper of all (`credsStore`), else what the file itself holds (`auths`). Docker Hub's entry is
//! called `https://index.docker.io/v1/`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::helper;
use crate::{Cancel, Error, Result};

const HUB_KEY: &str = "https://index.docker.io/v1/";
/// The variable that holds what `config.json` would.
const VARIABLE: &str = "DOCKER_AUTH_CONFIG";
/// How long what was found counts. parity: what Google's helper says is good for five minutes.
const FRESH: Duration = Duration::from_secs(4 * 60 + 50);

/// Where credentials are.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// `config.json`; read when first needed.
    file: Option<PathBuf>,
    /// The same as text, which counts first.
    text: Option<String>,
}

impl Place {
    /// Where the Docker command line looks.
    pub fn of_user() -> Self {
        let text = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
        Self { file: Credentials::default_file(), text }
    }

    /// A file.
    pub fn file(path: PathBuf) -> Self {
        Self { file: Some(path), text: None }
    }
}

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

impl Credential {
    /// A name and a secret. parity: one without a name is an identity token, as is that of `<token>`.
    pub(super) fn of(user: &str, secret: &str) -> Option<Self> {
        match (user, secret) {
            (_, "") => None,
            ("" | "<token>", secret) => Some(Self::IdentityToken(secret.to_owned())),
            (user, password) => Some(Self::Password { user: user.to_owned(), password: password.to_owned() }),
        }
    }
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

/// Finds credentials; asks no helper more often than needed.
#[derive(Debug)]
pub struct Credentials {
    place: Place,
    fresh: Duration,
    found: Mutex<BTreeMap<String, (Instant, Option<Credential>)>>,
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
    /// Credentials from there; none when there is nothing.
    pub fn new(place: Place) -> Self {
        Self { place, fresh: FRESH, found: Mutex::default() }
    }

    /// Those of the same place, read again.
    pub(super) fn anew(&self) -> Self {
        Self::new(self.place.clone())
    }

    /// The file the Docker command line uses: `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`.
    pub fn default_file() -> Option<PathBuf> {
        let directory = std::env::var_os("DOCKER_CONFIG").filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker"));
        directory.or_else(home).map(|directory| directory.join("config.json"))
    }

    /// The credential for a registry host, if there is one. **Errors**: a broken file, a helper that fails, `Cancelled`.
    pub fn find(&self, host: &str, cancel: &Cancel) -> Result<Option<Credential>> {
        // Held while a helper runs: parallel requests to one registry ask it once.
        let mut found = self.found.lock().expect("no panic while credentials are looked up");
        if let Some((_, known)) = found.get(host).filter(|(since, _)| since.elapsed() < self.fresh) {
            return Ok(known.clone());
        }
        let credential = self.look_up(host, cancel)?;
        found.insert(host.to_owned(), (Instant::now(), credential.clone()));
        Ok(credential)
    }

    fn look_up(&self, host: &str, cancel: &Cancel) -> Result<Option<Credential>> {
        let key = config_key(host);
        if let Some(text) = &self.place.text {
            let config = ConfigFile::parse(text.as_bytes(), VARIABLE)?;
            if let Some(auth) = config.auth(key) {
                return auth.credential(host, VARIABLE);
            }
        }
        let config = self.read()?;
        let helper =
            config.cred_helpers.get(host).or_else(|| config.cred_helpers.get(key)).unwrap_or(&config.creds_store);
        if !helper.is_empty()
            && let Some(credential) = helper::ask(helper, key, cancel)?
        {
            return Ok(Some(credential));
        }
        config.auth(key).map_or(Ok(None), |auth| auth.credential(host, "config.json"))
    }

    fn read(&self) -> Result<ConfigFile> {
        let Some(file) = &self.place.file else { return Ok(ConfigFile::default()) };
        let bytes = match std::fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(ConfigFile::default()),
            Err(error) => return Err(Error::io("read", file)(error)),
        };
        ConfigFile::parse(&bytes, &file.display().to_string())
    }
}

impl ConfigFile {
    fn parse(text: &[u8], name: &str) -> Result<Self> {
        serde_json::from_slice(text).map_err(|error| Error::Invalid(format!("{name}: {error}")))
    }

    /// The entry of a registry, by its name or an address of it.
    fn auth(&self, key: &str) -> Option<&Auth> {
        let of_host = || self.auths.iter().find(|(name, _)| host_of(name) == host_of(key)).map(|(_, auth)| auth);
        self.auths.get(key).or_else(of_host)
    }
}

impl Auth {
    fn credential(&self, host: &str, place: &str) -> Result<Option<Credential>> {
        if !self.registrytoken.is_empty() {
            return Ok(Some(Credential::RegistryToken(self.registrytoken.clone())));
        }
        if !self.identitytoken.is_empty() {
            return Ok(Some(Credential::IdentityToken(self.identitytoken.clone())));
        }
        let (user, password) = match self.auth.is_empty() {
            true => (self.username.clone(), self.password.clone()),
            false => decode_auth(&self.auth).ok_or_else(|| {
                Error::Invalid(format!("the auth entry of {host} in {place} is not base64 of name:password"))
            })?,
        };
        Ok(Credential::of(&user, &password))
    }
}

fn decode_auth(auth: &str) -> Option<(String, String)> {
    let text = String::from_utf8(oci::base64::decode(auth.trim())?).ok()?;
    let (user, password) = text.split_once(':').filter(|(user, _)| !user.is_empty())?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: &str, host: &str, expected: Option<Credential>) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.json");
        std::fs::write(&file, config).unwrap();
        let credentials = Credentials::new(Place::file(file));
        for _ in 0..2 {
            assert_eq!(credentials.find(host, &Cancel::default()).unwrap(), expected, "{host} in {config}");
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
        check(r#"{"auths": {"a": {"password": "i"}}}"#, "a", Some(Credential::IdentityToken("i".into())));
    }

    #[test]
    fn the_variable_counts_first() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.json");
        let entry = |host: &str| format!(r#"{{"auths": {{"{host}": {{"auth": "dTpw"}}}}, "credsStore": "none"}}"#);
        std::fs::write(&file, r#"{"auths": {"a": {"password": "i"}, "b": {"password": "i"}}}"#).unwrap();
        let find = |text: &str, host: &str| {
            let place = Place { file: Some(file.clone()), text: Some(text.to_owned()) };
            Credentials::new(place).find(host, &Cancel::default()).map_err(|error| error.to_string())
        };
        assert_eq!(find(&entry("a"), "a"), Ok(password("u", "p")));
        assert_eq!(find(&entry("a"), "b"), Ok(Some(Credential::IdentityToken("i".into()))));
        assert_eq!(find(&entry("https://index.docker.io/v1/"), "registry-1.docker.io"), Ok(password("u", "p")));
        let error = find(r#"{"auths": {"a": {"auth": "!"}}}"#, "a").unwrap_err();
        assert!(error.contains("the auth entry of a in DOCKER_AUTH_CONFIG is not base64"), "{error}");
        assert!(find("x", "a").unwrap_err().contains("DOCKER_AUTH_CONFIG: expected value"));
    }

    #[test]
    fn what_was_found_counts_for_a_while() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.json");
        let write = |secret: &str| {
            std::fs::write(&file, format!(r#"{{"auths": {{"a": {{"password": "{secret}"}}}}}}"#)).unwrap();
        };
        let found_then = |fresh| {
            write("old");
            let credentials = Credentials { fresh, ..Credentials::new(Place::file(file.clone())) };
            credentials.find("a", &Cancel::default()).unwrap();
            write("new");
            credentials.find("a", &Cancel::default()).unwrap()
        };
        assert_eq!(found_then(FRESH), Some(Credential::IdentityToken("old".into())));
        assert_eq!(found_then(Duration::ZERO), Some(Credential::IdentityToken("new".into())));
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
        assert_eq!(Credentials::new(Place::file(file.clone())).find("a", &Cancel::default()).unwrap(), None);
        for (config, expected) in [
            ("{", "config.json"),
            (r#"{"auths": {"a": {"auth": "!"}}}"#, "not base64"),
            (r#"{"auths": {"a": {"auth": "OnA="}}}"#, "not base64 of name:password"),
            (r#"{"credsStore": "no-such-helper"}"#, "take it out of credsStore"),
            (r#"{"credHelpers": {"a": "../x"}}"#, "no path"),
        ] {
            std::fs::write(&file, config).unwrap();
            let error =
                Credentials::new(Place::file(file.clone())).find("a", &Cancel::default()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        assert!(!format!("{:?}", password("u", "hidden")).contains("hidden"));
    }
}
