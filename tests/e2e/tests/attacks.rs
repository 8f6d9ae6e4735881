//! Builds that mean harm. Each is refused or does no harm: nothing outside is read or written, nothing is left, nothing
//! takes for ever, and what is said is said in words.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use e2e::{Sandbox, process};

/// No attack may take longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// What must never come into an image.
const TREASURE: &str = "the-treasure-of-the-host";

/// Builds what must be refused in words that hold `expected`, with nothing written.
#[track_caller]
fn refused(sandbox: &Sandbox, expected: &str) {
    let started = Instant::now();
    let said = sandbox.fail(1, &mut sandbox.shell("llbc build --progress=plain -o tree ."));
    assert!(said.contains(expected), "{expected:?} is not in\n{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert!(!sandbox.has("tree"), "a refused build left an output");
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
}

/// One entry of a hostile archive: name, type, target of a link, content.
type Entry<'a> = (&'a str, tar::EntryType, &'a str, &'a str);

/// A tar with names as they are given, which no well-behaved library writes.
fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, kind, target, content) in entries {
        let mut header = tar::Header::new_old();
        let raw = header.as_mut_bytes();
        raw[..name.len()].copy_from_slice(name.as_bytes());
        raw[157..157 + target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        tar.append(&header, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap()
}

fn file<'a>(name: &'a str, content: &'a str) -> Entry<'a> {
    (name, tar::EntryType::Regular, "", content)
}

fn link<'a>(name: &'a str, target: &'a str) -> Entry<'a> {
    (name, tar::EntryType::Symlink, target, "")
}

fn hard<'a>(name: &'a str, target: &'a str) -> Entry<'a> {
    (name, tar::EntryType::Link, target, "")
}

/// A sandbox, and beside it a file that nothing may read and a directory that nothing may write to.
fn with_treasure() -> (Sandbox, tempfile::TempDir) {
    let outside = tempfile::Builder::new().prefix("e2e-outside-").tempdir().unwrap();
    std::fs::write(outside.path().join("treasure"), TREASURE).unwrap();
    (Sandbox::with_base(), outside)
}

#[track_caller]
fn untouched(outside: &Path) {
    let names: Vec<_> = std::fs::read_dir(outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["treasure"], "something was written outside");
    assert_eq!(std::fs::read_to_string(outside.join("treasure")).unwrap(), TREASURE);
}

/// Whether the treasure is anywhere below a directory.
fn is_stolen(below: &Path) -> bool {
    let found = process::run(Command::new("grep").args(["-rlF", TREASURE]).arg(below)).unwrap();
    !found.out().is_empty()
}

#[test]
fn archives_do_not_reach_out() {
    let (sandbox, outside) = with_treasure();
    let there = outside.path().to_str().unwrap();
    let up = format!("../../../../../../../..{there}");
    let treasure = format!("{there}/treasure");
    let up_to_treasure = format!("{up}/treasure");
    sandbox.write("Dockerfile", "FROM scratch\nADD evil.tar /in/\n");
    let inside = |path: &str| format!("{path}/evil");
    let (absolute, relative) = (inside(there), inside(&up));
    let through = [link("way", there), file("way/evil", "x")];
    let through_up = [link("way", &up), file("way/evil", "x")];
    let attacks: [&[Entry<'_>]; 7] = [
        &[file(&absolute, "x")],
        &[file(&relative, "x")],
        &through,
        &through_up,
        &[hard("stolen", &treasure)],
        &[hard("stolen", &up_to_treasure)],
        &[link("way", &treasure), hard("stolen", "way"), file("stolen", "overwritten")],
    ];
    for (number, attack) in attacks.iter().enumerate() {
        std::fs::write(sandbox.directory().join("evil.tar"), archive(attack)).unwrap();
        let run = process::run(&mut sandbox.shell("llbc build --progress=plain --no-cache -o tree .")).unwrap();
        // What is confined may succeed; what cannot be is refused.
        assert!(matches!(run.status.code(), Some(0 | 1)), "attack {number}: {}", run.err());
        untouched(outside.path());
        let tree = sandbox.directory().join("tree");
        if tree.exists() {
            assert!(!is_stolen(&tree), "attack {number} stole");
            std::fs::remove_dir_all(tree).unwrap();
        }
    }
}

/// As with BuildKit, for which the destination is the root.
#[test]
fn names_in_archives_lead_no_further_up_than_to_the_destination() {
    let (sandbox, outside) = with_treasure();
    sandbox.write("Dockerfile", "FROM scratch\nADD evil.tar /in/\n");
    std::fs::write(sandbox.directory().join("evil.tar"), archive(&[file("../../evil", "x")])).unwrap();
    sandbox.succeed(&mut sandbox.shell("llbc build --progress=plain -o tree ."));
    assert_eq!(std::fs::read_to_string(sandbox.directory().join("tree/in/evil")).unwrap(), "x");
    untouched(outside.path());
}

#[test]
fn an_archive_of_everything_that_is_wrong_is_refused() {
    let (sandbox, outside) = with_treasure();
    sandbox.write("Dockerfile", "FROM scratch\nADD evil.tar /in/\n");
    for (attack, expected) in [
        (vec![hard("stolen", "../../etc/passwd")], "stolen"),
        (vec![hard("a", "b"), hard("b", "a")], "cannot unpack a"),
    ] {
        std::fs::write(sandbox.directory().join("evil.tar"), archive(&attack)).unwrap();
        refused(&sandbox, expected);
    }
    untouched(outside.path());
}

#[test]
fn layers_do_not_reach_out() {
    let (sandbox, outside) = with_treasure();
    let there = outside.path().to_str().unwrap();
    let (absolute, treasure) = (format!("{there}/evil"), format!("{there}/treasure"));
    let whiteout = format!("../../../../../../../..{there}/.wh.treasure");
    sandbox.write("Dockerfile", "FROM evil\nRUN cat /stolen /way/treasure 2>/dev/null; echo x > /way/evil; true\n");
    let attacks: [&[Entry<'_>]; 6] = [
        &[file(&absolute, "x")],
        &[link("way", there), file("way/evil", "x")],
        &[hard("stolen", &treasure)],
        &[file(&whiteout, "")],
        &[link("way", there), file("way/.wh.treasure", "")],
        &[link("way", there), file("way/.wh..wh..opq", "")],
    ];
    for (number, attack) in attacks.iter().enumerate() {
        let tree: Vec<Entry<'_>> =
            [("bin", tar::EntryType::Symlink, "/usr/bin", "")].into_iter().chain(attack.iter().copied()).collect();
        std::fs::write(sandbox.directory().join("evil.tar"), archive(&tree)).unwrap();
        let script = "executor images import evil.tar evil && llbc build --no-cache --progress=plain -o tree .";
        let run = process::run(&mut sandbox.shell(script)).unwrap();
        assert!(matches!(run.status.code(), Some(0 | 1)), "attack {number}: {}", run.err());
        untouched(outside.path());
        assert!(!is_stolen(&sandbox.store()), "attack {number} stole");
    }
}

#[test]
fn whiteout_names_delete_nothing_but_their_neighbours() {
    let sandbox = Sandbox::with_base();
    for name in [".wh..wh..opq", ".wh.", ".wh...", ".wh..wh.x"] {
        std::fs::write(
            sandbox.directory().join("evil.tar"),
            archive(&[file(&format!("d/{name}"), ""), file("d/kept", "k")]),
        )
        .unwrap();
        let run = process::run(&mut sandbox.shell("executor images import evil.tar evil")).unwrap();
        assert!(matches!(run.status.code(), Some(0 | 1)), "{name}: {}", run.err());
        sandbox.write("Dockerfile", "FROM evil\nCOPY Dockerfile /f\n");
        let run = process::run(&mut sandbox.shell("llbc build --no-cache --progress=plain -o tree .")).unwrap();
        match run.status.code() {
            Some(0) => assert_eq!(sandbox.read("tree/d/kept"), "k", "{name}"),
            Some(1) => assert!(run.err().contains("cannot unpack"), "{name}: {}", run.err()),
            code => panic!("{name}: exit code {code:?}: {}", run.err()),
        }
        let _ = std::fs::remove_dir_all(sandbox.directory().join("tree"));
    }
}

#[test]
fn bombs_are_stopped() {
    if !e2e::have(&["gzip", "truncate"]) {
        return;
    }
    let sandbox = Sandbox::with_base();
    // A header that promises a terabyte, and zeros that compress to nothing.
    let mut header = tar::Header::new_gnu();
    header.set_path("bomb").unwrap();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(1 << 40);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    std::fs::write(sandbox.directory().join("header"), header.as_bytes()).unwrap();
    sandbox.succeed(&mut sandbox.shell("(cat header; head -c 64M /dev/zero) | gzip -1 > bomb.tar.gz"));
    sandbox.write("Dockerfile", "FROM scratch\nADD bomb.tar.gz /in/\n");
    refused(&sandbox, "more than");
    let said = sandbox.fail(1, sandbox.executor().args(["images", "import", "bomb.tar.gz", "bomb"]));
    assert!(said.contains("cannot be imported"), "{said}");
}

/// Swaps two things as fast as it can while something is done.
fn while_swapping<T>(one: &Path, other: &Path, act: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let aside = one.with_extension("aside");
            while !stop.load(Ordering::Relaxed) {
                let _ = std::fs::rename(one, &aside);
                let _ = std::fs::rename(other, one);
                let _ = std::fs::rename(one, other);
                let _ = std::fs::rename(&aside, one);
            }
        });
        let done = act();
        stop.store(true, Ordering::Relaxed);
        done
    })
}

