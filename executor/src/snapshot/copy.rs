//! Copying from one tree into another.
//!
//! Mirrors fsutil's `copy` (as of BuildKit v0.32): where a source lands, which metadata is overwritten, which directories
//! come into being only when something in them is taken. A walk decides and makes directories; files are copied by a few
//! threads beside it, hard links and times of directories come last. A walk that is made once more, in a tree that has the
//! copy of last time, leaves alone what is as it was ([`super::copied`]).

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use oci::ignore::{MatchInfo, Patterns};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;

use super::copied::{Copied, Known, Record};
use super::mode::ModeChange;
use super::stack::kind;
use super::{Files, OpenDir, entry, pool, xattr};
use crate::rootfs::{NewDir, Tree};
use crate::{Cancel, Error, Result, userns};

/// Permissions of directories that are made on the way, unless something else is asked for.
pub(crate) const NEW_DIR: u32 = 0o755;

/// How a copy is made.
pub(crate) struct Options {
    /// Owner of everything; `None` keeps.
    pub(crate) owner: Option<(u32, u32)>,
    /// What permissions become.
    pub(crate) mode: ModeChange,
    /// Permissions of directories that no source stands for.
    pub(crate) new_dir: u32,
    /// Times of everything, seconds and nanoseconds since the epoch; `None` keeps.
    pub(crate) time: Option<(i64, i64)>,
    /// Patterns to take, relative to the source.
    pub(crate) include: Option<Patterns>,
    /// Patterns to leave out.
    pub(crate) exclude: Option<Patterns>,
    /// Whether the contents of a directory are copied, not itself.
    pub(crate) contents: bool,
    /// Whether a link as source is followed.
    pub(crate) follow: bool,
    /// Whether what is in the way is replaced.
    pub(crate) replace: bool,
}

impl Options {
    /// How directories are made that no source stands for.
    fn new_dir(&self) -> NewDir {
        NewDir { mode: self.new_dir, owner: self.owner, time: self.time }
    }
}

/// Copies what is at `src` to `dest` (both absolute; a slash or `/.` at the end of `dest` says "directory").
pub(crate) fn copy(from: &Files, src: &str, to: &Tree, dest: &str, options: &Options, cancel: &Cancel) -> Result<()> {
    copy_again(from, src, to, dest, options, None, cancel).map(drop)
}

/// The same in a tree that may have a copy of it already, and notes what was copied. With a copy there, the result is `None`
/// when it is not what a whole copy would be.
pub(crate) fn copy_again(
    from: &Files,
    src: &str,
    to: &Tree,
    dest: &str,
    options: &Options,
    copied: Option<&Copied<'_>>,
    cancel: &Cancel,
) -> Result<Option<Record>> {
    let wanted = match dest.rsplit_once('/') {
        Some((parent, name)) if !matches!(name, "" | ".") => parent,
        _ => dest,
    };
    let mut made = make_dirs(to, Path::new(wanted), options)?;
    let real = from.real_path(Path::new(src), options.follow).map_err(Error::io("find", src))?;
    let stat = from.stat(&real).map_err(Error::io("read", src))?.ok_or_else(|| not_found(src))?;
    let target = land(to, src, dest, is_dir(&stat), options)?;
    let parent = if options.contents && is_dir(&stat) && !exists(to, &target)? { &target } else { parent_of(&target) };
    made.extend(make_dirs(to, parent, options)?);
    let mut copier = Copier::new(from, to, options, copied, cancel);
    copier.run(&real, &target, &stat)?;
    set_times_again(to, &made, options)?;
    Ok((!copier.covers_more).then_some(copier.record))
}

/// The path that a source's copy gets.
fn land(to: &Tree, src: &str, dest: &str, src_is_dir: bool, options: &Options) -> Result<PathBuf> {
    let dest = to.real_path(Path::new(dest)).map_err(Error::io("find", dest))?;
    let found = match to.stat(&dest) {
        Ok(stat) => Some(is_dir(&stat)),
        Err(error) if super::is_missing(&error) => None,
        Err(error) => return Err(Error::io("read", dest)(error)),
    };
    let into = match (src_is_dir, found) {
        (true, Some(_)) => !options.contents,
        (false, Some(dest_is_dir)) => dest_is_dir,
        (_, None) => false,
    };
    // The name that was asked for, not what a link leads to.
    Ok(if into { dest.join(base_name(src)) } else { dest })
}

