//! What flags and requests of frontends say of caches elsewhere. An unknown key is an error: BuildKit takes a
//! mistyped one and says nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use oci::{Digest, Reference};

use crate::csv::split;
use crate::exporters::{Mode, Wanted, boolean, check_dir, number};
use crate::layer::Compression;
use crate::suggest::nearest;
use crate::{Error, Result};

type Attrs = BTreeMap<String, String>;

/// Keys of an import from a registry.
const FROM_REGISTRY: &[&str] = &["ref", "registry.insecure"];
/// Keys of an import from a directory.
const FROM_LOCAL: &[&str] = &["src", "tag", "digest"];
/// Keys of an export to a registry.
const TO_REGISTRY: &[&str] = &[
    "ref",
    "mode",
    "image-manifest",
    "oci-mediatypes",
    "registry.insecure",
    "compression",
    "compression-level",
    "force-compression",
    "ignore-error",
];
/// Keys of an export to a directory.
const TO_LOCAL: &[&str] = &[
    "dest",
    "tag",
    "reset",
    "mode",
    "image-manifest",
    "oci-mediatypes",
    "compression",
    "compression-level",
    "force-compression",
    "ignore-error",
];
/// Keys of an export into images.
const INLINE: &[&str] = &["mode", "ignore-error"];
/// Types whose places are services of others.
const SERVICES: [(&str, &str); 3] =
    [("gha", "GitHub's cache service"), ("s3", "a storage service like S3"), ("azblob", "Azure's storage service")];

/// Where a cache is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Import {
    /// A cache, or an image with one inside, in a registry.
    Registry {
        /// Its name, with a tag or a digest.
        name: Reference,
        /// Whether certificates are not checked, and plain HTTP will do.
        insecure: bool,
    },
    /// The same in an OCI layout directory.
    Local {
        /// The directory: absolute.
        dir: PathBuf,
        /// What it is called in the index.
        tag: String,
        /// What it is, whatever the index says.
        digest: Option<Digest>,
    },
}

/// A cache that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Where to.
    pub to: Place,
    /// What of the build.
    pub mode: Mode,
    /// As what.
    pub form: Form,
    /// How layers that the build made are compressed.
    pub compression: Compression,
    /// Whether all layers are.
    pub force_compression: bool,
    /// Whether a build is good whose cache could not be written.
    pub ignore_error: bool,
}

/// Where a cache is written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A registry.
    Registry {
        /// The name, with a tag.
        name: Reference,
        /// Whether certificates are not checked, and plain HTTP will do.
        insecure: bool,
    },
    /// An OCI layout directory.
    Local {
        /// The directory: absolute. It is made if it is not there.
        dir: PathBuf,
        /// What the cache is called in the index.
        tag: String,
        /// Whether blobs go that nothing in the index needs any more.
        reset: bool,
    },
    /// The config of the images that the build exports.
    Inline,
}

/// What a cache looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// An OCI manifest, whose config is the cache's.
    #[default]
    Manifest,
    /// An OCI index, whose entries are the blobs and the config.
    Index,
    /// The same as a manifest list of Docker's.
    List,
}

impl Import {
    /// Reads `type=registry,ref=NAME`, `type=local,src=DIR`, or names. **Shape**: as many as are named; nothing is
    /// none.
    pub fn parse(text: &str) -> Result<Vec<Self>> {
        parse(text, Self::new).map_err(|error| of_flag("--cache-from", text, error))
    }

    /// An import of a type with its attributes.
    pub fn new(kind: &str, attrs: &Attrs) -> Result<Self> {
        match kind {
            "registry" => {
                check_keys(kind, FROM_REGISTRY, attrs)?;
                let name = name(attrs, "registry cache importer requires ref")?;
                Ok(Self::Registry { name, insecure: flag(attrs, "registry.insecure", false)? })
            }
            "local" => {
                check_keys(kind, FROM_LOCAL, attrs)?;
                let digest = attrs.get("digest").filter(|digest| !digest.is_empty());
                let digest = digest.map(|digest| {
                    Digest::parse(digest).map_err(|error| Error::Invalid(format!("invalid digest {digest}: {error}")))
                });
                let digest = digest.transpose()?;
                let tag = tag(attrs);
                if tag.is_empty() && digest.is_none() {
                    return Err(Error::Invalid(
                        "local cache importer requires either explicit digest, \"latest\" tag or custom \
                         tag on index.json"
                            .into(),
                    ));
                }
                let dir = directory(attrs, "src", "local cache importer requires src")?;
                Ok(Self::Local { dir, tag, digest })
            }
            "inline" => Err(Error::Invalid(
                "an inline cache is imported from the image that has it: type=registry,ref=IMAGE".into(),
            )),
            kind => Err(unknown_type(kind, &["registry", "local"])),
        }
    }

