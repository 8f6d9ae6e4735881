//! Tar headers as Go's `archive/tar` writes them, because digests are taken of them.
//!
//! USTAR when everything fits; else a PAX header (type `x`) with what does not, and a main header with ASCII leftovers and
//! zeros. parity: names of PAX headers, padding and the missing device numbers in them are Go's (1.22 to 1.27).

use std::collections::BTreeMap;
use std::io::{self, Write};

/// Bytes of a tar block.
pub(crate) const BLOCK: usize = 512;
/// Longest name and link in a header.
const NAME: usize = 100;
/// Longest prefix of a name.
const PREFIX: usize = 155;

/// What an entry is. The value is its type flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    File = b'0',
    Link = b'1',
    Symlink = b'2',
    Char = b'3',
    Block = b'4',
    Dir = b'5',
    Fifo = b'6',
}

/// One entry; directories end with a slash.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) kind: Kind,
    /// Permission, set-id and sticky bits.
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) size: u64,
    /// Seconds since the epoch.
    pub(crate) mtime: i64,
    /// Target of a link.
    pub(crate) link: &'a [u8],
    /// Major and minor device number.
    pub(crate) device: (u32, u32),
    /// Extended attributes.
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Entry<'_> {
    /// An entry with nothing said of it.
    pub(crate) fn new(name: &[u8], kind: Kind) -> Entry<'_> {
        Entry {
            name,
            kind,
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: 0,
            link: &[],
            device: (0, 0),
            xattrs: BTreeMap::new(),
        }
    }
}

/// Writes the header (or headers) of an entry; its bytes and their padding follow.
pub(crate) fn write_header(out: &mut dyn Write, entry: &Entry<'_>) -> io::Result<()> {
    let (records, fits_ustar) = records(entry);
    if fits_ustar {
        let (prefix, name) = split_name(entry.name).unwrap_or((&[], entry.name));
        return out.write_all(&block(entry, name, entry.link, prefix));
    }
    if !records.is_empty() {
        write_pax(out, entry.name, &records)?;
    }
    out.write_all(&block(entry, &ascii(entry.name), &ascii(entry.link), &[]))
}

/// Zeros that fill the last block of an entry of `size` bytes.
pub(crate) fn padding(size: u64) -> &'static [u8] {
    const ZEROS: [u8; BLOCK] = [0; BLOCK];
    &ZEROS[..(BLOCK - (size % BLOCK as u64) as usize) % BLOCK]
}

/// What ends a tar.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// The PAX records of an entry, and whether a plain header can do without them.
fn records(entry: &Entry<'_>) -> (Records, bool) {
    let mut records = Records::new();
    let mut fits = true;
    let (name, link) = (entry.name, entry.link);
    if name.len() > NAME || !name.is_ascii() {
        records.insert(b"path".to_vec(), name.to_vec());
        fits &= split_name(name).is_some();
    }
    if link.len() > NAME || !link.is_ascii() {
        records.insert(b"linkpath".to_vec(), link.to_vec());
        fits = false;
    }
    for (key, value, digits) in [("uid", entry.uid, 7), ("gid", entry.gid, 7), ("size", entry.size, 11)] {
        if value >= 1 << (3 * digits) {
            records.insert(key.into(), value.to_string().into());
            fits = false;
        }
    }
    if !(0..1 << 33).contains(&entry.mtime) {
        records.insert(b"mtime".to_vec(), entry.mtime.to_string().into());
        fits = false;
    }
    for (key, value) in &entry.xattrs {
        records.insert([b"SCHILY.xattr.", key.as_slice()].concat(), value.clone());
        fits = false;
    }
    (records, fits)
}

/// Splits a long name at a slash into the prefix and name fields of a plain header.
fn split_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= NAME || !name.is_ascii() {
        return None;
    }
    let end = if name.len() > PREFIX + 1 {
        PREFIX + 1
    } else if name.ends_with(b"/") {
        name.len() - 1
    } else {
        name.len()
    };
    let slash = name[..end].iter().rposition(|byte| *byte == b'/')?;
    let (prefix, rest) = (&name[..slash], &name[slash + 1..]);
    (slash > 0 && prefix.len() <= PREFIX && (1..=NAME).contains(&rest.len())).then_some((prefix, rest))
}

