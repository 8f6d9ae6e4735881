//! Deflate streams, and what it takes to write more behind one that is finished.
//!
//! The compressor (libdeflate: twice as fast as others at equal size) finishes every stream it writes. To make one of
//! several, the mark of the last block has to go, which stands anywhere in a byte, behind codes that have to be read to be
//! skipped. Nothing is decoded for it, so that reading takes a fifth of the time that compressing took.
//!
//! Format: RFC 1951. A stream is bits, the lowest of each byte first; codes of Huffman begin with their highest bit.

use std::io;

use libdeflater::{CompressionLvl, Compressor};

/// Bits that a table decides at once; longer codes are rare.
const QUICK: u32 = 10;
/// Most bits of a code.
const MAX_BITS: usize = 15;
/// Most bits of a match: two codes, with what is behind them.
const MATCH: u32 = 15 + 5 + 15 + 13;
/// Symbols of literals and lengths; of distances.
const SYMBOLS: [usize; 2] = [288, 32];
/// The order in which lengths of codes for lengths of codes are written.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
/// The symbol that ends a block.
const END: usize = 256;
/// An empty stored block from its length on; it begins with three zero bits and ends on a byte.
const EMPTY: [u8; 4] = [0, 0, 0xff, 0xff];

/// A finished stream, at a level from 0 to 9.
pub(super) fn compress(data: &[u8], level: u8) -> io::Result<Vec<u8>> {
    let level = CompressionLvl::new(level.into()).map_err(|_| io::Error::other("no such level of compression"))?;
    let mut compressor = Compressor::new(level);
    let mut stream = vec![0; compressor.deflate_compress_bound(data.len())];
    let length = compressor.deflate_compress(data, &mut stream).map_err(io::Error::other)?;
    stream.truncate(length);
    Ok(stream)
}

/// Turns a finished stream into the beginning of one that goes on at the next byte. `None`: it is no deflate stream.
pub(super) fn unfinish(stream: &mut Vec<u8>) -> Option<()> {
    let (last, end) = last_block(stream)?;
    stream[last / 8] &= !(1 << (last % 8));
    let free = stream.len() * 8 - end;
    if free < 3 {
        stream.push(0);
    }
    stream.extend_from_slice(&EMPTY);
    Some(())
}

/// Bit positions: of the last block, and behind it.
fn last_block(stream: &[u8]) -> Option<(usize, usize)> {
    let mut bits = Bits { bytes: stream, next: 0, held: 0, count: 0 };
    loop {
        let begin = bits.position();
        let is_last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => skip_stored(&mut bits)?,
            1 => skip_codes(&mut bits, &fixed())?,
            2 => {
                let codes = read_codes(&mut bits)?;
                skip_codes(&mut bits, &codes)?;
            }
            _ => return None,
        }
        if is_last {
            return Some((begin, bits.position()));
        }
    }
}

fn skip_stored(bits: &mut Bits<'_>) -> Option<()> {
    let begin = bits.position().div_ceil(8);
    let length = u16::from_le_bytes(*bits.bytes.get(begin..)?.first_chunk()?);
    let end = begin + 4 + usize::from(length);
    (end <= bits.bytes.len()).then(|| *bits = Bits { next: end, held: 0, count: 0, ..*bits })
}

/// Skips literals and matches, up to the end of the block.
fn skip_codes(bits: &mut Bits<'_>, [literals, distances]: &[Codes; 2]) -> Option<()> {
    loop {
        if bits.count < MATCH {
            bits.fill();
        }
        let symbol = literals.skip(bits)?;
        if symbol > END {
            distances.skip(bits)?;
        } else if symbol == END {
            return Some(());
        }
    }
}