#[test]
fn a_link_that_comes_and_goes_in_the_context_is_not_followed_out() {
    let (sandbox, outside) = with_treasure();
    sandbox.write("context/d/treasure", "harmless");
    sandbox.write("Dockerfile", "FROM scratch\nCOPY . /all/\nCOPY d /d/\nCOPY d/treasure /f\n");
    let context = sandbox.directory().join("context");
    std::os::unix::fs::symlink(outside.path(), context.join("link")).unwrap();
    for round in 0..10 {
        while_swapping(&context.join("d"), &context.join("link"), || {
            // It may fail: what was there a moment ago is not any more.
            let run =
                process::run(&mut sandbox.shell("llbc build --progress=plain -f Dockerfile -o tree context")).unwrap();
            assert!(matches!(run.status.code(), Some(0 | 1)), "round {round}: {}", run.err());
        });
        assert!(!is_stolen(&sandbox.store()), "round {round} stole into the store");
        let _ = std::fs::remove_dir_all(sandbox.directory().join("tree"));
    }
    untouched(outside.path());
}

#[test]
fn mounts_stay_in_the_tree() {
    let (sandbox, outside) = with_treasure();
    let there = outside.path().display();
    for mount in [
        format!("--mount=type=bind,target={there}/evil"),
        "--mount=type=tmpfs,target=/way/evil".to_owned(),
        "--mount=type=cache,target=/way/evil".to_owned(),
        "--mount=type=bind,target=/way/treasure,source=Dockerfile".to_owned(),
        format!("--mount=type=cache,target=/c,id=../../../../../..{there}"),
        "--mount=type=bind,source=../../../../../../../../etc,target=/m".to_owned(),
        "--mount=type=tmpfs,target=/../../../evil".to_owned(),
    ] {
        sandbox.write(
            "Dockerfile",
            &format!("FROM base\nRUN ln -s ../../../../../..{there} /way && ln -s {there} /abs\nRUN {mount} cat /m/shadow /way/treasure /abs/treasure; echo x > /way/evil; true\n"),
        );
        let run = process::run(&mut sandbox.shell("llbc build --progress=plain -o tree .")).unwrap();
        assert!(matches!(run.status.code(), Some(0 | 1)), "{mount}: {}", run.err());
        assert!(!run.err().contains(TREASURE), "{mount}: {}", run.err());
        untouched(outside.path());
        let _ = std::fs::remove_dir_all(sandbox.directory().join("tree"));
    }
}

