//! # What it does
//! Finds package managers that leave lists, downloads and caches in the layer.
//!
//! # Why is this bad
//! Nobody reads them again, but every pull of the image carries them. Removing them in a later instruction does not
//! help: the layer before still holds them.
//!
//! A cache mount on the directory is as good: what is written there is in no layer.
//!
//! # Example
//! ```dockerfile
//! RUN apt-get update && apt-get install -y curl
//! RUN pip install flask
//! ```
//!
//! # Use instead
//! ```dockerfile
//! RUN apt-get update && apt-get install -y curl && rm -rf /var/lib/apt/lists/*
//! RUN --mount=type=cache,target=/root/.cache/pip pip install flask
//! ```

use ast::{Policy, Severity};

use crate::lint::packages::{self, Install};
use crate::lint::{Check, Hit, Rule, Run, insert};

pub(super) static RULE: Rule = Rule {
    name: "PackageCacheLeft",
    description: "Lists and downloads of package managers should not stay in the layer",
    url: "",
    policy: Policy::OnRequest,
    severity: Severity::Info,
    aliases: &["DL3009", "DL3019", "DL3032", "DL3036", "DL3040", "DL3042"],
    by_comment: true,
    source: include_str!("package_cache_left.rs"),
    check: Check::Run(check),
};

fn check(run: &Run<'_>) -> Vec<Hit> {
    let mut hits: Vec<Hit> = apt_lists(run).into_iter().collect();
    let installs = run.commands.iter().filter_map(|command| Some((command, packages::install(command)?)));
    hits.extend(installs.filter_map(|(command, install)| {
        let sets = |name: &str| run.variables.contains(name) || command.assignments.iter().any(|set| set == name);
        match install.manager.programs[0] {
            "apk" => flagged(run, &install, &["--no-cache"], &["/var/cache/apk", "/etc/apk/cache"]),
            "pip" if !sets("PIP_NO_CACHE_DIR") => {
                let directories = ["/root/.cache/pip", "~/.cache", "/tmp/.cache/pip"];
                flagged(run, &install, &["--no-cache-dir"], &directories)
            }
            "yum" | "dnf" => {
                cleaned(run, &install, "clean", &["/var/cache/yum", "/var/cache/dnf", "/var/cache/libdnf5"])
            }
            "zypper" => cleaned(run, &install, "clean", &["/var/cache/zypp"]),
            _ => None,
        }
    }));
    hits
}

fn apt_lists(run: &Run<'_>) -> Option<Hit> {
    let updates = |command: &&crate::lint::shell::Simple| {
        let (program, words) = command.program();
        matches!(program, "apt-get" | "apt") && words.iter().any(|word| word.text == "update")
    };
    let update = run.commands.iter().find(updates)?;
    let lists = "/var/lib/apt/lists";
    let gone = run.mounts(lists) || run.removes("/var/lib/apt") || run.calls("apt-get", "dist-clean");
    let message = format!("package lists stay in the layer: remove {lists}/* in the same RUN, or mount a cache there");
    (!gone).then(|| run.hit(update.span(), message))
}

/// One that a flag keeps from leaving anything.
fn flagged(run: &Run<'_>, install: &Install<'_>, flags: &[&str], directories: &[&str]) -> Option<Hit> {
    if install.has_flag(flags) || directories.iter().any(|directory| run.mounts(directory) || run.removes(directory)) {
        return None;
    }
    let flag = flags[0];
    let message = format!("{} leaves its cache in the layer: give it {flag}, or mount a cache", install.program);
    let mut fix = insert(&format!("add {flag}"), install.verb.span, format!(" {flag}"));
    // Not safe: a later step may have counted on the cache.
    fix.safe = false;
    Some(run.hit(install.verb.span, message).fixed(fix))
}

/// One that has a command to clean up.
fn cleaned(run: &Run<'_>, install: &Install<'_>, clean: &str, directories: &[&str]) -> Option<Hit> {
    let gone = run.calls(install.program, clean)
        || directories.iter().any(|directory| run.mounts(directory) || run.removes(directory));
    let program = install.program;
    let all = if install.is("zypper") { "--all" } else { "all" };
    let message =
        format!("{program} leaves its cache in the layer: end with {program} {clean} {all}, or mount a cache");
    (!gone).then(|| run.hit(install.verb.span, message))
}

#[cfg(test)]
mod tests {
    use crate::testing::lint_with;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        lint_with(&["PackageCacheLeft"], &format!("FROM alpine\n{text}\n"), expected);
    }

    #[test]
    fn what_stays() {
        check(
            "RUN apt-get update && apt-get install -y curl",
            &[
                "PackageCacheLeft 2 @apt-get update: package lists stay in the layer: remove /var/lib/apt/lists/* in the \
               same RUN, or mount a cache there",
            ],
        );
        check(
            "RUN apk add curl",
            &["PackageCacheLeft 2 @add: apk leaves its cache in the layer: give it --no-cache, or mount a cache"],
        );
        check(
            "RUN dnf install -y a",
            &[
                "PackageCacheLeft 2 @install: dnf leaves its cache in the layer: end with dnf clean all, or mount a cache",
            ],
        );
    }

    #[test]
    fn what_does_not() {
        check("RUN apt-get update && rm -rf /var/lib/apt/lists/*", &[]);
        check("RUN --mount=type=cache,target=/var/lib/apt apt-get update", &[]);
        check("RUN --mount=type=cache,dst=/root/.cache pip3 install a", &[]);
        check("ENV PIP_NO_CACHE_DIR=1\nRUN pip install a", &[]);
        check("RUN apk add --no-cache a && yum install -y b && yum clean all", &[]);
    }
}
