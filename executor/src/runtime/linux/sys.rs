//! The system calls that `rustix` does not wrap, each as one safe function.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::process::Pid;

/// Most signals the kernel has.
const SIGNALS: i32 = 64;

/// Which side of [`clone`] this is.
pub(super) enum Cloned {
    /// The new process.
    Child,
    /// The old one, with a descriptor of the new one.
    Parent(OwnedFd),
}

/// Forks into new namespaces (`CLONE_NEW*`) and, when given, a control group. The caller must be single-threaded.
pub(super) fn clone(namespaces: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    const CLONE_PIDFD: u64 = 0x1000;
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let mut pidfd: i32 = -1;
    let mut args = CloneArgs {
        flags: namespaces | CLONE_PIDFD,
        pidfd: &raw mut pidfd as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM this is a fork: the child has its own copy of everything; the caller has one thread.
    match unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) } {
        0 => Ok(Cloned::Child),
        pid if pid > 0 => {
            // SAFETY: the kernel has just put a new descriptor there that nobody else owns.
            Ok(Cloned::Parent(unsafe { OwnedFd::from_raw_fd(pidfd) }))
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// `struct clone_args`.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Sets attributes (`MOUNT_ATTR_*`) of a mount.
pub(super) fn set_mount_attributes(mount: BorrowedFd<'_>, attributes: u32) -> io::Result<()> {
    mount_setattr(mount, [u64::from(attributes), 0, 0, 0], libc::AT_EMPTY_PATH)
}

/// Sets attributes of a mount, after clearing others.
pub(super) fn change_mount_attributes(mount: BorrowedFd<'_>, set: u32, clear: u32) -> io::Result<()> {
    mount_setattr(mount, [u64::from(set), u64::from(clear), 0, 0], libc::AT_EMPTY_PATH)
}

/// Lets what is mounted below a mount elsewhere be seen there or not; nothing that is mounted there is seen elsewhere.
pub(super) fn set_propagation(mount: BorrowedFd<'_>, follows: bool) -> rustix::io::Result<()> {
    let propagation = if follows { libc::MS_SLAVE } else { libc::MS_PRIVATE };
    let set = mount_setattr(mount, [0, 0, propagation, 0], libc::AT_EMPTY_PATH | libc::AT_RECURSIVE);
    set.map_err(|error| rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO))
}

/// Sets attributes of a mount and of all that is mounted below it.
pub(super) fn set_mount_attributes_below(mount: BorrowedFd<'_>, attributes: u32) -> io::Result<()> {
    mount_setattr(mount, [u64::from(attributes), 0, 0, 0], libc::AT_EMPTY_PATH | libc::AT_RECURSIVE)
}

/// `struct mount_attr` is four u64: set, clear, propagation, user namespace.
fn mount_setattr(mount: BorrowedFd<'_>, attr: [u64; 4], flags: libc::c_int) -> io::Result<()> {
    // SAFETY: the kernel reads as many bytes as it is told, all of them the array's.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            attr.as_ptr(),
            size_of_val(&attr),
        )
    })
}

/// Marks every descriptor from `first` on to be closed when the process executes another program.
pub(super) fn close_on_exec_from(first: u32) -> io::Result<()> {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    // SAFETY: changes descriptor flags only.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, CLOSE_RANGE_CLOEXEC) })
}

/// Gives every signal its default action and unblocks all: both are inherited over exec.
pub(super) fn reset_signals() {
    /// Longest form of the kernel's `sigaction`, in words; all zero is the default action.
    static ACTION: [u64; 4] = [0; 4];
    // SAFETY: default actions run no code of ours; the sets are initialised by sigemptyset.
    unsafe {
        for signal in 1..=SIGNALS {
            // Not by the C library, which keeps two signals for itself: it starts programs with those ignored, and changes
            // them for nobody.
            let (action, none) = ((&raw const ACTION).cast::<libc::c_void>(), std::ptr::null_mut::<libc::c_void>());
            libc::syscall(libc::SYS_rt_sigaction, signal, action, none, std::mem::size_of::<u64>());
        }
        let mut none = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Lets the kernel forget children that end.
pub(super) fn forget_children() {
    // SAFETY: an ignored signal runs no code of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

/// Lets the kernel keep children that end until they are waited for.
pub(super) fn keep_children() {
    // SAFETY: the default action runs no code of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Drops a capability from the bounding set; one that the kernel does not know is dropped already.
pub(super) fn drop_from_bounding_set(capability: u32) -> io::Result<()> {
    // SAFETY: changes credentials of this thread only.
    match check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability as libc::c_ulong, 0, 0, 0) }.into()) {
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) => Ok(()),
        result => result,
    }
}

/// Raises a capability in the ambient set.
pub(super) fn raise_ambient(capability: u32) -> io::Result<()> {
    let capability = libc::c_ulong::from(capability);
    // SAFETY: changes credentials of this thread only.
    check(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, capability, 0, 0) }.into())
}

/// Installs a seccomp filter; needs `CAP_SYS_ADMIN`, as no-new-privileges stays off.
pub(super) fn install_seccomp(program: &[libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?,
        filter: program.as_ptr().cast_mut(),
    };
    // Builds run trusted-enough code at full speed: speculation is not restricted, as other runtimes do it.
    let flags = libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    // SAFETY: the kernel copies the program, which lives until the call returns.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) })
}

/// Brings a network interface of this network namespace up.
pub(super) fn interface_up(name: &str) -> io::Result<()> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request outlives the call and is what SIOCSIFFLAGS takes.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) }.into())
}

/// Waits for a child by its descriptor: its exit code, 128 + the signal that ended it.
pub(super) fn wait(pidfd: BorrowedFd<'_>) -> io::Result<i32> {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    loop {
        match waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED) {
            Ok(Some(status)) => {
                let signal = status.terminating_signal().map(|signal| 128 + signal);
                return Ok(signal.or(status.exit_status()).unwrap_or(255));
            }
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// Asks the kernel to kill this process when its parent ends.
pub(super) fn die_with_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?)
}

/// Executes a program. Returns only when it cannot.
pub(super) fn execute(program: &CStr, args: &[CString], env: &[CString]) -> io::Error {
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: all pointers are of strings that live here, and both lists end with null.
    unsafe { libc::execve(program.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// This process, for calls that take one.
pub(super) const SELF: Option<Pid> = None;

fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