#[test]
fn a_cache_that_changes_while_others_mount_in_it_leads_nowhere() {
    let (sandbox, outside) = with_treasure();
    let there = outside.path().display();
    // The cache is one tree for all: a step that has it swaps the parent of where the others' mounts go.
    let mut file = format!(
        "FROM base AS swap\n\
         RUN --mount=type=cache,id=c,target=/c cd /c && mkdir -p sub && ln -sfn {there} link && i=0; \
         while [ $i -lt 400 ]; do mv sub aside; mv link sub; mv sub link; mv aside sub; i=$((i+1)); done\n"
    );
    let mounts = ["tmpfs", "cache", "bind,source=Dockerfile", "cache,id=c"];
    for (number, mount) in mounts.iter().cycle().take(12).enumerate() {
        file += &format!(
            "FROM base AS m{number}\nRUN --mount=type=cache,id=c,target=/c --mount=type={mount},target=/c/sub/evil \
             cat /c/sub/treasure /c/sub/evil/treasure; echo x > /c/sub/evil/x; true\n"
        );
    }
    for round in 0..2 {
        // A step whose mount point is gone at the wrong moment fails, and its build with it: so each is a build of its own.
        let all: String = (0..12)
            .map(|number| format!("llbc build --progress=plain --no-cache --target m{number} -o type=cacheonly . & "))
            .collect();
        sandbox.write("Dockerfile", &file);
        let swapping = "llbc build --progress=plain --no-cache --target swap -o type=cacheonly . & ";
        let run = process::run(&mut sandbox.shell(&format!("({swapping} {all} wait) 2>&1"))).unwrap();
        assert!(!run.out().contains(TREASURE), "round {round}: {}", run.out());
        assert!(run.out().contains("/c/sub/evil"), "round {round}: no step ran: {}", run.out());
        untouched(outside.path());
    }
}

