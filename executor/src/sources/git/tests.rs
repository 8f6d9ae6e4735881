//! Repositories made here, served by `git daemon` on loopback.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;
use crate::registry::tests::server::{Reply, Server};
use crate::sources::signature::tests::{Keys, SshKey};
use crate::sources::tests::Place;

/// A repository on a loopback port.
pub(in crate::sources) struct Remote {
    pub(in crate::sources) address: String,
    child: Child,
    root: tempfile::TempDir,
}

impl Drop for Remote {
    fn drop(&mut self) {
        // git starts the daemon as a process of its own, in the same group.
        let group = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Remote {
    /// `main` with two commits, branch `dev`, annotated tag `v1` on the first commit, plain tag `plain`.
    pub(in crate::sources) fn start() -> Self {
        use std::os::unix::process::CommandExt;
        let root = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("git")
            .args(["daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1"])
            .arg(format!("--port={port}"))
            .arg(format!("--base-path={}", root.path().display()))
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need git with its daemon");
        let remote = Self { address: format!("git://127.0.0.1:{port}"), child, root };
        let started = Instant::now();
        while TcpStream::connect(format!("127.0.0.1:{port}")).is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "git daemon does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        let dir = remote.path("repo");
        remote.git("", &["init", "--quiet", "-b", "main", "repo"]);
        fs::create_dir_all(dir.join("docs/deep")).unwrap();
        fs::write(dir.join("file"), "one").unwrap();
        fs::write(dir.join("docs/deep/page"), "page").unwrap();
        std::os::unix::fs::symlink("docs", dir.join("link")).unwrap();
        remote.commit("repo", 1_000_000_000);
        remote.git("repo", &["tag", "-a", "-m", "x", "v1"]);
        remote.git("repo", &["branch", "dev"]);
        fs::write(dir.join("file"), "two").unwrap();
        remote.commit("repo", 1_100_000_000);
        remote.git("repo", &["tag", "plain"]);
        remote
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn git(&self, dir: &str, arguments: &[&str]) -> String {
        self.git_at(dir, arguments, 1_000_000_000)
    }

    fn git_at(&self, dir: &str, arguments: &[&str], seconds: i64) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=me", "-c", "user.email=me@example.com", "-c", "protocol.file.allow=always"])
            .args(arguments)
            .current_dir(self.path(dir))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_AUTHOR_DATE", format!("{seconds} +0000"))
            .env("GIT_COMMITTER_DATE", format!("{seconds} +0000"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, dir: &str, seconds: i64) {
        self.git(dir, &["add", "-A"]);
        self.git_at(dir, &["commit", "--quiet", "-m", "x"], seconds);
    }

    fn id(&self, name: &str) -> String {
        self.git("repo", &["rev-parse", name])
    }

    fn source(&self, fragment: &str, attrs: &[(&str, &str)]) -> llb::Source {
        let url = format!("{}/repo", self.address);
        let mut attrs: llb::Texts = attrs.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
        attrs.insert("git.fullurl", url.clone());
        llb::Source { identifier: format!("{url}{fragment}"), attrs }
    }
}

/// Paths of files below a directory, sorted; what is in `.git` is left out.
fn files(dir: &Path) -> Vec<String> {
    let mut found: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .flat_map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            match entry.file_type().unwrap().is_dir() {
                true if name == ".git" => vec![".git".to_owned()],
                true => files(&entry.path()).into_iter().map(|below| format!("{name}/{below}")).collect(),
                false => vec![name],
            }
        })
        .collect();
    found.sort();
    found
}

/// Key, and the directory of the checked out tree.
fn build(place: &Place, source: &llb::Source) -> Result<(String, PathBuf)> {
    place.with(|context| {
        let pinned = GitSource.pin(source, &Platform::new("linux", "amd64"), context)?;
        let Some(Key::Stable(key)) = pinned.key(0, context)? else { panic!("no key") };
        let tree = pinned.fetch(context)?;
        Ok((key, context.snapshots.layer(&tree.layers[0])?))
    })
}

#[test]
fn names() {
    let remote = Remote::start();
    let place = Place::new();
    let check = |fragment: &str, attrs: &[(&str, &str)], key: &str, content: &str| {
        let (got, dir) = build(&place, &remote.source(fragment, attrs)).unwrap();
        assert_eq!(
            (got.as_str(), fs::read_to_string(dir.join("file")).unwrap().as_str()),
            (key, content),
            "{fragment}"
        );
        assert_eq!(files(&dir), ["docs/deep/page", "file", "link"]);
    };
    let (first, second) = (remote.id("v1^{commit}"), remote.id("main"));
    check("", &[], &second, "two");
    check("#main", &[], &second, "two");
    check("#dev", &[], &first, "one");
    check("#v1", &[], &first, "one");
    check("#refs/tags/plain", &[], &second, "two");
    check(&format!("#{first}"), &[], &first, "one");
    check("#v1", &[("git.checksum", &first[..7])], &first, "one");
    check("#v1", &[("git.skipsubmodules", "true")], &format!("{first}(skip-submodules)"), "one");
    check("", &[("git.fetchbycommit", "true"), ("git.checksum", &first)], &first, "one");
}

#[test]
fn a_directory_of_the_tree() {
    let remote = Remote::start();
    let place = Place::new();
    let (key, dir) = build(&place, &remote.source("#main:docs/deep", &[])).unwrap();
    assert_eq!((key, files(&dir)), (format!("{}:docs/deep", remote.id("main")), vec!["page".to_owned()]));
    let error = |fragment: &str| build(&Place::new(), &remote.source(fragment, &[])).unwrap_err().to_string();
    assert_eq!(
        error("#main:link/deep"),
        "invalid subdir link/deep: git subpath \"link/deep\" contains non-directory \"link\""
    );
    assert_eq!(error("#main:file"), "invalid subdir file: git subpath \"file\" contains non-directory \"file\"");
    assert_eq!(error("#main:../none"), "invalid subdir none: \"none\": no such file or directory");
}

#[test]
fn times_of_the_commit() {
    use std::os::unix::fs::MetadataExt;
    let remote = Remote::start();
    let place = Place::new();
    let (key, dir) = build(&place, &remote.source("#dev", &[("git.mtime", "commit")])).unwrap();
    assert_eq!(key, format!("{}(mtime=commit)", remote.id("dev")));
    for path in ["", "file", "docs", "docs/deep/page", "link"] {
        assert_eq!(fs::symlink_metadata(dir.join(path)).unwrap().mtime(), 1_000_000_000, "{path}");
    }
    place.with(|context| {
        let found = meta(&remote.source("#v1", &[]), true, context).unwrap();
        assert_eq!(found.time(), Some(1_000_000_000));
        let named = meta(&remote.source("#dev", &[]), false, context).unwrap();
        let Meta::Commit { name, object, commit, .. } = named else { panic!("a commit") };
        assert_eq!((name.as_str(), object, commit.len()), ("refs/heads/dev", remote.id("dev"), 0));
    });
}

#[test]
fn with_its_repository() {
    let remote = Remote::start();
    let (tag, first) = (remote.id("v1"), remote.id("v1^{commit}"));
    let keep = [("git.keepgitdir", "true")];
    let place = Place::new();
    let (key, dir) = build(&place, &remote.source("#v1", &keep)).unwrap();
    assert_eq!(key, format!("{tag}.git#refs/tags/v1"));
    assert_eq!(files(&dir), [".git", "docs/deep/page", "file", "link"]);
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").arg("-C").arg(&dir).args(["-c", "safe.directory=*"]).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(git(&["rev-parse", "HEAD"]), first);
    assert_eq!(git(&["status", "--porcelain"]), "");
    assert_eq!(git(&["describe"]), "v1");
    assert_eq!(git(&["remote", "get-url", "origin"]), format!("{}/repo", remote.address));
    assert!(!dir.join(".git/FETCH_HEAD").exists());

    let (key, dir) = build(&place, &remote.source(&format!("#{first}"), &keep)).unwrap();
    assert_eq!(key, format!("{first}.git#{first}"));
    assert_eq!(fs::read_to_string(dir.join(".git/HEAD")).unwrap().trim(), first);
}

#[test]
fn names_that_a_kept_repository_has() {
    let remote = Remote::start();
    let place = Place::new();
    for (fragment, expected) in [
        ("#dev", "refs/heads/dev refs/tags/dev"),
        ("#plain", "refs/heads/plain refs/tags/plain"),
        ("#tags/v1", "refs/tags/v1"),
        ("#v1", "refs/tags/v1"),
        ("#refs/heads/dev", "refs/heads/dev refs/tags/dev"),
    ] {
        let (_, dir) = build(&place, &remote.source(fragment, &[("git.keepgitdir", "true")])).unwrap();
        let output = Command::new("git")
            .arg("-C")
            .arg(&dir)
            .args(["-c", "safe.directory=*", "for-each-ref", "--format=%(refname)"])
            .output()
            .unwrap();
        let names = String::from_utf8(output.stdout).unwrap();
        assert_eq!(names.split_whitespace().collect::<Vec<_>>().join(" "), expected, "{fragment}");
    }
}

/// Keeps the bundle in a directory as a blob of the layout `layout`; returns its locator.
fn lay_out(place: &mut Place, layout: &Path, dir: &Path) -> String {
    let bytes = fs::read(dir.join("bundle")).unwrap();
    let digest = Digest::sha256(&bytes);
    fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    fs::write(layout.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
    place.session.oci_layouts.insert("layout".to_owned(), layout.to_owned());
    format!("oci-layout+blob://layout@{digest}")
}

#[test]
fn bundles_hold_a_commit_with_its_history_and_stand_for_the_remote() {
    let remote = Remote::start();
    let (mut place, layout) = (Place::new(), tempfile::tempdir().unwrap());
    let main = remote.id("main");
    // The repository that builds share has the commit without its history by then.
    build(&place, &remote.source("#main", &[])).unwrap();
    let (key, dir) = build(&place, &remote.source("#main", &[("git.checkoutbundle", "true")])).unwrap();
    assert_eq!(key, format!("{main}(bundle)"));
    assert_eq!(files(&dir), ["bundle"]);
    let locator = lay_out(&mut place, layout.path(), &dir);
    remote.git("", &["clone", "--quiet", "--bare", dir.join("bundle").to_str().unwrap(), "cloned"]);
    assert_eq!(remote.git("cloned", &["rev-list", "--count", "refs/heads/main"]), "2");

    let elsewhere = place.elsewhere();
    let given = |fragment: &str, attrs: &[(&str, &str)]| {
        let attrs = [&[("git.checksum", main.as_str()), ("git.bundle", locator.as_str())], attrs].concat();
        let mut source = remote.source(fragment, &attrs);
        source.attrs.insert("git.fullurl", "https://example.invalid/repo");
        build(&elsewhere, &source)
    };
    for fragment in ["#main", "", &format!("#{main}")] {
        let (key, dir) = given(fragment, &[]).unwrap();
        assert_eq!((key, files(&dir)), (main.clone(), vec!["docs/deep/page".into(), "file".into(), "link".into()]));
    }
    let (key, dir) = given("#main", &[("git.keepgitdir", "true")]).unwrap();
    assert_eq!(key, format!("{main}.git#refs/heads/main"));
    assert_eq!(fs::read_to_string(dir.join(".git/refs/heads/main")).unwrap().trim(), main);
    let (_, again) = given("#main", &[("git.checkoutbundle", "true")]).unwrap();
    assert_eq!(files(&again), ["bundle"]);

    let wrong = |attrs: &[(&str, &str)], expected: &str| {
        let error = build(&place.elsewhere(), &remote.source("#main", attrs));
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected), "{attrs:?}: {error}");
    };
    let none = "0".repeat(40);
    wrong(&[("git.bundle", &locator), ("git.checksum", &none)], "not found in bundle oci-layout+blob://layout@");
    let missing = format!("oci-layout+blob://layout@{}", Digest::sha256(b"none"));
    wrong(&[("git.bundle", &missing), ("git.checksum", &main)], "is not in the OCI layout");
    fs::write(layout.path().join("blobs/sha256").join(Digest::sha256(b"text").hex()), "text").unwrap();
    let text = format!("oci-layout+blob://layout@{}", Digest::sha256(b"text"));
    wrong(&[("git.bundle", &text), ("git.checksum", &main)], "failed to import git bundle");
    wrong(&[("git.checkoutbundle", "true"), ("git.keepgitdir", "true")], "incompatible with git.keepgitdir");
}

#[test]
fn bundles_of_tags() {
    let remote = Remote::start();
    let (tag, commit) = (remote.id("v1"), remote.id("v1^{commit}"));
    assert_ne!(tag, commit);
    for (fragment, name, object) in [
        ("#v1", "refs/heads/v1", &commit),
        ("#refs/tags/v1", "refs/tags/v1", &tag),
        ("#plain", "refs/heads/plain", &remote.id("plain")),
        (&format!("#{tag}"), "refs/heads/main", &commit),
    ] {
        let (place, source) = (Place::new(), remote.source(fragment, &[("git.checkoutbundle", "true")]));
        let (_, dir) = build(&place, &source).unwrap();
        let listed = remote.git("", &["bundle", "list-heads", dir.join("bundle").to_str().unwrap()]);
        assert_eq!(listed.trim(), format!("{object} {name}"), "{fragment}");
    }
}

#[test]
fn submodules_leave_only_their_files() {
    let remote = Remote::start();
    let address = format!("{}/repo", remote.address);
    remote.git("", &["init", "--quiet", "-b", "main", "outer"]);
    remote.git("outer", &["submodule", "--quiet", "add", &address, "inner"]);
    remote.commit("outer", 1_000_000_000);
    let url = format!("{}/outer", remote.address);
    let source = |skip: &str| llb::Source {
        identifier: url.clone(),
        attrs: [("git.fullurl".to_owned(), url.clone()), ("git.skipsubmodules".to_owned(), skip.to_owned())].into(),
    };
    let place = Place::new();
    let (_, dir) = build(&place, &source("false")).unwrap();
    assert_eq!(files(&dir), [".gitmodules", "inner/docs/deep/page", "inner/file", "inner/link"]);
    let (_, dir) = build(&place, &source("true")).unwrap();
    assert_eq!(files(&dir), [".gitmodules"]);
}

/// A repository `outer` whose module `inner` is at an address; the module itself is `repo`.
fn add_outer(remote: &Remote, address: &str) {
    if !remote.path("outer").exists() {
        remote.git("", &["init", "--quiet", "-b", "main", "outer"]);
        remote.git("outer", &["submodule", "--quiet", "add", &format!("{}/repo", remote.address), "inner"]);
    }
    fs::write(remote.path("outer/.gitmodules"), format!("[submodule \"inner\"]\npath = inner\nurl = {address}\n"))
        .unwrap();
    remote.commit("outer", 1_000_000_000);
}

/// `outer`, at an address.
fn outer(address: &str, keep: &str) -> llb::Source {
    let attrs = [("git.fullurl".to_owned(), address.to_owned()), ("git.keepgitdir".to_owned(), keep.to_owned())].into();
    llb::Source { identifier: "git://127.0.0.1/outer#main".to_owned(), attrs }
}

#[test]
fn submodules_beside_the_repository() {
    let remote = Remote::start();
    add_outer(&remote, "../repo");
    for keep in ["false", "true"] {
        let place = Place::new();
        let (_, dir) = build(&place, &outer(&format!("{}/outer", remote.address), keep)).unwrap();
        assert_eq!(fs::read_to_string(dir.join("inner/file")).unwrap(), "two", "keepgitdir={keep}");
    }
}

#[test]
fn submodules_beside_a_repository_with_a_password() {
    let remote = Remote::start();
    add_outer(&remote, "../../repo/.git");
    ["repo", "outer"].iter().for_each(|name| drop(remote.git(name, &["update-server-info"])));
    let root = remote.root.path().to_owned();
    let server = Server::start(move |asked| {
        let path = asked.target.split('?').next().unwrap_or_default().trim_start_matches('/');
        match (asked.header("authorization"), fs::read(root.join(path))) {
            // "me:p@w"
            ("Basic bWU6cEB3", Ok(body)) => Reply::ok(body),
            ("Basic bWU6cEB3", Err(_)) => Reply::status(404),
            _ => Reply::Full(401, vec![("WWW-Authenticate", "Basic realm=x".into())], vec![]),
        }
    });
    for keep in ["false", "true"] {
        let place = Place::new();
        let (_, dir) = build(&place, &outer(&format!("http://me:p%40w@{}/outer/.git", server.host), keep)).unwrap();
        assert_eq!(fs::read_to_string(dir.join("inner/file")).unwrap(), "two", "keepgitdir={keep}");
        let found = Command::new("grep").args(["-r", "p%40w"]).arg(place.dir.path()).output().unwrap();
        assert!(found.stdout.is_empty(), "{}", String::from_utf8_lossy(&found.stdout));
    }
}

#[test]
fn submodules_that_moved() {
    let remote = Remote::start();
    let place = Place::new();
    let source = outer(&format!("{}/outer", remote.address), "false");
    add_outer(&remote, "../repo");
    build(&place, &source).unwrap();
    fs::rename(remote.path("repo"), remote.path("elsewhere")).unwrap();
    fs::write(remote.path("elsewhere/file"), "three").unwrap();
    remote.commit("elsewhere", 1_200_000_000);
    remote.git("outer/inner", &["fetch", "--quiet", "../../elsewhere"]);
    remote.git("outer/inner", &["checkout", "--quiet", "FETCH_HEAD"]);
    add_outer(&remote, "../elsewhere");
    let (_, dir) = build(&place, &source).unwrap();
    assert_eq!(fs::read_to_string(dir.join("inner/file")).unwrap(), "three");
}

#[test]
fn submodules_of_a_server_that_knows_no_depth() {
    let remote = Remote::start();
    let port = serve_files(remote.root.path().to_owned());
    let at = |name: &str| format!("http://127.0.0.1:{port}/{name}/.git");
    remote.git("", &["init", "--quiet", "-b", "main", "outer"]);
    remote.git("outer", &["submodule", "--quiet", "add", &format!("{}/repo", remote.address), "inner"]);
    fs::write(remote.path("outer/.gitmodules"), format!("[submodule \"inner\"]\npath = inner\nurl = {}\n", at("repo")))
        .unwrap();
    remote.commit("outer", 1_000_000_000);
    for name in ["repo", "outer"] {
        remote.git(name, &["update-server-info"]);
    }
    for keep in ["false", "true"] {
        let attrs = [("git.fullurl", at("outer")), ("git.keepgitdir", keep.to_owned())];
        let attrs = attrs.map(|(key, value)| (key.to_owned(), value)).into();
        let source = llb::Source { identifier: "git://127.0.0.1/outer/.git#main".to_owned(), attrs };
        let place = Place::new();
        let (_, dir) = build(&place, &source).unwrap();
        assert_eq!(fs::read_to_string(dir.join("inner/file")).unwrap(), "two", "keepgitdir={keep}");
    }
}

#[test]
fn a_commit_that_is_no_utf8() {
    let remote = Remote::start();
    fs::write(remote.path("message"), b"caf\xe9\n").unwrap();
    let message = remote.path("message").display().to_string();
    remote.git("repo", &["-c", "i18n.commitEncoding=latin1", "commit", "--quiet", "--allow-empty", "-F", &message]);
    Place::new().with(|context| {
        let Meta::Commit { commit, .. } = meta(&remote.source("#main", &[]), true, context).unwrap() else {
            panic!("it is a commit")
        };
        assert!(commit.ends_with(b"\nencoding latin1\n\ncaf\xe9\n"), "{}", commit.escape_ascii());
    });
}

#[test]
fn a_remote_that_moves_on() {
    let remote = Remote::start();
    let place = Place::new();
    let source = remote.source("#main", &[]);
    place.with(|context| {
        let Meta::Commit { object, .. } = meta(&source, false, context).unwrap() else { panic!("it is a commit") };
        assert_eq!(object, remote.id("main"));
        fs::write(remote.path("repo/file"), "three").unwrap();
        remote.commit("repo", 1_200_000_000);
        let pinned = GitSource.pin(&source, &Platform::new("linux", "amd64"), context).unwrap();
        let tree = pinned.fetch(context).unwrap();
        let file = context.snapshots.layer(&tree.layers[0]).unwrap().join("file");
        assert_eq!(fs::read_to_string(file).unwrap(), "two", "what was looked at is what is built");
    });
    let (key, dir) = build(&place, &source).unwrap();
    assert_eq!((key, fs::read_to_string(dir.join("file")).unwrap()), (remote.id("main"), "three".to_owned()));
}

#[test]
fn failures() {
    let remote = Remote::start();
    let check = |fragment: &str, attrs: &[(&str, &str)], expected: &str| {
        let error = build(&Place::new(), &remote.source(fragment, attrs)).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    };
    check("#nosuch", &[], "repository does not contain ref nosuch, output: \"\"");
    let main = remote.id("main");
    check("#main", &[("git.checksum", "0000")], &format!("expected checksum to match 0000, got {main}"));
    check("", &[("git.fetchbycommit", "true")], "fetch-by-commit requires a checksum or a commit SHA ref");
    check("", &[("git.mountsshsock", "default")], "no SSH key \"default\" forwarded from the client");
    let none = "0".repeat(40);
    check(&format!("#{none}"), &[], &format!("failed to fetch remote {}/repo: git stderr:", remote.address));
    let gone = llb::Source {
        identifier: "git://x".into(),
        attrs: [("git.fullurl".to_owned(), format!("{}/gone", remote.address))].into(),
    };
    let error = build(&Place::new(), &gone).unwrap_err().to_string();
    assert!(error.starts_with(&format!("failed to fetch remote {}/gone: git stderr:", remote.address)), "{error}");
}

/// A repository with commits and tags that are signed with an OpenPGP key or an SSH key, or not.
struct Signing {
    remote: Remote,
    keys: Keys,
    ssh: SshKey,
}

impl Signing {
    /// | name | tag | commit |
    /// |---|---|---|
    /// | `signed-tag` | OpenPGP | |
    /// | `unsigned-tag`, `by-pgp` | none that is signed | OpenPGP |
    /// | `both` | SSH | OpenPGP |
    /// | `by-ssh` | | SSH |
    /// | `changed` | | OpenPGP, of another message |
    fn new(format: &str) -> Self {
        let this = Self { remote: Remote::start(), keys: Keys::new(), ssh: SshKey::new("ed25519") };
        this.keys.make("Me", "ed25519");
        this.keys.make("Other", "ed25519");
        let Self { remote, .. } = &this;
        fs::remove_dir_all(remote.path("repo")).unwrap();
        remote.git("", &["init", "--quiet", "-b", "main", &format!("--object-format={format}"), "repo"]);
        fs::write(remote.path("repo/file"), "signed").unwrap();
        remote.commit("repo", 1_000_000_000);
        this.by_pgp(&["tag", "--sign", "-m", "x", "signed-tag"]);
        this.by_pgp(&["commit", "--quiet", "--allow-empty", "--gpg-sign", "-m", "message"]);
        remote.git("repo", &["branch", "by-pgp"]);
        remote.git("repo", &["tag", "-a", "-m", "x", "unsigned-tag"]);
        this.by_ssh(&["tag", "--sign", "-m", "x", "both"]);
        let raw = remote.git("repo", &["cat-file", "commit", "HEAD"]);
        fs::write(remote.path("changed"), raw.replace("\n\nmessage", "\n\nanother")).unwrap();
        let path = remote.path("changed").display().to_string();
        let changed = remote.git("repo", &["hash-object", "-w", "-t", "commit", &path]);
        remote.git("repo", &["branch", "changed", &changed]);
        this.by_ssh(&["commit", "--quiet", "--allow-empty", "--gpg-sign", "-m", "x"]);
        remote.git("repo", &["branch", "by-ssh"]);
        this
    }

