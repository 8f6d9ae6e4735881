//! Addresses of the web: from what people and servers write to what may be sent, and to what may be shown.
//!
//! An address is `SCHEME://[USER[:PASSWORD]@]HOST[:PORT]/PATH[?QUERY][#FRAGMENT]`. What is written may hold characters that
//! no request can hold; they are escaped as `%XX` on the way to the server and nowhere else: keys and messages have the
//! address as it was written. parity: Go's `net/url` (1.27), whose rules decide what is escaped and what is an error.

use std::borrow::Cow;

/// What stands for a password, and for what looks like one.
const MASK: &str = "xxxxx";

/// Why a text is no address, in the words of Go's `net/url`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invalid(String);

impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A user and a password, as they are and not as they are written; the password may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: Vec<u8>,
    pub(crate) password: Vec<u8>,
}

impl Login {
    /// The value of an `Authorization` header.
    pub(crate) fn basic(&self) -> String {
        format!("Basic {}", oci::base64::encode(&[&self.user[..], b":", &self.password].concat()))
    }
}

/// An address as a request can hold it, without its fragment. Who is named in it stays.
pub(crate) fn escape(address: &str) -> Result<String, Invalid> {
    if address.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(Invalid("net/url: invalid control character in URL".into()));
    }
    let (rest, fragment) = address.split_once('#').unwrap_or((address, ""));
    unescape(fragment)?;
    let Parts { scheme, user, host, path, query } = Parts::of(rest);
    let Some(scheme) = scheme else { return Err(Invalid("missing protocol scheme".into())) };
    let mut escaped = format!("{}://", scheme.to_ascii_lowercase());
    if let Some(user) = user {
        if let Some(bad) = user.chars().find(|c| !c.is_ascii_alphanumeric() && !"-._~!$&'()*+,;=:@%".contains(*c)) {
            // The character alone: the rest is a secret.
            return Err(Invalid(format!("net/url: invalid userinfo: {bad:?}")));
        }
        unescape(user).map_err(|_| Invalid("net/url: invalid URL escape in userinfo".into()))?;
        escaped += &user.replace('@', "%40");
        escaped.push('@');
    }
    if let Some(bad) = host.chars().find(|c| c.is_ascii() && (c.is_whitespace() || r#"\^`{|}#?/@"#.contains(*c))) {
        return Err(Invalid(format!("invalid character {} in host name", oci::text::quote(&bad.to_string()))));
    }
    if !host.is_ascii() {
        let host = oci::text::quote(host);
        return Err(Invalid(format!("host name {host} is not ASCII: write it as its domain has it (xn--…)")));
    }
    escaped += host;
    escaped += &escape_path(path)?;
    if let Some(query) = query {
        escaped.push('?');
        // parity: not quite; Go sends blanks as they are, which breaks the request.
        push_escaped(&mut escaped, query.as_bytes(), |byte| byte.is_ascii_graphic() && !b"\"<>".contains(&byte));
    }
    Ok(escaped)
}

/// A path that is fit to be sent stays as it is; any other is taken apart and written anew.
fn escape_path(path: &str) -> Result<String, Invalid> {
    let plain = unescape(path)?;
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte);
    if path.bytes().all(|byte| is_unreserved(byte) || b"!'()*[]%".contains(&byte)) {
        // What the HTTP library does not take, though it might.
        return Ok(path.replace('[', "%5B").replace(']', "%5D"));
    }
    let mut escaped = String::new();
    push_escaped(&mut escaped, &plain, is_unreserved);
    Ok(escaped)
}

/// An address without who is named in it, and who that is.
pub(crate) fn split_login(address: &str) -> Result<(Cow<'_, str>, Option<Login>), Invalid> {
    let Parts { user: Some(user), .. } = Parts::of(address) else { return Ok((address.into(), None)) };
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let login = Login { user: unescape(name)?, password: unescape(password)? };
    Ok((address.replacen(&format!("{user}@"), "", 1).into(), Some(login)))
}

/// An address that may be shown: without its password.
pub(crate) fn redact(address: &str) -> Cow<'_, str> {
    match Parts::of(address).user.and_then(|user| user.split_once(':')) {
        Some((name, password)) => {
            address.replacen(&format!("{name}:{password}@"), &format!("{name}:{MASK}@"), 1).into()
        }
        None => address.into(),
    }
}

