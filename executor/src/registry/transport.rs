//! One HTTP exchange: certificates, proxies, redirects, and what a failure means.
//!
//! Redirects are followed here and not by the HTTP library, because credentials must stay with the host they were given
//! for, and because a step from HTTPS down to HTTP must not happen behind the user's back. Proxies come from the usual
//! variables (`HTTPS_PROXY`, `NO_PROXY`, …).

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use rustls::InvalidMessage;
use ureq::http::{Method, Request, Response, StatusCode, Uri, header};
use ureq::tls::TlsConfig;
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body, SendBody};

use super::certificates;
use super::hosts::{Host, KeyPair, is_loopback};
use super::redirect::{self, Judge, Reach, Refused, Seen};
use crate::url;

/// Redirects in a row.
const MAX_REDIRECTS: usize = 10;
/// Bytes of an error's body that are read.
const MAX_MESSAGE: u64 = 8 * 1024;
/// Connections kept for the next exchange with a host.
const KEPT_CONNECTIONS: usize = 8;

/// How long a server is waited for before the exchange is given up (and tried again).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Time to connect, TLS included.
    pub connect: Duration,
    /// Longest time without a byte; the head of an answer may take twice as long in all.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { connect: Duration::from_secs(30), silence: Duration::from_secs(60) }
    }
}

impl Patience {
    /// What was waited for in vain before there was an answer.
    fn over(self, of: ureq::Timeout) -> String {
        match of {
            ureq::Timeout::Resolve | ureq::Timeout::Connect => format!("no connection within {:?}", self.connect),
            ureq::Timeout::PerWrite => format!("the server has taken nothing for {:?}", self.silence),
            ureq::Timeout::RecvResponse => format!("the server has not answered within {:?}", self.silence * 2),
            ureq::Timeout::PerRead => format!("the server has not answered, and said nothing for {:?}", self.silence),
            other => format!("timeout: {other}"),
        }
    }
}

/// Why an answer broke off.
pub(crate) fn broke_off(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
    match inner {
        Some(ureq::Error::Timeout(_)) => "the server is there, and sends nothing any more".to_owned(),
        _ => error.to_string(),
    }
}

/// Why an exchange gave no answer that can be used.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// The server does not have it.
    NotFound,
    /// The server wants to know who asks, or does not like who does. The text is its reason, which may be empty.
    Denied(String),
    /// Another status.
    Status {
        /// The code.
        status: StatusCode,
        /// What was asked: method and address.
        request: String,
        /// What the server said.
        message: String,
    },
    /// No connection, or it broke. Worth another try unless `permanent`.
    Network {
        /// What was asked.
        request: String,
        /// Why.
        reason: String,
        /// Whether trying again is pointless.
        permanent: bool,
    },
    /// The server was asked over TLS and speaks plain HTTP.
    NotEncrypted {
        /// What was asked.
        request: String,
    },
    /// The server breaks the protocol, or a limit.
    Protocol(String),
    /// One of our own errors: a broken file, a helper that fails.
    Local(String),
    /// Somebody asked to stop.
    Cancelled,
}

impl Failure {
    /// Whether the same request may succeed a little later. parity: 429 is not retried.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::Status { status, .. } => status.is_server_error() || *status == StatusCode::REQUEST_TIMEOUT,
            Self::Network { permanent, .. } => !permanent,
            _ => false,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotFound => f.write_str("not found"),
            Self::Denied(_) => f.write_str("authorization failed"),
            Self::Status { status, request, message } => {
                write!(f, "unexpected status from {request}: {status}")?;
                if message.is_empty() { Ok(()) } else { write!(f, ": {message}") }
            }
            Self::Network { request, reason, .. } => write!(f, "{request}: {reason}"),
            Self::NotEncrypted { request } => {
                write!(
                    f,
                    "{request}: the server speaks plain HTTP; for a registry, the registries file can say so (http)"
                )
            }
            Self::Protocol(message) | Self::Local(message) => f.write_str(message),
            Self::Cancelled => f.write_str("context canceled"),
        }
    }
}

