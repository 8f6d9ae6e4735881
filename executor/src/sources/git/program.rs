//! Running `git`, apart from the user's and the system's configuration.
//!
//! Secrets go through the environment, which only the same user can read, and not through arguments, which everybody can.
//! A repository must not make `git` ask questions, nor read files of this machine as submodules. What is cancelled is
//! killed with all it started.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::Wanted;
use super::guard::Guard;
use crate::sources::Context;
use crate::sources::process::{self, Patience};
use crate::store::TempPath;
use crate::{Error, Result};

/// Seconds without a byte after which a server is given up: one that packs says every few seconds that it does.
const SILENCE: &str = "120";

const PROXIES: [&str; 8] =
    ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy"];

/// How `git` is run for a remote.
pub(super) struct Git {
    environment: Vec<(OsString, OsString)>,
    /// What all of its requests go through, unless the user has a proxy.
    guard: Option<Guard>,
    /// The remote's address, which what `git` says may repeat, and what is shown instead.
    remote: (String, String),
    /// How long it may do nothing.
    silence: Duration,
    /// Lives as long as it is named in the environment.
    _known_hosts: Option<TempPath>,
}

impl Git {
    pub(super) fn new(wanted: &Wanted, context: Context<'_>) -> Result<Self> {
        let mut environment: Vec<(OsString, OsString)> = [
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            // An object is what its id says, whatever a repository would have in its place.
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_HTTP_LOW_SPEED_LIMIT", "1"),
            ("GIT_HTTP_LOW_SPEED_TIME", SILENCE),
            ("HOME", "/dev/null"),
            ("LC_ALL", "C"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
        let inherited = PROXIES.into_iter().chain(["PATH"]);
        environment.extend(inherited.filter_map(|name| Some((name.into(), std::env::var_os(name)?))));
        let is_proxy = |name: &&str| !name.eq_ignore_ascii_case("no_proxy") && std::env::var_os(name).is_some();
        let guard = match PROXIES.iter().any(is_proxy) {
            true => None,
            false => Some(Guard::start(wanted.domain()).map_err(Error::io("listen on", "the loopback interface"))?),
        };
        if let Some(guard) = &guard {
            environment.extend(["http_proxy", "https_proxy"].map(|name| (name.into(), guard.url().into())));
            environment.push(("no_proxy".into(), "".into()));
        }
        let header = authorization(wanted, context)?;
        let header = header.map(|header| (format!("http.{}.extraheader", token_scope(&wanted.remote)), header));
        let config: Vec<_> = header.into_iter().chain(login(wanted)).collect();
        environment.push(("GIT_CONFIG_COUNT".into(), config.len().to_string().into()));
        for (index, (key, value)) in config.into_iter().enumerate() {
            environment.push((format!("GIT_CONFIG_KEY_{index}").into(), key.into()));
            environment.push((format!("GIT_CONFIG_VALUE_{index}").into(), value.into()));
        }
        if !wanted.ssh.is_empty() {
            environment.push(("SSH_AUTH_SOCK".into(), agent(&wanted.ssh, context)?));
        }
        let known_hosts = known_hosts(wanted, context)?;
        environment.push(("GIT_SSH_COMMAND".into(), ssh_command(known_hosts.as_ref().map(TempPath::path))));
        let remote = (wanted.remote.clone(), wanted.redacted());
        let silence = SILENCE.parse().map(Duration::from_secs).expect("it is a number");
        Ok(Self { environment, guard, remote, silence, _known_hosts: known_hosts })
    }

    /// Runs it in a repository, or outside any; returns what it prints.
    pub(super) fn run(&self, place: &Place<'_>, arguments: &[&str], context: Context<'_>) -> Result<String> {
        let printed = self.print(place, arguments, context)?;
        Ok(String::from_utf8_lossy(&printed).into_owned())
    }

    /// Fetches and checks out submodules, of whatever servers the repository names.
    pub(super) fn update_modules(&self, place: &Place<'_>, options: &[&str], context: Context<'_>) -> Result<()> {
        let update = ["submodule", "--quiet", "update", "--init", "--recursive"];
        self.print_within(place, &[&update, options].concat(), Patience::Idle(self.silence), context).map(drop)
    }

    /// The same, where what it prints may be no text.
    pub(super) fn print(&self, place: &Place<'_>, arguments: &[&str], context: Context<'_>) -> Result<Vec<u8>> {
        // It has a limit of its own for other servers.
        let is_mute = self.remote.0.starts_with("git://");
        let patience = if is_mute { Patience::Idle(self.silence) } else { Patience::Endless };
        self.print_within(place, arguments, patience, context)
    }

    fn print_within(
        &self,
        place: &Place<'_>,
        arguments: &[&str],
        patience: Patience,
        context: Context<'_>,
    ) -> Result<Vec<u8>> {
        // A file that is made here is for everybody to read, whatever the mask of whoever builds.
        let mut command = Command::new("sh");
        command.args(["-c", "umask 022; exec git \"$@\"", "git", "-c", "protocol.file.allow=user"]);
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        place.apply(&mut command);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = process::output(command, patience, context, |error| missing(&error))?;
        let mut stderr = String::from_utf8_lossy(&output.stderr).replace(&self.remote.0, &self.remote.1);
        // Lines of ssh end so.
        stderr = stderr.replace("\r\n", "\n");
        // The shell's words, and its statuses for what is not there and what may not be run.
        if matches!(output.status.code(), Some(126 | 127)) {
            return Err(missing(&stderr.trim().rsplit(": ").next().unwrap_or_default()));
        }
        context.progress.log(2, stderr.as_bytes());
        if output.status.success() {
            return Ok(output.stdout);
        }
        if let Some(why) = self.guard.as_ref().and_then(Guard::failed) {
            stderr += &format!("{why}\n");
        }
        let status =
            output.status.code().map_or_else(|| output.status.to_string(), |code| format!("exit status {code}"));
        Err(Error::Remote {
            attempt: format!("git {}", arguments.first().unwrap_or(&"")),
            reason: format!("git stderr:\n{stderr}: {status}"),
        })
    }
}

fn missing(why: &dyn std::fmt::Display) -> Error {
    let why = format!("the program git cannot be run ({why}); install it");
    Error::Unsupported { what: "a git source".into(), why }
}

/// Does something for commits without their history, or with it where a server knows no depth, as those of plain files.
pub(super) fn shallow<T>(run: impl Fn(&[&str]) -> Result<T>) -> Result<T> {
    match run(&["--depth=1"]) {
        Err(Error::Remote { reason, .. }) if reason.contains("shallow") || reason.contains("--depth") => run(&[]),
        other => other,
    }
}

/// Where `git` works.
#[derive(Clone, Copy, Default)]
pub(super) struct Place<'a> {
    pub(super) git_dir: Option<&'a Path>,
    pub(super) work_tree: Option<&'a Path>,
    /// Where the list of checked out files is kept; unset is in the repository.
    pub(super) index: Option<&'a Path>,
}

impl Place<'_> {
    fn apply(&self, command: &mut Command) {
        let option = |name: &str, path: &Path| [OsStr::new(name).to_owned(), path.as_os_str().to_owned()];
        if let Some(path) = self.work_tree {
            command.args(option("--work-tree", path)).current_dir(path);
        }
        if let Some(path) = self.git_dir {
            command.args(option("--git-dir", path));
        }
        if let Some(path) = self.index {
            command.env("GIT_INDEX_FILE", path);
        }
    }
}

