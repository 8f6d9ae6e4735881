//! Tars and layer directories, there and back, and tars that mean harm.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::LazyLock;

use oci::Digest;

use super::header::{END, Entry, Kind, padding, write_header};
use super::*;
use crate::snapshot::Borrowed;
use crate::store::MemoryBlobs;

fn file<'a>(name: &'a str, data: &'a [u8]) -> (Entry<'a>, &'a [u8]) {
    (Entry { mode: 0o644, size: data.len() as u64, ..Entry::new(name.as_bytes(), Kind::File) }, data)
}

fn dir(name: &str) -> (Entry<'_>, &[u8]) {
    (Entry { mode: 0o755, ..Entry::new(name.as_bytes(), Kind::Dir) }, &[])
}

fn link<'a>(name: &'a str, kind: Kind, target: &'a str) -> (Entry<'a>, &'a [u8]) {
    (Entry { mode: 0o777, link: target.as_bytes(), ..Entry::new(name.as_bytes(), kind) }, &[])
}

fn archive(entries: &[(Entry<'_>, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (entry, data) in entries {
        write_header(&mut bytes, entry).unwrap();
        bytes.extend_from_slice(data);
        bytes.extend_from_slice(padding(data.len() as u64));
    }
    bytes.extend_from_slice(&END);
    bytes
}

fn unpack(bytes: &[u8], to: &Path, limits: Limits) -> Result<Applied> {
    apply(&mut &*bytes, to, limits, &Cancel::default())
}

fn tar_of(dir: &Path, contents: &Contents) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_diff(&[dir.to_owned()], contents, Clamp::default(), &mut bytes, &Cancel::default()).unwrap();
    bytes
}

/// Prints the entries of a tar: name, type flag, and the target of a link.
fn print(bytes: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(bytes);
    let line = |entry: tar::Entry<'_, _>| {
        let entry: tar::Entry<'_, &[u8]> = entry;
        let link = entry.link_name_bytes().map(|link| format!(" {}", String::from_utf8_lossy(&link)));
        let kind = char::from(entry.header().entry_type().as_byte());
        format!("{} {kind}{}", String::from_utf8_lossy(&entry.path_bytes()), link.unwrap_or_default())
    };
    archive.entries().unwrap().map(|entry| line(entry.unwrap())).collect()
}

