//! From a commit to files.
//!
//! Without `.git` only files are left, also of submodules. With it the layer holds a repository of its own: the one
//! commit, its reference, and the remote's address without a password.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use super::program::{Place, shallow};
use super::repository::{Repository, local_name};
use super::resolve::{Commit, failed};
use super::wanted::Wanted;
use crate::snapshot::Contents;
use crate::sources::Context;
use crate::{Error, Result};

/// Fills an empty directory.
pub(super) fn into(
    dir: &Path,
    repository: &Repository<'_>,
    wanted: &Wanted,
    commit: &Commit,
    context: Context<'_>,
) -> Result<Contents> {
    let subdir = relative(&wanted.subdir);
    let checkout = Checkout { repository, wanted, commit, context };
    match subdir {
        None if wanted.keep_git_dir => checkout.with_repository(dir)?,
        None => checkout.files(dir)?,
        Some(subdir) => {
            let whole = make_temporary(dir)?;
            checkout.files(&whole)?;
            check_directories(&whole, &subdir)?;
            lift(&whole.join(&subdir), dir)?;
            fs::remove_dir_all(&whole).map_err(Error::io("remove", whole))?;
        }
    }
    if wanted.commit_mtime {
        set_times(dir, repository.commit_time(commit, context)?)?;
    }
    Ok(Contents { bytes: size(dir)?, ..Contents::default() })
}

struct Checkout<'a> {
    repository: &'a Repository<'a>,
    wanted: &'a Wanted,
    commit: &'a Commit,
    context: Context<'a>,
}

impl Checkout<'_> {
    fn files(&self, dir: &Path) -> Result<()> {
        let index = self.context.store.temp().path("git-index")?;
        let place = Place { git_dir: Some(&self.repository.dir), work_tree: Some(dir), index: Some(index.path()) };
        self.run(&place, &["checkout", "--quiet", "--no-overlay", &self.commit.object, "--", "."])?;
        self.submodules(&place, dir)?;
        // A file that says where the repository is, on a machine that the tree will never see.
        remove_git_files(dir)
    }

    fn with_repository(&self, dir: &Path) -> Result<()> {
        let git_dir = dir.join(".git");
        let place = Place { git_dir: Some(&git_dir), work_tree: Some(dir), index: None };
        let format = if self.commit.object.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
        self.run(&place, &["-c", "init.defaultBranch=master", "init", "--quiet", format])?;
        // Over the protocol and not by linking files: a repository must not be able to name files of this machine.
        let origin = format!("file://{}", self.repository.dir.display());
        self.run(&place, &["remote", "add", "origin", &origin])?;
        let local = local_name(self.commit);
        let mut fetch: Vec<_> =
            ["fetch", "--quiet", "--update-head-ok", "--depth=1", "--no-tags", "--", "origin", &local].into();
        let kept: Vec<_> = self.kept_names()?.iter().map(|name| format!("+{local}:{name}")).collect();
        fetch.extend(kept.iter().map(String::as_str));
        self.run(&place, &fetch)?;
        self.run(&place, &["checkout", "--quiet", "FETCH_HEAD"])?;
        self.run(&place, &["remote", "set-url", "origin", &self.wanted.redacted()])?;
        self.run(&place, &["reflog", "expire", "--all", "--expire=now"])?;
        match fs::remove_file(git_dir.join("FETCH_HEAD")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io("remove", git_dir)(error)),
            _ => {}
        }
        self.submodules(&place, dir)
    }

    /// parity: what is no annotated tag becomes a branch and a tag, whichever it was. A full name gives what its short form
    /// gives: they have one key.
    fn kept_names(&self) -> Result<Vec<String>> {
        let Commit { name, .. } = self.commit;
        if self.commit.is_bare() {
            return Ok(Vec::new());
        }
        let short = ["refs/heads/", "refs/tags/"].into_iter().find_map(|prefix| name.strip_prefix(prefix));
        // Of what was asked for as `tags/v1` the remote does not say that it is annotated.
        let is_annotated = self.repository.is_tag(self.commit, self.context)?;
        Ok(match short.filter(|_| !is_annotated) {
            Some(short) => ["heads", "tags"].map(|kind| format!("refs/{kind}/{short}")).into(),
            None => vec![name.clone()],
        })
    }

    fn submodules(&self, place: &Place<'_>, dir: &Path) -> Result<()> {
        if self.wanted.skip_submodules || fs::symlink_metadata(dir.join(".gitmodules")).is_err() {
            return Ok(());
        }
        // What addresses like `../other` are relative to.
        self.run(place, &["config", "remote.origin.url", &self.wanted.redacted()])?;
        let update = |depth: &[&str]| self.repository.git.update_modules(place, depth, self.context);
        let update = || shallow(|depth| update(depth).map_err(|error| failed(self.wanted, error)));
        let kept = place.git_dir.map(|git_dir| git_dir.join("modules")).filter(|modules| modules.exists());
        match (update(), kept) {
            // They are where they were for another commit; commits have ids, so that what was found there is right.
            (Err(Error::Remote { .. }), Some(kept)) => {
                self.run(place, &["submodule", "--quiet", "deinit", "--force", "--all"])?;
                fs::remove_dir_all(&kept).map_err(Error::io("remove", kept))?;
                update()
            }
            (updated, _) => updated,
        }
    }

    fn run(&self, place: &Place<'_>, arguments: &[&str]) -> Result<()> {
        let run = self.repository.git.run(place, arguments, self.context);
        run.map(drop).map_err(|error| failed(self.wanted, error))
    }
}

