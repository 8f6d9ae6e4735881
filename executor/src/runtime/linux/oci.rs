//! The container's processes by another runtime: the shim prepares everything as for its own, then `crun` or `runc` makes
//! the container.
//!
//! The runtime is started as the first process of a namespace of processes and mounts: when it is killed, its container
//! goes with it, and nothing it or we mount is seen by the host. Its bundle lies in memory.

mod config;

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountPropagationFlags, UnmountFlags};

use super::plan::{Oci, Owner, Plan, Reply, Source};
use super::shim::{self, Container};
use super::stubs::{self, Kind};
use super::{console, init, mounts, sys};
use crate::rootfs::Tree;
use crate::runtime::emulation;
use crate::{Error, Result, userns};

/// Names in the bundle.
pub(super) const ROOT: &str = "rootfs";
const STATE: &str = "state";
pub(super) const CONFIG: &str = "config.json";
/// Where a hybrid layout has the unified hierarchy.
const UNIFIED: &str = "/sys/fs/cgroup/unified";

/// Becomes the runtime, or says why not.
pub(super) fn main(container: &Container, oci: &Oci) -> ! {
    let reply = match set_up(container, oci) {
        Ok(()) => execute(oci),
        Err(e) => Reply::Failed(e.to_string()),
    };
    let _ = reply.send(&container.control);
    std::process::exit(127)
}

fn set_up(container: &Container, oci: &Oci) -> Result<()> {
    sys::die_with_parent().map_err(Error::io("follow", "the shim"))?;
    rustix::process::setsid().map_err(|e| Error::io("start", "a session")(e.into()))?;
    if let Some(terminal) = &container.terminal {
        console::take(terminal).map_err(Error::io("take", "the terminal"))?;
    }
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).map_err(|e| Error::io("make private", "/")(e.into()))?;
    attach(mounts::filesystem("proc", &[], mounts::INERT)?, Path::new("/proc"))?;
    if is_crun(oci) {
        hide_unified()?;
    }
    fill_bundle(container, oci)
}

/// crun refuses layouts with both hierarchies; in here nobody needs the second. What an ordinary user may not unmount can
/// be covered.
fn hide_unified() -> Result<()> {
    if rustix::mount::unmount(UNIFIED, UnmountFlags::DETACH).is_err() && Path::new(UNIFIED).is_dir() {
        attach(mounts::filesystem("tmpfs", &[], mounts::INERT)?, Path::new(UNIFIED))?;
    }
    Ok(())
}

fn is_crun(oci: &Oci) -> bool {
    oci.program.file_name().is_some_and(|name| name.to_string_lossy().contains("crun"))
}

/// The configuration of a container that we make, for hooks that look into it.
pub(super) fn config(container: &Container, bundle: &Path) -> String {
    let sources: Vec<PathBuf> =
        (0..container.plan.mounts.len()).map(|index| bundle.join(init::scratch_name(index))).collect();
    config::text(container, bundle, &sources)
}

/// Puts the root, the mounts and the configuration into the bundle.
fn fill_bundle(container: &Container, oci: &Oci) -> Result<()> {
    let bundle = &oci.bundle;
    attach(container.scratch.fd(), bundle)?;
    make_point(&bundle.join(ROOT), Kind::Dir)?;
    make_point(&bundle.join(STATE), Kind::Dir)?;
    attach(container.root.fd(), &bundle.join(ROOT))?;
    // Made here, as runtimes disagree about their modes, too.
    for dir in shim::KERNEL.iter().map(Path::new).filter(|dir| container.root.resolve(dir).is_err()) {
        stubs::make_point(&container.root, dir, Kind::Dir).map_err(Error::io("make the mount point", dir))?;
    }
    let mut sources: Vec<PathBuf> = Vec::new();
    for (index, mount) in container.plan.mounts.iter().enumerate() {
        sources.push(match mount.source {
            Source::Secret { .. } | Source::Socket { .. } | Source::Device(_) => bundle.join(init::scratch_name(index)),
            // Made here, as runtimes disagree about the mode of a tmpfs.
            Source::Tmpfs { .. } | Source::Open(_) | Source::Host(..) | Source::Overlay { .. } => {
                place(container, index, bundle)?
            }
        });
    }
    let text = config::text(container, bundle, &sources);
    container.scratch.write(CONFIG, text.as_bytes(), Owner { uid: 0, gid: 0, mode: 0o600 })
}

