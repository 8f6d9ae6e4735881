//! Checks of exec operations.

use super::{Flaw, Report, check_position};
use crate::{Exec, Mount, MountKind, Node};

const ROOT: &str = "/";

/// Numbers of the outputs in the order of the mounts. A cache gives one only in definitions that other tools make; the
/// number on secret and agent mounts means nothing.
pub(super) fn outputs(exec: &Exec) -> impl Iterator<Item = i64> {
    let gives = |mount: &&Mount| {
        let kind =
            matches!(mount.kind, MountKind::Bind) || matches!(mount.kind, MountKind::Cache { .. }) && mount.input != -1;
        kind && mount.output != -1
    };
    exec.mounts.iter().filter(gives).map(|mount| mount.output)
}

pub(super) fn check(exec: &Exec, node: &Node, report: Report<'_>) {
    if exec.meta.args.is_empty() {
        report(Flaw::Missing("arguments of a process"));
    }
    if !exec.mounts.iter().any(|mount| mount.dest == ROOT) {
        report(Flaw::Missing("root of a process"));
    }
    if node.platform.is_none() {
        report(Flaw::NoPlatform);
    }
    exec.mounts.iter().for_each(|mount| check_mount(mount, node, report));
    if !outputs(exec).eq(0..outputs(exec).count() as i64) {
        report(Flaw::OutputNumbers);
    }
    if exec.secret_env.iter().any(|secret| secret.id.is_empty()) {
        report(Flaw::Missing("id of a secret"));
    }
}

fn check_mount(mount: &Mount, node: &Node, report: Report<'_>) {
    if mount.dest.is_empty() {
        report(Flaw::Missing("target of a mount"));
    }
    if mount.dest == ROOT && mount.kind != MountKind::Bind {
        report(Flaw::RootMount);
    }
    if mount.input != -1 {
        check_position("mount", mount.input, node, report);
    }
    match &mount.kind {
        MountKind::Bind if mount.input == -1 && mount.output == -1 && mount.dest == ROOT => report(Flaw::EmptyRoot),
        MountKind::Tmpfs { size: Some(size) } if *size < 0 => report(Flaw::Size(*size)),
        MountKind::Secret(secret) if secret.id.is_empty() => report(Flaw::Missing("id of a secret")),
        _ => {}
    }
}
