//! Capabilities and identity of the container's process.
//!
//! parity: BuildKit v0.32: bounding, permitted and effective are containerd's default list, nothing is inheritable or
//! ambient; an insecure process has all in all five sets.

use std::io;

use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, Uid};

use super::sys;
use super::user::Identity;
use crate::userns;

/// CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD AUDIT_WRITE
/// SETFCAP, as the kernel prints them.
pub(super) const DEFAULT: u64 = 0xa804_25fb;
/// The bit of `CAP_MKNOD`.
pub(super) const MKNOD: u64 = 1 << 27;
/// Highest number of a capability that is tried; the kernel has 41 today.
const LAST: u32 = 63;

/// Names of capabilities, without `CAP_`, by number.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Names of those capabilities of a set that this process could give: a runtime refuses others.
pub(super) fn names(set: u64) -> Vec<String> {
    let own = rustix::thread::capabilities(sys::SELF).map_or(0, |sets| sets.permitted.bits());
    let given = NAMES.iter().enumerate().filter(|(number, _)| set & own & 1 << number != 0);
    given.map(|(_, name)| format!("CAP_{name}")).collect()
}

/// Drops everything but `allowed` from the bounding set; needs `CAP_SETPCAP`, so it is done first.
pub(super) fn bound(allowed: u64) -> io::Result<()> {
    (0..=LAST).filter(|cap| allowed >> cap & 1 == 0).try_for_each(sys::drop_from_bounding_set)
}

/// Becomes the user.
pub(super) fn become_user(identity: &Identity) -> io::Result<()> {
    let groups: Vec<Gid> = identity.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    let (uid, gid) = (Uid::from_raw(identity.uid), Gid::from_raw(identity.gid));
    // Without this, the capabilities would be gone before they are set exactly.
    rustix::thread::set_keep_capabilities(true)?;
    match rustix::thread::set_thread_groups(&groups) {
        // Who has one id may not even give up groups.
        Err(Errno::PERM) if userns::has_one_id() => {}
        result => result?,
    }
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(|errno| without_id("group", identity.gid, errno))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(|errno| without_id("user", identity.uid, errno))?;
    rustix::thread::set_keep_capabilities(false)?;
    Ok(())
}

/// Why this process cannot become somebody.
fn without_id(kind: &str, id: u32, errno: Errno) -> io::Error {
    match errno {
        Errno::INVAL => io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "{kind} {id} is beyond the ids of this user namespace; give yourself more in /etc/sub{}id",
                &kind[..1]
            ),
        ),
        errno => errno.into(),
    }
}

/// Keeps exactly these capabilities. Executing a program as another user than root then loses them, as it must.
pub(super) fn keep(allowed: u64) -> io::Result<()> {
    set(allowed, 0)
}

/// Keeps all capabilities there are, over exec too, whoever the user is.
pub(super) fn keep_all() -> io::Result<()> {
    let all = rustix::thread::capabilities(sys::SELF)?.permitted.bits();
    set(all, all)?;
    (0..=LAST).filter(|cap| all >> cap & 1 == 1).try_for_each(sys::raise_ambient)
}

fn set(allowed: u64, inheritable: u64) -> io::Result<()> {
    let permitted = rustix::thread::capabilities(sys::SELF)?.permitted.bits() & allowed;
    let bits = CapabilitySet::from_bits_retain;
    let sets =
        CapabilitySets { effective: bits(permitted), permitted: bits(permitted), inheritable: bits(inheritable) };
    Ok(rustix::thread::set_capabilities(sys::SELF, sets)?)
}
