//! A layer directory to a tar stream and back.
//!
//! | file | what it is |
//! |---|---|
//! | `header` | tar headers as Go's `archive/tar` writes them |
//! | `diff` | a layer directory as the tar BuildKit would write |
//! | `apply` | a tar into a layer directory |
//! | `compress`, `gzip`, `deflate`, `estargz` | compressors, fed block by block |
//! | `workers`, `pace` | threads for them, and how much of the machine they take |
//! | `decompress` | what a stream is compressed with, by its first bytes |

mod apply;
mod compress;
mod decompress;
mod deflate;
mod diff;
mod estargz;
mod gzip;
pub(crate) mod header;
mod pace;
#[cfg(test)]
mod tests;
mod workers;

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;

use oci::{Descriptor, Digest, Hasher};

use crate::snapshot::Contents;
use crate::store::Blobs;
use crate::{Cancel, Error, Result};

pub(crate) use apply::Item;
pub use apply::{Applied, Limits, apply};
pub use compress::{Compressor, compressor};
pub use decompress::{Format, decompress, sniff};
pub use diff::{Clamp, write_diff};
pub use estargz::Toc;
pub use pace::Pace;

/// How layers are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// Not at all.
    Uncompressed,
    /// gzip, level 0 to 9; `None` is 4.
    Gzip(Option<u8>),
    /// gzip with a table of contents, for lazy pulling; the same levels.
    Estargz(Option<u8>),
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
            "" | "gzip" | "estargz" if level.is_some_and(|level| !(-2..=9).contains(&level)) => {
                outside("gzip's: -2 to 9")
            }
            "zstd" if level.is_some_and(|level| !(0..=22).contains(&level)) => outside("zstd's: 0 to 22"),
            "" | "gzip" => Ok(Self::Gzip(gzip)),
            "uncompressed" => Ok(Self::Uncompressed),
            "zstd" => Ok(Self::Zstd(level.map(|level| level.unsigned_abs() as u8))),
            "estargz" => Ok(Self::Estargz(gzip)),
            other => Err(Error::Invalid(format!("unsupported layer compression type: {other}"))),
        }
    }

    /// Media type of a layer compressed so.
    pub fn media_type(self, docker: bool) -> &'static str {
        use oci::media;
        match (self, docker) {
            (Self::Uncompressed, false) => media::OCI_LAYER,
            (Self::Uncompressed, true) => media::DOCKER_LAYER,
            (Self::Gzip(_) | Self::Estargz(_) | Self::Default, false) => media::OCI_LAYER_GZIP,
            (Self::Gzip(_) | Self::Estargz(_) | Self::Default, true) => media::DOCKER_LAYER_GZIP,
            (Self::Zstd(_), false) => media::OCI_LAYER_ZSTD,
            (Self::Zstd(_), true) => media::DOCKER_LAYER_ZSTD,
        }
    }

    /// Whether a blob is compressed so, at whatever level.
    pub fn is_of(self, blob: &Descriptor) -> bool {
        let is_estargz = matches!(self, Self::Estargz(_));
        [false, true].iter().any(|docker| self.media_type(*docker) == blob.media_type)
            && blob.annotations.contains_key(TOC_DIGEST) == is_estargz
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uncompressed => "uncompressed",
            Self::Gzip(_) | Self::Default => "gzip",
            Self::Estargz(_) => "estargz",
            Self::Zstd(_) => "zstd",
        })
    }
}

/// Annotation of an eStargz blob: digest of its table of contents.
pub const TOC_DIGEST: &str = "containerd.io/snapshot/stargz/toc.digest";
/// Annotation of an eStargz blob: bytes of its tar.
pub const UNCOMPRESSED_SIZE: &str = "io.containers.estargz.uncompressed-size";
/// Annotation of a blob in the store: digest of its tar, where that is not the layer's.
pub const UNCOMPRESSED: &str = "containerd.io/uncompressed";
/// Annotation of a blob of a cache: when the layer was made.
pub const CREATED: &str = "buildkit/createdat";
/// The same: what made it.
pub const DESCRIPTION: &str = "buildkit/description";

