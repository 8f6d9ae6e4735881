//! The headers of a tar, as Go's `archive/tar` takes them: what that refuses is refused.

use std::io::{self, Read};

/// Bytes of a block.
const BLOCK: usize = 512;

/// The longest record of extended headers or long names that is read, in bytes.
const MOST_SAID: u64 = 1 << 20;

/// The header of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Whether it is a regular file, or another name of one.
    pub(crate) regular: bool,
    /// Seconds since 1970.
    pub(crate) modified: i64,
}

/// The headers, one after the other.
pub(crate) struct Headers<R> {
    stream: R,
    /// What is left of the entry, and to the next block.
    data: u64,
    padding: u64,
}

/// What stands before the header of an entry and is said of it.
#[derive(Default)]
struct Said {
    size: Option<u64>,
    modified: Option<i64>,
    /// Whether its name ends as that of a directory.
    directory: Option<bool>,
}

type Block = [u8; BLOCK];

impl<R: Read> Headers<R> {
    pub(crate) fn new(stream: R) -> Self {
        Self { stream, data: 0, padding: 0 }
    }

    /// The next header; `None` at the end.
    ///
    /// **Errors**: what is no tar, or ends in the middle of something.
    pub(crate) fn next(&mut self) -> io::Result<Option<Header>> {
        let mut said = Said::default();
        loop {
            let Some(block) = self.block()? else { return Ok(None) };
            check_sum(&block)?;
            let size = number(&block[124..136])?;
            let mut size = u64::try_from(size).map_err(|_| malformed())?;
            let modified = number(&block[136..148])?;
            let kind = block[156];
            match kind {
                b'x' | b'L' | b'K' | b'g' => {
                    self.enter(size);
                    let text = self.text(size)?;
                    match kind {
                        b'x' => said = Said::of_records(&text)?,
                        b'L' => said.directory = Some(ends_in_slash(&text)),
                        // Another name of a link, and what is said of all: nobody applies it.
                        _ => {}
                    }
                }
                _ => {
                    size = said.size.unwrap_or(size);
                    if kind == b'S' {
                        self.sparse_map(&block)?;
                    }
                    // What has no bytes may still say a size.
                    self.enter(if matches!(kind, b'1'..=b'6') { 0 } else { size });
                    let is_directory = said.directory.unwrap_or_else(|| ends_in_slash(&block[..100]));
                    let regular = match kind {
                        b'2'..=b'6' => false,
                        0 => !is_directory,
                        _ => true,
                    };
                    return Ok(Some(Header { regular, modified: said.modified.unwrap_or(modified) }));
                }
            }
        }
    }

    /// The next block with a header; `None` at the end.
    fn block(&mut self) -> io::Result<Option<Block>> {
        self.skip(self.data)?;
        // The last block may be cut short.
        let mut padding = [0; BLOCK];
        let padding = &mut padding[..self.padding as usize];
        (self.data, self.padding) = (0, 0);
        if read_up_to(&mut self.stream, padding)? < padding.len() {
            return Ok(None);
        }
        let Some(block) = self.whole_block()? else { return Ok(None) };
        if block != [0; BLOCK] {
            return Ok(Some(block));
        }
        match self.whole_block()? {
            Some(block) if block != [0; BLOCK] => Err(malformed()),
            _ => Ok(None),
        }
    }

