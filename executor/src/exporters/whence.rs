//! Which layer of an image each file is from that a bill of materials tells of.
//!
//! parity: `supplementSBOM` of BuildKit v0.32, which writes the whole document anew, as SPDX 2.3; here it stays as it came but
//! for what is added.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use oci::text::clean_path;
use rustix::fs::FileType;
use serde_json::{Map, Value, json};

use super::layers::LayerBlob;
use super::parts::Parts;
use super::{Built, Context};
use crate::snapshot::stack::kind;
use crate::snapshot::{Files, OpenDir, is_whiteout};
use crate::{Error, Result};

/// Versions of documents that are understood.
const VERSIONS: [&str; 3] = ["SPDX-2.1", "SPDX-2.2", "SPDX-2.3"];

/// The document about a result with the layers of its files, which the image has; `None` where it is none that can be
/// added to.
pub(super) fn with_layers(
    document: &Value,
    built: &Built,
    layers: &[LayerBlob],
    context: Context<'_>,
) -> Result<Option<Value>> {
    let version = document.get("spdxVersion").and_then(Value::as_str);
    if !version.is_some_and(|version| VERSIONS.contains(&version)) {
        return Ok(None);
    }
    let mut document = document.clone();
    let mut files = files(&mut document);
    files.retain(|file| file.get("comment").and_then(Value::as_str).is_none_or(str::is_empty));
    let paths: Vec<Option<PathBuf>> = files.iter().map(|file| path(file)).collect();
    let mut open: BTreeSet<&Path> = paths.iter().flatten().map(PathBuf::as_path).collect();
    let mut found = Vec::new();
    // Of what several layers have, the topmost is what there is.
    for (layer, blob) in Parts::of(&built.tree, context.snapshots).iter().zip(layers).rev() {
        if open.is_empty() {
            break;
        }
        context.materialise(&layer.tree())?;
        let (dirs, _) = layer.read(context.snapshots)?;
        for dir in dirs.iter().rev() {
            let mut looked = Looked::at(dir)?;
            let here: Vec<&Path> = open.iter().copied().filter(|path| looked.has(path)).collect();
            context.cancel.check()?;
            for path in &here {
                open.remove(path);
            }
            found.extend(here.into_iter().map(|path| (path, &blob.blob.digest)));
        }
    }
    found.sort();
    for (file, path) in files.into_iter().zip(&paths) {
        let Some(path) = path else { continue };
        if let Ok(at) = found.binary_search_by(|(known, _)| (*known).cmp(path)) {
            file.insert("comment".into(), format!("layerID: {}", found[at].1).into());
        }
    }
    add_creator(&mut document);
    Ok(Some(document))
}

/// The files of a document and of its packages.
fn files(document: &mut Value) -> Vec<&mut Map<String, Value>> {
    let Some(document) = document.as_object_mut() else { return Vec::new() };
    let (mut own, mut of_packages) = (None, None);
    for (key, value) in document.iter_mut() {
        match key.as_str() {
            "files" => own = value.as_array_mut(),
            "packages" => of_packages = value.as_array_mut(),
            _ => {}
        }
    }
    let packages = of_packages.into_iter().flatten();
    let of_packages = packages.filter_map(|package| package.get_mut("files")?.as_array_mut()).flatten();
    own.into_iter().flatten().chain(of_packages).filter_map(Value::as_object_mut).collect()
}

/// Where a file is in the result.
fn path(file: &Map<String, Value>) -> Option<PathBuf> {
    let name = file.get("fileName")?.as_str().filter(|name| !name.contains('\0'))?;
    Some(PathBuf::from(clean_path(&format!("/{name}"))))
}

/// Says that this program has a part in a document.
fn add_creator(document: &mut Value) {
    let creator = format!("Tool: llbc-{}", env!("CARGO_PKG_VERSION"));
    let Some(document) = document.as_object_mut() else { return };
    let info = document.entry("creationInfo").or_insert_with(|| json!({ "creators": [], "created": "" }));
    let Some(info) = info.as_object_mut() else { return };
    if let Some(creators) = info.entry("creators").or_insert_with(|| json!([])).as_array_mut() {
        creators.push(creator.into());
    }
}

/// The files of a layer. The directory that was looked in last stays open: files come in the order of their paths.
struct Looked {
    files: Files,
    last: Option<(PathBuf, Option<OpenDir>)>,
}

impl Looked {
    fn at(dir: &Path) -> Result<Self> {
        Ok(Self { files: Files::at(dir).map_err(Error::io("open", dir))?, last: None })
    }

    /// Whether the layer has a file at a path, in which no component is a link.
    fn has(&mut self, path: &Path) -> bool {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return false };
        let Ok(name) = CString::new(name.as_bytes()) else { return false };
        if self.last.as_ref().is_none_or(|(known, _)| known != parent) {
            self.last = Some((parent.to_owned(), self.files.open_dir(parent).ok()));
        }
        let dir = self.last.as_ref().and_then(|(_, dir)| dir.as_ref());
        dir.and_then(|dir| dir.stat(&name).ok())
            .is_some_and(|stat| !is_whiteout(&stat) && kind(&stat) != FileType::Directory)
    }
}