    /// The registry whose certificate is not to be checked, and which may speak plain HTTP, also when layers are
    /// fetched.
    pub fn insecure(&self) -> Option<&str> {
        match self {
            Self::Registry { name, insecure: true } => Some(name.domain()),
            _ => None,
        }
    }

    /// The layout that a build must know for layers of this cache: its name in
    /// [`crate::session::Session::oci_layouts`], and the directory.
    pub fn layout(&self) -> Option<(String, PathBuf)> {
        match self {
            Self::Local { dir, .. } => Some((format!("cache:{}", dir.display()), dir.clone())),
            Self::Registry { .. } => None,
        }
    }
}

/// The reference, or the directory.
impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry { name, .. } => write!(f, "{name}"),
            Self::Local { dir, .. } => write!(f, "{}", dir.display()),
        }
    }
}

impl Export {
    /// Reads `type=registry,ref=NAME`, `type=local,dest=DIR`, `type=inline`, or names. **Shape**: as many as are
    /// named; nothing is none.
    pub fn parse(text: &str) -> Result<Vec<Self>> {
        parse(text, Self::new).map_err(|error| of_flag("--cache-to", text, error))
    }

    /// An export of a type with its attributes.
    pub fn new(kind: &str, attrs: &Attrs) -> Result<Self> {
        let to = match kind {
            "registry" => {
                check_keys(kind, TO_REGISTRY, attrs)?;
                let name = name(attrs, "registry cache exporter requires ref")?;
                if name.digest().is_some() {
                    return Err(Error::Invalid(format!("{name}: what is not yet made has no digest: give it a tag")));
                }
                Place::Registry { name, insecure: flag(attrs, "registry.insecure", false)? }
            }
            "local" => {
                check_keys(kind, TO_LOCAL, attrs)?;
                let tag = tag(attrs);
                if tag.is_empty() {
                    return Err(Error::Invalid("an empty tag is no name: leave it out for latest".into()));
                }
                let dir = directory(attrs, "dest", "local cache exporter requires dest")?;
                Place::Local { dir, tag, reset: flag(attrs, "reset", false)? }
            }
            "inline" => {
                check_keys(kind, INLINE, attrs)?;
                Place::Inline
            }
            kind => return Err(unknown_type(kind, &["registry", "local", "inline"])),
        };
        let level = attrs.get("compression-level").map(|level| number("compression-level", level)).transpose()?;
        Ok(Self {
            mode: mode(attrs, &to)?,
            form: form(attrs)?,
            compression: Compression::parse(attrs.get("compression").map_or("", String::as_str), level)?,
            force_compression: flag(attrs, "force-compression", false)?,
            ignore_error: flag(attrs, "ignore-error", false)?,
            to,
        })
    }

    /// What it is written to, in BuildKit's words; `None` where it is part of the images.
    pub fn place(&self) -> Option<&'static str> {
        match self.to {
            Place::Registry { .. } => Some("registry"),
            Place::Local { .. } => Some("client directory"),
            Place::Inline => None,
        }
    }

    /// How layers are wanted. A registry needs no bytes that it has already.
    pub(crate) fn wanted(&self) -> Wanted {
        Wanted::of_cache(self.compression, self.force_compression, matches!(self.to, Place::Local { .. }))
    }

    /// Finds out before a build what would make its export fail whatever is built.
    pub fn check(&self) -> Result<()> {
        match &self.to {
            Place::Local { dir, .. } => check_dir(Some(dir)),
            Place::Registry { .. } | Place::Inline => Ok(()),
        }
    }
}

fn parse<T>(text: &str, new: impl Fn(&str, &Attrs) -> Result<T>) -> Result<Vec<T>> {
    let fields = split(text);
    if !text.contains('=') {
        let named = fields.iter().filter(|name| !name.trim().is_empty());
        return named.map(|name| new("registry", &[("ref".to_owned(), name.trim().to_owned())].into())).collect();
    }
    let mut attrs = Attrs::new();
    for field in &fields {
        let (key, value) =
            field.split_once('=').ok_or_else(|| Error::Invalid(format!("{field:?} is not KEY=VALUE")))?;
        attrs.insert(key.trim().to_lowercase(), value.to_owned());
    }
    let kind = attrs.remove("type").ok_or_else(|| Error::Invalid("it has no `type=`".into()))?;
    new(&kind, &attrs).map(|entry| vec![entry])
}

fn of_flag(flag: &str, text: &str, error: Error) -> Error {
    match error {
        Error::Invalid(why) => Error::Invalid(format!("{flag} {text}: {why}")),
        error => error,
    }
}