/// What is asked of a server.
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: Vec<(header::HeaderName, String)>,
    pub(super) body: Payload<'a>,
    /// Whether a redirect may lead from HTTPS down to HTTP.
    pub(super) may_downgrade: bool,
    /// Address of the server that named this one; `None` is the user, who may name any.
    pub(super) named_by: Option<String>,
}

/// What goes along with a request. Streams are opened anew for every try.
#[derive(Clone, Copy)]
pub(super) enum Payload<'a> {
    None,
    Bytes(&'a [u8]),
    Stream { open: &'a dyn Fn() -> std::io::Result<Box<dyn Read + 'a>>, size: u64 },
}

impl<'a> Call<'a> {
    pub(super) fn new(method: Method, url: String) -> Self {
        Self { method, url, headers: Vec::new(), body: Payload::None, may_downgrade: false, named_by: None }
    }

    pub(super) fn header(mut self, name: header::HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Says that a server named the address, which is judged like a redirect.
    pub(super) fn named_by(mut self, server: &str) -> Self {
        self.named_by = (!same_origin(server, &self.url)).then(|| server.to_owned());
        self
    }

    pub(super) fn body(mut self, body: Payload<'a>) -> Self {
        self.body = body;
        self
    }
}

/// An answer, and whether the host that was asked gave it (and not one it redirected to).
pub(super) struct Answer {
    pub(super) response: Response<Body>,
    pub(super) redirected: bool,
}

/// Connections to servers, by what is said of their host.
#[derive(Default)]
pub(super) struct Transport {
    agents: Mutex<BTreeMap<Manner, Agent>>,
    seen: Seen,
    patience: Patience,
}

/// How a host is spoken to: whether certificates count, which more are trusted, what is shown to it, and who named it, if
/// not the user.
/// Connections that were judged are not shared with those that were not.
type Manner = (bool, Vec<PathBuf>, Vec<KeyPair>, Option<Reach>);

impl Transport {
    pub(super) fn new(patience: Patience) -> Self {
        Self { patience, ..Self::default() }
    }

    /// One without connections, which waits as long.
    pub(super) fn anew(&self) -> Self {
        Self::new(self.patience)
    }

    /// One exchange with redirects, successful or not. `authorization` is for the host in the address only.
    pub(super) fn send(&self, host: &Host, call: &Call<'_>, authorization: Option<&str>) -> Result<Answer, Failure> {
        let asked = url::escape(&call.url).map_err(|why| broken_address(&call.url, &why))?;
        let mut url = asked.clone();
        let mut named_by = call.named_by.clone();
        for hop in 0..=MAX_REDIRECTS {
            let same = same_origin(&url, &asked);
            let response = self.ask(host, call, &url, named_by.as_deref(), authorization.filter(|_| same))?;
            let Some(location) = redirect_of(&response) else {
                return Ok(Answer { response, redirected: hop > 0 && !same });
            };
            let next = resolve(&url, &location);
            let next = url::escape(&next).map_err(|why| {
                let location = redacted(&location);
                Failure::Protocol(format!("failed to parse Location header {}: {why}", oci::text::quote(&location)))
            })?;
            let downgrade = url.starts_with("https://") && !next.starts_with("https://");
            if downgrade && !host.insecure && !call.may_downgrade {
                return Err(Failure::Protocol(format!(
                    "{} redirects from HTTPS to {}, which is refused",
                    redacted(&url),
                    redacted(&next)
                )));
            }
            // A server may name addresses of its own as the one who named the server may.
            if !same_origin(&url, &next) {
                named_by = Some(url);
            }
            url = next;
        }
        Err(Failure::Protocol(format!("{} {}: more than {MAX_REDIRECTS} redirects", call.method, redacted(&call.url))))
    }

