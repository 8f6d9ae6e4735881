//! When the newest file of an archive was changed.

use std::io::{self, Read};

use crate::decompress;
use crate::tar::Entries;

/// The most that is read of what is behind a stream, in bytes: what holds more has no time that is known. A stream of zeros
/// needs no more than kilobytes to say so many, and keeps us for less than a minute.
pub const UNPACKED: u64 = 8 << 30;

/// The time of the newest regular file of a tar, in seconds since 1970, as it is or in gzip, bzip2, xz or zstd.
///
/// `None` for what is no such archive, ends too early, has no files, or holds more than [`UNPACKED`]: as
/// `archiveMaxTimeFromRef` of BuildKit v0.32 has it, which reads all.
pub fn newest(stream: impl Read + Send) -> Option<i64> {
    newest_of(stream, UNPACKED).ok().flatten()
}

fn newest_of(stream: impl Read + Send, most: u64) -> io::Result<Option<i64>> {
    let mut entries = Entries::new(Bounded { stream: decompress(stream)?, left: most });
    let mut newest = None;
    while let Some(entry) = entries.next()? {
        // Another name of a file counts, too.
        if !matches!(entry.kind, b'2'..=b'6' | b'g') {
            newest = newest.max(Some(entry.modified.0));
        }
    }
    Ok(newest)
}

/// A stream that fails where it is too long.
struct Bounded<R> {
    stream: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const TIME: i64 = 0o14524677400;

    /// The header of a regular file.
    fn header(size: u64) -> [u8; 512] {
        let mut block = [0; 512];
        block[..4].copy_from_slice(b"file");
        block[124..136].copy_from_slice(format!("{size:011o} ").as_bytes());
        block[136..148].copy_from_slice(b"14524677400 ");
        block[148..156].fill(b' ');
        block[156] = b'0';
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        block
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn an_end_may_be_missing_but_no_part_of_a_file() {
        let tar = [&header(600)[..], &[1; 600]].concat();
        assert_eq!(newest(&tar[..]), Some(TIME));
        assert_eq!(newest(&[&tar[..], &[0; 424 + 512]].concat()[..]), Some(TIME));
        assert_eq!(newest(&[&tar[..], &[0; 424 + 512], &header(0)].concat()[..]), None);
        assert_eq!(newest(&tar[..1111]), None);
        assert_eq!(newest(&[&tar[..], &[0; 424], &[7; 5]].concat()[..]), None);
    }

    #[test]
    fn what_is_too_long_has_no_time() {
        let tar = [&header(1 << 20)[..], &vec![0; 1 << 20]].concat();
        for bytes in [gzip(&tar), tar] {
            assert_eq!(newest_of(&bytes[..], 512 + (1 << 20)).unwrap(), Some(TIME));
            let error = newest_of(&bytes[..], 511 + (1 << 20)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        }
    }

    #[test]
    fn what_never_ends_has_no_time() {
        let endless = |start: &[u8]| newest_of(io::Cursor::new(start.to_vec()).chain(io::repeat(b'x')), 1 << 20);
        assert!(endless(&header(0o77777777777)).is_err());
        assert!(endless(b"").is_err());
        // Files of nothing, one after the other.
        let files = gzip(&header(0).repeat(1 << 10));
        assert_eq!(newest_of(&files.repeat(2)[..], 1 << 20).unwrap(), Some(TIME));
        assert!(newest_of(&files.repeat(3)[..], 1 << 20).is_err());
    }
}
