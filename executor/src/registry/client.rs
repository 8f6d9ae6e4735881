//! Exchanges with the servers of a registry: authorised, retried, bounded.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use oci::Reference;
use ureq::Body;
use ureq::http::{HeaderName, Method, Response, StatusCode, header};

use super::authority::{Asked, Authority, Scope};
use super::challenge;
use super::credentials::{Credentials, Place};
use super::hosts::{Endpoint, Hosts};
use super::transport::{Answer, Call, Failure, Patience, Transport, failure_of, redacted};
use crate::cancel::Hook;
use crate::{Cancel, Error, Result, url};

/// Tries of one request.
pub(super) const TRIES: u32 = 5;
/// Wait before the second try; doubled for each further one.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Blobs moved at once to or from one host. parity: BuildKit's limit.
const PARALLEL: usize = 4;

/// What a client is made from.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// What the user said about registries.
    pub hosts: Hosts,
    /// Where the user's names and passwords are.
    pub credentials: Place,
    /// Whether servers are asked, and how often.
    pub asking: Asking,
    /// How long they are waited for.
    pub patience: Patience,
}

/// Whether servers are asked, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asking {
    /// Again, after a while, where that may help: a build is worth the wait.
    #[default]
    Repeatedly,
    /// Once: who only looks would rather know less than wait.
    Once,
    /// Never: no registry has anything then.
    Never,
}

/// Talks to registries. Cheap to clone; clones share connections and tokens.
#[derive(Clone)]
pub struct Client(Arc<Inner>, Asking);

struct Inner {
    hosts: Hosts,
    authority: Authority,
    transport: Transport,
    /// Whether those that may speak plain HTTP do, by host, once they were asked.
    plain: Mutex<BTreeMap<String, bool>>,
    gate: Gate,
}

/// Credentials of the Docker command line, nothing said about hosts.
impl Default for Client {
    fn default() -> Self {
        Self::new(Config { credentials: Place::of_user(), ..Config::default() })
    }
}

impl Client {
    /// A client.
    pub fn new(config: Config) -> Self {
        let authority = Authority::new(Credentials::new(config.credentials));
        let inner = Inner {
            hosts: config.hosts,
            authority,
            transport: Transport::new(config.patience),
            plain: Mutex::default(),
            gate: Gate::default(),
        };
        Self(Arc::new(inner), config.asking)
    }

    /// The same client, which asks as is said: connections and tokens stay shared.
    #[must_use]
    pub fn asking(self, asking: Asking) -> Self {
        Self(self.0, asking)
    }

    /// A client that trusts what answers for a registry: its certificate is not checked, and it may speak plain HTTP.
    pub fn trusting(&self, domain: &str, cancel: &Cancel) -> Self {
        let mut hosts = self.0.hosts.clone();
        let host = hosts.registries.entry(domain.to_owned()).or_default();
        host.insecure = true;
        let mut plain = BTreeMap::new();
        if host.http.is_none() {
            let call = Call::new(Method::GET, format!("https://{domain}/v2/"));
            let _hook = self.break_when(cancel);
            let encrypted = self.0.transport.send(host, &call, None).is_ok();
            host.http = Some(!encrypted);
            plain.insert(domain.to_owned(), !encrypted);
        }
        let inner = Inner {
            hosts,
            authority: self.0.authority.anew(),
            transport: self.0.transport.anew(),
            plain: Mutex::new(plain),
            gate: Gate::default(),
        };
        Self(Arc::new(inner), self.1)
    }

    /// Breaks all connections, so that whoever waits for a registry fails at once. For a build that is cancelled.
    pub fn shut_down(&self) {
        self.0.transport.shut_down();
    }

    /// Breaks connections when `cancel` is set, as long as the value lives: who is blocked in one is freed.
    ///
    /// It breaks those of other builds too, which go on over new ones.
    pub(super) fn break_when(&self, cancel: &Cancel) -> Hook {
        let client = self.clone();
        cancel.on_cancel(move || client.shut_down())
    }

