//! What a container may have of the host: devices, files, programs that run around it. Whoever runs the machine says so, in
//! the words of the OCI's runtime specification.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A device of the host, as a file of the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Where, in the container.
    pub path: String,
    /// The file of the host that it is: what is mounted where nobody can make devices.
    pub host: PathBuf,
    /// What it is.
    pub kind: DeviceKind,
    /// Major number; 0 for a pipe.
    pub major: u32,
    /// Minor number; 0 for a pipe.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner; the process's user when nobody says.
    pub uid: Option<u32>,
    /// Group; the process's when nobody says.
    pub gid: Option<u32>,
    /// What processes may do with it, whatever the bits are.
    pub access: Access,
}

/// Kinds of devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceKind {
    /// Characters.
    Character,
    /// Blocks.
    Block,
    /// A named pipe.
    Pipe,
}

impl DeviceKind {
    /// The same to the file system.
    pub(crate) fn file_type(self) -> rustix::fs::FileType {
        match self {
            Self::Character => rustix::fs::FileType::CharacterDevice,
            Self::Block => rustix::fs::FileType::BlockDevice,
            Self::Pipe => rustix::fs::FileType::Fifo,
        }
    }

    /// Its letter: `c`, `b`, `p`.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Character => "c",
            Self::Block => "b",
            Self::Pipe => "p",
        }
    }
}

/// What may be done with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Read.
    pub read: bool,
    /// Write.
    pub write: bool,
    /// Make files of it.
    pub make: bool,
}

impl Access {
    /// Everything.
    pub const ALL: Self = Self { read: true, write: true, make: true };

    /// Its letters, some of `rwm`.
    pub fn letters(self) -> String {
        let all = [(self.read, 'r'), (self.write, 'w'), (self.make, 'm')];
        all.into_iter().filter(|(may, _)| *may).map(|(_, letter)| letter).collect()
    }
}

/// The points of a container's life at which hooks run.
pub const HOOKS: &[&str] = &["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A program that runs at a point of a container's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// When: one of [`HOOKS`].
    pub point: String,
    /// The program.
    pub path: String,
    /// Its arguments, its name first.
    pub args: Vec<String>,
    /// Its environment.
    pub env: Vec<String>,
    /// Seconds that it may take; unlimited without.
    pub timeout: Option<u32>,
}

/// A file or directory of the host, with options of a mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostMount {
    /// Its path there.
    pub path: PathBuf,
    /// The options as they were written; each is known.
    pub options: Vec<String>,
    /// Whether what is mounted below comes along.
    pub recursive: bool,
    /// Whether what is mounted below later is seen, too.
    pub follows: bool,
    /// `MOUNT_ATTR_*` to set.
    pub set: u32,
    /// `MOUNT_ATTR_*` to clear before.
    pub clear: u32,
}

/// `MOUNT_ATTR_*` of the kernel, which older headers lack.
const RDONLY: u32 = 0x01;
const NOSUID: u32 = 0x02;
const NODEV: u32 = 0x04;
const NOEXEC: u32 = 0x08;
/// All ways to note when something was read.
const TIMES: u32 = 0x70;
const NOATIME: u32 = 0x10;
const STRICTATIME: u32 = 0x20;
const NODIRATIME: u32 = 0x80;

impl HostMount {
    /// A path with options; `Err` is the option that is none of a bind mount, or that would let the host see what is mounted
    /// in the container.
    pub fn new(path: PathBuf, options: &[String]) -> Result<Self, String> {
        let mut mount = Self { path, options: options.to_vec(), ..Self::default() };
        for option in options {
            let (set, off, clear) = match option.as_str() {
                "ro" => (RDONLY, 0, 0),
                // What the host forbids stays forbidden.
                "rw" => (0, RDONLY, 0),
                "nosuid" => (NOSUID, 0, 0),
                "suid" => (0, NOSUID, 0),
                "nodev" => (NODEV, 0, 0),
                "dev" => (0, NODEV, 0),
                "noexec" => (NOEXEC, 0, 0),
                "exec" => (0, NOEXEC, 0),
                "noatime" => (NOATIME, TIMES, TIMES),
                "strictatime" => (STRICTATIME, TIMES, TIMES),
                "relatime" | "atime" => (0, TIMES, TIMES),
                "nodiratime" => (NODIRATIME, 0, 0),
                "diratime" => (0, NODIRATIME, 0),
                "rbind" => {
                    mount.recursive = true;
                    continue;
                }
                "slave" | "rslave" => {
                    mount.follows = true;
                    continue;
                }
                "bind" | "private" | "rprivate" | "defaults" => continue,
                other => return Err(other.to_owned()),
            };
            mount.set = mount.set & !off | set;
            mount.clear |= clear;
        }
        Ok(mount)
    }

    /// Whether it is read-only.
    pub fn is_readonly(&self) -> bool {
        self.set & RDONLY != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_contrary_options_counts() {
        let mount = |options: &[&str]| {
            HostMount::new("/x".into(), &options.iter().map(|option| (*option).to_owned()).collect::<Vec<_>>())
        };
        let made = mount(&["ro", "nosuid", "nodev", "rbind", "rprivate"]).unwrap();
        assert_eq!((made.set, made.clear, made.recursive, made.follows), (7, 0, true, false));
        assert!(made.is_readonly() && !mount(&["ro", "rw", "bind"]).unwrap().is_readonly());
        let made = mount(&["noatime", "strictatime", "rslave"]).unwrap();
        assert_eq!((made.set, made.clear, made.recursive, made.follows), (STRICTATIME, TIMES, false, true));
        assert_eq!(mount(&["ro", "rshared"]).unwrap_err(), "rshared");
    }
}
