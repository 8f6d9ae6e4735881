//! One file as a tree: what a download or a blob becomes.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use oci::Digest;

use super::Context;
use crate::snapshot::Contents;
use crate::{Error, Result};

/// Permission bits of a file when the definition does not say.
const DEFAULT_MODE: u32 = 0o600;

/// How a blob of the store lies in its tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Placed {
    /// A name without slashes.
    pub(super) name: String,
    /// Permission bits; 0 is unset, also in keys.
    pub(super) perm: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Time of change, in seconds since 1970.
    pub(super) modified: i64,
}

impl Placed {
    /// Writes the blob into an empty directory.
    pub(super) fn write(&self, dir: &Path, blob: &Digest, context: Context<'_>) -> Result<Contents> {
        let path = dir.join(&self.name);
        let mode = if self.perm == 0 { DEFAULT_MODE } else { self.perm };
        let mut from = context.store.blobs().open(blob)?;
        let mut to = File::options()
            .write(true)
            .create_new(true)
            .mode(DEFAULT_MODE)
            .open(&path)
            .map_err(Error::io("make", &path))?;
        let bytes = io::copy(&mut from, &mut to).map_err(Error::io("write", &path))?;
        if (self.uid, self.gid) != (0, 0) {
            chown(&path, Some(self.uid), Some(self.gid)).map_err(Error::io("chown", &path))?;
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o7777)).map_err(Error::io("chmod", &path))?;
        let time = UNIX_EPOCH + Duration::from_secs(u64::try_from(self.modified).unwrap_or_default());
        to.set_times(fs::FileTimes::new().set_modified(time).set_accessed(time))
            .map_err(Error::io("set the time of", &path))?;
        Ok(Contents { bytes, ..Contents::default() })
    }
}

/// A number in Go's notation: decimal, `0x…`, `0o…` or `0…`.
pub(super) fn parse_number(key: &str, text: &str) -> Result<u32> {
    let lower = text.to_ascii_lowercase();
    let parsed = match lower.as_bytes() {
        [b'0', b'x', ..] => u32::from_str_radix(&lower[2..], 16),
        [b'0', b'o', ..] => u32::from_str_radix(&lower[2..], 8),
        [b'0', b'b', ..] => u32::from_str_radix(&lower[2..], 2),
        [b'0', _, ..] => u32::from_str_radix(&lower[1..], 8),
        _ => lower.parse(),
    };
    parsed.map_err(|_| Error::Invalid(format!("{key}: {text:?} is no number")))
}