    fn by_pgp(&self, arguments: &[&str]) {
        let program = format!("gpg.program={}", self.keys.program().display());
        self.remote.git("repo", &[&["-c", &program, "-c", "user.signingKey=Me"], arguments].concat());
    }

    fn by_ssh(&self, arguments: &[&str]) {
        let key = format!("user.signingKey={}", self.ssh.path().display());
        self.remote.git("repo", &[&["-c", "gpg.format=ssh", "-c", &key], arguments].concat());
    }
}

/// Builds a name with a key that must have signed it: `counts`, or an error that holds this.
fn check_signature(place: &Place, remote: &Remote, name: &str, attrs: &[(&str, &str)], expected: &str) {
    // What was built without a signature is here by then.
    let (plain, _) = build(place, &remote.source(&format!("#{name}"), &[])).unwrap();
    let source = remote.source(&format!("#{name}"), attrs);
    let said = match build(place, &source) {
        Ok((key, dir)) => {
            assert_eq!((key, files(&dir)), (plain, vec!["file".to_owned()]), "{name}");
            "counts".to_owned()
        }
        Err(error) => error.to_string(),
    };
    assert!(said.contains(expected), "{name}: {expected:?} is not in {said:?}");
    match place.with(|context| meta(&source, false, context)) {
        Ok(Meta::Commit { commit, .. }) => assert_eq!((said.as_str(), commit), ("counts", vec![]), "{name}"),
        Ok(Meta::File { .. }) => panic!("it is a commit"),
        Err(error) => assert_eq!(error.to_string(), said, "{name}"),
    }
}

#[test]
fn signatures() {
    let signing = Signing::new("sha1");
    let Signing { remote, keys, ssh } = &signing;
    let (me, other, ssh) = (keys.public(&["Me"]), keys.public(&["Other"]), ssh.public());
    let (require, ignore) = (("git.sig.requiresignedtag", "true"), ("git.sig.ignoresignedtag", "true"));
    let place = Place::new();
    let check = |name: &str, key: &str, attrs: &[(&str, &str)], expected: &str| {
        check_signature(&place, remote, name, &[&[("git.sig.pubkey", key)], attrs].concat(), expected);
    };
    check("signed-tag", &me, &[], "counts");
    check("signed-tag", &me, &[require], "counts");
    check("signed-tag", &format!("{other}{me}"), &[("git.sig.rejectexpired", "true")], "counts");
    check("signed-tag", &me, &[ignore], "the commit does not verify: git object is not signed");
    check("signed-tag", &other, &[], "git object is not signed (the tag does not verify: signature by ");
    check("signed-tag", &other, &[require], "the tag does not verify: signature by ");
    check("signed-tag", &ssh, &[require], "the tag does not verify: failed to read armored public key");
    check("unsigned-tag", &me, &[], "counts");
    check("unsigned-tag", &me, &[require], "the tag does not verify: git object is not signed");
    check("by-pgp", &me, &[], "counts");
    check("by-pgp", &me, &[require], "signed tag required but no signed tag found");
    check("by-pgp", &me, &[require, ignore], "signed tag required but no signed tag found");
    check("by-pgp", &other, &[], "signature made by unknown entity");
    check("by-pgp", "", &[], "failed to read armored public key");
    check("both", &me, &[], "counts");
    check("both", &me, &[require], "the tag does not verify: failed to parse ssh public key");
    check("both", &ssh, &[require], "counts");
    check("both", &ssh, &[ignore], "the commit does not verify: failed to read armored public key");
    check("by-ssh", &ssh, &[], "counts");
    check("by-ssh", &SshKey::new("ed25519").public(), &[], "failed to verify ssh signature: public key does not match");
    check("changed", &me, &[], "the commit does not verify: signature by ");
    for name in ["signed-tag", "both^{}"] {
        check(&remote.id(name), &me, &[], "counts");
    }
    for attrs in [("git.keepgitdir", "true"), ("git.checkoutbundle", "true"), ("git.mtime", "commit")] {
        let build = |key: &str| build(&place, &remote.source("#refs/tags/both", &[("git.sig.pubkey", key), attrs]));
        build(&ssh).unwrap();
        build(&other).unwrap_err();
    }
}

#[test]
fn signatures_with_sha256() {
    let signing = Signing::new("sha256");
    let Signing { remote, keys, ssh } = &signing;
    let (me, ssh) = (keys.public(&["Me"]), ssh.public());
    let (place, require) = (Place::new(), ("git.sig.requiresignedtag", "true"));
    let check = |name: &str, key: &str, attrs: &[(&str, &str)], expected: &str| {
        check_signature(&place, remote, name, &[&[("git.sig.pubkey", key)], attrs].concat(), expected);
    };
    check("signed-tag", &me, &[require], "counts");
    check("both", &ssh, &[require], "counts");
    check("by-pgp", &me, &[], "counts");
    check("by-ssh", &ssh, &[], "counts");
    check("changed", &me, &[], "the commit does not verify: signature by ");
}

/// Debian's ssh server on loopback: whoever has the key is the user who runs the tests.
struct Ssh {
    dir: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl Drop for Ssh {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ssh {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = |name: &str| dir.path().join(name);
        for name in ["host", "key", "stranger"] {
            let made =
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path(name)).status();
            assert!(made.expect("these tests need ssh-keygen: apt-get install openssh-client").success());
        }
        // Where it gives up its privileges; the package makes the directory when the service is started.
        let _ = fs::create_dir("/run/sshd");
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
             PidFile none\nPasswordAuthentication no\n",
            path("host").display(),
            path("key.pub").display()
        );
        fs::write(path("config"), config).unwrap();
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(path("config"))
            .stderr(Stdio::null())
            .spawn()
            .expect("these tests need sshd: apt-get install openssh-server");
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(20), "sshd does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { dir, port, child }
    }