#[test]
fn the_kernels_directories_are_not_mounted_over() {
    let sandbox = Sandbox::with_base();
    for target in ["/proc", "/proc/self/attr", "/sys/fs", "/dev/pts", "/"] {
        sandbox.write(
            "Dockerfile",
            &format!("FROM base\nRUN --mount=type=tmpfs,target={target} cat /proc/1/cmdline > /dev/null; true\n"),
        );
        let run = process::run(&mut sandbox.shell("llbc build --progress=plain -o tree .")).unwrap();
        assert!(matches!(run.status.code(), Some(0 | 1)), "{target}: {}", run.err());
        assert!(!run.err().contains("panicked"), "{target}: {}", run.err());
        let _ = std::fs::remove_dir_all(sandbox.directory().join("tree"));
    }
    // A link where /proc should be does not move the mount elsewhere.
    sandbox.write(
        "Dockerfile",
        "FROM base\nRUN rm -rf /proc /sys; ln -s /tmp /proc; ln -s /etc /sys; true\nRUN ls /proc/self /tmp /etc\n",
    );
    let run = process::run(&mut sandbox.shell("llbc build --progress=plain -o tree .")).unwrap();
    assert!(!run.err().contains("panicked"), "{}", run.err());
}

#[test]
fn ignore_files_and_patterns_do_not_blow_up() {
    let sandbox = Sandbox::new();
    sandbox.write(&format!("{}/x", ["a"; 100].join("/")), "x");
    sandbox.write("Dockerfile", "FROM scratch\nCOPY . /all/\n");
    let stars = "**/a".repeat(200);
    for pattern in [
        "*a".repeat(500) + "b",
        format!("{}b", "**/".repeat(500)),
        stars,
        "[".to_owned() + &"a-z".repeat(1000) + "]*".repeat(100).as_str(),
        "!**\n**\n".repeat(20_000),
        "?".repeat(100_000),
        "\\".repeat(999),
    ] {
        sandbox.write(".dockerignore", &pattern);
        let started = Instant::now();
        let run = process::run(&mut sandbox.shell("llbc build --progress=plain -o tree .")).unwrap();
        let shown: String = pattern.chars().take(30).collect();
        assert!(matches!(run.status.code(), Some(0 | 1)), "{shown}: {}", run.err());
        assert!(started.elapsed() < PATIENCE, "{shown}: {:?}", started.elapsed());
        let _ = std::fs::remove_dir_all(sandbox.directory().join("tree"));
    }
}

