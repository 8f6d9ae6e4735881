//! The seccomp filter of containers: what moby's default profile allows a process with BuildKit's default capabilities.
//!
//! parity: moby/profiles as vendored by BuildKit v0.32, and what runc makes of it: a call that is not allowed fails with
//! EPERM; one newer than the profile with ENOSYS, so that C libraries fall back to older ones; `clone3`, whose arguments
//! a filter cannot see, with ENOSYS, too. A call of a foreign architecture kills the process.
//!
//! The filter is a tree of comparisons, one tree an architecture: about nine instructions a call, and the kernel
//! remembers the calls that are always allowed.

mod syscalls;

use std::collections::BTreeMap;

use libc::sock_filter;
use syscalls::Column;

/// The newest call the profile knows, on every architecture: `removexattrat`.
const NEWEST: u32 = 466;
/// Marks x32 calls on x86-64.
const X32_BIT: u32 = 0x4000_0000;
/// `CLONE_NEW*`: clone may make processes and threads, no namespaces.
const NEW_NAMESPACES: u32 = 0x7e02_0000;

/// Personalities a process may take: Linux, with 16-bit uname, with both, and asking for its own.
const PERSONALITIES: [u32; 5] = [0, 0x8, 0x20000, 0x20008, 0xffff_ffff];

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Allow,
    Fail(i32),
    /// Sockets of all families but AF_ALG and AF_VSOCK.
    Socket,
    /// Clone without new namespaces.
    Clone,
    /// Some personalities.
    Personality,
}

/// An architecture a process of this machine may call by.
struct Architecture {
    /// `AUDIT_ARCH_*`.
    audit: u32,
    column: Column,
    /// Numbers of socket, clone, personality.
    conditional: [u32; 3],
    /// Whether the calls of x32 come under the same audit number.
    has_x32: bool,
}

#[cfg(target_arch = "x86_64")]
const ARCHITECTURES: &[Architecture] = &[
    Architecture { audit: 0xc000_003e, column: Column::X86_64, conditional: [41, 56, 135], has_x32: true },
    Architecture { audit: 0x4000_0003, column: Column::X86, conditional: [359, 120, 136], has_x32: false },
];
#[cfg(target_arch = "x86_64")]
const OCI_ARCHITECTURES: &[&str] = &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"];
#[cfg(target_arch = "aarch64")]
const OCI_ARCHITECTURES: &[&str] = &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"];
#[cfg(target_arch = "aarch64")]
const ARCHITECTURES: &[Architecture] = &[
    Architecture { audit: 0xc000_00b7, column: Column::Aarch64, conditional: [198, 220, 92], has_x32: false },
    Architecture { audit: 0x4000_0028, column: Column::Arm, conditional: [281, 120, 136], has_x32: false },
];

/// The filter of a confined container.
pub(super) fn default_filter() -> Vec<sock_filter> {
    let mut code = vec![load(ARCHITECTURE)];
    for architecture in ARCHITECTURES {
        let calls = calls_of(architecture);
        code.extend(jump_unless_equal(architecture.audit, calls.len()));
        code.extend(calls);
    }
    code.push(ret(libc::SECCOMP_RET_KILL_PROCESS));
    code
}

/// The same in the words of the OCI's runtime-spec, for runtimes that make filters of their own.
pub(super) fn oci() -> serde_json::Value {
    let argument = |index: u32, op: &str, value: u32| serde_json::json!({ "index": index, "value": value, "op": op });
    let allow = |names: &[&str], args: Vec<serde_json::Value>| serde_json::json!({ "names": names, "action": "SCMP_ACT_ALLOW", "args": args });
    let mut calls = vec![allow(&syscalls::names(), Vec::new())];
    calls.push(allow(&["socket"], vec![argument(0, "SCMP_CMP_LT", libc::AF_ALG as u32)]));
    calls.push(allow(&["socket"], vec![argument(0, "SCMP_CMP_EQ", libc::AF_ALG as u32 + 1)]));
    calls.push(allow(&["socket"], vec![argument(0, "SCMP_CMP_GT", libc::AF_VSOCK as u32)]));
    calls.extend(PERSONALITIES.map(|value| allow(&["personality"], vec![argument(0, "SCMP_CMP_EQ", value)])));
    calls.push(allow(&["clone"], vec![argument(0, "SCMP_CMP_MASKED_EQ", NEW_NAMESPACES)]));
    calls.push(serde_json::json!({ "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": libc::ENOSYS }));
    serde_json::json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": libc::EPERM,
        "architectures": OCI_ARCHITECTURES,
        "syscalls": calls,
    })
}

