//! The router's way out for an ordinary user: a program that takes packets from a tap device and speaks to the outside
//! with sockets of the user's, `slirp4netns`.

use std::io::{PipeReader, Read};
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::UPLINK;
use crate::{Error, Result};

/// The program.
const PROGRAM: &str = "slirp4netns";
/// Where it answers questions for names, by asking whom the user's programs ask.
pub(super) const NAMES: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);
/// Size of packets: it takes them as large as can be.
pub(super) const MTU: u32 = 65_520;
/// Longest that it may take to set up its device.
const PATIENCE: Duration = Duration::from_secs(10);
/// The device that it opens.
const TUN: &str = "/dev/net/tun";

/// The program; it ends when this is dropped or this process ends: both close its standard input.
pub(super) struct Uplink {
    process: Child,
    exit: Option<ChildStdin>,
    /// A program that has something to say and nobody to hear it is killed.
    _errors: Option<ChildStderr>,
}

impl Uplink {
    /// Connects a router with the outside.
    pub(super) fn start(router: BorrowedFd<'_>) -> Result<Self> {
        let namespace = format!("/proc/{}/fd/{}", std::process::id(), router.as_raw_fd());
        let Some(program) = find(PROGRAM) else {
            return Err(Error::Invalid(format!("{PROGRAM} is not installed; it comes with the package of that name")));
        };
        if let Err(error) = std::fs::File::options().read(true).write(true).open(TUN) {
            return Err(Error::Invalid(format!(
                "{TUN} cannot be opened ({error}); a container needs the device (`--device {TUN}`), a user the permission \
                 to use it"
            )));
        }
        start(&program, &namespace)
    }
}

fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

fn start(program: &Path, namespace: &str) -> Result<Uplink> {
    let mut command = Command::new(program);
    command.args(["--configure", "--disable-host-loopback", "--enable-sandbox", "--enable-seccomp"]);
    // Not its standard output, to which it talks.
    let (mut ready, tell) = std::io::pipe().map_err(Error::io("make", "a pipe"))?;
    let number = tell.as_raw_fd();
    command.args([&format!("--mtu={MTU}"), "--netns-type=path", "--exit-fd=0", &format!("--ready-fd={number}")]);
    command.args([namespace, UPLINK]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
    // SAFETY: between fork and exec the closure makes one system call, on a descriptor that is open until after them.
    unsafe {
        command.pre_exec(move || {
            let tell = BorrowedFd::borrow_raw(number);
            Ok(rustix::io::fcntl_setfd(tell, rustix::io::FdFlags::empty())?)
        });
    }
    let mut process = command.spawn().map_err(Error::io("start", program))?;
    drop(tell);
    let (exit, mut errors) = (process.stdin.take(), process.stderr.take());
    if says_something(&mut ready) {
        return Ok(Uplink { process, exit, _errors: errors });
    }
    drop(Uplink { process, exit, _errors: None });
    let mut text = String::new();
    let _ = errors.as_mut().map(|errors| errors.read_to_string(&mut text));
    let reason = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
    Err(Error::Invalid(format!("{} does not start: {reason}", program.display())))
}

/// Whether a byte comes in time.
fn says_something(ready: &mut PipeReader) -> bool {
    let patience = Timespec { tv_sec: PATIENCE.as_secs() as _, tv_nsec: 0 };
    let came = poll(&mut [PollFd::new(&*ready, PollFlags::IN)], Some(&patience)).is_ok_and(|count| count > 0);
    came && ready.read(&mut [0]).is_ok_and(|length| length > 0)
}

impl Drop for Uplink {
    fn drop(&mut self) {
        drop(self.exit.take());
        let _ = self.process.wait();
    }
}
