//! What others say of a result: the statements that a scanner or a frontend left in a tree.
//!
//! Nothing of the tree is trusted: links are not followed, files are small and few, and each is held against what it must be.
//!
//! parity: `exporter/attestation/unbundle.go` of BuildKit v0.32, which follows links inside the tree, and has no limit to the
//! number of files and to what they have in all.

use std::ffi::{CStr, CString, OsStr};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::FileType;
use serde_json::{Map, Value};

use super::attest::Subject;
use crate::provenance::PROVENANCE_PREFIX;
use crate::snapshot::stack::kind;
use crate::snapshot::{Files, OpenDir};
use crate::{Error, Result};

/// Most bytes of a statement. parity: BuildKit's limit.
const MAX_BYTES: u64 = 40 << 20;
/// Most bytes of all statements in a tree.
const MAX_TOTAL: u64 = 160 << 20;
/// Most bytes of what is read of all trees of a build: they are in the memory until everything is exported.
const MAX_ALL: u64 = 640 << 20;
/// Most of them: one for each stage is what scanners leave.
const MAX_FILES: usize = 1000;
/// Most characters of a file that a message shows.
const MAX_SHOWN: usize = 200;
/// What the kinds of statements begin with.
const STATEMENT_PREFIX: &str = "https://in-toto.io/Statement/";

/// What is wrong with a file, if anything is.
type Checked<T> = std::result::Result<T, String>;

/// A tree that holds what is said of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct Attached {
    /// The result, by its number.
    pub of: usize,
    /// Who left it, for messages.
    pub by: String,
    /// What it is.
    pub left: Left,
    /// Where it is in the tree.
    pub path: String,
    /// What kind of predicate it has; empty: any.
    pub predicate_type: String,
    /// What the file is called, but for its ending, that is about the result itself.
    pub core: Option<String>,
    /// Whether images have it only that go to a store or a registry.
    pub inline_only: bool,
    /// Whether it is an error that nothing is there.
    pub required: bool,
}

/// How many bytes may still be read, of all trees and of one.
pub(crate) struct Room {
    all: u64,
    tree: u64,
}

/// What is in a tree.
#[derive(Clone, Debug, PartialEq)]
pub enum Left {
    /// A directory of files, each with a statement.
    Statements,
    /// A file with a predicate, and what that is of.
    Predicate(Vec<About>),
}

/// What a statement is of.
#[derive(Clone, Debug, PartialEq)]
pub enum About {
    /// The result, and the same by another name.
    Result(Option<String>),
    /// Something else.
    Other(Subject),
}

impl Attached {
    /// The bill of materials of a result.
    pub fn bill(of: usize) -> Self {
        Self {
            of,
            by: "the scanner for bills of materials".to_owned(),
            left: Left::Statements,
            path: String::new(),
            predicate_type: llb::scan::PREDICATE.to_owned(),
            core: Some(llb::scan::CORE_NAME.to_owned()),
            inline_only: false,
            required: true,
        }
    }

    fn invalid(&self, name: &str, why: &str) -> Error {
        Error::Invalid(format!("{name}, which {} left, {why}", self.by))
    }

    fn is_core(&self, name: &str) -> bool {
        self.core.as_deref().is_some_and(|core| name.split('.').next() == Some(core))
    }
}

/// A statement of others.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// The name of its file.
    pub name: String,
    /// What kind of predicate it has.
    pub predicate_type: String,
    /// What it is of; the result where it does not say.
    pub about: Vec<About>,
    /// What it says.
    pub predicate: Value,
    /// Whether it is about the result itself, as others are about what it was made from.
    pub is_core: bool,
    /// Whether images have it only that go to a store or a registry.
    pub inline_only: bool,
}

impl Said {
    /// Whether it tells what is in the result itself.
    pub(super) fn is_bill_of_result(&self) -> bool {
        self.is_core && self.predicate_type == llb::scan::PREDICATE
    }