/// Unpacks entries; what is written back must print so. Unpacking that again must give the same bytes.
fn check(entries: &[(Entry<'_>, &[u8])], expected: &[&str]) {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bytes = archive(entries);
    let applied = unpack(&bytes, first.path(), Limits::default()).unwrap();
    assert_eq!(applied.diff_id, Digest::sha256(&bytes));
    let written = tar_of(first.path(), &applied.contents);
    assert_eq!(print(&written), expected);
    let applied = unpack(&written, second.path(), Limits::default()).unwrap();
    assert!(tar_of(second.path(), &applied.contents) == written);
}

#[test]
fn a_sparse_file_of_gnu_tar_has_its_name_and_its_zeros() {
    let mut builder = tar::Builder::new(Vec::new());
    let said = [("major", "1"), ("minor", "0"), ("name", "file"), ("realsize", "8")];
    let said = said.map(|(key, value)| (format!("GNU.sparse.{key}"), value.as_bytes()));
    builder.append_pax_extensions(said.iter().map(|(key, value)| (key.as_str(), *value))).unwrap();
    // One piece, at the fourth byte, of two bytes.
    let mut data = b"1\n4\n2\n".to_vec();
    data.resize(512, 0);
    data.extend(b"xy");
    let mut header = tar::Header::new_ustar();
    header.set_size(data.len() as u64);
    builder.append_data(&mut header, "GNUSparseFile.0/file", &data[..]).unwrap();
    let root = tempfile::tempdir().unwrap();
    unpack(&builder.into_inner().unwrap(), root.path(), Limits::default()).unwrap();
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    assert_eq!(fs::read(root.path().join("file")).unwrap(), b"\0\0\0\0xy\0\0");
}

#[test]
fn times_that_go_does_not_set_are_the_first() {
    let root = tempfile::tempdir().unwrap();
    for (seconds, expected) in [(-5, 0), (5, 5), (9_223_372_036, 9_223_372_036), (9_223_372_037, 0)] {
        let (header, data) = file("x", b"1");
        let dir = root.path().join(seconds.to_string());
        fs::create_dir(&dir).unwrap();
        unpack(&archive(&[(Entry { mtime: seconds, ..header }, data)]), &dir, Limits::default()).unwrap();
        assert_eq!(fs::metadata(dir.join("x")).unwrap().mtime(), expected, "{seconds}");
    }
}

/// The tar must be refused with this message, and nothing be written beside the tree.
fn refused(entries: &[(Entry<'_>, &[u8])], message: &str) {
    let root = tempfile::tempdir().unwrap();
    let tree = root.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let limits = Limits { bytes: 1 << 20, entries: 5, devices: false };
    let error = unpack(&archive(entries), &tree, limits).unwrap_err().to_string();
    assert_eq!(error, message);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
}

#[test]
fn everything_there_is() {
    let long = "l".repeat(150);
    let device = (Entry { mode: 0o600, device: (1, 3), ..Entry::new(b"null", Kind::Char) }, &[][..]);
    let fifo = (Entry { mode: 0o600, ..Entry::new(b"pipe", Kind::Fifo) }, &[][..]);
    check(
        &[
            dir("a/"),
            file("a/x", b"1"),
            file(&long, b"long"),
            link("sym", Kind::Symlink, "/nowhere"),
            link("z", Kind::Link, "a/x"),
            device,
            fifo,
            dir("a-b/"),
        ],
        &["a/ 5", "a/x 0", "a-b/ 5", &format!("{long} 0"), "null 3", "pipe 6", "sym 2 /nowhere", "z 1 a/x"],
    );
}

#[test]
fn deletions() {
    check(&[dir("d/"), file("d/.wh.x", b""), file(".wh.gone", b"")], &["d/ 5", "d/.wh.x 0", ".wh.gone 0"]);
}

#[test]
fn metadata_there_and_back() {
    let root = tempfile::tempdir().unwrap();
    let xattrs = [(b"security.capability".to_vec(), capability())].into();
    let mut program = file("program", b"x");
    program.0 = Entry { mode: 0o4755, uid: 5, gid: 3_000_000, mtime: 77, xattrs, ..program.0 };
    let bytes = archive(&[program]);
    let applied = unpack(&bytes, root.path(), Limits::default()).unwrap();
    let meta = root.path().join("program").metadata().unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid(), meta.mtime()), (0o4755, 5, 3_000_000, 77));
    assert!(tar_of(root.path(), &applied.contents) == bytes);
}

/// `cap_net_bind_service=ep`.
fn capability() -> Vec<u8> {
    [&[1, 0, 0, 2][..], &1024_u32.to_le_bytes(), &[0; 12]].concat()
}

#[test]
fn times_of_directories_are_not_those_of_unpacking() {
    let root = tempfile::tempdir().unwrap();
    let mut parent = dir("d/");
    parent.0.mtime = 99;
    unpack(&archive(&[parent, file("d/x", b"1")]), root.path(), Limits::default()).unwrap();
    assert_eq!(root.path().join("d").metadata().unwrap().mtime(), 99);
}

#[test]
fn the_root_is_not_part_of_a_layer() {
    let root = tempfile::tempdir().unwrap();
    for name in ["./", "/", "a/.."] {
        let mut top = dir(name);
        (top.0.mode, top.0.uid, top.0.gid, top.0.mtime) = (0o700, 5, 6, 77);
        top.0.xattrs = [(b"user.x".to_vec(), b"1".to_vec())].into();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let applied = unpack(&archive(&[top, file("./x", b"")]), root.path(), Limits::default()).unwrap();
        assert_eq!(print(&tar_of(root.path(), &applied.contents)), ["x 0"]);
        let meta = root.path().metadata().unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid()), (0o755, 0, 0), "{name}");
        assert_ne!(meta.mtime(), 77, "{name}");
    }
}

#[test]
fn parents_that_a_layer_does_not_list_take_nothing_from_those_above() {
    let root = tempfile::tempdir().unwrap();
    let mut shared = dir("d/");
    (shared.0.mode, shared.0.gid) = (0o2775, 77);
    unpack(&archive(&[shared, file("d/a/b/x", b"1")]), root.path(), Limits::default()).unwrap();
    for path in ["d/a", "d/a/b"] {
        let meta = root.path().join(path).metadata().unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.gid()), (0o755, 0), "{path}");
    }
}