/// Go's `filepath.Base` of an absolute path: `.` stays, and then the join changes nothing.
fn base_name(src: &str) -> &str {
    match src.trim_end_matches('/').rsplit('/').next() {
        Some(name) if name != "." => name,
        _ => "",
    }
}

fn parent_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

fn exists(to: &Tree, path: &Path) -> Result<bool> {
    to.exists(path).map_err(Error::io("read", path))
}

fn make_dirs(to: &Tree, path: &Path, options: &Options) -> Result<Vec<PathBuf>> {
    let (_, made) = to.mkdir_all(path, options.new_dir()).map_err(Error::io("make directory", path))?;
    Ok(made)
}

/// Making something in a directory touched it.
fn set_times_again(to: &Tree, made: &[PathBuf], options: &Options) -> Result<()> {
    let Some(time) = options.time else { return Ok(()) };
    made.iter().rev().try_for_each(|dir| to.set_times(dir, time).map_err(Error::io("set the time of", dir)))
}

/// BuildKit's words for a source that is not there.
pub(crate) fn not_found(path: &str) -> Error {
    Error::NotFound(format!("lstat {path}: no such file or directory"))
}

fn is_dir(stat: &Stat) -> bool {
    kind(stat) == FileType::Directory
}

/// The threads that copy files.
type Copies<'a> = pool::Pool<'a, Job>;

/// One entry to copy that is no directory, and what its copy gets.
struct Job {
    source: Arc<OpenDir>,
    name: CString,
    stat: Stat,
    target: Arc<OwnedFd>,
    target_name: CString,
    /// Path of the copy.
    path: PathBuf,
    owner: (u32, u32),
    mode: u32,
    times: Timestamps,
}

/// One walk.
struct Copier<'a> {
    from: &'a Files,
    to: &'a Tree,
    options: &'a Options,
    cancel: &'a Cancel,
    /// What the tree has of the copy of last time.
    copied: Option<&'a Copied<'a>>,
    record: Record,
    /// Whether a file that is new since last time covers one of the tree below.
    covers_more: bool,
    /// The directories the walk is in, outermost first.
    levels: Vec<Level<'a>>,
    /// Path of the entry below the source.
    path: Vec<u8>,
    /// Path of the target of the source.
    target: PathBuf,
    /// Files with several names: the path of the first copy, by device and inode.
    inodes: HashMap<(u64, u64), PathBuf>,
    /// Links to make when all files are there: first copy, directory, name.
    links: Vec<(PathBuf, PathBuf)>,
    /// Times to set when nothing is made any more.
    times: Vec<(PathBuf, Timestamps)>,
}

/// A directory of the walk.
struct Level<'a> {
    source: Arc<OpenDir>,
    stat: Stat,
    /// Name of the source in the level above; empty for the outermost.
    name: CString,
    /// Whether the patterns take it; if not, it comes into being with what they take in it.
    taken: bool,
    /// The copy; `None` until something is taken from it.
    target: Option<Arc<OwnedFd>>,
    /// Whether the copy was made by this walk: then nothing is in the way in it.
    is_new: bool,
    /// What was copied of it last time.
    known: Option<&'a Known<'a>>,
    /// Whether its own metadata are as they were last time.
    is_same: bool,
    include: MatchInfo,
    exclude: MatchInfo,
    /// Length of the path of the directory.
    length: usize,
}

/// What the patterns say of an entry.
struct Verdict {
    taken: bool,
    excluded: bool,
    include: MatchInfo,
    exclude: MatchInfo,
}

impl<'a> Copier<'a> {
    fn new(
        from: &'a Files,
        to: &'a Tree,
        options: &'a Options,
        copied: Option<&'a Copied<'a>>,
        cancel: &'a Cancel,
    ) -> Self {
        let (levels, path, target) = (Vec::new(), Vec::new(), PathBuf::new());
        let (inodes, links, times) = (HashMap::new(), Vec::new(), Vec::new());
        let (record, covers_more) = (Record::new(), false);
        Self { from, to, options, cancel, copied, record, covers_more, levels, path, target, inodes, links, times }
    }

