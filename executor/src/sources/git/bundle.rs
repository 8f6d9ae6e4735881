//! Git bundles: files that hold commits. A source may take its commit from one, and may be one.
//!
//! A bundle is a blob of a registry or a layout; it is verified by its digest and unpacked into a repository of its own,
//! which stands for the remote from there on. Only the commit that the definition names counts.
//!
//! parity: BuildKit v0.32, source/git/bundle.go: attributes, the name of the file, the reference in it. One that is written
//! holds the whole history, where BuildKit's lacks the parents of a commit that was fetched alone and cannot be read.

use std::fs;
use std::path::Path;

use oci::Digest;

use super::program::{Git, Place};
use super::repository::Repository;
use super::resolve::Commit;
use super::wanted::{Wanted, is_commit};
use crate::snapshot::Contents;
use crate::sources::{Context, blob};
use crate::store::TempPath;
use crate::{Error, Result};

/// The file that a source is when it is a bundle.
const FILE: &str = "bundle";
/// Where branches are.
const BRANCHES: &str = "refs/heads/";
/// The reference of a commit that has none.
const FALLBACK: &str = "refs/heads/main";

/// A bundle that is read: `SCHEME://NAME@DIGEST`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Locator {
    source: llb::Source,
    digest: Option<Digest>,
}

impl Locator {
    /// **Errors**: another scheme, no SHA-256 digest. `store` is the name of a layout; unset it is the locator's.
    pub(super) fn parse(text: &str, store: Option<&str>) -> Result<Self> {
        let invalid = |why: &str| Error::Invalid(format!("git.bundle locator {}: {why}", oci::text::quote(text)));
        let (scheme, body) = text.split_once("://").ok_or_else(|| invalid("missing scheme"))?;
        if !blob::SCHEMES.contains(&scheme) {
            return Err(invalid(&format!("scheme {scheme} is not supported; expected {}", blob::SCHEMES.join(" or "))));
        }
        let (name, digest) = body.rsplit_once('@').ok_or_else(|| invalid("it names no digest"))?;
        let digest = Digest::parse(digest).map_err(|error| invalid(&error.to_string()))?;
        if digest.algorithm().as_str() != "sha256" {
            return Err(invalid("its digest is no sha256"));
        }
        let attrs = [("oci.store", store.unwrap_or(name))].into_iter().collect();
        Ok(Self { source: llb::Source { identifier: text.to_owned(), attrs }, digest: Some(digest) })
    }
}

/// A bundle as a remote.
pub(super) struct Staged {
    /// What is wanted, of that remote.
    pub(super) wanted: Wanted,
    _dir: TempPath,
}

/// Unpacks the bundle that is wanted. **Errors**: it cannot be had, or does not hold the commit.
pub(super) fn stage(wanted: &Wanted, locator: &Locator, git: &Git, context: Context<'_>) -> Result<Staged> {
    let name = &locator.source.identifier;
    let failed = |error| match error {
        Error::Remote { reason, .. } => {
            Error::Remote { attempt: format!("failed to import git bundle {name}"), reason }
        }
        other => other,
    };
    blob::have(&locator.source, context)?;
    let digest = locator.digest.as_ref().expect("a locator that was read has a digest");
    let dir = context.store.temp().dir("git-bundle")?;
    let (file, repository) = (dir.path().join("file"), dir.path().join("repository"));
    let mut from = context.store.blobs().open(digest)?;
    let mut to = fs::File::create_new(&file).map_err(Error::io("make", &file))?;
    std::io::copy(&mut from, &mut to).map_err(Error::io("write", &file))?;
    let path = file.to_str().ok_or_else(|| Error::Invalid(format!("{}: a path of git is text", file.display())))?;
    let listed = git.run(&Place::default(), &["ls-remote", "--", path], context).map_err(failed)?;
    let id = listed.split_whitespace().next().filter(|id| is_commit(id));
    let id = id.ok_or_else(|| Error::Invalid(format!("git bundle {name} holds no references")))?;
    fs::create_dir(&repository).map_err(Error::io("make", &repository))?;
    let place = Place { git_dir: Some(&repository), ..Place::default() };
    initialise(git, &place, id.len() == 64, context)?;
    git.run(&place, &["fetch", "--quiet", "--", path, "+refs/*:refs/*"], context).map_err(failed)?;
    let commit = format!("{}^{{commit}}", wanted.checksum);
    if git.run(&place, &["cat-file", "-e", &commit], context).is_err() {
        return Err(Error::NotFound(format!("commit {} not found in bundle {name}", wanted.checksum)));
    }
    let wanted = Wanted { remote: format!("file://{}", repository.display()), bundle: None, ..wanted.clone() };
    Ok(Staged { wanted, _dir: dir })
}

/// Fills an empty directory with a bundle of a commit and its history.
pub(super) fn write(dir: &Path, git: &Git, wanted: &Wanted, commit: &Commit, context: Context<'_>) -> Result<Contents> {
    let repository = Repository::whole(git, commit, context)?;
    repository.take(wanted, commit, context)?;
    let name = reference(&wanted.reference);
    // A branch is of a commit, also where what is wanted is a tag by its short name.
    let object = if name.starts_with(BRANCHES) { repository.peel(commit, context)? } else { commit.object.clone() };
    repository.run(&["update-ref", &name, &object], context)?;
    let to = dir.join(FILE);
    let path = to.to_str().ok_or_else(|| Error::Invalid(format!("{}: a path of git is text", to.display())))?;
    repository.run(&["bundle", "create", "--quiet", path, &name], context)?;
    let bytes = fs::metadata(&to).map_err(Error::io("stat", &to))?.len();
    Ok(Contents { bytes, ..Contents::default() })
}

fn initialise(git: &Git, place: &Place<'_>, long: bool, context: Context<'_>) -> Result<()> {
    let format = if long { "--object-format=sha256" } else { "--object-format=sha1" };
    git.run(place, &["-c", "init.defaultBranch=master", "init", "--quiet", "--bare", format], context).map(drop)
}

/// The full name in a bundle of what is wanted: a short one may be a branch or a tag, and is taken for a branch.
fn reference(wanted: &str) -> String {
    if wanted.is_empty() || is_commit(wanted) {
        return FALLBACK.to_owned();
    }
    if wanted.starts_with("refs/tags/") {
        return wanted.to_owned();
    }
    let name = wanted.strip_prefix("refs/").unwrap_or(wanted);
    format!("{BRANCHES}{}", name.strip_prefix("heads/").unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        for (wanted, expected) in [
            ("", FALLBACK),
            ("1234567890123456789012345678901234567890", FALLBACK),
            ("v1", "refs/heads/v1"),
            ("refs/heads/a/b", "refs/heads/a/b"),
            ("heads/a", "refs/heads/a"),
            ("refs/tags/v1", "refs/tags/v1"),
        ] {
            assert_eq!(reference(wanted), expected, "{wanted}");
        }
    }

    #[test]
    fn locators() {
        let check = |text: &str, expected: &str| {
            let error = Locator::parse(text, None).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("example.com/a", "missing scheme");
        check("https://example.com/a", "scheme https is not supported; expected docker-image+blob or oci-layout+blob");
        check("docker-image+blob://example.com/a", "it names no digest");
        check("docker-image+blob://example.com/a@sha256:0", "digest");
        let digest = Digest::sha256(b"x");
        let read = |store| Locator::parse(&format!("oci-layout+blob://not/real@{digest}"), store).unwrap();
        assert_eq!(read(None).source.attrs["oci.store"], "not/real");
        assert_eq!(read(Some("given")).source.attrs["oci.store"], "given");
    }
}
