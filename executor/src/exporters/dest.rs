//! Where one file goes: written aside and put in place when it is whole, or streamed to standard output.
//!
//! A file that is being written has no name where the file system can do that, so that not even a killed process leaves
//! anything behind.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, Mode, OFlags, access};
use rustix::io::Errno;

use crate::{Error, Result, stdout};

/// A file being written; dropped unfinished it is removed.
pub(super) struct Target {
    file: File,
    aside: Option<Aside>,
}

struct Aside {
    /// Its name meanwhile.
    path: PathBuf,
    is_named: bool,
    to: PathBuf,
}

impl Target {
    /// Starts writing to a path, or to standard output. What is no regular file (a pipe, a device) is written to as it is.
    pub(super) fn open(dest: Option<&Path>) -> Result<Self> {
        let Some(dest) = dest else {
            let file = stdout::file().map_err(Error::io("write to", "standard output"))?;
            return Ok(Self { file, aside: None });
        };
        if is_special(dest) {
            let file = File::options().write(true).open(dest).map_err(Error::io("write", dest))?;
            return Ok(Self { file, aside: None });
        }
        let Some(name) = dest.file_name().filter(|_| !dest.is_dir()) else {
            return Err(Error::Invalid(format!(
                "cannot write {}: it is a directory, and a file is wanted",
                dest.display()
            )));
        };
        let aside = format!(".{}.{}", name.to_string_lossy(), std::process::id());
        let path = dest.with_file_name(aside);
        let parent = dest.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let (file, is_named) = match unnamed(parent) {
            Some(file) => (file, false),
            None => (File::create(&path).map_err(Error::io("write", dest))?, true),
        };
        Ok(Self { file, aside: Some(Aside { path, is_named, to: dest.to_owned() }) })
    }

    /// The file.
    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Makes it visible.
    pub(super) fn finish(mut self) -> Result<()> {
        let Some(aside) = self.aside.take() else { return Ok(()) };
        if !aside.is_named {
            give_name(&self.file, &aside.path).map_err(Error::io("write", &aside.to))?;
        }
        fs::rename(&aside.path, &aside.to).map_err(Error::io("write", &aside.to)).inspect_err(|_| {
            let _ = fs::remove_file(&aside.path);
        })
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(aside) = self.aside.as_ref().filter(|aside| aside.is_named) {
            let _ = fs::remove_file(&aside.path);
        }
    }
}

/// Whether it is there and neither a file nor a directory: a pipe, a device.
fn is_special(dest: &Path) -> bool {
    fs::metadata(dest).is_ok_and(|meta| !meta.is_file() && !meta.is_dir())
}

/// Finds out whether a file could be written; nothing is left there.
pub(super) fn check_file(dest: Option<&Path>) -> Result<()> {
    match dest {
        // Opening it would be noticed by who reads it.
        Some(dest) if is_special(dest) => {
            access(dest, Access::WRITE_OK).map_err(|errno| Error::io("write", dest)(errno.into()))
        }
        Some(dest) => Target::open(Some(dest)).map(drop),
        None => Ok(()),
    }
}

/// Which file is written at a path; none where it is a directory, a pipe, a device.
pub(super) fn file(dest: &Path) -> Option<PathBuf> {
    if is_special(dest) || dest.is_dir() {
        return None;
    }
    let parent = dest.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(parent.canonicalize().ok()?.join(dest.file_name()?))
}

/// The directory that an output was given. **Errors**: none was.
pub(super) fn directory(dest: Option<&Path>) -> Result<&Path> {
    dest.ok_or_else(|| Error::Invalid("a directory needs `dest=`".into()))
}

/// Finds out whether a directory could be written to, or made; nothing is made.
pub(crate) fn check_dir(dest: Option<&Path>) -> Result<()> {
    let dest = directory(dest)?;
    // What is above a name alone is where we are.
    let above = dest.ancestors().map(|path| if path.as_os_str().is_empty() { Path::new(".") } else { path });
    let Some(there) = above.into_iter().find(|path| path.exists()) else { return Ok(()) };
    let failed = Error::io("write into", dest);
    if !there.is_dir() {
        return Err(failed(io::ErrorKind::NotADirectory.into()));
    }
    access(there, Access::WRITE_OK | Access::EXEC_OK).map_err(|errno| failed(errno.into()))
}

/// A file without a name in a directory, where the file system has such.
fn unnamed(dir: &Path) -> Option<File> {
    let mode = Mode::from_raw_mode(0o666);
    rustix::fs::open(dir, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, mode).ok().map(File::from)
}

fn give_name(file: &File, path: &Path) -> io::Result<()> {
    let link = || {
        let own = format!("/proc/self/fd/{}", file.as_raw_fd());
        rustix::fs::linkat(rustix::fs::CWD, own, rustix::fs::CWD, path, AtFlags::SYMLINK_FOLLOW)
    };
    match link() {
        // Left by a process that had our number.
        Err(Errno::EXIST) => fs::remove_file(path).and_then(|()| Ok(link()?)),
        linked => Ok(linked?),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn nothing_is_seen_before_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let dest = dir.path().join("out.tar");
        fs::write(&dest, "old").unwrap();
        let mut dropped = Target::open(Some(&dest)).unwrap();
        dropped.file().write_all(b"half").unwrap();
        drop(dropped);
        assert_eq!(fs::read_to_string(&dest).unwrap(), "old");
        let mut target = Target::open(Some(&dest)).unwrap();
        target.file().write_all(b"new").unwrap();
        target.finish().unwrap();
        assert_eq!(fs::read_to_string(&dest).unwrap(), "new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_is_found_out_and_what_can_is_left_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "old").unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), Mode::from_raw_mode(0o600)).unwrap();
        for possible in ["new", "file", "pipe"] {
            check_file(Some(&at(possible))).unwrap();
        }
        for possible in ["", "made/on/the/way"] {
            check_dir(Some(&at(possible))).unwrap();
        }
        check_dir(Some(Path::new("a-name-alone"))).unwrap();
        assert!(check_file(Some(&at("missing/out"))).is_err());
        assert!(check_file(Some(Path::new("/proc/out"))).is_err());
        assert!(check_dir(Some(&at("file/below"))).unwrap_err().to_string().contains("ot a directory"));
        assert!(check_dir(None).is_err());
        assert_eq!(fs::read_to_string(at("file")).unwrap(), "old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn where_no_file_can_be() {
        let dir = tempfile::tempdir().unwrap();
        let error = Target::open(Some(dir.path())).err().unwrap().to_string();
        assert!(error.ends_with("it is a directory, and a file is wanted"), "{error}");
        assert!(Target::open(Some(&dir.path().join("missing/out"))).is_err());
        let mut null = Target::open(Some(Path::new("/dev/null"))).unwrap();
        null.file().write_all(b"x").unwrap();
        null.finish().unwrap();
        assert!(!Path::new("/dev/null").is_file());
    }
}