    /// One request to one address, which may be one that a server named.
    fn ask(
        &self,
        host: &Host,
        call: &Call<'_>,
        url: &str,
        named_by: Option<&str>,
        authorization: Option<&str>,
    ) -> Result<Response<Body>, Failure> {
        let Some(server) = named_by else {
            return exchange(&self.agent(host, None)?, call, url, authorization, self.patience)
                .map_err(Broken::into_failure);
        };
        let refuse = |why: Refused| {
            Failure::Protocol(format!("{} redirects to {}, {why}: refused", redacted(server), redacted(url)))
        };
        let from = self.seen.reach(server);
        redirect::check(from, url).map_err(refuse)?;
        exchange(&self.agent(host, Some(from))?, call, url, authorization, self.patience).map_err(|broken| match broken
        {
            Broken::Refused(why) => refuse(why),
            Broken::Other(failure) => failure,
        })
    }

    /// Breaks all connections: whoever waits for a server fails at once.
    pub(super) fn shut_down(&self) {
        let agents = std::mem::take(&mut *self.lock());
        agents.into_values().for_each(Agent::shutdown);
    }

    fn agent(&self, host: &Host, named_by: Option<Reach>) -> Result<Agent, Failure> {
        // Whoever the host sends us to need not know who we are.
        let keypair = if named_by.is_none() { &host.keypair[..] } else { &[] };
        let key = (host.insecure, host.ca.clone(), keypair.to_vec(), named_by);
        if let Some(agent) = self.lock().get(&key) {
            return Ok(agent.clone());
        }
        let agent = new_agent(host, keypair, Judge::new(named_by, self.seen.clone()), self.patience)?;
        Ok(self.lock().entry(key).or_insert(agent).clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Manner, Agent>> {
        self.agents.lock().expect("no panic while agents are looked up")
    }
}

fn new_agent(host: &Host, keypair: &[KeyPair], judge: Judge, patience: Patience) -> Result<Agent, Failure> {
    let roots = certificates::roots(&host.ca).map_err(Failure::Local)?;
    let shown = certificates::client(keypair).map_err(Failure::Local)?;
    let tls = TlsConfig::builder().root_certs(roots).disable_verification(host.insecure).client_cert(shown).build();
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("llbc/", env!("CARGO_PKG_VERSION")))
        // A blob's digest is of the bytes as they are stored, not of what a helpful server makes of them.
        .accept_encoding("identity")
        .accept(ureq::config::AutoHeaderValue::None)
        .tls_config(tls)
        .timeout_connect(Some(patience.connect))
        .timeout_recv_response(Some(patience.silence * 2))
        .timeout_per_read(Some(patience.silence))
        .timeout_per_write(Some(patience.silence))
        .max_idle_connections_per_host(KEPT_CONNECTIONS)
        .max_idle_connections(KEPT_CONNECTIONS * 4)
        .build();
    Ok(Agent::with_parts(config, DefaultConnector::default(), judge))
}

/// Why there was no exchange.
enum Broken {
    /// The name stands for an address that may not be asked.
    Refused(Refused),
    Other(Failure),
}

impl Broken {
    fn of(error: &ureq::Error, request: String, patience: Patience) -> Self {
        let inner = if let ureq::Error::Io(error) = error { error.get_ref() } else { None };
        if let Some(refused) = inner.and_then(|inner| inner.downcast_ref::<Refused>()) {
            return Self::Refused(*refused);
        }
        let no_tls = rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType);
        if inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) == Some(&no_tls) {
            return Self::Other(Failure::NotEncrypted { request });
        }
        let reason = if let ureq::Error::Timeout(of) = error { patience.over(*of) } else { error.to_string() };
        Self::Other(Failure::Network { request, reason, permanent: is_permanent(error) })
    }

    /// For addresses that the user named, which nobody refuses.
    fn into_failure(self) -> Failure {
        match self {
            Self::Refused(why) => Failure::Protocol(why.to_string()),
            Self::Other(failure) => failure,
        }
    }
}

