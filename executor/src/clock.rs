//! Moments of the machine's clock, as images and logs have them.

use std::time::{SystemTime, UNIX_EPOCH};

use oci::Time;

/// Now.
pub(crate) fn now() -> Time {
    time(SystemTime::now())
}

/// A moment; one before 1970 is taken for its beginning.
pub(crate) fn time(at: SystemTime) -> Time {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_unix(i64::try_from(since.as_secs()).unwrap_or(i64::MAX), since.subsec_nanos())
}