    /// One GET of any address, with the certificates, proxies and tries of registries but none of their credentials:
    /// `authorization` goes to the host of the address alone. 304 is an answer; other statuses that are no success, and
    /// 206, which nobody asks for, are failures.
    pub(crate) fn get(
        &self,
        url: &str,
        headers: &[(String, String)],
        authorization: Option<&str>,
        cancel: &Cancel,
    ) -> Result<Response<Body>> {
        let invalid = |name: &str| Error::Invalid(format!("invalid HTTP header {name:?}"));
        let mut call = Call::new(Method::GET, url.to_owned());
        // Parity: any redirect is followed; what must not be changed on the way has a checksum.
        call.may_downgrade = authorization.is_none();
        for (name, value) in headers {
            call = call.header(HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid(name))?, value);
        }
        let host = self.0.hosts.host(url::host(url));
        let sent = self.retry(cancel, || {
            let _hook = self.break_when(cancel);
            let answer = self.0.transport.send(&host, &call, authorization)?;
            if answer.response.status().is_server_error() {
                return Err(failure_of(&call, answer.response));
            }
            Ok(answer.response)
        });
        match sent {
            Ok(response) if is_answer(&call, response.status()) => Ok(response),
            Ok(response) => Err(bad_status(url, response.status())),
            Err(Failure::Status { status, .. }) => Err(bad_status(url, status)),
            Err(Failure::Cancelled) => Err(Error::Cancelled),
            Err(failure) => Err(Error::Remote { attempt: redacted(url), reason: failure.to_string() }),
        }
    }

    /// The servers that answer for a reference's registry.
    pub(super) fn endpoints(&self, reference: &Reference) -> Vec<Endpoint> {
        if self.1 == Asking::Never { Vec::new() } else { self.0.hosts.endpoints(reference.domain()) }
    }

    /// An endpoint that may speak plain HTTP as it is spoken to. Whoever does not answer is asked again the next time.
    pub(super) fn settled(&self, endpoint: Endpoint, cancel: &Cancel) -> Endpoint {
        if !endpoint.may_be_plain {
            return endpoint;
        }
        let lock = || self.0.plain.lock().expect("no panic while it is held");
        let known = lock().get(&endpoint.host).copied();
        let plain = known.unwrap_or_else(|| {
            let _hook = self.break_when(cancel);
            let call = Call::new(Method::GET, format!("https://{}/v2/", endpoint.host));
            let asked = self.0.transport.send(&self.0.hosts.host(&endpoint.host), &call, None);
            let plain = matches!(asked, Err(Failure::NotEncrypted { .. }));
            if plain || asked.is_ok() {
                lock().insert(endpoint.host.clone(), plain);
            }
            plain
        });
        if plain { endpoint.plain() } else { endpoint }
    }

    /// Asks each server in turn. A mirror that fails in any way is passed over; the registry's own answer counts.
    pub(super) fn first<T>(
        &self,
        reference: &Reference,
        cancel: &Cancel,
        mut ask: impl FnMut(&Endpoint) -> std::result::Result<T, Failure>,
    ) -> std::result::Result<T, Failure> {
        let mut last = Failure::NotFound;
        for endpoint in self.endpoints(reference) {
            match ask(&self.settled(endpoint, cancel)) {
                Err(failure) if !matches!(failure, Failure::Cancelled) => last = failure,
                decided => return decided,
            }
        }
        Err(last)
    }

    /// One request until it succeeds or trying is pointless; statuses other than 2xx are failures.
    pub(super) fn call(
        &self,
        endpoint: &Endpoint,
        scope: &Scope,
        call: &Call<'_>,
        cancel: &Cancel,
    ) -> std::result::Result<Answer, Failure> {
        self.retry(cancel, || self.try_call(endpoint, scope, call, cancel))
    }

    /// One request, repeated only to say who asks.
    pub(super) fn try_call(
        &self,
        endpoint: &Endpoint,
        scope: &Scope,
        call: &Call<'_>,
        cancel: &Cancel,
    ) -> std::result::Result<Answer, Failure> {
        let host = self.0.hosts.host(&endpoint.host);
        let trusted = super::transport::same_origin(&call.url, &endpoint.base);
        let asked = Asked { transport: &self.0.transport, host: &host, endpoint, cancel };
        let mut authorization = if trusted { self.0.authority.known(asked, scope)? } else { None };
        // Once for a token that expired early, once for another scope.
        for _ in 0..3 {
            if cancel.is_cancelled() {
                return Err(Failure::Cancelled);
            }
            let _hook = self.break_when(cancel);
            let answer = self.0.transport.send(&host, call, authorization.as_deref());
            let answer = answer.map_err(|failure| if cancel.is_cancelled() { Failure::Cancelled } else { failure })?;
            if answer.response.status().is_success() {
                return Ok(answer);
            }
            let ours = trusted && !answer.redirected && answer.response.status() == StatusCode::UNAUTHORIZED;
            let headers = answer.response.headers().get_all(header::WWW_AUTHENTICATE);
            let challenges = challenge::parse(headers.iter().filter_map(|value| value.to_str().ok()));
            let failure = failure_of(call, answer.response);
            if !ours {
                return Err(failure);
            }
            let rejected = authorization.as_deref();
            let next = self.0.authority.answer(asked, &challenges, scope, rejected)?;
            let Some(next) = next else { return Err(failure) };
            authorization = Some(next);
        }
        Err(Failure::Denied("the registry does not accept the token it asked for".to_owned()))
    }

    /// Tries until it succeeds or trying is pointless.
    fn retry<T>(
        &self,
        cancel: &Cancel,
        mut attempt: impl FnMut() -> std::result::Result<T, Failure>,
    ) -> std::result::Result<T, Failure> {
        let tries = if self.1 == Asking::Repeatedly { TRIES } else { 1 };
        let mut wait = FIRST_WAIT;
        for _ in 1..tries {
            match attempt() {
                Err(failure) if failure.is_temporary() => {}
                decided => return decided,
            }
            if cancel.wait(wait) {
                return Err(Failure::Cancelled);
            }
            wait *= 2;
        }
        attempt()
    }

    /// Waits until one more blob may be moved to or from the registry; held until dropped.
    pub(super) fn enter(&self, reference: &Reference) -> Pass<'_> {
        self.0.gate.enter(reference.domain())
    }
}