    fn run(&mut self, real: &Path, target: &Path, stat: &Stat) -> Result<()> {
        self.target = target.to_owned();
        if is_dir(stat) {
            pool::with(self.cancel, |job, buffer| regular(&job, buffer), |pool| self.top(real, stat, pool))?;
        } else {
            self.single(real, stat)?;
        }
        self.finish()
    }

    /// Copies a source that is no directory: not worth a thread.
    fn single(&mut self, real: &Path, stat: &Stat) -> Result<()> {
        let source = Arc::new(self.from.open_dir(parent_of(real)).map_err(Error::io("open", real))?);
        let name = c_string(real.file_name().unwrap_or_default())?;
        let (parent, target_name) = self.open_target()?;
        let job = self.job((source, name), *stat, (Arc::new(parent), target_name), self.target.clone());
        self.clear(&job)?;
        self.entry(job, None)
    }

    /// Opens the directory that the target of the source is made in.
    fn open_target(&self) -> Result<(OwnedFd, CString)> {
        let place = self.to.place(&self.target).map_err(Error::io("open", &self.target))?;
        Ok((place.dir, c_string(&place.name)?))
    }

    /// Copies a directory as source: existing ones keep their metadata.
    fn top(&mut self, real: &Path, stat: &Stat, pool: &Copies<'_>) -> Result<()> {
        let source = Arc::new(self.from.open_dir(real).map_err(Error::io("open", real))?);
        let (parent, name) = self.open_target()?;
        self.replace_other(&parent, &name, &self.target.clone())?;
        let (dir, is_new) = make_dir(&parent, &name, &self.target)?;
        self.record.made = self.copied.map_or(is_new, |copied| copied.made);
        if self.record.made {
            self.dir_metadata(&dir, stat, (&source, c"."), self.target.clone())?;
        } else {
            // parity: the time is that of the source all the same.
            self.times.push((self.target.clone(), self.times_of(stat)));
        }
        self.levels.push(Level {
            source,
            stat: *stat,
            name: CString::default(),
            taken: true,
            target: Some(Arc::new(dir)),
            is_new,
            known: self.copied.map(|copied| &copied.top),
            is_same: true,
            include: MatchInfo::default(),
            exclude: MatchInfo::default(),
            length: 0,
        });
        self.dir(pool)?;
        self.levels.pop();
        Ok(())
    }

