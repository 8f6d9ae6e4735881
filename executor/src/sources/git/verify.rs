//! Whether a commit, or the annotated tag that leads to it, is signed with a key that the definition gives.
//!
//! A tag with such a signature is enough, and so is the commit; a definition may ask for the one, or leave tags out. What is
//! looked at are the bytes that the ids are of, and the tree is checked out by the same ids.
//!
//! parity: BuildKit v0.32, source/git/source.go (`verifyGitSignature`). Where neither counts, what is wrong with the tag is
//! told as well.

use std::fs::File;
use std::io::{Seek, Write};

use super::object::{self, Signed};
use super::resolve::Commit;
use crate::sources::Context;
use crate::sources::signature::{self, PGP, Policy, SSH};
use crate::{Error, Result};

/// What SSH signatures of git are for.
const NAMESPACE: &str = "git";

/// What a definition asks of signatures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Signatures {
    /// OpenPGP keys or an SSH key, as text.
    pub(super) keys: String,
    pub(super) policy: Policy,
    /// Whether that of the commit is not enough.
    pub(super) require_tag: bool,
    /// Whether that of a tag does not count.
    pub(super) ignore_tag: bool,
}

/// What a name leads to, as git stores it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Objects {
    /// Id of the commit.
    pub(super) id: String,
    pub(super) commit: Vec<u8>,
    /// Empty: there is no annotated tag.
    pub(super) tag: Vec<u8>,
}

impl Signatures {
    /// Takes `git.sig.NAME`.
    pub(super) fn attribute(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "pubkey" => self.keys = value.to_owned(),
            "rejectexpired" => self.policy.reject_expired = value == "true",
            "requiresignedtag" => self.require_tag = value == "true",
            "ignoresignedtag" => self.ignore_tag = value == "true",
            _ => return Err(Error::Invalid(format!("git.sig.{name}: no such rule for signatures is known"))),
        }
        Ok(())
    }

    /// **Errors**: what was found is not signed as the definition asks.
    pub(super) fn check(&self, found: &Commit, objects: &Objects, context: Context<'_>) -> Result<()> {
        let Objects { id, commit, tag } = objects;
        let of_tag = match tag.is_empty() || self.ignore_tag {
            true => None,
            false => {
                is_of("tag", tag, &found.object)?;
                match self.check_object("tag", object::tag(tag), context) {
                    Err(error @ Error::Invalid(_)) => Some(error),
                    other => return other,
                }
            }
        };
        if self.require_tag {
            let missing = || Error::Invalid("signed tag required but no signed tag found".into());
            return Err(of_tag.unwrap_or_else(missing));
        }
        is_of("commit", commit, id)?;
        self.check_object("commit", object::commit(commit, id), context).map_err(|error| match (error, of_tag) {
            (Error::Invalid(why), Some(of_tag)) => Error::Invalid(format!("{why} ({of_tag})")),
            (error, _) => error,
        })
    }

    fn check_object(&self, kind: &str, signed: Signed, context: Context<'_>) -> Result<()> {
        let Signed { payload, signature } = signed;
        let signature = String::from_utf8_lossy(&signature);
        let checked = if signature.is_empty() {
            Err(Error::Invalid("git object is not signed".into()))
        } else if signature.starts_with(PGP) {
            let file = as_file(&payload, context)?;
            signature::verify_pgp(file, &signature, &self.keys, self.policy, context)
        } else if signature.starts_with(SSH) {
            let file = as_file(&payload, context)?;
            signature::verify_ssh(file, &signature, &self.keys, NAMESPACE, context)
        } else {
            Err(Error::Invalid("invalid signature format: OpenPGP and SSH are known".into()))
        };
        checked.map_err(|error| match error {
            Error::Invalid(why) => Error::Invalid(format!("the {kind} does not verify: {why}")),
            other => other,
        })
    }
}

/// **Errors**: it is another object than its id says.
fn is_of(kind: &str, raw: &[u8], id: &str) -> Result<()> {
    let got = object::id(kind, raw, id);
    if got == id {
        return Ok(());
    }
    Err(Error::DigestMismatch { of: format!("git {kind} object"), want: id.to_owned(), got })
}

/// Bytes that a program reads from their start.
fn as_file(bytes: &[u8], context: Context<'_>) -> Result<File> {
    let (path, mut file) = context.store.temp().file("git-object")?;
    file.write_all(bytes).and_then(|()| file.rewind()).map_err(Error::io("write", path.path()))?;
    Ok(file)
}
