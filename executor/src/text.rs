//! Reading texts whole, as far as texts go: what has no end (`/dev/zero`) is an error, not a full memory.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Longest text that people or programs hand over (build file, ignore file, bake file, definition), in bytes: far above any,
/// far below the memory. BuildKit's messages hold a quarter of it.
pub const LONGEST: u64 = 64 << 20;

/// Longest document that says what an image or layout is made of (index, manifest, config), in bytes: the limit that
/// registries set themselves.
pub const LONGEST_DOCUMENT: u64 = 4 << 20;

/// Reads a whole text of at most [`LONGEST`] bytes from a file, or what a path leads to otherwise (`/dev/stdin`).
///
/// **Errors**: it cannot be read, or does not end where texts do.
pub fn file(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    all(File::open(path)?, LONGEST)
}

/// Reads a whole text of at most `longest` bytes. **Errors**: as [`file()`].
pub fn all(stream: impl Read, longest: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.take(longest + 1).read_to_end(&mut bytes)?;
    check(&bytes, longest)?;
    Ok(bytes)
}

/// Whether a text of which no more than `longest` bytes and one were read is whole. **Errors**: it is longer.
pub fn check(bytes: &[u8], longest: u64) -> io::Result<()> {
    match bytes.len() as u64 > longest {
        true => Err(io::Error::other(format!("it is longer than {} MiB", longest >> 20))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_an_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("Dockerfile");
        std::fs::write(&path, vec![b'#'; 10 << 20]).unwrap();
        assert_eq!(file(&path).unwrap().len(), 10 << 20);
        let longest = all(io::repeat(b'#').take(LONGEST), LONGEST).unwrap();
        assert_eq!(longest.len() as u64, LONGEST);
        assert_eq!(file("/dev/zero").unwrap_err().to_string(), "it is longer than 64 MiB");
    }
}
