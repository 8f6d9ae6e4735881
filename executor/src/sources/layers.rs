//! Layers of images on their way from somewhere else into the snapshots.
//!
//! Download, check and unpacking run side by side: one thread moves bytes from the network into a blob and hands them on,
//! the other unpacks what comes. Nothing is visible before both the blob's digest and the layer's are right.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use oci::{Descriptor, Digest};

use super::Context;
use super::content::Content;
use crate::layer::{Limits, apply, decompress};
use crate::snapshot::{Contents, LayerId};
use crate::{Cancel, Error, Result};

/// Bytes handed on at once.
const CHUNK: usize = 256 << 10;
/// Chunks between the threads: what is unpacked slower than it comes waits in memory, 4 MiB a layer.
const CHUNKS_IN_FLIGHT: usize = 16;

/// Makes a layer from a blob of `content`, which is kept in the store.
pub(super) fn make(
    id: &LayerId,
    blob: &Descriptor,
    diff_id: &Digest,
    content: &dyn Content,
    context: Context<'_>,
) -> Result<()> {
    context.snapshots.import(id, &mut |dir| {
        if context.store.blobs().size(&blob.digest)?.is_some() {
            let file = context.store.blobs().open(&blob.digest)?;
            let _part = context.progress.part(extracting(blob), 0);
            return unpack(Box::new(file), dir, diff_id, context.cancel);
        }
        download_and_unpack(blob, diff_id, content, dir, context)
    })
}

fn download_and_unpack(
    blob: &Descriptor,
    diff_id: &Digest,
    content: &dyn Content,
    dir: &Path,
    context: Context<'_>,
) -> Result<Contents> {
    let (sender, receiver) = sync_channel(CHUNKS_IN_FLIGHT);
    std::thread::scope(|scope| {
        // What is left to unpack then is what is waited for.
        let download = scope.spawn(move || {
            download(blob, content, Some(sender), context).map(|()| context.progress.part(extracting(blob), 0))
        });
        let unpacked =
            unpack(Box::new(Chunks { receiver, current: Vec::new(), start: 0 }), dir, diff_id, context.cancel);
        // A download that broke off makes the unpacking fail too: its reason is the better one.
        let _part = download.join().expect("downloads do not panic")?;
        unpacked
    })
}

/// What is shown while a layer is unpacked, in BuildKit's words.
fn extracting(blob: &Descriptor) -> String {
    format!("extracting {}", blob.digest)
}

/// Moves a blob into the store and hands its bytes on; whoever takes them may stop taking them.
pub(super) fn download(
    blob: &Descriptor,
    content: &dyn Content,
    mut onward: Option<SyncSender<Vec<u8>>>,
    context: Context<'_>,
) -> Result<()> {
    let mut from = content.open(blob)?;
    let mut writer = context.store.blobs().write()?;
    let mut part = context.progress.part(blob.digest.as_str(), blob.size);
    let mut done = 0;
    loop {
        if context.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let mut chunk = vec![0; CHUNK];
        let length =
            fill(&mut *from, &mut chunk).map_err(Error::io("read", blob.digest.as_str())).map_err(Error::unwrapped)?;
        if length == 0 {
            break;
        }
        chunk.truncate(length);
        writer.write_all(&chunk).map_err(Error::io("write", blob.digest.as_str()))?;
        done += length as u64;
        part.at(done);
        onward = onward.filter(|onward| onward.send(chunk).is_ok());
    }
    writer.commit(Some(&blob.digest)).map(drop)
}

/// Reads until the buffer is full or the stream ends.
fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn unpack(from: Box<dyn Read + Send>, dir: &Path, diff_id: &Digest, cancel: &Cancel) -> Result<Contents> {
    let applied = apply(&mut *decompress(from)?, dir, Limits::default(), cancel)?;
    if applied.diff_id == *diff_id {
        return Ok(applied.contents);
    }
    Err(Error::DigestMismatch { of: "layer".into(), want: diff_id.to_string(), got: applied.diff_id.to_string() })
}

/// The other end of a download.
struct Chunks {
    receiver: Receiver<Vec<u8>>,
    current: Vec<u8>,
    start: usize,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.start == self.current.len() {
            let Ok(next) = self.receiver.recv() else { return Ok(0) };
            (self.current, self.start) = (next, 0);
        }
        let length = buffer.len().min(self.current.len() - self.start);
        buffer[..length].copy_from_slice(&self.current[self.start..self.start + length]);
        self.start += length;
        Ok(length)
    }
}