    /// Copies what is in the innermost directory of the walk.
    fn dir(&mut self, pool: &Copies<'_>) -> Result<()> {
        self.cancel.check()?;
        let source = self.innermost().source.clone();
        let names = source.names().map_err(|error| Error::io("list", self.shown())(error))?;
        for name in names {
            let length = self.path.len();
            if length > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name.to_bytes());
            self.child(&source, name, pool)?;
            self.path.truncate(length);
        }
        Ok(())
    }

    fn child(&mut self, source: &Arc<OpenDir>, name: CString, pool: &Copies<'_>) -> Result<()> {
        let verdict = self.judge();
        let may_take_back = self.options.exclude.as_ref().is_some_and(Patterns::has_exclusions);
        if !verdict.taken && self.options.include.is_none() && !may_take_back {
            return Ok(());
        }
        let stat = source.stat(&name).map_err(|error| Error::io("read", self.shown())(error))?;
        if is_dir(&stat) {
            if verdict.excluded && !may_take_back {
                return Ok(());
            }
            return self.subdir(source, name, stat, verdict, pool);
        }
        if !verdict.taken {
            return Ok(());
        }
        let seen = source.node(&name).map_or(stat, |node| node.seen);
        let known = self.known(&name);
        if let Some(known) = known
            && known.is(&seen)
        {
            self.record.entry(&name, &seen, known.covers);
            return self.keep(&stat);
        }
        let target = self.ensure(self.levels.len())?;
        let path = self.target_path();
        let job = self.job((source.clone(), name.clone()), stat, (target, name), path);
        let cleared = !self.innermost().is_new && self.clear(&job)?;
        let covers = known.map_or(cleared, |known| known.covers);
        self.covers_more |= self.copied.is_some() && covers;
        self.record.entry(&job.name, &seen, covers);
        self.entry(job, Some(pool))
    }

    /// Leaves an entry as it was copied last time; the directories it is in may have changed.
    fn keep(&mut self, stat: &Stat) -> Result<()> {
        if stat.st_nlink > 1 {
            let path = self.target_path();
            self.inodes.entry((stat.st_dev, stat.st_ino)).or_insert(path);
        }
        match self.levels.iter().rposition(|level| !level.is_same) {
            Some(changed) => self.ensure(changed + 1).map(drop),
            None => Ok(()),
        }
    }

    fn subdir(
        &mut self,
        source: &Arc<OpenDir>,
        name: CString,
        stat: Stat,
        verdict: Verdict,
        pool: &Copies<'_>,
    ) -> Result<()> {
        let child = source.open_dir(&name).map_err(|error| Error::io("open", self.shown())(error))?;
        let seen = source.node(&name).map_or(stat, |node| node.seen);
        let known = self.known(&name);
        let is_same = known.is_some_and(|known| known.is(&seen));
        let entered = self.record.enter(&name, &seen);
        self.levels.push(Level {
            source: Arc::new(child),
            stat,
            name,
            taken: verdict.taken,
            target: None,
            is_new: false,
            known,
            is_same,
            include: verdict.include,
            exclude: verdict.exclude,
            length: self.path.len(),
        });
        if verdict.taken && !is_same {
            self.ensure(self.levels.len())?;
        }
        self.dir(pool)?;
        self.levels.pop();
        self.record.leave(entered, verdict.taken);
        Ok(())
    }

    /// Asks the patterns about the entry the walk is at.
    fn judge(&self) -> Verdict {
        let level = self.innermost();
        let ask = |patterns: &Option<Patterns>, parent, unset| match patterns {
            Some(patterns) => patterns.matches_below(&self.path, parent),
            None => (unset, MatchInfo::default()),
        };
        let (included, include) = ask(&self.options.include, &level.include, true);
        let (excluded, exclude) = ask(&self.options.exclude, &level.exclude, false);
        Verdict { taken: included && !excluded, excluded, include, exclude }
    }

    /// The copies of the outermost directories of the walk, made when they are not there; returns the innermost.
    fn ensure(&mut self, count: usize) -> Result<Arc<OwnedFd>> {
        let level = &self.levels[count - 1];
        if let Some(target) = &level.target {
            return Ok(target.clone());
        }
        let (name, stat, source) = (level.name.clone(), level.stat, level.source.clone());
        let (taken, is_known) = (level.taken, level.known.is_some());
        let path = self.target.join(OsStr::from_bytes(&self.path[..level.length]));
        let parent = self.ensure(count - 1)?;
        self.replace_other(&parent, &name, &path)?;
        let (dir, made) = make_dir(&parent, &name, &path)?;
        if taken || made || is_known {
            self.dir_metadata(&dir, &stat, (&source, c"."), path)?;
        } else {
            // parity: of the metadata of a directory that was there and is only on the way, permissions become the source's.
            rustix::fs::fchmod(&dir, Mode::from_raw_mode(stat.st_mode & 0o7777))
                .map_err(|errno| Error::io("copy the metadata of", &path)(errno.into()))?;
            self.times.push((path, self.times_of(&stat)));
            self.record.is_bound = true;
        }
        let dir = Arc::new(dir);
        let level = &mut self.levels[count - 1];
        (level.target, level.is_new) = (Some(dir.clone()), made);
        Ok(dir)
    }

    /// Removes what is no directory where one is to be, if that is asked for.
    fn replace_other(&self, parent: &OwnedFd, name: &CStr, path: &Path) -> Result<()> {
        if !self.options.replace {
            return Ok(());
        }
        match entry::stat(parent, name) {
            Ok(stat) if !is_dir(&stat) => self.to.remove_all(path).map_err(Error::io("replace", path)),
            _ => Ok(()),
        }
    }

    fn job(
        &self,
        (source, name): (Arc<OpenDir>, CString),
        stat: Stat,
        (target, target_name): (Arc<OwnedFd>, CString),
        path: PathBuf,
    ) -> Job {
        let owner = self.options.owner.unwrap_or((stat.st_uid, stat.st_gid));
        let mode = self.options.mode.apply(stat.st_mode, false);
        let times = self.times_of(&stat);
        Job { source, name, stat, target, target_name, path, owner, mode, times }
    }

    /// Makes room for an entry that is no directory; returns whether something was there.
    fn clear(&self, job: &Job) -> Result<bool> {
        let found = match entry::stat(&job.target, &job.target_name) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(false),
            Err(errno) => return Err(Error::io("read", &job.path)(errno.into())),
        };
        if !is_dir(&found) {
            let removed = rustix::fs::unlinkat(&job.target, &job.target_name, AtFlags::empty());
            return removed.map(|()| true).map_err(|errno| Error::io("replace", &job.path)(errno.into()));
        }
        if self.options.replace {
            return self.to.remove_all(&job.path).map(|()| true).map_err(Error::io("replace", &job.path));
        }
        Err(Error::Invalid(format!("cannot replace to directory {} with file", job.path.display())))
    }

    /// Copies an entry that is no directory, or has it copied.
    fn entry(&mut self, job: Job, pool: Option<&Copies<'_>>) -> Result<()> {
        if kind(&job.stat) != FileType::RegularFile {
            return special(&job);
        }
        if job.stat.st_nlink > 1 {
            let inode = (job.stat.st_dev, job.stat.st_ino);
            if let Some(first) = self.inodes.get(&inode) {
                self.links.push((first.clone(), job.path));
                self.record.is_bound = true;
                return Ok(());
            }
            self.inodes.insert(inode, job.path.clone());
        }
        match pool {
            Some(pool) => pool.submit(job),
            None => regular(&job, &mut Vec::new()),
        }
    }

    /// Sets owner, permissions and attributes of a copied directory; notes its times for later.
    fn dir_metadata(&mut self, dir: &OwnedFd, stat: &Stat, from: (&OpenDir, &CStr), path: PathBuf) -> Result<()> {
        let (uid, gid) = self.options.owner.unwrap_or((stat.st_uid, stat.st_gid));
        let mode = self.options.mode.apply(stat.st_mode, true);
        let set = || -> io::Result<()> {
            let (uid, gid) = userns::owner(uid, gid);
            rustix::fs::fchown(dir, uid, gid).map_err(userns::explain)?;
            rustix::fs::fchmod(dir, Mode::from_raw_mode(mode))?;
            for (key, value) in xattr::read(from.0.fd(), from.1)? {
                ignore_unsupported(xattr::set(dir.as_fd(), c".", &key, &value))?;
            }
            Ok(())
        };
        set().map_err(Error::io("copy the metadata of", &path))?;
        self.times.push((path, self.times_of(stat)));
        Ok(())
    }

    fn times_of(&self, stat: &Stat) -> Timestamps {
        match self.options.time {
            None => entry::times(stat),
            Some((seconds, nanos)) => {
                let time = Timespec { tv_sec: seconds, tv_nsec: nanos as _ };
                Timestamps { last_access: time, last_modification: time }
            }
        }
    }

    fn finish(&mut self) -> Result<()> {
        for (first, path) in std::mem::take(&mut self.links) {
            let link = || -> io::Result<()> {
                let (first, second) = (self.to.place(&first)?, self.to.place(&path)?);
                Ok(rustix::fs::linkat(&first.dir, &first.name, &second.dir, &second.name, AtFlags::empty())?)
            };
            link().map_err(Error::io("link", &path))?;
        }
        for (path, times) in std::mem::take(&mut self.times) {
            let set = || -> io::Result<()> {
                let place = self.to.place(&path)?;
                Ok(rustix::fs::utimensat(&place.dir, &place.name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
            };
            set().map_err(Error::io("set the time of", &path))?;
        }
        Ok(())
    }

    fn innermost(&self) -> &Level<'a> {
        self.levels.last().expect("the walk is in a directory")
    }

    /// What was copied last time of an entry of the innermost directory.
    fn known(&self, name: &CStr) -> Option<&'a Known<'a>> {
        self.innermost().known?.child(name)
    }

    /// Where the entry's copy is.
    fn target_path(&self) -> PathBuf {
        self.target.join(OsStr::from_bytes(&self.path))
    }

    /// The entry's path for people.
    fn shown(&self) -> PathBuf {
        PathBuf::from(std::ffi::OsString::from_vec(self.path.clone()))
    }
}

