//! Keeps what a package manager downloads between builds: a cache mount for each directory it keeps things in.

use ast::{Op, OptKind, Span, visit};

use super::{Action, Place, insert, rewrite};
use crate::file::View;
use crate::shell::{self, Kind};

/// A package manager and its caches: target, and whether only one step may use it at a time.
struct Manager {
    programs: &'static [&'static str],
    caches: &'static [(&'static str, bool)],
}

const MANAGERS: &[Manager] = &[
    Manager { programs: &["apt-get", "apt"], caches: &[("/var/cache/apt", true), ("/var/lib/apt", true)] },
    Manager { programs: &["apk"], caches: &[("/var/cache/apk", true)] },
    Manager { programs: &["dnf", "microdnf"], caches: &[("/var/cache/dnf", true)] },
    Manager { programs: &["yum"], caches: &[("/var/cache/yum", true)] },
    Manager { programs: &["zypper"], caches: &[("/var/cache/zypp", true)] },
    Manager { programs: &["pacman"], caches: &[("/var/cache/pacman/pkg", true)] },
    Manager { programs: &["pip", "pip3"], caches: &[("/root/.cache/pip", false)] },
    Manager { programs: &["uv"], caches: &[("/root/.cache/uv", false)] },
    Manager { programs: &["poetry"], caches: &[("/root/.cache/pypoetry", false)] },
    Manager { programs: &["npm"], caches: &[("/root/.npm", false)] },
    Manager { programs: &["yarn"], caches: &[("/usr/local/share/.cache/yarn", false)] },
    Manager { programs: &["pnpm"], caches: &[("/root/.local/share/pnpm/store", false)] },
    Manager { programs: &["go"], caches: &[("/go/pkg/mod", false), ("/root/.cache/go-build", false)] },
    Manager { programs: &["cargo"], caches: &[("/usr/local/cargo/registry", false), ("/usr/local/cargo/git", false)] },
    Manager { programs: &["mvn"], caches: &[("/root/.m2", false)] },
    Manager { programs: &["gradle"], caches: &[("/root/.gradle", true)] },
    Manager { programs: &["composer"], caches: &[("/root/.composer/cache", false)] },
    Manager { programs: &["bundle", "gem"], caches: &[("/usr/local/bundle/cache", true)] },
    Manager { programs: &["dotnet", "nuget"], caches: &[("/root/.nuget/packages", false)] },
];

pub(super) fn action(view: &View<'_>, place: &Place<'_>) -> Option<Action> {
    let Op::Run(command) = &place.step.op else { return None };
    let scripts = visit::documents(place.step).iter().map(|document| document.span);
    let scripts = command.shell.then_some(command.span).into_iter().chain(scripts);
    let (name, caches) = manager(view, scripts)?;
    let known = targets(place.step);
    let missing = caches.iter().filter(|(target, _)| !known.iter().any(|known| known.trim_end_matches('/') == *target));
    let mounts: String = missing
        .map(|(target, locked)| {
            let sharing = if *locked { ",sharing=locked" } else { "" };
            format!(" --mount=type=cache,target={target}{sharing}")
        })
        .collect();
    let title = format!("Keep the cache of {name} between builds");
    (!mounts.is_empty()).then(|| rewrite(title, vec![insert(place.step.keyword.end, mounts)]))
}

/// The package manager that scripts call first in the table, and its caches: targets, and whether one step at a time may
/// use them.
pub(in super::super) fn manager(
    view: &View<'_>,
    scripts: impl IntoIterator<Item = Span>,
) -> Option<(&'static str, &'static [(&'static str, bool)])> {
    let programs: Vec<&str> = scripts
        .into_iter()
        .flat_map(|span| shell::tokens(view.file.text(), span))
        .filter(|token| token.kind == Kind::Command)
        .map(|token| view.file.slice(token.span).rsplit('/').next().unwrap_or_default())
        .collect();
    let manager = MANAGERS.iter().find(|manager| manager.programs.iter().any(|program| programs.contains(program)))?;
    Some((manager.programs[0], manager.caches))
}

/// Targets of the mounts there are.
fn targets(step: &ast::Step) -> Vec<String> {
    let mounts =
        step.opts.iter().filter_map(|opt| if let OptKind::Mount(mount) = &opt.kind { Some(mount) } else { None });
    let is_target = |key: &str| ["target", "dst", "destination"].iter().any(|known| key.eq_ignore_ascii_case(known));
    mounts
        .flat_map(|mount| &mount.fields)
        .filter(|field| is_target(&field.key))
        .filter_map(|field| field.value.as_ref().map(|value| value.raw().lossy().into_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::features::actions::tests::{check, check_none};

    #[test]
    fn the_manager_of_the_step() {
        check(
            "FROM a\nRUN ┃x && pip install y\n",
            "Keep the cache of pip",
            "FROM a\nRUN --mount=type=cache,target=/root/.cache/pip x && pip install y\n",
        );
        check(
            "FROM a\nRUN --mount=type=cache,target=/var/cache/apt <<┃E\napt-get update\nE\n",
            "Keep the cache of apt-get",
            "FROM a\nRUN --mount=type=cache,target=/var/lib/apt,sharing=locked --mount=type=cache,target=/var/cache/apt <<E\napt-get update\nE\n",
        );
    }

    #[test]
    fn none_where_there_is_nothing_to_keep() {
        check_none("FROM a\nRUN ┃echo pip\n", "Keep the cache");
        check_none("FROM a\nRUN --mount=type=cache,target=/root/.cache/pip ┃pip install y\n", "Keep the cache");
    }
}
