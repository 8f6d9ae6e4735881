//! What `--output type=…,KEY=VALUE` asks for. An unknown key is an error: BuildKit takes a mistyped one and says nothing.
//!
//! Keys of all exporters are in [`KEYS`]; reading a value is a `match` over the same keys, and a test holds them together.

use std::collections::BTreeMap;

use oci::Reference;

use super::annotations::{Annotations, is_annotation};
use super::{Built, Kind};
use crate::layer::Compression;
use crate::suggest::nearest;
use crate::{Error, Result};

/// The keys there are, and whose they are.
pub(super) const KEYS: [(&str, &[Kind]); 28] = [
    ("name", IMAGES),
    ("push", IMAGES),
    ("push-by-digest", &[Kind::Image]),
    ("registry.insecure", &[Kind::Image]),
    ("store", &[Kind::Image]),
    ("unpack", &[Kind::Image]),
    ("dangling-name-prefix", &[Kind::Image]),
    ("dangling-name-empty-only", &[Kind::Image]),
    ("danging-name-empty-only", &[Kind::Image]),
    ("name-canonical", &[Kind::Image]),
    ("oci-mediatypes", IMAGES),
    ("compression", IMAGES),
    ("compression-level", IMAGES),
    ("force-compression", IMAGES),
    ("source-date-epoch", ALL),
    ("rewrite-timestamp", IMAGES),
    ("context", &[Kind::Load]),
    ("tag", &[Kind::Oci, Kind::Docker]),
    ("tar", &[Kind::Oci, Kind::Docker]),
    ("platform-split", TREES),
    ("mode", &[Kind::Local]),
    ("attestation-prefix", TREES),
    ("oci-artifact", IMAGES),
    ("attestation-inline", IMAGES),
    // What these choose between is one thing here.
    ("prefer-nondist-layers", IMAGES),
    ("unsafe-internal-store-allow-incomplete", IMAGES),
    ("buildinfo", IMAGES),
    ("annotation.KEY", IMAGES),
];
/// Keys that somebody may expect, and why they are refused.
const REFUSED: [(&str, &str); 1] = [(
    "compatibility-version",
    "BuildKit knows it in requests of programs only, to make images as its old versions did; oci-mediatypes=false has \
     their media types",
)];
const IMAGES: &[Kind] = &[Kind::Image, Kind::Oci, Kind::Docker, Kind::Load];
const TREES: &[Kind] = &[Kind::Tar, Kind::Local];
const ALL: &[Kind] = &[Kind::Image, Kind::Oci, Kind::Docker, Kind::Load, Kind::Tar, Kind::Local];

/// How an image is written.
#[derive(Clone, Debug, Default)]
pub(super) struct ImageAttrs {
    /// Names, normalised, with a tag.
    pub(super) names: Vec<Reference>,
    /// Whether the result says what it is called.
    pub(super) named_by_result: bool,
    /// Whether it goes to the registries its names are of.
    pub(super) push: bool,
    /// Whether it is pushed without its tags.
    pub(super) by_digest: bool,
    /// Whether certificates of registries are not checked, and plain HTTP will do.
    pub(super) insecure: bool,
    /// Whether it goes to the store; `None` is up to the exporter.
    pub(super) store: Option<bool>,
    /// Names of results without a name: `PREFIX@digest`.
    pub(super) dangling_prefix: Option<String>,
    /// Whether the prefix is for results without a name only.
    pub(super) dangling_empty_only: bool,
    /// Whether the files of all layers are to be here, too.
    pub(super) unpack: bool,
    /// Whether names with a digest are given too.
    pub(super) canonical: bool,
    /// Whether media types are Docker's.
    pub(super) docker_types: Option<bool>,
    /// How new layers are compressed.
    pub(super) compression: Compression,
    /// Whether gzip will do as well where it is there.
    pub(super) or_gzip: bool,
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
    /// The Docker context whose engine an image is loaded into.
    pub(super) engine: Option<String>,
    /// Annotations.
    pub(super) annotations: Annotations,
    /// Whether it has attestations that are for images in stores and registries only.
    pub(super) inline: bool,
    /// Whether the manifest of attestations looks like an image's, and not like an artifact's.
    pub(super) classic_attestations: bool,
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
    /// How names of attestations begin.
    pub(super) attestation_prefix: String,
}

