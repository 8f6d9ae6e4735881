//! Where blobs were pushed: of each registry, the repository that got a blob last.
//!
//! A registry that has a blob in one repository puts it into another without being sent the bytes again. Nothing depends
//! on it: what is no longer there is sent. The newest are kept, in a table of their own, whose name has the version.

use oci::{Digest, Reference};
use rusqlite::{Connection, params};

use super::Store;
use super::steps::has_table;
use crate::Result;

/// So many places are remembered: in about three megabytes.
const MOST: i64 = 10_000;

// With row numbers: they say which places are the newest.
const TABLE: &str = "
CREATE TABLE IF NOT EXISTS blob_pushed_v1 (
    digest TEXT, registry TEXT, repository TEXT NOT NULL, PRIMARY KEY (digest, registry)
)";

impl Store {
    /// Remembers that a repository has blobs. Writes nothing when that is known.
    pub fn remember_pushed(&self, blobs: &[&Digest], repository: &Reference) -> Result<()> {
        let mut news = Vec::new();
        for digest in blobs {
            if !self.pushed_to(digest)?.contains(repository) {
                news.push(digest.as_str());
            }
        }
        if news.is_empty() {
            return Ok(());
        }
        self.db().write(|db| {
            db.execute_batch(TABLE)?;
            let mut insert = db.prepare_cached("INSERT OR REPLACE INTO blob_pushed_v1 VALUES (?1, ?2, ?3)")?;
            for digest in news {
                insert.execute(params![digest, repository.domain(), repository.to_string()])?;
            }
            let oldest = "DELETE FROM blob_pushed_v1 WHERE rowid <= (SELECT max(rowid) FROM blob_pushed_v1) - ?1";
            db.prepare_cached(oldest)?.execute([MOST]).map(drop)
        })
    }

    /// The repositories a blob was pushed to, the newest first; one a registry.
    pub fn pushed_to(&self, digest: &Digest) -> Result<Vec<Reference>> {
        let names = self.db().read(|db| pushed_to(db, digest))?;
        Ok(names.iter().filter_map(|name| Reference::parse(name).ok()).collect())
    }
}

fn pushed_to(db: &Connection, digest: &Digest) -> rusqlite::Result<Vec<String>> {
    if !has_table(db, "blob_pushed_v1")? {
        return Ok(Vec::new());
    }
    let query = "SELECT repository FROM blob_pushed_v1 WHERE digest = ?1 ORDER BY rowid DESC";
    db.prepare_cached(query)?.query_map([digest.as_str()], |row| row.get(0))?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::scratch;

    fn digest(number: usize) -> Digest {
        Digest::sha256(&number.to_le_bytes())
    }

    fn repository(name: &str) -> Reference {
        Reference::parse(name).unwrap().without_object()
    }

    #[test]
    fn the_last_repository_of_each_registry_is_remembered() {
        let dir = scratch();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.pushed_to(&digest(0)).unwrap(), [], "an old store has no such table");
        let [one, two, hub] = ["localhost:5000/one", "localhost:5000/two", "team/app"].map(repository);
        for place in [&one, &hub, &two, &two] {
            store.remember_pushed(&[&digest(0), &digest(1)], place).unwrap();
        }
        assert_eq!(store.pushed_to(&digest(0)).unwrap(), [two, hub]);
        assert_eq!(store.pushed_to(&digest(2)).unwrap(), []);
    }

    #[test]
    fn the_newest_places_are_remembered() {
        let dir = scratch();
        let store = Store::open(dir.path()).unwrap();
        let place = repository("localhost:5000/one");
        let many: Vec<_> = (0..MOST as usize + 2).map(digest).collect();
        let (old, new) = many.split_at(2);
        store.remember_pushed(&old.iter().collect::<Vec<_>>(), &place).unwrap();
        store.remember_pushed(&new.iter().collect::<Vec<_>>(), &place).unwrap();
        let known = [0, 1, 2, MOST as usize + 1].map(|number| store.pushed_to(&digest(number)).unwrap().len());
        assert_eq!(known, [0, 0, 1, 1]);
    }
}
