//! What a frontend may see of a result: files, lists, status. Paths stay in the tree, whatever links it holds.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

use ::gateway::message::{FileRange, Stat as WireStat};
use ::gateway::{Code, MAX_MESSAGE, Status};

use crate::cache::glob;
use crate::snapshot::Files;
use crate::wire_stat::{self, GO_SYMLINK};

type Answer<T> = Result<T, Status>;

/// Most entries of a directory that are listed.
const MAX_ENTRIES: usize = 100_000;

/// The bytes of a file, or a range of them.
pub(super) fn read(files: &Files, path: &str, range: Option<&FileRange>) -> Answer<Vec<u8>> {
    let failed = |error: io::Error| failed("open", path, &error);
    let file = files.open_file(Path::new(path)).map_err(failed)?;
    let read = match range {
        Some(range) => read_range(&file, range),
        None => read_all(&file),
    };
    read.map_err(|error| if error.kind() == io::ErrorKind::FileTooLarge { too_large(path) } else { failed(error) })
}

fn read_all(file: &File) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    file.take(MAX_MESSAGE as u64 + 1).read_to_end(&mut data)?;
    if data.len() > MAX_MESSAGE { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(data) }
}

fn read_range(file: &File, range: &FileRange) -> io::Result<Vec<u8>> {
    let (Ok(offset), Ok(length)) = (u64::try_from(range.offset), usize::try_from(range.length)) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the range is negative"));
    };
    let there = file.metadata()?.len().saturating_sub(offset);
    let length = length.min(usize::try_from(there).unwrap_or(usize::MAX));
    if length > MAX_MESSAGE {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut data = vec![0; length];
    file.read_exact_at(&mut data, offset)?;
    Ok(data)
}

/// The entries of a directory whose names match a pattern, in their order; all of them without one.
pub(super) fn list(files: &Files, path: &str, pattern: &str) -> Answer<Vec<WireStat>> {
    let failed = |error: io::Error| failed("open", path, &error);
    let real = files.real_path(Path::new(path), true).map_err(failed)?;
    let directory = files.open_dir(&real).map_err(failed)?;
    let mut names = directory.names().map_err(failed)?;
    names.sort();
    let wanted =
        |name: &CStr| pattern.is_empty() || glob::matches(pattern.as_bytes(), name.to_bytes()).unwrap_or(false);
    let mut entries = Vec::new();
    for name in names.iter().filter(|name| wanted(name)) {
        if entries.len() >= MAX_ENTRIES {
            let message = format!("{path} has more than {MAX_ENTRIES} entries");
            return Err(Status::new(Code::ResourceExhausted, message));
        }
        let mut entry =
            wire_stat::of(&String::from_utf8_lossy(name.to_bytes()), &directory.stat(name).map_err(failed)?);
        if entry.mode & GO_SYMLINK != 0 {
            entry.linkname = directory.readlink(name).map_err(failed)?.to_string_lossy().into_owned();
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// The status of what a path leads to.
pub(super) fn stat(files: &Files, path: &str) -> Answer<WireStat> {
    let failed = |error: io::Error| failed("lstat", path, &error);
    let real = files.real_path(Path::new(path), true).map_err(failed)?;
    let stat = files.stat(&real).map_err(failed)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    let name = real.file_name().map_or(".".into(), |name| String::from_utf8_lossy(name.as_bytes()));
    Ok(wire_stat::of(&name, &stat))
}

/// parity: in the words of Go's `PathError`, with the path as the frontend wrote it.
fn failed(attempt: &str, path: &str, error: &io::Error) -> Status {
    let reason = match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        io::ErrorKind::NotADirectory => "not a directory".to_owned(),
        _ => error.to_string(),
    };
    Status::new(Code::Unknown, format!("{attempt} {path}: {reason}"))
}

fn too_large(path: &str) -> Status {
    let message = format!("{path} is larger than {MAX_MESSAGE} bytes; read it in ranges");
    Status::new(Code::ResourceExhausted, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire_stat::GO_DIRECTORY;

    fn tree() -> (tempfile::TempDir, Files) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        std::fs::create_dir(path.join("d")).unwrap();
        std::fs::write(path.join("d/a.txt"), "0123456789").unwrap();
        std::fs::write(path.join("d/b.md"), "").unwrap();
        std::os::unix::fs::symlink("/../../../etc/passwd", path.join("out")).unwrap();
        std::os::unix::fs::symlink("/d/a.txt", path.join("in")).unwrap();
        let files = Files::at(path).unwrap();
        (directory, files)
    }

    #[test]
    fn files_are_read_in_the_tree_and_nowhere_else() {
        let (_directory, files) = tree();
        let read = |path: &str, range| read(&files, path, range).map_err(|status| status.message);
        assert_eq!(read("d/a.txt", None).unwrap(), b"0123456789");
        assert_eq!(read("/in", None).unwrap(), b"0123456789");
        assert_eq!(read("../../d/a.txt", Some(&FileRange { offset: 8, length: 99 })).unwrap(), b"89");
        assert_eq!(read("d/a.txt", Some(&FileRange { offset: 80, length: 9 })).unwrap(), b"");
        assert!(read("d/a.txt", Some(&FileRange { offset: -1, length: 9 })).is_err());
        for path in ["out", "/etc/passwd", "../etc/passwd"] {
            assert_eq!(read(path, None).unwrap_err(), format!("open {path}: no such file or directory"));
        }
        assert!(read("d", None).is_err());
    }

    #[test]
    fn lists_and_status() {
        let (_directory, files) = tree();
        let names =
            |pattern| list(&files, "d", pattern).unwrap().into_iter().map(|entry| entry.path).collect::<Vec<_>>();
        assert_eq!(names(""), ["a.txt", "b.md"]);
        assert_eq!(names("*.txt"), ["a.txt"]);
        let root = list(&files, "/", "").unwrap();
        assert_eq!((root[1].path.as_str(), root[1].linkname.as_str()), ("in", "/d/a.txt"));
        assert!(root[1].mode & GO_SYMLINK != 0 && root[0].mode & GO_DIRECTORY != 0);
        assert_eq!(stat(&files, "in").unwrap().size, 10);
        assert_eq!(stat(&files, ".").unwrap().path, ".");
        assert_eq!(stat(&files, "x").unwrap_err().message, "lstat x: no such file or directory");
    }
}
