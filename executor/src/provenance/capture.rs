//! What went into a result.

use std::collections::{BTreeMap, BTreeSet};

use oci::{Digest, Platform, Reference};
use serde_json::{Value, json};

use super::purl::{self, Type};
use crate::{Error, Result, url};

/// An image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its name, with its tag or digest.
    pub name: String,
    /// What it was wanted for.
    pub platform: Platform,
    /// Of its index, or of its manifest when there is no index.
    pub digest: Digest,
    /// Whether it is of a layout directory.
    pub is_local: bool,
}

/// What a source gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Material {
    /// An image.
    Image(Image),
    /// A blob of a registry, or of a layout directory.
    Blob {
        /// Its name, with its digest.
        name: String,
        /// Its digest.
        digest: Digest,
        /// Whether it is of a layout directory.
        is_local: bool,
    },
    /// A commit.
    Git {
        /// Address of the repository, and after `#` the name that was asked for.
        url: String,
        /// The commit.
        commit: String,
        /// Address of the bundle that it was taken from.
        bundle: Option<String>,
        /// Ids of the secrets that it may have been fetched with.
        secrets: Vec<String>,
        /// Id of the agent that it may have been fetched with.
        ssh: Option<String>,
    },
    /// A file of the web.
    Http {
        /// Its address.
        url: String,
        /// Its digest.
        digest: Digest,
    },
    /// A directory of the user's.
    Local {
        /// Its name.
        name: String,
    },
}

/// What went into a result, each thing once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Capture {
    images: Vec<Image>,
    /// Whether each is local, and its digest, by name.
    blobs: BTreeMap<(String, bool), Digest>,
    /// Commits by address and bundle.
    commits: BTreeMap<(String, Option<String>), String>,
    files: BTreeMap<String, Digest>,
    /// Names of directories.
    pub locals: BTreeSet<String>,
    /// Ids of secrets, and whether they need not be there.
    pub secrets: BTreeMap<String, bool>,
    /// The same of agents.
    pub ssh: BTreeMap<String, bool>,
    /// Whether a step could reach a network.
    pub network: bool,
    /// Whether something else went in that is not known.
    pub is_incomplete: bool,
}

impl Capture {
    /// Adds what a source gave.
    pub fn add(&mut self, material: Material) {
        match material {
            Material::Image(image) => self.add_image(image),
            Material::Blob { name, digest, is_local } => {
                self.blobs.entry((name, is_local)).or_insert(digest);
            }
            Material::Git { url, commit, bundle, secrets, ssh } => {
                self.commits.entry((url::redact_login(&url).into_owned(), bundle)).or_insert(commit);
                secrets.into_iter().for_each(|id| self.add_secret(id, true));
                ssh.into_iter().for_each(|id| self.add_ssh(id, true));
            }
            Material::Http { url, digest } => {
                self.files.entry(url::redact_login(&url).into_owned()).or_insert(digest);
            }
            Material::Local { name } => {
                self.locals.insert(name);
            }
        }
    }

    /// Adds an image, unless it is known by the name for the platform.
    pub fn add_image(&mut self, mut image: Image) {
        // Of what can be written in two ways.
        if let Ok(name) = Reference::parse(&image.name) {
            image.name = name.full();
        }
        let is_same = |known: &Image| {
            (&known.name, &known.platform, known.is_local) == (&image.name, &image.platform, image.is_local)
        };
        if !self.images.iter().any(is_same) {
            self.images.push(image);
        }
    }

    /// Adds a secret that a step has, which must be there if any step says so.
    pub fn add_secret(&mut self, id: String, is_optional: bool) {
        *self.secrets.entry(id).or_insert(true) &= is_optional;
    }

    /// The same of an agent.
    pub fn add_ssh(&mut self, id: String, is_optional: bool) {
        let id = if id.is_empty() { "default".to_owned() } else { id };
        *self.ssh.entry(id).or_insert(true) &= is_optional;
    }

