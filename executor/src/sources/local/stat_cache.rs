//! What was learnt of a directory's files in earlier builds: the record of each, by its stamp. Fresh files are not
//! remembered.
//!
//! One file a directory: a magic text, entries of fixed size, a checksum. Whatever is wrong with it, it counts as empty.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use oci::Digest;
use rustix::fs::Stat;

use crate::snapshot::Node;
use crate::snapshot::stamp::{self, Stamp};
use crate::store::Temp;
use crate::temp::make_private;
use crate::{Error, Result};

const MAGIC: &[u8] = b"llbc stat cache 2\n";
const DIR: &str = "stat-v1";
/// Stamp, hash.
const ENTRY: usize = Stamp::LENGTH + 32;

/// Hashes of records.
type Known = HashMap<Stamp, [u8; 32]>;

/// What is known.
pub(super) struct StatCache {
    path: PathBuf,
    known: Known,
    /// When the listing began.
    now: Duration,
    found: AtomicU32,
}

impl StatCache {
    /// Reads what is known of the directory `root`.
    pub(super) fn load(store: &Path, root: &Path) -> Self {
        let name = Digest::sha256(root.as_os_str().as_encoded_bytes());
        let path = store.join(DIR).join(name.hex());
        let known = fs::read(&path).ok().and_then(|bytes| parse(&bytes)).unwrap_or_default();
        Self { path, known, now: stamp::now(), found: AtomicU32::new(0) }
    }

    /// Where it is kept.
    #[cfg(test)]
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The record of a file that has not changed.
    pub(super) fn find(&mut self, stat: &Stat) -> Option<Digest> {
        let hash = self.known.get(&Stamp::of(stat))?;
        self.found.fetch_add(1, Ordering::Relaxed);
        Some(Digest::from_sha256(hash))
    }

    /// Keeps what is known of a listing, if that is news. `temp` is on the file system of the store.
    pub(super) fn save(&self, listing: &Node, temp: &Temp) -> Result<()> {
        let mut bytes = MAGIC.to_vec();
        self.collect(listing, &mut bytes);
        let count = (bytes.len() - MAGIC.len()) / ENTRY;
        if count == self.found.load(Ordering::Relaxed) as usize && count == self.known.len() {
            return Ok(());
        }
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        let dir = self.path.parent().expect("the file is in a directory");
        make_private(dir)?;
        let (aside, mut file) = temp.file("stat")?;
        file.write_all(&bytes).map_err(Error::io("write", aside.path()))?;
        aside.persist(&self.path)
    }

    fn collect(&self, node: &Node, bytes: &mut Vec<u8>) {
        for child in node.children.values() {
            self.collect(child, bytes);
            self.push(child, bytes);
        }
    }

    fn push(&self, node: &Arc<Node>, bytes: &mut Vec<u8>) {
        use rustix::fs::FileType;
        let seen = &node.seen;
        if FileType::from_raw_mode(seen.st_mode) != FileType::RegularFile || stamp::is_fresh(seen, self.now) {
            return;
        }
        let Some(hash) = node.record.get().and_then(raw) else { return };
        bytes.extend_from_slice(&Stamp::of(seen).0);
        bytes.extend_from_slice(&hash);
    }
}

fn parse(bytes: &[u8]) -> Option<Known> {
    let (content, checksum) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(content).to_le_bytes() != *checksum {
        return None;
    }
    let entries = content.strip_prefix(MAGIC)?.chunks_exact(ENTRY);
    entries.map(|entry| Some((Stamp::read(entry)?, *entry.last_chunk()?))).collect()
}

/// The bytes of a SHA-256 digest.
fn raw(digest: &Digest) -> Option<[u8; 32]> {
    let hex = digest.hex().as_bytes();
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    (hex.len() == 64).then_some(hash)
}
