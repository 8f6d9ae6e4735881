//! The entries of a tar, as Go's `archive/tar` takes them: what that refuses is refused, and what it takes is taken.

mod number;
mod records;
mod sparse;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, Read};

use number::{decimal, number, size, time};
use records::{Records, said};
use sparse::{Form, Map};

/// Bytes of a block.
const BLOCK: usize = 512;

/// The longest record of extended headers or long names that is read, in bytes.
const MOST_SAID: u64 = 1 << 20;

/// What a record of an extended attribute begins with.
const ATTRIBUTE: &[u8] = b"SCHILY.xattr.";

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

/// What stands before the header of an entry and is said of it.
#[derive(Default)]
struct Said {
    records: Records,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

type Block = [u8; BLOCK];

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
        let mut before = Said::default();
        loop {
            let Some(block) = self.block()? else { return Ok(None) };
            let mut entry = header(&block)?;
            let length = entry.size;
            match entry.kind {
                b'x' => before.records = records::read(&self.text(length)?)?,
                // What is said of all: nobody applies it, and what was said before it is gone.
                b'g' => {
                    records::read(&self.text(length)?)?;
                    return Ok(Some(Entry { size: 0, ..entry }));
                }
                b'L' => before.name = Some(until_zero(&self.text(length)?)),
                b'K' => before.link = Some(until_zero(&self.text(length)?)),
                _ => {
                    before.apply(&mut entry)?;
                    self.enter(if is_header_only(entry.kind) { 0 } else { entry.size });
                    self.file = Place { at: 0, size: self.data, sparse: None };
                    self.unfold(&block, &before.records, &mut entry)?;
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
            if let Some(name) = sparse::name(records) {
                entry.name = name.to_vec();
            }
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
        if size > MOST_SAID {
            return Err(malformed());
        }
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

impl Said {
    /// Writes over a header what was said before it.
    fn apply(&mut self, entry: &mut Entry) -> io::Result<()> {
        let records = &self.records;
        let name = said(records, b"path").map(<[u8]>::to_vec);
        let link = said(records, b"linkpath").map(<[u8]>::to_vec);
        let long = |text: &mut Option<Vec<u8>>| text.take().filter(|text| !text.is_empty());
        entry.name = long(&mut self.name).or(name).unwrap_or(std::mem::take(&mut entry.name));
        entry.link = long(&mut self.link).or(link).unwrap_or(std::mem::take(&mut entry.link));
        for (key, field) in [(&b"uid"[..], &mut entry.uid), (b"gid", &mut entry.gid)] {
            *field = said(records, key).map_or(Ok(*field), decimal)?;
        }
        entry.size = said(records, b"size").map_or(Ok(entry.size), decimal)?;
        entry.modified = said(records, b"mtime").map_or(Ok(entry.modified), time)?;
        // Nobody wants them, but what cannot be read is an error.
        for key in [&b"atime"[..], b"ctime"] {
            said(records, key).map(time).transpose()?;
        }
        let attributes = records.iter().filter_map(|(key, value)| Some((key.strip_prefix(ATTRIBUTE)?, value)));
        entry.attributes = attributes.map(|(name, value)| (name.to_vec(), value.clone())).collect();
        if entry.kind == 0 {
            entry.kind = if entry.name.ends_with(b"/") { b'5' } else { b'0' };
        }
        Ok(())
    }
}

/// Reads a header on its own.
fn header(block: &Block) -> io::Result<Entry> {
    check_sum(block)?;
    let mut entry = Entry {
        name: until_zero(&block[..100]),
        link: until_zero(&block[157..257]),
        kind: block[156],
        mode: number(&block[100..108])?,
        uid: number(&block[108..116])?,
        gid: number(&block[116..124])?,
        size: size(&block[124..136])?,
        modified: (number(&block[136..148])?, 0),
        ..Entry::default()
    };
    let is_ustar = &block[257..263] == b"ustar\0";
    if is_ustar || is_gnu(block) {
        entry.device = (number(&block[329..337])?, number(&block[337..345])?);
    }
    if is_ustar {
        // Those of the program `star` are shorter: two times follow.
        let end = if &block[508..] == b"tar\0" { 476 } else { 500 };
        let prefix = until_zero(&block[345..end]);
        if !prefix.is_empty() {
            entry.name = [&prefix[..], b"/", &entry.name].concat();
        }
    }
    Ok(entry)
}

fn is_gnu(block: &Block) -> bool {
    &block[257..265] == b"ustar  \0"
}

/// Whether entries of this type have no bytes, whatever size they say.
fn is_header_only(kind: u8) -> bool {
    matches!(kind, b'1'..=b'6')
}

/// Checks the sum of a header, which some writers computed with signed bytes.
fn check_sum(block: &Block) -> io::Result<()> {
    const SUM: std::ops::Range<usize> = 148..156;
    let field = |at: usize| if SUM.contains(&at) { b' ' } else { block[at] };
    let unsigned: i64 = (0..BLOCK).map(|at| i64::from(field(at))).sum();
    let signed: i64 = (0..BLOCK).map(|at| i64::from(field(at) as i8)).sum();
    let written = number(&block[SUM])?;
    if written == unsigned || written == signed { Ok(()) } else { Err(malformed()) }
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