/// Opens a directory, made if nothing is there; returns whether it was made.
fn make_dir(parent: &OwnedFd, name: &CStr, path: &Path) -> Result<(OwnedFd, bool)> {
    let made = match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(errno) => return Err(Error::io("make directory", path)(errno.into())),
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(parent, name, flags, Mode::empty()) {
        Ok(dir) => Ok((dir, made)),
        Err(Errno::NOTDIR | Errno::LOOP) => {
            Err(Error::Invalid(format!("cannot copy to non-directory: {}", path.display())))
        }
        Err(errno) => Err(Error::io("open", path)(errno.into())),
    }
}

/// Copies a link, device or pipe. Sockets are left out: nothing is behind them.
fn special(job: &Job) -> Result<()> {
    let (target, name) = (job.target.as_fd(), &*job.target_name);
    let copy = || -> io::Result<()> {
        match kind(&job.stat) {
            FileType::Socket => return Ok(()),
            FileType::Symlink => rustix::fs::symlinkat(&*job.source.readlink(&job.name)?, target, name)?,
            kind => rustix::fs::mknodat(target, name, kind, Mode::RUSR, job.stat.st_rdev)?,
        }
        entry::set_owner(target, name, job.owner.0, job.owner.1)?;
        if kind(&job.stat) != FileType::Symlink {
            entry::set_mode(target, name, job.mode)?;
        }
        for (key, value) in job.source.xattrs(&job.name)? {
            ignore_unsupported(xattr::set(target, name, &key, &value))?;
        }
        Ok(entry::set_times(target, name, job.times.clone())?)
    };
    copy().map_err(Error::io("copy to", &job.path))
}

