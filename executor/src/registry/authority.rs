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

/// How long a token is good that does not say.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
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
    pub(super) fn known(&self, endpoint: &Endpoint, scope: &Scope) -> Result<Option<String>, Failure> {
        let basic = {
            let known = self.lock();
            let Some(known) = known.get(&endpoint.host) else { return Ok(None) };
            if let Some(token) = known.tokens.get(scope).filter(|token| token.expires > Instant::now()) {
                return Ok(Some(token.header.clone()));
            }
            known.scheme == Some(Challenge::Basic)
        };
        if basic { self.basic(endpoint) } else { Ok(None) }
    }

    /// What to send along after a server answered 401 to `rejected`; `None` when nothing else can be tried.
    pub(super) fn answer(
        &self,
        transport: &Transport,
        host: &Host,
        endpoint: &Endpoint,
        challenges: &[Challenge],
        scope: &Scope,
        rejected: Option<&str>,
    ) -> Result<Option<String>, Failure> {
        for challenge in challenges {
            let header = match challenge {
                Challenge::Basic => self.basic(endpoint)?,
                Challenge::Bearer { .. } => Some(self.bearer(transport, host, endpoint, challenge, scope, rejected)?),
            };
            if let Some(header) = header.filter(|header| Some(header.as_str()) != rejected) {
                self.lock().entry(endpoint.host.clone()).or_default().scheme = Some(challenge.clone());
                return Ok(Some(header));
            }
        }
        Ok(None)
    }

    fn credential(&self, endpoint: &Endpoint) -> Result<Option<Credential>, Failure> {
        self.credentials.find(&endpoint.host).map_err(|error| Failure::Local(error.to_string()))
    }

    fn basic(&self, endpoint: &Endpoint) -> Result<Option<String>, Failure> {
        match self.credential(endpoint)? {
            Some(Credential::Password { user, password }) => Ok(Some(basic_header(&user, &password))),
            _ => Ok(None),
        }
    }

    fn bearer(
        &self,
        transport: &Transport,
        host: &Host,
        endpoint: &Endpoint,
        challenge: &Challenge,
        wanted: &Scope,
        rejected: Option<&str>,
    ) -> Result<String, Failure> {
        let Challenge::Bearer { realm, service, scope, .. } = challenge else {
            unreachable!("called for bearer challenges only")
        };
        let credential = self.credential(endpoint)?;
        if let Some(Credential::RegistryToken(token)) = &credential {
            return Ok(format!("Bearer {token}"));
        }
        let scope = wanted.clone().and(&Scope::parse(scope));
        // Held while a token is fetched: parallel requests with the same scope share it.
        let mut known = self.lock();
        let tokens = &mut known.entry(endpoint.host.clone()).or_default().tokens;
        let usable = |token: &&Token| token.expires > Instant::now() && Some(token.header.as_str()) != rejected;
        if let Some(token) = tokens.get(wanted).filter(usable) {
            return Ok(token.header.clone());
        }
        let asked = TokenRequest { realm, service, scope: &scope, credential: credential.as_ref() };
        let token = asked.send(transport, host, endpoint)?;
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
    fn send(&self, transport: &Transport, host: &Host, endpoint: &Endpoint) -> Result<Token, Failure> {
        if self.credential.is_some() && is_in_the_clear(self.realm) && endpoint.base.starts_with("https://") {
            return Err(Failure::Protocol(format!(
                "{} wants credentials sent to {} in the clear, which is refused",
                endpoint.host,
                redacted(self.realm)
            )));
        }
        let asked = &endpoint.base;
        let Some(credential) = self.credential else { return self.get(transport, host, asked, None) };
        match self.post(transport, host, asked, credential) {
            // Servers that know no OAuth 2 say so in these ways.
            Err(
                Failure::NotFound | Failure::Denied(_) | Failure::Status { status: StatusCode::METHOD_NOT_ALLOWED, .. },
            ) => {
                let Credential::Password { user, password } = credential else {
                    return Err(Failure::Denied("the identity token was not accepted; log in again".to_owned()));
                };
                self.get(transport, host, asked, Some(&basic_header(user, password)))
            }
            other => other,
        }
    }

    /// `asked` is the registry that named the token server.
    fn post(&self, transport: &Transport, host: &Host, asked: &str, credential: &Credential) -> Result<Token, Failure> {
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
            .named_by(asked);
        read_token(transport, host, &call, None)
    }

    fn get(
        &self,
        transport: &Transport,
        host: &Host,
        asked: &str,
        authorization: Option<&str>,
    ) -> Result<Token, Failure> {
        let scopes = self.scope.texts();
        let mut query = vec![("service", self.service)];
        query.retain(|(_, service)| !service.is_empty());
        query.extend(scopes.iter().map(|scope| ("scope", scope.as_str())));
        let mark = if self.realm.contains('?') { '&' } else { '?' };
        let call = Call::new(Method::GET, format!("{}{mark}{}", self.realm, encode_query(&query))).named_by(asked);
        read_token(transport, host, &call, authorization)
    }
}

fn read_token(
    transport: &Transport,
    host: &Host,
    call: &Call<'_>,
    authorization: Option<&str>,
) -> Result<Token, Failure> {
    #[derive(Deserialize)]
    struct Reply {
        token: Option<String>,
        access_token: Option<String>,
        expires_in: Option<u64>,
    }
    let mut response = transport.send(host, call, authorization)?.response;
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
    let reply: Reply = serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
    let token = reply.token.or(reply.access_token).filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| malformed("neither token nor access_token".to_owned()))?;
    let life = reply.expires_in.map_or(DEFAULT_LIFE, Duration::from_secs).max(DEFAULT_LIFE);
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
