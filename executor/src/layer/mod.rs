//! A layer directory to a tar stream and back.
//!
//! | file | what it is |
//! |---|---|
//! | `header` | tar headers as Go's `archive/tar` writes them |
//! | `diff` | a layer directory as the tar BuildKit would write |
//! | `apply` | a tar into a layer directory |
//! | `compress`, `gzip` | compressors, fed block by block |
//! | `decompress` | what a stream is compressed with, by its first bytes |

mod apply;
mod compress;
mod decompress;
mod diff;
mod gzip;
pub(crate) mod header;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use oci::{Digest, Hasher};

use crate::snapshot::Contents;
use crate::store::Blobs;
use crate::{Cancel, Error, Result};

pub(crate) use apply::Item;
pub use apply::{Applied, Limits, apply};
pub use compress::{Compressor, compressor};
pub use decompress::{Format, decompress, sniff};
pub use diff::{Clamp, write_diff};

/// How layers are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// Not at all.
    Uncompressed,
    /// gzip, level 0 to 9; `None` is 6.
    Gzip(Option<u8>),
    /// zstd, level 1 to 22; `None` is 3.
    Zstd(Option<u8>),
    /// gzip at its usual level.
    #[default]
    Default,
}

impl Compression {
    /// Parses the exporter attributes `compression` and `compression-level`.
    pub fn parse(name: &str, level: Option<i32>) -> Result<Self> {
        let outside = |of: &str| {
            let level = level.unwrap_or_default();
            Err(Error::Invalid(format!("compression-level {level} is not one of {of}")))
        };
        // parity: gzip's -1 is its usual level. -2 (no matches, only codes) is its fastest here.
        let gzip = level.filter(|level| *level != -1).map(|level| if level < 0 { 1 } else { level as u8 });
        match name {
            "" if level.is_none() => Ok(Self::Default),
            "" | "gzip" if level.is_some_and(|level| !(-2..=9).contains(&level)) => outside("gzip's: -2 to 9"),
            "zstd" if level.is_some_and(|level| !(0..=22).contains(&level)) => outside("zstd's: 0 to 22"),
            "" | "gzip" => Ok(Self::Gzip(gzip)),
            "uncompressed" => Ok(Self::Uncompressed),
            "zstd" => Ok(Self::Zstd(level.map(|level| level.unsigned_abs() as u8))),
            "estargz" => Err(Error::Unsupported {
                what: "compression=estargz".into(),
                why: "lazily pulled layers are not written yet; use zstd or gzip".into(),
            }),
            other => Err(Error::Invalid(format!("unsupported layer compression type: {other}"))),
        }
    }

    /// Media type of a layer compressed so.
    pub fn media_type(self, docker: bool) -> &'static str {
        use oci::media;
        match (self, docker) {
            (Self::Uncompressed, false) => media::OCI_LAYER,
            (Self::Uncompressed, true) => media::DOCKER_LAYER,
            (Self::Gzip(_) | Self::Default, false) => media::OCI_LAYER_GZIP,
            (Self::Gzip(_) | Self::Default, true) => media::DOCKER_LAYER_GZIP,
            (Self::Zstd(_), false) => media::OCI_LAYER_ZSTD,
            (Self::Zstd(_), true) => media::DOCKER_LAYER_ZSTD,
        }
    }

    /// Whether a blob of this media type is compressed so, at whatever level.
    pub fn is_of(self, media_type: &str) -> bool {
        [false, true].iter().any(|docker| self.media_type(*docker) == media_type)
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uncompressed => "uncompressed",
            Self::Gzip(_) | Self::Default => "gzip",
            Self::Zstd(_) => "zstd",
        })
    }
}

/// A layer as a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Digest of the tar.
    pub diff_id: Digest,
    /// Digest of the blob.
    pub digest: Digest,
    /// Size of the blob in bytes.
    pub size: u64,
}

/// Writes a layer directory into a blob: tar, both digests and compression in one pass over the files.
pub fn pack(
    dir: &Path,
    contents: &Contents,
    compression: Compression,
    clamp: Clamp,
    blobs: &dyn Blobs,
    cancel: &Cancel,
) -> Result<Packed> {
    let blob = blobs.write()?;
    if compression == Compression::Uncompressed {
        let mut blob = blob;
        write_diff(dir, contents, clamp, &mut blob, cancel)?;
        let (digest, size) = blob.commit(None)?;
        return Ok(Packed { diff_id: digest.clone(), digest, size });
    }
    let mut out = Tee { hasher: Hasher::sha256(), inner: compressor(blob, compression)? };
    write_diff(dir, contents, clamp, &mut out, cancel)?;
    let blob = out.inner.finish().map_err(Error::io("write", "a blob"))?;
    let (digest, size) = blob.commit(None)?;
    Ok(Packed { diff_id: out.hasher.finish(), digest, size })
}

/// Hashes what passes.
struct Tee<W> {
    hasher: Hasher,
    inner: W,
}

impl<W: Write> Write for Tee<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(data)?;
        self.hasher.update(&data[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