    /// Somewhere to build with an agent that has a key.
    fn place(&self, key: &str) -> Place {
        let mut place = Place::new();
        let agent = crate::session::SshAgent::of(&[self.dir.path().join(key)]).unwrap();
        place.session.ssh.insert("default".into(), agent);
        place
    }

    /// The line of a known_hosts file for a host that has this key.
    fn known(&self, key: &str) -> String {
        let public = fs::read_to_string(self.dir.path().join(format!("{key}.pub"))).unwrap();
        format!("[127.0.0.1]:{} {public}", self.port)
    }
}

#[test]
fn over_ssh_with_a_key_and_a_known_host() {
    let (remote, ssh) = (Remote::start(), Ssh::start());
    let url = format!("ssh://root@127.0.0.1:{}{}", ssh.port, remote.path("repo").display());
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".ssh/known_hosts"));
    let hosts_of_the_user = || home.as_ref().and_then(|path| fs::read(path).ok());
    let before = hosts_of_the_user();
    let fetched = |key: &str, known: &str| {
        let mut attrs = vec![("git.fullurl", url.as_str()), ("git.mountsshsock", "default")];
        attrs.extend((!known.is_empty()).then_some(("git.knownsshhosts", known)));
        let attrs = attrs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let source = llb::Source { identifier: "git://127.0.0.1/repo#main".into(), attrs };
        build(&ssh.place(key), &source).map(|(_, dir)| files(&dir)).map_err(|error| error.to_string())
    };
    let all = ["docs/deep/page", "file", "link"].map(str::to_owned).to_vec();
    assert_eq!(fetched("key", ""), Ok(all.clone()));
    assert_eq!(fetched("key", &ssh.known("host")), Ok(all));
    let refused = |key: &str, known: &str, expected: &str| {
        let error = fetched(key, known).unwrap_err();
        assert!(error.contains(expected), "{expected:?} is not in {error}");
    };
    refused("stranger", "", "Permission denied (publickey");
    refused("key", &ssh.known("stranger"), "Host key verification failed");
    assert_eq!(hosts_of_the_user(), before, "nothing is learnt into the user's own file");
}

