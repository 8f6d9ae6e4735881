//! # What it does
//! Finds `ADD` of local files that `COPY` copies as well.
//!
//! # Why is this bad
//! `ADD` unpacks what happens to be an archive, and fetches what happens to be an address. A reader has to find out
//! which of it is meant.
//!
//! # Example
//! ```dockerfile
//! ADD src /app/src
//! ```
//!
//! # Use instead
//! ```dockerfile
//! COPY src /app/src
//! ```

use ast::{Op, OptKind, Policy, Severity, Str, case};

use crate::lint::{Check, Hit, Instruction, Rule, replace};

pub(super) static RULE: Rule = Rule {
    name: "AddForFiles",
    description: "COPY should be used for files that are neither archives nor remote",
    url: "",
    policy: Policy::OnRequest,
    severity: Severity::Warning,
    aliases: &["DL3020"],
    by_comment: true,
    source: include_str!("add_for_files.rs"),
    check: Check::Instruction(check),
};

/// Ends of names of what `ADD` unpacks.
const ARCHIVES: [&str; 11] = [".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".tzst", ".gz", ".bz2", ".xz", ".zst", ".lzma"];

fn check(instruction: &Instruction<'_>) -> Option<Hit> {
    let step = instruction.step;
    let Op::Add(copy) = &step.op else { return None };
    let only_add = |kind: &OptKind| matches!(kind, OptKind::KeepGitDir(_) | OptKind::Checksum(_) | OptKind::Unpack(_));
    if step.opts.iter().any(|opt| only_add(&opt.kind)) || copy.sources.iter().any(may_be_more) {
        return None;
    }
    let message = "COPY does the same, and never unpacks".to_owned();
    let keyword = step.keyword_text();
    let copy = if case::is_lower(&keyword) { "copy" } else { "COPY" };
    let mut fix = replace("use COPY", step.keyword, copy.to_owned());
    // Not safe: a file may be an archive whatever its name.
    fix.safe = false;
    Some(instruction.hit(step.keyword, message).fixed(fix))
}

/// Whether a source may be an archive or remote.
fn may_be_more(source: &Str) -> bool {
    let name = source.raw().lossy().to_lowercase();
    name.contains(['$', '*', '?', '['])
        || name.contains("://")
        || name.starts_with("git@")
        || ARCHIVES.iter().any(|end| name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use crate::testing::lint_with;

    #[test]
    fn plain_files() {
        let check = |text: &str, expected: &[&str]| lint_with(&["AddForFiles"], &format!("FROM a\n{text}\n"), expected);
        check("ADD a b /c/", &["AddForFiles 2 @ADD: COPY does the same, and never unpacks"]);
        check("ADD https://x/y /\nADD a.tar.gz /\nADD $A /\nADD git@x:y /\nADD --unpack=false b /\nADD lib* /", &[]);
    }
}
