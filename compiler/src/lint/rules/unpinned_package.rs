//! # What it does
//! Finds packages that are installed without a version.
//!
//! # Why is this bad
//! The same file installs other versions tomorrow, and a cached layer keeps those of today.
//!
//! Where a distribution drops old versions (Debian, Alpine), a pinned one cannot be installed some day: pin there what
//! must not change, or pin the base image and skip this rule.
//!
//! # Example
//! ```dockerfile
//! RUN pip install flask
//! ```
//!
//! # Use instead
//! ```dockerfile
//! RUN pip install flask==3.0.3
//! ```

use ast::{Policy, Severity};

use crate::lint::packages::{self, Install};
use crate::lint::{Check, Hit, Rule, Run};

pub(super) static RULE: Rule = Rule {
    name: "UnpinnedPackage",
    description: "Packages should be installed in versions that the file names",
    url: "",
    policy: Policy::OnRequest,
    severity: Severity::Info,
    aliases: &["DL3008", "DL3013", "DL3016", "DL3018", "DL3028", "DL3033", "DL3037", "DL3041"],
    by_comment: true,
    source: include_str!("unpinned_package.rs"),
    check: Check::Run(check),
};

/// Beginnings and ends of what is a file or an address, not the name of a package.
const FILES: [&str; 7] = [".", "/", "~", "http:", "https:", "git+", "file:"];
const ARCHIVES: [&str; 6] = [".deb", ".rpm", ".apk", ".whl", ".tgz", ".tar.gz"];

fn check(run: &Run<'_>) -> Vec<Hit> {
    let installs = run.commands.iter().filter_map(packages::install);
    installs.filter_map(|install| hit(run, &install)).collect()
}

fn hit(run: &Run<'_>, install: &Install<'_>) -> Option<Hit> {
    let manager = install.manager;
    if install.is("gem") && install.has_flag(&["-v", "--version"]) {
        return None;
    }
    let is_open = |name: &str| {
        // The scope of an npm package is no version.
        let rest = name.strip_prefix('@').unwrap_or(name);
        let pinned = manager.version.iter().any(|sign| rest.contains(sign));
        let other = FILES.iter().any(|start| name.starts_with(start)) || ARCHIVES.iter().any(|end| name.ends_with(end));
        !pinned && !other && !name.contains(['$', '`', '*']) && !name.is_empty()
    };
    let open: Vec<_> = install.packages().filter(|word| is_open(&word.text)).collect();
    let names: Vec<&str> = open.iter().map(|word| word.text.as_str()).collect();
    let first = open.first()?;
    let message =
        format!("{} installs without a version: {} (write {})", install.program, names.join(", "), manager.example);
    Some(run.hit(first.span, message))
}

#[cfg(test)]
mod tests {
    use crate::testing::lint_with;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        lint_with(&["UnpinnedPackage"], &format!("FROM alpine\nRUN {text}\n"), expected);
    }

    #[test]
    fn packages_without_a_version() {
        check(
            "apt-get install -y curl git=1 jq && true",
            &["UnpinnedPackage 2 @curl: apt-get installs without a version: curl, jq (write curl=7.88.1-10)"],
        );
        check(
            "npm install @scope/a b@1",
            &["UnpinnedPackage 2 @@scope/a: npm installs without a version: @scope/a (write typescript@5.5.4)"],
        );
    }

    #[test]
    fn versions_files_and_variables() {
        check("pip install flask==1 -r x.txt . ./a.whl git+https://x 'b>=1' $C", &[]);
        check("gem install rails -v 7 && yum install -y curl-7.1 && apk add a~1 && npm ci && npm install", &[]);
    }
}