    /// Adds images that a frontend looked up for results of these platforms, of which this one is of the last. Of an image
    /// that it looked up for each of them, this result has its own only.
    pub fn add_looked_up(&mut self, images: &[Image], platforms: &[Platform], own: &Platform) {
        let is_for = |image: &Image, platform: &Platform| oci::Matcher::only(platform).matches(&image.platform);
        let is_for_each = |name: &str| {
            let mut found = platforms.iter();
            found.all(|platform| images.iter().any(|image| image.name == name && is_for(image, platform)))
        };
        let is_own = |image: &Image| (&image.platform.os, &image.platform.architecture) == (&own.os, &own.architecture);
        let of_it = images.iter().filter(|image| !is_for_each(&image.name) || is_own(image));
        of_it.for_each(|image| self.add_image(image.clone()));
        self.drop_repeated();
    }

    /// Leaves out images by digest that are there by tag: it is what the tag was found to be.
    fn drop_repeated(&mut self) {
        let parsed = |image: &Image| Reference::parse(&image.name).ok();
        let named = |name: &Reference| format!("{}:{}", name.name(), name.tag().unwrap_or("latest"));
        let by_tag: BTreeSet<String> = self
            .images
            .iter()
            .filter_map(parsed)
            .filter(|name| name.digest().is_none())
            .map(|name| named(&name))
            .collect();
        self.images.retain(|image| {
            parsed(image).is_none_or(|name| name.digest().is_none() || !by_tag.contains(&named(&name)))
        });
    }

    /// What went in, with digests.
    ///
    /// **Errors**: names that are none.
    pub(super) fn materials(&self) -> Result<Vec<Value>> {
        let mut found = Vec::new();
        let of_type = |is_local: bool| if is_local { Type::Oci } else { Type::Docker };
        let mut images: Vec<&Image> = self.images.iter().collect();
        images.sort_by(|one, other| one.name.cmp(&other.name));
        for Image { name, platform, digest, is_local } in images {
            let uri = purl::of_image(of_type(*is_local), name, Some(platform), &[])?;
            found.push(material(&uri, &of_digest(digest)));
        }
        for ((name, is_local), digest) in &self.blobs {
            let uri = purl::of_image(of_type(*is_local), name, None, &[("ref_type", "blob")])?;
            found.push(material(&uri, &of_digest(digest)));
        }
        for ((url, bundle), commit) in &self.commits {
            found.push(material(url, &of_commit(commit)));
            let Some((scheme, (name, digest))) =
                bundle.as_deref().and_then(|bundle| bundle.split_once("://")).and_then(split_digest)
            else {
                continue;
            };
            let more = [("ref_type", "bundle"), ("vcs_url", url.as_str())];
            let uri = purl::of_image(of_type(scheme.starts_with("oci")), name, None, &more)?;
            found.push(material(&uri, &of_digest(&digest)));
        }
        found.extend(self.files.iter().map(|(url, digest)| material(url, &of_digest(digest))));
        Ok(found)
    }

    /// The digest of a commit or a file whose address it is.
    pub(super) fn digest_of(&self, address: &str) -> Option<Value> {
        let commit = self.commits.iter().find(|((url, _), _)| url == address).map(|(_, commit)| of_commit(commit));
        commit.or_else(|| self.files.get(address).map(of_digest))
    }

    /// **Errors**: what went in that cannot be named.
    pub(crate) fn check_complete(&self) -> Result<()> {
        if !self.is_incomplete && self.locals.is_empty() {
            return Ok(());
        }
        let locals: Vec<&str> = self.locals.iter().map(String::as_str).collect();
        let what = match locals.as_slice() {
            [] => "a nested build".to_owned(),
            locals => format!("local directories: {}", locals.join(", ")),
        };
        Err(Error::Invalid(format!(
            "provenance materials are incomplete: {what} went into the build; leave complete-materials out, or build from \
             what has an address"
        )))
    }
}

fn split_digest<'a>((scheme, rest): (&'a str, &'a str)) -> Option<(&'a str, (&'a str, Digest))> {
    let (name, digest) = rest.rsplit_once('@')?;
    Some((scheme, (name, Digest::parse(digest).ok()?)))
}

fn material(uri: &str, digest: &Value) -> Value {
    json!({ "uri": uri, "digest": digest })
}

/// A digest by its algorithm.
pub(crate) fn of_digest(digest: &Digest) -> Value {
    json!({ digest.algorithm().as_str(): digest.hex() })
}

fn of_commit(commit: &str) -> Value {
    json!({ if commit.len() == 64 { "sha256" } else { "sha1" }: commit })
}