/// What is kept goes by the commit: a server must not have another tree kept under a commit that it only names.
#[test]
fn a_server_that_names_another_commit_than_that_of_the_tag() {
    let remote = Remote::start();
    let (first, main) = (remote.id("v1^{commit}"), remote.id("main"));
    remote.git("repo", &["update-server-info"]);
    let list = remote.path("repo/.git/info/refs");
    let listed = fs::read_to_string(&list).unwrap();
    let tagged = "\trefs/tags/v1^{}";
    assert!(listed.contains(&format!("{first}{tagged}")), "{listed}");
    fs::write(&list, listed.replace(&format!("{first}{tagged}"), &format!("{main}{tagged}"))).unwrap();
    let port = serve_files(remote.root.path().to_owned());
    let source = |fragment: &str, attrs: &[(&str, &str)]| {
        let mut attrs: llb::Texts = attrs.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
        attrs.insert("git.fullurl", format!("http://127.0.0.1:{port}/repo/.git"));
        llb::Source { identifier: format!("git://127.0.0.1/repo/.git{fragment}"), attrs }
    };
    let place = Place::new();
    for attrs in [&[][..], &[("git.checkoutbundle", "true")], &[("git.keepgitdir", "true")]] {
        let error = build(&place, &source("#v1", attrs)).unwrap_err().to_string();
        assert_eq!(error, format!("the remote says that refs/tags/v1 is commit {main}, but it is {first}"));
    }
    let (key, dir) = build(&place, &source("#main", &[])).unwrap();
    assert_eq!((key, fs::read_to_string(dir.join("file")).unwrap()), (main, "two".to_owned()));
}

