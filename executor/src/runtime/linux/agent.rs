//! Serves SSH agents of the host to a container, a thread a connection, and looks at every request.
//!
//! parity: BuildKit v0.32, session/sshforward/sshprovider: an agent is for reading; a raw socket is none, and everything
//! passes. The protocol is that of draft-miller-ssh-agent: each message has its length before it, each request one answer.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::request::Agent;

/// How often a waiting server looks whether it may stop.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// Longest message, in bytes: what OpenSSH takes.
const MAX_MESSAGE: u32 = 256 << 10;
/// Requests that are allowed, and the answer to all others.
const REQUEST_IDENTITIES: u8 = 11;
const SIGN_REQUEST: u8 = 13;
const FAILURE: u8 = 5;

/// Servers that run until this is dropped.
pub(super) struct Servers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Servers {
    /// Starts to serve. The sockets must be listening.
    pub(super) fn start(agents: Vec<Agent>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let serve = |agent: Agent| {
            let stop = stop.clone();
            std::thread::spawn(move || serve(agent, &stop))
        };
        let threads = agents.into_iter().map(serve).collect();
        Self { stop, threads }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn serve(Agent { listener, path, raw }: Agent, stop: &AtomicBool) {
    let listener = UnixListener::from(listener);
    let forward = if raw { pass } else { forward };
    while !stop.load(Ordering::Relaxed) {
        let mut fds = [PollFd::new(&listener, PollFlags::IN)];
        if !matches!(poll(&mut fds, Some(&LOOK)), Ok(1..)) {
            continue;
        }
        if let Ok((client, _)) = listener.accept() {
            let path = path.clone();
            // Ends by itself: the container's end closes its side. One that is gone looks to it like one that hangs up.
            std::thread::spawn(move || drop(forward(client, &path)));
        }
    }
}

/// Passes on whatever is said, each way until its end.
fn pass(client: UnixStream, socket: &Path) -> io::Result<()> {
    client.set_nonblocking(false)?;
    let server = UnixStream::connect(socket)?;
    let (from, to) = (server.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || pass_one_way(from, to));
    pass_one_way(client, server)
}

fn pass_one_way(mut from: UnixStream, mut to: UnixStream) -> io::Result<()> {
    io::copy(&mut from, &mut to)?;
    to.shutdown(Shutdown::Write)
}

/// Serves one client of an agent.
fn forward(mut client: UnixStream, agent: &Path) -> io::Result<()> {
    client.set_nonblocking(false)?;
    let mut agent = UnixStream::connect(agent)?;
    while let Some(request) = receive(&mut client)? {
        let answer = if is_allowed(&request) {
            send(&mut agent, &request)?;
            receive(&mut agent)?.ok_or(io::ErrorKind::UnexpectedEof)?
        } else {
            vec![FAILURE]
        };
        send(&mut client, &answer)?;
    }
    Ok(())
}

/// A step may ask which keys there are and have something signed. It may not add or remove keys, lock the agent, or use
/// extensions.
fn is_allowed(request: &[u8]) -> bool {
    matches!(request.first(), Some(&(REQUEST_IDENTITIES | SIGN_REQUEST)))
}

/// Receives a message without its length; `None` when there is no more.
fn receive(from: &mut UnixStream) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let length = u32::from_be_bytes(length);
    if length > MAX_MESSAGE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "message too long"));
    }
    let mut message = vec![0; length as usize];
    from.read_exact(&mut message)?;
    Ok(Some(message))
}

fn send(to: &mut UnixStream, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    to.write_all(&[&length.to_be_bytes()[..], message].concat())
}
