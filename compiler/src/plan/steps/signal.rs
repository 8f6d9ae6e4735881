//! Names of signals, as Docker knows them on Linux.

use ast::number;

use crate::plan::go;

const NAMES: &[&str] = &[
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE", "POLL",
    "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1",
    "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
];

/// Highest offsets from the first and the last real-time signal.
const MOST_ABOVE_MIN: u32 = 15;
const MOST_BELOW_MAX: u32 = 14;

/// Whether a text is a signal: any number but 0, or a name, with or without `SIG`, in any case.
pub(super) fn is_signal(text: &str) -> bool {
    if let Some(number) = number::atoi(text) {
        return number != 0;
    }
    let upper = go::to_upper(text);
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    NAMES.contains(&name) || is_real_time(name)
}

fn is_real_time(name: &str) -> bool {
    let within = |prefix: &str, most: u32| {
        let offset = name.strip_prefix(prefix).filter(|offset| !offset.starts_with(['0', '+']));
        offset.and_then(|offset| offset.parse().ok()).is_some_and(|offset: u32| offset <= most)
    };
    within("RTMIN+", MOST_ABOVE_MIN) || within("RTMAX-", MOST_BELOW_MAX)
}

#[cfg(test)]
mod tests {
    use super::is_signal;

    #[test]
    fn names_and_numbers() {
        for signal in ["SIGTERM", "term", "9", "-1", "SIGRTMIN+15", "rtmax-14", "RTMIN", "+3"] {
            assert!(is_signal(signal), "{signal}");
        }
        for other in ["SIGFOO", "0", "", "RTMIN+16", "RTMAX-0", "RTMIN+01", "SIG"] {
            assert!(!is_signal(other), "{other}");
        }
    }
}
