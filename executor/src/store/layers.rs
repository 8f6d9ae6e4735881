//! What is known of layers beside their files: diff id, blobs by compression, and where they can be had.

use oci::{Descriptor, Digest};
use rusqlite::{Connection, OptionalExtension, params};

use super::Store;
use super::steps::forget_made;
use crate::Result;

/// What is known of a layer. **Shape**: every field may be empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layer {
    /// Digest of its uncompressed tar.
    pub diff_id: Option<Digest>,
    /// Its tar in the compressions that were seen or made. The bytes need not be in the store.
    pub blobs: Vec<Descriptor>,
    /// Source identifiers that have the blobs: `docker-image://docker.io/library/alpine`.
    pub origins: Vec<String>,
}

impl Store {
    /// What is known of a layer; nothing is known of an unknown one.
    pub fn layer(&self, id: &str) -> Result<Layer> {
        self.db().read(|db| {
            let diff_id: Option<Option<String>> = db
                .prepare_cached("SELECT diff_id FROM layer WHERE id = ?1")?
                .query_row([id], |row| row.get(0))
                .optional()?;
            let blobs = texts(db, "SELECT descriptor FROM layer_blob WHERE layer = ?1", id)?;
            Ok(Layer {
                diff_id: diff_id.flatten().and_then(|text| Digest::parse(&text).ok()),
                blobs: blobs.iter().filter_map(|text| serde_json::from_str(text).ok()).collect(),
                origins: texts(db, "SELECT origin FROM layer_origin WHERE layer = ?1", id)?,
            })
        })
    }

    /// What is known of the layers that have a blob.
    pub fn layers_of_blob(&self, digest: &Digest) -> Result<Vec<Layer>> {
        let query = "SELECT layer FROM layer_blob WHERE digest = ?1";
        let ids = self.db().read(|db| texts(db, query, digest.as_str()))?;
        ids.iter().map(|id| self.layer(id)).collect()
    }

    /// Adds to what is known of a layer.
    pub fn put_layer(&self, id: &str, layer: &Layer) -> Result<()> {
        self.put_layers([(id, layer)])
    }

    /// Adds to what is known of layers, in one transaction. Writes nothing when all of it is known.
    pub fn put_layers<'a>(&self, layers: impl IntoIterator<Item = (&'a str, &'a Layer)>) -> Result<()> {
        let mut news = Vec::new();
        for (id, layer) in layers {
            if !covers(&self.layer(id)?, layer) {
                news.push((id, layer));
            }
        }
        if news.is_empty() {
            return Ok(());
        }
        self.db().write(|db| news.iter().try_for_each(|(id, layer)| insert(db, id, layer)))
    }

    /// Whether a cached result has a layer.
    pub fn is_in_result(&self, id: &str) -> Result<bool> {
        let query = "SELECT EXISTS (SELECT 1 FROM result WHERE instr(layers, ?1) > 0)";
        self.db().read(|db| db.prepare_cached(query)?.query_row([id], |row| row.get(0)))
    }

    /// Forgets a layer.
    pub fn forget_layer(&self, id: &str) -> Result<()> {
        self.db().write(|db| {
            db.execute("DELETE FROM layer WHERE id = ?1", [id])?;
            db.execute("DELETE FROM layer_blob WHERE layer = ?1", [id])?;
            db.execute("DELETE FROM layer_origin WHERE layer = ?1", [id])?;
            forget_made(db, id)
        })
    }
}

fn covers(known: &Layer, layer: &Layer) -> bool {
    (layer.diff_id.is_none() || known.diff_id == layer.diff_id)
        && layer.blobs.iter().all(|blob| known.blobs.contains(blob))
        && layer.origins.iter().all(|origin| known.origins.contains(origin))
}

fn insert(db: &Connection, id: &str, layer: &Layer) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO layer VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET diff_id = coalesce(?2, diff_id)",
    )?
    .execute(params![id, layer.diff_id.as_ref().map(Digest::as_str)])?;
    for blob in &layer.blobs {
        let text = serde_json::to_string(blob).expect("descriptors are plain data");
        db.prepare_cached("INSERT OR REPLACE INTO layer_blob VALUES (?1, ?2, ?3)")?.execute(params![
            id,
            blob.digest.as_str(),
            text
        ])?;
    }
    for origin in &layer.origins {
        db.prepare_cached("INSERT OR IGNORE INTO layer_origin VALUES (?1, ?2)")?.execute([id, origin])?;
    }
    Ok(())
}

fn texts(db: &Connection, query: &str, id: &str) -> rusqlite::Result<Vec<String>> {
    db.prepare_cached(query)?.query_map([id], |row| row.get(0))?.collect()
}

#[cfg(test)]
mod tests {
    use oci::media;

    use super::*;
    use crate::store::tests::scratch;

    #[test]
    fn knowledge_adds_up() {
        let dir = scratch();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(store.layer("a").unwrap(), Layer::default());
        let blob = |media_type, text: &[u8]| Descriptor::of(media_type, text);
        let first = Layer {
            diff_id: None,
            blobs: vec![blob(media::OCI_LAYER_GZIP, b"g")],
            origins: vec!["docker-image://docker.io/library/alpine".into()],
        };
        store.put_layer("a", &first).unwrap();
        assert_eq!(store.layer("a").unwrap(), first);
        let second = Layer {
            diff_id: Some(Digest::sha256(b"t")),
            blobs: vec![blob(media::OCI_LAYER_ZSTD, b"z")],
            origins: vec![],
        };
        store.put_layer("a", &second).unwrap();
        store.put_layer("a", &first).unwrap();
        let both = store.layer("a").unwrap();
        assert_eq!((both.diff_id, both.blobs.len(), both.origins.len()), (second.diff_id, 2, 1));
        store.forget_layer("a").unwrap();
        assert_eq!(store.layer("a").unwrap(), Layer::default());
    }
}
