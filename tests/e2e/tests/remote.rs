//! Build files that are somewhere else: in repositories, in archives on the web, alone on the web, in archives on standard
//! input. What is fetched is what BuildKit v0.32 fetches; the servers are of this machine.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use e2e::Sandbox;

/// Serves the files of a directory over HTTP for as long as the test runs; gives the address.
fn serve(directory: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let directory = directory.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(stream, &directory);
        }
    });
    address
}

fn answer(mut stream: TcpStream, directory: &Path) -> std::io::Result<()> {
    let mut request = [0; 4096];
    let length = stream.read(&mut request)?;
    let line = String::from_utf8_lossy(&request[..length]).into_owned();
    let path = line.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
    let (status, body) = match std::fs::read(directory.join(path)) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    if !line.starts_with("HEAD") {
        stream.write_all(&body)?;
    }
    Ok(())
}

/// A git daemon over the repositories of a directory.
struct GitDaemon {
    process: Child,
    address: String,
}

impl GitDaemon {
    fn start(directory: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // Not by way of `git daemon`, which would be killed alone and leave the daemon behind.
        let programs = Command::new("git").arg("--exec-path").output().unwrap().stdout;
        let mut command = Command::new(Path::new(String::from_utf8(programs).unwrap().trim()).join("git-daemon"));
        command.args(["--export-all", "--reuseaddr", "--listen=127.0.0.1"]);
        command.arg(format!("--port={port}")).arg(format!("--base-path={}", directory.display()));
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        Self { process, address: format!("git://127.0.0.1:{port}") }
    }
}

impl Drop for GitDaemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A context with two build files, as directory `ctx` and archives in `www`.
fn context() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("ctx/Dockerfile", "FROM scratch\nCOPY a /from-a\n");
    sandbox.write("ctx/a", "a");
    sandbox.write("ctx/sub/Dockerfile", "FROM scratch\nCOPY b /from-b\n");
    sandbox.write("ctx/sub/b", "b");
    sandbox.write("ctx/sub/other", "FROM scratch\nCOPY sub/b /from-other\n");
    sandbox.write("www/Dockerfile", "FROM scratch\nWORKDIR /made\n");
    sandbox.succeed(&mut sandbox.shell("cd ctx && tar cf ../www/x.tar . && tar czf ../www/x.tgz ."));
    sandbox
}

/// Builds from an address; the names of the files in the result.
#[track_caller]
fn built(sandbox: &Sandbox, arguments: &str) -> String {
    let script = format!("rm -rf out && llbc build -o out {arguments} && ls out");
    sandbox.succeed(&mut sandbox.shell(&script)).out().trim().to_owned()
}

#[test]
fn archives_and_files_of_the_web() {
    let sandbox = context();
    let web = serve(&sandbox.directory().join("www"));
    assert_eq!(built(&sandbox, &format!("{web}/x.tar")), "from-a");
    assert_eq!(built(&sandbox, &format!("{web}/x.tgz")), "from-a");
    assert_eq!(built(&sandbox, &format!("-f sub/other {web}/x.tgz")), "from-other");
    assert_eq!(built(&sandbox, &format!("{web}/Dockerfile")), "made");
    // What is given by name is compiled; the context is still looked at to know what it is.
    let dump = |words: &str| sandbox.succeed(&mut sandbox.shell(&format!("llbc dump --text {words}"))).out();
    assert!(dump(&format!("--opt context={web}/x.tgz ctx/Dockerfile")).contains("attempt_unpack"));
    assert!(dump(&format!("{web}/x.tgz")).contains("attempt_unpack"));
    assert!(!dump(&format!("{web}/Dockerfile")).contains("attempt_unpack"));
    let missing = sandbox.fail(1, &mut sandbox.shell(&format!("llbc build -f nosuch {web}/x.tar")));
    assert!(missing.contains("there is no nosuch in") && missing.contains("help: "), "{missing}");
    let gone = sandbox.fail(1, &mut sandbox.shell(&format!("llbc check {web}/nosuch.tar")));
    assert!(gone.contains("404"), "{gone}");
}

#[test]
fn repositories() {
    let sandbox = context();
    let git = "git -c user.name=a -c user.email=a@b";
    let script = format!("cd ctx && git init -q && git add -A && {git} commit -qm 1 && git tag v1");
    sandbox.succeed(&mut sandbox.shell(&script));
    let daemon = GitDaemon::start(&sandbox.directory());
    let address = format!("{}/ctx", daemon.address);
    assert_eq!(built(&sandbox, &address), "from-a");
    assert_eq!(built(&sandbox, &format!("'{address}#v1:sub'")), "from-b");
    assert_eq!(built(&sandbox, &format!("-f sub/other '{address}?tag=v1'")), "from-other");
    sandbox.succeed(&mut sandbox.shell(&format!("llbc check {address}")));
    // Over the protocol of the address, the time of the commit is learnt.
    let script = format!(
        "git -C ctx log -1 --format=%ct; llbc dump --image --opt build-arg:SOURCE_DATE_EPOCH=context {address}"
    );
    let out = sandbox.succeed(&mut sandbox.shell(&script)).out();
    let (seconds, image) = out.split_once('\n').unwrap();
    let image: serde_json::Value = serde_json::from_str(image).unwrap();
    let created = image["history"][0]["created"].as_str().unwrap();
    let expected = sandbox.succeed(&mut sandbox.shell(&format!("date -u -d @{seconds} +%Y-%m-%dT%H:%M:%SZ"))).out();
    assert_eq!(created, expected.trim());
    let missing = sandbox.fail(1, &mut sandbox.shell(&format!("llbc dump '{address}#nosuch'")));
    assert!(missing.contains("does not contain ref nosuch"), "{missing}");
    let offline = sandbox.fail(1, &mut sandbox.shell(&format!("llbc dump --offline {address}")));
    assert!(offline.contains("nobody is asked with --offline"), "{offline}");
}
