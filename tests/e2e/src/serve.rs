//! Servers of this machine: files over HTTP, repositories over git's own protocol.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::process::{self, Result};

/// Serves the files of a directory over HTTP for as long as the test runs; gives the address.
pub fn serve(directory: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback and git are there");
    let address = format!("http://{}", listener.local_addr().expect("loopback and git are there"));
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
    let path = line.split(' ').nth(1).unwrap_or("/").trim_start_matches('/');
    // What git asks after `?` is for servers that know git.
    let path = path.split('?').next().unwrap_or(path).to_owned();
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

/// Passes everything on to a server, for as long as the test runs; gives the address, and what clients sent.
pub fn overhear(server: &str) -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let address = listener.local_addr().expect("loopback is there").to_string();
    let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
    let (server, noted) = (server.to_owned(), heard.clone());
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (Ok(server), Ok(back)) = (TcpStream::connect(&server), client.try_clone()) else { continue };
            let Ok(answers) = server.try_clone() else { continue };
            std::thread::spawn(move || copy(answers, back, &Mutex::default()));
            let noted = noted.clone();
            std::thread::spawn(move || copy(client, server, &noted));
        }
    });
    (address, heard)
}

fn copy(mut from: TcpStream, mut to: TcpStream, heard: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        heard.lock().expect("nobody panics with it").extend(&buffer[..length]);
        if to.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// A registry without an image that answers uploads with an error of its own when a part of them has arrived; gives the
/// host.
pub fn serve_failing_uploads() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let host = listener.local_addr().expect("loopback is there").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || fail_uploads(stream));
        }
    });
    host
}

fn fail_uploads(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = [0; 4096];
    let length = stream.read(&mut request)?;
    let method = String::from_utf8_lossy(&request[..length]).split(' ').next().unwrap_or_default().to_owned();
    let answer = match method.as_str() {
        "POST" => "202 Accepted\r\nLocation: /v2/uploads/1",
        "PUT" => "500 Internal Server Error",
        _ => "404 Not Found",
    };
    write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

/// Makes a repository of a directory as it is: branch `main`, tag `v1`.
pub fn commit(directory: &Path) -> Result<()> {
    let git = "git -c user.name=a -c user.email=a@b.test -c init.defaultBranch=main";
    let script = format!("{git} init -q && {git} add -A && {git} commit -qm 1 && git tag v1");
    process::succeed(Command::new("sh").args(["-c", &script]).current_dir(directory)).map(drop)
}

/// A git daemon over the repositories of a directory.
pub struct GitDaemon {
    process: Child,
    /// `git://HOST:PORT`.
    pub address: String,
}

impl GitDaemon {
    /// Starts it, and waits until it answers.
    pub fn start(directory: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .expect("loopback and git are there")
            .local_addr()
            .expect("loopback and git are there")
            .port();
        // Not by way of `git daemon`, which would be killed alone and leave the daemon behind.
        let programs = Command::new("git").arg("--exec-path").output().expect("loopback and git are there").stdout;
        let mut command = Command::new(
            Path::new(String::from_utf8(programs).expect("loopback and git are there").trim()).join("git-daemon"),
        );
        command.args(["--export-all", "--reuseaddr", "--listen=127.0.0.1"]);
        command.arg(format!("--port={port}")).arg(format!("--base-path={}", directory.display()));
        let mut process =
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("loopback and git are there");
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                matches!(process.try_wait(), Ok(None)),
                "git's daemon has ended; is there {}?",
                directory.display()
            );
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