fn check_keys(kind: &str, known: &[&str], attrs: &Attrs) -> Result<()> {
    let Some(key) = attrs.keys().find(|key| !known.contains(&key.as_str())) else { return Ok(()) };
    let advice = nearest(key, known.iter().copied()).map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
    let known = known.join(", ");
    Err(Error::Invalid(format!("unknown cache attribute {key:?}{advice}; those of type={kind} are {known}")))
}

fn unknown_type(kind: &str, known: &[&str]) -> Error {
    if let Some((_, service)) = SERVICES.iter().find(|(of, _)| *of == kind) {
        return Error::Unsupported {
            what: format!("a cache of type={kind}"),
            why: format!("it needs {service}; use type=registry, or type=local and keep the directory"),
        };
    }
    let advice =
        nearest(kind, known.iter().copied()).map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
    Error::Invalid(format!("there is no type {kind:?} of a cache{advice}; there are {}", known.join(", ")))
}

fn flag(attrs: &Attrs, key: &str, default: bool) -> Result<bool> {
    attrs.get(key).map_or(Ok(default), |value| boolean(key, value))
}

fn tag(attrs: &Attrs) -> String {
    attrs.get("tag").map_or("latest", String::as_str).to_owned()
}

fn name(attrs: &Attrs, missing: &str) -> Result<Reference> {
    let text = attrs.get("ref").filter(|text| !text.is_empty()).ok_or_else(|| Error::Invalid(missing.into()))?;
    let name = Reference::parse(text).map_err(|error| Error::Invalid(format!("failed to parse {text}: {error}")))?;
    Ok(name.or_latest())
}

/// A directory, from the working directory.
fn directory(attrs: &Attrs, key: &str, missing: &str) -> Result<PathBuf> {
    let text = attrs.get(key).filter(|text| !text.is_empty()).ok_or_else(|| Error::Invalid(missing.into()))?;
    std::path::absolute(text).map_err(Error::io("find", text))
}

fn mode(attrs: &Attrs, to: &Place) -> Result<Mode> {
    match attrs.get("mode").map(String::as_str) {
        None | Some("min") => Ok(Mode::Min),
        Some("max") if *to == Place::Inline => Err(Error::Unsupported {
            what: "mode=max of an inline cache".into(),
            why: "an image has only its own layers; use type=registry or type=local".into(),
        }),
        Some("max") => Ok(Mode::Max),
        Some(other) => Err(Error::Invalid(format!("there is no mode {other:?} of a cache; there are min, max"))),
    }
}

