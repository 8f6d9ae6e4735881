//! An SSH agent of this process, for keys that are given as files.
//!
//! Its socket has no name in any directory: whoever may use it opens it through this process's descriptor, so that nothing
//! is left behind however the process ends. The protocol is that of draft-miller-ssh-agent; there is nothing to add to the
//! agent, to lock or to remove.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{Mode, OFlags};

use super::keys::{Fields, Key, string};
use crate::{Error, Result};

/// Longest message, in bytes: what OpenSSH takes.
const MAX_MESSAGE: u32 = 256 << 10;
const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGNATURE: u8 = 14;

/// An agent; it ends when dropped.
pub struct KeyAgent {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    _socket: OwnedFd,
}

impl KeyAgent {
    /// Serves the keys in these files.
    pub(super) fn start(files: &[PathBuf]) -> Result<Self> {
        let keys: Arc<[Key]> = files.iter().map(|file| Key::read(file)).collect::<Result<_>>()?;
        let (listener, socket) = listen().map_err(Error::io("make", "the socket of an SSH agent"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().take_while(|_| !stopped.load(Ordering::Relaxed)).flatten() {
                let keys = keys.clone();
                // A client that hangs up or sends nonsense is served no more.
                std::thread::spawn(move || drop(serve(client, &keys)));
            }
        });
        // Other programs of this user find it by this name, too.
        let path = format!("/proc/{}/fd/{}", std::process::id(), socket.as_raw_fd()).into();
        Ok(Self { path, stop, _socket: socket })
    }

    /// Its socket, for as long as this lives.
    pub fn socket(&self) -> &Path {
        &self.path
    }
}

impl Drop for KeyAgent {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // It looks when somebody comes.
        let _ = UnixStream::connect(&self.path);
    }
}

/// A listening socket, and the place it is reached at.
fn listen() -> io::Result<(UnixListener, OwnedFd)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = format!("llbc-agent-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let directory = std::env::temp_dir().join(name);
    std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&directory)?;
    let path = directory.join("socket");
    let made = UnixListener::bind(&path).and_then(|listener| {
        let place = rustix::fs::open(&path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        Ok((listener, place))
    });
    // Whatever of it is there.
    let _ = std::fs::remove_file(&path);
    std::fs::remove_dir(&directory)?;
    made
}

fn serve(mut client: UnixStream, keys: &[Key]) -> io::Result<()> {
    loop {
        let mut length = [0; 4];
        client.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        if length > MAX_MESSAGE {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut request = vec![0; length as usize];
        client.read_exact(&mut request)?;
        client.write_all(&string(&answer(&request, keys).unwrap_or_else(|| vec![FAILURE])))?;
    }
}

/// The answer to a request; `None` when there is none but no.
fn answer(request: &[u8], keys: &[Key]) -> Option<Vec<u8>> {
    let (kind, rest) = request.split_first()?;
    match *kind {
        REQUEST_IDENTITIES => {
            let count = u32::try_from(keys.len()).ok()?.to_be_bytes();
            // Without comments: where keys lie on this machine is no matter of a step's.
            let each = keys.iter().flat_map(|key| [string(&key.public), string(b"")]);
            Some([vec![IDENTITIES], count.to_vec()].into_iter().chain(each).flatten().collect())
        }
        SIGN_REQUEST => {
            let mut fields = Fields(rest);
            let (public, data, flags) = (fields.string().ok()?, fields.string().ok()?, fields.word().ok()?);
            let signature = keys.iter().find(|key| key.public == public)?.sign(data, flags)?;
            Some([vec![SIGNATURE], string(&signature)].concat())
        }
        _ => None,
    }
}
