//! Follows a container from the executor's side: its output, the shim's replies.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};

use super::plan::Reply;
use super::request::Agent;
use super::serve;
use super::zygote::Shim;
use crate::runtime::Output;
use crate::{Error, Result};

/// Bytes of output handed on at once; a pipe holds as many.
const CHUNK: usize = 64 << 10;

/// Hands on output until the container's pipes and the shim's socket are closed; returns what the shim said.
pub(super) fn follow(shim: &Shim, output: Output<'_>, agents: Vec<Agent>) -> Result<Vec<Reply>> {
    let mut follower = Follower { replies: Replies::default(), open: [true; 3], buffer: vec![0; CHUNK], output };
    let mut agents = Some(agents);
    let mut servers = None;
    while follower.open.contains(&true) {
        follower.step(shim).map_err(Error::io("follow", "the container"))?;
        if follower.replies.is_ready() && servers.is_none() {
            servers = agents.take().and_then(serve);
        }
    }
    Ok(follower.replies.parsed)
}

struct Follower<'a> {
    replies: Replies,
    /// Whether stdout, stderr and the shim's socket may still bring something.
    open: [bool; 3],
    buffer: Vec<u8>,
    output: Output<'a>,
}

impl Follower<'_> {
    fn step(&mut self, shim: &Shim) -> io::Result<()> {
        let all = [shim.stdout.as_fd(), shim.stderr.as_fd(), shim.control.as_fd()];
        let waiting: Vec<usize> = (0..all.len()).filter(|source| self.open[*source]).collect();
        let mut fds: Vec<PollFd> = waiting.iter().map(|s| PollFd::from_borrowed_fd(all[*s], PollFlags::IN)).collect();
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        for (source, _) in waiting.into_iter().zip(ready).filter(|(_, ready)| *ready) {
            self.open[source] = match source {
                2 => self.replies.read(&shim.control)?,
                stream => self.copy(all[stream], stream as u8 + 1)?,
            };
        }
        Ok(())
    }

    fn copy(&mut self, from: BorrowedFd<'_>, stream: u8) -> io::Result<bool> {
        let length = rustix::io::read(from, &mut self.buffer[..])?;
        if length > 0 {
            (self.output)(stream, &self.buffer[..length]);
        }
        Ok(length > 0)
    }
}

/// Replies as they come in.
#[derive(Default)]
struct Replies {
    bytes: Vec<u8>,
    parsed: Vec<Reply>,
}

impl Replies {
    fn read(&mut self, mut from: &UnixStream) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        let length = match from.read(&mut buffer) {
            // A shim that was killed with something unread resets the connection.
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => 0,
            result => result?,
        };
        self.bytes.extend_from_slice(&buffer[..length]);
        while let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.bytes.drain(..=end).collect();
            self.parsed.push(serde_json::from_slice(&line)?);
        }
        Ok(length > 0)
    }

    fn is_ready(&self) -> bool {
        self.parsed.iter().any(|reply| matches!(reply, Reply::Ready))
    }
}
