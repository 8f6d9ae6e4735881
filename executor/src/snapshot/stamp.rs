//! What a change of a file cannot leave as it is: a file with the same stamp is the same file with the same content.
//!
//! That holds unless it was written again before the clock of its file system moved on: a stamp of a *fresh* file, one that
//! changed right before it was looked at, says nothing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::Stat;

/// How far a file system's clock may be behind: the slowest tick of the kernel.
const TICK: Duration = Duration::from_millis(20);
/// The same for file systems that only know seconds.
const COARSE_TICK: Duration = Duration::from_secs(2);

/// **Shape**: device, inode, bytes, time of change of the bytes, time of change of the inode; eight bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stamp(pub(crate) [u8; Self::LENGTH]);

impl Stamp {
    /// Bytes of a stamp.
    pub(crate) const LENGTH: usize = 5 * 8;

    /// The stamp in a status.
    pub(crate) fn of(stat: &Stat) -> Self {
        let nanos = |seconds: i64, nanos: u64| seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos as i64);
        let mut stamp = [0; Self::LENGTH];
        let fields = [
            stat.st_dev.to_le_bytes(),
            stat.st_ino.to_le_bytes(),
            stat.st_size.to_le_bytes(),
            nanos(stat.st_mtime, stat.st_mtime_nsec).to_le_bytes(),
            nanos(stat.st_ctime, stat.st_ctime_nsec).to_le_bytes(),
        ];
        stamp.chunks_exact_mut(8).zip(fields).for_each(|(at, field)| at.copy_from_slice(&field));
        Self(stamp)
    }

    /// The stamp written in the first bytes.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self(*bytes.first_chunk()?))
    }
}

/// Time since the epoch, for [`is_fresh`].
pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Whether what is looked at from `now` on may have changed, or change, without a trace.
pub(crate) fn is_fresh(stat: &Stat, now: Duration) -> bool {
    let tick = if stat.st_ctime_nsec == 0 { COARSE_TICK } else { TICK };
    let changed = Duration::new(u64::try_from(stat.st_ctime).unwrap_or(0), stat.st_ctime_nsec as u32);
    changed + tick > now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_just_now_or_before_the_clock_was_set_back_is_fresh() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let stat = rustix::fs::stat(file.path()).unwrap();
        let changed = Duration::new(stat.st_ctime as u64, stat.st_ctime_nsec as u32);
        assert!(is_fresh(&stat, changed));
        assert!(!is_fresh(&stat, changed + COARSE_TICK));
        assert!(is_fresh(&stat, changed - Duration::from_secs(3600)));
    }
}