fn calls_of(architecture: &Architecture) -> Vec<sock_filter> {
    let mut segments = segments(architecture.column, architecture.conditional, 0);
    if architecture.has_x32 {
        segments.extend(self::segments(Column::X32, architecture.conditional, X32_BIT));
    }
    let mut code = vec![load(NUMBER)];
    code.extend(tree(&segments));
    code
}

/// Where another action begins: number and action, ascending, the first at `base`.
fn segments(column: Column, [socket, clone, personality]: [u32; 3], base: u32) -> Vec<(u32, Action)> {
    const CLONE3: u32 = 435;
    let mut actions: BTreeMap<u32, Action> = syscalls::allowed(column).map(|number| (number, Action::Allow)).collect();
    actions.insert(socket, Action::Socket);
    actions.insert(clone, Action::Clone);
    actions.insert(personality, Action::Personality);
    actions.insert(CLONE3, Action::Fail(libc::ENOSYS));

    let mut segments: Vec<(u32, Action)> = Vec::new();
    let mut begin = |number: u32, action| {
        if segments.last().is_none_or(|(_, last)| *last != action) {
            segments.push((base + number, action));
        }
    };
    begin(0, actions.get(&0).copied().unwrap_or(Action::Fail(libc::EPERM)));
    let mut next = 0;
    for (number, action) in actions {
        // Calls of arm's own are far above all others.
        if number > next {
            let gap = if next > NEWEST { libc::ENOSYS } else { libc::EPERM };
            begin(next, Action::Fail(gap));
            if next <= NEWEST && number > NEWEST {
                begin(NEWEST + 1, Action::Fail(libc::ENOSYS));
            }
        }
        begin(number, action);
        next = number + 1;
    }
    begin(next, Action::Fail(if next > NEWEST { libc::ENOSYS } else { libc::EPERM }));
    if next <= NEWEST {
        begin(NEWEST + 1, Action::Fail(libc::ENOSYS));
    }
    segments
}

/// Comparisons that find the segment the accumulator is in.
fn tree(segments: &[(u32, Action)]) -> Vec<sock_filter> {
    if let [(_, action)] = segments {
        return leaf(*action);
    }
    let (below, above) = segments.split_at(segments.len() / 2);
    let (left, right) = (tree(below), tree(above));
    let mut code = jump_if_at_least(above[0].0, left.len());
    code.extend(left);
    code.extend(right);
    code
}

fn leaf(action: Action) -> Vec<sock_filter> {
    let (allow, refuse) = (ret(libc::SECCOMP_RET_ALLOW), fail(libc::EPERM));
    // The kernel looks at the low half of these arguments only, so the filter does the same.
    match action {
        Action::Allow => vec![allow],
        Action::Fail(errno) => vec![fail(errno)],
        Action::Socket => vec![
            load(ARGUMENT),
            jump(libc::BPF_JEQ, libc::AF_ALG as u32, 2, 0),
            jump(libc::BPF_JEQ, libc::AF_VSOCK as u32, 1, 0),
            allow,
            refuse,
        ],
        Action::Clone => vec![load(ARGUMENT), jump(libc::BPF_JSET, NEW_NAMESPACES, 1, 0), allow, refuse],
        Action::Personality => {
            let compared = PERSONALITIES.iter().zip((0..PERSONALITIES.len() as u8).rev());
            let compare = compared.map(|(value, left)| jump(libc::BPF_JEQ, *value, left + 1, 0));
            [load(ARGUMENT)].into_iter().chain(compare).chain([refuse, allow]).collect()
        }
    }
}

/// Offsets in `struct seccomp_data`: the call's number, the architecture, the low half of the first argument.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENT: u32 = 16;

fn load(offset: u32) -> sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
}

fn ret(action: u32) -> sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, action)
}

fn fail(errno: i32) -> sock_filter {
    ret(libc::SECCOMP_RET_ERRNO | errno as u32)
}

