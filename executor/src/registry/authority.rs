//! Tokens and passwords: what goes into `Authorization`, got once and kept until it expires.
//!
//! The token dance is Docker's: POST as in OAuth 2 when there are credentials, and where a server does not know that, GET
//! with basic authentication. A token is kept for the set of scopes it was asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Deserialize;
use ureq::http::{Method, StatusCode, header};

use super::challenge::Challenge;
use super::credentials::{Credential, Credentials};
use super::hosts::{Endpoint, Host};
use super::transport::{Call, Failure, Payload, Transport, failure_of, is_in_the_clear, redacted};
use crate::{Cancel, Error};

/// How long a token is good that does not say.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// A token is not used longer, whatever its server says: no build takes a day.
const MAX_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// A token is not used in the last moments of its life.
const SLACK: Duration = Duration::from_secs(10);
/// Longest answer of a token server, in bytes.
const MAX_ANSWER: u64 = 1 << 20;
/// How this client calls itself to token servers.
const CLIENT_ID: &str = "llbc";

/// What a request needs to be permitted: `repository:library/alpine:pull`, ….
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scope(BTreeMap<String, BTreeSet<String>>);

impl Scope {
    /// Reading a repository.
    pub(super) fn pull(repository: &str) -> Self {
        Self::parse(&format!("repository:{repository}:pull"))
    }

    /// Writing to a repository.
    pub(super) fn push(repository: &str) -> Self {
        Self::parse(&format!("repository:{repository}:pull,push"))
    }

    /// Scopes as they stand in a challenge, separated by blanks.
    fn parse(text: &str) -> Self {
        let mut scope = Self::default();
        for part in text.split_whitespace() {
            let (resource, actions) = part.rsplit_once(':').unwrap_or((part, ""));
            let actions = actions.split(',').map(str::to_owned);
            scope.0.entry(resource.to_owned()).or_default().extend(actions);
        }
        scope
    }

    /// Both; actions on one resource become one scope.
    pub(super) fn and(mut self, other: &Self) -> Self {
        for (resource, actions) in &other.0 {
            self.0.entry(resource.clone()).or_default().extend(actions.iter().cloned());
        }
        self
    }

    fn texts(&self) -> Vec<String> {
        let join = |actions: &BTreeSet<String>| actions.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        self.0.iter().map(|(resource, actions)| format!("{resource}:{}", join(actions))).collect()
    }
}

/// A server that wants to know who asks, and how it is spoken to.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) transport: &'a Transport,
    pub(super) host: &'a Host,
    pub(super) endpoint: &'a Endpoint,
    /// Of whoever waits for it.
    pub(super) cancel: &'a Cancel,
}

/// What is known of how to be let in.
#[derive(Debug)]
pub(super) struct Authority {
    credentials: Credentials,
    /// By host. One lock for all: getting a token once is worth waiting for.
    known: Mutex<BTreeMap<String, Known>>,
}

#[derive(Debug, Default)]
struct Known {
    scheme: Option<Challenge>,
    tokens: BTreeMap<Scope, Token>,
}

#[derive(Clone, Debug)]
struct Token {
    header: String,
    expires: Instant,
}

impl Authority {
    /// One that knows as much as this did at its beginning.
    pub(super) fn anew(&self) -> Self {
        Self::new(self.credentials.anew())
    }

    pub(super) fn new(credentials: Credentials) -> Self {
        Self { credentials, known: Mutex::default() }
    }

    /// What to send along, as far as it is known without asking anybody.
    pub(super) fn known(&self, asked: Asked<'_>, scope: &Scope) -> Result<Option<String>, Failure> {
        let scheme = {
            let known = self.lock();
            let Some(known) = known.get(&asked.endpoint.host) else { return Ok(None) };
            if let Some(token) = known.tokens.get(scope).filter(|token| token.expires > Instant::now()) {
                return Ok(Some(token.header.clone()));
            }
            known.scheme.clone()
        };
        match scheme {
            Some(Challenge::Basic) => self.basic(asked),
            Some(Challenge::Bearer { .. }) => Ok(self.registry_token(asked)?),
            None => Ok(None),
        }
    }

