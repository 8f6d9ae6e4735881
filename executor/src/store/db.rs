//! The database: one SQLite file that any number of processes share.
//!
//! Write-ahead log, commits not synced one by one: a killed process loses nothing, a loss of power at most the last
//! commits, and what they named is then built again. Rows only ever refer to things that were made before them.
//!
//! The first of the processes that have the file open reads the whole log. So it is kept short: folded into the file, which
//! waits for the disk, by a process that nobody waits for where there is one.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};

use crate::{Error, Result};

/// How long a writer waits for another process's transaction, which take milliseconds.
const BUSY: Duration = Duration::from_secs(60);

/// Bytes of the log after which it is folded into the file when nobody waits for that: some 60 pages.
const LONG: u64 = 256 << 10;
/// Bytes of the log after which it is folded in whoever waits, when a process is done with the file.
const TOO_LONG: u64 = 1 << 20;
/// Pages of the log after which it is folded in by whoever writes to it.
const MOST_PAGES: i64 = 1000;

/// How the file is opened.
const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

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
pub struct Db {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl Db {
    /// Opens the file, and makes it when it is missing.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let flags = FLAGS | OpenFlags::SQLITE_OPEN_CREATE;
        let mut connection = Connection::open_with_flags(path, flags).map_err(failed("open the database"))?;
        connection.busy_timeout(BUSY).map_err(failed("open the database"))?;
        if version(&connection).map_err(failed("open the database"))? == 0 {
            let _lock = lock_directory(path)?;
            create(&mut connection).map_err(failed("make the database"))?;
        }
        prepare(&connection).map_err(failed("open the database"))?;
        match version(&connection).map_err(failed("read the database"))? {
            VERSION => Ok(Self { path: path.to_owned(), connection: Mutex::new(connection) }),
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

    /// Leaves a long log to whoever takes a copy of the file's descriptor: a process that lives longer and then calls
    /// [`fold_handed_over`]. Where nobody does, one that is too long is folded in here.
    pub(crate) fn hand_over(&self, take: &mut dyn FnMut(BorrowedFd<'_>) -> bool) {
        let length = self.log_length();
        if length < LONG {
            return;
        }
        // A descriptor that only names the file: closing another would end the locks that this process has on it.
        let file = rustix::fs::open(&self.path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
        if !file.is_ok_and(|file| take(file.as_fd())) && length >= TOO_LONG {
            // Else it is done by the next one.
            let _ = fold(&self.lock());
        }
    }

    /// Bytes of the log; 0 when it was folded in and nothing was written since.
    fn log_length(&self) -> u64 {
        let mut path = self.path.clone().into_os_string();
        path.push("-wal");
        fs::metadata(path).map_or(0, |found| found.len())
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().expect("no panic while the database is held")
    }
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "wal_autocheckpoint", MOST_PAGES)?;
    settle(connection)
}

/// What is the same for whoever opens the file.
fn settle(connection: &Connection) -> rusqlite::Result<()> {
    // Not when a process ends, which would wait for the disk.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.pragma_update(None, "synchronous", "NORMAL")
}

/// Folds the log of a database that was handed over into it.
pub(crate) fn fold_handed_over(file: OwnedFd) {
    let fold = || -> rusqlite::Result<()> {
        let Ok(path) = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())) else { return Ok(()) };
        let connection = Connection::open_with_flags(path, FLAGS)?;
        settle(&connection)?;
        self::fold(&connection)
    };
    // A log that stays long is folded in by the next process.
    let _ = fold();
}

/// Folds the log into the file, as far as nobody needs it, and empties it when that was all of it. Waits for nobody.
fn fold(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::ZERO)?;
    // The first waits for the disk and lets others write meanwhile; the second finds nothing left to wait for.
    for how in ["PASSIVE", "TRUNCATE"] {
        connection.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |_| Ok(()))?;
    }
    Ok(())
}

/// Held while the file is made: a process that gives it a log, while another does, fails at once however long it would wait.
fn lock_directory(path: &Path) -> Result<File> {
    let dir = path.parent().expect("a file in a directory");
    let lock = File::open(dir).map_err(Error::io("open", dir))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(io::Error::from).map_err(Error::io("lock", dir))?;
    Ok(lock)
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
        for _ in 0..20 {
            let dir = scratch();
            let path = dir.path().join("db");
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| Db::open(&path).map(drop))).collect();
                threads.into_iter().for_each(|thread| thread.join().unwrap().unwrap());
            });
        }
    }

    /// Writes until the log has so many bytes, and says how many rows there are.
    fn lengthen(db: &Db, length: u64) -> i64 {
        while db.log_length() < length {
            let key = "x".repeat(3000);
            db.write(|t| t.execute("INSERT INTO key SELECT ?1 || count(*) FROM key", [&key])).unwrap();
        }
        count(db)
    }

    fn count(db: &Db) -> i64 {
        db.read(|c| c.query_row("SELECT count(*) FROM key", [], |row| row.get(0))).unwrap()
    }

    #[test]
    fn a_long_log_is_folded_in_when_nobody_waits() {
        let dir = scratch();
        let path = dir.path().join("db");
        let db = Db::open(&path).unwrap();
        db.hand_over(&mut |_| unreachable!("a short log stays"));
        let rows = lengthen(&db, LONG);
        db.hand_over(&mut |_| false);
        assert!(db.log_length() >= LONG, "nobody is to wait for that");
        let mut taken = None;
        db.hand_over(&mut |file| taken.insert(file.try_clone_to_owned().unwrap()).as_raw_fd() >= 0);
        fold_handed_over(taken.unwrap());
        assert_eq!((db.log_length(), count(&db)), (0, rows));
        drop(db);
        assert_eq!(count(&Db::open(&path).unwrap()), rows);
    }

    #[test]
    fn a_log_that_is_too_long_is_folded_in_by_whoever_wrote_it() {
        let dir = scratch();
        let path = dir.path().join("db");
        let (db, other) = (Db::open(&path).unwrap(), Db::open(&path).unwrap());
        let rows = lengthen(&db, TOO_LONG);
        other
            .read(|reading| {
                let transaction = reading.unchecked_transaction()?;
                assert_eq!(transaction.query_row("SELECT count(*) FROM key", [], |row| row.get::<_, i64>(0))?, rows);
                db.hand_over(&mut |_| false);
                assert!(db.log_length() >= TOO_LONG, "it is read: nobody waits for that");
                Ok(())
            })
            .unwrap();
        db.hand_over(&mut |_| false);
        assert_eq!((db.log_length(), count(&db), count(&other)), (0, rows, rows));
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