/// One request to one address.
fn exchange(
    agent: &Agent,
    call: &Call<'_>,
    url: &str,
    authorization: Option<&str>,
    patience: Patience,
) -> Result<Response<Body>, Broken> {
    let request = || format!("{} {}", call.method, redacted(url));
    let (bare, login) = url::split_login(url).map_err(|why| Broken::Other(broken_address(url, &why)))?;
    let login = login.map(|login| login.basic());
    let mut builder = Request::builder().method(call.method.clone()).uri(&*bare);
    for (name, value) in &call.headers {
        builder = builder.header(name, value);
    }
    if let Some(authorization) = authorization.or(login.as_deref()) {
        builder = builder.header(header::AUTHORIZATION, authorization);
    }
    let length = match call.body {
        Payload::None => None,
        Payload::Bytes(bytes) => Some(bytes.len() as u64),
        Payload::Stream { size, .. } => Some(size),
    };
    if let Some(length) = length {
        builder = builder.header(header::CONTENT_LENGTH, length);
    }
    let broken = |error: ureq::http::Error| Broken::Other(Failure::Protocol(format!("{}: {error}", request())));
    match call.body {
        Payload::None => agent.run(builder.body(()).map_err(broken)?),
        Payload::Bytes(bytes) => agent.run(builder.body(bytes).map_err(broken)?),
        Payload::Stream { open, .. } => {
            let local = |error| Broken::Other(Failure::Local(format!("{}: {error}", request())));
            let mut stream = open().map_err(local)?;
            agent.run(builder.body(SendBody::from_reader(&mut stream)).map_err(broken)?)
        }
    }
    .map_err(|error| Broken::of(&error, request(), patience))
}

/// Whether the next try would fail alike: names that do not exist, certificates that are not trusted.
fn is_permanent(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Io(error) => matches!(
            error.kind(),
            std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData
        ),
        ureq::Error::Timeout(_) | ureq::Error::ConnectionFailed => false,
        // A server that closes a connection it kept for us looks like a broken answer.
        ureq::Error::Protocol(_) => false,
        _ => true,
    }
}

fn redirect_of(response: &Response<Body>) -> Option<String> {
    let follows = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = response.headers().get(header::LOCATION).filter(|_| follows)?;
    Some(url::of_header(location.as_bytes()))
}

/// Scheme, host and port.
fn origin(url: &str) -> Option<(String, String, u16)> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str()?.to_owned();
    let port = uri.port_u16().unwrap_or(if scheme == "http" { 80 } else { 443 });
    Some((scheme, uri.host()?.to_ascii_lowercase(), port))
}

/// Whether two addresses are of one server, so that credentials for one may be shown to the other.
pub(super) fn same_origin(left: &str, right: &str) -> bool {
    origin(left).is_some_and(|left| Some(left) == origin(right))
}

/// Whether what is sent to the address can be read on the way.
pub(super) fn is_in_the_clear(url: &str) -> bool {
    url.strip_prefix("http://").is_some_and(|rest| !is_loopback(rest.split('/').next().unwrap_or(rest)))
}

/// An address that may be relative to another one.
pub(super) fn resolve(base: &str, location: &str) -> String {
    // With a scheme of its own, whichever.
    if location.split(['/', '?', '#']).next().is_some_and(|start| start.contains(':')) {
        return location.to_owned();
    }
    let Some((scheme, rest)) = base.split_once("://") else { return location.to_owned() };
    if let Some(authority) = location.strip_prefix("//") {
        return format!("{scheme}://{authority}");
    }
    let host = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let path = rest[host.len()..].split(['?', '#']).next().unwrap_or_default();
    let (to, after) = location.split_at(location.find(['?', '#']).unwrap_or(location.len()));
    let path = match to {
        "" => path.to_owned(),
        _ if to.starts_with('/') => without_dots(to),
        _ => without_dots(&format!("{}{to}", path.rfind('/').map_or("/", |slash| &path[..=slash]))),
    };
    format!("{scheme}://{host}{path}{after}")
}

