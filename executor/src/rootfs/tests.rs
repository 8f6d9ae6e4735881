//! Trees full of traps, and what the operations make of them.

use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;

const DIR: NewDir = NewDir { mode: 0o755, owner: None, time: None };

/// A directory `tree` beside a directory `outside` that holds `secret`, in a temporary directory.
fn trap() -> (tempfile::TempDir, Tree) {
    let temp = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(temp.path().join("tree/dir")).unwrap();
    std::fs::create_dir(temp.path().join("outside")).unwrap();
    std::fs::write(temp.path().join("outside/secret"), "secret").unwrap();
    std::fs::write(temp.path().join("tree/dir/file"), "inside").unwrap();
    let tree = Tree::open(&temp.path().join("tree")).unwrap();
    (temp, tree)
}

fn read(tree: &Tree, path: &str) -> Result<String, ErrorKind> {
    tree.read(Path::new(path), 100).map(|data| String::from_utf8(data).unwrap()).map_err(|e| e.kind())
}

#[test]
fn paths_as_text_stay_below_the_root() {
    let cases = [("", ""), ("/", ""), ("/a/./b/", "a/b"), ("a/../../b", "b"), ("../../..", ""), ("/../a/b/..", "a")];
    cases.iter().for_each(|(path, want)| assert_eq!(below(Path::new(path)), Path::new(want), "{path}"));
}

#[test]
fn absolute_links_stay_inside() {
    let (temp, tree) = trap();
    symlink(temp.path().join("outside"), temp.path().join("tree/escape")).unwrap();
    symlink("/dir", temp.path().join("tree/inside")).unwrap();
    assert_eq!(read(&tree, "/escape/secret"), Err(ErrorKind::NotFound));
    assert_eq!(read(&tree, "inside/file"), Ok("inside".into()));
}

#[test]
fn parent_components_stop_at_the_root() {
    let (temp, tree) = trap();
    symlink("../../outside", temp.path().join("tree/dir/up")).unwrap();
    assert_eq!(read(&tree, "../outside/secret"), Err(ErrorKind::NotFound));
    assert_eq!(read(&tree, "dir/up/secret"), Err(ErrorKind::NotFound));
    assert_eq!(read(&tree, "../../dir/file"), Ok("inside".into()));
}

