//! Addresses, split as Go's `net/url` splits them: identifiers of sources depend on it.

use core::net::Ipv6Addr;
use std::fmt::Write as _;

use super::go;

/// What a path need not escape beside letters and digits.
const PATH_BYTES: &[u8] = b"-_.~$&+,/:;=@";

/// What the name of a host need not escape.
const HOST_BYTES: &[u8] = b"-_.~!$&'()*+,;=:[]<>\"";

/// An address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Url {
    /// Lower case; empty when there is none.
    pub(super) scheme: String,
    /// `user[:password]` as written, without the `@`.
    user: Option<String>,
    /// With the port.
    pub(super) host: String,
    /// Decoded.
    pub(super) path: String,
    /// As it is written again.
    written_path: String,
    /// What follows `?`, as written; `None` without a `?`.
    query: Option<String>,
    /// What follows `#`, decoded.
    pub(super) fragment: String,
}

impl Url {
    /// Splits an address; `None` when it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.bytes().any(|b| b < b' ' || b == 0x7f) {
            return None;
        }
        let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
        let fragment = unescape(fragment, false)?;
        let (scheme, rest) = split_scheme(text)?;
        let scheme = scheme.to_ascii_lowercase();
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query.to_owned())));
        if scheme.is_empty() && rest.split('/').next().is_some_and(|first| first.contains(':')) {
            return None;
        }
        let (user, host, path) = match rest.strip_prefix("//") {
            Some(rest) => {
                let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
                let (user, host) = split_authority(&scheme, authority)?;
                (user, host, path)
            }
            None => (None, String::new(), rest),
        };
        let decoded = unescape(path, false)?;
        let written_path = if is_written_well(path) { path.to_owned() } else { escape(&decoded, PATH_BYTES) };
        Some(Self { scheme, user, host, path: decoded, written_path, query, fragment })
    }

    /// The address without what concerns only its reader: no fragment, no query.
    pub(super) fn without_query_and_fragment(&self) -> String {
        let scheme = if self.scheme.is_empty() { String::new() } else { format!("{}:", self.scheme) };
        let slashes = if self.scheme.is_empty() && self.host.is_empty() && self.user.is_none() { "" } else { "//" };
        let user = self.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        let separator =
            if !self.host.is_empty() && !self.path.is_empty() && !self.path.starts_with('/') { "/" } else { "" };
        // parity: a query that was there but empty leaves its sign.
        let question = if self.query.as_deref() == Some("") { "?" } else { "" };
        let host = escape(&self.host, HOST_BYTES);
        [&scheme, slashes, &user, &host, separator, &self.written_path, question].concat()
    }

    /// The fields of the query; those that cannot be decoded are left out.
    pub(super) fn query(&self) -> Vec<(String, String)> {
        self.query.as_deref().map(|query| query_fields(query).0).unwrap_or_default()
    }

    /// The last element of the path, if it has one.
    pub(super) fn file_name(&self) -> Option<&str> {
        Some(go::base(&self.path)).filter(|name| !matches!(*name, "." | "/"))
    }
}

/// The fields of a query, and whether all of it could be read.
pub(super) fn query_fields(query: &str) -> (Vec<(String, String)>, bool) {
    let mut complete = true;
    let mut fields = Vec::new();
    for field in query.split('&').filter(|field| !field.is_empty()) {
        let (key, value) = field.split_once('=').unwrap_or((field, ""));
        match (field.contains(';'), unescape(key, true), unescape(value, true)) {
            (false, Some(key), Some(value)) => fields.push((key, value)),
            _ => complete = false,
        }
    }
    (fields, complete)
}

/// Scheme and rest. `None`: the text starts with a colon.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    for (at, b) in text.bytes().enumerate() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return None,
            b':' => return Some((&text[..at], &text[at + 1..])),
            _ => break,
        }
    }
    Some(("", text))
}

fn split_authority(scheme: &str, authority: &str) -> Option<(Option<String>, String)> {
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    let user = match user {
        Some(user) => Some(rewritten_user(user)?),
        None => None,
    };
    Some((user, read_host(scheme, host)?))
}

/// `name[:password]`, decoded and escaped again.
fn rewritten_user(user: &str) -> Option<String> {
    let is_user = |b: u8| b.is_ascii_alphanumeric() || b"-._~:!$&'()*+,;=%@".contains(&b);
    let escaped = |part: &str| Some(escape(&unescape(part, false)?, b"-_.~$&+,;="));
    let (name, password) = user.split_once(':').map_or((user, None), |(name, password)| (name, Some(password)));
    let password = match password {
        Some(password) => format!(":{}", escaped(password)?),
        None => String::new(),
    };
    user.bytes().all(is_user).then_some(escaped(name)? + &password)
}

