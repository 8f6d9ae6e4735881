//! Archives, read as they come: what a stream is compressed with, the bytes behind it, the entries of a tar, and its newest file.
//!
//! For who must look into an archive and has no programs to do it, as a frontend inside a builder, and for hostile
//! archives: what a stream makes us hold is bounded by [`MEMORY`], what it makes us read by [`UNPACKED`].
//!
//! Pure: whoever has the bytes hands them in.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod decompress;
mod newest;
pub mod tar;

pub use decompress::{Format, MEMORY, decompress, sniff};
pub use newest::{UNPACKED, newest};
