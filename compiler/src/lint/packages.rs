//! Package managers, as far as rules know them: how each is told to install something.

use super::shell::{Simple, Word};

/// A package manager.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Manager {
    /// Its programs; the first is the name of the family.
    pub(super) programs: &'static [&'static str],
    /// What makes it install the packages that are named.
    install: &'static [&'static str],
    /// Flags by which it does not ask; empty if it never does.
    yes: &'static [&'static str],
    /// Flags that take the next word.
    valued: &'static [&'static str],
    /// How a version is written behind a name: characters one of which must be there.
    pub(super) version: &'static [&'static str],
    /// An example of a name with its version.
    pub(super) example: &'static str,
}

const APT: Manager = Manager {
    programs: &["apt-get", "apt", "aptitude"],
    install: &["install"],
    yes: &["-y", "--yes", "--assume-yes", "-qq", "-q=2"],
    valued: &["-t", "--target-release", "--default-release", "-o", "--option", "-c", "--config-file"],
    version: &["=", "/"],
    example: "curl=7.88.1-10",
};

const MANAGERS: [Manager; 8] = [
    APT,
    Manager {
        programs: &["apk"],
        install: &["add"],
        yes: &[],
        valued: &["-t", "--virtual", "-X", "--repository", "-p", "--root", "--keys-dir", "--repositories-file"],
        version: &["=", "~", "<", ">", "@"],
        example: "curl=8.9.1-r1",
    },
    Manager {
        programs: &["yum"],
        install: &["install", "localinstall", "reinstall", "groupinstall"],
        yes: &["-y", "--assumeyes"],
        valued: &[
            "-c",
            "--config",
            "--installroot",
            "--releasever",
            "--enablerepo",
            "--disablerepo",
            "-x",
            "--exclude",
        ],
        version: &["-0", "-1", "-2", "-3", "-4", "-5", "-6", "-7", "-8", "-9"],
        example: "curl-7.76.1",
    },
    Manager {
        programs: &["dnf", "microdnf", "tdnf", "dnf5"],
        install: &["install", "localinstall", "reinstall", "groupinstall", "in"],
        yes: &["-y", "--assumeyes"],
        valued: &[
            "-c",
            "--config",
            "--installroot",
            "--releasever",
            "--enablerepo",
            "--disablerepo",
            "-x",
            "--exclude",
            "--setopt",
        ],
        version: &["-0", "-1", "-2", "-3", "-4", "-5", "-6", "-7", "-8", "-9"],
        example: "curl-7.76.1",
    },
    Manager {
        programs: &["zypper"],
        install: &["install", "in"],
        yes: &["-y", "--no-confirm", "-n", "--non-interactive"],
        valued: &["-r", "--repo", "--from", "-t", "--type"],
        version: &["=", "<", ">"],
        example: "curl=8.0.1",
    },
    Manager {
        programs: &["pip", "pip3"],
        install: &["install"],
        yes: &[],
        valued: &[
            "-r",
            "--requirement",
            "-c",
            "--constraint",
            "-e",
            "--editable",
            "-t",
            "--target",
            "-i",
            "--index-url",
            "--extra-index-url",
            "-f",
            "--find-links",
            "--trusted-host",
            "--prefix",
            "--root",
            "--src",
            "--timeout",
            "--retries",
            "--proxy",
            "--cert",
            "--cache-dir",
            "--upgrade-strategy",
            "--platform",
            "--python-version",
            "--implementation",
            "--abi",
            "--no-binary",
            "--only-binary",
            "--progress-bar",
            "--log",
            "--use-feature",
            "--config-settings",
            "--global-option",
            "--root-user-action",
            "--group",
        ],
        version: &["==", "~=", "@", "<", ">"],
        example: "flask==3.0.3",
    },
    Manager {
        programs: &["npm"],
        install: &["install", "i", "add"],
        yes: &[],
        valued: &["--prefix", "--registry", "-C", "--cache", "--loglevel", "-w", "--workspace", "--omit", "--include"],
        version: &["@"],
        example: "typescript@5.5.4",
    },
    Manager {
        programs: &["gem"],
        install: &["install", "i"],
        yes: &[],
        valued: &["-i", "--install-dir", "-n", "--bindir", "-s", "--source", "-P", "--trust-policy"],
        version: &[":"],
        example: "rails:7.1.3",
    },
];

