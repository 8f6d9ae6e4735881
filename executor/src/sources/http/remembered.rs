//! What servers said of files that are kept: one small file an address in `http-v1/` of the store.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use oci::Digest;
use serde::{Deserialize, Serialize};

use crate::store::Store;
use crate::temp::make_private;
use crate::{Error, Result};

/// What a server said, and which blob it was about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered {
    /// Never empty: without it a server cannot be asked again.
    pub(super) etag: String,
    pub(super) digest: Digest,
    pub(super) modified: Option<String>,
}

impl Remembered {
    /// What is remembered, if its blob is still there. A file that cannot be read is as good as none.
    pub(super) fn load(store: &Store, id: &Digest) -> Result<Option<Self>> {
        let Ok(bytes) = fs::read(path(store, id)) else { return Ok(None) };
        let Ok(known) = serde_json::from_slice::<Self>(&bytes) else { return Ok(None) };
        let there = store.blobs().size(&known.digest)?.is_some();
        Ok(Some(known).filter(|known| there && !known.etag.is_empty()))
    }

    pub(super) fn save(&self, store: &Store, id: &Digest) -> Result<()> {
        let to = path(store, id);
        let dir = to.parent().expect("it is in a folder of the store");
        make_private(dir)?;
        let (path, mut file) = store.temp().file("http")?;
        file.write_all(&oci::json::to_vec(self)).map_err(Error::io("write", path.path()))?;
        path.persist(&to)
    }
}

fn path(store: &Store, id: &Digest) -> PathBuf {
    store.root().join("http-v1").join(id.hex())
}
