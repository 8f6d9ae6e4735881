//! Folders of the workspace: their settings, and the build files in them.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use lsp_types as lsp;
use oci::Digest;

use super::documents::{is_meant, path_of};
use super::outside::{Outside, Place, Tags, list};
use super::settings::Settings;
use crate::{Entry, File, Run, Surroundings};

/// The name of a folder's settings.
pub(super) const SETTINGS: &str = "llbc.toml";

/// Directories that hold no build files of the workspace.
const SKIPPED: &[&str] = &[".git", "node_modules", "target", ".venv", "vendor"];
/// More directories than this are not looked into.
const MOST_DIRECTORIES: usize = 5000;
/// Files longer than this are not looked at.
const LONGEST_FILE: u64 = 1 << 20;

/// The folders the client has open.
pub(super) fn folders(client: &lsp::InitializeParams) -> Vec<PathBuf> {
    if let Some(folders) = &client.workspace_folders {
        return folders.iter().filter_map(|folder| path_of(&folder.uri)).collect();
    }
    #[allow(deprecated, reason = "older clients have no folders")]
    let root = client.root_uri.as_ref();
    root.and_then(path_of).into_iter().collect()
}

/// The settings of a folder; none if it has no file of settings.
///
/// **Errors**: what is wrong with the file, for people.
pub(super) fn settings(folder: &Path) -> Result<Settings, String> {
    let path = folder.join(SETTINGS);
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(Settings::default()) };
    toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Every build file below folders, in no order that matters; bounded, and without links. Not all when it is stopped.
pub(super) fn build_files(folders: &[PathBuf], stopped: &dyn Fn() -> bool) -> Vec<PathBuf> {
    let mut open: Vec<PathBuf> = folders.to_vec();
    let mut files = Vec::new();
    let mut looked = 0;
    while let Some(directory) = open.pop() {
        looked += 1;
        if looked > MOST_DIRECTORIES || stopped() {
            break;
        }
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !SKIPPED.contains(&name.as_str()) => open.push(entry.path()),
                Ok(kind) if kind.is_file() && frontends::detect(&name).is_some() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files.sort();
    files
}

/// A build file as it is on disk.
pub(super) fn read(path: &Path) -> Option<File> {
    if std::fs::metadata(path).ok()?.len() > LONGEST_FILE {
        return None;
    }
    let name = path.file_name()?.to_string_lossy().into_owned();
    let text = String::from_utf8(std::fs::read(path).ok()?).ok()?;
    let language = frontends::detect(&name)?;
    if !is_meant(language, &name, &text) {
        return None;
    }
    Some(File::new(name, text, language))
}

/// What stands around a document.
pub(super) struct Around<'a> {
    pub(super) outside: &'a dyn Outside,
    pub(super) place: &'a Place,
    pub(super) tags: &'a RefCell<Tags>,
}

impl Surroundings for Around<'_> {
    fn list(&self, directory: &str) -> Vec<Entry> {
        if self.place.context.as_os_str().is_empty() { Vec::new() } else { list(&self.place.context, directory) }
    }

    fn images(&self) -> Vec<String> {
        self.outside.images()
    }

    fn runs(&self, vertices: &[Digest]) -> Vec<Option<Run>> {
        self.outside.runs(vertices)
    }

    fn tags(&self, repository: &str) -> Vec<String> {
        if self.place.registry { self.tags.borrow_mut().of(repository) } else { Vec::new() }
    }
}
