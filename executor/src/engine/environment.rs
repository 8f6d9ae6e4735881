//! What whoever runs a machine has every provenance say of it: JSON files in a directory.
//!
//! parity: `provenanceEnvDir` of BuildKit v0.32's daemon.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Map, Value};

use crate::{Error, Result, text};

/// What only the builder says.
const BUILTIN: [&str; 4] = ["buildConfig", "builderPlatform", "llbcVersion", "platform"];

/// The keys of all files whose names end in `.json`, in the order of names: later ones take the place of earlier ones.
/// Nothing where there is no such directory.
///
/// **Errors**: a file that cannot be read, or is no object; a key that is the builder's.
pub(super) fn read(dir: &Path) -> Result<Map<String, Value>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Map::new()),
        entries => entries.and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(Error::io("list", dir))?,
    };
    let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "json") && !path.is_dir());
    paths.sort();
    let mut found = Map::new();
    for path in paths {
        // Who opens a pipe may wait forever.
        if !fs::metadata(&path).map_err(Error::io("read", &path))?.is_file() {
            return Err(Error::Invalid(format!("{} is no regular file", path.display())));
        }
        let text = text::file(&path).map_err(Error::io("read", &path))?;
        let said: Map<String, Value> = serde_json::from_slice(&text)
            .map_err(|error| Error::Invalid(format!("{} is no JSON object: {error}", path.display())))?;
        if let Some(key) = said.keys().find(|key| BUILTIN.contains(&key.as_str())) {
            let text = format!("{}: key {key:?} of a provenance is the builder's own", path.display());
            return Err(Error::Invalid(text));
        }
        found.extend(said);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_in_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("b.json", r#"{"a":2,"b":{"x":1}}"#);
        write("a.json", r#"{"a":1,"b":{"y":1},"c":[]}"#);
        write("c.txt", "no");
        fs::create_dir(dir.path().join("d.json")).unwrap();
        let found = read(dir.path()).unwrap();
        assert_eq!(Value::from(found), serde_json::json!({ "a": 2, "b": { "x": 1 }, "c": [] }));
        assert_eq!(read(&dir.path().join("none")).unwrap(), Map::new());
        for (text, expected) in [
            ("[]", "x.json is no JSON object: invalid type: sequence, expected a map at line 1 column 0"),
            (r#"{"platform":1}"#, "x.json: key \"platform\" of a provenance is the builder's own"),
        ] {
            write("x.json", text);
            let error = read(dir.path()).unwrap_err().to_string();
            assert!(error.ends_with(expected), "{error}");
        }
        fs::File::options().write(true).open(dir.path().join("x.json")).unwrap().set_len(text::LONGEST + 1).unwrap();
        assert!(read(dir.path()).unwrap_err().to_string().ends_with("x.json: it is longer than 64 MiB"));
        fs::remove_file(dir.path().join("x.json")).unwrap();
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, dir.path().join("x.json"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(read(dir.path()).unwrap_err().to_string().ends_with("x.json is no regular file"));
    }
}
