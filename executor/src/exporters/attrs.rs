//! What `--output type=…,KEY=VALUE` asks for. An unknown key is an error: BuildKit takes a mistyped one and says nothing.

use std::collections::BTreeMap;

use oci::Reference;

use super::annotations::Annotations;
use crate::layer::Compression;
use crate::{Error, Result};

/// Keys that make no difference here, with the reason: there is one way to do what they choose between, or nothing yet
/// that they apply to.
const WITHOUT_EFFECT: [&str; 5] = [
    "oci-artifact",
    "attestation-inline",
    "prefer-nondist-layers",
    "unsafe-internal-store-allow-incomplete",
    "buildinfo",
];

/// How an image is written.
#[derive(Clone, Debug, Default)]
pub(super) struct ImageAttrs {
    /// Names, normalised, with a tag.
    pub(super) names: Vec<Reference>,
    /// Whether it goes to the registries its names are of.
    pub(super) push: bool,
    /// Whether it is pushed without its tags.
    pub(super) by_digest: bool,
    /// Whether it goes to the store; `None` is up to the exporter.
    pub(super) store: Option<bool>,
    /// Names of results without a name: `PREFIX@digest`.
    pub(super) dangling_prefix: Option<String>,
    /// Whether the prefix is for results without a name only.
    pub(super) dangling_empty_only: bool,
    /// Whether names with a digest are given too.
    pub(super) canonical: bool,
    /// Whether media types are Docker's.
    pub(super) docker_types: Option<bool>,
    /// How new layers are compressed.
    pub(super) compression: Compression,
    /// Whether all layers are.
    pub(super) force_compression: bool,
    /// Latest time of configs and indexes, seconds since the epoch.
    pub(super) epoch: Option<i64>,
    /// Whether times in layers are changed to that.
    pub(super) rewrite_timestamp: bool,
    /// Whether an archive is written, not a directory.
    pub(super) tar: bool,
    /// Name in a layout directory of an image without a name.
    pub(super) tag: Option<String>,
    /// Annotations.
    pub(super) annotations: Annotations,
}

/// How a tree is written.
#[derive(Clone, Debug, Default)]
pub(super) struct TreeAttrs {
    /// Time of every file, seconds since the epoch.
    pub(super) epoch: Option<i64>,
    /// Whether each platform has its own directory; `None`: when there are several.
    pub(super) split: Option<bool>,
    /// Whether files that are not of the result are removed.
    pub(super) delete: bool,
}

impl ImageAttrs {
    /// Reads the attributes.
    pub(super) fn parse(attrs: &BTreeMap<String, String>, epoch: Option<i64>) -> Result<Self> {
        let mut read = Self { epoch, tar: true, ..Self::default() };
        let (mut compression, mut level) = ("", None);
        for (key, value) in attrs {
            match &**key {
                "name" => read.names = names(value)?,
                "push" => read.push = boolean(key, value)?,
                "push-by-digest" => read.by_digest = boolean(key, value)?,
                "store" => read.store = Some(boolean(key, value)?),
                "unpack" if !boolean(key, value)? => {}
                "unpack" => return Err(unsupported(key, "layers are unpacked when a build needs them")),
                "registry.insecure" if !boolean(key, value)? => {}
                "registry.insecure" => {
                    return Err(unsupported(key, "say which registries are reached without TLS in the hosts file"));
                }
                "dangling-name-prefix" => read.dangling_prefix = Some(value.clone()),
                "dangling-name-empty-only" | "danging-name-empty-only" => {
                    read.dangling_empty_only = boolean(key, value)?;
                }
                "name-canonical" => read.canonical = boolean(key, value)?,
                "oci-mediatypes" => read.docker_types = Some(!boolean(key, value)?),
                "compression" => compression = value,
                "compression-level" => level = Some(number(key, value)?),
                "force-compression" => read.force_compression = boolean(key, value)?,
                "source-date-epoch" => read.epoch = Some(number(key, value)?),
                "rewrite-timestamp" => read.rewrite_timestamp = boolean(key, value)?,
                "tag" => read.tag = Some(value.clone()),
                "tar" => read.tar = boolean(key, value)?,
                key if WITHOUT_EFFECT.contains(&key) => drop(boolean(key, value)?),
                key if read.annotations.add(key, value)? => {}
                key => return Err(unknown(key)),
            }
        }
        read.compression = Compression::parse(compression, level)?;
        Ok(read)
    }
}

impl TreeAttrs {
    /// Reads the attributes.
    pub(super) fn parse(attrs: &BTreeMap<String, String>, epoch: Option<i64>) -> Result<Self> {
        let mut read = Self { epoch, ..Self::default() };
        for (key, value) in attrs {
            match (&**key, &**value) {
                ("source-date-epoch", _) => read.epoch = Some(number(key, value)?),
                ("platform-split", _) => read.split = Some(boolean(key, value)?),
                ("mode", "" | "copy") => {}
                ("mode", "delete") => read.delete = true,
                ("mode", other) => return Err(Error::Invalid(format!("invalid local exporter mode {other:?}"))),
                // There are no attestations yet to give names to.
                ("attestation-prefix", _) => {}
                (key, _) => return Err(unknown(key)),
            }
        }
        Ok(read)
    }
}

fn names(value: &str) -> Result<Vec<Reference>> {
    let parse = |name: &str| {
        let parsed = Reference::parse(name).map_err(|error| Error::Invalid(format!("failed to parse {name}: {error}")));
        parsed.map(Reference::or_latest)
    };
    value.split(',').filter(|name| !name.is_empty()).map(parse).collect()
}

/// Go's `strconv.ParseBool`.
fn boolean(key: &str, value: &str) -> Result<bool> {
    match value {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(Error::Invalid(format!("non-bool value specified for {key}: {value:?}"))),
    }
}

fn number<T: std::str::FromStr>(key: &str, value: &str) -> Result<T> {
    value.parse().map_err(|_| Error::Invalid(format!("invalid {key}: {value:?} is not a number")))
}

fn unknown(key: &str) -> Error {
    Error::Invalid(format!("unknown output attribute {key:?}: check its spelling"))
}

fn unsupported(key: &str, why: &str) -> Error {
    Error::Unsupported { what: format!("output attribute {key}"), why: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(attrs: &[(&str, &str)], expected: &str) {
        let attrs = attrs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let error = ImageAttrs::parse(&attrs, None).err().map(|error| error.to_string());
        assert_eq!(error.unwrap_or_default(), expected);
    }

    #[test]
    fn attributes() {
        check(&[("name", "a,b:1"), ("push", "true"), ("compression", "zstd"), ("compression-level", "9")], "");
        check(&[("annotation.org.example", "x"), ("annotation-index[linux/amd64].k", "v")], "");
        check(&[("nmae", "a")], "unknown output attribute \"nmae\": check its spelling");
        check(&[("push", "yes")], "non-bool value specified for push: \"yes\"");
        check(&[("compression", "lzma")], "unsupported layer compression type: lzma");
        check(&[("source-date-epoch", "x")], "invalid source-date-epoch: \"x\" is not a number");
    }

    #[test]
    fn names_are_whole() {
        let attrs = [("name".to_owned(), "app,quay.io/x/y:2".to_owned())].into();
        let names = ImageAttrs::parse(&attrs, None).unwrap().names;
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["docker.io/library/app:latest", "quay.io/x/y:2"]);
    }
}
