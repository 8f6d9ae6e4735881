//! Cancellation: one flag that many threads look at or wait on.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A shared request to stop. Cheap to clone; once set it stays set.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<(Mutex<bool>, Condvar)>);

impl Cancel {
    /// Asks everybody who holds a clone to stop.
    pub fn cancel(&self) {
        *self.0.0.lock().expect("no panic while the flag is held") = true;
        self.0.1.notify_all();
    }

    /// Whether to stop.
    pub fn is_cancelled(&self) -> bool {
        *self.0.0.lock().expect("no panic while the flag is held")
    }

    /// Waits until it is set or the time is over; returns whether it is set.
    pub fn wait(&self, timeout: Duration) -> bool {
        let flag = self.0.0.lock().expect("no panic while the flag is held");
        let (flag, _) =
            self.0.1.wait_timeout_while(flag, timeout, |set| !*set).expect("no panic while the flag is held");
        *flag
    }
}