impl ImageAttrs {
    /// Reads the attributes.
    pub(super) fn parse(kind: Kind, attrs: &BTreeMap<String, String>, epoch: Option<i64>) -> Result<Self> {
        check_keys(kind, attrs)?;
        let mut read = Self { epoch, tar: true, inline: kind == Kind::Image, ..Self::default() };
        let (mut compression, mut level, mut artifact) = ("", None, None);
        let mut name = "";
        for (key, value) in attrs {
            match &**key {
                "name" if value == "*" => read.named_by_result = true,
                "name" => name = value,
                "push" => read.push = boolean(key, value)?,
                "push-by-digest" => read.by_digest = boolean(key, value)?,
                "store" => read.store = Some(boolean(key, value)?),
                "unpack" => read.unpack = boolean(key, value)?,
                "registry.insecure" => read.insecure = boolean(key, value)?,
                "dangling-name-prefix" => read.dangling_prefix = Some(value.clone()),
                "dangling-name-empty-only" | "danging-name-empty-only" => {
                    read.dangling_empty_only = boolean(key, value)?;
                }
                "name-canonical" => read.canonical = boolean(key, value)?,
                "oci-mediatypes" => read.docker_types = Some(!boolean(key, value)?),
                "compression" => compression = value,
                "compression-level" => level = Some(number(key, value)?),
                "force-compression" => read.force_compression = boolean(key, value)?,
                "source-date-epoch" => read.epoch = seconds(key, value)?,
                "rewrite-timestamp" => read.rewrite_timestamp = boolean(key, value)?,
                "context" => read.engine = Some(value.clone()),
                "tag" => read.tag = Some(value.clone()),
                "tar" => read.tar = boolean(key, value)?,
                "oci-artifact" => artifact = Some(boolean(key, value)?),
                "attestation-inline" => read.inline = boolean(key, value)?,
                key if read.annotations.add(key, value)? => {}
                key => drop(boolean(key, value)?),
            }
        }
        read.compression = Compression::parse(compression, level)?;
        let docker_types = read.docker_types == Some(true);
        if docker_types && matches!(read.compression, Compression::Estargz(_)) {
            return Err(conflict("compression=estargz", "oci-mediatypes=false"));
        }
        if docker_types && artifact == Some(true) {
            return Err(conflict("oci-artifact=true", "oci-mediatypes=false"));
        }
        read.classic_attestations = artifact == Some(false);
        if read.unpack && read.rewrite_timestamp {
            return Err(conflict("rewrite-timestamp", "unpack"));
        }
        read.annotations.check_types(docker_types)?;
        read.set_names(name)?;
        Ok(read)
    }

    /// The same with what the results say: their annotations, which go before those of the attributes, and the names of the
    /// first, where it is to say them.
    ///
    /// **Errors**: it says none, or what is no name; annotations that the manifests cannot have.
    pub(super) fn said_by(mut self, built: &[Built]) -> Result<Self> {
        for (key, value) in built.iter().flat_map(|built| &built.annotations) {
            self.annotations.add(key, value)?;
        }
        self.annotations.check_types(self.docker_types == Some(true))?;
        if self.named_by_result {
            let name = built[0].name.as_deref().ok_or_else(|| Error::Unsupported {
                what: "name=* for a result that nobody named".into(),
                why: "it is for frontends that say image.name; name the image".into(),
            })?;
            self.set_names(name)?;
        }
        Ok(self)
    }

    /// **Errors**: what is no name; one with a tag or a digest that is to be pushed without.
    fn set_names(&mut self, text: &str) -> Result<()> {
        let names = names(text)?;
        if self.push
            && self.by_digest
            && let Some(tagged) = names.iter().find(|name| !name.is_name_only())
        {
            return Err(Error::Invalid(format!("can't push tagged ref {tagged} by digest")));
        }
        self.names = names.into_iter().map(Reference::or_latest).collect();
        Ok(())
    }
}

