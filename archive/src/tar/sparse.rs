//! Sparse files: of four forms of GNU tar, where the bytes of a file go, between which there are zeros.

use std::collections::VecDeque;
use std::io;

use super::number::{decimal, number, size};
use super::records::{Records, said};
use super::{Block, MOST_SAID, malformed};

/// Keys of records.
pub(super) const OFFSET: &[u8] = b"GNU.sparse.offset";
pub(super) const BYTES: &[u8] = b"GNU.sparse.numbytes";
pub(super) const MAP: &[u8] = b"GNU.sparse.map";
const COUNT: &[u8] = b"GNU.sparse.numblocks";
const NAME: &[u8] = b"GNU.sparse.name";

/// Bytes of a place in an old header.
const PLACE: usize = 24;

/// Pieces of a file, in order: where they begin, and how long they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Map(pub(super) VecDeque<(u64, u64)>);

/// Which form the records of a sparse file have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The map is a record.
    Record,
    /// The map is before the bytes.
    Before,
}

impl Form {
    /// `None` for what is no sparse file, or of a version that nobody knows.
    pub(super) fn of(records: &Records) -> Option<Self> {
        let version = (records.get(&b"GNU.sparse.major"[..]), records.get(&b"GNU.sparse.minor"[..]));
        let version = (version.0.map_or(&b""[..], |text| text), version.1.map_or(&b""[..], |text| text));
        match version {
            (b"0", b"0" | b"1") => Some(Self::Record),
            (b"1", b"0") => Some(Self::Before),
            (b"", b"") if said(records, MAP).is_some() => Some(Self::Record),
            _ => None,
        }
    }
}

/// The name of a sparse file, where its records have one.
pub(super) fn name(records: &Records) -> Option<&[u8]> {
    said(records, NAME)
}

/// The size of a sparse file with its zeros, where its records have one.
pub(super) fn whole_size(records: &Records) -> io::Result<Option<u64>> {
    let size = said(records, b"GNU.sparse.size").or_else(|| said(records, b"GNU.sparse.realsize"));
    size.map(decimal).transpose()
}

impl Map {
    /// The map that is a record: `OFFSET,LENGTH,…`.
    pub(super) fn of_record(records: &Records) -> io::Result<Self> {
        let count: usize = said(records, COUNT).map_or_else(|| Err(malformed()), decimal)?;
        let text = said(records, MAP).unwrap_or_default();
        let numbers: Vec<u64> = match text {
            b"" => Vec::new(),
            text => text.split(|byte| *byte == b',').map(decimal).collect::<io::Result<_>>()?,
        };
        let places: VecDeque<_> = numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        if !numbers.len().is_multiple_of(2) || places.len() != count { Err(malformed()) } else { Ok(Self(places)) }
    }

    /// The map before the bytes: a count and twice as many numbers, each on a line, in whole blocks.
    pub(super) fn before(mut next: impl FnMut() -> io::Result<Block>) -> io::Result<Self> {
        let (mut text, mut lines, mut read) = (Vec::new(), 0, 0);
        let mut line = || -> io::Result<u64> {
            while lines == 0 {
                let block = next()?;
                read += block.len() as u64;
                if read > MOST_SAID {
                    return Err(malformed());
                }
                lines += block.iter().filter(|byte| **byte == b'\n').count();
                text.extend_from_slice(&block);
            }
            lines -= 1;
            let end = text.iter().position(|byte| *byte == b'\n').expect("it was counted");
            let number = decimal(&text[..end])?;
            text.drain(..=end);
            Ok(number)
        };
        let count = line()?;
        (0..count).map(|_| Ok((line()?, line()?))).collect::<io::Result<_>>().map(Self)
    }

    /// The map in an old header and the blocks after it, and the size of the file with its zeros.
    pub(super) fn of_header(header: &Block, mut next: impl FnMut() -> io::Result<Block>) -> io::Result<(Self, u64)> {
        let mut map = Self::default();
        map.add(&header[386..482])?;
        let mut goes_on = header[482] != 0;
        while goes_on {
            if (map.0.len() * PLACE) as u64 >= MOST_SAID {
                return Err(malformed());
            }
            let block = next()?;
            map.add(&block[..504])?;
            goes_on = block[504] != 0;
        }
        Ok((map, size(&header[483..495])?))
    }

    fn add(&mut self, places: &[u8]) -> io::Result<()> {
        for place in places.chunks_exact(PLACE).take_while(|place| place[0] != 0) {
            let positive = |field: &[u8]| u64::try_from(number(field)?).map_err(|_| malformed());
            self.0.push_back((positive(&place[..12])?, positive(&place[12..])?));
        }
        Ok(())
    }

    /// Whether the pieces are in order and in the file; returns how many bytes they have.
    pub(super) fn check(&self, size: u64) -> io::Result<u64> {
        let (mut end, mut bytes) = (0, 0);
        for (offset, length) in &self.0 {
            if *offset < end {
                return Err(malformed());
            }
            end = offset.checked_add(*length).filter(|end| *end <= size).ok_or_else(malformed)?;
            bytes += length;
        }
        Ok(bytes)
    }
}
