//! `llbc check --fix`: safe fixes written into the file, until nothing is left to mend.

use std::path::Path;

use ast::{Fix, Severity};

use super::Report;
use crate::failure::{Failure, Result};
use crate::files;

/// Rounds after which it is our mistake that something is still left: a fix may uncover one more finding, no long chains.
const MOST_ROUNDS: usize = 10;

/// Checks and mends a file until no safe fix is left; what remains is reported.
///
/// A file with errors is left alone: its findings are not all of them.
pub(super) fn until_stable(path: &Path, mut check: impl FnMut() -> Result<Report>) -> Result<Report> {
    for _ in 0..MOST_ROUNDS {
        let report = check()?;
        let failed = report.diagnostics.iter().any(|found| found.severity == Severity::Error && found.at.is_some());
        let text = &report.sources.get(ast::FileId(0)).bytes;
        let fixes = report.diagnostics.iter().filter_map(|found| found.fix.as_ref());
        let mended = ast::apply_fixes(text, fixes.filter(|fix: &&Fix| fix.safe));
        if failed || mended[..] == text[..] {
            return Ok(report);
        }
        files::replace(path, &mended)?;
    }
    let message = format!("{} is still not mended after {MOST_ROUNDS} rounds", path.display());
    Err(Failure::message("fix", message, "two fixes undo each other: please report the file"))
}
