//! How much may stay.

use std::path::Path;

use crate::{Error, Result};

/// Limits in bytes; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Most that is used.
    pub max_used: u64,
    /// Least that stays, whatever the others say.
    pub reserved: u64,
    /// Least that is free on the disk.
    pub min_free: u64,
}

/// A part of the disk, or a number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Bytes.
    Bytes(u64),
    /// Hundredths of the whole disk.
    Percent(u64),
}

/// Limits that a build keeps to at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    max_used: Amount,
    reserved: Amount,
    min_free: Amount,
}

/// parity: BuildKit's own policy: most of the disk, but a fifth of it stays free, and some of the cache stays for sure.
impl Default for Policy {
    fn default() -> Self {
        Self { max_used: Amount::Percent(75), reserved: Amount::Bytes(10 << 30), min_free: Amount::Percent(20) }
    }
}

impl Policy {
    /// A policy.
    pub fn new(max_used: Amount, reserved: Amount, min_free: Amount) -> Self {
        Self { max_used, reserved, min_free }
    }

    /// In bytes, for the disk that a path is on. No more is reserved than a tenth of the disk.
    pub fn limits(&self, path: &Path) -> Result<Limits> {
        let disk = statistics(path)?;
        let whole = disk.f_blocks * disk.f_frsize;
        let reserved = self.reserved.of(whole).min(whole / 10);
        Ok(Limits { max_used: self.max_used.of(whole), reserved, min_free: self.min_free.of(whole) })
    }
}

impl Amount {
    /// Reads `10GB`, `512m`, `1000` (powers of 1024) or `20%`.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = || Error::Invalid(format!("{text} is not a size: write 10GB, 500MB or 20%"));
        if let Some(number) = text.strip_suffix('%') {
            return number.parse().ok().filter(|part| *part <= 100).map(Self::Percent).ok_or_else(invalid);
        }
        let lower = text.to_lowercase();
        let number = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = lower[number.len()..].trim_end_matches("ib").trim_end_matches('b');
        let shift = match unit {
            "" => 0,
            "k" => 10,
            "m" => 20,
            "g" => 30,
            "t" => 40,
            _ => return Err(invalid()),
        };
        let number: f64 = number.trim().parse().map_err(|_| invalid())?;
        if !(0.0..=1e9).contains(&number) && shift > 0 || number < 0.0 || !number.is_finite() {
            return Err(invalid());
        }
        Ok(Self::Bytes((number * (1u64 << shift) as f64) as u64))
    }

    /// In bytes, of a disk with so many.
    pub fn of(self, whole: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(part) => whole / 100 * part,
        }
    }

    /// In bytes, for the disk that a path is on.
    pub fn on(self, path: &Path) -> Result<u64> {
        let disk = statistics(path)?;
        Ok(self.of(disk.f_blocks * disk.f_frsize))
    }
}

impl Limits {
    /// Bytes that may stay of `total`; `None` when there is no limit, and everything goes.
    pub(super) fn keep(&self, total: u64, free: u64) -> Option<u64> {
        if *self == Self::default() {
            return None;
        }
        let most = if self.max_used == 0 { u64::MAX } else { self.max_used };
        let short = self.min_free.saturating_sub(free);
        let affordable = if short == 0 { u64::MAX } else { total.saturating_sub(short) };
        // A reserve alone is what is kept of all.
        let alone = self.max_used == 0 && self.min_free == 0;
        let wanted = if alone { 0 } else { most.min(affordable) };
        Some(wanted.max(self.reserved))
    }
}

/// Bytes that are free on the disk that a path is on.
pub(super) fn free(path: &Path) -> Result<u64> {
    statistics(path).map(|disk| disk.f_bavail * disk.f_frsize)
}

fn statistics(path: &Path) -> Result<rustix::fs::StatVfs> {
    rustix::fs::statvfs(path).map_err(|errno| Error::io("measure the disk of", path)(errno.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        let show = |text: &str| Amount::parse(text).map(|amount| amount.of(1000)).ok();
        assert_eq!(show("20%"), Some(200));
        assert_eq!(show("10"), Some(10));
        assert_eq!(show("1.5k"), Some(1536));
        assert_eq!(show("2GB"), Some(2 << 30));
        assert_eq!(show("1GiB"), Some(1 << 30));
        for wrong in ["", "x", "-1", "101%", "1x", "GB", "NaN", "1e300g"] {
            assert_eq!(show(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_stays() {
        let limits = |max_used, reserved, min_free| Limits { max_used, reserved, min_free };
        assert_eq!(Limits::default().keep(100, 5), None);
        assert_eq!(limits(60, 0, 0).keep(100, 5), Some(60));
        assert_eq!(limits(0, 30, 0).keep(100, 5), Some(30));
        // Short of 15, of 100 that are used 85 may stay.
        assert_eq!(limits(0, 0, 20).keep(100, 5), Some(85));
        assert_eq!(limits(60, 0, 20).keep(100, 5), Some(60));
        assert_eq!(limits(60, 70, 20).keep(100, 5), Some(70));
        assert_eq!(limits(0, 0, 20).keep(100, 50), Some(u64::MAX));
    }
}
