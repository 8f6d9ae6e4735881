//! Who uses a store: builds together, pruning alone. The kernel drops a process's lock when it dies.

use std::fs::File;
use std::io;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::Store;
use crate::{Cancel, Error, Result};

/// The file that is locked.
const LOCK: &str = "in-use";
/// How often a lock is tried again: a build takes longer than that, and nobody is in a hurry to prune.
const RETRY: Duration = Duration::from_millis(50);

/// The right to use a store, or to use it alone, until dropped.
#[must_use = "it ends when it is dropped"]
pub struct InUse(#[allow(dead_code, reason = "held, not read")] File);

impl Store {
    /// Uses the store together with others; waits while somebody prunes.
    pub fn in_use(&self, cancel: &Cancel) -> Result<InUse> {
        self.wait_for(FlockOperation::NonBlockingLockShared, cancel)
    }

    /// Uses the store alone; waits for all others.
    pub fn alone(&self, cancel: &Cancel) -> Result<InUse> {
        self.wait_for(FlockOperation::NonBlockingLockExclusive, cancel)
    }

    /// Uses the store alone, if nobody else uses it.
    pub fn try_alone(&self) -> Result<Option<InUse>> {
        self.try_lock(FlockOperation::NonBlockingLockExclusive)
    }

    fn wait_for(&self, how: FlockOperation, cancel: &Cancel) -> Result<InUse> {
        loop {
            if let Some(lock) = self.try_lock(how)? {
                return Ok(lock);
            }
            if cancel.wait(RETRY) {
                return Err(Error::Cancelled);
            }
        }
    }

    fn try_lock(&self, how: FlockOperation) -> Result<Option<InUse>> {
        let path = self.root().join(LOCK);
        let file = File::options().write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(Error::io("open", &path))?;
        match flock(&file, how) {
            Ok(()) => Ok(Some(InUse(file))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(Error::io("lock", path)(io::Error::from(errno))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::scratch;

    #[test]
    fn builds_share_and_pruning_does_not() {
        let dir = scratch();
        let (one, two) = (Store::open(dir.path()).unwrap(), Store::open(dir.path()).unwrap());
        let cancel = Cancel::default();
        let first = one.in_use(&cancel).unwrap();
        let second = two.in_use(&cancel).unwrap();
        assert!(one.try_alone().unwrap().is_none());
        drop((first, second));
        let alone = one.try_alone().unwrap().unwrap();
        cancel.cancel();
        assert!(matches!(two.in_use(&cancel), Err(Error::Cancelled)));
        drop(alone);
        assert!(two.in_use(&cancel).is_ok());
    }
}
