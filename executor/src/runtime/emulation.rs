//! Programs for other processors: whether the kernel has somebody who runs them.
//!
//! Emulators are registered in binfmt_misc by the first bytes of programs. For the kinds of Linux programs that matter here
//! those are the header of an ELF file, whose bytes 18 and 19 name the processor.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use oci::Platform;

/// Where the kernel lists who is registered.
const REGISTERED: &str = "/proc/sys/fs/binfmt_misc";
/// Where an ELF header names the processor, in two bytes.
const MACHINE: usize = 18;
/// Processors as platforms name them, and as ELF headers do, in the order of bytes of the processor.
const MACHINES: &[(&str, [u8; 2])] = &[
    ("386", [3, 0]),
    ("amd64", [62, 0]),
    ("arm", [40, 0]),
    ("arm64", [183, 0]),
    ("loong64", [2, 1]),
    ("mips64le", [8, 0]),
    ("ppc64le", [21, 0]),
    ("riscv64", [243, 0]),
    ("s390x", [0, 22]),
];

/// Where a process finds the emulator that runs it. parity: BuildKit's name, which its emulators know for the programs that
/// these start.
pub(crate) const MOUNTED: &str = "/dev/.buildkit_qemu_emulator";

/// Names of processors where emulators have others. parity: those that BuildKit looks for.
const EMULATED: &[(&str, &str)] = &[("amd64", "x86_64"), ("arm64", "aarch64"), ("386", "i386")];

/// An emulator as BuildKit's own image has them (`buildkit-qemu-aarch64`), for a platform that this machine does not run and
/// that nobody is registered for. It needs no entry in the kernel's list.
pub(crate) fn program(platform: &Platform) -> Option<PathBuf> {
    let (name, machine) = MACHINES.iter().find(|(name, _)| *name == platform.architecture)?;
    if is_native(*machine) || is_registered(*machine) {
        return None;
    }
    let name = EMULATED.iter().find(|(known, _)| known == name).map_or(*name, |(_, emulated)| emulated);
    let directories: Vec<PathBuf> = env::split_paths(&env::var_os("PATH")?).collect();
    directories.iter().map(|directory| directory.join(format!("buildkit-qemu-{name}"))).find(|path| path.is_file())
}

/// How to get an emulator for a platform that this machine does not run; `None` where it runs it, or nobody can tell.
pub(crate) fn advice(platform: &Platform) -> Option<String> {
    let (_, machine) = MACHINES.iter().find(|(name, _)| *name == platform.architecture)?;
    is_missing(*machine).then(|| {
        format!(
            "this machine runs programs for {}, and no emulator for {} is registered with the kernel: install the package \
             qemu-user-static (with binfmt-support where it does not register itself), put buildkit-qemu-… of BuildKit's \
             image into PATH, or run `docker run --privileged \
             --rm tonistiigi/binfmt --install {}`; {REGISTERED} lists what is registered",
            crate::host_platform(),
            platform.architecture,
            platform.architecture
        )
    })
}

/// Whether a file that begins so is a program for a processor that nothing here runs.
pub(super) fn is_foreign(header: &[u8]) -> bool {
    let machine = header.get(MACHINE..MACHINE + 2).and_then(|bytes| bytes.try_into().ok());
    header.starts_with(b"\x7fELF") && machine.is_some_and(is_missing)
}

fn is_missing(machine: [u8; 2]) -> bool {
    if is_native(machine) {
        return false;
    }
    // Where the list is not mounted, the kernel may know more.
    let is_there = fs::read_dir(REGISTERED).is_ok_and(|mut entries| entries.next().is_some());
    is_there && !is_registered(machine)
}

/// Whether somebody in the list runs programs of a processor.
fn is_registered(machine: [u8; 2]) -> bool {
    fs::read_dir(REGISTERED).is_ok_and(|entries| entries.flatten().any(|entry| runs(&entry.path(), machine)))
}

fn is_native(machine: [u8; 2]) -> bool {
    let host = crate::host_platform();
    let natives: &[&str] = if host.architecture == "amd64" { &["amd64", "386"] } else { &[&host.architecture] };
    MACHINES.iter().any(|(name, known)| natives.contains(name) && *known == machine)
        // Of a processor that is not in the list, nothing is known.
        || !MACHINES.iter().any(|(_, known)| *known == machine)
}

/// Whether an entry of the list stands for programs of a processor.
fn runs(entry: &Path, machine: [u8; 2]) -> bool {
    fs::read_to_string(entry).is_ok_and(|text| text.starts_with("enabled") && magic(&text).as_deref() == Some(&machine))
}

/// The bytes of an entry's magic that name the processor.
fn magic(text: &str) -> Option<Vec<u8>> {
    let hex = text.lines().find_map(|line| line.strip_prefix("magic "))?;
    let hex = hex.get(2 * MACHINE..2 * MACHINE + 4)?;
    [&hex[..2], &hex[2..]].iter().map(|byte| u8::from_str_radix(byte, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_names_the_processor_it_is_for() {
        let text = "enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: F\noffset 0\n\
                    magic 7f454c460201010000000000000000000200b700\nmask ffffffffffffff00fffffffffffffffffeffffff\n";
        assert_eq!(magic(text), Some(vec![183, 0]));
        assert_eq!(magic("enabled\nextension .exe\n"), None);
    }

    #[test]
    fn what_runs_here_is_not_foreign() {
        let own = fs::read("/proc/self/exe").unwrap();
        assert!(!is_foreign(&own) && !is_foreign(b"#!/bin/sh\n") && !is_foreign(b""));
        assert_eq!(advice(&crate::host_platform()), None);
    }
}
