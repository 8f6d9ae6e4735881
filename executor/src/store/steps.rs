//! How steps went: how long each vertex took when it last ran, what it left, and what the layers it made are called.
//!
//! For people: builds do not depend on it, but for what the history of an image says of layers of a nested build that came
//! from the cache whole. Written once at the end of a build. Of steps only the newest are kept; tables of their own, whose
//! names have the version, are made when there is first something to say.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oci::Digest;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::Store;
use crate::Result;

/// So many steps are remembered: some hundred builds of ordinary size, in about a megabyte.
const MOST: i64 = 10_000;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS step_v1 (
    vertex TEXT PRIMARY KEY, took INTEGER NOT NULL, bytes INTEGER, ended INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS layer_made_by_v1 (layer TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID";

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepRun {
    /// How long it took.
    pub took: Duration,
    /// Bytes of the layers it made, as far as known.
    pub bytes: Option<u64>,
}

impl Store {
    /// Remembers how vertices went, by their digests; what is known of older runs is replaced. Of layers, which made them
    /// first.
    pub fn remember_steps(&self, steps: &[(Digest, StepRun)], made: &[(&str, String)]) -> Result<()> {
        if steps.is_empty() {
            return Ok(());
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.db().write(|db| {
            db.execute_batch(TABLES)?;
            let mut insert = db.prepare_cached("INSERT OR REPLACE INTO step_v1 VALUES (?1, ?2, ?3, ?4)")?;
            for (vertex, run) in steps {
                insert.execute(params![vertex.as_str(), millis(run.took), run.bytes.map(signed), millis(now)])?;
            }
            let mut insert = db.prepare_cached("INSERT OR IGNORE INTO layer_made_by_v1 VALUES (?1, ?2)")?;
            for (layer, text) in made {
                insert.execute(params![layer, text])?;
            }
            let count: i64 = db.query_row("SELECT count(*) FROM step_v1", [], |row| row.get(0))?;
            if count > MOST {
                let oldest = "SELECT vertex FROM step_v1 ORDER BY ended, vertex LIMIT ?1";
                db.execute(&format!("DELETE FROM step_v1 WHERE vertex IN ({oldest})"), [count - MOST])?;
            }
            Ok(())
        })
    }

    /// What made layers, in the order of the layers; `None` where nobody says.
    pub fn made_by(&self, layers: &[&str]) -> Result<Vec<Option<String>>> {
        self.db().read(|db| {
            if !has_table(db, "layer_made_by_v1")? {
                return Ok(vec![None; layers.len()]);
            }
            let mut find = db.prepare_cached("SELECT text FROM layer_made_by_v1 WHERE layer = ?1")?;
            layers.iter().map(|layer| find.query_row([layer], |row| row.get(0)).optional()).collect()
        })
    }

    /// How vertices went when they last ran, as far as that is known.
    pub fn steps(&self, vertices: &[Digest]) -> Result<BTreeMap<Digest, StepRun>> {
        self.db().read(|db| {
            if !has_table(db, "step_v1")? {
                return Ok(BTreeMap::new());
            }
            let mut find = db.prepare_cached("SELECT took, bytes FROM step_v1 WHERE vertex = ?1")?;
            let mut found = BTreeMap::new();
            for vertex in vertices {
                let run = find.query_row([vertex.as_str()], |row| {
                    let took = Duration::from_millis(row.get::<_, i64>(0)?.unsigned_abs());
                    Ok(StepRun { took, bytes: row.get::<_, Option<i64>>(1)?.map(i64::unsigned_abs) })
                });
                found.extend(run.optional()?.map(|run| (vertex.clone(), run)));
            }
            Ok(found)
        })
    }
}

/// Forgets what made a layer.
pub(super) fn forget_made(db: &Connection, layer: &str) -> rusqlite::Result<()> {
    if has_table(db, "layer_made_by_v1")? {
        db.prepare_cached("DELETE FROM layer_made_by_v1 WHERE layer = ?1")?.execute([layer])?;
    }
    Ok(())
}

/// Whether there was something to say.
pub(super) fn has_table(db: &Connection, name: &str) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT 1 FROM sqlite_master WHERE name = ?1")?.exists([name])
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::scratch;

    fn digest(number: usize) -> Digest {
        Digest::sha256(&number.to_le_bytes())
    }

    #[test]
    fn the_newest_steps_are_remembered() {
        let dir = scratch();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.steps(&[digest(0)]).unwrap(), BTreeMap::new(), "an old store has no such table");
        let run = |millis, bytes| StepRun { took: Duration::from_millis(millis), bytes };
        store.remember_steps(&[(digest(0), run(5, None)), (digest(1), run(7, Some(9)))], &[]).unwrap();
        store.remember_steps(&[(digest(0), run(6, None))], &[]).unwrap();
        let found = store.steps(&[digest(0), digest(1), digest(2)]).unwrap();
        assert_eq!(found, BTreeMap::from([(digest(0), run(6, None)), (digest(1), run(7, Some(9)))]));

        std::thread::sleep(Duration::from_millis(2));
        let many: Vec<_> = (10..10 + MOST as usize).map(|number| (digest(number), run(1, None))).collect();
        store.remember_steps(&many, &[]).unwrap();
        let kept = store.steps(&[digest(0), digest(1), digest(10), digest(9 + MOST as usize)]).unwrap();
        assert_eq!(
            kept.keys().cloned().collect::<std::collections::BTreeSet<_>>(),
            [digest(10), digest(9 + MOST as usize)].into()
        );
    }

    #[test]
    fn what_made_a_layer_first_is_remembered_until_the_layer_goes() {
        let dir = scratch();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.made_by(&["a"]).unwrap(), [None], "an old store has no such table");
        let run = (digest(0), StepRun { took: Duration::ZERO, bytes: None });
        store
            .remember_steps(std::slice::from_ref(&run), &[("a", "mkdir /a".into()), ("b", "mkdir /b".into())])
            .unwrap();
        store.remember_steps(&[run], &[("a", "copy / /".into())]).unwrap();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(store.made_by(&["b", "a", "c"]).unwrap(), [text("mkdir /b"), text("mkdir /a"), None]);
        store.forget_layers(&["a"].into()).unwrap();
        store.forget_layer("b").unwrap();
        assert_eq!(store.made_by(&["a", "b"]).unwrap(), [None, None]);
    }
}