/// Attaches a mount of the plan in the bundle; returns where.
fn place(container: &Container, index: usize, bundle: &Path) -> Result<PathBuf> {
    let mount = init::make_mount(container, index)?;
    let point = bundle.join(format!("attached-{index}"));
    make_point(&point, init::kind_of_fd(&mount))?;
    attach(mount, &point)?;
    Ok(point)
}

fn make_point(path: &Path, kind: Kind) -> Result<()> {
    let made = match kind {
        Kind::Dir => std::fs::create_dir(path),
        Kind::File => std::fs::File::create_new(path).map(drop),
    };
    made.map_err(Error::io("make", path))
}

/// Attaches a mount at a path of this process.
pub(super) fn attach(mount: impl AsFd, at: &Path) -> Result<()> {
    let open = rustix::fs::open(at, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let attached = open.and_then(|target: OwnedFd| mounts::attach_to(mount, target));
    attached.map_err(|e| Error::io("mount onto", at)(e.into()))
}

/// Becomes the runtime. Returns when it cannot.
fn execute(oci: &Oci) -> Reply {
    let c_string = |bytes: &[u8]| CString::new(bytes).unwrap_or_default();
    let state = oci.bundle.join(STATE);
    let args: Vec<CString> = [
        oci.program.as_os_str().as_bytes(),
        b"--root",
        state.as_os_str().as_bytes(),
        // An ordinary user has no groups to manage. Others find out by themselves.
        if userns::is_confined() && is_crun(oci) { b"--cgroup-manager=disabled" } else { b"--log-format=text" },
        b"run",
        b"--bundle",
        oci.bundle.as_os_str().as_bytes(),
        oci.id.as_bytes(),
    ]
    .into_iter()
    .map(c_string)
    .collect();
    let env = [c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()];
    let _ = sys::close_on_exec_from(3);
    sys::reset_signals();
    let error = sys::execute(&args[0], &args, &env);
    Reply::Failed(format!("cannot start the OCI runtime {}: {error}", oci.program.display()))
}

/// Whether the program of a plan can be found, in the words the embedded runtime has for it: runtimes differ in theirs.
///
/// What is mounted is not seen here: where it could be there, the runtime looks.
pub(super) fn find_program(container: &Container) -> Option<Reply> {
    let plan: &Plan = &container.plan;
    let name = &plan.args[0];
    let directory = Path::new("/").join(&plan.cwd);
    let candidates = init::candidates(name, &plan.env);
    let candidates: Vec<_> =
        candidates.iter().map(|path| directory.join(path).to_string_lossy().into_owned()).collect();
    let mut found = candidates.iter().filter_map(|path| container.root.stat(Path::new(path)).ok());
    if let Some(path) = candidates.iter().find(|path| is_foreign(&container.root, path)) {
        return Some(init::refused(path, &io::Error::from_raw_os_error(libc::ENOEXEC)));
    }
    let is_program = |mode: u32| mode & libc::S_IFMT == libc::S_IFREG && mode & 0o111 != 0;
    let first = found.clone().next();
    if !plan.mounts.is_empty() || found.any(|stat| is_program(stat.st_mode)) {
        return None;
    }
    Some(match first {
        Some(_) => {
            let error = io::Error::from_raw_os_error(libc::EACCES);
            init::refused(&candidates[0], &error)
        }
        None => init::not_found(name),
    })
}

/// Whether the program at a path is for another processor, and nobody emulates it.
fn is_foreign(root: &Tree, path: &str) -> bool {
    let mut header = [0; 20];
    let read = root.open_file(Path::new(path)).and_then(|file| io::Read::read_exact(&mut &file, &mut header));
    read.is_ok() && emulation::is_foreign(&header)
}

/// Removes what a runtime that was killed left, and the directory its bundle was mounted on: all of it is empty now.
pub(super) fn clean(oci: &Oci, parent: &Path) {
    let _ = std::fs::remove_dir(&oci.bundle);
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = std::fs::read_dir(root).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    for hierarchy in hierarchies.chain([root.to_owned()]) {
        let _ = std::fs::remove_dir(hierarchy.join(parent).join(&oci.id));
    }
}