fn read_host(scheme: &str, host: &str) -> Option<String> {
    match host.rfind('[') {
        None => {
            // On the web a second colon is a mistake; elsewhere it belongs to the name.
            let is_web = matches!(scheme, "http" | "https");
            let colon = if is_web { host.find(':') } else { host.rfind(':') };
            let (name, port) = colon.map_or((host, ""), |at| host.split_at(at));
            is_port(port).then_some(unescape_host(name)? + port)
        }
        Some(0) => {
            let (address, port) = host[1..].rsplit_once(']')?;
            let (address, zone) = address.split_once("%25").map_or((address, ""), |(address, zone)| (address, zone));
            let valid = address.parse::<Ipv6Addr>().is_ok() && is_port(port);
            let zone = if zone.is_empty() { String::new() } else { format!("%{}", unescape(zone, false)?) };
            valid.then(|| format!("[{address}{zone}]{port}"))
        }
        Some(_) => None,
    }
}

fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
}

/// In names of hosts only bytes beyond ASCII may be escaped, and the percent sign itself.
fn unescape_host(name: &str) -> Option<String> {
    let is_host = |b: u8| b >= 0x80 || b.is_ascii_alphanumeric() || b == b'%' || HOST_BYTES.contains(&b);
    let escapes = name.match_indices('%').map(|(at, _)| &name.as_bytes()[at + 1..]);
    let may_be_escaped = |digits: &[u8]| digits.starts_with(b"25") || digits.first().is_some_and(|b| *b >= b'8');
    let valid = name.bytes().all(is_host) && { escapes }.all(may_be_escaped);
    unescape(name, false).filter(|_| valid)
}

/// Decodes `%xx`; `None` where that is broken.
fn unescape(text: &str, plus_is_blank: bool) -> Option<String> {
    if !text.contains(['%', '+']) {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        bytes.push(match b {
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                (high * 16 + low) as u8
            }
            b'+' if plus_is_blank => b' ',
            b => b,
        });
    }
    Some(oci::json::lossy(&bytes))
}

/// Whether a path can be written as it was.
fn is_written_well(path: &str) -> bool {
    path.bytes().all(|b| b.is_ascii_alphanumeric() || PATH_BYTES.contains(&b) || b"!'()*[]%".contains(&b))
}

/// Escapes what is neither a letter, a digit, nor one of `kept`.
fn escape(text: &str, kept: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || kept.contains(&b) {
            out.push(char::from(b));
        } else {
            let _ = write!(out, "%{b:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, host: &str, path: &str, written: &str) {
        let url = Url::parse(text).unwrap_or_default();
        assert_eq!((&*url.host, &*url.path, &*url.without_query_and_fragment()), (host, path, written));
    }

    #[test]
    fn parts() {
        check("https://u:p@Host:80/a%20b/c.git?x=1#f", "Host:80", "/a b/c.git", "https://u:p@Host:80/a%20b/c.git");
        check("HTTP://h", "h", "", "http://h");
        check("http://h/ü x", "h", "/ü x", "http://h/%C3%BC%20x");
        check("http://h/a?", "h", "/a", "http://h/a?");
        check("http://[::1]:8/x", "[::1]:8", "/x", "http://[::1]:8/x");
        check("git://u%20s@a:b:1/x", "a:b:1", "/x", "git://u%20s@a:b:1/x");
        check("http://[fe80::1%25en0]/", "[fe80::1%en0]", "/", "http://[fe80::1%25en0]/");
        for bad in [
            "http://a[b/",
            "http://[1.2.3.4]/",
            "http://a:1:2/",
            "http://a%41/",
            "http://h/%zz",
            "http://h:p/",
            "http://a b/",
            ":x",
            "http://h/\n",
        ] {
            assert_eq!(Url::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn queries() {
        let url = Url::parse("https://h/x.git?ref=a%2Fb&tag&k=a+b&bad=%zz#main:dir").unwrap();
        let shown: Vec<String> = url.query().iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!((shown.join(" ").as_str(), url.fragment.as_str()), ("ref=a/b tag= k=a b", "main:dir"));
    }

    #[test]
    fn file_names() {
        let name = |text: &str| Url::parse(text).unwrap().file_name().map(str::to_owned);
        assert_eq!(name("https://h/a/b%20c.tar?x#y"), Some("b c.tar".into()));
        assert_eq!((name("https://h/"), name("https://h")), (None, None));
    }
}