/// `Authorization: …` from the first secret that is there; those for the host come first.
fn authorization(wanted: &Wanted, context: Context<'_>) -> Result<Option<String>> {
    let host = wanted.host();
    let names = [(&wanted.header_secret, false), (&wanted.token_secret, true)];
    let for_host = names.map(|(name, token)| (format!("{name}.{host}"), token, name.is_empty()));
    let general = names.map(|(name, token)| (name.clone(), token, name.is_empty()));
    for (id, token, unset) in for_host.into_iter().chain(general) {
        if unset {
            continue;
        }
        if let Some(secret) = context.session.secret(&id)? {
            // Who writes a token into a file ends the line.
            let secret = secret.trim_ascii_end();
            let basic = || format!("basic {}", oci::base64::encode(&[b"x-access-token:", secret].concat()));
            let value = if token { basic() } else { String::from_utf8_lossy(secret).into_owned() };
            return Ok(Some(format!("Authorization: {value}")));
        }
    }
    Ok(None)
}

/// parity: a token for one repository of GitHub is tried for its submodules too.
fn token_scope(remote: &str) -> &str {
    let all = ["https://github.com/", "https://www.github.com/"];
    all.into_iter().find(|prefix| remote.starts_with(prefix)).unwrap_or(remote)
}

/// Puts the password back that an address is written down without: submodules beside a repository are named by it.
fn login(wanted: &Wanted) -> Option<(String, String)> {
    let (shown, remote) = (wanted.redacted(), &wanted.remote);
    if shown == *remote {
        return None;
    }
    // Up to the path.
    let server = |address: &str| address.split_inclusive('/').take(3).collect::<String>();
    Some((format!("url.{}.insteadOf", server(remote)), server(&shown)))
}

