//! Addresses, split as Go's `net/url` splits them: identifiers of sources depend on it.

use super::go;

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
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query.to_owned())));
        if scheme.is_empty() && rest.split('/').next().is_some_and(|first| first.contains(':')) {
            return None;
        }
        let (user, host, path) = match rest.strip_prefix("//") {
            Some(rest) => {
                let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
                let (user, host) = split_authority(authority)?;
                (user, host, path)
            }
            None => (None, String::new(), rest),
        };
        let decoded = unescape(path, false)?;
        let written_path = if is_written_well(path) { path.to_owned() } else { escape_path(&decoded) };
        Some(Self { scheme: scheme.to_ascii_lowercase(), user, host, path: decoded, written_path, query, fragment })
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
        [&scheme, slashes, &user, &self.host, separator, &self.written_path, question].concat()
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

fn split_authority(authority: &str) -> Option<(Option<String>, String)> {
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    let is_user = |b: u8| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&b);
    let user_valid = user.is_none_or(|user| user.bytes().all(is_user) && unescape(user, false).is_some());
    let host = unescape_host(host)?;
    user_valid.then(|| (user.map(escape_user), host))
}

/// parity: a second `@` in a user is escaped when written again.
fn escape_user(user: &str) -> String {
    user.replace('@', "%40")
}

fn unescape_host(host: &str) -> Option<String> {
    let (name, port) = match host.rfind(']') {
        Some(end) if host.starts_with('[') => host.split_at(end + 1),
        _ if host.starts_with('[') => return None,
        _ => host.find(':').map_or((host, ""), |at| host.split_at(at)),
    };
    let port_valid = port.is_empty() || port.strip_prefix(':').is_some_and(|p| p.bytes().all(|b| b.is_ascii_digit()));
    let is_host = |b: u8| b >= 0x80 || b.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"%".contains(&b);
    let decoded = unescape(name, false)?;
    (port_valid && name.bytes().all(is_host)).then(|| decoded + port)
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
    path.bytes().all(|b| is_path_byte(b) || b"!'()*[]%".contains(&b))
}

fn escape_path(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for b in path.bytes() {
        if is_path_byte(b) { out.push(char::from(b)) } else { out.push_str(&format!("%{b:02X}")) }
    }
    out
}

fn is_path_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&b)
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
        for bad in ["http://h/%zz", "http://h:p/", "http://a b/", ":x", "http://h/\n"] {
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