fn write_pax(out: &mut dyn Write, name: &[u8], records: &Records) -> io::Result<()> {
    let mut data = Vec::new();
    for (key, value) in records {
        push_record(&mut data, key, value);
    }
    let slash = name.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    let (dir, file) = name.split_at(slash);
    let mut path = clean_join(&[dir, b"PaxHeaders.0", file]);
    path = ascii(&path);
    path.truncate(NAME);
    while path.ends_with(b"/") {
        path.pop();
    }
    let mut header = Header([0; BLOCK]);
    header.text(0..100, &path);
    for (field, value) in [(100..108, 0), (108..116, 0), (116..124, 0), (124..136, data.len() as u64), (136..148, 0)] {
        header.octal(field, value);
    }
    header.0[156] = b'x';
    out.write_all(&header.finish())?;
    out.write_all(&data)?;
    out.write_all(padding(data.len() as u64))
}

/// Appends `length key=value\n`, where the length counts itself.
fn push_record(data: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    if rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    data.extend_from_slice(format!("{length} ").as_bytes());
    data.extend_from_slice(key);
    data.push(b'=');
    data.extend_from_slice(value);
    data.push(b'\n');
}

/// Go's `path.Join`: one slash between parts, none at the end, no `.` and no `..` that can be resolved.
fn clean_join(parts: &[&[u8]]) -> Vec<u8> {
    let joined = parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(&b'/');
    let rooted = joined.starts_with(b"/");
    let mut kept: Vec<&[u8]> = Vec::new();
    for part in joined.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if kept.last().is_some_and(|last| *last != b"..") => drop(kept.pop()),
            b".." if rooted => {}
            part => kept.push(part),
        }
    }
    let path = kept.join(&b'/');
    if rooted { [b"/", path.as_slice()].concat() } else { path }
}

fn ascii(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|byte| byte.is_ascii() && *byte != 0).collect()
}

fn block(entry: &Entry<'_>, name: &[u8], link: &[u8], prefix: &[u8]) -> [u8; BLOCK] {
    let mut header = Header([0; BLOCK]);
    header.text(0..100, name);
    header.octal(100..108, entry.mode.into());
    header.octal(108..116, entry.uid);
    header.octal(116..124, entry.gid);
    header.octal(124..136, entry.size);
    header.octal(136..148, u64::try_from(entry.mtime).unwrap_or(0));
    header.0[156] = entry.kind as u8;
    header.text(157..257, link);
    header.octal(329..337, entry.device.0.into());
    header.octal(337..345, entry.device.1.into());
    header.text(345..500, prefix);
    header.finish()
}

struct Header([u8; BLOCK]);

impl Header {
    /// Writes a text, cut to the field. A cut that ends with a slash would make a file a directory to old readers.
    fn text(&mut self, field: std::ops::Range<usize>, text: &[u8]) {
        let field = &mut self.0[field];
        let length = text.len().min(field.len());
        field[..length].copy_from_slice(&text[..length]);
        if text.len() > length && field.ends_with(b"/") {
            let kept = text[..length - 1].iter().rposition(|byte| *byte != b'/').map_or(0, |at| at + 1);
            field[kept] = 0;
        }
    }

    /// Writes an octal number; one that does not fit is 0, and a PAX record has it.
    fn octal(&mut self, field: std::ops::Range<usize>, value: u64) {
        let digits = field.len() - 1;
        let value = if value < 1 << (3 * digits) { value } else { 0 };
        let text = format!("{value:0digits$o}\0");
        self.0[field].copy_from_slice(text.as_bytes());
    }