    /// What it is of, where the result is these.
    pub(super) fn subject(&self, result: &[Subject]) -> Vec<Subject> {
        if self.about.is_empty() {
            return result.to_vec();
        }
        let one = |about: &About| match about {
            About::Other(subject) => vec![subject.clone()],
            About::Result(name) => {
                let named = |subject: &Subject| Some(Subject { name: name.clone()?, ..subject.clone() });
                result.iter().flat_map(|subject| [subject.clone()].into_iter().chain(named(subject))).collect()
            }
        };
        self.about.iter().flat_map(one).collect()
    }
}

impl Room {
    /// For a build.
    pub(crate) fn new() -> Self {
        Self { all: MAX_ALL, tree: MAX_TOTAL }
    }

    /// The most that the next file may have.
    fn most(&self) -> u64 {
        self.all.min(self.tree).min(MAX_BYTES)
    }

    /// What is wrong with a file that has more.
    fn exceeded(&self) -> String {
        match self.most() {
            MAX_BYTES => format!("exceeds {MAX_BYTES} bytes"),
            most if most == self.tree => format!("makes it more than {MAX_TOTAL} bytes in all"),
            _ => format!("makes what is said of all results more than {MAX_ALL} bytes"),
        }
    }
}

/// What is said in a tree, what is about the result itself first. What it has is no longer in `room`.
///
/// **Errors**: what is no file of a statement, or of a predicate; more than there may be.
pub(crate) fn read(files: &Files, attached: &Attached, room: &mut Room) -> Result<Vec<Said>> {
    room.tree = MAX_TOTAL;
    match &attached.left {
        Left::Statements => statements(files, attached, room),
        Left::Predicate(about) => Ok(vec![predicate(files, attached, about, room)?]),
    }
}

fn statements(files: &Files, attached: &Attached, room: &mut Room) -> Result<Vec<Said>> {
    let failed = |error| unread(attached, error);
    let real = files.real_path(Path::new(&attached.path), true).map_err(failed)?;
    let dir = files.open_dir(&real).map_err(failed)?;
    let mut names = dir.names().map_err(failed)?;
    names.sort();
    let by = &attached.by;
    if names.is_empty() && attached.required {
        return Err(Error::Invalid(format!("{by} left nothing: it writes a file to $BUILDKIT_SCAN_DESTINATION")));
    }
    if names.len() > MAX_FILES {
        return Err(Error::Invalid(format!("{by} left {} files: {MAX_FILES} is the most", names.len())));
    }
    let one = |name: &CString| {
        let shown = name.to_str().ok().filter(|name| !name.chars().any(char::is_control));
        let Some(text) = shown else {
            return Err(attached.invalid(&format!("{name:?}"), "has a name that is no text"));
        };
        let read = bytes(&dir, name, room).and_then(|bytes| said(text, &bytes, attached));
        read.map_err(|why| attached.invalid(text, &why))
    };
    let mut found = names.iter().map(one).collect::<Result<Vec<_>>>()?;
    found.sort_by_key(|said| !said.is_core);
    Ok(found)
}

/// A statement of which a file is the predicate.
fn predicate(files: &Files, attached: &Attached, about: &[About], room: &mut Room) -> Result<Said> {
    let failed = |error| unread(attached, error);
    let real = files.real_path(Path::new(&attached.path), true).map_err(failed)?;
    let invalid = |why: &str| attached.invalid(&attached.path, why);
    let name = Path::new(&attached.path).file_name().and_then(OsStr::to_str);
    let (Some(name), Some(parent), Some(file)) = (name, real.parent(), real.file_name()) else {
        return Err(invalid("is no file"));
    };
    let file = CString::new(file.as_bytes()).map_err(|error| failed(error.into()))?;
    let bytes = bytes(&files.open_dir(parent).map_err(failed)?, &file, room).map_err(|why| invalid(&why))?;
    let predicate = serde_json::from_slice(&bytes).map_err(|error| invalid(&format!("is no predicate: {error}")))?;
    Ok(Said {
        name: name.to_owned(),
        predicate_type: attached.predicate_type.clone(),
        about: about.to_vec(),
        predicate,
        is_core: attached.is_core(name),
        inline_only: attached.inline_only,
    })
}