/// A text in which addresses may be shown: without their passwords.
pub(crate) fn redact_all(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        let end = after.find(|c: char| c.is_whitespace() || "/?#\"'`<>".contains(c)).unwrap_or(after.len());
        let (authority, after) = after.split_at(end);
        shown += before;
        match authority.rsplit_once('@').and_then(|(user, host)| Some((user.split_once(':')?.0, host))) {
            Some((user, host)) => shown += &format!("{user}:{MASK}@{host}"),
            None => shown += authority,
        }
        rest = after;
    }
    if shown.is_empty() { text.into() } else { (shown + rest).into() }
}

/// An address that may be told to everybody: without who is named in it. What is no address stays.
///
/// parity: what BuildKit does for provenance; so an image with a digest, which looks like a user at a host, stays.
pub(crate) fn redact_login(address: &str) -> Cow<'_, str> {
    let Parts { scheme: Some(_), user: Some(user), host, .. } = Parts::of(address) else { return address.into() };
    let is_host = host.rsplit_once(':').is_none_or(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let masked = match user.split_once(':') {
        _ if !is_host && !host.ends_with(']') => return address.into(),
        Some(("", _)) => format!(":{MASK}"),
        Some(_) => format!("{MASK}:{MASK}"),
        None if user.is_empty() => return address.into(),
        None => MASK.to_owned(),
    };
    address.replacen(&format!("{user}@"), &format!("{masked}@"), 1).into()
}

/// Bytes of a header that are no ASCII, escaped.
pub(crate) fn of_header(bytes: &[u8]) -> String {
    let mut address = String::new();
    push_escaped(&mut address, bytes, |byte| byte.is_ascii());
    address
}

/// `HOST[:PORT]` of an address.
pub(crate) fn host(address: &str) -> &str {
    Parts::of(address).host
}

/// The path of an address, as it is and not as it is written.
pub(crate) fn path(address: &str) -> Result<Vec<u8>, Invalid> {
    unescape(Parts::of(address.split('#').next().unwrap_or(address)).path)
}

struct Parts<'a> {
    scheme: Option<&'a str>,
    user: Option<&'a str>,
    host: &'a str,
    /// With its first slash.
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(address: &'a str) -> Self {
        let (scheme, rest) = match address.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, address),
        };
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (rest, None),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '#']).unwrap_or(rest.len()));
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        Self { scheme, user, host, path, query }
    }
}

fn push_escaped(to: &mut String, bytes: &[u8], stays: impl Fn(u8) -> bool) {
    for byte in bytes {
        match stays(*byte) {
            true => to.push(char::from(*byte)),
            false => to.push_str(&format!("%{byte:02X}")),
        }
    }
}

