//! What every implementation that keeps files must do, run on each.
//!
//! A step is a shell-like script; a tree prints as one line an entry, so that expectations stand next to the input.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::Path;

use super::*;

/// Runs `script` in a tree: `file PATH TEXT`, `dir PATH`, `rm PATH`, `link OLD NEW`, `symlink TARGET PATH`, `mode OCTAL PATH`,
/// `own UID PATH`, `mv OLD NEW`, `touch SECONDS PATH`, `open PATH` (for writing, without writing), `attr KEY=VALUE PATH`.
fn run(root: &Path, script: &str) {
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<_> = line.splitn(3, ' ').collect();
        let at = |index: usize| root.join(words[index]);
        match words[0] {
            "file" => fs::write(at(1), words.get(2).unwrap_or(&"")).unwrap(),
            "dir" => fs::create_dir(at(1)).unwrap(),
            "rm" if at(1).symlink_metadata().unwrap().is_dir() => fs::remove_dir_all(at(1)).unwrap(),
            "rm" => fs::remove_file(at(1)).unwrap(),
            "link" => fs::hard_link(at(1), at(2)).unwrap(),
            "symlink" => symlink(words[1], at(2)).unwrap(),
            "mode" => {
                let mode = u32::from_str_radix(words[1], 8).unwrap();
                fs::set_permissions(at(2), fs::Permissions::from_mode(mode)).unwrap();
            }
            "own" => lchown(at(2), Some(words[1].parse().unwrap()), None).unwrap(),
            "mv" => fs::rename(at(1), at(2)).unwrap(),
            "touch" => touch(&at(2), words[1].parse().unwrap()),
            "open" => drop(File::options().write(true).open(at(1)).unwrap()),
            "attr" => {
                let (key, value) = words[1].split_once('=').unwrap();
                let dir = File::open(root).unwrap();
                let [name, key] = [words[2], key].map(|text| CString::new(text).unwrap());
                xattr::set(dir.as_fd(), &name, &key, value.as_bytes()).unwrap();
            }
            other => panic!("no such step: {other}"),
        }
    }
}

fn touch(path: &Path, seconds: i64) {
    let (name, time) = (path.file_name().unwrap(), rustix::fs::Timespec { tv_sec: seconds, tv_nsec: 0 });
    let dir = File::open(path.parent().unwrap()).unwrap();
    let name = CString::new(name.as_encoded_bytes()).unwrap();
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    entry::set_times(dir.as_fd(), &name, times).unwrap();
}

/// Prints a tree: path and what it is, in order of paths; modes and owners where they are not the usual.
fn print(root: &Path) -> String {
    let mut lines = Vec::new();
    walk(root, root, &mut lines);
    lines.sort();
    lines.join("\n")
}

fn walk(root: &Path, dir: &Path, lines: &mut Vec<String>) {
    for item in fs::read_dir(dir).unwrap() {
        let path = item.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let (kind, usual) = match meta.file_type() {
            kind if kind.is_dir() => ("/".to_owned(), 0o755),
            kind if kind.is_symlink() => (format!(" -> {}", fs::read_link(&path).unwrap().display()), 0o777),
            kind if kind.is_file() => (format!(" {}", fs::read_to_string(&path).unwrap()), 0o644),
            _ if meta.rdev() == 0 => (" gone".to_owned(), 0),
            _ => (format!(" device {}", meta.rdev()), 0o644),
        };
        let mode = meta.mode() & 0o7777;
        let mode = if mode == usual { String::new() } else { format!(" {mode:o}") };
        let owner = if meta.uid() == 0 { String::new() } else { format!(" uid {}", meta.uid()) };
        lines.push(format!("{name}{kind}{mode}{owner}").trim_end().to_owned());
        if meta.is_dir() {
            walk(root, &path, lines);
        }
    }
}