/// Copies a regular file.
fn regular(job: &Job, buffer: &mut Vec<u8>) -> Result<()> {
    match copy_regular(job, buffer) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::Invalid(format!(
            "{} changed while it was being copied: build again when nothing writes to it",
            job.path.display()
        ))),
        Err(error) => Err(Error::io("copy to", &job.path)(error)),
    }
}

/// Returns whether the file is still the one whose content was hashed.
fn copy_regular(job: &Job, buffer: &mut Vec<u8>) -> io::Result<bool> {
    // A user's socket is an empty file.
    let is_socket = job.source.node(&job.name).is_some_and(|node| kind(&node.seen) == FileType::Socket);
    let source = if is_socket { None } else { Some(job.source.open_file(&job.name)?) };
    let target = entry::create_file_with(job.target.as_fd(), &job.target_name, Mode::from_raw_mode(job.mode & 0o777))?;
    if let Some(source) = &source {
        buffer.resize(128 << 10, 0);
        entry::copy_bytes(source, &target, job.stat.st_size as u64, buffer)?;
    }
    // Looking costs a tenth of setting.
    let made = rustix::fs::fstat(&target)?;
    let chowned = (made.st_uid, made.st_gid) != job.owner;
    if chowned {
        let (uid, gid) = userns::owner(job.owner.0, job.owner.1);
        rustix::fs::fchown(&target, uid, gid).map_err(userns::explain)?;
    }
    if chowned || made.st_mode & 0o7777 != job.mode & 0o7777 {
        rustix::fs::fchmod(&target, Mode::from_raw_mode(job.mode & 0o7777))?;
    }
    if let Some(source) = &source {
        // After the owner: changing it takes capabilities away.
        for (key, value) in xattr::read_open(source, job.source.fd(), &job.name)? {
            ignore_unsupported(rustix::fs::fsetxattr(&target, &*key, &value, rustix::fs::XattrFlags::empty()))?;
        }
    }
    rustix::fs::futimens(&target, &job.times)?;
    source.map_or(Ok(true), |source| is_unchanged(job, &source))
}

/// Whether a file is still the one that was listed.
fn is_unchanged(job: &Job, source: &File) -> io::Result<bool> {
    let Some(node) = job.source.node(&job.name) else { return Ok(true) };
    let (now, seen) = (rustix::fs::fstat(source)?, &node.seen);
    Ok(now.st_ino == seen.st_ino
        && now.st_size == seen.st_size
        && (now.st_mtime, now.st_mtime_nsec) == (seen.st_mtime, seen.st_mtime_nsec)
        && (now.st_ctime, now.st_ctime_nsec) == (seen.st_ctime, seen.st_ctime_nsec))
}

/// parity: attributes are copied as far as they can be.
fn ignore_unsupported(result: rustix::io::Result<()>) -> rustix::io::Result<()> {
    match result {
        Err(Errno::NOTSUP | Errno::PERM | Errno::INVAL) => Ok(()),
        result => result,
    }
}

fn c_string(name: &OsStr) -> Result<CString> {
    CString::new(name.as_bytes()).map_err(|_| Error::Definition(format!("path component {name:?} holds a NUL")))
}
