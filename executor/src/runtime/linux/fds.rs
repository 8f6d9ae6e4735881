//! Descriptors over a socket.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};

/// Descriptors in one message; the kernel takes 253.
const BATCH: usize = 200;

/// Sends descriptors, one byte of data with each batch.
pub(super) fn send(to: &UnixStream, fds: &[OwnedFd]) -> io::Result<()> {
    send_as(0, to, fds)
}

/// The same, the byte being one that tells the receiver what they are.
pub(super) fn send_as(what: u8, to: &UnixStream, fds: &[OwnedFd]) -> io::Result<()> {
    for batch in fds.chunks(BATCH) {
        let batch: Vec<BorrowedFd> = batch.iter().map(AsFd::as_fd).collect();
        let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
        let mut message = SendAncillaryBuffer::new(&mut space);
        message.push(SendAncillaryMessage::ScmRights(&batch));
        rustix::net::sendmsg(to, &[IoSlice::new(&[what])], &mut message, SendFlags::NOSIGNAL)?;
    }
    Ok(())
}

/// Receives as many descriptors as were sent, all closed on exec.
pub(super) fn receive(from: &UnixStream, count: usize) -> io::Result<Vec<OwnedFd>> {
    let mut fds = Vec::with_capacity(count.min(BATCH));
    while fds.len() < count {
        fds.extend(receive_message(from)?.1);
    }
    Ok(fds)
}

/// Receives what one message tells of its descriptors, and these, all closed on exec.
pub(super) fn receive_message(from: &UnixStream) -> io::Result<(u8, Vec<OwnedFd>)> {
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
    let mut message = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let got = rustix::net::recvmsg(from, &mut [IoSliceMut::new(&mut byte)], &mut message, RecvFlags::CMSG_CLOEXEC)?;
    if got.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let rights = |part| match part {
        RecvAncillaryMessage::ScmRights(rights) => Some(rights),
        _ => None,
    };
    Ok((byte[0], message.drain().filter_map(rights).flatten().collect()))
}