/// Jumps over `length` instructions when the accumulator is at least `value`.
fn jump_if_at_least(value: u32, length: usize) -> Vec<sock_filter> {
    match u8::try_from(length) {
        Ok(near) => vec![jump(libc::BPF_JGE, value, near, 0)],
        Err(_) => vec![jump(libc::BPF_JGE, value, 0, 1), statement(libc::BPF_JMP | libc::BPF_JA, length as u32)],
    }
}

/// Jumps over `length` instructions unless the accumulator is `value`.
fn jump_unless_equal(value: u32, length: usize) -> [sock_filter; 2] {
    [jump(libc::BPF_JEQ, value, 1, 0), statement(libc::BPF_JMP | libc::BPF_JA, length as u32)]
}

fn jump(comparison: u32, value: u32, if_true: u8, if_false: u8) -> sock_filter {
    let code = (libc::BPF_JMP | comparison | libc::BPF_K) as u16;
    sock_filter { code, jt: if_true, jf: if_false, k: value }
}

fn statement(code: u32, value: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k: value }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the filter as the kernel would.
    fn run(audit: u32, number: u32, argument: u32) -> u32 {
        let code = default_filter();
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = code[at];
            at += 1;
            let mut branch = |condition| at += usize::from(if condition { jt } else { jf });
            match u32::from(code) {
                0x20 => accumulator = [number, audit, 0, 0, argument][k as usize / 4],
                0x06 => return k,
                0x05 => at += k as usize,
                0x15 => branch(accumulator == k),
                0x35 => branch(accumulator >= k),
                0x45 => branch(accumulator & k != 0),
                other => panic!("no such instruction: {other:#x}"),
            }
        }
    }

    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const EPERM: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

    #[test]
    fn every_listed_call_is_allowed_and_no_other() {
        for architecture in ARCHITECTURES {
            let allowed: std::collections::HashSet<u32> = syscalls::allowed(architecture.column).collect();
            for number in (0..=NEWEST).filter(|n| !architecture.conditional.contains(n) && *n != 435) {
                let want = if allowed.contains(&number) { ALLOW } else { EPERM };
                assert_eq!(run(architecture.audit, number, 0), want, "{:#x} {number}", architecture.audit);
            }
            assert_eq!(run(architecture.audit, NEWEST + 1, 0), ENOSYS);
            assert_eq!(run(architecture.audit, 435, 0), ENOSYS);
        }
        assert_eq!(run(0xc000_0016, 1, 0), libc::SECCOMP_RET_KILL_PROCESS);
    }

    #[test]
    fn arguments_decide_about_sockets_processes_and_personalities() {
        for Architecture { audit, conditional: [socket, clone, personality], .. } in ARCHITECTURES {
            for (number, argument, want) in [
                (*socket, libc::AF_UNIX as u32, ALLOW),
                (*socket, libc::AF_ALG as u32, EPERM),
                (*socket, 39, ALLOW),
                (*socket, libc::AF_VSOCK as u32, EPERM),
                (*socket, 41, ALLOW),
                (*clone, libc::SIGCHLD as u32, ALLOW),
                (*clone, libc::CLONE_NEWUSER as u32, EPERM),
                (*clone, libc::CLONE_NEWNS as u32, EPERM),
                (*personality, 0xffff_ffff, ALLOW),
                (*personality, 0x20008, ALLOW),
                (*personality, 0x40000, EPERM),
            ] {
                assert_eq!(run(*audit, number, argument), want, "{audit:#x} {number} {argument:#x}");
            }
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn numbers_are_those_of_the_kernel() {
        let x86_64: std::collections::HashSet<u32> = syscalls::allowed(Column::X86_64).collect();
        let known = [libc::SYS_openat2, libc::SYS_execve, libc::SYS_chroot, libc::SYS_memfd_create, libc::SYS_statx];
        assert!(known.iter().all(|call| x86_64.contains(&(*call as u32))));
        let refused = [libc::SYS_mount, libc::SYS_bpf, libc::SYS_unshare, libc::SYS_keyctl, libc::SYS_io_uring_setup];
        assert!(refused.iter().all(|call| !x86_64.contains(&(*call as u32))));
        assert_eq!(run(0xc000_003e, X32_BIT | 520, 0), ALLOW, "execve of x32");
        assert_eq!(run(0xc000_003e, X32_BIT | 165, 0), EPERM, "mount of x32");
        assert_eq!(run(0xc000_003e, X32_BIT | 500, 0), ENOSYS);
    }
}
