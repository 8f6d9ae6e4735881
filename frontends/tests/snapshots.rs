//! The same text, the same module: each folder of `tests/snapshots/dockerfile` holds a text and the dump of its module.
//!
//! `LLBC_BLESS=1 cargo test -p frontends --test snapshots` writes the dumps anew; read the difference before keeping it.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test reads its cases from files")]

use std::path::Path;

#[test]
fn dumps_are_those_on_record() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/snapshots/dockerfile");
    let bless = std::env::var_os("LLBC_BLESS").is_some();
    let language = frontends::detect("Dockerfile").unwrap();
    let mut folders: Vec<_> = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(!folders.is_empty(), "there are snapshots");
    for folder in folders {
        let text = std::fs::read(folder.join("Dockerfile")).unwrap();
        let module = frontends::invariants::check(language, &text);
        let found = ast::dump::text(&module);
        let path = folder.join("module.txt");
        if bless {
            std::fs::write(&path, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == expected, "{}: the dump differs; it is now\n{found}", path.display());
    }
}
