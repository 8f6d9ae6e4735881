//! Reading texts that have an end, and writing files so that they are whole or not there.

use std::io::{self, Read, Write};
use std::path::Path;

use crate::failure::{Failure, Result};

/// Longest build file (ignore file, bake file, definition) that is read, in bytes: far above any, far below the memory.
pub(crate) const LONGEST_TEXT: u64 = 64 << 20;

/// Reads a whole text from a file or what a path leads to otherwise (`/dev/stdin`).
///
/// **Errors**: it cannot be read, or does not end where texts do.
pub(crate) fn text(path: &Path) -> io::Result<Vec<u8>> {
    all(std::fs::File::open(path)?)
}

/// Reads a whole text. **Errors**: as [`text`].
pub(crate) fn all(stream: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.take(LONGEST_TEXT + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > LONGEST_TEXT {
        true => Err(io::Error::other(format!("it is longer than {} MiB", LONGEST_TEXT >> 20))),
        false => Ok(bytes),
    }
}

/// Writes a file aside and renames it. What is no regular file (a pipe, `/dev/null`) is written as it is; a link keeps
/// pointing to what is written; permissions stay as they are.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let metadata = path.metadata().ok();
    if metadata.as_ref().is_some_and(|metadata| !metadata.is_file()) {
        return std::fs::write(path, bytes).map_err(Failure::io("write", path));
    }
    let path = &std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let aside = path.with_file_name(name);
    let write = || {
        let mut file = std::fs::File::create(&aside)?;
        file.write_all(bytes)?;
        if let Some(metadata) = &metadata {
            file.set_permissions(metadata.permissions())?;
        }
        file.sync_all()?;
        std::fs::rename(&aside, path)
    };
    write().map_err(|error| {
        // The first failure is the one to tell; the file may not even exist.
        let _ = std::fs::remove_file(&aside);
        Failure::io("write", path)(error)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn texts_have_an_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("Dockerfile");
        std::fs::write(&path, vec![b'#'; 10 << 20]).unwrap();
        assert_eq!(text(&path).unwrap().len(), 10 << 20);
        let longest = all(io::repeat(b'#').take(LONGEST_TEXT)).unwrap();
        assert_eq!(longest.len() as u64, LONGEST_TEXT);
        assert_eq!(text(Path::new("/dev/zero")).unwrap_err().to_string(), "it is longer than 64 MiB");
    }

    #[test]
    fn links_and_permissions_stay() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        std::fs::write(&file, "old").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        symlink("file", &link).unwrap();
        replace(&link, b"new").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        assert!(link.is_symlink());
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    /// A device, a pipe or a socket is not what takes its place.
    #[test]
    fn what_is_no_file_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(replace(&path, b"new").is_err());
        assert!(path.metadata().unwrap().file_type().is_socket());
    }

    #[test]
    fn a_failure_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        assert!(replace(&directory.path().join("no/such"), b"x").is_err());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