/// A command that installs packages.
#[derive(Debug)]
pub(super) struct Install<'c> {
    pub(super) manager: &'static Manager,
    /// The program as named.
    pub(super) program: &'c str,
    /// The word that says so.
    pub(super) verb: &'c Word,
    /// All arguments.
    pub(super) words: &'c [Word],
}

/// What a command installs, if it does.
pub(super) fn install(command: &Simple) -> Option<Install<'_>> {
    let (program, words) = command.program();
    let (program, words) = module_of_python(program, words);
    let manager = MANAGERS.iter().find(|manager| manager.programs.contains(&program))?;
    let verb = verb(manager, words)?;
    manager.install.contains(&verb.text.as_str()).then_some(Install { manager, program, verb, words })
}

/// `python3 -m pip …` is `pip …`.
fn module_of_python<'c>(program: &'c str, words: &'c [Word]) -> (&'c str, &'c [Word]) {
    match words {
        [flag, module, rest @ ..] if program.starts_with("python") && flag.text == "-m" => (&module.text, rest),
        _ => (program, words),
    }
}

/// The first argument that is no flag.
fn verb<'c>(manager: &Manager, words: &'c [Word]) -> Option<&'c Word> {
    arguments(manager, words).next()
}

/// Arguments that are no flags, nor values of flags.
fn arguments<'c>(manager: &Manager, words: &'c [Word]) -> impl Iterator<Item = &'c Word> {
    let mut value = false;
    words.iter().filter(move |word| {
        let is_value = std::mem::take(&mut value);
        let is_flag = word.text.starts_with('-');
        value = is_flag && !is_value && manager.valued.contains(&word.text.as_str());
        !is_flag && !is_value
    })
}

impl Install<'_> {
    /// Names of packages, as given.
    pub(super) fn packages(&self) -> impl Iterator<Item = &Word> {
        arguments(self.manager, self.words).skip(1)
    }

    /// Whether one of these flags is given; single letters may stand together.
    pub(super) fn has_flag(&self, flags: &[&str]) -> bool {
        self.words.iter().any(|word| flags.iter().any(|flag| is_flag(&word.text, flag)))
    }

    /// Whether it may wait for an answer.
    pub(super) fn asks(&self) -> bool {
        !self.manager.yes.is_empty() && !self.has_flag(self.manager.yes)
    }

    /// Whether it is of this family.
    pub(super) fn is(&self, family: &str) -> bool {
        self.manager.programs[0] == family
    }
}

fn is_flag(word: &str, flag: &str) -> bool {
    let letter = flag.strip_prefix('-').filter(|rest| rest.len() == 1);
    let cluster = word.strip_prefix('-').filter(|rest| rest.bytes().all(|b| b.is_ascii_alphabetic()));
    let in_cluster = letter.zip(cluster).is_some_and(|(letter, cluster)| cluster.contains(letter));
    in_cluster
        || word == flag
        || word.strip_prefix(flag).is_some_and(|rest| rest.starts_with('=') && flag.starts_with("--"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::shell::{self, Byte};

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let bytes: Vec<Byte> = text.bytes().zip(0..).map(|(byte, at)| Byte { byte, at }).collect();
        let commands = shell::commands(&bytes, ast::FileId(0));
        let found = install(&commands[0]).map(|install| {
            let packages: Vec<&str> = install.packages().map(|word| word.text.as_str()).collect();
            format!("{} {}{}", install.program, packages.join(","), if install.asks() { " asks" } else { "" })
        });
        assert_eq!(found.unwrap_or_default(), expected, "{text}");
    }

    #[test]
    fn packages_without_flags_and_their_values() {
        check("apt-get install -t sid curl -o A=B git", "apt-get curl,git asks");
        check("apt-get -yq install curl", "apt-get curl");
        check("sudo apt install --assume-yes curl", "apt curl");
        check("apt-get update", "");
        check("apk add --virtual .build gcc", "apk gcc");
        check("python3 -m pip install -r a.txt flask", "pip flask");
        check("npm ci", "");
        check("zypper --non-interactive in curl", "zypper curl");
        check("yum install", "yum  asks");
    }
}
