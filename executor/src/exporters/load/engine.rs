//! Engines: which there is, and how an archive gets into it.
//!
//! Docker's API is one request, spoken here by hand: it goes over a socket, and its body has no length before it ends.
//! containerd's API is gRPC; its own client `ctr` takes an archive on standard input.

use std::fmt;
use std::io::{self, BufWriter, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use oci::Digest;

use crate::registry::credentials::Credentials;
use crate::{Cancel, Error, Result};

/// Where Docker listens when nobody says otherwise.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";
/// Where containerd does.
const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";
/// Bytes of the archive sent at once.
const CHUNK: usize = 1 << 20;
/// Most bytes of an answer that are read: a line for each image.
const ANSWER: u64 = 1 << 20;
/// How long an engine may take to unpack what it got.
const SILENCE: Duration = Duration::from_secs(600);

/// Something that runs images.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Engine {
    /// Docker's API on a socket.
    Docker(PathBuf),
    /// Docker's API on a port, in the clear.
    DockerTcp(String),
    /// containerd by its command line.
    Containerd { socket: PathBuf, ctr: PathBuf },
}

/// Writes the archive.
pub(super) type Body<'a> = &'a mut dyn FnMut(&mut dyn Write) -> io::Result<()>;

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_docker() { "docker" } else { "containerd" })
    }
}

impl Engine {
    /// The engine of a Docker context; without a name that of `$DOCKER_HOST`, else of the current context, else the one
    /// that listens where engines do.
    pub(super) fn find(context: Option<&str>) -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        match (context, variable("DOCKER_HOST")) {
            (None, Some(host)) => return Self::at(&host),
            (None | Some("default"), _) => {}
            (Some(name), _) => return Self::of_context(name),
        }
        if context.is_none()
            && let Some(current) = variable("DOCKER_CONTEXT").or_else(current_context).filter(|name| name != "default")
        {
            return Self::of_context(&current);
        }
        let runtime = variable("XDG_RUNTIME_DIR").map(PathBuf::from);
        let own = |name: &str| runtime.as_ref().map(|dir| dir.join(name));
        let sockets = [Some(DOCKER_SOCKET.into()), own("docker.sock"), own("podman/podman.sock")];
        if let Some(socket) = sockets.into_iter().flatten().find(|socket| socket.exists()) {
            return Ok(Self::Docker(socket));
        }
        Self::containerd(&variable("CONTAINERD_ADDRESS").unwrap_or_else(|| CONTAINERD_SOCKET.into()))
    }

    /// The engine at an address as `DOCKER_HOST` holds it.
    fn at(host: &str) -> Result<Self> {
        let refuse = |why: &str| Error::Unsupported {
            what: format!("loading into {host}"),
            why: format!("{why}; pipe an archive instead: -o type=docker,dest=- | docker load"),
        };
        let encrypted = std::env::var_os("DOCKER_TLS_VERIFY").is_some_and(|value| !value.is_empty());
        match host.split_once("://") {
            Some(("unix", path)) => Ok(Self::Docker(path.into())),
            Some(("tcp" | "http", _)) if encrypted => Err(refuse("TLS is not spoken to engines")),
            Some(("tcp" | "http", address)) => Ok(Self::DockerTcp(address.trim_end_matches('/').to_owned())),
            _ => Err(refuse("only unix:// and tcp:// addresses are known")),
        }
    }

    /// The engine of a context that `docker context create` made.
    fn of_context(name: &str) -> Result<Self> {
        let file = docker_directory()
            .map(|dir| dir.join("contexts/meta").join(Digest::sha256(name.as_bytes()).hex()).join("meta.json"));
        let missing = || Error::NotFound(format!("Docker context {name:?}: not found (see `docker context ls`)"));
        let text = file.and_then(|file| std::fs::read(file).ok()).ok_or_else(missing)?;
        let meta: serde_json::Value = serde_json::from_slice(&text)
            .map_err(|error| Error::Invalid(format!("Docker context {name:?}: {error}")))?;
        let host = meta.pointer("/Endpoints/docker/Host").and_then(|host| host.as_str());
        Self::at(host.ok_or_else(|| Error::Invalid(format!("Docker context {name:?} has no host")))?)
    }

    fn containerd(address: &str) -> Result<Self> {
        let socket = PathBuf::from(address.strip_prefix("unix://").unwrap_or(address));
        let none = || {
            Error::NotFound(format!(
                "no engine to load into: nothing listens at {DOCKER_SOCKET} or {}; set DOCKER_HOST, or write an archive \
             with `-o type=docker,dest=FILE`",
                socket.display()
            ))
        };
        if !socket.exists() {
            return Err(none());
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let ctr = std::env::split_paths(&path).map(|dir| dir.join("ctr")).find(|file| file.is_file());
        match ctr {
            Some(ctr) => Ok(Self::Containerd { socket, ctr }),
            None => Err(Error::NotFound(format!(
                "containerd listens at {}, but its command line `ctr` is not there to load with",
                socket.display()
            ))),
        }
    }

    /// Whether it takes archives of Docker's kind.
    pub(super) fn is_docker(&self) -> bool {
        !matches!(self, Self::Containerd { .. })
    }

    /// Sends an archive. **Errors**: what the engine says.
    pub(super) fn load(&self, body: Body<'_>, cancel: &Cancel) -> Result<()> {
        match self {
            Self::Docker(path) => {
                let stream = UnixStream::connect(path).map_err(Error::io("connect to", path))?;
                let other = stream.try_clone().map_err(Error::io("connect to", path))?;
                let _hook = cancel.on_cancel(move || drop(other.shutdown(Shutdown::Both)));
                stream.set_read_timeout(Some(SILENCE)).map_err(Error::io("connect to", path))?;
                self.request(stream, body)
            }
            Self::DockerTcp(address) => {
                let stream = TcpStream::connect(address).map_err(Error::io("connect to", address))?;
                let other = stream.try_clone().map_err(Error::io("connect to", address))?;
                let _hook = cancel.on_cancel(move || drop(other.shutdown(Shutdown::Both)));
                stream.set_read_timeout(Some(SILENCE)).map_err(Error::io("connect to", address))?;
                self.request(stream, body)
            }
            Self::Containerd { socket, ctr } => import(ctr, socket, body, cancel),
        }
    }

    fn request(&self, mut stream: impl Read + Write, body: Body<'_>) -> Result<()> {
        let host = if let Self::DockerTcp(address) = self { address } else { "docker" };
        let head = format!(
            "POST /images/load?quiet=1 HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/x-tar\r\n\
             Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        );
        let failed = |reason: String| Error::Remote { attempt: "load the image into docker".into(), reason };
        let sent = stream.write_all(head.as_bytes()).and_then(|()| {
            let mut out = BufWriter::with_capacity(CHUNK, Chunked(&mut stream));
            body(&mut out)?;
            out.flush()
        });
        let sent = sent.and_then(|()| stream.write_all(b"0\r\n\r\n"));
        let mut answer = Vec::new();
        let received = stream.take(ANSWER).read_to_end(&mut answer);
        // An engine that stops listening may have said why.
        match (verdict(&answer), sent, received) {
            (Some(verdict), ..) => verdict.map_err(failed),
            (None, Err(error), _) | (None, _, Err(error)) => Err(failed(error.to_string())),
            (None, ..) => Err(failed("the engine gave no answer".into())),
        }
    }
}

/// What an answer says; `None` when it is none.
fn verdict(answer: &[u8]) -> Option<std::result::Result<(), String>> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?;
    // Chunk sizes stand between the lines of JSON and are none themselves.
    let lines = body.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let message = lines.filter(serde_json::Value::is_object).find_map(|line| {
        let found = line.get("error").or_else(|| line.get("message"))?;
        found.as_str().map(str::to_owned)
    });
    Some(match message {
        Some(message) => Err(message),
        None if status == "200" => Ok(()),
        None => Err(format!("unexpected status {status}")),
    })
}

