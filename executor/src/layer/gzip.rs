//! gzip on all cores, with the same bytes on any number of them.
//!
//! The input is cut into blocks of a fixed size; each is compressed on its own, ends on a byte boundary, and all of them in a
//! row are one deflate stream, in one member: not every reader reads several. A block that a sample of shows to be
//! compressed already (pictures, packages) is stored: deflate would spend its time to make it no smaller.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, channel};

use super::deflate;
use super::pace::Pace;
use super::workers::Workers;

/// Bytes of a block. Part of the format: another size gives other bytes. Each begins without anything to refer to, which
/// costs half a percent at this size.
const BLOCK: usize = 256 << 10;
/// As Go writes it: deflate, no flags, no time, no level hint, system unknown.
pub(super) const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// Bytes of a sample, taken from the beginning, the middle and the end of a block.
const SAMPLE: usize = 12 << 10;
/// A gzip stream being written.
pub(super) struct Gzip<W: Write> {
    out: W,
    level: u8,
    block: Vec<u8>,
    crc: crc32fast::Hasher,
    length: u32,
    waiting: VecDeque<Receiver<io::Result<Compressed>>>,
    workers: Option<Workers>,
    pace: Pace,
}

struct Compressed {
    bytes: Vec<u8>,
    crc: crc32fast::Hasher,
}

impl<W: Write> Gzip<W> {
    /// Starts a stream.
    pub(super) fn new(mut out: W, level: u8, pace: Pace) -> io::Result<Self> {
        out.write_all(&HEADER)?;
        let block = Vec::with_capacity(BLOCK);
        let (crc, waiting) = (crc32fast::Hasher::new(), VecDeque::new());
        Ok(Self { out, level, block, crc, length: 0, waiting, workers: None, pace })
    }

    /// Ends the stream.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.submit(true)?;
        while !self.waiting.is_empty() {
            self.take()?;
        }
        let crc = std::mem::take(&mut self.crc).finalize();
        self.out.write_all(&crc.to_le_bytes())?;
        self.out.write_all(&self.length.to_le_bytes())?;
        Ok(self.out)
    }

    /// Hands a block to the workers; takes finished ones when they are far ahead.
    fn submit(&mut self, last: bool) -> io::Result<()> {
        self.length = self.length.wrapping_add(self.block.len() as u32);
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK));
        let (done, result) = channel();
        self.waiting.push_back(result);
        let level = self.level;
        // A receiver that is gone wants nothing any more.
        let compress = move || drop(done.send(compress_block(level, &block, last)));
        if last && self.workers.is_none() {
            // One block is not worth a thread.
            compress();
            return Ok(());
        }
        let workers = self.workers.get_or_insert_with(|| Workers::start(self.pace.clone()));
        workers.submit(compress)?;
        let ahead = workers.ahead();
        while self.waiting.len() > ahead {
            self.take()?;
        }
        Ok(())
    }

    /// Writes the oldest block.
    fn take(&mut self) -> io::Result<()> {
        let Some(result) = self.waiting.pop_front() else { return Ok(()) };
        let block = result.recv().map_err(|_| io::Error::other("a compressing thread has ended"))??;
        self.crc.combine(&block.crc);
        self.out.write_all(&block.bytes)
    }
}

impl<W: Write> Write for Gzip<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let room = BLOCK - self.block.len();
        if room == 0 {
            self.submit(false)?;
            return self.write(data);
        }
        let length = room.min(data.len());
        self.block.extend_from_slice(&data[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether deflate makes a block smaller, judging by a sample. Part of the format too.
fn is_compressible(data: &[u8]) -> io::Result<bool> {
    let part = SAMPLE / 3;
    if data.len() < SAMPLE * 2 {
        return Ok(true);
    }
    let middle = (data.len() - part) / 2;
    let sample = [&data[..part], &data[middle..middle + part], &data[data.len() - part..]].concat();
    // One part in fifty is worth the work.
    Ok(deflate::compress(&sample, 1)?.len() < SAMPLE - SAMPLE / 50)
}

fn compress_block(level: u8, data: &[u8], last: bool) -> io::Result<Compressed> {
    let level = if is_compressible(data)? { level } else { 0 };
    let mut bytes = deflate::compress(data, level)?;
    if !last {
        deflate::unfinish(&mut bytes).expect("the compressor writes deflate streams");
    }
    let mut crc = crc32fast::Hasher::new();
    crc.update(data);
    Ok(Compressed { bytes, crc })
}

/// A member of its own.
pub(super) fn member(data: &[u8], level: u8) -> io::Result<Vec<u8>> {
    let crc = crc32fast::hash(data).to_le_bytes();
    Ok([&HEADER, &*deflate::compress(data, level)?, &crc, &(data.len() as u32).to_le_bytes()].concat())
}