/// Bytes that stand escaped in a text.
pub(crate) fn unescape(text: &str) -> Result<Vec<u8>, Invalid> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = after.first_chunk::<2>().and_then(|[high, low]| Some((hex(*high)?, hex(*low)?)));
        let Some((high, low)) = digits else {
            let shown = String::from_utf8_lossy(&after[..after.len().min(2)]);
            return Err(Invalid(format!("invalid URL escape {}", oci::text::quote(&format!("%{shown}")))));
        };
        bytes.push(high << 4 | low);
        rest = &after[2..];
    }
    Ok(bytes)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_texts() {
        for (text, shown) in [
            ("RUN true", "RUN true"),
            ("ADD https://u:p@h/x /y", "ADD https://u:xxxxx@h/x /y"),
            ("a http://u:p@q@h:1?x=u:p@h b git://:p@h\n://", "a http://u:xxxxx@h:1?x=u:p@h b git://:xxxxx@h\n://"),
            ("RUN curl 'https://h:1/u:p@x' \"ssh://git@h:p\"", "RUN curl 'https://h:1/u:p@x' \"ssh://git@h:p\""),
        ] {
            assert_eq!(redact_all(text), shown);
        }
    }

    #[test]
    fn what_is_sent() {
        let check = |address: &str, expected: &str| {
            let actual = escape(address).unwrap_or_else(|error| error.to_string());
            assert_eq!(actual, expected, "{address}");
        };
        check("http://h/c d", "http://h/c%20d");
        check("http://h/\"<>^{|}`\\", "http://h/%22%3C%3E%5E%7B%7C%7D%60%5C");
        check("http://h/grüße", "http://h/gr%C3%BC%C3%9Fe");
        check("HTTP://h:80/a%2Fb%20c?x=%zz#frag", "http://h:80/a%2Fb%20c?x=%zz");
        // As Go does: what is written anew loses what was told apart.
        check("http://h/a%2Fb c", "http://h/a/b%20c");
        check("http://h/a(1)*'!", "http://h/a(1)*'!");
        check("http://h/a (1)*'!", "http://h/a%20%281%29%2A%27%21");
        check("http://h/a[1]", "http://h/a%5B1%5D");
        check("http://h", "http://h");
        check("http://h?", "http://h?");
        check("http://h/?a b=\"ü\"", "http://h/?a%20b=%22%C3%BC%22");
        check("http://me:p%40w@h/x", "http://me:p%40w@h/x");
        check("http://me:p@w@h/x", "http://me:p%40w@h/x");
        check("http://[::1]:80/x", "http://[::1]:80/x");
        check("http://h/%zz", "invalid URL escape \"%zz\"");
        check("http://h/a%2", "invalid URL escape \"%2\"");
        check("http://h/a#%x", "invalid URL escape \"%x\"");
        let named = "host name \"bücher.example:1\" is not ASCII: write it as its domain has it (xn--…)";
        check("http://u@bücher.example:1/ü", named);
        check("http://h/a\nb", "net/url: invalid control character in URL");
        check("http://a b/", "invalid character \" \" in host name");
        check("http://u:secret word@h/", "net/url: invalid userinfo: ' '");
        check("http://u:secret%zz@h/", "net/url: invalid URL escape in userinfo");
        check("/x", "missing protocol scheme");
    }

    #[test]
    fn who_is_named() {
        let check = |address: &str, expected: &str| {
            let (bare, login) = split_login(address).unwrap();
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            let login = login.map(|login| (text(login.user), text(login.password)));
            assert_eq!(format!("{bare} {login:?}"), expected);
        };
        check("http://h/a@b", "http://h/a@b None");
        check("http://u:p%40w@h/f", r#"http://h/f Some(("u", "p@w"))"#);
        check("http://u:p:w@h", r#"http://h Some(("u", "p:w"))"#);
        check("http://u@h/u@h", r#"http://h/u@h Some(("u", ""))"#);
        assert_eq!(split_login("http://u:p%40w@h/f").unwrap().1.unwrap().basic(), "Basic dTpwQHc=");
    }

    #[test]
    fn what_is_shown() {
        let check = |address: &str, expected: &str| assert_eq!(redact(address), expected);
        check("http://u:p@h/f?x", "http://u:xxxxx@h/f?x");
        check("http://u:p@w@h/f", "http://u:xxxxx@h/f");
        check("http://u@h/a:b@c", "http://u@h/a:b@c");
        check("http://:p@h", "http://:xxxxx@h");
        check("git@example.com:a/b", "git@example.com:a/b");
        check("http://h/f", "http://h/f");
    }

    #[test]
    fn what_is_told_to_everybody() {
        let check = |address: &str, expected: &str| assert_eq!(redact_login(address), expected);
        check("https://user:password@host.tld/this:that", "https://xxxxx:xxxxx@host.tld/this:that");
        check("https://user@host.tld/this:that", "https://xxxxx@host.tld/this:that");
        check("https://:password@host.tld/this:that", "https://:xxxxx@host.tld/this:that");
        check("https://host.tld/a@b", "https://host.tld/a@b");
        check("http://u:p@[::1]/x", "http://xxxxx:xxxxx@[::1]/x");
        check("docker-image://alpine@sha256:aa", "docker-image://alpine@sha256:aa");
        check("git@example.com:a/b", "git@example.com:a/b");
    }

    #[test]
    fn parts() {
        assert_eq!(host("http://me:pw@example.com:8080?x"), "example.com:8080");
        assert_eq!(path("http://h/a%20b?x#y").unwrap(), b"/a b");
        assert_eq!(of_header(b"/x \xfc"), "/x %FC");
    }
}