    fn whole_block(&mut self) -> io::Result<Option<Block>> {
        let mut block = [0; BLOCK];
        match read_up_to(&mut self.stream, &mut block)? {
            0 => Ok(None),
            BLOCK => Ok(Some(block)),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn enter(&mut self, size: u64) {
        self.data = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    /// The bytes of an entry that says something of the next.
    fn text(&mut self, size: u64) -> io::Result<Vec<u8>> {
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
        if skipped == bytes { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Reads over the blocks that say where the bytes of an old sparse file go.
    fn sparse_map(&mut self, header: &Block) -> io::Result<()> {
        let mut goes_on = header[482] != 0;
        while goes_on {
            let block = self.whole_block()?.ok_or(io::ErrorKind::UnexpectedEof)?;
            goes_on = block[504] != 0;
        }
        Ok(())
    }
}

impl Said {
    /// Reads records such as `30 mtime=1700000000.25\n`.
    fn of_records(mut records: &[u8]) -> io::Result<Self> {
        let mut said = Self::default();
        while !records.is_empty() {
            let space = records.iter().position(|byte| *byte == b' ').ok_or_else(malformed)?;
            let length: usize = text(&records[..space])?.parse().map_err(|_| malformed())?;
            let record = records.get(space + 1..length).ok_or_else(malformed)?;
            let record = record.strip_suffix(b"\n").ok_or_else(malformed)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(malformed)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            // An empty value takes back what was said.
            match key {
                b"size" if value.is_empty() => said.size = None,
                b"size" => said.size = Some(text(value)?.parse().map_err(|_| malformed())?),
                b"mtime" if value.is_empty() => said.modified = None,
                b"mtime" => said.modified = Some(seconds(text(value)?)?),
                b"path" => said.directory = (!value.is_empty()).then(|| value.ends_with(b"/")),
                _ => {}
            }
            records = &records[length..];
        }
        Ok(said)
    }
}

/// Whole seconds of a number with decimals, rounded down.
fn seconds(text: &str) -> io::Result<i64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().map_err(|_| malformed())?;
    if !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed());
    }
    let has_rest = decimals.bytes().take(9).any(|digit| digit != b'0');
    Ok(if whole.starts_with('-') && has_rest { seconds.saturating_sub(1) } else { seconds })
}

/// A number: octal digits, or, where the first bit says so, bytes.
fn number(field: &[u8]) -> io::Result<i64> {
    if field[0] & 0x80 == 0 {
        let digits = text(field)?.trim_matches([' ', '\0']).split('\0').next().unwrap_or_default();
        let value = if digits.is_empty() { Ok(0) } else { u64::from_str_radix(digits, 8) };
        return value.ok().and_then(|value| value.try_into().ok()).ok_or_else(malformed);
    }
    // The second bit is the sign.
    let negative = field[0] & 0x40 != 0;
    let (first, rest) = (field[0] | 0x80, &field[1..]);
    let first = if negative { first } else { first & 0x7f };
    let bytes = std::iter::once(first).chain(rest.iter().copied());
    let fill: i128 = if negative { -1 } else { 0 };
    let value = bytes.fold(fill, |value, byte| value.wrapping_shl(8) | i128::from(byte));
    i64::try_from(value).map_err(|_| malformed())
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

/// Whether a name, which a zero ends, is that of a directory.
fn ends_in_slash(name: &[u8]) -> bool {
    name.split(|byte| *byte == 0).next().unwrap_or_default().ends_with(b"/")
}

fn text(bytes: &[u8]) -> io::Result<&str> {
    str::from_utf8(bytes).map_err(|_| malformed())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let check = |field: &[u8], expected: Option<i64>| assert_eq!(number(field).ok(), expected, "{field:?}");
        check(b"00000001750\0", Some(1000));
        check(b"   1750 \0 ", Some(1000));
        check(b"   1750 \0 9", None);
        check(b"\0\0\0\0", Some(0));
        check(b"-0000001750\0", None);
        check(b"0000000178\0\0", None);
        check(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2], Some(258));
        check(&[0xff; 12], Some(-1));
        check(&[0xff, 0xff, 0xff, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], Some(i64::MIN));
        check(&[0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0], None);
        check(&[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], None);
    }

    #[test]
    fn times_are_rounded_down() {
        let check = |text: &str, expected: Option<i64>| assert_eq!(seconds(text).ok(), expected, "{text}");
        check("1700000000", Some(1_700_000_000));
        check("1700000000.999999999", Some(1_700_000_000));
        check("-1.0", Some(-1));
        check("-1.5", Some(-2));
        check("1.5x", None);
        check("", None);
    }

    #[test]
    fn records() {
        let read = |text: &str| Said::of_records(text.as_bytes()).ok().map(|said| (said.size, said.modified));
        assert_eq!(read("10 size=7\n13 mtime=1.5\n6 a=b\n"), Some((Some(7), Some(1))));
        assert_eq!(read("10 size=7\n8 size=\n"), Some((None, None)));
        for wrong in
            ["10 size=7", "11 size=7\n", "8 size=7\n", "size=7\n", "99 size=7\n", "10 size 7\n", "3 \n", "0 a=\n"]
        {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }
}
