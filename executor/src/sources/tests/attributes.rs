//! Every attribute that a definition can give a source, and what comes of it: another key, another tree, an error. None is
//! passed over in silence unless it means nothing here.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::*;
use crate::sources::git::tests::Remote;

/// The attributes of BuildKit v0.32 (`solver/pb/attr.go`).
const ATTRIBUTES: &[&str] = &[
    "git.authheadersecret",
    "git.authtokensecret",
    "git.bundle",
    "git.checkoutbundle",
    "git.checksum",
    "git.fetchbycommit",
    "git.fullurl",
    "git.keepgitdir",
    "git.knownsshhosts",
    "git.mountsshsock",
    "git.mtime",
    "git.sig.ignoresignedtag",
    "git.sig.pubkey",
    "git.sig.rejectexpired",
    "git.sig.requiresignedtag",
    "git.skipsubmodules",
    "http.authheadersecret",
    "http.checksum",
    "http.filename",
    "http.gid",
    "http.header.accept",
    "http.perm",
    "http.sig.pubkey",
    "http.sig.signature",
    "http.uid",
    "image.checksum",
    "image.layerlimit",
    "image.recordtype",
    "image.resolvemode",
    "local.differ",
    "local.excludepatterns",
    "local.followpaths",
    "local.includepattern",
    "local.metadatatransfer",
    "local.metadatatransferexclude",
    "local.session",
    "local.sharedkeyhint",
    "local.unique",
    "oci.layerlimit",
    "oci.session",
    "oci.store",
];