fn text(lines: &str) -> String {
    lines.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

fn each(test: impl Fn(&dyn Snapshots)) {
    let root = tempfile::tempdir().unwrap();
    let overlay = Overlayfs::open(&root.path().join("overlay")).unwrap();
    assert!(overlay.is_supported(), "these tests need overlay mounts: run them as root");
    test(&overlay);
    test(&Native::open(&root.path().join("native")).unwrap());
}

fn step(snapshots: &dyn Snapshots, parent: &Committed, script: &str) -> Committed {
    let active = snapshots.prepare(parent).unwrap();
    run(active.path().unwrap(), script);
    snapshots.commit(active).unwrap()
}

/// Runs steps on top of each other; then the last layer and the merged tree must print so.
fn check(steps: &[&str], layer: &str, tree: &str) {
    each(|snapshots| {
        let last = steps.iter().fold(Committed::default(), |parent, script| step(snapshots, &parent, script));
        let path = snapshots.layer(last.layers.last().unwrap()).unwrap();
        assert_eq!(print(&path), text(layer), "layer");
        assert_eq!(print(snapshots.view(&last).unwrap().path()), text(tree), "tree");
    });
}

#[test]
fn new_files() {
    check(&["dir a\n file a/x 1\n symlink x a/y"], "a/\n a/x 1\n a/y -> x", "a/\n a/x 1\n a/y -> x");
}

#[test]
fn nothing_changed_is_an_empty_layer() {
    check(&["file a 1", ""], "", "a 1");
    check(&[""], "", "");
}

#[test]
fn deleted() {
    check(&["file a 1\n dir d\n file d/x 1\n file d/y 2", "rm a\n rm d/x"], "a gone\n d/\n d/x gone", "d/\nd/y 2");
}

#[test]
fn made_and_deleted_leaves_nothing() {
    check(&["file keep 1", "file a 1\n rm a"], "", "keep 1");
}

#[test]
fn a_directory_made_anew_hides_what_was_in_it() {
    check(
        &["dir d\n dir d/e\n file d/e/x 1\n file d/y 2", "rm d\n dir d\n dir d/e\n file d/e/z 3"],
        "d/\n d/e/\n d/e/x gone\n d/e/z 3\n d/y gone",
        "d/\n d/e/\n d/e/z 3",
    );
}

#[test]
fn a_directory_made_anew_with_the_same_files_keeps_them() {
    check(
        &[
            "dir d\n file d/x 1\n touch 50 d/x\n file d/y 1\n touch 60 d",
            "rm d\n dir d\n file d/x 1\n touch 50 d/x\n touch 60 d",
        ],
        "d/\n d/y gone",
        "d/\n d/x 1",
    );
}

#[test]
fn a_directory_instead_of_a_file_and_a_file_instead_of_a_directory() {
    check(
        &["file f 1\n dir d\n file d/x 1", "rm f\n dir f\n file f/y 2\n rm d\n file d 3"],
        "d 3\n f/\n f/y 2",
        "d 3\n f/\n f/y 2",
    );
}

#[test]
fn a_directory_moved_over_lower_ones_is_not_opaque() {
    check(
        &["dir d", "dir n\n dir n/m\n file n/m/x 1\n mv n/m d/m\n rm n"],
        "d/\n d/m/\n d/m/x 1",
        "d/\n d/m/\n d/m/x 1",
    );
}

#[test]
fn copies_that_changed_nothing_are_dropped() {
    check(&["dir d\n file d/x 1", "open d/x"], "", "d/\n d/x 1");
    check(&["dir d\n file d/x 1\n mode 600 d/x", "mode 644 d/x\n mode 600 d/x"], "", "d/\n d/x 1 600");
}

#[test]
fn content_changed_behind_an_equal_time() {
    check(&["file x old\n touch 100 x", "file x new\n touch 100 x"], "x new", "x new");
}

#[test]
fn attributes_alone_are_a_change() {
    check(&["file x 1\n touch 100 x", "attr user.k=v x"], "x 1", "x 1");
}

#[test]
fn mode_and_owner_alone_are_a_change() {
    check(
        &["file x 1\n dir d\n file d/y 2", "mode 4755 x\n own 7 d"],
        "d/ uid 7\n x 1 4755",
        "d/ uid 7\n d/y 2\n x 1 4755",
    );
}

#[test]
fn a_directory_whose_time_alone_changed_is_quiet() {
    each(|snapshots| {
        let base = step(snapshots, &Committed::default(), "dir d\n file d/x 1");
        let next = step(snapshots, &base, "touch 100 d");
        assert_eq!(snapshots.contents(&next.layers[1]).unwrap().quiet, [b"d".to_vec()]);
        let view = snapshots.view(&next).unwrap();
        assert_eq!(view.path().join("d").metadata().unwrap().mtime(), 100);
    });
}

#[test]
fn a_directory_above_quiet_ones_is_quiet() {
    each(|snapshots| {
        let base = step(snapshots, &Committed::default(), "dir d\n dir d/e\n file d/e/x 1\n dir d/f");
        let next = step(snapshots, &base, "touch 100 d/e");
        assert_eq!(snapshots.contents(&next.layers[1]).unwrap().quiet, [b"d/e".to_vec(), b"d".to_vec()]);
        let changed = step(snapshots, &base, "touch 100 d/e\n file d/f/x 1");
        assert_eq!(snapshots.contents(&changed.layers[1]).unwrap().quiet, [b"d/e".to_vec()]);
    });
}

#[test]
fn differences_are_without_quiet_directories() {
    each(|snapshots| {
        let base = step(snapshots, &Committed::default(), "dir d\n dir d/e\n file d/x 1\n dir f\n file f/x 1");
        let next = step(snapshots, &base, "touch 100 d/e\n touch 100 f\n file d/y 2\n rm f/x");
        let quiet = step(snapshots, &next, "touch 100 f\n dir new");
        let diff = snapshots.diff(&base, &quiet).unwrap();
        let layers: Vec<_> = diff.layers.iter().map(|id| print(&snapshots.layer(id).unwrap())).collect();
        assert_eq!(layers, ["d/\nd/y 2\nf/\nf/x gone", "new/"]);
        assert!(snapshots.contents(&diff.layers[0]).unwrap().whiteouts);
        assert!(diff.layers.iter().all(|id| snapshots.contents(id).unwrap().quiet.is_empty()));
        // The same again is the same layer, and the tree that it is from keeps its own.
        assert_eq!(snapshots.diff(&base, &quiet).unwrap(), diff);
        assert_eq!(print(&snapshots.layer(&quiet.layers[2]).unwrap()), "f/\nnew/");
        // Computed ones are, too.
        let [one, other] = [6, 7].map(|time| {
            let script = format!("dir f\n file f/x 1\n touch 5 f/x\n touch {time} f\n file y {time}");
            step(snapshots, &Committed::default(), &script)
        });
        let computed = snapshots.diff(&one, &other).unwrap();
        assert_eq!(print(&snapshots.layer(&computed.layers[0]).unwrap()), "y 7");
    });
}

#[test]
fn tidying_keeps_times_of_directories() {
    each(|snapshots| {
        let base = step(snapshots, &Committed::default(), "dir d\n file d/x 1\n file d/y 1\n touch 50 d");
        let next = step(snapshots, &base, "open d/x\n file d/z 1\n touch 100 d");
        let layer = snapshots.layer(&next.layers[1]).unwrap();
        assert_eq!(print(&layer), "d/\nd/z 1");
        assert_eq!(layer.join("d").metadata().unwrap().mtime(), 100);
    });
}

#[test]
fn hard_links_stay_together() {
    each(|snapshots| {
        let tree = step(snapshots, &Committed::default(), "dir d\n file d/x 1\n link d/x y");
        let view = snapshots.view(&tree).unwrap();
        let [x, y] = ["d/x", "y"].map(|name| view.path().join(name).metadata().unwrap());
        assert_eq!((x.ino(), x.nlink()), (y.ino(), 2));
    });
}

#[test]
fn merging_is_appending_layers() {
    each(|snapshots| {
        let one = step(snapshots, &Committed::default(), "dir d\n file d/x 1\n file gone 1");
        let two = step(snapshots, &Committed::default(), "dir d\n file d/y 2");
        let deleting = step(snapshots, &one, "rm gone\n rm d/x");
        let above = Committed { layers: deleting.layers[1..].to_vec() };
        let layers = [&one, &two, &above].map(|tree| tree.layers.clone()).concat();
        assert_eq!(print(snapshots.view(&Committed { layers }).unwrap().path()), "d/\nd/y 2");
        // A layer twice, and deletions of what is not there.
        let layers = [&one, &two, &one].map(|tree| tree.layers.clone()).concat();
        assert_eq!(print(snapshots.view(&Committed { layers }).unwrap().path()), "d/\nd/x 1\nd/y 2\ngone 1");
        assert_eq!(print(snapshots.view(&above).unwrap().path()), "d/");
    });
}

#[test]
fn difference_of_trees() {
    each(|snapshots| {
        let base = step(snapshots, &Committed::default(), "file a 1\n dir d\n file d/x 1\n touch 9 d/x\n touch 9 d");
        let next = step(snapshots, &base, "file b 2");
        assert_eq!(snapshots.diff(&base, &next).unwrap().layers, next.layers[1..]);
        assert_eq!(snapshots.diff(&next, &next).unwrap(), Committed::default());
        let other = step(snapshots, &Committed::default(), "file c 3\n dir d\n file d/x 1\n touch 9 d/x\n touch 9 d");
        let diff = snapshots.diff(&base, &other).unwrap();
        assert_eq!(print(&snapshots.layer(&diff.layers[0]).unwrap()), "a gone\nc 3");
        let nothing = snapshots.diff(&base, &Committed::default()).unwrap();
        assert_eq!(print(&snapshots.layer(&nothing.layers[0]).unwrap()), "a gone\nd gone");
    });
}

#[test]
fn an_imported_layer_may_be_opaque() {
    each(|snapshots| {
        let base = step(snapshots, &Committed::default(), "dir d\n file d/x 1");
        let id = LayerId("sha256-opaque".into());
        let mut fill = |path: &Path| {
            run(path, "dir d\n attr trusted.overlay.opaque=y d\n file d/y 2");
            Ok(Contents { opaque: true, ..Contents::default() })
        };
        snapshots.import(&id, &mut fill).unwrap();
        snapshots.import(&id, &mut |_| panic!("it is there already")).unwrap();
        let layers = vec![base.layers[0].clone(), id];
        assert_eq!(print(snapshots.view(&Committed { layers: layers.clone() }).unwrap().path()), "d/\nd/y 2");
        let next = step(snapshots, &Committed { layers }, "rm d/y");
        assert_eq!(print(&snapshots.layer(&next.layers[2]).unwrap()), "d/\nd/y gone");
    });
}

#[test]
fn a_base_says_what_directories_are_that_a_layer_only_needs() {
    each(|snapshots| {
        let base = step(snapshots, &Committed::default(), "dir tmp\n mode 1777 tmp\n dir tmp/own\n own 5 tmp/own");
        let id = LayerId("sha256-implicit".into());
        let mut fill = |path: &Path| {
            run(path, "dir tmp\n dir tmp/own\n file tmp/own/x 1\n dir new\n file new/y 2");
            let implicit = ["new", "tmp", "tmp/own"].map(|path| path.as_bytes().to_vec()).to_vec();
            Ok(Contents { implicit, ..Contents::default() })
        };
        snapshots.import(&id, &mut fill).unwrap();
        let layers = vec![base.layers[0].clone(), id.clone()];
        let tree = "new/\nnew/y 2\ntmp/ 1777\ntmp/own/ uid 5\ntmp/own/x 1";
        assert_eq!(print(snapshots.view(&Committed { layers: layers.clone() }).unwrap().path()), tree);
        // What is on top of it starts from that, and other bases say other things.
        let next = step(snapshots, &Committed { layers }, "file tmp/z 3");
        assert_eq!(print(&snapshots.layer(&next.layers[2]).unwrap()), "tmp/ 1777\ntmp/z 3");
        let other = step(snapshots, &Committed::default(), "dir tmp\n mode 700 tmp");
        let layers = vec![other.layers[0].clone(), id];
        let tree = "new/\nnew/y 2\ntmp/ 700\ntmp/own/\ntmp/own/x 1";
        assert_eq!(print(snapshots.view(&Committed { layers }).unwrap().path()), tree);
    });
}

#[test]
fn links_to_files_of_lower_layers() {
    each(|snapshots| {
        let script = "dir d\n file d/a 1\n own 5 d/a\n file gone 2\n symlink d way\n mode 700 d";
        let base = step(snapshots, &Committed::default(), script);
        let id = LayerId("sha256-borrowed".into());
        let borrowed = |path: &str, target: &str| Borrowed { path: path.into(), target: target.into() };
        let borrowed = [borrowed("b", "d/a"), borrowed("e/c", "way/a"), borrowed("kept", "gone")].to_vec();
        let mut fill = |path: &Path| {
            run(path, "dir e\n mode 711 e");
            entry::whiteout(File::open(path).unwrap().as_fd(), c"gone").unwrap();
            Ok(Contents { borrowed: borrowed.clone(), whiteouts: true, ..Contents::default() })
        };
        snapshots.import(&id, &mut fill).unwrap();
        let tree = Committed { layers: vec![base.layers[0].clone(), id.clone()] };
        let view = snapshots.view(&tree).unwrap();
        assert_eq!(print(view.path()), "b 1 uid 5\nd/ 700\nd/a 1 uid 5\ne/ 711\ne/c 1 uid 5\nkept 2\nway -> d");
        let inode = |path: &str| view.path().join(path).metadata().unwrap().ino();
        assert_eq!((inode("b"), inode("e/c")), (inode("d/a"), inode("d/a")));
        let alone = snapshots.view(&Committed { layers: vec![id] }).err().unwrap().to_string();
        assert_eq!(alone, "the layer has a link b to d/a, which no layer below has: not found");
    });
}

#[test]
fn a_difference_has_all_names_of_a_file_that_it_has() {
    each(|snapshots| {
        let script = "dir a\n dir b\n dir c\n file b/f 1\n link b/f a/e\n link b/f b/g\n link b/f c/h\n file c/x 2";
        let whole = step(snapshots, &Committed::default(), &format!("{script}\n touch 7 a\n touch 7 b\n touch 7 c"));
        let less = step(snapshots, &whole, "rm b/f\n touch 7 b");
        let difference = snapshots.diff(&less, &whole).unwrap();
        let id = &difference.layers[0];
        let view = snapshots.view(&difference).unwrap();
        assert_eq!(print(view.path()), "a/\na/e 1\nb/\nb/f 1\nb/g 1\nc/\nc/h 1");
        let meta = |path: &str| view.path().join(path).metadata().unwrap();
        let inodes: BTreeSet<_> = ["a/e", "b/f", "b/g", "c/h"].iter().map(|path| meta(path).ino()).collect();
        assert_eq!((inodes.len(), meta("a/e").nlink()), (1, 4));
        assert!(["a", "b", "c"].iter().all(|path| meta(path).mtime() == 7));
        let (mut tar, dir) = (Vec::new(), snapshots.layer(id).unwrap());
        let contents = snapshots.contents(id).unwrap();
        crate::layer::write_diff(&[dir], &contents, Default::default(), &mut tar, &crate::Cancel::default()).unwrap();
        let mut archive = tar::Archive::new(&*tar);
        let names: Vec<_> =
            archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
        // As containerd writes it: what did not change comes behind the file.
        assert_eq!(names, ["b/", "b/f", "a/", "a/e", "b/g", "c/", "c/h"]);
    });
}

#[test]
fn the_root_is_the_same_in_every_tree() {
    each(|snapshots| {
        let base = step(snapshots, &Committed::default(), "mode 700 .\n own 5 .\n attr user.x=1 .");
        let next = step(snapshots, &base, "file x 1\n mode 711 .");
        let unpacked = LayerId("sha256-root".into());
        let fill = &mut |dir: &Path| {
            run(dir, "file y 1\n mode 700 .\n own 5 .");
            Ok(Contents::default())
        };
        snapshots.import(&unpacked, fill).unwrap();
        let difference = snapshots.diff(&Committed::default(), &next).unwrap();
        for tree in [base, next, Committed { layers: vec![unpacked] }, difference] {
            let view = snapshots.view(&tree).unwrap();
            let root = view.path().metadata().unwrap();
            assert_eq!((root.mode() & 0o7777, root.uid()), (0o755, 0), "{tree:?}");
            let dir = File::open(view.path()).unwrap();
            assert_eq!(xattr::get(dir.as_fd(), c".", c"user.x").unwrap(), None);
        }
    });
}

#[test]
fn many_layers() {
    each(|snapshots| {
        let tree = (0..60).fold(Committed::default(), |tree, n| step(snapshots, &tree, &format!("file f{n} {n}")));
        assert_eq!(print(snapshots.view(&tree).unwrap().path()).lines().count(), 60);
    });
}

#[test]
fn too_many_layers_is_said_so() {
    let root = tempfile::tempdir().unwrap();
    let overlay = Overlayfs::open(root.path()).unwrap();
    let layers = (0..501).map(|n| LayerId(n.to_string().into())).collect::<Vec<_>>();
    for id in &layers {
        overlay.import(id, &mut |_| Ok(Contents::default())).unwrap();
    }
    let error = overlay.view(&Committed { layers }).err().unwrap().to_string();
    assert!(error.starts_with("a tree of 502 layers is not supported"), "{error}");
}

#[test]
fn a_missing_layer_is_an_error() {
    each(|snapshots| {
        let tree = Committed { layers: vec![LayerId("nowhere".into())] };
        assert!(matches!(snapshots.prepare(&tree), Err(crate::Error::NotFound(_))));
        assert!(matches!(snapshots.view(&tree), Err(crate::Error::NotFound(_))));
    });
}

#[test]
fn a_discarded_tree_leaves_nothing() {
    each(|snapshots| {
        let active = snapshots.prepare(&Committed::default()).unwrap();
        run(active.path().unwrap(), "dir d\n file d/x 1");
        let path = active.path().unwrap().to_owned();
        drop(active);
        assert!(!path.exists());
        assert_eq!(snapshots.list().unwrap(), []);
    });
}

#[test]
fn removed_layers_are_gone() {
    each(|snapshots| {
        let tree = step(snapshots, &Committed::default(), "file x 1");
        assert!(snapshots.has(&tree.layers[0]));
        snapshots.remove(&tree.layers[0]).unwrap();
        assert!(!snapshots.has(&tree.layers[0]));
        assert_eq!(snapshots.list().unwrap(), []);
    });
}

#[test]
fn scripted_trees_are_names() {
    let root = tempfile::tempdir().unwrap();
    let snapshots = Scripted::new(root.path()).unwrap();
    let one = snapshots.commit(snapshots.prepare(&Committed::default()).unwrap()).unwrap();
    let two = snapshots.commit(snapshots.prepare(&one).unwrap()).unwrap();
    assert_eq!(two.layers.iter().map(|id| &*id.0).collect::<Vec<_>>(), ["layer0", "layer1"]);
    assert_eq!(snapshots.diff(&one, &two).unwrap().layers, two.layers[1..]);
    snapshots.remove(&one.layers[0]).unwrap();
    assert!(snapshots.prepare(&two).is_err());
}
