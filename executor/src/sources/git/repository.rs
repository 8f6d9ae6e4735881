//! The bare repository that all builds of one remote share.
//!
//! It holds the wanted commits one by one, each under a name of its own, so that nothing that happened before decides what
//! a build gets. A file lock keeps builds apart, also those of other processes.

use std::fs::{self, File};
use std::path::PathBuf;

use oci::Digest;
use rustix::fs::{FlockOperation, flock};

use super::program::{Git, Place, shallow};
use super::resolve::{Commit, failed};
use super::wanted::{Wanted, is_commit};
use crate::sources::Context;
use crate::store::TempPath;
use crate::temp::make_private;
use crate::{Error, Result};

/// A repository that nobody else works in.
pub(super) struct Repository<'a> {
    pub(super) git: &'a Git,
    pub(super) dir: PathBuf,
    /// Whether commits are fetched with all that was before them.
    whole: bool,
    _alone: Alone,
}

/// What keeps others out.
enum Alone {
    Locked(#[expect(dead_code, reason = "held, not used")] File),
    Temporary(#[expect(dead_code, reason = "held, not used")] TempPath),
}

/// Locks that a git that was killed has left: whoever has the file lock is alone.
const LEFT: &[&str] = &["shallow.lock", "config.lock", "HEAD.lock", "packed-refs.lock"];

impl<'a> Repository<'a> {
    /// Opens the repository of a remote, and makes it when it is missing.
    pub(super) fn open(wanted: &Wanted, git: &'a Git, context: Context<'_>) -> Result<Self> {
        let dir = context.store.root().join("git-v1").join(Digest::sha256(wanted.remote.as_bytes()).hex());
        make_private(&dir)?;
        let lock_path = dir.join("llbc.lock");
        let lock = File::create(&lock_path).map_err(Error::io("make", &lock_path))?;
        flock(&lock, FlockOperation::LockExclusive)
            .map_err(std::io::Error::from)
            .map_err(Error::io("lock", &lock_path))?;
        for left in LEFT {
            let _ = fs::remove_file(dir.join(left));
        }
        Ok(Self { git, dir, whole: false, _alone: Alone::Locked(lock) })
    }

    /// An empty repository of its own, for a commit and its history.
    pub(super) fn whole(git: &'a Git, commit: &Commit, context: Context<'_>) -> Result<Self> {
        let temp = context.store.temp().dir("git")?;
        let this = Self { git, dir: temp.path().to_owned(), whole: true, _alone: Alone::Temporary(temp) };
        this.initialise(commit, context)?;
        Ok(this)
    }

    /// With the commit in it.
    pub(super) fn fetched(self, wanted: &Wanted, commit: &Commit, context: Context<'_>) -> Result<Self> {
        self.initialise(commit, context)?;
        self.take(wanted, commit, context)?;
        self.run(&["update-ref", &local_name(commit), &commit.object], context)?;
        if commit.is_bare() && !self.has(&format!("{}^{{commit}}", commit.object), context) {
            return Err(Error::Invalid(format!("{} is no commit of {}", commit.object, wanted.redacted())));
        }
        Ok(self)
    }

    /// Fetches the commit unless it is there. **Errors**: a tag is of another one than the remote says, by which its tree is
    /// kept for others.
    pub(super) fn take(&self, wanted: &Wanted, commit: &Commit, context: Context<'_>) -> Result<()> {
        if !self.has(&commit.object, context) {
            self.fetch(wanted, commit, context)?;
        }
        if !commit.is_annotated() {
            return Ok(());
        }
        let (name, said, found) = (&commit.name, commit.peeled(), self.peel(commit, context)?);
        if said == found {
            return Ok(());
        }
        Err(Error::Invalid(format!("the remote says that {name} is commit {said}, but it is {found}")))
    }

    pub(super) fn run(&self, arguments: &[&str], context: Context<'_>) -> Result<String> {
        self.git.run(&self.place(), arguments, context)
    }

    fn place(&self) -> Place<'_> {
        Place { git_dir: Some(&self.dir), ..Place::default() }
    }

    /// Seconds since 1970.
    pub(super) fn commit_time(&self, commit: &Commit, context: Context<'_>) -> Result<i64> {
        let text = self.run(&["log", "-1", "--format=%ct", &format!("{}^{{commit}}", commit.object)], context)?;
        text.trim().parse().map_err(|_| Error::Invalid(format!("failed to parse commit timestamp {text:?}")))
    }

    /// The commit itself, also of a tag.
    pub(super) fn peel(&self, commit: &Commit, context: Context<'_>) -> Result<String> {
        let id = self.run(&["rev-parse", &format!("{}^{{commit}}", commit.object)], context)?;
        Ok(id.trim().to_owned())
    }

    /// Whether it is an annotated tag, as the object says.
    pub(super) fn is_tag(&self, commit: &Commit, context: Context<'_>) -> Result<bool> {
        Ok(self.run(&["cat-file", "-t", &commit.object], context)?.trim() == "tag")
    }

    /// An object as git stores it.
    pub(super) fn object(&self, kind: &str, id: &str, context: Context<'_>) -> Result<Vec<u8>> {
        self.git.print(&self.place(), &["cat-file", kind, id], context)
    }

    fn initialise(&self, commit: &Commit, context: Context<'_>) -> Result<()> {
        if self.dir.join("HEAD").exists() {
            return Ok(());
        }
        let format = if commit.object.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
        self.run(&["-c", "init.defaultBranch=master", "init", "--quiet", "--bare", format], context).map(drop)
    }

    pub(super) fn has(&self, object: &str, context: Context<'_>) -> bool {
        self.run(&["cat-file", "-e", object], context).is_ok()
    }

    /// The reference alone and without history; where that fails or the remote has moved on since, the commit by its id;
    /// where a server hands out no ids, everything.
    fn fetch(&self, wanted: &Wanted, commit: &Commit, context: Context<'_>) -> Result<()> {
        let by_id = wanted.fetch_by_commit || is_commit(&commit.reference);
        let mut last = None;
        for object in [(!by_id).then_some(&commit.name), Some(&commit.object)].into_iter().flatten() {
            match self.fetch_one(&wanted.remote, object, context) {
                Ok(()) if self.has(&commit.object, context) => return Ok(()),
                Ok(()) => {}
                Err(Error::Cancelled) => return Err(Error::Cancelled),
                Err(error) => last = Some(error),
            }
        }
        if let Err(error) = self.fetch_all(&wanted.remote, context) {
            return Err(failed(wanted, last.unwrap_or(error)));
        }
        if self.has(&commit.object, context) {
            return Ok(());
        }
        Err(last.map_or_else(|| moved(commit), |error| failed(wanted, error)))
    }

    fn fetch_one(&self, remote: &str, object: &str, context: Context<'_>) -> Result<()> {
        let fetch = |depth: &[&str]| {
            let arguments = [&["fetch", "--no-tags", "--force"], depth, &["--", remote, object]].concat();
            self.run(&arguments, context).map(drop)
        };
        if self.whole { fetch(&[]) } else { shallow(fetch) }
    }

    fn fetch_all(&self, remote: &str, context: Context<'_>) -> Result<()> {
        let shallow = self.dir.join("shallow").exists();
        let depth: &[&str] = if shallow { &["--unshallow"] } else { &[] };
        let all = "+refs/heads/*:refs/llbc/heads/*";
        self.run(&[&["fetch", "--tags", "--force"], depth, &["--", remote, all]].concat(), context).map(drop)
    }
}

/// The commit's own name here; it keeps the commit from being collected.
pub(super) fn local_name(commit: &Commit) -> String {
    format!("refs/llbc/commits/{}", commit.object)
}

fn moved(commit: &Commit) -> Error {
    Error::Invalid(format!(
        "fetched ref {} does not match expected commit {} and commit can not be found in the repository",
        commit.reference, commit.object
    ))
}
