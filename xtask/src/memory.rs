//! Temporary files in memory: tests of whole systems write gigabytes that are of no use when they end, and wait for the
//! disk half of the time.

use std::path::Path;

use rustix::fs::XattrFlags;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::UnshareFlags;

use crate::shell::{self, Result};

/// What the two largest tests and an engine's images have at once, with room to grow.
const SIZE: u64 = 14 << 30;
/// What is left for compilers and programs.
const REST: u64 = 4 << 30;
/// The one in memory that every system has. It may be small, or refuse devices and programs; so another is mounted over it.
const PLACE: &str = "/dev/shm";

/// From now on this program and those that it starts have their temporary files in memory, where nobody else sees them and
/// nothing is left of them when the last one ends. Where there is not enough memory, or mounts are refused, they stay where
/// they are.
pub(crate) fn keep_temporary_files() {
    if let Err(error) = try_to_keep() {
        shell::say(&format!("temporary files are on the disk: {error}"));
    }
}

fn try_to_keep() -> Result<()> {
    let available = available()?;
    if available < SIZE + REST {
        return Err(format!("{} MiB of memory are available", available >> 20).into());
    }
    // SAFETY: only mounts become those of this thread alone; descriptors of files stay shared.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    let options = std::ffi::CString::new(format!("size={SIZE},mode=1777"))?;
    mount("tmpfs", PLACE, "tmpfs", MountFlags::empty(), options.as_c_str())?;
    // Trees of ordinary users have attributes of theirs, which kernels before 6.6 do not keep in memory.
    rustix::fs::setxattr(PLACE, "user.e2e", b"1", XattrFlags::empty())?;
    tempfile::env::override_temp_dir(Path::new(PLACE)).map_err(|other| format!("{} was said", other.display()).into())
}

/// Bytes of memory that programs can have.
fn available() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line =
        text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).ok_or("no MemAvailable in /proc/meminfo")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes << 10)
}