fn unread(attached: &Attached, error: io::Error) -> Error {
    let path = format!("/{}", attached.path.trim_start_matches('/'));
    attached.invalid(&path, &format!("cannot be read: {error}"))
}

/// The bytes of a file, as far as there is room for it.
fn bytes(dir: &OpenDir, name: &CStr, room: &mut Room) -> Checked<Vec<u8>> {
    let failed = |error: std::io::Error| format!("cannot be read: {error}");
    match kind(&dir.stat(name).map_err(failed)?) {
        FileType::RegularFile => {}
        FileType::Symlink => return Err("is a symbolic link: only files are read".to_owned()),
        FileType::Directory => return Err("is a directory: only files are read".to_owned()),
        _ => return Err("is not a regular file".to_owned()),
    }
    let most = room.most();
    let mut bytes = Vec::new();
    dir.open_file(name).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)).map_err(failed)?;
    let length = bytes.len() as u64;
    if length > most {
        return Err(room.exceeded());
    }
    room.tree -= length;
    room.all -= length;
    Ok(bytes)
}

/// Reads a statement.
fn said(name: &str, bytes: &[u8], attached: &Attached) -> Checked<Said> {
    let mut document: Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|error| format!("is no in-toto statement: {error}"))?;
    match document.get("_type") {
        Some(Value::String(kind)) if kind.starts_with(STATEMENT_PREFIX) => {}
        Some(kind) => return Err(format!("is no in-toto statement: its _type is {}", short(kind))),
        None => return Err("is no in-toto statement: it has no _type".to_owned()),
    }
    let predicate_type = match document.remove("predicateType") {
        Some(Value::String(text)) if !text.is_empty() => text,
        _ => return Err("has no predicateType".to_owned()),
    };
    if !attached.predicate_type.is_empty() && predicate_type != attached.predicate_type {
        let wanted = &attached.predicate_type;
        let found = short(&predicate_type);
        return Err(format!("does not match required predicate type {wanted}: it has {found}"));
    }
    if predicate_type.starts_with(PROVENANCE_PREFIX) {
        return Err("is a provenance, which nobody but the builder may give".to_owned());
    }
    let predicate = document.remove("predicate").filter(Value::is_object).ok_or("has no predicate")?;
    let about = match document.remove("subject") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(subjects)) => subjects.iter().map(raw).collect::<Checked<_>>()?,
        Some(other) => return Err(format!("has no list of subjects: {}", short(other))),
    };
    let (is_core, inline_only) = (attached.is_core(name), attached.inline_only);
    Ok(Said { name: name.to_owned(), predicate_type, about, predicate, is_core, inline_only })
}

/// What a file has, for a message: not more of it than can be read.
fn short(shown: impl ToString) -> String {
    let shown = shown.to_string();
    match shown.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &shown[..end]),
        None => shown,
    }
}