impl TreeAttrs {
    /// Reads the attributes.
    pub(super) fn parse(kind: Kind, attrs: &BTreeMap<String, String>, epoch: Option<i64>) -> Result<Self> {
        check_keys(kind, attrs)?;
        let mut read = Self { epoch, ..Self::default() };
        for (key, value) in attrs {
            match (&**key, &**value) {
                ("source-date-epoch", _) => read.epoch = seconds(key, value)?,
                ("platform-split", _) => read.split = Some(boolean(key, value)?),
                ("mode", mode) => {
                    read.delete = match &*mode.trim().to_lowercase() {
                        "" | "copy" => false,
                        "delete" => true,
                        _ => return Err(Error::Invalid(format!("invalid local exporter mode {mode:?}"))),
                    }
                }
                ("attestation-prefix", prefix) => read.attestation_prefix = attestation_prefix(prefix)?,
                _ => {}
            }
        }
        Ok(read)
    }
}

/// What names of files may begin with. **Errors**: they would be elsewhere.
fn attestation_prefix(prefix: &str) -> Result<String> {
    match prefix.contains(['/', '\0']) {
        true => Err(Error::Invalid(format!("attestation-prefix {prefix:?} is no beginning of the name of a file"))),
        false => Ok(prefix.to_owned()),
    }
}

fn names(value: &str) -> Result<Vec<Reference>> {
    let parse =
        |name: &str| Reference::parse(name).map_err(|error| Error::Invalid(format!("failed to parse {name}: {error}")));
    value.split(',').filter(|name| !name.is_empty()).map(parse).collect()
}

/// Go's `strconv.ParseBool`; nothing is true.
pub(crate) fn boolean(key: &str, value: &str) -> Result<bool> {
    match value {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(Error::Invalid(format!("non-bool value specified for {key}: {value:?}"))),
    }
}

/// A number. **Errors**: it is none.
pub(crate) fn number<T: std::str::FromStr>(key: &str, value: &str) -> Result<T> {
    value.parse().map_err(|_| Error::Invalid(format!("invalid {key}: {value:?} is not a number")))
}

/// Seconds since the epoch; empty is none, whatever the build says.
fn seconds(key: &str, value: &str) -> Result<Option<i64>> {
    if value.is_empty() { Ok(None) } else { number(key, value).map(Some) }
}

/// parity: BuildKit's words.
fn conflict(one: &str, other: &str) -> Error {
    Error::Invalid(format!("exporter option \"{one}\" conflicts with \"{other}\""))
}

/// What is called `docker` goes to a file or to an engine: those that have an attribute which the other has not.
const FILE: &str = "docker with dest";
const ENGINE: &str = "docker without dest";

/// Refuses keys that an exporter does not have.
fn check_keys(kind: Kind, attrs: &BTreeMap<String, String>) -> Result<()> {
    attrs.keys().try_for_each(|key| check_key(kind, key))
}

