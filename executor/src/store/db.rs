//! The database: one SQLite file that any number of processes share.
//!
//! Write-ahead log, commits not synced one by one: a killed process loses nothing, a loss of power at most the last
//! commits, and what they named is then built again. Rows only ever refer to things that were made before them.

use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::{Error, Result};

/// How long a writer waits for another process's transaction, which take milliseconds.
const BUSY: Duration = Duration::from_secs(60);

/// Pages of the log after which it is folded into the file: a short log is read quickly by the next process.
const LOG_PAGES: i64 = 250;

/// Version of the tables below, kept in the file; a file of another version is refused.
const VERSION: i64 = 1;

const TABLES: &str = "
CREATE TABLE layer (id TEXT PRIMARY KEY, diff_id TEXT) WITHOUT ROWID;
CREATE TABLE layer_blob (layer TEXT, digest TEXT, descriptor TEXT NOT NULL, PRIMARY KEY (layer, digest)) WITHOUT ROWID;
CREATE TABLE layer_origin (layer TEXT, origin TEXT, PRIMARY KEY (layer, origin)) WITHOUT ROWID;
CREATE TABLE image (name TEXT PRIMARY KEY, target TEXT NOT NULL, created INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE key (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE link (
    parent TEXT, input INTEGER, output INTEGER, digest TEXT, selector TEXT, child TEXT,
    PRIMARY KEY (parent, input, output, digest, selector, child)
) WITHOUT ROWID;
CREATE TABLE result (key TEXT, layers TEXT, created INTEGER NOT NULL, PRIMARY KEY (key, layers)) WITHOUT ROWID;
CREATE TABLE used (layers TEXT PRIMARY KEY, last INTEGER NOT NULL, count INTEGER NOT NULL) WITHOUT ROWID;
";

/// An open database.
pub struct Db(Mutex<Connection>);

impl Db {
    /// Opens the file, and makes it when it is missing.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags).map_err(failed("open the database"))?;
        prepare(&mut connection).map_err(failed("open the database"))?;
        match version(&connection).map_err(failed("read the database"))? {
            VERSION => Ok(Self(Mutex::new(connection))),
            other => Err(Error::Invalid(format!(
                "{} has version {other}, this executor knows version {VERSION}: use another store directory",
                path.display()
            ))),
        }
    }

    /// Reads. Statements are cached: prepare with `prepare_cached`.
    pub fn read<T>(&self, what: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        what(&self.lock()).map_err(failed("read the database"))
    }

    /// Writes, all or nothing.
    pub fn write<T>(&self, what: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T> {
        let mut connection = self.lock();
        let run = || {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = what(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        run().map_err(failed("write the database"))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().expect("no panic while the database is held")
    }
}

fn prepare(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(64);
    if version(connection)? == 0 {
        create(connection)?;
    }
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    // Not when a process ends, which would wait for the disk.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "synchronous", "NORMAL")
}

/// Makes the tables, unless another process just did.
fn create(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if version(&transaction)? == 0 {
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    transaction.commit()
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn failed(attempt: &'static str) -> impl FnOnce(rusqlite::Error) -> Error {
    move |source| Error::Database { attempt, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::scratch;

    #[test]
    fn writes_are_all_or_nothing_and_seen_by_others() {
        let dir = scratch();
        let path = dir.path().join("db");
        let (one, two) = (Db::open(&path).unwrap(), Db::open(&path).unwrap());
        let count = |db: &Db| db.read(|c| c.query_row("SELECT count(*) FROM key", [], |row| row.get::<_, i64>(0)));
        one.write(|t| t.execute("INSERT INTO key VALUES ('a')", [])).unwrap();
        let failed: Result<()> = one.write(|t| {
            t.execute("INSERT INTO key VALUES ('b')", [])?;
            t.execute("INSERT INTO nonsense VALUES (1)", [])?;
            Ok(())
        });
        assert!(matches!(failed, Err(Error::Database { .. })));
        assert_eq!((count(&one).unwrap(), count(&two).unwrap()), (1, 1));
    }

    #[test]
    fn many_open_a_new_database_at_once() {
        let dir = scratch();
        let path = dir.path().join("db");
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| Db::open(&path).map(drop))).collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
        });
    }

    #[test]
    fn another_version_is_refused() {
        let dir = scratch();
        let path = dir.path().join("db");
        drop(Db::open(&path).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let message = Db::open(&path).err().unwrap().to_string();
        assert!(message.contains("has version 99, this executor knows version 1"), "{message}");
    }
}