/// Reads the codes of a block that has its own.
fn read_codes(bits: &mut Bits<'_>) -> Option<[Codes; 2]> {
    let (literals, distances) = (257 + bits.take(5)?, 1 + bits.take(5)?);
    let mut lengths = [0; 19];
    for at in &ORDER[..4 + bits.take(4)?] {
        lengths[*at] = bits.take(3)? as u8;
    }
    let codes = Codes::new(&lengths, |_| 0);
    let mut lengths = Vec::with_capacity(literals + distances);
    while lengths.len() < literals + distances {
        bits.fill();
        let symbol = codes.skip(bits)?;
        let (value, count) = match symbol {
            0..=15 => (symbol as u8, 1),
            16 => (*lengths.last()?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            _ => (0, 11 + bits.take(7)?),
        };
        lengths.extend(std::iter::repeat_n(value, count));
    }
    let (literals, distances) = lengths.split_at_checked(literals)?;
    Some([Codes::new(literals, length_extra), Codes::new(distances, distance_extra)])
}

/// The codes of blocks that have none of their own.
fn fixed() -> [Codes; 2] {
    let length = |symbol| match symbol {
        0..144 => 8,
        144..256 => 9,
        256..280 => 7,
        _ => 8,
    };
    let literals: Vec<u8> = (0..SYMBOLS[0]).map(length).collect();
    [Codes::new(&literals, length_extra), Codes::new(&[5; SYMBOLS[1]], distance_extra)]
}

/// Bits behind the code of a literal or length.
fn length_extra(symbol: usize) -> u32 {
    match symbol {
        265..285 => (symbol as u32 - 261) / 4,
        _ => 0,
    }
}

/// Bits behind the code of a distance.
fn distance_extra(symbol: usize) -> u32 {
    (symbol as u32 / 2).saturating_sub(1)
}

/// The codes of an alphabet.
struct Codes {
    /// How many there are of each length.
    counts: [u16; MAX_BITS + 1],
    /// Symbols in the order of their codes.
    symbols: Vec<u16>,
    /// By the next bits: the symbol, and the length of its code and what is behind it; 0 where that code is longer than the
    /// table is wide, or none.
    quick: Vec<(u16, u8)>,
    extra: fn(usize) -> u32,
}

impl Codes {
    /// From the lengths of the codes of all symbols; 0 is none. `extra`: bits behind a code.
    fn new(lengths: &[u8], extra: fn(usize) -> u32) -> Self {
        let mut counts = [0; MAX_BITS + 1];
        lengths.iter().for_each(|length| counts[usize::from(*length)] += 1);
        counts[0] = 0;
        let mut symbols: Vec<u16> =
            (0..lengths.len() as u16).filter(|symbol| lengths[usize::from(*symbol)] > 0).collect();
        symbols.sort_by_key(|symbol| lengths[usize::from(*symbol)]);
        let mut quick = vec![(0, 0); 1 << QUICK];
        let (mut code, mut bits) = (0_u32, 0);
        for symbol in &symbols {
            let length = u32::from(lengths[usize::from(*symbol)]);
            code <<= length - bits;
            bits = length;
            if length > QUICK {
                break;
            }
            let first = code.reverse_bits() >> (32 - length);
            let whole = length + extra(usize::from(*symbol));
            (first as usize..1 << QUICK).step_by(1 << length).for_each(|at| quick[at] = (*symbol, whole as u8));
            code += 1;
        }
        Self { counts, symbols, quick, extra }
    }

    /// Skips the next code and what is behind it; returns the symbol.
    fn skip(&self, bits: &mut Bits<'_>) -> Option<usize> {
        let (symbol, length) = match self.quick[bits.held as usize & ((1 << QUICK) - 1)] {
            (_, 0) => self.slow(bits.held)?,
            (symbol, length) => (symbol, u32::from(length)),
        };
        bits.skip(length)?;
        Some(usize::from(symbol))
    }

    /// The same for any code, bit by bit.
    fn slow(&self, held: u64) -> Option<(u16, u32)> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for length in 1..=MAX_BITS {
            code |= (held >> (length - 1)) as usize & 1;
            let count = usize::from(self.counts[length]);
            if code < first + count {
                let symbol = self.symbols[index + code.checked_sub(first)?];
                return Some((symbol, length as u32 + (self.extra)(usize::from(symbol))));
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}

/// A stream's bits.
struct Bits<'a> {
    bytes: &'a [u8],
    /// The byte behind those that are held.
    next: usize,
    /// The next bits, and how many.
    held: u64,
    count: u32,
}

impl Bits<'_> {
    fn position(&self) -> usize {
        self.next * 8 - self.count as usize
    }

    /// Holds at least 56 bits, unless the stream ends before.
    fn fill(&mut self) {
        if let Some(ahead) = self.bytes.get(self.next..).and_then(|rest| rest.first_chunk()) {
            self.held |= u64::from_le_bytes(*ahead) << self.count;
            let taken = (63 - self.count) / 8;
            self.next += taken as usize;
            self.count += taken * 8;
            // What does not fit is taken again.
            self.held &= u64::MAX >> (64 - self.count);
            return;
        }
        while self.count <= 56
            && let Some(byte) = self.bytes.get(self.next)
        {
            self.held |= u64::from(*byte) << self.count;
            self.next += 1;
            self.count += 8;
        }
    }

    /// Leaves held bits out. `None`: the stream ends before.
    fn skip(&mut self, count: u32) -> Option<()> {
        self.count = self.count.checked_sub(count)?;
        self.held >>= count;
        Some(())
    }

    /// The number in the next bits, of which there are a few.
    fn take(&mut self, count: u32) -> Option<usize> {
        if self.count < count {
            self.fill();
        }
        let value = self.held & ((1 << count) - 1);
        self.skip(count)?;
        Some(value as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// Numbers that repeat themselves after ages.
    fn noise(length: usize, of: impl Fn(u64) -> u8) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut step = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state >> 32
        };
        (0..length).map(|_| of(step())).collect()
    }

    /// Streams of `parts`, all but the last unfinished, must be one stream of all.
    #[track_caller]
    fn check(parts: &[&[u8]], level: u8) {
        let mut all = Vec::new();
        for (position, part) in parts.iter().enumerate() {
            let mut stream = compress(part, level).unwrap();
            if position + 1 < parts.len() {
                unfinish(&mut stream).unwrap();
            }
            all.extend_from_slice(&stream);
        }
        let mut back = Vec::new();
        let mut decoder = flate2::read::DeflateDecoder::new(all.as_slice());
        decoder.read_to_end(&mut back).unwrap();
        assert!(back == parts.concat(), "level {level}");
        assert_eq!(decoder.total_in() as usize, all.len());
    }

    #[test]
    fn streams_in_a_row_are_one() {
        let random = noise(300_000, |number| number as u8);
        let text = noise(300_000, |number| b"etaoin shrdlu\n"[number as usize % 14]);
        // Symbols as rare as they can be have the longest codes.
        let skewed = noise(1_000_000, |number| number.trailing_zeros() as u8 * 7);
        let same = vec![7; 100_000];
        for level in [0, 1, 4, 6, 9] {
            check(&[&text, &random, &skewed, b"", &same, b"x", &text], level);
            let small: Vec<_> = text.chunks(97).chain(random.chunks(61)).take(2_000).collect();
            check(&small, level);
        }
    }

    #[test]
    fn what_is_no_stream_is_said_so() {
        let stream = compress(&noise(100_000, |number| number as u8 & 31), 4).unwrap();
        for length in (0..stream.len()).step_by(997) {
            assert_eq!(unfinish(&mut stream[..length].to_vec()), None, "{length}");
        }
        // Whatever it is, it ends in an answer.
        for seed in 0..2_000 {
            let _ = unfinish(&mut noise(200 + seed, |number| (number >> (seed % 20)) as u8));
        }
        assert_eq!(unfinish(&mut vec![7; 10]), None, "there is no such kind of block");
    }
}
