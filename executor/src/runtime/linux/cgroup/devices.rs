//! Which devices a container may open: a small eBPF program on its group, since `CAP_MKNOD` alone would give it the disks.
//!
//! parity: the list of runc: any device may be made, only harmless ones may be opened.

use std::io;
use std::mem::size_of_val;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;

use crate::runtime::{Device, DeviceKind};

/// Major and minor number of the character devices that may be opened; no minor is all.
const OPENABLE: &[(i32, Option<i32>)] = &[
    (1, Some(3)), // null
    (1, Some(5)), // zero
    (1, Some(7)), // full
    (1, Some(8)), // random
    (1, Some(9)), // urandom
    (5, Some(0)), // tty
    (5, Some(1)), // console
    (5, Some(2)), // ptmx
    (136, None),  // pts
];

const BPF_PROG_LOAD: u32 = 5;
const BPF_PROG_ATTACH: u32 = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;
/// Kind and access in the first word of what the kernel asks: `access << 16 | kind`.
const BLOCK: i32 = 1;
const CHARACTER: i32 = 2;
const MKNOD: i32 = 1;
const READ: i32 = 2;
const WRITE: i32 = 4;

/// The program, checked and translated by the kernel, which takes half a millisecond: for all groups of this process and of
/// those that are forked from it afterwards. `None` where it cannot be had.
pub(super) fn filter() -> Option<&'static OwnedFd> {
    static FILTER: OnceLock<Option<OwnedFd>> = OnceLock::new();
    FILTER.get_or_init(|| load(&[]).ok()).as_ref()
}

/// Restricts the processes of a group to what every container may use and to these devices; whether that could be done.
pub(super) fn restrict(group: &OwnedFd, devices: &[Device]) -> bool {
    let own = if devices.is_empty() { None } else { load(devices).ok() };
    let shared = if devices.is_empty() { filter() } else { None };
    let Some(filter) = own.as_ref().or(shared) else { return false };
    let attach = Attach {
        group: group.as_raw_fd() as u32,
        program: filter.as_raw_fd() as u32,
        kind: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI,
    };
    bpf(BPF_PROG_ATTACH, &attach).is_ok()
}

fn load(devices: &[Device]) -> io::Result<OwnedFd> {
    let program = program(devices);
    let license = c"Apache-2.0";
    let load = Load {
        kind: BPF_PROG_TYPE_CGROUP_DEVICE,
        count: program.len() as u32,
        instructions: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        ..Load::default()
    };
    let fd = bpf(BPF_PROG_LOAD, &load)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The part of `union bpf_attr` for loading.
#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// The part of `union bpf_attr` for attaching.
#[repr(C)]
struct Attach {
    group: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

fn bpf<T>(command: u32, attributes: &T) -> io::Result<i32> {
    // SAFETY: the attributes are plain words of the stated size; pointers in them live until the call returns.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of_val(attributes)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

/// One instruction.
#[repr(C)]
#[derive(Clone, Copy)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    value: i32,
}

const fn op(code: u8, to: u8, from: u8, offset: i16, value: i32) -> Instruction {
    Instruction { code, registers: from << 4 | to, offset, value }
}

/// r2 = kind, r3 = access, r4 = major, r5 = minor of what is asked for; the answer is r0: 1 is yes.
fn program(devices: &[Device]) -> Vec<Instruction> {
    const LOAD_WORD: u8 = 0x61;
    const MOVE: u8 = 0xbf;
    const MOVE_VALUE: u8 = 0xb7;
    const SHIFT_RIGHT: u8 = 0x77;
    const AND: u8 = 0x57;
    const JUMP_IF_EQUAL: u8 = 0x15;
    const JUMP_UNLESS_EQUAL: u8 = 0x55;
    const EXIT: u8 = 0x95;
    let answer = |value| [op(MOVE_VALUE, 0, 0, 0, value), op(EXIT, 0, 0, 0, 0)];

    let mut code = vec![
        op(LOAD_WORD, 2, 1, 0, 0),
        op(LOAD_WORD, 4, 1, 4, 0),
        op(LOAD_WORD, 5, 1, 8, 0),
        op(MOVE, 3, 2, 0, 0),
        op(SHIFT_RIGHT, 3, 0, 0, 16),
        op(AND, 2, 0, 0, 0xffff),
    ];
    code.push(op(JUMP_UNLESS_EQUAL, 3, 0, 2, MKNOD));
    code.extend(answer(1));
    for Device { kind, major, minor, access, .. } in devices {
        let kind = match kind {
            DeviceKind::Character => CHARACTER,
            DeviceKind::Block => BLOCK,
            // Not asked about.
            DeviceKind::Pipe => continue,
        };
        let beyond = !(if access.read { READ } else { 0 } | if access.write { WRITE } else { 0 });
        // To the next device when it is another one, or when more is wanted than this one may.
        code.push(op(JUMP_UNLESS_EQUAL, 2, 0, 7, kind));
        code.push(op(JUMP_UNLESS_EQUAL, 4, 0, 6, major.cast_signed()));
        code.push(op(JUMP_UNLESS_EQUAL, 5, 0, 5, minor.cast_signed()));
        code.push(op(MOVE, 1, 3, 0, 0));
        code.push(op(AND, 1, 0, 0, beyond));
        code.push(op(JUMP_UNLESS_EQUAL, 1, 0, 2, 0));
        code.extend(answer(1));
    }
    code.push(op(JUMP_IF_EQUAL, 2, 0, 2, CHARACTER));
    code.extend(answer(0));
    for (major, minor) in OPENABLE {
        match minor {
            Some(minor) => {
                code.push(op(JUMP_UNLESS_EQUAL, 4, 0, 3, *major));
                code.push(op(JUMP_UNLESS_EQUAL, 5, 0, 2, *minor));
            }
            None => code.push(op(JUMP_UNLESS_EQUAL, 4, 0, 2, *major)),
        }
        code.extend(answer(1));
    }
    code.extend(answer(0));
    code
}