/// Serves the files below a directory over HTTP; what begins with `/moved` is elsewhere. Returns its port.
fn serve_files(root: PathBuf) -> u16 {
    use std::io::{BufRead, BufReader, Write};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = move |client: TcpStream| -> std::io::Result<()> {
        let lines: Vec<_> =
            BufReader::new(&client).lines().map_while(|line| line.ok().filter(|l| !l.is_empty())).collect();
        let target = lines[0].split(' ').nth(1).unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default().trim_start_matches('/');
        let (status, body) = match (target.strip_prefix("/moved"), fs::read(root.join(path))) {
            (Some(rest), _) => (format!("301 Moved\r\nLocation: http://localhost:{port}{rest}"), Vec::new()),
            (None, Ok(body)) => ("200 OK".to_owned(), body),
            (None, Err(_)) => ("404 Not Found".to_owned(), Vec::new()),
        };
        let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
        (&client).write_all(&[head.as_bytes(), &body].concat())
    };
    std::thread::spawn(move || listener.incoming().flatten().for_each(|client| drop(answer(client))));
    port
}

#[test]
fn over_http_and_where_it_leads() {
    let remote = Remote::start();
    remote.git("repo", &["update-server-info"]);
    let port = serve_files(remote.root.path().to_owned());
    for path in ["repo/.git", "moved/repo/.git"] {
        let attrs = [("git.fullurl".to_owned(), format!("http://127.0.0.1:{port}/{path}"))].into();
        let source = llb::Source { identifier: format!("git://127.0.0.1/{path}#main"), attrs };
        let place = Place::new();
        let (_, dir) = build(&place, &source).unwrap();
        assert_eq!(files(&dir), ["docs/deep/page", "file", "link"], "{path}");
    }
}

#[test]
fn a_password_of_the_remote_is_not_shown() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let remote = format!("http://me:secret@127.0.0.1:{port}/x");
    let source = llb::Source { identifier: "git://x".into(), attrs: [("git.fullurl", &*remote)].into_iter().collect() };
    let error = Place::new().with(|context| meta(&source, false, context)).unwrap_err().to_string();
    assert!(error.contains("failed to fetch remote http://xxxxx:xxxxx@127.0.0.1"), "{error}");
    assert!(!error.contains("secret"), "{error}");
}
