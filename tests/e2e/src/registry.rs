//! A registry of our own on a loopback port, stopped when dropped: Debian's `docker-registry`.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::process::{self, Error, Result};

/// Programs a registry needs.
pub const PROGRAMS: &[&str] = &["docker-registry"];

/// bcrypt of `secret`, cost 5.
const HTPASSWD: &str = "me:$2y$05$jwYNlVQ8tH2IKy7wOeU2t.SV3zn3mrdGXfXdWSX6vViOrS.Xm2PCG";

/// A running registry.
pub struct Registry {
    /// `127.0.0.1:PORT`.
    pub address: String,
    process: Child,
    /// Kept for its drop.
    _directory: TempDir,
}

impl Registry {
    /// Starts an empty one.
    pub fn start() -> Result<Self> {
        Self::start_with("")
    }

    /// Starts an empty one that lets `me` in with the password `secret`.
    pub fn start_with_password() -> Result<Self> {
        Self::start_with(HTPASSWD)
    }

    fn start_with(htpasswd: &str) -> Result<Self> {
        // The port that was free may be somebody's by the time that the registry wants it.
        for _ in 0..5 {
            if let Some(registry) = Self::try_start(htpasswd)? {
                return Ok(registry);
            }
        }
        Err(Error("docker-registry finds no port".into()))
    }

    /// Nothing when it ended at once.
    fn try_start(htpasswd: &str) -> Result<Option<Self>> {
        let directory = tempfile::Builder::new()
            .prefix("e2e-registry-")
            .tempdir()
            .map_err(Error::when("cannot make a directory"))?;
        let address = free_address()?;
        let config = directory.path().join("config.yml");
        let root = directory.path().join("data");
        let mut text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\nhttp: {{addr: '{address}'}}\n",
            root.display()
        );
        if !htpasswd.is_empty() {
            let path = directory.path().join("htpasswd");
            std::fs::write(&path, htpasswd).map_err(Error::when("cannot write the passwords"))?;
            text += &format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", path.display());
        }
        let mut file = std::fs::File::create(&config).map_err(Error::when("cannot write the configuration"))?;
        file.write_all(text.as_bytes()).map_err(Error::when("cannot write the configuration"))?;
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(Error::when("cannot start docker-registry"))?;
        let mut registry = Self { address, process, _directory: directory };
        let mut has_ended = false;
        let is_decided = process::wait_until(Duration::from_secs(30), || {
            has_ended = !matches!(registry.process.try_wait(), Ok(None));
            has_ended || is_listened_to(&registry.address)
        });
        match is_decided {
            true => Ok((!has_ended).then_some(registry)),
            false => Err(Error("docker-registry does not come up".into())),
        }
    }
}

impl Registry {
    /// Stops it: from now on nobody listens.
    pub fn stop(&mut self) {
        process::stop(&mut self.process);
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        process::stop(&mut self.process);
    }
}

/// Whether somebody listens at an address. To a port that nobody has, a socket that happens to get it connects to itself.
fn is_listened_to(address: &str) -> bool {
    let is_other = |stream: TcpStream| Ok(stream.local_addr()? != stream.peer_addr()?);
    TcpStream::connect(address).and_then(is_other).unwrap_or(false)
}

fn free_address() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(Error::when("cannot find a free port"))?;
    Ok(listener.local_addr().map_err(Error::when("cannot find a free port"))?.to_string())
}
