//! Package URLs: <https://github.com/package-url/purl-spec>.
//!
//! parity: which characters are escaped is `packageurl-go`'s as BuildKit v0.32 has it (`util/purl`).

use oci::{Platform, Reference};

use crate::{Error, Result};

/// Types of packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// In a registry.
    Docker,
    /// In a directory of the user's.
    Oci,
}

/// The package URL of an image.
///
/// **Errors**: what is no name of one.
pub(crate) fn of_image(kind: Type, name: &str, platform: Option<&Platform>, more: &[(&str, &str)]) -> Result<String> {
    let invalid = |error| Error::Invalid(format!("failed to parse ref {name:?}: {error}"));
    let reference = Reference::parse(name).map_err(invalid)?.or_latest();
    let digest = reference.digest().map(ToString::to_string);
    let platform = platform.map(|platform| platform.normalize().short());
    let qualifiers = [("digest", digest), ("platform", platform)];
    let qualifiers = qualifiers.iter().filter_map(|(key, value)| Some((*key, value.as_deref()?)));
    let mut purl = format!("pkg:{}/", if kind == Type::Docker { "docker" } else { "oci" });
    let path: Vec<String> = reference.familiar_name().split('/').map(|part| escape(part, "")).collect();
    purl += &path.join("/");
    if let Some(tag) = reference.tag() {
        purl += &format!("@{}", escape(tag, SEGMENT));
    }
    for (at, (key, value)) in qualifiers.chain(more.iter().copied()).enumerate() {
        purl += &format!("{}{key}={}", if at == 0 { '?' } else { '&' }, escape(value, SEGMENT));
    }
    Ok(purl)
}

/// What stays as it is in a segment of a path beside what always does.
const SEGMENT: &str = "$&+:=@";

fn escape(text: &str, also: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        let c = char::from(byte);
        if byte.is_ascii_alphanumeric() || "-_.~".contains(c) || (byte.is_ascii() && also.contains(c)) {
            escaped.push(c);
        } else {
            escaped += &format!("%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images() {
        let digest = oci::Digest::sha256(b"x").to_string();
        let amd64 = Platform::new("linux", "amd64");
        let check = |name: &str, platform: Option<&Platform>, expected: &str| {
            assert_eq!(of_image(Type::Docker, name, platform, &[]).unwrap(), expected);
        };
        check("alpine", None, "pkg:docker/alpine@latest");
        check("docker.io/library/alpine:3.15", None, "pkg:docker/alpine@3.15");
        check("user/test:v2", None, "pkg:docker/user/test@v2");
        check("ghcr.io/foo/bar", Some(&amd64), "pkg:docker/ghcr.io/foo/bar@latest?platform=linux%2Famd64");
        check("127.0.0.1:5000/a:1", None, "pkg:docker/127.0.0.1%3A5000/a@1");
        check(&format!("alpine@{digest}"), None, &format!("pkg:docker/alpine?digest={digest}"));
        check(
            &format!("alpine:1@{digest}"),
            Some(&amd64),
            &format!("pkg:docker/alpine@1?digest={digest}&platform=linux%2Famd64"),
        );
        let blob = of_image(Type::Oci, &format!("a@{digest}"), None, &[("ref_type", "blob")]).unwrap();
        assert_eq!(blob, format!("pkg:oci/a?digest={digest}&ref_type=blob"));
        assert!(of_image(Type::Docker, "inv:al:id", None, &[]).is_err());
    }
}