#[test]
fn names_do_not_write_to_the_terminal() {
    let sandbox = Sandbox::with_base();
    sandbox.write(
        "Dockerfile",
        "FROM base\nRUN true '\u{1b}]0;owned\u{7}\u{1b}[2J' # \u{202e}gnihton\nRUN exit 1 # \u{1b}[2J\n",
    );
    let said = sandbox.fail(1, &mut sandbox.shell("llbc build --progress=plain -o tree ."));
    assert!(!said.contains('\u{1b}') && !said.contains('\u{7}'), "{said:?}");
}

/// Answers every request with the same bytes until dropped.
struct Server {
    address: String,
    stop: std::sync::Arc<AtomicBool>,
}

impl Server {
    fn start(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let (stopped, answer) = (stop.clone(), std::sync::Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (mut stream, answer) = (stream.unwrap(), answer.clone());
                std::thread::spawn(move || {
                    let mut request = [0; 4096];
                    let length = stream.read(&mut request).unwrap_or(0);
                    let text = String::from_utf8_lossy(&request[..length]).into_owned();
                    let _ = stream.write_all(&answer(&text));
                });
            }
        });
        Self { address, stop }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = std::net::TcpStream::connect(&self.address);
    }
}

fn redirect(to: &str) -> Vec<u8> {
    format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .into_bytes()
}

#[test]
fn servers_do_not_send_us_where_they_cannot_go() {
    let (sandbox, outside) = with_treasure();
    let targets = [
        (format!("file://{}/treasure", outside.path().display()), "redirect"),
        ("http://169.254.169.254/latest/meta-data/".to_owned(), "redirect"),
        ("http://[fe80::1]/".to_owned(), "redirect"),
        ("gopher://127.0.0.1/".to_owned(), "redirect"),
    ];
    for (target, expected) in targets {
        let to = target.clone();
        let server = Server::start(move |_| redirect(&to));
        sandbox.write("Dockerfile", &format!("FROM scratch\nADD http://{}/file /f\n", server.address));
        refused(&sandbox, expected);
        sandbox.write("Dockerfile", &format!("FROM {}/app:1\nCOPY Dockerfile /\n", server.address));
        refused(&sandbox, expected);
    }
    untouched(outside.path());
}

