//! Serves sockets of a container from sockets of the host, a thread a connection.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::request::Agent;

/// How often a waiting server looks whether it may stop.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// Longest that a silent connection outlives its container.
const LINGER: Duration = Duration::from_millis(200);

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
            std::thread::spawn(move || serve(agent.listener, &agent.path, &stop))
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

fn serve(listener: OwnedFd, agent: &Path, stop: &AtomicBool) {
    let listener = UnixListener::from(listener);
    while !stop.load(Ordering::Relaxed) {
        let mut fds = [PollFd::new(&listener, PollFlags::IN)];
        if !matches!(poll(&mut fds, Some(&LOOK)), Ok(1..)) {
            continue;
        }
        if let Ok((client, _)) = listener.accept() {
            let agent = PathBuf::from(agent);
            // Ends by itself: the container's end closes its side.
            std::thread::spawn(move || forward(client, &agent));
        }
    }
}

/// Copies both ways until one side is done. An agent that is gone looks to the client like one that hangs up.
fn forward(client: UnixStream, agent: &Path) {
    let _ = try_forward(client, agent);
}

fn try_forward(client: UnixStream, agent: &Path) -> io::Result<()> {
    client.set_nonblocking(false)?;
    let agent = UnixStream::connect(agent)?;
    let (client_out, agent_out) = (client.try_clone()?, agent.try_clone()?);
    let back = std::thread::spawn(move || copy(agent_out, client_out));
    copy(client, agent.try_clone()?);
    agent.set_read_timeout(Some(LINGER))?;
    let _ = back.join();
    Ok(())
}

fn copy(mut from: UnixStream, mut to: UnixStream) {
    let mut buffer = [0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
