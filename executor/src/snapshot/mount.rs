//! Detached overlay mounts: they hang on a file descriptor, in no directory and no namespace, so that nothing can leak.
//!
//! Options are explicit, because distributions change the defaults: no index, no metadata-only copies, no redirects, so
//! that an upper directory holds whole files and whiteouts and nothing clever; `volatile`, because commits order their own
//! durability and an unmount would otherwise sync the whole file system.
//! Layers are handed over as descriptors (Linux 6.13), else as strings below `/proc/self/fd` (6.5), never as one option
//! string, which the kernel cuts at 4096 bytes.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};

use super::Overlay;
use crate::{Error, Result};

/// Most layers the kernel stacks.
const MAX_LAYERS: usize = 500;

/// A mount; gone when dropped.
pub(crate) struct Mount {
    fd: OwnedFd,
    path: PathBuf,
}

impl Mount {
    /// Its root, for this process.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The mount itself, to attach it somewhere.
    pub(crate) fn into_fd(self) -> OwnedFd {
        self.fd
    }
}

/// Mounts an overlay with its directory of changes.
pub(crate) fn writable(overlay: &Overlay) -> Result<Mount> {
    mount(&overlay.lower, Some((&overlay.upper, &overlay.work)))
}

/// Mounts at least two directories on top of each other, lowest first.
pub(crate) fn readable(lower: &[PathBuf]) -> Result<Mount> {
    mount(lower, None)
}

fn mount(lower: &[PathBuf], upper: Option<(&Path, &Path)>) -> Result<Mount> {
    let top = upper.map(|(upper, _)| upper).or(lower.last().map(PathBuf::as_path)).unwrap_or(Path::new("/"));
    if lower.len() > MAX_LAYERS {
        return Err(Error::Unsupported {
            what: format!("a tree of {} layers", lower.len()),
            why: format!("the kernel stacks at most {MAX_LAYERS}; copy it into one stage with `COPY --from=… / /`"),
        });
    }
    let fs = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(failed(top))?;
    configure(fs.as_fd(), lower, upper).map_err(|errno| explain(fs.as_fd(), top, errno))?;
    let attributes = if upper.is_some() { MountAttrFlags::empty() } else { MountAttrFlags::MOUNT_ATTR_RDONLY };
    let fd = rustix::mount::fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
        .map_err(|errno| explain(fs.as_fd(), top, errno))?;
    let path = proc_path(fd.as_fd());
    Ok(Mount { fd, path })
}

fn configure(fs: BorrowedFd, lower: &[PathBuf], upper: Option<(&Path, &Path)>) -> rustix::io::Result<()> {
    use rustix::mount::{fsconfig_create, fsconfig_set_flag, fsconfig_set_string};
    fsconfig_set_string(fs, "source", "overlay")?;
    for (key, value) in [("index", "off"), ("metacopy", "off"), ("redirect_dir", "nofollow"), ("xino", "off")] {
        fsconfig_set_string(fs, key, value)?;
    }
    if crate::userns::is_confined() {
        // Marks that are not root's to set.
        fsconfig_set_flag(fs, "userxattr")?;
    }
    // The kernel reads the paths when they are set, so that a descriptor lives no longer than its call.
    for dir in lower.iter().rev() {
        set_dir(fs, "lowerdir+", dir)?;
    }
    if let Some((upper, work)) = upper {
        set_dir(fs, "upperdir", upper)?;
        set_dir(fs, "workdir", work)?;
        fsconfig_set_flag(fs, "volatile")?;
    }
    fsconfig_create(fs)
}

fn set_dir(fs: BorrowedFd, key: &str, dir: &Path) -> rustix::io::Result<()> {
    let fd = rustix::fs::open(dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    match rustix::mount::fsconfig_set_fd(fs, key, &fd) {
        Err(Errno::INVAL) => rustix::mount::fsconfig_set_string(fs, key, proc_path(fd.as_fd())),
        result => result,
    }
}

fn proc_path(fd: BorrowedFd) -> PathBuf {
    format!("/proc/self/fd/{}", fd.as_raw_fd()).into()
}

fn failed(top: &Path) -> impl FnOnce(Errno) -> Error {
    move |errno| Error::io("mount an overlay with", top)(errno.into())
}

/// Adds what the kernel wrote into the log of the file system context.
fn explain(fs: BorrowedFd, top: &Path, errno: Errno) -> Error {
    let mut log = String::new();
    if let Ok(fd) = fs.try_clone_to_owned() {
        let mut file = File::from(fd);
        let mut line = [0; 1024];
        while let Ok(length @ 1..) = file.read(&mut line) {
            log.push_str("; ");
            log.push_str(String::from_utf8_lossy(&line[..length]).trim());
        }
    }
    let source = std::io::Error::from(errno);
    let source = if log.is_empty() { source } else { std::io::Error::new(source.kind(), format!("{source}{log}")) };
    Error::io("mount an overlay with", top)(source)
}

/// Whether overlays can be mounted here with changes in `dir`.
pub(super) fn is_supported(dir: &Path) -> bool {
    let [lower, upper, work] = ["lower", "upper", "work"].map(|name| dir.join(name));
    let made = [&lower, &upper, &work].iter().all(|path| std::fs::create_dir(path).is_ok());
    let overlay = Overlay { lower: vec![lower], upper, work };
    made && writable(&overlay).is_ok_and(|mount| std::fs::write(mount.path().join("probe"), "").is_ok())
}
