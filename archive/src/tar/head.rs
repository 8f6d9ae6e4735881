//! What stands before the bytes of an entry, block by block: its header, and what is said of it before that.

use std::io;

use super::number::{decimal, number, size, time};
use super::records::{self, Records, said};
use super::sparse::{self, Form};
use super::{BLOCK, Block, Entry, MOST_SAID, malformed, until_zero};

/// What a record of an extended attribute begins with.
const ATTRIBUTE: &[u8] = b"SCHILY.xattr.";

/// Takes headers from whoever is handed a tar and cannot read it; who can has [`super::Entries`].
#[derive(Default)]
pub struct Heads {
    before: Said,
    /// Whose text comes next.
    saying: Option<Entry>,
}

/// What a block with a header begins.
pub enum Head {
    /// So many bytes, and what fills their last block, say something of the next entry: [`Heads::text`] wants them.
    Text(u64),
    /// An entry.
    Entry(Headed),
}

/// An entry whose headers are complete.
pub struct Headed {
    /// As the headers have it; of a sparse file the size is that of its pieces.
    pub entry: Entry,
    /// Bytes that follow in the tar, which are more than the file's where it is sparse. Zeros fill their last block.
    pub stored: u64,
    pub(super) records: Records,
}

/// What stands before the header of an entry and is said of it.
#[derive(Default)]
struct Said {
    records: Records,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Heads {
    /// Takes a block with a header, not one of the zeros at the end.
    ///
    /// **Errors**: what is no header, or says more than [`super::Entries`] reads.
    pub fn block(&mut self, block: &Block) -> io::Result<Head> {
        let mut entry = header(block)?;
        if matches!(entry.kind, b'x' | b'g' | b'L' | b'K') {
            let length = entry.size;
            self.saying = Some(entry);
            return if length > MOST_SAID { Err(malformed()) } else { Ok(Head::Text(length)) };
        }
        let mut before = std::mem::take(&mut self.before);
        before.apply(&mut entry)?;
        if entry.kind != b'S'
            && Form::of(&before.records).is_some()
            && let Some(name) = sparse::name(&before.records)
        {
            entry.name = name.to_vec();
        }
        let stored = if is_header_only(entry.kind) { 0 } else { entry.size };
        Ok(Head::Entry(Headed { entry, stored, records: before.records }))
    }

    /// Takes the bytes that [`Head::Text`] is about. Where something was said of all, that is an entry of its own.
    ///
    /// **Errors**: records that are none.
    pub fn text(&mut self, text: &[u8]) -> io::Result<Option<Entry>> {
        let Some(entry) = self.saying.take() else { return Ok(None) };
        match entry.kind {
            b'x' => self.before.records = records::read(text)?,
            b'L' => self.before.name = Some(until_zero(text)),
            b'K' => self.before.link = Some(until_zero(text)),
            // What is said of all: nobody applies it, and what was said before it is gone.
            _ => {
                records::read(text)?;
                self.before = Said::default();
                return Ok(Some(Entry { size: 0, ..entry }));
            }
        }
        Ok(None)
    }
}

impl Headed {
    /// Whether what follows are pieces of a file, with a list of them, and not the file.
    pub fn is_sparse(&self) -> bool {
        self.entry.kind == b'S' || Form::of(&self.records).is_some()
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

pub(super) fn is_gnu(block: &Block) -> bool {
    &block[257..265] == b"ustar  \0"
}

/// Whether entries of this type have no bytes, whatever size they say.
pub(super) fn is_header_only(kind: u8) -> bool {
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