/// Whether an answer has all of a file, a part of it or none where parts were asked for, or says that it is what it was.
fn is_answer(call: &Call<'_>, status: StatusCode) -> bool {
    match status {
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
            call.headers.iter().any(|(name, _)| name == header::RANGE)
        }
        _ => status == StatusCode::NOT_MODIFIED || status.is_success(),
    }
}

/// BuildKit's words, and what they are about.
///
/// parity: BuildKit keeps the body of a 206, and of redirects that lead nowhere, as the file.
fn bad_status(url: &str, status: StatusCode) -> Error {
    let why = match status {
        StatusCode::PARTIAL_CONTENT => ": a part of the file, where all of it was asked for",
        _ if status.is_redirection() => ": a redirect that does not say where to",
        _ => "",
    };
    Error::Remote { attempt: redacted(url), reason: format!("invalid response status {}{why}", status.as_u16()) }
}

/// What was attempted when a server refused.
#[derive(Clone, Copy, Debug)]
pub(super) enum Attempt {
    Pull,
    Push,
}

/// A failure as the user reads it, about `reference`.
pub(super) fn error(reference: &Reference, attempt: Attempt, failure: Failure) -> Error {
    match failure {
        Failure::NotFound => Error::NotFound(format!("{reference}: not found")),
        Failure::Denied(said) => {
            let access = if matches!(attempt, Attempt::Pull) { "pull" } else { "push" };
            let said = if said.is_empty() { String::new() } else { format!("server message: {said}: ") };
            let reason = "access denied, repository does not exist or may require authorization";
            Error::Remote {
                attempt: reference.to_string(),
                reason: format!("{access} {reason}: {said}authorization failed"),
            }
        }
        Failure::Cancelled => Error::Cancelled,
        Failure::Local(message) => Error::Invalid(message),
        other => Error::Remote { attempt: reference.to_string(), reason: other.to_string() },
    }
}

/// Counts what is under way by host.
#[derive(Default)]
struct Gate {
    busy: Mutex<BTreeMap<String, usize>>,
    left: Condvar,
}

/// The right to move one blob.
pub(super) struct Pass<'a> {
    gate: &'a Gate,
    host: String,
}

impl Gate {
    fn enter(&self, host: &str) -> Pass<'_> {
        let busy = self.busy.lock().expect("no panic while the gate is held");
        let full = |busy: &mut BTreeMap<String, usize>| busy.get(host).is_some_and(|count| *count >= PARALLEL);
        let mut busy = self.left.wait_while(busy, full).expect("no panic while the gate is held");
        *busy.entry(host.to_owned()).or_default() += 1;
        Pass { gate: self, host: host.to_owned() }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut busy = self.gate.busy.lock().expect("no panic while the gate is held");
        if let Some(count) = busy.get_mut(&self.host) {
            *count -= 1;
        }
        self.gate.left.notify_all();
    }
}