    fn finish(mut self) -> [u8; BLOCK] {
        self.0[257..265].copy_from_slice(b"ustar\x0000");
        self.0[148..156].fill(b' ');
        let sum: u64 = self.0.iter().map(|byte| u64::from(*byte)).sum();
        self.octal(148..155, sum);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prints headers: one line a block, fields that are set.
    fn check(entry: Entry<'_>, expected: &[&str]) {
        let mut bytes = Vec::new();
        write_header(&mut bytes, &entry).unwrap();
        let mut lines = Vec::new();
        let mut blocks = bytes.chunks(BLOCK);
        while let Some(block) = blocks.next() {
            let field = |range: std::ops::Range<usize>| String::from_utf8_lossy(&block[range]).replace('\0', "");
            let kind = field(156..157);
            lines.push(
                [&*kind, &*field(0..100), &*field(100..108), &*field(108..116), &*field(157..257), &*field(345..500)]
                    .join(" ")
                    .trim_end()
                    .to_owned(),
            );
            if kind == "x" {
                let data = String::from_utf8_lossy(blocks.next().unwrap()).replace('\0', "");
                lines.extend(data.lines().map(str::to_owned));
            }
        }
        assert_eq!(lines, expected);
    }

    #[test]
    fn plain() {
        check(Entry { mode: 0o755, uid: 8, ..Entry::new(b"a/", Kind::Dir) }, &["5 a/ 0000755 0000010"]);
        check(
            Entry { mode: 0o777, link: b"../x", ..Entry::new(b"a/b", Kind::Symlink) },
            &["2 a/b 0000777 0000000 ../x"],
        );
    }

    #[test]
    fn a_long_name_is_split_at_a_slash() {
        let name = format!("{}/{}", "d".repeat(90), "f".repeat(90));
        let expected = format!("0 {} 0000000 0000000  {}", "f".repeat(90), "d".repeat(90));
        check(Entry::new(name.as_bytes(), Kind::File), &[&expected]);
    }

    #[test]
    fn a_name_that_cannot_be_split_is_a_record() {
        let name = "f".repeat(120);
        check(
            Entry::new(name.as_bytes(), Kind::File),
            &[
                &format!("x PaxHeaders.0/{} 0000000 0000000", "f".repeat(87)),
                &format!("130 path={name}"),
                &format!("0 {} 0000000 0000000", "f".repeat(100)),
            ],
        );
    }

    #[test]
    fn other_letters_and_large_owners() {
        check(
            Entry { uid: 3_000_000, ..Entry::new("d/é".as_bytes(), Kind::File) },
            &["x d/PaxHeaders.0 0000000 0000000", "13 path=d/é", "15 uid=3000000", "0 d/ 0000000 0000000"],
        );
    }

    #[test]
    fn a_directory_in_a_record_keeps_its_slash() {
        check(
            Entry::new("ü/".as_bytes(), Kind::Dir),
            &["x /PaxHeaders.0 0000000 0000000", "12 path=ü/", "5 / 0000000 0000000"],
        );
    }

    #[test]
    fn attributes_and_times_before_the_epoch() {
        let xattrs = [(b"security.capability".to_vec(), b"\x01".to_vec())].into();
        check(
            Entry { mtime: -5, xattrs, ..Entry::new(b"f", Kind::File) },
            &[
                "x PaxHeaders.0/f 0000000 0000000",
                "38 SCHILY.xattr.security.capability=\u{1}",
                "12 mtime=-5",
                "0 f 0000000 0000000",
            ],
        );
    }

    #[test]
    fn the_length_of_a_record_counts_itself() {
        for length in 1..2000 {
            let mut data = Vec::new();
            push_record(&mut data, b"k", &vec![b'v'; length]);
            let said: usize = std::str::from_utf8(&data).unwrap().split(' ').next().unwrap().parse().unwrap();
            assert_eq!(said, data.len());
        }
    }

    #[test]
    fn checksum_field() {
        let mut bytes = Vec::new();
        write_header(&mut bytes, &Entry::new(b"a", Kind::File)).unwrap();
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes().copy_from_slice(&bytes);
        let said = header.cksum().unwrap();
        assert_eq!(&bytes[154..156], b"\0 ");
        header.set_cksum();
        assert_eq!(header.cksum().unwrap(), said);
    }
}