fn agent(id: &str, context: Context<'_>) -> Result<OsString> {
    match context.session.ssh.get(id) {
        Some(agent) => Ok(agent.socket().into()),
        None if context.session.ssh.is_empty() => {
            Err(Error::NotFound(format!("no SSH key {} forwarded from the client", oci::text::quote(id))))
        }
        None => Err(Error::NotFound(format!("unset ssh forward key {id}"))),
    }
}

fn known_hosts(wanted: &Wanted, context: Context<'_>) -> Result<Option<TempPath>> {
    if wanted.known_hosts.is_empty() {
        return Ok(None);
    }
    let (path, mut file) = context.store.temp().file("known-hosts")?;
    file.write_all(wanted.known_hosts.as_bytes()).map_err(Error::io("write", path.path()))?;
    Ok(Some(path))
}

fn ssh_command(known_hosts: Option<&Path>) -> OsString {
    // A server that does not answer within 30 s, or says nothing four times in a row, is given up.
    let mut command = OsString::from("ssh -F /dev/null -o ConnectTimeout=30 -o ServerAliveInterval=30 ");
    command.push("-o ServerAliveCountMax=4 ");
    match known_hosts {
        Some(path) => {
            command.push("-o UserKnownHostsFile=");
            command.push(quoted(path));
        }
        // Any host is taken, and none is learnt into the file of the user, where it would count for other programs; that
        // it was is nothing to warn of.
        None => command.push("-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"),
    }
    command
}

