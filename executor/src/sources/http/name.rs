//! What a downloaded file is called: as the definition says, else the server, else the address; never a path.

use ureq::http::{HeaderMap, header};

use super::disposition;
use crate::url;

/// When nothing gives a name.
const NAMELESS: &str = "download";

/// The name for a file at an address.
pub(super) fn of(address: &str, wanted: &str, headers: Option<&HeaderMap>) -> String {
    if !wanted.is_empty() {
        return safe(wanted);
    }
    if let Some(name) = headers.and_then(disposition_name) {
        return safe(&name);
    }
    safe(&url::path(address).map_or_else(|_| String::new(), |path| String::from_utf8_lossy(&path).into_owned()))
}

/// The host in an address, without user and port.
pub(super) fn host(address: &str) -> &str {
    let host = url::host(address);
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    }
}

/// The last element of a path, if it is a name that can be shown.
pub(in crate::sources) fn safe(text: &str) -> String {
    let name = text.trim().trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    if matches!(name, "" | "." | "..") || name.chars().any(char::is_control) {
        return NAMELESS.to_owned();
    }
    name.to_owned()
}

/// The server's name; a directory is none.
fn disposition_name(headers: &HeaderMap) -> Option<String> {
    let name = disposition::file_name(headers.get(header::CONTENT_DISPOSITION)?.as_bytes())?;
    Some(name).filter(|name| !name.is_empty() && !name.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, wanted: &str, disposition: Option<&str>, expected: &str) {
        let mut headers = HeaderMap::new();
        if let Some(value) = disposition {
            headers.insert(header::CONTENT_DISPOSITION, value.parse().unwrap());
        }
        assert_eq!(of(url, wanted, Some(&headers)), expected, "{url} {disposition:?}");
    }

    #[test]
    fn names() {
        check("https://example.com/a/b.tar.gz?x=/y#z", "", None, "b.tar.gz");
        check("https://example.com/a%20b/", "", None, "a b");
        check("https://example.com/..", "", None, "download");
        check("https://example.com", "", None, "download");
        check("https://example.com/?x", "", None, "download");
        check("https://example.com/a", "other", Some("attachment; filename=c"), "other");
        check("https://example.com/a", "../../etc/passwd", None, "passwd");
        check("https://example.com/a", "", Some("attachment; filename=c.txt"), "c.txt");
        check("https://example.com/a", "", Some(r#"attachment; size=1; FileName="c \"d\".txt""#), "c \"d\".txt");
        check("https://example.com/a", "", Some("attachment; filename=\"../../c\""), "c");
        check("https://example.com/a", "", Some("attachment; filename=\"c/\""), "a");
        check("https://example.com/a", "", Some("attachment; filename=../../c"), "a");
        check("https://example.com/a", "", Some("attachment; filename*=UTF-8''..%2F%C3%BC; filename=c"), "ü");
        check("https://example.com/a", "", Some("inline"), "a");
        check("https://example.com/a%0ab", "", None, "download");
    }

    #[test]
    fn hosts() {
        for (url, expected) in [
            ("https://example.com/a", "example.com"),
            ("http://me:pw@example.com:8080?x", "example.com"),
            ("http://[::1]:80/", "::1"),
        ] {
            assert_eq!(host(url), expected);
        }
    }
}
