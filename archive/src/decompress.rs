//! What a stream is compressed with, by its first bytes; names and media types are not believed.

use std::io::{self, BufRead, BufReader, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Not at all.
    Plain,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
}

/// The most that a stream may want to be kept of what it held, in bytes: what the tools use unless they are told.
pub const MEMORY: u32 = 128 << 20;

/// Bytes that tell a format.
const MAGIC: [(&[u8], Format); 4] = [
    (&[0x1f, 0x8b, 8], Format::Gzip),
    (b"BZh", Format::Bzip2),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], Format::Xz),
    (&[0x28, 0xb5, 0x2f, 0xfd], Format::Zstd),
];

/// Tells the format by the first bytes (six are enough).
pub fn sniff(start: &[u8]) -> Format {
    // Streams of several programs may start with a frame to skip; only zstd has such.
    if start.len() >= 4 && (0x50..=0x5f).contains(&start[0]) && start[1..4] == [0x2a, 0x4d, 0x18] {
        return Format::Zstd;
    }
    MAGIC.iter().find(|(magic, _)| start.starts_with(magic)).map_or(Format::Plain, |(_, format)| *format)
}

/// The bytes behind a stream, whichever way it is compressed.
///
/// **Errors**: a stream that cannot be read. What is wrong with what it holds is an error of reading that.
pub fn decompress<'r>(stream: impl Read + Send + 'r) -> io::Result<Box<dyn Read + Send + 'r>> {
    let mut stream = BufReader::with_capacity(64 << 10, stream);
    Ok(match sniff(stream.fill_buf()?) {
        Format::Plain => Box::new(stream),
        Format::Gzip => Box::new(MultiGzDecoder::new(stream)),
        Format::Bzip2 => Box::new(MultiBzDecoder::new(stream)),
        Format::Xz => Box::new(XzReader::new_mem_limit(stream, true, MEMORY / 1024)),
        Format::Zstd => Box::new(Frames::new(stream)),
    })
}

/// Frames of zstd, one after the other.
struct Frames<R> {
    source: R,
    decoder: FrameDecoder,
}

impl<R: BufRead> Frames<R> {
    fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MEMORY.into());
        Self { source, decoder }
    }

    /// Begins the next frame, or skips it; whether there was one.
    fn next(&mut self) -> io::Result<bool> {
        if self.source.fill_buf()?.is_empty() {
            return Ok(false);
        }
        match self.decoder.reset(&mut self.source) {
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                let skipped = io::copy(&mut (&mut self.source).take(length.into()), &mut io::sink())?;
                if skipped == u64::from(length) { Ok(true) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
            }
            begun => begun.map(|()| true).map_err(io::Error::other),
        }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.decoder.can_collect() == 0 {
            if !self.decoder.is_finished() {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.source, one).map_err(io::Error::other)?;
            } else if !self.next()? {
                return Ok(0);
            }
        }
        self.decoder.read(buffer)
    }
}
