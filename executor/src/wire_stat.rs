//! The status of files as BuildKit's protocols have it (`fsutil.types.Stat`): Go's bits of modes, nanoseconds.

use ::gateway::message::Stat as WireStat;
use rustix::fs::{FileType, Stat};

/// Go's bits of file modes, beside the permissions.
pub(crate) const GO_DIRECTORY: u32 = 1 << 31;
pub(crate) const GO_SYMLINK: u32 = 1 << 27;
const GO_DEVICE: u32 = 1 << 26;
const GO_FIFO: u32 = 1 << 25;
const GO_SOCKET: u32 = 1 << 24;
const GO_SETUID: u32 = 1 << 23;
const GO_SETGID: u32 = 1 << 22;
const GO_CHARACTER: u32 = 1 << 21;
const GO_STICKY: u32 = 1 << 20;

/// The status of what is at a path.
pub(crate) fn of(path: &str, stat: &Stat) -> WireStat {
    let is_device = matches!(FileType::from_raw_mode(stat.st_mode), FileType::BlockDevice | FileType::CharacterDevice);
    let device = if is_device { stat.st_rdev } else { 0 };
    WireStat {
        path: path.to_owned(),
        mode: go_mode(stat.st_mode),
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: stat.st_size,
        mod_time: stat.st_mtime.saturating_mul(1_000_000_000).saturating_add(stat.st_mtime_nsec as i64),
        devmajor: i64::from(rustix::fs::major(device)),
        devminor: i64::from(rustix::fs::minor(device)),
        ..WireStat::default()
    }
}

/// A mode in Go's bits.
fn go_mode(mode: u32) -> u32 {
    let kind = match FileType::from_raw_mode(mode) {
        FileType::Directory => GO_DIRECTORY,
        FileType::Symlink => GO_SYMLINK,
        FileType::Fifo => GO_FIFO,
        FileType::Socket => GO_SOCKET,
        FileType::BlockDevice => GO_DEVICE,
        FileType::CharacterDevice => GO_DEVICE | GO_CHARACTER,
        _ => 0,
    };
    let special = [(libc::S_ISUID, GO_SETUID), (libc::S_ISGID, GO_SETGID), (libc::S_ISVTX, GO_STICKY)];
    let special = special.iter().filter(|(bit, _)| mode & bit != 0).map(|(_, go)| go).sum::<u32>();
    kind | special | mode & 0o777
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_in_bits_of_go() {
        assert_eq!(go_mode(0o104_755), GO_SETUID | 0o755);
        assert_eq!(go_mode(0o041_777), GO_DIRECTORY | GO_STICKY | 0o777);
        assert_eq!(go_mode(0o020_600), GO_DEVICE | GO_CHARACTER | 0o600);
    }
}
