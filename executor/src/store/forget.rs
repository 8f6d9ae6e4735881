//! What pruning needs to know of the database and to take out of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use oci::{Algorithm, Digest};
use rusqlite::{Transaction, params};

use super::Store;
use super::blobs::BLOBS;
use super::steps::forget_made;
use crate::{Error, Result};

impl Store {
    /// Trees that were of use. **Shape**: layers separated by blanks, lowest first; when last, in milliseconds since the
    /// epoch; how often.
    pub fn uses(&self) -> Result<Vec<(String, u64, u64)>> {
        self.db().read(|db| {
            let number = |value: i64| u64::try_from(value).unwrap_or_default();
            let mut used: BTreeMap<String, (u64, u64)> = BTreeMap::new();
            let queries = ["SELECT layers, last, count FROM used", "SELECT layers, created, 0 FROM result"];
            for query in queries {
                let mut query = db.prepare(query)?;
                let rows = query.query_map([], |row| Ok((row.get(0)?, number(row.get(1)?), number(row.get(2)?))))?;
                for row in rows {
                    let (layers, last, count): (String, u64, u64) = row?;
                    let known = used.entry(layers).or_default();
                    *known = (known.0.max(last), known.1.max(count));
                }
            }
            Ok(used.into_iter().map(|(layers, (last, count))| (layers, last, count)).collect())
        })
    }

    /// Forgets layers, results that have one of them, and keys that lead nowhere then.
    pub fn forget_layers(&self, layers: &BTreeSet<&str>) -> Result<()> {
        if layers.is_empty() {
            return Ok(());
        }
        self.db().write(|db| {
            for table in ["result", "used"] {
                forget_trees(db, table, layers)?;
            }
            for id in layers {
                for statement in [
                    "DELETE FROM layer WHERE id = ?1",
                    "DELETE FROM layer_blob WHERE layer = ?1",
                    "DELETE FROM layer_origin WHERE layer = ?1",
                ] {
                    db.prepare_cached(statement)?.execute([id])?;
                }
                forget_made(db, id)?;
            }
            forget_keys(db)
        })
    }

    /// Blobs with their sizes in bytes and when they were written.
    pub fn list_blobs(&self) -> Result<BTreeMap<Digest, (u64, SystemTime)>> {
        let mut blobs = BTreeMap::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512] {
            let dir = self.root().join(BLOBS).join(algorithm.as_str());
            let entries = match fs::read_dir(&dir) {
                Ok(entries) => entries,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io("list", dir)(error)),
            };
            for entry in entries {
                let entry = entry.map_err(Error::io("list", &dir))?;
                let name = format!("{}:{}", algorithm.as_str(), entry.file_name().to_string_lossy());
                // Removed since, or none of ours.
                let (Ok(digest), Ok(meta)) = (Digest::parse(&name), entry.metadata()) else { continue };
                blobs.insert(digest, (meta.len(), meta.modified().unwrap_or(UNIX_EPOCH)));
            }
        }
        Ok(blobs)
    }
}

/// Removes the rows of a table whose trees have one of the layers.
fn forget_trees(db: &Transaction<'_>, table: &str, layers: &BTreeSet<&str>) -> rusqlite::Result<()> {
    let mut query = db.prepare(&format!("SELECT DISTINCT layers FROM {table}"))?;
    let trees: Vec<String> = query.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let mut delete = db.prepare(&format!("DELETE FROM {table} WHERE layers = ?1"))?;
    for tree in trees.iter().filter(|tree| tree.split(' ').any(|layer| layers.contains(layer))) {
        delete.execute(params![tree])?;
    }
    Ok(())
}

/// Removes keys without a result that lead to no other key, and then those that led to them.
fn forget_keys(db: &Transaction<'_>) -> rusqlite::Result<()> {
    loop {
        let keys = db.execute(
            "DELETE FROM key WHERE id NOT IN (SELECT key FROM result) AND id NOT IN (SELECT parent FROM link)",
            [],
        )?;
        let links = db.execute("DELETE FROM link WHERE child NOT IN (SELECT id FROM key)", [])?;
        if keys + links == 0 {
            return Ok(());
        }
    }
}