/// A directory of the tree as a plain relative path; `None` is the root.
fn relative(subdir: &str) -> Option<PathBuf> {
    let cleaned = oci::text::clean_path(&format!("/{subdir}"));
    let path: PathBuf = Path::new(&cleaned).components().filter(|part| matches!(part, Component::Normal(_))).collect();
    (!path.as_os_str().is_empty()).then_some(path)
}

fn make_temporary(dir: &Path) -> Result<PathBuf> {
    let path = dir.join(".llbc-checkout");
    fs::create_dir(&path).map_err(Error::io("make", &path))?;
    Ok(path)
}

/// A repository must not lead out of itself by a link.
fn check_directories(root: &Path, subdir: &Path) -> Result<()> {
    let shown = oci::text::quote(&subdir.to_string_lossy());
    let mut path = PathBuf::new();
    for part in subdir.components() {
        path.push(part);
        let here = oci::text::quote(&path.to_string_lossy());
        match fs::symlink_metadata(root.join(&path)) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => {
                let message =
                    format!("invalid subdir {}: git subpath {shown} contains non-directory {here}", subdir.display());
                return Err(Error::Invalid(message));
            }
            Err(_) => {
                return Err(Error::NotFound(format!(
                    "invalid subdir {}: {here}: no such file or directory",
                    subdir.display()
                )));
            }
        }
    }
    Ok(())
}

/// Moves what is in one directory into another.
fn lift(from: &Path, to: &Path) -> Result<()> {
    for entry in entries(from)? {
        let target = to.join(entry.file_name());
        fs::rename(entry.path(), &target).map_err(Error::io("move to", target))?;
    }
    Ok(())
}

fn entries(dir: &Path) -> Result<Vec<fs::DirEntry>> {
    let read = fs::read_dir(dir).and_then(Iterator::collect);
    read.map_err(Error::io("list", dir))
}

fn is_dir(entry: &fs::DirEntry) -> Result<bool> {
    Ok(entry.file_type().map_err(Error::io("stat", entry.path()))?.is_dir())
}

/// Removes the files named `.git` that submodules leave.
fn remove_git_files(dir: &Path) -> Result<()> {
    for entry in entries(dir)? {
        let path = entry.path();
        if is_dir(&entry)? {
            remove_git_files(&path)?;
        } else if entry.file_name() == ".git" {
            fs::remove_file(&path).map_err(Error::io("remove", path))?;
        }
    }
    Ok(())
}

/// Sets the time of everything, directories after what is in them.
fn set_times(path: &Path, seconds: i64) -> Result<()> {
    let metadata = fs::symlink_metadata(path).map_err(Error::io("stat", path))?;
    if metadata.is_dir() {
        for entry in entries(path)? {
            set_times(&entry.path(), seconds)?;
        }
    }
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(io::Error::from)
        .map_err(Error::io("set the time of", path))
}

fn size(dir: &Path) -> Result<u64> {
    entries(dir)?.iter().try_fold(0, |sum, entry| {
        let own = entry.metadata().map_err(Error::io("stat", entry.path()))?.len();
        Ok(sum + own + if is_dir(entry)? { size(&entry.path())? } else { 0 })
    })
}