/// What an attribute makes of a source.
enum Makes {
    /// A key and a tree like this, in the notation of [`outcome`]; `*` is what it is without the attribute.
    Tree(&'static str),
    /// An error that holds this.
    Error(&'static str),
}
use Makes::{Error as Fails, Tree};

const SAME: Makes = Tree("same key: *");

/// Keys and files of a source: `name mode uid:gid content`, separated by commas; a time if it is not that of the test.
fn outcome(place: &Place, identifier: &str, attrs: &[(&str, &str)]) -> Result<(String, String)> {
    let attrs = attrs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let source = llb::Source { identifier: identifier.to_owned(), attrs };
    place.with(|context| {
        let pinned = find(identifier)?.pin(&source, &amd64(), context)?;
        let key = match pinned.key(0, context)? {
            Some(Key::Stable(key)) => key,
            _ => "of this build".to_owned(),
        };
        let tree = pinned.fetch(context)?;
        Fetching::default().materialise(std::slice::from_ref(&tree), context)?;
        let view = place.snapshots.view(&tree)?;
        let mut files = Vec::new();
        list(view.path(), Path::new(""), &mut files);
        Ok((key, files.join(", ")))
    })
}

fn list(root: &Path, below: &Path, files: &mut Vec<String>) {
    let mut names: Vec<PathBuf> =
        fs::read_dir(root.join(below)).unwrap().map(|entry| below.join(entry.unwrap().file_name())).collect();
    names.sort();
    for name in names {
        let metadata = root.join(&name).symlink_metadata().unwrap();
        if metadata.is_dir() && name.file_name().is_some_and(|name| name == ".git") {
            files.push(".git".to_owned());
        } else if metadata.is_dir() {
            list(root, &name, files);
        } else {
            let content = match metadata.is_symlink() {
                true => format!("-> {}", fs::read_link(root.join(&name)).unwrap().display()),
                false => match fs::read(root.join(&name)).unwrap() {
                    bytes if bytes.starts_with(b"# v2 git bundle") => "a git bundle".to_owned(),
                    bytes if name.as_os_str() == ".fsutil-metadata" => listed(&bytes),
                    bytes => String::from_utf8(bytes).unwrap(),
                },
            };
            let (mode, owner) = (metadata.mode() & 0o7777, format!("{}:{}", metadata.uid(), metadata.gid()));
            let time = if metadata.mtime() == 1_000_000_000 { " of its commit" } else { "" };
            files.push(format!("{} {mode:o} {owner} {content}{time}", name.display()));
        }
    }
}

/// The paths in a list of metadata: entries behind their lengths, each of which begins with its path.
fn listed(mut bytes: &[u8]) -> String {
    let mut paths = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (entry, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
        assert_eq!(entry[0], 0x0a, "the first field is a text");
        paths.push(String::from_utf8(entry[2..2 + usize::from(entry[1])].to_vec()).unwrap());
        bytes = rest;
    }
    paths.join("+")
}

/// Builds a source with each attribute and without.
fn check(place: &Place, identifier: &str, given: &[(&str, &str)], rows: &[(&'static str, &str, Makes)]) -> Vec<String> {
    let plain = outcome(place, identifier, given).unwrap_or_else(|error| panic!("{identifier}: {error}"));
    for (name, value, makes) in rows {
        // One that is given already is given otherwise.
        let others = given.iter().filter(|(other, _)| other != name).copied();
        let attrs: Vec<_> = others.chain([(*name, *value)]).collect();
        let made = outcome(place, identifier, &attrs);
        let row = format!("{identifier} {name}={value}");
        match (made, makes) {
            (Ok((key, tree)), Tree(expected)) => {
                let key = if key == plain.0 { "same key" } else { "another key" };
                assert_eq!(format!("{key}: {tree}"), expected.replace('*', &plain.1), "{row}");
            }
            (Err(error), Fails(expected)) => assert!(error.to_string().contains(expected), "{row}: {error}"),
            (Ok((_, tree)), Fails(expected)) => panic!("{row} gives {tree} and not the error {expected}"),
            (Err(error), Tree(expected)) => panic!("{row} fails with {error} and does not give {expected}"),
        }
    }
    rows.iter().map(|(name, ..)| (*name).to_owned()).chain(given.iter().map(|(name, _)| (*name).to_owned())).collect()
}

const OTHER: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

fn images() -> Vec<String> {
    let sample = Sample::new(false);
    let server = sample.serve();
    let mut place = Place::new();
    let layout = place.dir.path().join("layout");
    sample.write_layout(&layout);
    place.session.oci_layouts.insert("store".into(), layout);
    let image = |scheme: &str| format!("{scheme}://{}/team/app:1@{}", server.host, sample.root.digest);
    let mut tested = check(
        &place,
        &image("docker-image"),
        &[],
        &[
            ("image.resolvemode", "pull", SAME),
            ("image.resolvemode", "other", Fails("invalid resolvemode: other")),
            ("image.recordtype", "internal", SAME),
            ("image.recordtype", "other", Fails("invalid record type other")),
            ("image.layerlimit", "1", Tree("another key: one 644 0:0 first")),
            ("image.layerlimit", "-1", Fails("invalid layer limit -1")),
            ("image.checksum", OTHER, Fails("does not match expected checksum")),
        ],
    );
    tested.extend(check(
        &place,
        &image("oci-layout"),
        &[("oci.store", "store")],
        &[
            ("oci.store", "other", Fails("no OCI layout \"other\" was given")),
            ("oci.session", "any", SAME),
            ("oci.layerlimit", "1", Tree("another key: one 644 0:0 first")),
            ("image.checksum", OTHER, Fails("does not match expected checksum")),
        ],
    ));
    tested
}

fn blobs() -> Vec<String> {
    let sample = Sample::new(false);
    let server = sample.serve();
    let mut place = Place::new();
    let layout = place.dir.path().join("layout");
    sample.write_layout(&layout);
    place.session.oci_layouts.insert("store".into(), layout);
    let blob = |scheme: &str| format!("{scheme}://{}/team/app@{}", server.host, Digest::sha256(&sample.config));
    let named = "another key: config 600 0:0 ";
    let named: &'static str = Box::leak(format!("{named}{}", String::from_utf8_lossy(&sample.config)).into_boxed_str());
    let with = |mode: &str, owner: &str| -> &'static str {
        let (name, config) = (Digest::sha256(&sample.config), String::from_utf8_lossy(&sample.config).into_owned());
        Box::leak(format!("another key: {} {mode} {owner} {config}", name.hex()).into_boxed_str())
    };
    let rows = || {
        vec![
            ("http.filename", "a/config", Tree(named)),
            ("http.perm", "0o640", Tree(with("640", "0:0"))),
            ("http.perm", "rw", Fails("http.perm: \"rw\" is no number")),
            ("http.uid", "7", Tree(with("600", "7:0"))),
            ("http.gid", "8", Tree(with("600", "0:8"))),
            ("http.sig.pubkey", "key", Fails("http.sig.pubkey of a blob is not supported")),
            ("image.recordtype", "other", Fails("invalid record type other")),
        ]
    };
    let mut tested = check(&place, &blob("docker-image+blob"), &[], &rows());
    tested.extend(check(&place, &blob("oci-layout+blob"), &[("oci.store", "store")], &rows()));
    let error = |identifier: &str| outcome(&Place::new(), identifier, &[]).unwrap_err().to_string();
    assert_eq!(error(&blob("oci-layout+blob")), "oci-layout blob source requires store id");
    assert_eq!(error("docker-image+blob://example.com/a:1"), "example.com/a:1: a blob is named by its digest");
    let missing = format!("docker-image+blob://{}/team/app@{OTHER}", server.host);
    assert!(error(&missing).ends_with(": not found"), "{}", error(&missing));
    tested
}

fn files_of_the_web() -> Vec<String> {
    let server = Server::start(|asked| Reply::ok(format!("for {}", asked.header("accept"))));
    let place = Place::new();
    let wrong = "digest mismatch sha256:0000";
    check(
        &place,
        &format!("http://{}/dir/f", server.host),
        &[],
        &[
            ("http.checksum", OTHER, Fails(wrong)),
            ("http.filename", "dir/g", Tree("another key: g 600 0:0 for ")),
            ("http.perm", "420", Tree("another key: f 644 0:0 for ")),
            ("http.uid", "7", Tree("another key: f 600 7:0 for ")),
            ("http.gid", "8", Tree("another key: f 600 0:8 for ")),
            ("http.header.accept", "text/x", Tree("another key: f 600 0:0 for text/x")),
            ("http.authheadersecret", "none", Fails("secret none: not found")),
            ("http.sig.pubkey", "key", Fails("requires both pubkey and signature")),
            ("http.sig.signature", "signature", Fails("requires both pubkey and signature")),
        ],
    )
}

fn repositories() -> Vec<String> {
    let remote = Remote::start();
    let place = Place::new();
    let url = format!("{}/repo#dev", remote.address);
    let locator = format!("docker-image+blob://example.com/a@{OTHER}");
    check(
        &place,
        &url,
        &[("git.fullurl", &format!("{}/repo", remote.address))],
        &[
            ("git.fullurl", "git://127.0.0.1:1/none", Fails("failed to fetch remote git://127.0.0.1:1/none")),
            ("git.keepgitdir", "true", Tree("another key: .git, *")),
            ("git.checksum", "0000", Fails("expected checksum to match 0000")),
            ("git.skipsubmodules", "true", Tree("another key: *")),
            (
                "git.mtime",
                "commit",
                Tree(
                    "another key: docs/deep/page 644 0:0 page of its commit, file 644 0:0 one of its commit, link 777 0:0 -> docs of its commit",
                ),
            ),
            ("git.fetchbycommit", "true", Fails("fetch-by-commit requires a checksum")),
            ("git.authheadersecret", "none", SAME),
            ("git.authtokensecret", "none", SAME),
            ("git.knownsshhosts", "example.com ssh-ed25519 AAAA", SAME),
            ("git.mountsshsock", "default", Fails("no SSH key \"default\" forwarded from the client")),
            ("git.bundle", &locator, Fails("git.bundle requires git.checksum to be set")),
            ("git.checkoutbundle", "true", Tree("another key: bundle 644 0:0 a git bundle")),
            ("git.sig.pubkey", "key", Fails("git object is not signed")),
            ("git.sig.rejectexpired", "true", Fails("git object is not signed")),
            ("git.sig.requiresignedtag", "true", Fails("signed tag required but no signed tag found")),
            ("git.sig.ignoresignedtag", "true", Fails("git object is not signed")),
        ],
    )
}

fn directories() -> Vec<String> {
    let mut place = Place::new();
    let dir = place.dir.path().join("directory");
    fs::create_dir_all(dir.join("sub")).unwrap();
    fs::write(dir.join("a"), "1").unwrap();
    fs::write(dir.join("sub/b"), "2").unwrap();
    fs::write(dir.join("sub/c"), "3").unwrap();
    place.session.locals.insert("context".into(), dir);
    const LIST: &str = "same key: .fsutil-metadata 644 0:0 a+sub+sub/b+sub/c";
    let with_list = [("local.metadatatransfer", "true")];
    let some = "same key: .fsutil-metadata 644 0:0 a+sub+sub/b+sub/c, sub/b 644 0:0 2";
    let few = "same key: .fsutil-metadata 644 0:0 sub+sub/b+sub/c, sub/b 644 0:0 2, sub/c 644 0:0 3";
    let whole = [("local.metadatatransfer", "true"), ("local.metadatatransferexclude", r#"["sub"]"#)];
    check(&place, "local://context", &whole, &[("local.includepattern", r#"["sub"]"#, Tree(few))]);
    let rows = [
        ("local.metadatatransferexclude", r#"["**/b", "none"]"#, Tree(some)),
        ("local.metadatatransferexclude", "x", Fails("is no list of texts")),
    ];
    check(&place, "local://context", &with_list, &rows);
    check(
        &place,
        "local://context",
        &[],
        &[
            ("local.includepattern", r#"["sub"]"#, Tree("same key: sub/b 644 0:0 2, sub/c 644 0:0 3")),
            ("local.includepattern", "sub", Fails("local.includepattern of a local source is no list of texts")),
            ("local.excludepatterns", r#"["sub"]"#, Tree("same key: a 644 0:0 1")),
            ("local.followpaths", r#"["a"]"#, Tree("same key: a 644 0:0 1")),
            ("local.session", "any", SAME),
            ("local.unique", "any", SAME),
            ("local.sharedkeyhint", "any", SAME),
            ("local.differ", "none", SAME),
            ("local.differ", "other", Fails("unknown local.differ \"other\"")),
            ("local.metadatatransfer", "false", SAME),
            ("local.metadatatransfer", "perhaps", Fails("invalid value for local.metadatatransfer \"perhaps\"")),
            ("local.metadatatransferexclude", "[]", SAME),
            ("local.metadatatransfer", "true", Tree(LIST)),
        ],
    )
}

#[test]
fn every_attribute_does_something_or_is_refused() {
    let tested = [images(), blobs(), files_of_the_web(), repositories(), directories()].concat();
    let missing: Vec<_> = ATTRIBUTES.iter().filter(|name| !tested.iter().any(|tested| tested == *name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
