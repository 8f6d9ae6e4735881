//! Directories: what becomes of what is there, whatever happens.

use std::io::Read;

use super::*;

/// Names in the directory, what exports have aside included.
fn names(fixture: &Fixture) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(fixture.dest()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_failed_export_leaves_a_directory_as_it_was() {
    let fixture = Fixture::new(&["linux/amd64"]);
    fixture.cancel.cancel();
    assert!(fixture.export(Kind::Local, &[]).is_err());
    assert!(!fixture.dest().exists(), "what it made is gone");
    fs::create_dir_all(fixture.dest().join("d")).unwrap();
    fs::write(fixture.dest().join("d/f"), "old").unwrap();
    assert!(fixture.export(Kind::Local, &[]).is_err());
    assert_eq!(names(&fixture), ["d"]);
    assert_eq!(fs::read_to_string(fixture.dest().join("d/f")).unwrap(), "old");
}

#[test]
fn who_reads_a_file_that_is_replaced_reads_it_to_its_end() {
    let fixture = Fixture::new(&["linux/amd64"]);
    fs::create_dir_all(fixture.dest().join("d/kept")).unwrap();
    fs::write(fixture.dest().join("d/f"), "old").unwrap();
    let mut open = fs::File::open(fixture.dest().join("d/f")).unwrap();
    fixture.export(Kind::Local, &[]).unwrap();
    let mut text = String::new();
    open.read_to_string(&mut text).unwrap();
    assert_eq!((&*text, &*fs::read_to_string(fixture.dest().join("d/f")).unwrap()), ("old", "amd64"));
    assert!(fixture.dest().join("d/kept").is_dir());
    let time = |path: &str| fixture.dest().join(path).metadata().unwrap().mtime();
    assert_eq!([time("."), time("d"), time("d/f")], [7, 7, 7]);
}

#[test]
fn types_change() {
    let fixture = Fixture::new(&["linux/amd64"]);
    // A link where a directory will be must not be followed; a directory where a link will be goes with all in it.
    let outside = fixture.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::create_dir_all(fixture.dest().join("l/deep")).unwrap();
    symlink(&outside, fixture.dest().join("d")).unwrap();
    fixture.export(Kind::Local, &[]).unwrap();
    assert_eq!(names(&fixture), ["d", "l"]);
    assert!(fixture.dest().join("d").symlink_metadata().unwrap().is_dir());
    assert!(fixture.dest().join("l").is_symlink());
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn what_a_killed_export_left_aside_goes_and_what_a_living_one_has_stays() {
    let fixture = Fixture::new(&["linux/amd64"]);
    let aside = |name: &str| fixture.dest().join(format!(".llbc-export-{name}"));
    fs::create_dir_all(aside("dead").join("tree/half")).unwrap();
    fs::create_dir_all(aside("living").join("tree")).unwrap();
    let held = fs::File::open(aside("living")).unwrap();
    held.lock().unwrap();
    fixture.export(Kind::Local, &[]).unwrap();
    assert_eq!(names(&fixture), [".llbc-export-living", "d", "l"]);
    drop(held);
    fixture.export(Kind::Local, &[]).unwrap();
    assert_eq!(names(&fixture), ["d", "l"]);
}

#[test]
fn what_no_result_has_is_removed_at_the_top_and_below() {
    let check = |platforms: &[&str], attrs: &[(&str, &str)], stays: &[&str]| {
        let fixture = Fixture::new(platforms);
        for stale in ["stale", "linux_amd64/stale", "d/stale", "linux_s390x/d"] {
            fs::create_dir_all(fixture.dest().join(stale)).unwrap();
        }
        let attrs: Vec<_> = attrs.iter().copied().chain([("mode", "delete")]).collect();
        fixture.export(Kind::Local, &attrs).unwrap();
        assert_eq!(names(&fixture), stays);
        let stale = |dir: &str| fixture.dest().join(dir).join("stale").exists();
        assert!(!stale("linux_amd64") && !stale("d"), "{platforms:?}");
    };
    check(&["linux/amd64"], &[], &["d", "l"]);
    check(&["linux/amd64"], &[("platform-split", "true")], &["linux_amd64"]);
    check(&["linux/arm64", "linux/amd64"], &[], &["linux_amd64", "linux_arm64"]);
    let versions = ["windows(10.0.20348)/amd64", "windows(10.0.26100)/amd64"];
    check(&versions, &[], &versions.map(|platform| platform.replace('/', "_")).each_ref().map(String::as_str));
}

#[test]
fn directories_of_platforms_have_no_time() {
    let fixture = Fixture::new(&["linux/arm64", "linux/amd64"]);
    let time = |name: &str| fixture.dest().join(name).metadata().unwrap().mtime();
    let times = || [time("linux_amd64"), time("linux_arm64")];
    fixture.export(Kind::Local, &[("source-date-epoch", "")]).unwrap();
    assert_eq!(times(), [0, 0]);
    fixture.export(Kind::Local, &[("source-date-epoch", "9")]).unwrap();
    assert_eq!(times(), [9, 9]);
}

#[test]
fn what_one_of_several_results_has_in_a_directory_stays() {
    let mut fixture = Fixture::new(&["linux/arm64", "linux/amd64"]);
    let tree = step(&fixture.snapshots, &Committed::default(), |root| {
        fs::create_dir(root.join("d")).unwrap();
        fs::write(root.join("d/other"), "x").unwrap();
    });
    fixture.built[0].tree = tree;
    fs::create_dir_all(fixture.dest().join("d/stale")).unwrap();
    fixture.export(Kind::Local, &[("mode", "delete"), ("platform-split", "false")]).unwrap();
    assert_eq!(names(&fixture), ["d", "l"]);
    let inside = |name: &str| fixture.dest().join("d").join(name).exists();
    assert_eq!(["f", "other", "stale"].map(inside), [true, true, false]);
}
