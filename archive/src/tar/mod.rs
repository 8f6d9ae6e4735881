//! The entries of a tar, as Go's `archive/tar` takes them: what that refuses is refused, and what it takes is taken.

mod head;
mod number;
mod records;
mod sparse;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, Read};

pub use head::{Head, Headed, Heads};
use head::{is_gnu, is_header_only};
use records::Records;
use sparse::{Form, Map};

/// Bytes of a block.
pub const BLOCK: usize = 512;

/// The longest record of extended headers or long names that is read, in bytes.
const MOST_SAID: u64 = 1 << 20;

/// The header of an entry, with what was said before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// As it was written.
    pub name: Vec<u8>,
    /// Target of a link.
    pub link: Vec<u8>,
    /// The type flag; old ones are `0`, or `5` where the name ends as that of a directory. `g` is said of all that follow.
    pub kind: u8,
    /// Permission, set-id and sticky bits, and whatever else there was.
    pub mode: i64,
    /// Owner.
    pub uid: i64,
    /// Group.
    pub gid: i64,
    /// Bytes of the file, with the zeros of a sparse one.
    pub size: u64,
    /// Seconds since 1970, and nanoseconds.
    pub modified: (i64, u32),
    /// Major and minor number of a device.
    pub device: (i64, i64),
    /// Extended attributes by their names.
    pub attributes: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The entries, one after the other; what is read are the bytes of the last that was returned.
pub struct Entries<R> {
    stream: R,
    /// What is left of the entry, and to the next block.
    data: u64,
    padding: u64,
    file: Place,
}

/// How far a file was read.
#[derive(Default)]
struct Place {
    at: u64,
    size: u64,
    /// Pieces that are still to come, where there are zeros between them.
    sparse: Option<Map>,
}

/// A block.
pub type Block = [u8; BLOCK];

impl<R: Read> Entries<R> {
    /// The entries of a stream that is not compressed.
    pub fn new(stream: R) -> Self {
        Self { stream, data: 0, padding: 0, file: Place::default() }
    }

    /// The next entry; `None` at the end.
    ///
    /// **Errors**: what is no tar, or ends in the middle of something.
    #[allow(clippy::should_implement_trait)] // One has the bytes of an entry only until the next.
    pub fn next(&mut self) -> io::Result<Option<Entry>> {
        let mut heads = Heads::default();
        loop {
            let Some(block) = self.block()? else { return Ok(None) };
            match heads.block(&block)? {
                Head::Text(length) => {
                    if let Some(of_all) = heads.text(&self.text(length)?)? {
                        return Ok(Some(of_all));
                    }
                }
                Head::Entry(Headed { mut entry, stored, records }) => {
                    self.enter(stored);
                    self.file = Place { at: 0, size: stored, sparse: None };
                    self.unfold(&block, &records, &mut entry)?;
                    return Ok(Some(entry));
                }
            }
        }
    }

    /// Reads where the bytes of a sparse file go.
    fn unfold(&mut self, block: &Block, records: &Records, entry: &mut Entry) -> io::Result<()> {
        let map = if entry.kind == b'S' {
            if !is_gnu(block) {
                return Err(malformed());
            }
            let stream = &mut self.stream;
            let (map, size) = Map::of_header(block, || whole_block(stream)?.ok_or_else(cut))?;
            entry.size = size;
            map
        } else {
            let Some(form) = Form::of(records) else { return Ok(()) };
            entry.size = sparse::whole_size(records)?.unwrap_or(entry.size);
            match form {
                Form::Record => Map::of_record(records)?,
                Form::Before => Map::before(|| self.take_block())?,
            }
        };
        if is_header_only(entry.kind) || map.check(entry.size)? > self.data {
            return Err(malformed());
        }
        self.file = Place { at: 0, size: entry.size, sparse: Some(map) };
        Ok(())
    }

    /// A block of the bytes of the entry.
    fn take_block(&mut self) -> io::Result<Block> {
        self.data = self.data.checked_sub(BLOCK as u64).ok_or_else(cut)?;
        whole_block(&mut self.stream)?.ok_or_else(cut)
    }

    /// The next block with a header; `None` at the end.
    fn block(&mut self) -> io::Result<Option<Block>> {
        self.skip(self.data)?;
        self.file = Place::default();
        // The last block may be cut short.
        let mut padding = [0; BLOCK];
        let padding = &mut padding[..self.padding as usize];
        (self.data, self.padding) = (0, 0);
        if read_up_to(&mut self.stream, padding)? < padding.len() {
            return Ok(None);
        }
        let Some(block) = whole_block(&mut self.stream)? else { return Ok(None) };
        if block != [0; BLOCK] {
            return Ok(Some(block));
        }
        match whole_block(&mut self.stream)? {
            Some(block) if block != [0; BLOCK] => Err(malformed()),
            _ => Ok(None),
        }
    }

    fn enter(&mut self, size: u64) {
        self.data = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    /// The bytes of an entry that says something of the next.
    fn text(&mut self, size: u64) -> io::Result<Vec<u8>> {
        self.enter(size);
        let mut text = vec![0; size as usize];
        self.stream.read_exact(&mut text)?;
        self.data = 0;
        Ok(text)
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let skipped = io::copy(&mut (&mut self.stream).take(bytes), &mut io::sink())?;
        if skipped == bytes { Ok(()) } else { Err(cut()) }
    }
}

impl<R: Read> Read for Entries<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let file = &mut self.file;
        let Some(map) = &mut file.sparse else {
            let left = usize::try_from(file.size - file.at).unwrap_or(usize::MAX).min(buffer.len());
            return self.piece(&mut buffer[..left]);
        };
        while map.0.front().is_some_and(|(offset, length)| offset + length <= file.at) {
            map.0.pop_front();
        }
        let (from, to) = map.0.front().map_or((file.size, file.size), |(offset, length)| (*offset, offset + length));
        let is_zeros = file.at < from;
        let left = if is_zeros { from } else { to } - file.at;
        let left = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if !is_zeros {
            return self.piece(&mut buffer[..left]);
        }
        buffer[..left].fill(0);
        file.at += left as u64;
        Ok(left)
    }
}

impl<R: Read> Entries<R> {
    /// Reads of the bytes that are in the tar.
    fn piece(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            return Err(cut());
        }
        self.data -= count as u64;
        self.file.at += count as u64;
        Ok(count)
    }
}

fn until_zero(field: &[u8]) -> Vec<u8> {
    field.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}

fn text(bytes: &[u8]) -> io::Result<&str> {
    str::from_utf8(bytes).map_err(|_| malformed())
}

/// A block; `None` where there is nothing more.
fn whole_block(stream: &mut impl Read) -> io::Result<Option<Block>> {
    let mut block = [0; BLOCK];
    match read_up_to(stream, &mut block)? {
        0 => Ok(None),
        BLOCK => Ok(Some(block)),
        _ => Err(cut()),
    }
}

/// Fills a buffer as far as there are bytes; returns how many there were.
fn read_up_to(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a malformed tar")
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it ends too early")
}