/// A body whose length is not known before its end.
struct Chunked<'a, W>(&'a mut W);

impl<W: Write> Write for Chunked<'_, W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if !data.is_empty() {
            write!(self.0, "{:x}\r\n", data.len())?;
            self.0.write_all(data)?;
            self.0.write_all(b"\r\n")?;
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// `ctr images import`.
fn import(ctr: &Path, socket: &Path, body: Body<'_>, cancel: &Cancel) -> Result<()> {
    let namespace = std::env::var("CONTAINERD_NAMESPACE").unwrap_or_else(|_| "default".into());
    let mut child = Command::new(ctr)
        .arg("--address")
        .arg(socket)
        .args(["--namespace", &namespace, "images", "import", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Error::io("run", ctr))?;
    let mut stdin = child.stdin.take().expect("it was asked for");
    // A cancelled build writes no more, and `ctr` ends with its input.
    let sent = body(&mut stdin);
    drop(stdin);
    if sent.is_err() && cancel.is_cancelled() {
        let _ = child.kill();
    }
    let output = child.wait_with_output().map_err(Error::io("run", ctr))?;
    let failed = |reason: String| Error::Remote { attempt: "load the image into containerd".into(), reason };
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    sent.map_err(|error| failed(error.to_string()))
}

/// `currentContext` of Docker's `config.json`.
fn current_context() -> Option<String> {
    let text = std::fs::read(Credentials::default_file()?).ok()?;
    let config: serde_json::Value = serde_json::from_slice(&text).ok()?;
    config.get("currentContext")?.as_str().map(str::to_owned)
}

fn docker_directory() -> Option<PathBuf> {
    Some(Credentials::default_file()?.parent()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let at = |host: &str| match Engine::at(host) {
            Ok(engine) => format!("{engine:?}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(at("unix:///run/d.sock"), r#"Docker("/run/d.sock")"#);
        assert_eq!(at("tcp://10.0.0.1:2375"), r#"DockerTcp("10.0.0.1:2375")"#);
        assert!(at("ssh://me@host").contains("loading into ssh://me@host is not supported: only unix:// and tcp://"));
    }

    #[test]
    fn answers() {
        let said = |body: &str| verdict(format!("HTTP/1.1 200 OK\r\nA: b\r\n\r\n{body}").as_bytes());
        assert_eq!(said("2a\r\n{\"stream\":\"Loaded image: a\\n\"}\r\n0\r\n\r\n"), Some(Ok(())));
        assert_eq!(said("{\"errorDetail\":{\"message\":\"no\"},\"error\":\"no\"}\r\n"), Some(Err("no".into())));
        assert_eq!(verdict(b"HTTP/1.1 500 X\r\n\r\n{\"message\":\"boom\"}\n"), Some(Err("boom".into())));
        assert_eq!(verdict(b"HTTP/1.1 500 X\r\n\r\n"), Some(Err("unexpected status 500".into())));
        assert_eq!(verdict(b""), None);
    }
}