    /// What to send along after a server answered 401 to `rejected`; `None` when nothing else can be tried.
    pub(super) fn answer(
        &self,
        asked: Asked<'_>,
        challenges: &[Challenge],
        scope: &Scope,
        rejected: Option<&str>,
    ) -> Result<Option<String>, Failure> {
        for challenge in challenges {
            let header = match challenge {
                Challenge::Basic => self.basic(asked)?,
                Challenge::Bearer { .. } => Some(self.bearer(asked, challenge, scope, rejected)?),
            };
            if let Some(header) = header.filter(|header| Some(header.as_str()) != rejected) {
                self.lock().entry(asked.endpoint.host.clone()).or_default().scheme = Some(challenge.clone());
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    fn credential(&self, asked: Asked<'_>) -> Result<Option<Credential>, Failure> {
        self.credentials.find(&asked.endpoint.host, asked.cancel).map_err(|error| match error {
            Error::Cancelled => Failure::Cancelled,
            error => Failure::Local(error.to_string()),
        })
    }

    fn basic(&self, asked: Asked<'_>) -> Result<Option<String>, Failure> {
        match self.credential(asked)? {
            Some(Credential::Password { user, password }) => Ok(Some(basic_header(&user, &password))),
            _ => Ok(None),
        }
    }

    fn registry_token(&self, asked: Asked<'_>) -> Result<Option<String>, Failure> {
        match self.credential(asked)? {
            Some(Credential::RegistryToken(token)) => Ok(Some(format!("Bearer {token}"))),
            _ => Ok(None),
        }
    }

    fn bearer(
        &self,
        asked: Asked<'_>,
        challenge: &Challenge,
        wanted: &Scope,
        rejected: Option<&str>,
    ) -> Result<String, Failure> {
        let Challenge::Bearer { realm, service, scope, .. } = challenge else {
            unreachable!("called for bearer challenges only")
        };
        if let Some(token) = self.registry_token(asked)? {
            return Ok(token);
        }
        let credential = self.credential(asked)?;
        let scope = wanted.clone().and(&Scope::parse(scope));
        // Held while a token is fetched: parallel requests with the same scope share it.
        let mut known = self.lock();
        let tokens = &mut known.entry(asked.endpoint.host.clone()).or_default().tokens;
        let usable = |token: &&Token| token.expires > Instant::now() && Some(token.header.as_str()) != rejected;
        if let Some(token) = tokens.get(wanted).filter(usable) {
            return Ok(token.header.clone());
        }
        let token = TokenRequest { realm, service, scope: &scope, credential: credential.as_ref() }.send(asked)?;
        tokens.insert(wanted.clone(), token.clone());
        Ok(token.header)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().expect("no panic while tokens are held")
    }
}

fn basic_header(user: &str, password: &str) -> String {
    format!("Basic {}", oci::base64::encode(format!("{user}:{password}").as_bytes()))
}

/// One question to a token server.
struct TokenRequest<'a> {
    realm: &'a str,
    service: &'a str,
    scope: &'a Scope,
    credential: Option<&'a Credential>,
}

impl TokenRequest<'_> {
    fn send(&self, asked: Asked<'_>) -> Result<Token, Failure> {
        if self.credential.is_some() && is_in_the_clear(self.realm) && asked.endpoint.base.starts_with("https://") {
            return Err(Failure::Protocol(format!(
                "{} wants credentials sent to {} in the clear, which is refused",
                asked.endpoint.host,
                redacted(self.realm)
            )));
        }
        let Some(credential) = self.credential else { return self.get(asked, None) };
        match self.post(asked, credential) {
            // Servers that know no OAuth 2 say so in these ways.
            Err(
                Failure::NotFound | Failure::Denied(_) | Failure::Status { status: StatusCode::METHOD_NOT_ALLOWED, .. },
            ) => match credential {
                Credential::Password { user, password } => self.get(asked, Some(&basic_header(user, password))),
                // parity: as the password of nobody.
                Credential::IdentityToken(token) => {
                    self.get(asked, Some(&basic_header("", token))).map_err(|failure| match failure {
                        Failure::NotFound | Failure::Denied(_) => {
                            Failure::Denied("the identity token was not accepted; log in again".to_owned())
                        }
                        other => other,
                    })
                }
                Credential::RegistryToken(_) => unreachable!("registry tokens are shown as they are"),
            },
            other => other,
        }
    }

    fn post(&self, asked: Asked<'_>, credential: &Credential) -> Result<Token, Failure> {
        let scope = self.scope.texts().join(" ");
        let mut form = vec![("service", self.service), ("client_id", CLIENT_ID), ("scope", &scope)];
        match credential {
            Credential::Password { user, password } => {
                form.extend([("grant_type", "password"), ("username", user.as_str()), ("password", password.as_str())]);
            }
            Credential::IdentityToken(token) => {
                form.extend([("grant_type", "refresh_token"), ("refresh_token", token.as_str())])
            }
            Credential::RegistryToken(_) => unreachable!("registry tokens are shown as they are"),
        }
        let body = encode_query(&form);
        let call = Call::new(Method::POST, self.realm.to_owned())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded; charset=utf-8")
            .body(Payload::Bytes(body.as_bytes()))
            .named_by(&asked.endpoint.base);
        read_token(asked, &call, None)
    }

    fn get(&self, asked: Asked<'_>, authorization: Option<&str>) -> Result<Token, Failure> {
        let scopes = self.scope.texts();
        let mut query = vec![("service", self.service)];
        query.retain(|(_, service)| !service.is_empty());
        query.extend(scopes.iter().map(|scope| ("scope", scope.as_str())));
        let mark = if self.realm.contains('?') { '&' } else { '?' };
        let url = format!("{}{mark}{}", self.realm, encode_query(&query));
        let call = Call::new(Method::GET, url).named_by(&asked.endpoint.base);
        read_token(asked, &call, authorization)
    }
}

fn read_token(asked: Asked<'_>, call: &Call<'_>, authorization: Option<&str>) -> Result<Token, Failure> {
    #[derive(Deserialize)]
    struct Reply {
        token: Option<String>,
        access_token: Option<String>,
        expires_in: Option<i64>,
    }
    let mut response = asked.transport.send(asked.host, call, authorization)?.response;
    if !response.status().is_success() {
        return Err(failure_of(call, response));
    }
    let server = redacted(&call.url);
    let malformed = |reason: String| Failure::Protocol(format!("token server {server} sent no token: {reason}"));
    let bytes = response
        .body_mut()
        .with_config()
        .limit(MAX_ANSWER)
        .read_to_vec()
        .map_err(|error| malformed(error.to_string()))?;
    // parity: what follows the first value counts for nothing, and of two tokens that of OAuth 2 is taken.
    let mut replies = serde_json::Deserializer::from_slice(&bytes).into_iter::<Reply>();
    let reply = replies.next().ok_or_else(|| malformed("an empty answer".to_owned()))?;
    let reply = reply.map_err(|error| malformed(error.to_string()))?;
    let token = [reply.access_token, reply.token].into_iter().flatten().find(|token| !token.is_empty());
    let token = token.ok_or_else(|| malformed("neither token nor access_token".to_owned()))?;
    let said = u64::try_from(reply.expires_in.unwrap_or_default()).unwrap_or_default();
    let life = Duration::from_secs(said).clamp(DEFAULT_LIFE, MAX_LIFE);
    Ok(Token { header: format!("Bearer {token}"), expires: Instant::now() + life - SLACK })
}

/// `a=b&c=d`, escaped for queries and forms.
fn encode_query(pairs: &[(&str, &str)]) -> String {
    let encode = |text: &str| {
        text.bytes().fold(String::new(), |mut out, byte| {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
            out
        })
    };
    pairs.iter().map(|(key, value)| format!("{key}={}", encode(value))).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_merge() {
        let scope = Scope::pull("a/b").and(&Scope::parse("repository:a/b:push repository:c:pull registry:catalog:*"));
        assert_eq!(scope.texts(), ["registry:catalog:*", "repository:a/b:pull,push", "repository:c:pull"]);
        assert_eq!(Scope::parse("").texts(), [""; 0]);
    }

    #[test]
    fn queries_are_escaped() {
        assert_eq!(encode_query(&[("a", "b c"), ("d", "ü&/:")]), "a=b%20c&d=%C3%BC%26%2F%3A");
    }
}