/// A path for `ssh`, which takes words apart and knows escapes of its own, behind a shell.
fn quoted(path: &Path) -> OsString {
    let mut quoted = b"'\"".to_vec();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'%' => quoted.extend(b"%%"),
            b'\'' => quoted.extend(b"'\\''"),
            b'"' | b'\\' => quoted.extend([b'\\', *byte]),
            _ => quoted.push(*byte),
        }
    }
    quoted.extend(b"\"'");
    std::os::unix::ffi::OsStringExt::from_vec(quoted)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::mpsc::RecvTimeoutError;

    use super::*;
    use crate::session::Secret;
    use crate::sources::tests;

    #[test]
    fn who_asks() {
        let mut place = tests::Place::new();
        let file = place.dir.path().join("secret");
        let wanted = Wanted {
            remote: "https://example.com:8443/a".into(),
            header_secret: "HEADER".into(),
            token_secret: "TOKEN".into(),
            ..Wanted::default()
        };
        let mut check = |ids: &[&str], secret: &str, expected: &str| {
            std::fs::write(&file, secret).unwrap();
            let secrets = ids.iter().map(|id| ((*id).to_owned(), Secret::File(file.clone())));
            place.session.secrets = secrets.collect();
            let found = place.with(|context| authorization(&wanted, context)).unwrap();
            assert_eq!(found.unwrap_or_default(), expected, "{ids:?}");
        };
        check(&[], "t", "");
        // "x-access-token:t"
        check(&["TOKEN"], "t", "Authorization: basic eC1hY2Nlc3MtdG9rZW46dA==");
        check(&["TOKEN"], "t\r\n", "Authorization: basic eC1hY2Nlc3MtdG9rZW46dA==");
        check(&["TOKEN", "HEADER"], "Bearer t\n", "Authorization: Bearer t");
        check(&["TOKEN.example.com:8443", "HEADER"], "t", "Authorization: basic eC1hY2Nlc3MtdG9rZW46dA==");
        check(&["TOKEN.example.com"], "t", "");
    }

    /// Which hosts `ssh` knows by a file in a directory with this name.
    #[test]
    fn known_hosts_wherever_the_store_is() {
        for name in ["plain", "my disk", "a%h", "it's", "a\"b", "a\\b", "a$HOME`b`"] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(name);
            let command = ssh_command(Some(&path)).into_string().unwrap();
            let output = Command::new("sh").args(["-c", &format!("{command} -G host")]).output().unwrap();
            let shown = String::from_utf8(output.stdout).unwrap();
            let line = shown.lines().find_map(|line| line.strip_prefix("userknownhostsfile ")).unwrap_or_default();
            assert_eq!(line.replace("%%", "%"), path.display().to_string(), "{command}");
        }
    }

    /// What is said of a machine with this program as its git.
    fn failure(program: Option<&str>) -> String {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/bin/sh", dir.path().join("sh")).unwrap();
        if let Some(text) = program {
            std::fs::write(dir.path().join("git"), text).unwrap();
            std::fs::set_permissions(dir.path().join("git"), PermissionsExt::from_mode(0o755)).unwrap();
        }
        let environment = vec![("PATH".into(), dir.path().into())];
        let git = Git {
            environment,
            guard: None,
            remote: ("x".into(), "x".into()),
            silence: Duration::MAX,
            _known_hosts: None,
        };
        let run = |context: Context<'_>| git.run(&Place::default(), &["version"], context);
        tests::Place::new().with(run).unwrap_err().to_string()
    }

    #[test]
    fn a_machine_without_git() {
        let error = failure(None);
        assert!(error.ends_with("the program git cannot be run (not found); install it"), "{error}");
    }

    #[test]
    fn a_server_that_says_nothing() {
        let said = silent("http");
        assert!(said.contains("Operation too slow"), "{said}");
        let said = silent("git");
        assert!(said.contains("nothing came from the other side for 1s"), "{said}");
    }

    #[test]
    fn a_server_of_a_submodule_that_says_nothing() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let url = format!("git://{}/x.git", listener.local_addr().unwrap());
        std::fs::write(dir.path().join(".gitmodules"), format!("[submodule \"m\"]\npath = m\nurl = {url}\n")).unwrap();
        let said = patience_of("http://127.0.0.1/outer.git", |git, context| {
            let git_dir = dir.path().join(".git");
            let place = Place { git_dir: Some(&git_dir), work_tree: Some(dir.path()), index: None };
            let module = format!("160000,{},m", "1".repeat(40));
            git.run(&place, &["init", "--quiet"], context)?;
            git.run(&place, &["update-index", "--add", "--cacheinfo", &module], context)?;
            git.update_modules(&place, &[], context)
        });
        assert!(said.contains("nothing came from the other side for 1s"), "{said}");
    }

    /// What is said of a server that takes a connection and says nothing.
    fn silent(scheme: &str) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let remote = format!("{scheme}://{}/x.git", listener.local_addr().unwrap());
        let ask =
            |git: &Git, context: Context<'_>| git.run(&Place::default(), &["ls-remote", &remote], context).map(drop);
        let error = patience_of(&remote, ask);
        assert!(error.contains(&remote) || scheme == "git", "{error}");
        error
    }

    /// What is said where servers have a second to say something.
    fn patience_of(remote: &str, ask: impl Fn(&Git, Context<'_>) -> Result<()>) -> String {
        let wanted = Wanted { remote: remote.to_owned(), ..Wanted::default() };
        tests::Place::new().with(|context| {
            let mut git = Git::new(&wanted, context).unwrap();
            let shorter = |(name, value): &mut (OsString, OsString)| {
                if value == SILENCE && name == "GIT_HTTP_LOW_SPEED_TIME" {
                    *value = "1".into();
                }
            };
            git.environment.iter_mut().for_each(shorter);
            git.silence = Duration::from_secs(1);
            let (ended, end) = std::sync::mpsc::channel::<()>();
            std::thread::scope(|scope| {
                // It would be waited for as long as it likes.
                scope.spawn(move || {
                    if end.recv_timeout(Duration::from_secs(30)) == Err(RecvTimeoutError::Timeout) {
                        context.cancel.cancel();
                    }
                });
                let asked = ask(&git, context);
                drop(ended);
                asked.unwrap_err().to_string()
            })
        })
    }

    #[test]
    fn lines_of_ssh() {
        let error = failure(Some("#!/bin/sh\nprintf 'denied\\r\\nfatal: no\\n' >&2; exit 128"));
        assert_eq!(error, "git version: git stderr:\ndenied\nfatal: no\n: exit status 128");
    }
}
