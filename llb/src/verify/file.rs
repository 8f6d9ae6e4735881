//! Checks of file operations.

use super::{Flaw, Report, is_input};
use crate::{FileAction, FileActionKind, Owner, UserOpt};

pub(super) fn check(actions: &[FileAction], inputs: usize, report: Report<'_>) {
    if actions.is_empty() {
        return report(Flaw::Missing("action of a file operation"));
    }
    for (index, action) in actions.iter().enumerate() {
        for (of, position) in
            [("base of a file action", action.input), ("source of a file action", action.secondary_input)]
        {
            match usize::try_from(position) {
                _ if position == -1 => {}
                Ok(position) if position < inputs + index => {}
                Ok(position) if position < inputs + actions.len() => report(Flaw::ActionOrder { action: index }),
                _ => report(Flaw::Position { of, position }),
            }
        }
        if let Some(owner) = owner(&action.kind) {
            check_owner(owner, inputs, report);
        }
    }
    let outputs = || actions.iter().map(|action| action.output).filter(|&output| output != -1);
    if outputs().next().is_none() {
        return report(Flaw::Missing("output of a file operation"));
    }
    let mut numbers: Vec<i64> = outputs().collect();
    numbers.sort_unstable();
    if !numbers.iter().copied().eq(0..numbers.len() as i64) {
        report(Flaw::OutputNumbers);
    }
}

fn owner(kind: &FileActionKind) -> Option<&Owner> {
    match kind {
        FileActionKind::Copy(copy) => copy.owner.as_ref(),
        FileActionKind::Mkfile { owner, .. }
        | FileActionKind::Mkdir { owner, .. }
        | FileActionKind::Symlink { owner, .. } => owner.as_ref(),
        FileActionKind::Rm { .. } => None,
    }
}

/// A name is looked up in an input; without one the executor has no names, which it finds out when it runs.
fn check_owner(owner: &Owner, inputs: usize, report: Report<'_>) {
    for user in [&owner.user, &owner.group] {
        if let Some(UserOpt::Name { input: position, .. }) = user
            && *position != -1
            && !is_input(*position, inputs)
        {
            report(Flaw::Position { of: "owner", position: *position });
        }
    }
}
