//! Compressors, fed block by block.

use std::io::{self, Write};

use super::Compression;
use super::estargz::{Estargz, Toc};
use super::gzip::Gzip;
use super::pace::Pace;
use crate::host::processors;
use crate::{Error, Result};

/// Level of zstd when none is asked for.
const ZSTD_LEVEL: i32 = 3;
/// Bytes of one thread's job, of which a few are in memory at once. The library would take four times as many.
const ZSTD_JOB: u32 = 2 << 20;
/// Level of gzip when none is asked for: what comes out is larger than of BuildKit by one or two parts in a hundred.
const GZIP_LEVEL: u8 = 4;

/// A compressed stream being written. Dropped before its end it is cut short.
pub struct Compressor<W: Write>(Stream<W>);

enum Stream<W: Write> {
    Plain(W),
    Gzip(Box<Gzip<W>>),
    Estargz(Box<Estargz<W>>),
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

/// Starts a stream.
pub fn compressor<W: Write>(out: W, compression: Compression, pace: &Pace) -> Result<Compressor<W>> {
    let start = || -> io::Result<Stream<W>> {
        Ok(match compression {
            Compression::Uncompressed => Stream::Plain(out),
            Compression::Default => Stream::Gzip(Box::new(Gzip::new(out, GZIP_LEVEL, pace.clone())?)),
            Compression::Gzip(level) => {
                Stream::Gzip(Box::new(Gzip::new(out, level.unwrap_or(GZIP_LEVEL), pace.clone())?))
            }
            Compression::Estargz(level) => {
                Stream::Estargz(Box::new(Estargz::new(out, level.unwrap_or(GZIP_LEVEL), pace.clone())))
            }
            Compression::Zstd(level) => Stream::Zstd(zstd(out, level.map_or(ZSTD_LEVEL, i32::from))?),
        })
    };
    start().map(Compressor).map_err(Error::io("compress", "a layer"))
}

/// Two threads or more give the same bytes: the size of a job is what counts.
fn zstd<W: Write>(out: W, level: i32) -> io::Result<zstd::stream::write::Encoder<'static, W>> {
    let mut encoder = zstd::stream::write::Encoder::new(out, level)?;
    encoder.include_checksum(true)?;
    encoder.multithread(processors() as u32)?;
    encoder.set_parameter(zstd::zstd_safe::CParameter::JobSize(ZSTD_JOB))?;
    Ok(encoder)
}

impl<W: Write> Compressor<W> {
    /// Ends the stream and gives back what it was written to; of eStargz also what is said beside it.
    pub fn finish(self) -> io::Result<(W, Option<Toc>)> {
        match self.0 {
            Stream::Plain(out) => Ok((out, None)),
            Stream::Gzip(stream) => stream.finish().map(|out| (out, None)),
            Stream::Estargz(stream) => stream.finish().map(|(out, toc)| (out, Some(toc))),
            Stream::Zstd(stream) => stream.finish().map(|out| (out, None)),
        }
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Stream::Plain(out) => out.write(data),
            Stream::Gzip(stream) => stream.write(data),
            Stream::Estargz(stream) => stream.write(data),
            Stream::Zstd(stream) => stream.write(data),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::super::{Format, decompress, sniff};
    use super::*;

    /// Text that compresses and does not repeat itself, a few blocks and a bit.
    fn sample(length: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut step = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 24
        };
        (0..length).map(|_| b"etaoin shrdlu\n"[step() as usize % 14]).collect()
    }

    fn compress(data: &[u8], compression: Compression, piece: usize) -> Vec<u8> {
        let mut stream = compressor(Vec::new(), compression, &Pace::at_once()).unwrap();
        data.chunks(piece).for_each(|part| stream.write_all(part).unwrap());
        stream.finish().unwrap().0
    }

    fn check(length: usize, compression: Compression, format: Format) {
        let data = sample(length);
        let bytes = compress(&data, compression, 100_000);
        assert_eq!(sniff(&bytes), format);
        assert!(
            compress(&data, compression, 7777) == bytes,
            "other bytes when fed otherwise: {compression} of {length}"
        );
        let mut back = Vec::new();
        decompress(Box::new(io::Cursor::new(bytes))).unwrap().read_to_end(&mut back).unwrap();
        assert!(back == data, "{compression} of {length} bytes");
    }

    #[test]
    fn there_and_back() {
        for length in [0, 1, 262_143, 262_144, 262_145, 524_288, 1_000_000] {
            check(length, Compression::Gzip(None), Format::Gzip);
            check(length, Compression::Zstd(None), Format::Zstd);
        }
        check(1_000_000, Compression::Gzip(Some(1)), Format::Gzip);
        check(300_000, Compression::Gzip(Some(0)), Format::Gzip);
        check(1_000_000, Compression::Uncompressed, Format::Plain);
    }

    /// Bytes that nothing compresses.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut step = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        (0..length).map(|_| step()).collect()
    }

    #[test]
    fn other_programs_read_it() {
        let data = [sample(500_000), noise(500_000), sample(300_000)].concat();
        let bytes = compress(&data, Compression::Default, 100_000);
        let file = tempfile::NamedTempFile::with_suffix(".gz").unwrap();
        std::fs::write(file.path(), &bytes).unwrap();
        let output = std::process::Command::new("gzip").arg("-dc").arg(file.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout == data);
    }

    #[test]
    fn what_cannot_be_compressed_hardly_grows() {
        let length = 10 << 20;
        let bytes = compress(&noise(length), Compression::Default, 1 << 20);
        assert!(bytes.len() < length + length / 1000, "{}", bytes.len());
        let text = compress(&sample(length), Compression::Default, 1 << 20);
        assert!(text.len() < length * 2 / 3, "{}", text.len());
    }
}
