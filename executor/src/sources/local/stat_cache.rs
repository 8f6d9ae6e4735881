//! What was learnt of a directory's files in earlier builds: the record of each, by device, inode, size and times.
//!
//! A file whose status is the same to the nanosecond has not changed, unless it was written again before the clock of its
//! file system moved on. So files that changed right before they were listed are not remembered.
//!
//! One file a directory: a magic text, entries of fixed size, a checksum. Whatever is wrong with it, it counts as empty.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oci::Digest;
use rustix::fs::Stat;

use crate::snapshot::Node;
use crate::{Error, Result};

const MAGIC: &[u8] = b"llbc stat cache 1\n";
const DIR: &str = "stat-v1";
/// Device, inode, stamp, hash.
const ENTRY: usize = 8 + 8 + 24 + 32;

/// How far a file system's clock may be behind: the slowest tick of the kernel.
const TICK: Duration = Duration::from_millis(20);
/// The same for file systems that only know seconds.
const COARSE_TICK: Duration = Duration::from_secs(2);

/// Size, time of change of the bytes, time of change of the inode: what a change cannot leave as it is.
type Stamp = [u8; 24];

/// Stamps and hashes of records, by device and inode.
type Known = HashMap<(u64, u64), (Stamp, [u8; 32])>;

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
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { path, known, now, found: AtomicU32::new(0) }
    }

    /// The record of a file that has not changed.
    pub(super) fn find(&mut self, stat: &Stat) -> Option<Digest> {
        let (seen, hash) = self.known.get(&(stat.st_dev, stat.st_ino))?;
        if *seen != stamp(stat) {
            return None;
        }
        self.found.fetch_add(1, Ordering::Relaxed);
        Some(Digest::from_sha256(hash))
    }

    /// Keeps what is known of a listing, if that is news.
    pub(super) fn save(&self, listing: &Node) -> Result<()> {
        let mut bytes = MAGIC.to_vec();
        self.collect(listing, &mut bytes);
        let count = (bytes.len() - MAGIC.len()) / ENTRY;
        if count == self.found.load(Ordering::Relaxed) as usize && count == self.known.len() {
            return Ok(());
        }
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        let dir = self.path.parent().expect("the file is in a directory");
        fs::create_dir_all(dir).map_err(Error::io("make", dir))?;
        let aside = self.path.with_extension(std::process::id().to_string());
        fs::write(&aside, bytes).map_err(Error::io("write", &aside))?;
        fs::rename(&aside, &self.path).map_err(Error::io("write", &self.path))
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
        if FileType::from_raw_mode(seen.st_mode) != FileType::RegularFile || self.is_fresh(seen) {
            return;
        }
        let Some(hash) = node.record.get().and_then(raw) else { return };
        bytes.extend_from_slice(&seen.st_dev.to_le_bytes());
        bytes.extend_from_slice(&seen.st_ino.to_le_bytes());
        bytes.extend_from_slice(&stamp(seen));
        bytes.extend_from_slice(&hash);
    }

    /// Whether a file may change again without a trace.
    fn is_fresh(&self, stat: &Stat) -> bool {
        let tick = if stat.st_ctime_nsec == 0 { COARSE_TICK } else { TICK };
        let changed = Duration::new(u64::try_from(stat.st_ctime).unwrap_or(0), stat.st_ctime_nsec as u32);
        changed + tick > self.now
    }
}

fn stamp(stat: &Stat) -> Stamp {
    let nanos = |seconds: i64, nanos: u64| seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos as i64);
    let mut stamp = Stamp::default();
    stamp[..8].copy_from_slice(&stat.st_size.to_le_bytes());
    stamp[8..16].copy_from_slice(&nanos(stat.st_mtime, stat.st_mtime_nsec).to_le_bytes());
    stamp[16..].copy_from_slice(&nanos(stat.st_ctime, stat.st_ctime_nsec).to_le_bytes());
    stamp
}

fn parse(bytes: &[u8]) -> Option<Known> {
    let (content, checksum) = bytes.split_last_chunk::<4>()?;
    if crc32fast::hash(content).to_le_bytes() != *checksum {
        return None;
    }
    let entries = content.strip_prefix(MAGIC)?.chunks_exact(ENTRY);
    entries.map(|entry| Some((key(entry)?, (entry[16..40].try_into().ok()?, entry[40..].try_into().ok()?)))).collect()
}

fn key(entry: &[u8]) -> Option<(u64, u64)> {
    Some((u64::from_le_bytes(entry[..8].try_into().ok()?), u64::from_le_bytes(entry[8..16].try_into().ok()?)))
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