fn check_key(kind: Kind, key: &str) -> Result<()> {
    if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == key) {
        return Err(Error::Unsupported { what: format!("output attribute {key:?}"), why: (*why).into() });
    }
    let general = if is_annotation(key) { "annotation.KEY" } else { key };
    let known = KEYS.iter().find(|(known, _)| *known == general);
    let Some((_, kinds)) = known else {
        let of_kind = KEYS.iter().filter(|(_, kinds)| kinds.contains(&kind)).map(|(known, _)| *known);
        let advice = match nearest(key, of_kind) {
            _ if key.starts_with("annotation") => {
                " (those of annotations are annotation[-TYPE][[PLATFORM]].KEY)".into()
            }
            Some(known) => format!(" (did you mean {known}?)"),
            None => String::new(),
        };
        return Err(Error::Invalid(format!("unknown output attribute {key:?}{advice}")));
    };
    if kinds.contains(&kind) {
        return Ok(());
    }
    let has = |kind| kinds.contains(&kind);
    let own = match kind {
        Kind::Docker if has(Kind::Load) => FILE,
        Kind::Load if has(Kind::Docker) => ENGINE,
        kind => kind.name(),
    };
    let theirs = kinds.iter().filter_map(|kind| match kind {
        Kind::Docker if !has(Kind::Load) => Some(FILE),
        Kind::Load if has(Kind::Docker) => None,
        Kind::Load => Some(ENGINE),
        kind => Some(kind.name()),
    });
    let theirs: Vec<_> = theirs.map(|name| format!("type={name}")).collect();
    Err(Error::Invalid(format!("output attribute {key:?} is not for type={own}, it is for {}", theirs.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(attrs: &[(&str, &str)], expected: &str) {
        let attrs = attrs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let error = ImageAttrs::parse(Kind::Image, &attrs, None).err().map(|error| error.to_string());
        assert_eq!(error.unwrap_or_default(), expected);
    }

    #[test]
    fn whose_an_attribute_is() {
        let check = |kind, key, expected: &str| {
            let expected = format!("output attribute {key:?} is not for {expected}");
            assert_eq!(check_key(kind, key).unwrap_err().to_string(), expected);
        };
        check(Kind::Tar, "compression", "type=tar, it is for type=image, type=oci, type=docker");
        check(Kind::Load, "tar", "type=docker without dest, it is for type=oci, type=docker with dest");
        check(Kind::Docker, "context", "type=docker with dest, it is for type=docker without dest");
        check(Kind::Docker, "unpack", "type=docker, it is for type=image");
    }

    #[test]
    fn attributes() {
        check(&[("name", "a,b:1"), ("push", "true"), ("compression", "zstd"), ("compression-level", "9")], "");
        check(&[("annotation.org.example", "x"), ("annotation-index[linux/amd64].k", "v")], "");
        check(&[("nmae", "a")], "unknown output attribute \"nmae\" (did you mean name?)");
        check(
            &[("compresion-level", "1")],
            "unknown output attribute \"compresion-level\" (did you mean compression-level?)",
        );
        check(&[("colour", "red")], "unknown output attribute \"colour\"");
        check(&[("name", "*"), ("push", "true")], "");
        let files = "output attribute \"tar\" is not for type=image, it is for type=oci, type=docker with dest";
        check(&[("tar", "false")], files);
        check(
            &[("annotation[linux/amd64].", "v")],
            "unknown output attribute \"annotation[linux/amd64].\" (those of annotations are \
             annotation[-TYPE][[PLATFORM]].KEY)",
        );
        check(&[("mode", "delete")], "output attribute \"mode\" is not for type=image, it is for type=local");
        check(
            &[("compatibility-version", "20")],
            "output attribute \"compatibility-version\" is not supported: BuildKit knows it in requests of programs only, \
             to make images as its old versions did; oci-mediatypes=false has their media types",
        );
        check(&[("oci-artifact", "perhaps")], "non-bool value specified for oci-artifact: \"perhaps\"");
        check(&[("compression-level", "10")], "compression-level 10 is not one of gzip's: -2 to 9");
        check(&[("push", "yes")], "non-bool value specified for push: \"yes\"");
        check(&[("name", "a"), ("push", ""), ("push-by-digest", "")], "");
        check(&[("name", "a:1"), ("push-by-digest", "")], "");
        let by_digest = [("name", "b,a:1"), ("push", ""), ("push-by-digest", "")];
        check(&by_digest, "can't push tagged ref docker.io/library/a:1 by digest");
        check(&[("compression", "lzma")], "unsupported layer compression type: lzma");
        check(&[("source-date-epoch", "x")], "invalid source-date-epoch: \"x\" is not a number");
    }

    #[test]
    fn names_are_whole() {
        let attrs = [("name".to_owned(), "app,quay.io/x/y:2".to_owned())].into();
        let names = ImageAttrs::parse(Kind::Image, &attrs, None).unwrap().names;
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["docker.io/library/app:latest", "quay.io/x/y:2"]);
    }
}
