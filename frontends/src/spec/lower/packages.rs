//! Packages: one process for each manager, with its downloads in caches and nothing else left over.

use ast::{Op, OptKind, Span};

use super::super::model::{Apt, Packages, Repository, Stage};
use super::super::read::Text;
use super::super::text::{literal, shell_word};
use super::Lowering;
use super::copy::How;
use super::stage::{field, mount, shell};

impl<'s> Lowering<'_, 's> {
    /// The packages of a stage, system packages first.
    pub(super) fn packages(&mut self, stage: &'s Stage) {
        if let Some(apt) = &stage.apt {
            self.apt(apt);
        }
        if let Some(apk) = &stage.apk {
            self.install(apk, "apk add --update-cache --cache-dir=/var/cache/apk", &[("apk", "/var/cache/apk")]);
        }
        if let Some(dnf) = &stage.dnf {
            let command = "dnf install --assumeyes --nodocs --setopt=install_weak_deps=False --setopt=keepcache=True";
            self.install(dnf, command, &[("dnf", "/var/cache/dnf")]);
        }
        if let Some(pip) = &stage.pip {
            let mut line = "pip install --root-user-action=ignore --disable-pip-version-check".to_owned();
            let mut opts = caches(&[("pip", "/root/.cache/pip")], pip.span);
            if let Some(requirements) = &pip.requirements {
                let mut fields = vec![
                    field("type", Some(literal("bind", requirements.span)), requirements.span),
                    field("target", Some(literal("/tmp/requirements.txt", requirements.span)), requirements.span),
                ];
                fields.extend(self.mount_source(requirements).into_iter().flatten());
                opts.push(OptKind::Mount(mount(fields)));
                line.push_str(" --requirement /tmp/requirements.txt");
            }
            line.push_str(&words(pip.install.as_deref()));
            self.run(line, opts, pip.span);
        }
        if let Some(npm) = &stage.npm {
            self.install(npm, "npm install --global --no-audit --no-fund", &[("npm", "/root/.npm")]);
        }
    }

    fn install(&mut self, packages: &'s Packages, command: &str, kept: &[(&str, &str)]) {
        let names = words(packages.install.as_deref());
        if names.is_empty() {
            return self.error("no packages are named", packages.span, "say install = [\"NAME\"]");
        }
        self.run(format!("{command}{names}"), caches(kept, packages.span), packages.span);
    }

    fn apt(&mut self, apt: &'s Apt) {
        for (at, repository) in apt.repo.iter().flatten().enumerate() {
            self.repository_of_packages(at, repository);
        }
        let names = words(apt.install.as_deref());
        if names.is_empty() {
            return self.error("no packages are named", apt.span, "say install = [\"NAME\"]");
        }
        let recommends = if apt.recommends.is_some_and(|said| said.value) { "" } else { " --no-install-recommends" };
        let (before, from) = apt.snapshot.as_ref().map_or_else(Default::default, |moment| self.apt_snapshot(moment));
        let line = format!(
            "{before}apt-get{from} update && DEBIAN_FRONTEND=noninteractive apt-get{from} install --yes{recommends}{names}"
        );
        // apt locks its directories, so one build after another uses them.
        let mut opts = caches(&[("apt-lists", "/var/lib/apt/lists"), ("apt-archives", "/var/cache/apt")], apt.span);
        let log = [("type", "tmpfs"), ("target", "/var/log")]
            .map(|(key, value)| field(key, Some(literal(value, apt.span)), apt.span));
        opts.push(OptKind::Mount(mount(log.into())));
        self.run(line, opts, apt.span);
    }

    /// What takes packages from the archives as they were at a moment: lists of sources for this process alone, in the
    /// directory of logs, which is not kept. Old lists have run out, which is what they are for.
    fn apt_snapshot(&mut self, moment: &Text) -> (String, String) {
        let is_moment = moment.value.len() == 16
            && moment.value.bytes().enumerate().all(|(at, b)| match at {
                8 => b == b'T',
                15 => b == b'Z',
                _ => b.is_ascii_digit(),
            });
        if !is_moment {
            self.error("not a moment", moment.span, "write it as 20260301T000000Z");
            return Default::default();
        }
        let (at, kept) = (&moment.value, "/var/log/sources");
        let debian = format!(
            r"https?://(deb|ftp|security|archive)\.debian\.org/(debian[a-z-]*)/?,http://snapshot.debian.org/archive/\2/{at}/"
        );
        let ubuntu = format!(
            r"https?://(archive|security|ports)\.ubuntu\.com/ubuntu(-ports)?/?,http://snapshot.ubuntu.com/ubuntu/{at}/"
        );
        let before = format!(
            "mkdir {kept} && for f in /etc/apt/sources.list /etc/apt/sources.list.d/*; do [ ! -f \"$f\" ] || \
             sed -E 's,{debian},g; s,{ubuntu},g' \"$f\" > \"{kept}/${{f##*/}}\"; done && "
        );
        let from = format!(
            " -o Dir::Etc::sourcelist={kept}/sources.list -o Dir::Etc::sourceparts={kept} -o Acquire::Check-Valid-Until=false"
        );
        (before, from)
    }

    /// A repository in the form of deb822, with its key beside it.
    fn repository_of_packages(&mut self, at: usize, repository: &'s Repository) {
        let (Some(uri), Some(suite)) = (&repository.uri, &repository.suite) else {
            return self.error("the repository has no uri or no suite", repository.span, "say both");
        };
        let name = format!("repository-{}", at + 1);
        let mut text = format!("Types: deb\nURIs: {}\nSuites: {}\n", uri.value, suite.value);
        let mut list = |key: &str, words: &[Text]| {
            if !words.is_empty() {
                let words: Vec<&str> = words.iter().map(|word| word.value.as_str()).collect();
                text += &format!("{key}: {}\n", words.join(" "));
            }
        };
        list("Components", repository.components.as_deref().unwrap_or_default());
        list("Architectures", repository.arch.as_deref().unwrap_or_default());
        if let Some(key) = &repository.key {
            let path = format!("/etc/apt/keyrings/{name}.asc");
            text += &format!("Signed-By: {path}\n");
            // Signatures are checked by a user of their own, and what is downloaded is its owner's alone.
            let how = How { usual_mode: Some("0644"), span: key.span, ..How::default() };
            self.copy(key, &literal(&path, key.span), &how);
        }
        let to = literal(&format!("/etc/apt/sources.list.d/{name}.sources"), repository.span);
        self.write(&name, &text, repository.span, &to, Vec::new(), repository.span);
    }

    /// A process that needs the network: it is what it is for.
    fn run(&mut self, line: String, mut opts: Vec<OptKind>, span: Span) {
        opts.push(OptKind::Network(literal("default", span)));
        self.push(Op::Run(shell(&line, span)), opts, span);
    }
}

/// Directories that are kept, each used by one build after another.
fn caches(kept: &[(&str, &str)], span: Span) -> Vec<OptKind> {
    let cache = |(id, path): &(&str, &str)| {
        let fields = [("type", "cache"), ("id", id), ("target", path), ("sharing", "locked")];
        let fields = fields.map(|(key, value)| field(key, Some(literal(value, span)), span));
        OptKind::Mount(mount(fields.into()))
    };
    kept.iter().map(cache).collect()
}

/// Names as words of a shell, each after a blank.
fn words(names: Option<&[Text]>) -> String {
    names.unwrap_or_default().iter().map(|name| format!(" {}", shell_word(&name.value))).collect()
}
