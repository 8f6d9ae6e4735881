//! Images by name. A name is a full reference with a tag or digest (`docker.io/library/app:latest`).

use std::collections::BTreeSet;

use oci::{Descriptor, Digest, Document, Reference};
use rusqlite::{OptionalExtension, Row, params};

use super::{Store, read_blob};
use crate::{Error, Result, text};

/// A named image.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// Its name.
    pub name: Reference,
    /// Its manifest or index, whose blobs are in the store.
    pub target: Descriptor,
    /// When the name was given: seconds since the epoch.
    pub created: i64,
}

impl Store {
    /// The image of a name; a reference without tag and digest means `latest`.
    pub fn image(&self, name: &Reference) -> Result<Option<Image>> {
        let name = key(name);
        let found = self.db().read(|db| {
            db.prepare_cached("SELECT name, target, created FROM image WHERE name = ?1")?
                .query_row([name], row)
                .optional()
        })?;
        found.map(parse).transpose()
    }

    /// All images, by name.
    pub fn images(&self) -> Result<Vec<Image>> {
        let rows: Vec<_> = self.db().read(|db| {
            db.prepare_cached("SELECT name, target, created FROM image ORDER BY name")?.query_map([], row)?.collect()
        })?;
        rows.into_iter().map(parse).collect()
    }

    /// Names an image, taking the name from another one that had it.
    pub fn put_image(&self, image: &Image) -> Result<()> {
        self.put_images(std::slice::from_ref(image))
    }

    /// Names images, all of them or none. What has a name has reached the disk.
    pub fn put_images(&self, images: &[Image]) -> Result<()> {
        let blobs = self.blobs_of(images.iter().map(|image| image.target.clone()));
        blobs.iter().try_for_each(|digest| self.blobs().sync(digest))?;
        self.db().write(|db| {
            let mut insert = db.prepare_cached("INSERT OR REPLACE INTO image VALUES (?1, ?2, ?3)")?;
            images.iter().try_for_each(|image| {
                let target = serde_json::to_string(&image.target).expect("descriptors are plain data");
                insert.execute(params![key(&image.name), target, image.created]).map(drop)
            })
        })
    }

    /// The blobs that images consist of, here or not. Of an image whose manifest is not here that is all.
    pub(crate) fn blobs_of(&self, images: impl Iterator<Item = Descriptor>) -> BTreeSet<Digest> {
        let mut blobs = BTreeSet::new();
        let mut waiting: Vec<_> = images.collect();
        while let Some(descriptor) = waiting.pop() {
            if !blobs.insert(descriptor.digest.clone()) {
                continue;
            }
            let Ok(bytes) = read_blob(self.blobs(), &descriptor.digest, text::LONGEST_DOCUMENT) else { continue };
            match Document::parse(&bytes) {
                Ok(Document::Index(index)) => waiting.extend(index.manifests),
                Ok(Document::Manifest(manifest)) => {
                    blobs.insert(manifest.config.digest);
                    blobs.extend(manifest.layers.into_iter().map(|layer| layer.digest));
                }
                Err(_) => {}
            }
        }
        blobs
    }

    /// Takes a name away; the blobs stay until they are pruned. **Errors**: `NotFound`.
    pub fn remove_image(&self, name: &Reference) -> Result<()> {
        let removed = self.db().write(|db| db.execute("DELETE FROM image WHERE name = ?1", [key(name)]))?;
        if removed == 0 {
            return Err(Error::NotFound(format!("no image is named {} in the store", name.familiar())));
        }
        Ok(())
    }
}

fn key(name: &Reference) -> String {
    name.clone().or_latest().to_string()
}

type Fields = (String, String, i64);

fn row(row: &Row<'_>) -> rusqlite::Result<Fields> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

fn parse((name, target, created): Fields) -> Result<Image> {
    let damaged = |why: String| Error::Invalid(format!("image {name} in the store is damaged: {why}"));
    Ok(Image {
        name: Reference::parse(&name).map_err(|e| damaged(e.to_string()))?,
        target: serde_json::from_str(&target).map_err(|e| damaged(e.to_string()))?,
        created,
    })
}

#[cfg(test)]
mod tests {
    use oci::{Index, Manifest, media};

    use super::*;
    use crate::store::{tests::scratch, write_blob};

    #[test]
    fn what_gets_a_name_is_on_the_disk_first() {
        let dir = scratch();
        let store = Store::open(dir.path()).unwrap();
        let put = |bytes: &[u8]| write_blob(store.blobs(), &mut &*bytes, None).unwrap();
        let (config, layer) = (Descriptor::of(media::OCI_CONFIG, b"{}"), Descriptor::of(media::OCI_LAYER, b"layer"));
        let manifest = Manifest::new(config, vec![layer]).to_json();
        let index = Index::new(vec![Descriptor::of(media::OCI_MANIFEST, &manifest)]).to_json();
        [b"{}", &b"layer"[..], b"of nobody", &manifest, &index].iter().for_each(|bytes| drop(put(bytes)));
        let markers = dir.path().join("unsynced-blobs-v2").join(crate::unsynced::boot().unwrap());
        let unsynced = || std::fs::read_dir(&markers).unwrap().count();
        assert_eq!(unsynced(), 5);
        let name = Reference::parse("app").unwrap();
        store.put_image(&Image { name, target: Descriptor::of(media::OCI_INDEX, &index), created: 1 }).unwrap();
        assert_eq!(unsynced(), 1);
    }

    #[test]
    fn names_come_and_go() {
        let dir = scratch();
        let store = Store::open(dir.path()).unwrap();
        let name = |text| Reference::parse(text).unwrap();
        assert_eq!(store.image(&name("app")).unwrap(), None);
        let image = |text, data: &[u8]| Image {
            name: Reference::parse(text).unwrap().or_latest(),
            target: Descriptor::of(media::OCI_MANIFEST, data),
            created: 7,
        };
        store.put_image(&image("app", b"1")).unwrap();
        store.put_images(&[image("quay.io/x/y:2", b"2"), image("app:latest", b"3")]).unwrap();
        let names: Vec<_> = store.images().unwrap().iter().map(|image| image.name.familiar()).collect();
        assert_eq!(names, ["app:latest", "quay.io/x/y:2"]);
        assert_eq!(store.image(&name("docker.io/library/app:latest")).unwrap(), Some(image("app", b"3")));
        store.remove_image(&name("app")).unwrap();
        assert_eq!(store.remove_image(&name("app")).unwrap_err().to_string(), "no image is named app in the store");
    }
}
