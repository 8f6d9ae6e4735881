//! `Content-Disposition: attachment; filename="a b"`: what a server calls a file.
//!
//! A name in other letters is spelt `filename*=UTF-8''gr%C3%BCn` (RFC 8187), a long one comes in pieces, `filename*0=…` and
//! `filename*1*=…` (RFC 2231); both are preferred to `filename=`. parity: Go's `mime.ParseMediaType` (1.27), by which a header
//! that is malformed anywhere says nothing.

use std::collections::BTreeMap;

use crate::url::unescape;

/// Parameters by their names in lower case.
type Parameters = BTreeMap<String, Vec<u8>>;

/// The name in a header, if it is well-formed and has one.
pub(super) fn file_name(header: &[u8]) -> Option<String> {
    let parameters = parse(header)?;
    let name = extended(&parameters).or_else(|| in_pieces(&parameters));
    let name = name.or_else(|| parameters.get("filename").cloned())?;
    Some(String::from_utf8_lossy(&name).into_owned())
}

fn extended(parameters: &Parameters) -> Option<Vec<u8>> {
    decode(parameters.get("filename*")?)
}

/// Pieces do not count beside a spelling of its own, whatever that is worth.
fn in_pieces(parameters: &Parameters) -> Option<Vec<u8>> {
    if parameters.contains_key("filename*") {
        return None;
    }
    let piece = |number: usize| {
        let key = format!("filename*{number}");
        let encoded = || {
            let value = parameters.get(&format!("{key}*"))?;
            let decoded = if number == 0 { decode(value) } else { std::str::from_utf8(value).ok().and_then(percent) };
            Some(decoded.unwrap_or_default())
        };
        parameters.get(&key).cloned().or_else(encoded)
    };
    let pieces: Vec<_> = (0..).map_while(piece).collect();
    if pieces.is_empty() { None } else { Some(pieces.concat()) }
}

/// `CHARSET'LANGUAGE'TEXT` with escapes; of UTF-8 and ASCII only.
fn decode(value: &[u8]) -> Option<Vec<u8>> {
    let mut parts = std::str::from_utf8(value).ok()?.splitn(3, '\'');
    let (charset, _, text) = (parts.next()?, parts.next()?, parts.next()?);
    let known = ["us-ascii", "utf-8"].iter().any(|known| known.eq_ignore_ascii_case(charset));
    if known { percent(text) } else { None }
}

fn percent(text: &str) -> Option<Vec<u8>> {
    unescape(text).ok()
}

/// `KIND; NAME=VALUE; NAME="VALUE"`. A name twice is malformed, unless it is said twice alike.
fn parse(header: &[u8]) -> Option<Parameters> {
    let end = header.iter().position(|byte| *byte == b';').unwrap_or(header.len());
    let (kind, rest) = header.split_at(end);
    if !is_kind(kind.trim_ascii()) {
        return None;
    }
    let mut parameters = Parameters::new();
    let mut rest = Rest(rest.trim_ascii_start());
    while !rest.0.is_empty() {
        rest.skip(b';')?;
        if rest.0.is_empty() {
            break;
        }
        let name = rest.token()?.to_ascii_lowercase();
        rest.0 = rest.0.trim_ascii_start();
        rest.skip(b'=')?;
        let value = rest.value()?;
        rest.0 = rest.0.trim_ascii_start();
        if parameters.get(&name).is_some_and(|known| *known != value) {
            return None;
        }
        parameters.insert(name, value);
    }
    Some(parameters)
}

/// `attachment`, `inline`; a media type is taken, too.
fn is_kind(text: &[u8]) -> bool {
    let mut parts = text.splitn(2, |byte| *byte == b'/');
    parts.all(|part| !part.is_empty() && part.iter().all(|byte| is_token(*byte)))
}

/// What is left to read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// Takes a byte and the blanks behind it.
    fn skip(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[byte])?.trim_ascii_start();
        Some(())
    }

    fn token(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|byte| !is_token(*byte)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        std::str::from_utf8(token).ok().filter(|token| !token.is_empty())
    }

    fn value(&mut self) -> Option<Vec<u8>> {
        let Some(quoted) = self.0.strip_prefix(b"\"") else { return self.token().map(|token| token.into()) };
        let mut value = Vec::new();
        let mut bytes = quoted.iter().copied().enumerate().peekable();
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'"' => {
                    self.0 = &quoted[at + 1..];
                    return Some(value);
                }
                // Any other backslash is one of a path of Windows.
                b'\\' => value.push(bytes.next_if(|(_, next)| SPECIAL.contains(next)).map_or(byte, |(_, next)| next)),
                _ => value.push(byte),
            }
        }
        None
    }
}

/// What takes quotes.
const SPECIAL: &[u8] = b"()<>@,;:\\\"/[]?=";

fn is_token(byte: u8) -> bool {
    byte.is_ascii_graphic() && !SPECIAL.contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check = |header: &str, expected: &str| {
            assert_eq!(file_name(header.as_bytes()).unwrap_or("none".into()), expected, "{header}");
        };
        check("attachment; filename=c.txt", "c.txt");
        check("attachment;filename=c.txt;", "c.txt");
        check("a/b; FileName = \"c d\"", "c d");
        check(r#"attachment; size=1; filename="c \"d\".txt""#, "c \"d\".txt");
        check(r#"attachment; filename="C:\dir\file""#, r"C:\dir\file");
        check("attachment; filename=\"grün\"", "grün");
        check("attachment; filename=a; filename*=UTF-8''gr%C3%BCn%20x", "grün x");
        check("attachment; filename*=utf-8'de'b; filename=a", "b");
        check("attachment; filename*=iso-8859-1''b; filename=a", "a");
        check("attachment; filename*=UTF-8''%zz; filename=a; filename*0=c", "a");
        check("attachment; filename*=b; filename=a", "a");
        check("attachment; filename*0=\"a b\"; filename*1=c; filename=d; filename*3=e", "a bc");
        check("attachment; filename*0*=UTF-8''%C3%BC; filename*1*=%20x; filename*2=%20", "ü x%20");
        check("attachment; filename*0*=x; filename*1=y", "y");
        check("attachment; filename*1=y", "none");
        check("attachment; filename=a; filename=a", "a");
        check("inline", "none");
    }

    #[test]
    fn malformed_headers_say_nothing() {
        for header in [
            "attachment; filename=a; filename=b",
            "attachment; filename=a b",
            "attachment; filename=\"a",
            "attachment; filename=a; x",
            "attachment; filename=",
            "attachment; filename=grün",
            "attachment; filename=a;; x=y",
            "; filename=a",
            "a b; filename=a",
            "a/b/c; filename=a",
            "",
        ] {
            assert_eq!(file_name(header.as_bytes()), None, "{header}");
        }
    }
}