#[test]
fn names_and_token_servers_do_not_lead_there_either() {
    let sandbox = Sandbox::with_base();
    let near = "an address that only neighbours and cloud providers serve: refused";
    // A name that stands for such an address, in a mount namespace of the test's own.
    let hosts = sandbox.write("hosts", "127.0.0.1 localhost\n169.254.169.254 metadata.example\n");
    let server = Server::start(|_| redirect("http://metadata.example/latest/"));
    for dockerfile in [
        format!("FROM scratch\nADD http://{}/file /f\n", server.address),
        format!("FROM {}/app:1\nCOPY Dockerfile /\n", server.address),
    ] {
        sandbox.write("Dockerfile", &dockerfile);
        let build = format!(
            "unshare -m sh -c 'mount --bind {} /etc/hosts && exec llbc build --progress=plain -o tree .'",
            hosts.display()
        );
        let said = sandbox.fail(1, &mut sandbox.shell(&build));
        assert!(said.contains(&format!("http://metadata.example/latest/, {near}")), "{said}");
    }
    let server = Server::start(|_| {
        let challenge = "WWW-Authenticate: Bearer realm=\"http://169.254.169.254/token\",service=\"s\"";
        format!("HTTP/1.1 401 Unauthorized\r\n{challenge}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .into_bytes()
    });
    sandbox.write("Dockerfile", &format!("FROM {}/app:1\nCOPY Dockerfile /\n", server.address));
    refused(&sandbox, near);
}

#[test]
fn servers_that_lie_about_lengths() {
    let sandbox = Sandbox::with_base();
    let server =
        Server::start(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nshort".to_vec());
    sandbox.write("Dockerfile", &format!("FROM scratch\nADD http://{}/file /f\n", server.address));
    refused(&sandbox, &server.address);
    let server = Server::start(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nx".to_vec());
    sandbox.write("Dockerfile", &format!("FROM scratch\nADD http://{}/file /f\n", server.address));
    refused(&sandbox, &server.address);
    let server = Server::start(|_| b"\x16\x03\x01\x02\x00garbage".to_vec());
    sandbox.write("Dockerfile", &format!("FROM {}/app:1\nCOPY Dockerfile /\n", server.address));
    refused(&sandbox, &server.address);
}

#[test]
fn git_is_given_no_options_and_no_programs() {
    if !e2e::have(&["git"]) {
        return;
    }
    let (sandbox, outside) = with_treasure();
    let evil = outside.path().join("evil");
    let touch = format!("touch${{IFS}}{}", evil.display());
    for url in [
        format!("https://127.0.0.1:1/r.git#--upload-pack={touch}"),
        format!("git@-oProxyCommand={touch}:r.git"),
        format!("ssh://-oProxyCommand={touch}/r.git"),
        format!("ext::sh -c {touch}"),
        "https://127.0.0.1:1/r.git#v1:../../../../etc".to_owned(),
        format!("git://127.0.0.1:1/--upload-pack={touch}.git"),
    ] {
        sandbox.write("Dockerfile", &format!("FROM scratch\nADD [\"{url}\", \"/r\"]\n"));
        let run = process::run(&mut sandbox.shell("llbc build --progress=plain -o tree .")).unwrap();
        assert_eq!(run.status.code(), Some(1), "{url}: {}", run.err());
        assert!(!run.err().contains("panicked"), "{url}: {}", run.err());
        untouched(outside.path());
    }
}

/// Makes a repository and serves its directory over HTTP as files; returns where.
fn repository(sandbox: &Sandbox, script: &str) -> (PathBuf, String) {
    let script = format!(
        "set -e; export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b; git init -q -b main r; cd r; {script}\n git commit -qm x; git update-server-info"
    );
    sandbox.succeed(&mut sandbox.shell(&script));
    let root = sandbox.directory().join("r/.git");
    let served = root.clone();
    let server = Server::start(move |request| {
        let path = request.split_whitespace().nth(1).unwrap_or("/").split('?').next().unwrap_or("/").to_owned();
        let path = path.trim_start_matches("/r.git/");
        match std::fs::read(served.join(path)) {
            Ok(bytes) => {
                [format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len()).into_bytes(), bytes].concat()
            }
            Err(_) => b"HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        }
    });
    let url = format!("http://{}/r.git", server.address);
    std::mem::forget(server);
    (root, url)
}

#[test]
fn repositories_do_not_reach_out() {
    if !e2e::have(&["git"]) {
        return;
    }
    let (sandbox, outside) = with_treasure();
    let there = outside.path().display();
    // A link as the directory that is asked for, submodules that are elsewhere, and a path in .git's disguise.
    let (_, url) = repository(
        &sandbox,
        &format!(
            "ln -s {there} way; echo x > f; printf '[submodule \"../../evil\"]\\n path = sub\\n url = file://{there}\\n' > .gitmodules; git add -A; git update-index --add --cacheinfo 160000,0123456789012345678901234567890123456789,sub"
        ),
    );
    for fragment in ["main:way", "main:way/treasure", "main"] {
        sandbox.write("Dockerfile", &format!("FROM scratch\nADD {url}#{fragment} /r/\n"));
        let run = process::run(&mut sandbox.shell("llbc build --progress=plain -o tree .")).unwrap();
        assert_eq!(run.status.code(), Some(1), "{fragment}: {}", run.err());
        untouched(outside.path());
        assert!(!is_stolen(&sandbox.store()), "{fragment}");
    }
}

#[test]
fn huge_files_of_instructions_are_bounded() {
    let sandbox = Sandbox::with_base();
    let env: String = (0..20_000).map(|number| format!("ENV V{number}={}\n", "x".repeat(100))).collect();
    sandbox.write("Dockerfile", &format!("FROM base\n{env}RUN true\n"));
    let started = Instant::now();
    let run = process::run(&mut sandbox.shell("llbc build --progress=plain -o tree .")).unwrap();
    assert!(matches!(run.status.code(), Some(0 | 1)), "{}", run.err());
    assert!(!run.err().contains("panicked"), "{}", run.err());
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
}