#[test]
fn an_opaque_directory_is_marked() {
    let root = tempfile::tempdir().unwrap();
    let applied = unpack(&archive(&[dir("d/"), file("d/.wh..wh..opq", b"")]), root.path(), Limits::default()).unwrap();
    assert!(applied.contents.opaque);
    // A directory in place of a deletion hides what it deleted.
    let root = tempfile::tempdir().unwrap();
    let applied = unpack(&archive(&[file(".wh.d", b""), dir("d/")]), root.path(), Limits::default()).unwrap();
    assert!(applied.contents.opaque && root.path().join("d").is_dir());
}

#[test]
fn later_entries_replace_earlier_ones() {
    check(&[dir("a/"), file("a/x", b"1"), file("a", b"2")], &["a 0"]);
    check(&[link("a", Kind::Symlink, "/etc/passwd"), file("a", b"2")], &["a 0"]);
    check(&[file("a", b"2"), dir("a/"), dir("a/")], &["a/ 5"]);
}

#[test]
fn parents_that_are_not_listed_are_made() {
    check(&[file("a/b/x", b"1")], &["a/ 5", "a/b/ 5", "a/b/x 0"]);
    let implicit = |entries: &[(Entry<'_>, &[u8])]| {
        let root = tempfile::tempdir().unwrap();
        let applied = unpack(&archive(entries), root.path(), Limits::default()).unwrap();
        applied.contents.implicit.into_iter().map(|path| String::from_utf8(path).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(implicit(&[file("a/b/x", b"1"), dir("c/"), file("c/y", b"")]), ["a", "a/b"]);
    assert_eq!(implicit(&[file("a/b/x", b"1"), dir("a/b/")]), ["a"]);
    assert_eq!(implicit(&[file("a/b/x", b"1"), file("a", b"")]), [""; 0]);
}

#[test]
fn paths_that_lead_out() {
    refused(&[file("../x", b"1")], "cannot unpack ../x: it leads out of the tree");
    refused(&[file("a/../../x", b"1")], "cannot unpack a/../../x: it leads out of the tree");
    refused(
        &[link("x", Kind::Link, "../../etc/passwd")],
        "cannot unpack x: cannot unpack ../../etc/passwd: it leads out of the tree",
    );
}

#[test]
fn links_do_not_lead_out() {
    let root = tempfile::tempdir().unwrap();
    let tree = root.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::create_dir(root.path().join("outside")).unwrap();
    let outside = root.path().join("outside");
    let entries = [
        link("up", Kind::Symlink, "../outside"),
        file("up/x", b"1"),
        link("abs", Kind::Symlink, outside.to_str().unwrap()),
        file("abs/y", b"2"),
    ];
    unpack(&archive(&entries), &tree, Limits::default()).unwrap();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(fs::read(tree.join("outside/x")).unwrap(), b"1");
}

#[test]
fn links_to_what_is_not_there_are_noted() {
    let borrowed = |entries: &[(Entry<'_>, &[u8])]| {
        let root = tempfile::tempdir().unwrap();
        let applied = unpack(&archive(entries), root.path(), Limits::default()).unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let show = |link: Borrowed| format!("{} = {}", text(link.path), text(link.target));
        applied.contents.borrowed.into_iter().map(show).collect::<Vec<_>>()
    };
    let x = || link("d/x", Kind::Link, "/etc/passwd");
    assert_eq!(borrowed(&[x()]), ["d/x = etc/passwd"]);
    // A link to such a link is one of the same file.
    assert_eq!(borrowed(&[x(), link("y", Kind::Link, "d/x")]), ["d/x = etc/passwd", "y = etc/passwd"]);
    // What comes later by that name is what counts.
    for later in [file("d/x", b"own"), file("d/.wh.x", b""), file("d", b"")] {
        assert_eq!(borrowed(&[x(), later]), [""; 0]);
    }
}

#[test]
fn too_much_of_everything() {
    let names: Vec<String> = (0..6).map(|n| n.to_string()).collect();
    let many: Vec<_> = names.iter().map(|name| file(name, b"")).collect();
    refused(&many, "refusing to unpack layer: more than 5 entries");
    let large = vec![0; 2 << 20];
    refused(&[file("x", &large)], "refusing to unpack layer: more than 1048576 bytes");
    let long = "d/".repeat(3000);
    refused(&[file(&long, b"")], "refusing to unpack layer: a path of 6000 bytes");
}

#[test]
fn devices_only_when_allowed() {
    let device =
        |name: &'static str, major| (Entry { device: (major, 0), ..Entry::new(name.as_bytes(), Kind::Char) }, &[][..]);
    refused(&[device("x", 1)], "cannot unpack x: devices are not allowed");
    let root = tempfile::tempdir().unwrap();
    let error = unpack(&archive(&[device("x", 0)]), root.path(), Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "cannot unpack x: device 0:0 is a deletion");
}

#[test]
fn marks_of_overlays_are_not_taken_from_tars() {
    let root = tempfile::tempdir().unwrap();
    let mut entry = dir("d/");
    entry.0.xattrs.insert(b"trusted.overlay.redirect".to_vec(), b"/etc".to_vec());
    unpack(&archive(&[entry]), root.path(), Limits::default()).unwrap();
    let path = root.path().join("d");
    assert_eq!(rustix::fs::lgetxattr(&path, c"trusted.overlay.redirect", &mut [0; 8]), Err(rustix::io::Errno::NODATA));
}

#[test]
fn a_cut_tar_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let bytes = archive(&[file("x", &[1; 5000])]);
    let error = unpack(&bytes[..2000], root.path(), Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "cannot unpack x: it ends too early");
    let error = unpack(&bytes[..500], root.path(), Limits::default()).unwrap_err();
    assert_eq!(error.to_string(), "cannot read layer: it ends too early");
}

fn packing(compression: Compression) -> Packing<'static> {
    static AT_ONCE: (LazyLock<Pace>, LazyLock<Cancel>) = (LazyLock::new(Pace::at_once), LazyLock::new(Cancel::default));
    Packing { compression, clamp: Clamp::default(), pace: &AT_ONCE.0, cancel: &AT_ONCE.1 }
}

#[test]
fn a_layer_with_nothing_in_it() {
    let root = tempfile::tempdir().unwrap();
    let blobs = MemoryBlobs::default();
    let packed =
        pack(&[root.path().to_owned()], &Contents::default(), packing(Compression::Uncompressed), &blobs).unwrap();
    assert_eq!(packed.size, 1024);
    // The digest every builder knows.
    let expected = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";
    assert_eq!((packed.diff_id.as_str(), packed.digest.as_str()), (expected, expected));
}

#[test]
fn both_digests_in_one_pass() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("x"), vec![b'x'; 1 << 20]).unwrap();
    fs::set_permissions(root.path().join("x"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("x", root.path().join("y")).unwrap();
    let contents = Contents::default();
    let diff_id = Digest::sha256(&tar_of(root.path(), &contents));
    for compression in [Compression::Gzip(None), Compression::Zstd(None)] {
        let blobs = MemoryBlobs::default();
        let packed = pack(&[root.path().to_owned()], &contents, packing(compression), &blobs).unwrap();
        assert_eq!(packed.diff_id, diff_id, "{compression}");
        let mut tar = decompress(Box::new(blobs.open(&packed.digest).unwrap())).unwrap();
        let back = tempfile::tempdir().unwrap();
        let applied = apply(&mut tar, back.path(), Limits::default(), &Cancel::default()).unwrap();
        assert_eq!(applied.diff_id, diff_id);
    }
}

#[test]
fn times_are_clamped() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("x"), "").unwrap();
    let mut bytes = Vec::new();
    write_diff(&[root.path().to_owned()], &Contents::default(), Clamp(Some(5)), &mut bytes, &Cancel::default())
        .unwrap();
    let mut archive = tar::Archive::new(&*bytes);
    assert_eq!(archive.entries().unwrap().next().unwrap().unwrap().header().mtime().unwrap(), 5);
}

#[test]
fn what_the_kernel_copies_stands_where_it_would_be_written() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("a"), "small").unwrap();
    let large: Vec<u8> = (0_u32..20 << 20).map(|at| (at % 251) as u8).collect();
    fs::write(root.path().join("b"), &large[..large.len() - 100]).unwrap();
    fs::write(root.path().join("c"), "small").unwrap();
    let path = root.path().with_extension("tar");
    let mut out = io::BufWriter::new(fs::File::create(&path).unwrap());
    write_diff(&[root.path().to_owned()], &Contents::default(), Clamp::default(), &mut out, &Cancel::default())
        .unwrap();
    drop(out);
    let written = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(written == tar_of(root.path(), &Contents::default()), "a file and memory get different bytes");
    assert!(written[3 * 512..][..large.len() - 100] == large[..large.len() - 100], "the bytes are not the file's");
}

#[test]
fn quiet_directories_are_left_out() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("d/e")).unwrap();
    let contents = Contents { quiet: vec![b"d/e".to_vec()], ..Contents::default() };
    assert_eq!(print(&tar_of(root.path(), &contents)), ["d/ 5"]);
}