/// An absolute path without `.` and `..` (RFC 3986, 5.2.4).
fn without_dots(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    let mut all = path.split('/').skip(1).peekable();
    while let Some(name) = all.next() {
        let is_dots = matches!(name, "." | "..");
        if name == ".." {
            names.pop();
        }
        match is_dots {
            false => names.push(name),
            // What it names is a directory.
            true if all.peek().is_none() => names.push(""),
            true => {}
        }
    }
    format!("/{}", names.join("/"))
}

/// An address without its query, which may hold signatures, and without its password.
pub(super) fn redacted(url: &str) -> String {
    url::redact(url.split('?').next().unwrap_or(url)).into_owned()
}

fn broken_address(url: &str, why: &url::Invalid) -> Failure {
    Failure::Protocol(format!("parse {}: {why}", oci::text::quote(&redacted(url))))
}

/// What an unsuccessful answer means.
pub(super) fn failure_of(call: &Call<'_>, mut response: Response<Body>) -> Failure {
    let status = response.status();
    let message = read_message(response.body_mut());
    match status {
        StatusCode::NOT_FOUND => Failure::NotFound,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Failure::Denied(message),
        _ => Failure::Status { status, request: format!("{} {}", call.method, redacted(&call.url)), message },
    }
}

/// What a registry says in an error's body: `CODE: message` of each, or the first line of a text.
fn read_message(body: &mut Body) -> String {
    let mut bytes = Vec::new();
    if body.as_reader().take(MAX_MESSAGE).read_to_end(&mut bytes).is_err() {
        return String::new();
    }
    #[derive(serde::Deserialize)]
    struct Errors {
        errors: Vec<One>,
    }
    #[derive(serde::Deserialize)]
    struct One {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    if let Ok(Errors { errors }) = serde_json::from_slice(&bytes) {
        return errors.iter().map(|error| format!("{}: {}", error.code, error.message)).collect::<Vec<_>>().join(", ");
    }
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().next().unwrap_or_default().trim();
    if line.starts_with('<') { String::new() } else { line.chars().take(200).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations() {
        let base = "https://a.example.com:5000/v2/x/blobs/uploads/?q=1";
        for (location, expected) in [
            ("https://b/c?d", "https://b/c?d"),
            ("//b/c", "https://b/c"),
            ("/c?d", "https://a.example.com:5000/c?d"),
            ("c", "https://a.example.com:5000/v2/x/blobs/uploads/c"),
            ("?d=/e", "https://a.example.com:5000/v2/x/blobs/uploads/?d=/e"),
            ("#d", "https://a.example.com:5000/v2/x/blobs/uploads/#d"),
            ("../c/./d/..?../e", "https://a.example.com:5000/v2/x/blobs/c/?../e"),
            ("../../../../../../c", "https://a.example.com:5000/c"),
            ("/b/../c/.", "https://a.example.com:5000/c/"),
            ("/b//c..d/...", "https://a.example.com:5000/b//c..d/..."),
        ] {
            assert_eq!(resolve(base, location), expected);
        }
        assert_eq!(resolve("http://a", "c"), "http://a/c");
    }

    #[test]
    fn origins() {
        assert!(same_origin("https://a/x", "https://A:443/y"));
        assert!(!same_origin("https://a/x", "http://a/x"));
        assert!(!same_origin("https://a/x", "https://a:8443/x"));
        assert!(!same_origin("https://a/x", "https://a.b/x"));
        assert!(!same_origin("nonsense", "nonsense"));
        assert!(is_in_the_clear("http://example.com/token"));
        assert!(!is_in_the_clear("http://127.0.0.1:5001/token"));
        assert!(!is_in_the_clear("https://example.com/token"));
    }
}
