//! Resource limits by the names `ulimit` options use.

use crate::{Error, Result};

/// Names and numbers.
const RESOURCES: &[(&str, u32)] = &[
    ("as", libc::RLIMIT_AS),
    ("core", libc::RLIMIT_CORE),
    ("cpu", libc::RLIMIT_CPU),
    ("data", libc::RLIMIT_DATA),
    ("fsize", libc::RLIMIT_FSIZE),
    ("locks", libc::RLIMIT_LOCKS),
    ("memlock", libc::RLIMIT_MEMLOCK),
    ("msgqueue", libc::RLIMIT_MSGQUEUE),
    ("nice", libc::RLIMIT_NICE),
    ("nofile", libc::RLIMIT_NOFILE),
    ("nproc", libc::RLIMIT_NPROC),
    ("rss", libc::RLIMIT_RSS),
    ("rtprio", libc::RLIMIT_RTPRIO),
    ("rttime", libc::RLIMIT_RTTIME),
    ("sigpending", libc::RLIMIT_SIGPENDING),
    ("stack", libc::RLIMIT_STACK),
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
