//! Steps for other processors: with an emulator they run, without one it is said what is missing.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::{Sandbox, process};

const BINFMT: &str = "/proc/sys/fs/binfmt_misc";
const EMULATOR: &str = "qemu-aarch64-static";
/// The number of arm64 in ELF headers, and of s390x.
const ARM64: [u8; 2] = [183, 0];
const S390X: [u8; 2] = [0, 22];

/// A program for arm64: `mkdir("/made", 0755)`, `exit(0)`.
const CODE: &[u8] = b"\x60\x0c\x80\x92\xe1\x00\x00\x10\xa2\x3d\x80\xd2\x48\x04\x80\xd2\x01\x00\x00\xd4\x00\x00\x80\xd2\
    \xa8\x0b\x80\xd2\x01\x00\x00\xd4/made\0\0\0";

const RUNTIMES: [&str; 3] = ["", "--oci-runtime=crun", "--oci-runtime=runc"];

/// An ELF file for a processor, with [`CODE`] as its only segment.
fn program(machine: [u8; 2]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let size = HEADERS + CODE.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0".to_vec();
    file.extend(machine);
    file.extend(1u32.to_le_bytes());
    [BASE + HEADERS, 64, 0].iter().for_each(|word| file.extend(word.to_le_bytes()));
    file.extend(0u32.to_le_bytes());
    [64u16, 56, 1, 0, 0, 0].iter().for_each(|half| file.extend(half.to_le_bytes()));
    [1u32, 5].iter().for_each(|word| file.extend(word.to_le_bytes()));
    [0, BASE, BASE, size, size, 0x1_0000].iter().for_each(|word| file.extend(word.to_le_bytes()));
    file.extend(CODE);
    file
}

fn sandbox(machine: [u8; 2]) -> Sandbox {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.write("program", ""), program(machine)).unwrap();
    sandbox.write(
        "Dockerfile",
        "FROM scratch
COPY --chmod=755 program /
RUN [\"/program\"]
",
    );
    sandbox
}

/// Makes the kernel's list of emulators visible, for this machine as a whole. **Errors**: in CI, where that must work.
fn has_list() -> bool {
    let is_there = || Path::new(BINFMT).join("register").exists();
    if !is_there() {
        let _ = Command::new("mount").args(["-t", "binfmt_misc", "binfmt_misc", BINFMT]).status();
    }
    if !is_there() {
        let reason = format!("binfmt_misc cannot be mounted on {BINFMT}: emulators cannot be registered");
        assert!(std::env::var_os("CI").is_none(), "{reason}");
        process::say(&format!("not run, {reason}"));
    }
    is_there()
}

/// Whether somebody runs programs of a processor.
fn is_registered(machine: [u8; 2]) -> bool {
    let wanted = format!("magic 7f454c46020101000000000000000000{{}}{:02x}{:02x}", machine[0], machine[1]);
    let wanted = ["0200", "0002"].map(|kind| wanted.replace("{}", kind));
    let entries = std::fs::read_dir(BINFMT).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()));
    entries.flatten().any(|text| text.starts_with("enabled") && wanted.iter().any(|line| text.contains(line.as_str())))
}

/// An emulator registered for this test, unless the machine has one.
struct Registered(Option<PathBuf>);

impl Registered {
    fn new() -> Self {
        if is_registered(ARM64) {
            return Self(None);
        }
        let name = format!("llbc-test-{}", std::process::id());
        let emulator = process::find(EMULATOR).unwrap();
        let magic = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00";
        let mask = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff";
        let line = format!(":{name}:M::{magic}:{mask}:{}:F", emulator.display());
        std::fs::write(Path::new(BINFMT).join("register"), line).unwrap();
        Self(Some(Path::new(BINFMT).join(name)))
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Some(entry) = &self.0 {
            std::fs::write(entry, "-1").unwrap();
        }
    }
}

/// One after the other: the kernel's list is one for the machine.
#[test]
fn with_an_emulator_a_step_for_another_processor_runs() {
    an_emulator_that_is_registered();
    an_emulator_beside_the_builder();
}

fn an_emulator_that_is_registered() {
    if !e2e::have(&[EMULATOR]) || !has_list() {
        return;
    }
    let _emulator = Registered::new();
    let sandbox = sandbox(ARM64);
    for runtime in RUNTIMES {
        sandbox
            .succeed(&mut sandbox.shell(&format!("llbc build --platform=linux/arm64 --no-cache -o tree {runtime} .")));
        assert!(sandbox.has("tree/made"), "{runtime}");
        std::fs::remove_dir_all(sandbox.directory().join("tree")).unwrap();
    }
}

fn an_emulator_beside_the_builder() {
    if !e2e::have(&[EMULATOR]) {
        return;
    }
    if has_list() && is_registered(ARM64) {
        process::say("not run, an emulator for arm64 is registered");
        return;
    }
    let sandbox = sandbox(ARM64);
    sandbox.write("bin/placeholder", "");
    std::fs::copy(process::find(EMULATOR).unwrap(), sandbox.directory().join("bin/buildkit-qemu-aarch64")).unwrap();
    for runtime in RUNTIMES {
        let build = format!("llbc build --platform=linux/arm64 --no-cache -o tree {runtime} .");
        sandbox.succeed(&mut sandbox.shell(&format!("PATH=$PWD/bin:$PATH {build}")));
        assert!(sandbox.has("tree/made"), "{runtime}");
        // The emulator is no part of the result.
        assert!(!sandbox.has("tree/dev/.buildkit_qemu_emulator"), "{runtime}");
        std::fs::remove_dir_all(sandbox.directory().join("tree")).unwrap();
    }
}

#[test]
fn without_an_emulator_it_is_said_what_is_missing() {
    if !has_list() {
        return;
    }
    assert!(!is_registered(S390X), "this test needs a processor that nothing runs here");
    let sandbox = sandbox(S390X);
    for runtime in RUNTIMES {
        let said =
            sandbox.fail(1, &mut sandbox.shell(&format!("llbc build --platform=linux/s390x -o tree {runtime} .")));
        let last = said.lines().last().unwrap();
        for words in ["a step for linux/s390x is not supported", "qemu-user-static", "binfmt --install s390x"] {
            assert!(last.contains(words), "{runtime}: {words} is missing in\n{said}");
        }
        assert!(said.contains("exec format error"), "{runtime}: {said}");
        assert!(!sandbox.has("tree"));
    }
}
