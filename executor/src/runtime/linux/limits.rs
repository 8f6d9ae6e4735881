//! Resource limits by the names `ulimit` options use.

use crate::{Error, Result};

/// Names and numbers.
const RESOURCES: &[(&str, u32)] = &[
    ("as", libc::RLIMIT_AS as u32),
    ("core", libc::RLIMIT_CORE as u32),
    ("cpu", libc::RLIMIT_CPU as u32),
    ("data", libc::RLIMIT_DATA as u32),
    ("fsize", libc::RLIMIT_FSIZE as u32),
    ("locks", libc::RLIMIT_LOCKS as u32),
    ("memlock", libc::RLIMIT_MEMLOCK as u32),
    ("msgqueue", libc::RLIMIT_MSGQUEUE as u32),
    ("nice", libc::RLIMIT_NICE as u32),
    ("nofile", libc::RLIMIT_NOFILE as u32),
    ("nproc", libc::RLIMIT_NPROC as u32),
    ("rss", libc::RLIMIT_RSS as u32),
    ("rtprio", libc::RLIMIT_RTPRIO as u32),
    ("rttime", libc::RLIMIT_RTTIME as u32),
    ("sigpending", libc::RLIMIT_SIGPENDING as u32),
    ("stack", libc::RLIMIT_STACK as u32),
];

/// Number, soft and hard value of a limit; -1 is unlimited.
pub(super) fn resource((name, soft, hard): &(String, i64, i64)) -> Result<(u32, u64, u64)> {
    let Some((_, number)) = RESOURCES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) else {
        let known: Vec<_> = RESOURCES.iter().map(|(name, _)| *name).collect();
        return Err(Error::Invalid(format!("unknown ulimit {name:?}; there are {}", known.join(", "))));
    };
    Ok((*number, soft.cast_unsigned(), hard.cast_unsigned()))
}

/// Name of a limit.
pub(super) fn name(number: u32) -> &'static str {
    RESOURCES.iter().find(|(_, known)| *known == number).map_or("?", |(name, _)| *name)
}

/// Sets a limit of this process.
pub(super) fn set((number, soft, hard): (u32, u64, u64)) -> Result<()> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the kernel reads the limit during the call only.
    if unsafe { libc::setrlimit(number as _, &raw const limit) } == 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(Error::Invalid(format!("cannot set ulimit {}={soft}:{hard}: {error}", name(number))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_and_minus_one_is_unlimited() {
        let limit = |name: &str, soft, hard| resource(&(name.to_owned(), soft, hard));
        assert_eq!(limit("nofile", 100, 200).unwrap(), (libc::RLIMIT_NOFILE, 100, 200));
        assert_eq!(limit("core", -1, -1).unwrap(), (libc::RLIMIT_CORE, libc::RLIM_INFINITY, libc::RLIM_INFINITY));
        assert!(
            limit("files", 1, 1).unwrap_err().to_string().starts_with("unknown ulimit \"files\"; there are as, core")
        );
    }
}
