//! A tar of a whole tree as an image of one layer.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use oci::{Descriptor, Digest, Hasher, History, ImageConfig, Manifest, Reference, RootFs, Time, media};

use super::archive::stream;
use super::{damaged, put};
use crate::layer::{Format, sniff};
use crate::store::{Image, Store, write_blob};
use crate::{Error, Result};

pub(super) fn import(store: &Store, path: &Path, name: Option<&Reference>) -> Result<Vec<Image>> {
    let name = name.ok_or_else(|| damaged(path, "a tree has no name of its own; pass one after the file"))?;
    let layer = store_layer(store, path)?;
    let config = config(path, diff_id(path)?).to_json();
    write_blob(store.blobs(), &mut config.as_slice(), None)?;
    let manifest = Manifest::new(Descriptor::of(media::OCI_CONFIG, &config), vec![layer]).to_json();
    write_blob(store.blobs(), &mut manifest.as_slice(), None)?;
    put(store, vec![(name.clone().or_latest(), Descriptor::of(media::OCI_MANIFEST, &manifest))])
}

/// The file as it is; bzip2 and xz have no media type, so those are stored unpacked.
fn store_layer(store: &Store, path: &Path) -> Result<Descriptor> {
    let open = || File::open(path).map_err(Error::io("open", path));
    let mut start = Vec::new();
    open()?.take(8).read_to_end(&mut start).map_err(Error::io("read", path))?;
    let (media_type, mut content): (_, Box<dyn Read>) = match sniff(&start) {
        Format::Gzip => (media::OCI_LAYER_GZIP, Box::new(open()?)),
        Format::Zstd => (media::OCI_LAYER_ZSTD, Box::new(open()?)),
        Format::Plain => (media::OCI_LAYER, Box::new(open()?)),
        Format::Bzip2 | Format::Xz => (media::OCI_LAYER, stream(path)?),
    };
    let (digest, size) = write_blob(store.blobs(), &mut content, None)?;
    Ok(Descriptor::new(media_type, digest, size))
}

/// Digest of the tar itself.
fn diff_id(path: &Path) -> Result<Digest> {
    struct Hash(Hasher);
    impl Write for Hash {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut hash = Hash(Hasher::sha256());
    std::io::copy(&mut stream(path)?, &mut hash).map_err(Error::io("read", path))?;
    Ok(hash.0.finish())
}

/// When an image is made of a tree: now, or what `SOURCE_DATE_EPOCH` says, so that one tree is one image everywhere.
fn created() -> Time {
    let said = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|seconds| seconds.parse().ok());
    said.map_or_else(
        || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Time::from_unix(now.as_secs() as i64, now.subsec_nanos())
        },
        |seconds| Time::from_unix(seconds, 0),
    )
}

fn config(path: &Path, diff_id: Digest) -> ImageConfig {
    let created = Some(created());
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    ImageConfig {
        created,
        platform: crate::host_platform(),
        rootfs: RootFs { kind: "layers".into(), diff_ids: Some(vec![diff_id]) },
        history: vec![History { created, comment: format!("Imported from {file}").into(), ..History::default() }],
        ..ImageConfig::default()
    }
}
