//! Modules that are kept beside a program: `.hlb/modules`, as HLB lays it out, and what they were when they were kept.
//!
//! A module lies where the digest of the filesystem says that it is a file of. `.hlb/modules.sum` has the digest of each
//! text, as `sha256sum` writes it (in `.hlb/modules`, `sha256sum -c ../modules.sum`): a text that has changed since is not
//! taken. HLB knows nothing of that file and leaves it alone; a module that it does not name is taken as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use compiler::{AskError, TreeFile, VENDORED};
use executor::text;
use oci::Digest;

use crate::failure::{Failure, Result};
use crate::files;

/// The digests of the texts.
const SUMS: &str = ".hlb/modules.sum";

/// Whether modules are kept.
pub(crate) fn exists() -> bool {
    Path::new(VENDORED).is_dir()
}

/// The text of a module, if it is kept.
///
/// **Errors**: it cannot be read, or is not what it was.
pub(crate) fn read(file: &TreeFile) -> std::result::Result<Option<Vec<u8>>, AskError> {
    let path = file.vendored_path();
    let failed = |message: String, help: &str| AskError { message, help: Some(help.to_owned()), ..AskError::default() };
    let text = match text::file(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(format!("cannot read {path}: {error}"), "it must be readable")),
    };
    let sums = std::fs::read_to_string(SUMS).unwrap_or_default();
    match parse(&sums).get(name(&path)) {
        Some(sum) if *sum != Digest::sha256(&text).hex() => Err(failed(
            format!("{path} is not what it was when it was kept ({SUMS} has another digest)"),
            "put back what it was, or take what is there now with `llbc hlb vendor`",
        )),
        _ => Ok(Some(text)),
    }
}

/// Keeps the text of a module. **Errors**: it cannot be written.
pub(crate) fn write(file: &TreeFile, text: &[u8]) -> Result<()> {
    let path = PathBuf::from(file.vendored_path());
    let directory = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory).map_err(Failure::io("make", directory))?;
    files::replace(&path, text)
}

/// Removes the filesystems of which nothing is wanted any more. **Errors**: one cannot be removed.
pub(crate) fn sweep(wanted: &BTreeSet<Digest>) -> Result<()> {
    for directory in directories() {
        let is_wanted = wanted.iter().any(|digest| directory.ends_with(digest.hex()));
        if !is_wanted {
            std::fs::remove_dir_all(&directory).map_err(Failure::io("remove", &directory))?;
            // The directories above go too when nothing is left in them.
            for above in directory.ancestors().skip(1).take(2) {
                let _ = std::fs::remove_dir(above);
            }
        }
    }
    Ok(())
}

/// Writes down what texts are kept now. **Errors**: one cannot be read, or the list not written.
pub(crate) fn sum() -> Result<()> {
    let mut texts = Vec::new();
    for directory in directories() {
        walk(&directory, &mut texts)?;
    }
    texts.sort();
    let mut sums = String::new();
    for path in texts {
        let text = text::file(&path).map_err(Failure::io("read", &path))?;
        let path = path.display().to_string();
        sums += &format!("{}  {}\n", Digest::sha256(&text).hex(), name(&path));
    }
    files::replace(Path::new(SUMS), sums.as_bytes())
}

/// The file of the module whose filesystem has a digest that begins so.
///
/// **Errors**: there are several.
pub(crate) fn find(digest: &str) -> Result<Option<PathBuf>> {
    let (algorithm, start) = digest.split_once(':').unwrap_or(("", digest));
    let is_meant = |directory: &PathBuf| {
        let parts: Vec<_> = directory.iter().rev().map(|part| part.to_string_lossy()).collect();
        matches!(&parts[..], [hex, _, kind, ..]
            if !start.is_empty() && hex.starts_with(start) && (algorithm.is_empty() || kind == algorithm))
    };
    let mut found: Vec<PathBuf> = directories().into_iter().filter(is_meant).collect();
    if found.len() > 1 {
        let all: Vec<String> = found.iter().map(|path| path.display().to_string()).collect();
        let text = format!("{digest} may mean {} kept modules: {}", found.len(), all.join(", "));
        return Err(Failure::message("module", text, "write more of the digest"));
    }
    Ok(found.pop().map(|directory| directory.join("module.hlb")))
}

/// Directories of filesystems, sorted.
fn directories() -> Vec<PathBuf> {
    let mut level = vec![PathBuf::from(VENDORED)];
    for _ in 0..3 {
        let inner = level.iter().filter_map(|path| std::fs::read_dir(path).ok()).flatten().flatten();
        level = inner.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    }
    level.sort();
    level
}

fn walk(directory: &Path, texts: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(directory).map_err(Failure::io("read", directory))?;
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() { walk(&path, texts)? } else { texts.push(path) }
    }
    Ok(())
}

/// A path as the list has it.
fn name(path: &str) -> &str {
    path.strip_prefix(VENDORED).map_or(path, |path| path.trim_start_matches('/'))
}

fn parse(sums: &str) -> BTreeMap<&str, &str> {
    sums.lines().filter_map(|line| line.split_once("  ")).map(|(sum, path)| (path, sum)).collect()
}
