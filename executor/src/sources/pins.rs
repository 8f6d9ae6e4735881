//! What names stood for when a build first asked: a branch that moves or a file that changes meanwhile is one thing in one
//! build, whoever asks how often (a frontend that looks at a source, and the step that uses it).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::git::Commit;
use super::http::Found;
use crate::Result;

/// What was found in this build. Cheap to clone: clones are of the same build.
#[derive(Clone, Default)]
pub struct Pins {
    pub(super) commits: Memo<Commit>,
    pub(super) files: Memo<Found>,
}

/// The first finding for each key.
pub(super) struct Memo<T>(Arc<Mutex<HashMap<String, T>>>);

impl<T> Clone for Memo<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Memo<T> {
    /// What was found for the key, else what `find` does. When two ask at the same time, both get what one of them found.
    pub(super) fn get(&self, key: String, find: impl FnOnce() -> Result<T>) -> Result<T> {
        let known = || self.0.lock().expect("no panic while the map is held");
        if let Some(found) = known().get(&key) {
            return Ok(found.clone());
        }
        let found = find()?;
        Ok(known().entry(key).or_insert(found).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn the_first_finding_stays_and_failures_do_not() {
        let memo = Memo::default();
        let get = |key: &str, found: Result<i32>| memo.get(key.to_owned(), || found).ok();
        assert_eq!(get("a", Err(Error::Cancelled)), None);
        assert_eq!(get("a", Ok(1)), Some(1));
        assert_eq!(memo.clone().get("a".to_owned(), || Ok(2)).ok(), Some(1));
        assert_eq!(get("b", Ok(3)), Some(3));
    }
}