/// parity: Docker's media types have no manifests of things that are no images.
fn form(attrs: &Attrs) -> Result<Form> {
    let oci = flag(attrs, "oci-mediatypes", true)?;
    match (flag(attrs, "image-manifest", oci)?, oci) {
        (true, true) => Ok(Form::Manifest),
        (false, true) => Ok(Form::Index),
        (false, false) => Ok(Form::List),
        (true, false) => Err(Error::Invalid(
            "invalid configuration for remote cache, OCI mediatypes are required for image-manifest cache format"
                .into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown<T>(parsed: Result<Vec<T>>, show: impl Fn(&T) -> String) -> String {
        match parsed {
            Ok(entries) => entries.iter().map(show).collect::<Vec<_>>().join("; "),
            Err(error) => error.to_string(),
        }
    }

    fn import(text: &str, expected: &str) {
        let show = |import: &Import| match import {
            Import::Registry { name, insecure } => format!("{name} {insecure}"),
            Import::Local { dir, tag, digest } => format!("{} {tag} {digest:?}", dir.display()),
        };
        let here = std::env::current_dir().unwrap();
        assert_eq!(shown(Import::parse(text), show), expected.replace("HERE", here.to_str().unwrap()), "{text}");
    }

    fn export(text: &str, expected: &str) {
        let show = |export: &Export| {
            let to = match &export.to {
                Place::Registry { name, insecure } => format!("{name} {insecure}"),
                Place::Local { dir, tag, reset } => format!("{} {tag} {reset}", dir.display()),
                Place::Inline => "inline".into(),
            };
            let (force, ignore) = (export.force_compression, export.ignore_error);
            format!("{to} {:?} {:?} {:?} {force} {ignore}", export.mode, export.form, export.compression)
        };
        assert_eq!(shown(Export::parse(text), show), expected, "{text}");
    }

    #[test]
    fn imports() {
        import("type=registry,ref=localhost:5000/x", "localhost:5000/x:latest false");
        import("type=registry,ref=r.io/x:1,registry.insecure=true", "r.io/x:1 true");
        import("TYPE=registry,Ref=x", "docker.io/library/x:latest false");
        import("x:cache", "docker.io/library/x:cache false");
        import("x,r.io/y:2", "docker.io/library/x:latest false; r.io/y:2 false");
        import("", "");
        import("type=local,src=/a/b", "/a/b latest None");
        import("type=local,src=a,tag=t", "HERE/a t None");
        let digest = Digest::sha256(b"");
        import(&format!("type=local,src=/a,digest={digest}"), &format!("/a latest Some({digest:?})"));
    }

    #[test]
    fn imports_that_are_none() {
        import("type=registry", "--cache-from type=registry: registry cache importer requires ref");
        import("type=local,tag=x", "--cache-from type=local,tag=x: local cache importer requires src");
        import("ref=x", "--cache-from ref=x: it has no `type=`");
        import("type=local,src", "--cache-from type=local,src: \"src\" is not KEY=VALUE");
        import(
            "type=local,src=a,digest=x",
            "--cache-from type=local,src=a,digest=x: invalid digest x: invalid checksum digest format",
        );
        import(
            "type=registry,reff=x",
            "--cache-from type=registry,reff=x: unknown cache attribute \"reff\" (did you mean ref?); \
             those of type=registry are ref, registry.insecure",
        );
        import(
            "type=gha,scope=x",
            "a cache of type=gha is not supported: it needs GitHub's cache service; use type=registry, or type=local \
             and keep the directory",
        );
        import(
            "type=registri,ref=x",
            "--cache-from type=registri,ref=x: there is no type \"registri\" of a cache (did you mean registry?); \
             there are registry, local",
        );
        import(
            "type=inline",
            "--cache-from type=inline: an inline cache is imported from the image that has it: type=registry,ref=IMAGE",
        );
        import(
            "type=registry,ref=x,registry.insecure=maybe",
            "--cache-from type=registry,ref=x,registry.insecure=maybe: non-bool value specified for registry.insecure: \
             \"maybe\"",
        );
    }

    #[test]
    fn exports() {
        export("type=registry,ref=r/x", "docker.io/r/x:latest false Min Manifest Default false false");
        export("r.io/x:1", "r.io/x:1 false Min Manifest Default false false");
        export("type=inline", "inline Min Manifest Default false false");
        export("type=local,dest=/a,mode=max,tag=t,reset=true", "/a t true Max Manifest Default false false");
        export(
            "type=local,dest=/a,compression=zstd,compression-level=3,force-compression=,ignore-error=1",
            "/a latest false Min Manifest Zstd(Some(3)) true true",
        );
        export("type=local,dest=/a,image-manifest=false", "/a latest false Min Index Default false false");
        export("type=local,dest=/a,oci-mediatypes=false", "/a latest false Min List Default false false");
    }

    #[test]
    fn exports_that_are_none() {
        let both = "type=local,dest=/a,oci-mediatypes=false,image-manifest=true";
        export(
            both,
            &format!(
                "--cache-to {both}: invalid configuration for remote cache, OCI mediatypes are required for \
                 image-manifest cache format"
            ),
        );
        export("type=local", "--cache-to type=local: local cache exporter requires dest");
        export("type=registry,mode=max", "--cache-to type=registry,mode=max: registry cache exporter requires ref");
        export(
            "type=inline,mode=max",
            "mode=max of an inline cache is not supported: an image has only its own layers; use type=registry or \
             type=local",
        );
        export(
            "type=local,dest=/a,mode=mix",
            "--cache-to type=local,dest=/a,mode=mix: there is no mode \"mix\" of a cache; there are min, max",
        );
        export(
            "type=inline,dest=/a",
            "--cache-to type=inline,dest=/a: unknown cache attribute \"dest\"; those of type=inline are \
             mode, ignore-error",
        );
        let digest = Digest::sha256(b"");
        export(
            &format!("x@{digest}"),
            &format!(
                "--cache-to x@{digest}: docker.io/library/x@{digest}: what is not yet made has no digest: give it a tag"
            ),
        );
    }

    #[test]
    fn layouts_are_named_by_their_directory() {
        let import = |text: &str| Import::parse(text).unwrap().remove(0);
        let local = import("type=local,src=/a/./b");
        assert_eq!(local.layout(), Some(("cache:/a/b".into(), PathBuf::from("/a/b"))));
        assert_eq!((local.insecure(), local.to_string()), (None, "/a/b".into()));
        let registry = import("type=registry,ref=r.io/x,registry.insecure=true");
        assert_eq!((registry.layout(), registry.insecure()), (None, Some("r.io")));
    }

    #[test]
    fn a_directory_that_cannot_be_is_found_out() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        let check =
            |to: &str| Export::parse(&format!("type=local,dest={}/{to}", dir.path().display())).unwrap()[0].check();
        check("new/dir").unwrap();
        assert!(check("file/dir").is_err());
    }
}