/// A subject that a statement names itself. parity: one without a name is called `_`.
fn raw(subject: &Value) -> Checked<About> {
    let name = subject.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
    let digest = subject.get("digest").filter(|digest| {
        let digests = digest.as_object();
        digests.is_some_and(|digests| !digests.is_empty() && digests.values().all(Value::is_string))
    });
    let digest = digest.cloned().ok_or_else(|| format!("has a subject without a digest: {}", short(subject)))?;
    Ok(About::Other(Subject { name: name.unwrap_or("_").to_owned(), digest }))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::*;

    const SPDX: &str = r#"{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://spdx.dev/Document","predicate":{"a":1}}"#;

    /// What is read of a tree that is made.
    fn found(make: impl FnOnce(PathBuf)) -> Checked<Vec<Said>> {
        let tree = tempfile::tempdir().unwrap();
        make(tree.path().to_owned());
        read(&Files::at(tree.path()).unwrap(), &Attached::bill(0), &mut Room::new()).map_err(|error| error.to_string())
    }

    fn refused(text: &str) -> String {
        let error = found(|tree| fs::write(tree.join("x.spdx.json"), text).unwrap()).unwrap_err();
        error.strip_prefix("x.spdx.json, which the scanner for bills of materials left, ").unwrap().to_owned()
    }

    #[test]
    fn the_one_of_the_result_comes_first() {
        let found = found(|tree| {
            for name in ["sbom.spdx.json", "sbom-context.spdx.json", "a.json"] {
                fs::write(tree.join(name), SPDX).unwrap();
            }
        });
        let found = found.unwrap();
        let names: Vec<&str> = found.iter().map(|said| &*said.name).collect();
        assert_eq!(names, ["sbom.spdx.json", "a.json", "sbom-context.spdx.json"]);
        assert_eq!((found[0].is_core, found[1].is_core, found[0].about.len()), (true, false, 0));
        assert_eq!(found[0].predicate, serde_json::json!({ "a": 1 }));
    }

    #[test]
    fn a_subject_that_is_named_stays() {
        let named = SPDX.replace("\"predicate\":", r#""subject":[{"digest":{"sha256":"aa"}}],"predicate":"#);
        let found = found(|tree| fs::write(tree.join("sbom.spdx.json"), named).unwrap()).unwrap();
        let subject = Subject { name: "_".to_owned(), digest: serde_json::json!({ "sha256": "aa" }) };
        assert_eq!(found[0].subject(&[]), [subject]);
    }

    #[test]
    fn a_file_may_be_a_predicate() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir(tree.path().join("d")).unwrap();
        fs::write(tree.path().join("d/x.json"), "[1]").unwrap();
        let files = Files::at(tree.path()).unwrap();
        let other = Subject { name: "o".to_owned(), digest: Value::Null };
        let about = vec![About::Result(Some("n".to_owned())), About::Other(other)];
        let attached = |path: &str| Attached {
            left: Left::Predicate(about.clone()),
            path: path.to_owned(),
            predicate_type: "type".to_owned(),
            by: "the frontend".to_owned(),
            ..Attached::bill(0)
        };
        let found = read(&files, &attached("/d/x.json"), &mut Room::new()).unwrap();
        assert_eq!((&*found[0].name, &*found[0].predicate_type), ("x.json", "type"));
        assert_eq!(found[0].predicate, serde_json::json!([1]));
        let result = Subject { name: "r".to_owned(), digest: Value::Null };
        let names: Vec<String> = found[0].subject(&[result]).into_iter().map(|subject| subject.name).collect();
        assert_eq!(names, ["r", "n", "o"]);
        let refused = |path: &str| read(&files, &attached(path), &mut Room::new()).unwrap_err().to_string();
        assert_eq!(refused("d"), "d, which the frontend left, is a directory: only files are read");
        assert!(refused("no").starts_with("no, which the frontend left, cannot be read: "), "{}", refused("no"));
        assert_eq!(refused("/"), "/, which the frontend left, is no file");
        fs::write(tree.path().join("y"), "").unwrap();
        assert!(refused("../../y").starts_with("../../y, which the frontend left, is no predicate: EOF"));
    }

    #[test]
    fn what_is_no_statement() {
        for (text, expected) in [
            ("", "is no in-toto statement: EOF while parsing a value at line 1 column 0"),
            ("[]", "is no in-toto statement: invalid type: sequence, expected a map at line 1 column 0"),
            ("{}", "is no in-toto statement: it has no _type"),
            (r#"{"_type":"x"}"#, "is no in-toto statement: its _type is \"x\""),
            (r#"{"_type":"https://in-toto.io/Statement/v1"}"#, "has no predicateType"),
            (
                &SPDX.replace("Document", "Other"),
                "does not match required predicate type https://spdx.dev/Document: it has https://spdx.dev/Other",
            ),
            (&SPDX.replace("{\"a\":1}", "1"), "has no predicate"),
            (
                &SPDX.replace("\"predicate\":", r#""subject":[{"name":"n"}],"predicate":"#),
                "has a subject without a digest: {\"name\":\"n\"}",
            ),
        ] {
            assert_eq!(refused(text), expected, "{text}");
        }
        let long = refused(&SPDX.replace("https://in-toto.io/Statement/v0.1", &"é".repeat(MAX_SHOWN)));
        assert_eq!(long, format!("is no in-toto statement: its _type is \"{}…", "é".repeat(MAX_SHOWN - 1)));
        assert!(refused(&format!("{SPDX}{SPDX}")).starts_with("is no in-toto statement: trailing characters"));
        let of_builder = Attached { predicate_type: String::new(), ..Attached::bill(0) };
        let provenance = SPDX.replace("https://spdx.dev/Document", "https://slsa.dev/provenance/v1");
        let error = said("x", provenance.as_bytes(), &of_builder).unwrap_err();
        assert_eq!(error, "is a provenance, which nobody but the builder may give");
    }

    #[test]
    fn all_trees_share_one_room() {
        let tree = tempfile::tempdir().unwrap();
        fs::write(tree.path().join("a"), SPDX).unwrap();
        fs::write(tree.path().join("p"), "{}").unwrap();
        let files = Files::at(tree.path()).unwrap();
        let predicate = Attached { left: Left::Predicate(Vec::new()), path: "p".into(), ..Attached::bill(0) };
        let mut room = Room { all: 2 * 2 + 1, tree: MAX_TOTAL };
        let mut next = |attached: &Attached| read(&files, attached, &mut room).map_err(|error| error.to_string());
        assert_eq!(next(&predicate).unwrap().len(), 1);
        assert_eq!(next(&predicate).unwrap().len(), 1);
        let why = "makes what is said of all results more than 671088640 bytes";
        for (attached, name) in [(predicate, "p"), (Attached::bill(0), "a")] {
            let expected = format!("{name}, which the scanner for bills of materials left, {why}");
            assert_eq!(next(&attached).unwrap_err(), expected);
        }
    }

    #[test]
    fn a_tree_has_a_room_of_its_own() {
        let tree = tempfile::tempdir().unwrap();
        fs::write(tree.path().join("a"), SPDX).unwrap();
        let dir = Files::at(tree.path()).unwrap().open_dir(Path::new("")).unwrap();
        let mut room = Room { all: MAX_ALL, tree: SPDX.len() as u64 };
        assert_eq!(bytes(&dir, c"a", &mut room).unwrap(), SPDX.as_bytes());
        assert_eq!(bytes(&dir, c"a", &mut room).unwrap_err(), "makes it more than 167772160 bytes in all");
    }

    #[test]
    fn what_is_no_file_is_not_read() {
        let refused = |make: &dyn Fn(PathBuf)| found(make).unwrap_err();
        let left = "x, which the scanner for bills of materials left,";
        let secret = tempfile::NamedTempFile::new().unwrap();
        fs::write(secret.path(), SPDX).unwrap();
        let linked = refused(&|tree| symlink(secret.path(), tree.join("x")).unwrap());
        assert_eq!(linked, format!("{left} is a symbolic link: only files are read"));
        assert_eq!(
            refused(&|tree| fs::create_dir(tree.join("x")).unwrap()),
            format!("{left} is a directory: only files are read")
        );
        let fifo = refused(&|tree| {
            let mode = rustix::fs::Mode::RUSR;
            rustix::fs::mknodat(rustix::fs::CWD, tree.join("x"), FileType::Fifo, mode, 0).unwrap();
        });
        assert_eq!(fifo, format!("{left} is not a regular file"));
        let huge = refused(&|tree| fs::File::create(tree.join("x")).unwrap().set_len(MAX_BYTES + 1).unwrap());
        assert_eq!(huge, format!("{left} exceeds 41943040 bytes"));
        assert!(refused(&|tree| fs::write(tree.join("a\nb"), SPDX).unwrap()).starts_with("\"a\\nb\", which"));
        let many = refused(&|tree| (0..=MAX_FILES).for_each(|at| fs::write(tree.join(at.to_string()), "").unwrap()));
        assert_eq!(many, "the scanner for bills of materials left 1001 files: 1000 is the most");
        assert_eq!(
            refused(&|_| ()),
            "the scanner for bills of materials left nothing: it writes a file to $BUILDKIT_SCAN_DESTINATION"
        );
    }
}