#[test]
fn only_regular_files_are_read_and_only_to_the_limit() {
    let (temp, tree) = trap();
    rustix::fs::mknodat(rustix::fs::CWD, temp.path().join("tree/fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert_eq!(read(&tree, "fifo"), Err(ErrorKind::InvalidInput));
    assert_eq!(read(&tree, "dir"), Err(ErrorKind::IsADirectory));
    std::fs::write(temp.path().join("tree/long"), [b'x'; 101]).unwrap();
    assert_eq!(read(&tree, "long"), Err(ErrorKind::FileTooLarge));
}

#[test]
fn mkdir_all_follows_dangling_links_inside() {
    let (temp, tree) = trap();
    symlink("/run", temp.path().join("tree/var-run")).unwrap();
    symlink(temp.path().join("outside/new"), temp.path().join("tree/escape")).unwrap();
    let (_, made) = tree.mkdir_all(Path::new("var-run/lock"), DIR).unwrap();
    assert_eq!(made, [Path::new("/run"), Path::new("/run/lock")]);
    tree.mkdir_all(Path::new("/escape"), DIR).unwrap();
    assert!(!temp.path().join("outside/new").exists());
}

#[test]
fn mkdir_all_sets_mode_owner_and_time_of_new_ones_only() {
    let (temp, tree) = trap();
    std::fs::set_permissions(temp.path().join("tree/dir"), PermissionsExt::from_mode(0o700)).unwrap();
    let new = NewDir { mode: 0o1777, owner: None, time: Some((1_000, 5)) };
    let (_, made) = tree.mkdir_all(Path::new("dir/a/b"), new).unwrap();
    assert_eq!(made, [Path::new("/dir/a"), Path::new("/dir/a/b")]);
    for path in ["tree/dir/a", "tree/dir/a/b"] {
        let stat = std::fs::metadata(temp.path().join(path)).unwrap();
        assert_eq!((stat.mode() & 0o7777, stat.mtime(), stat.mtime_nsec()), (0o1777, 1_000, 5), "{path}");
    }
    assert_eq!(std::fs::metadata(temp.path().join("tree/dir")).unwrap().mode() & 0o7777, 0o700);
}

#[test]
fn mkdir_all_passes_on_the_group_of_a_set_group_id_directory() {
    let (temp, tree) = trap();
    let shared = temp.path().join("tree/dir");
    std::os::unix::fs::chown(&shared, None, Some(77)).unwrap();
    std::fs::set_permissions(&shared, PermissionsExt::from_mode(0o2775)).unwrap();
    tree.mkdir_all(Path::new("dir/a/b"), NewDir { mode: 0o750, ..DIR }).unwrap();
    tree.mkdir_all(Path::new("dir/c/d"), NewDir { owner: Some((5, 6)), ..DIR }).unwrap();
    for (path, want) in [("a", (0o2750, 77)), ("a/b", (0o2750, 77)), ("c", (0o2755, 6)), ("c/d", (0o2755, 6))] {
        let stat = std::fs::metadata(shared.join(path)).unwrap();
        assert_eq!((stat.mode() & 0o7777, stat.gid()), want, "{path}");
    }
}

#[test]
fn mkdir_all_refuses_to_go_through_a_file() {
    let (_temp, tree) = trap();
    for path in ["dir/file", "dir/file/below"] {
        assert_eq!(tree.mkdir_all(Path::new(path), DIR).unwrap_err().kind(), ErrorKind::NotADirectory, "{path}");
    }
}

#[test]
fn real_path_follows_links_and_keeps_what_is_missing() {
    let (temp, tree) = trap();
    symlink("/dir", temp.path().join("tree/link")).unwrap();
    symlink("loop", temp.path().join("tree/loop")).unwrap();
    for (path, want) in [
        ("link/file", "/dir/file"),
        ("link/new/deep", "/dir/new/deep"),
        ("link/../x", "/x"),
        ("missing/../x", "/x"),
        ("../..", "/"),
        ("dir/file/under", "/dir/file/under"),
    ] {
        assert_eq!(tree.real_path(Path::new(path)).unwrap(), Path::new(want), "{path}");
    }
    assert_eq!(tree.real_path(Path::new("loop/x")).unwrap_err().raw_os_error(), Some(libc::ELOOP));
}

#[test]
fn files_and_links_are_made_where_they_are_named() {
    use std::io::Write;
    let (temp, tree) = trap();
    symlink(temp.path().join("outside"), temp.path().join("tree/escape")).unwrap();
    tree.create_file(Path::new("dir/new"), 0o4755).unwrap().write_all(b"x").unwrap();
    assert_eq!(std::fs::metadata(temp.path().join("tree/dir/new")).unwrap().mode() & 0o7777, 0o4755);
    assert_eq!(tree.create_file(Path::new("escape"), 0o644).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(tree.create_file(Path::new("escape/x"), 0o644).unwrap_err().kind(), ErrorKind::NotFound);
    tree.symlink(Path::new("/any/text"), Path::new("dir/link")).unwrap();
    assert_eq!(tree.readlink(Path::new("dir/link")).unwrap(), Path::new("/any/text"));
    assert_eq!(tree.readlink(Path::new("dir/new")).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn remove_all_does_not_follow_links() {
    let (temp, tree) = trap();
    symlink(temp.path().join("outside"), temp.path().join("tree/dir/escape")).unwrap();
    symlink("/dir", temp.path().join("tree/link")).unwrap();
    tree.remove_all(Path::new("link")).unwrap();
    assert!(tree.exists(Path::new("dir/file")).unwrap());
    tree.remove_all(Path::new("dir")).unwrap();
    assert!(temp.path().join("outside/secret").exists());
    assert!(!tree.exists(Path::new("dir")).unwrap());
    assert_eq!(tree.remove_all(Path::new("dir")).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn remove_all_goes_deeper_than_any_path_may_be_long() {
    let (temp, tree) = trap();
    let mut dir = tree.resolve(Path::new("dir")).unwrap();
    for _ in 0..5_000 {
        rustix::fs::mkdirat(&dir, "d", Mode::RWXU).unwrap();
        dir = rustix::fs::openat(&dir, "d", OFlags::PATH, Mode::empty()).unwrap();
    }
    tree.remove_all(Path::new("/")).unwrap();
    assert_eq!(std::fs::read_dir(temp.path().join("tree")).unwrap().count(), 0);
}

#[test]
fn times_are_those_of_the_link_itself() {
    let (temp, tree) = trap();
    symlink("dir", temp.path().join("tree/link")).unwrap();
    tree.set_times(Path::new("link"), (77, 0)).unwrap();
    assert_eq!(tree.lstat(Path::new("link")).unwrap().st_mtime, 77);
    assert_ne!(tree.stat(Path::new("link")).unwrap().st_mtime, 77);
}
