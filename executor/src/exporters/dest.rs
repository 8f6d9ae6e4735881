//! Where one file goes: written aside and put in place when it is whole, or streamed to standard output.
//!
//! A file that is being written has no name where the file system can do that, so that not even a killed process leaves
//! anything behind.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::{Error, Result};

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
            let stdout = io::stdout().as_fd().try_clone_to_owned();
            let file = stdout.map_err(Error::io("write to", "standard output"))?.into();
            return Ok(Self { file, aside: None });
        };
        if fs::metadata(dest).is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
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