/// A layer as a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Digest of the tar.
    pub diff_id: Digest,
    /// Digest of the blob.
    pub digest: Digest,
    /// Size of the blob in bytes.
    pub size: u64,
    /// What is said of an eStargz blob.
    pub toc: Option<Toc>,
    /// A file in it that is none for whoever unpacks it, as of [`write_diff`].
    pub removing: Option<PathBuf>,
}

impl Packed {
    /// The blob with what is said beside it.
    pub fn describe(&self, compression: Compression) -> Descriptor {
        let mut blob = Descriptor::new(compression.media_type(false), self.digest.clone(), self.size);
        if let Some(toc) = &self.toc {
            blob.annotations.insert(TOC_DIGEST.into(), toc.digest.to_string());
            blob.annotations.insert(UNCOMPRESSED_SIZE.into(), toc.size.to_string());
            blob.annotations.insert(UNCOMPRESSED.into(), toc.diff_id.to_string());
        }
        blob
    }
}

/// How a layer becomes a blob.
#[derive(Clone, Copy)]
pub struct Packing<'a> {
    /// Its compression.
    pub compression: Compression,
    /// Latest time of its entries.
    pub clamp: Clamp,
    /// When to go on.
    pub pace: &'a Pace,
    /// Asked to stop through this.
    pub cancel: &'a Cancel,
}

/// Writes a layer into a blob: tar, both digests and compression in one pass over the files. **Shape**: as of [`write_diff`].
pub fn pack(dirs: &[PathBuf], contents: &Contents, packing: Packing<'_>, blobs: &dyn Blobs) -> Result<Packed> {
    let Packing { compression, clamp, pace, cancel } = packing;
    let blob = blobs.write()?;
    if compression == Compression::Uncompressed {
        let mut out = Paced { pace, left: PACED, inner: blob };
        let removing = write_diff(dirs, contents, clamp, &mut out, cancel)?;
        let (digest, size) = out.inner.commit(None)?;
        return Ok(Packed { diff_id: digest.clone(), digest, size, toc: None, removing });
    }
    let tee = Tee { hasher: Hasher::sha256(), inner: compressor(blob, compression, pace)? };
    let mut out = Paced { pace, left: PACED, inner: tee };
    let removing = write_diff(dirs, contents, clamp, &mut out, cancel)?;
    let Tee { hasher, inner } = out.inner;
    let (blob, toc) = inner.finish().map_err(Error::io("write", "a blob"))?;
    let (digest, size) = blob.commit(None)?;
    Ok(Packed { diff_id: hasher.finish(), digest, size, toc, removing })
}

/// What a layer's tar is, without keeping it: [`write_diff`] gives the same bytes again.
pub fn measure(dirs: &[PathBuf], contents: &Contents, packing: Packing<'_>) -> Result<Packed> {
    let Packing { clamp, pace, cancel, .. } = packing;
    let mut out = Paced { pace, left: PACED, inner: Tee { hasher: Hasher::sha256(), inner: Length(0) } };
    let removing = write_diff(dirs, contents, clamp, &mut out, cancel)?;
    let Tee { hasher, inner: Length(size) } = out.inner;
    let digest = hasher.finish();
    Ok(Packed { diff_id: digest.clone(), digest, size, toc: None, removing })
}

/// Bytes between two looks whether there is room to go on.
const PACED: usize = 256 << 10;

/// Goes on when there is room. What is smaller than that passes at once: it takes less than a millisecond.
struct Paced<'a, W> {
    pace: &'a Pace,
    left: usize,
    inner: W,
}

impl<W: Write> Write for Paced<'_, W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.left == 0 {
            self.pace.wait();
            self.left = PACED;
        }
        let written = self.inner.write(data)?;
        self.left = self.left.saturating_sub(written);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Counts what it is given.
struct Length(u64);

impl Write for Length {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0 += data.len() as u64;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
