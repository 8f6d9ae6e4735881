//! `RUN`: a process on the stage, with its mounts, documents, network and privileges.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use ast::word::{self, Mode, Word};
use ast::{Command as Process, OptKind};
use llb::{CdiDevice, Edge, ExecMeta, NetMode, ProxyEnv, SecurityMode};
use oci::json::lossy;

use super::command::{listed, with_shell};
use super::files::inside;
use super::mounts::{Mounts, TypedMount};
use crate::plan::build::{self, ExecMount, ExecMountKind, Said};
use crate::plan::environment::{Environment, Scope};
use crate::plan::go;
use crate::plan::history::Layer;
use crate::plan::image::DEFAULT_PATH;
use crate::plan::naming::document_summary;
use crate::plan::planner::{Overlay, Planner};
use crate::plan::stages::{Command, StageId};
use crate::plan::state::State;
use crate::plan::stop::{Done, Stop};

/// Where scripts in documents are mounted.
const SCRIPTS: &str = "/dev/pipes/";

/// Room for the keyword, the blanks between arguments and what history signs its entries with.
const SIGNED: usize = 32;

/// What a process runs.
struct Script {
    /// Its arguments.
    args: Vec<String>,
    /// The mount its program is in.
    mount: Option<ExecMount>,
    /// What its name says of a document.
    summary: String,
    /// Whether a text was not UTF-8.
    lossy: bool,
}

/// What a process may do.
struct Rights {
    network: NetMode,
    security: SecurityMode,
    devices: Vec<CdiDevice>,
}

/// What a process sees beside its mounts.
struct ProcessSettings<'s> {
    env: Cow<'s, Environment>,
    dir: String,
    user: String,
}

impl Planner<'_> {
    pub(in crate::plan) fn run(
        &mut self,
        id: StageId,
        state: &mut State,
        command: &Command<'_>,
        process: &Process,
    ) -> Done {
        let typed = self.typed_mounts(state, command)?;
        let own = self.process_settings(state, command)?;
        // A process may read anything.
        let paths = self.stages[id].paths;
        self.paths.mark_all(paths);
        let script = self.script(state, process)?;
        let mounts = self.mounts(id, state, command, &typed)?;
        let rights = self.rights(state, command)?;
        if !self.draws() {
            state.root = Some(build::UNDRAWN);
            return Ok(());
        }
        let said = self.run_said(id, state, command, &typed, &script.summary);
        let created_by = if self.records(state) { self.run_text(&script.args, state) } else { String::new() };
        let meta = self.process_meta(state, own, script.args, &mounts);
        self.grow(created_by.len() + meta.env.iter().map(String::len).sum::<usize>())?;
        let all = self.all_mounts(state.root, script.mount, mounts.mounts);
        let options = self.request.options;
        let process = build::Process {
            meta,
            network: rights.network,
            security: rights.security,
            devices: rights.devices,
            secret_env: mounts.secret_env,
            resources: self
                .settings
                .process
                .resources
                .clone()
                .filter(|_| options.supports("exec.meta.linux.resources")),
            sets_path: options.supports(build::SETS_PATH),
            numbers_outputs: !options.supports("exec.mount.bind.readwrite-nooutput"),
            lossy: script.lossy,
        };
        let platform = state.process_platform.clone().unwrap_or_else(|| self.target.platform.clone());
        let graph = &mut self.shared.graph;
        state.root = Some(build::exec(graph, all, mounts.secrets, mounts.sockets, process, Some(platform), said));
        self.commit(state, |_| created_by, Layer::Solved);
        Ok(())
    }

    /// Devices, network and privileges. What a daemon does not know of is left out.
    fn rights(&self, state: &State, command: &Command<'_>) -> Done<Rights> {
        let options = self.request.options;
        let mut devices = devices(command);
        if !devices.is_empty() && !options.labs {
            return Err(Stop::error("device feature is only supported in Dockerfile frontend 1.14.0-labs or later")
                .help("devices belong to the labs channel: --channel labs"));
        }
        devices.retain(|_| options.supports("exec.meta.cdi"));
        Ok(Rights { network: network(command)?.unwrap_or(state.network), security: security(command)?, devices })
    }

    /// The process, with what the options say of all of them. What a daemon does not know of is left out.
    fn process_meta(&self, state: &State, own: ProcessSettings<'_>, args: Vec<String>, mounts: &Mounts) -> ExecMeta {
        let settings = &self.settings.process;
        let options = self.request.options;
        let cgroup_parent = Some(&settings.cgroup_parent).filter(|_| options.supports("exec.meta.cgroup.parent"));
        ExecMeta {
            args,
            env: self.process_env(state, &own.env, mounts),
            cwd: own.dir,
            user: own.user,
            proxy_env: self.proxy(),
            extra_hosts: settings.hosts.clone(),
            hostname: state.hostname.clone(),
            ulimit: settings.ulimits.iter().filter(|_| options.supports("exec.meta.ulimit")).cloned().collect(),
            cgroup_parent: cgroup_parent.cloned().unwrap_or_default(),
            remove_mount_stubs_recursive: true,
            valid_exit_codes: Vec::new(),
        }
    }

    /// The root, the script, the mounts of the step, and shared memory of the size that the options ask for.
    fn all_mounts(&self, root: Option<Edge>, script: Option<ExecMount>, mounts: Vec<ExecMount>) -> Vec<ExecMount> {
        let size = self.settings.process.shm_size;
        let sized = size > 0 && self.request.options.supports("exec.mount.tmpfs.size");
        let root = ExecMount {
            target: "/".to_owned(),
            source: root,
            selector: String::new(),
            readonly: false,
            kind: ExecMountKind::Root,
        };
        let mut all = Vec::with_capacity(mounts.len() + 3);
        all.push(root);
        all.extend(script);
        all.extend(mounts);
        all.extend(sized.then(|| shared_memory(size)));
        all
    }

    /// The environment, directory and user of the stage, but for what the step says itself.
    fn process_settings<'s>(&mut self, state: &'s State, command: &Command<'_>) -> Done<ProcessSettings<'s>> {
        let scope = Self::scope(state, command);
        let (dir, user) = (state.dir.clone(), state.user.clone());
        let env = match self.request.module.dialect.exports_args {
            true => Cow::Borrowed(&state.env),
            false => Cow::Owned(without_args(state)),
        };
        let mut own = ProcessSettings { env, dir, user };
        for opt in &command.step.opts {
            match &opt.kind {
                OptKind::Env(pairs) => {
                    for pair in pairs {
                        let key = self.text(&pair.key, scope)?;
                        let value = self.value(&pair.value, scope)?.ok_or(Stop::Unknown)?;
                        own.env.to_mut().set(key.into(), Some(value));
                    }
                }
                OptKind::Dir(dir) => own.dir = inside(&state.dir, &self.text(dir, scope)?, &state.platform.os)?,
                OptKind::User(user) => own.user = self.text(user, scope)?,
                _ => {}
            }
        }
        Ok(own)
    }

    /// The variables of the process: those of the stage, the agent's socket, and where programs are if the daemon does not
    /// know by itself.
    fn process_env(&self, state: &State, own: &Environment, mounts: &Mounts) -> Arc<[String]> {
        let sets_path = self.request.options.supports(build::SETS_PATH);
        let agent = mounts.sockets.first().filter(|_| own.value("SSH_AUTH_SOCK").is_none());
        let os = state.process_platform.as_ref().map_or(&self.target.platform.os, |platform| &platform.os);
        let path = !sets_path && os != "windows" && state.env.value("PATH").is_none();
        let entries = own.entries();
        if agent.is_none() && !path {
            return entries;
        }
        let agent = agent.map(|(socket, _)| format!("SSH_AUTH_SOCK={socket}"));
        let path = path.then(|| format!("PATH={DEFAULT_PATH}"));
        entries.iter().cloned().chain(agent).chain(path).collect()
    }

    fn run_said(
        &mut self,
        id: StageId,
        state: &State,
        command: &Command<'_>,
        typed: &[TypedMount],
        summary: &str,
    ) -> Said {
        let secrets = masked(typed);
        let overlay = Overlay { over: &secrets, base: &state.env };
        let env: &dyn Scope = if secrets.len() == 0 { &state.env } else { &overlay };
        let written = &command.step.text[..];
        let text =
            if summary.is_empty() { Cow::Borrowed(written) } else { [written, summary.as_bytes()].concat().into() };
        let shown = self.shown_command(&text, env);
        let number = self.next_step(id);
        let platform = state.process_platform.as_deref();
        let name = self.step_name(number, command.trigger, &shown, platform, Some(&state.env));
        let key = self.request.module.dialect.description_key;
        let mut said =
            Said::named(name).describe(key, lossy(&command.step.text)).at(self.location(Some(command.span())));
        said.meta.ignore_cache = self.stages[id].ignore_cache;
        said
    }

    /// The process as history shows it: arguments of the build first.
    fn run_text(&self, args: &[String], state: &State) -> String {
        let mut text = String::with_capacity(args.iter().map(String::len).sum::<usize>() + SIGNED);
        text.push_str("RUN ");
        if state.args.len() > 0 && self.request.module.dialect.exports_args {
            let _ = write!(text, "|{} ", state.args.len());
            for (key, value) in state.args.iter() {
                let value = state.env.value(key).or(value.as_ref()).map_or("", |value| &**value);
                text.extend([key, "=", value, " "]);
            }
        }
        for (at, arg) in args.iter().enumerate() {
            text.extend([if at == 0 { "" } else { " " }, arg]);
        }
        text
    }

    fn script(&mut self, state: &State, process: &Process) -> Done<Script> {
        let args: Vec<String> = process.args.iter().map(|arg| lossy(arg)).collect();
        // What is not UTF-8 has become another text.
        let lossy_text = args.iter().zip(&process.args).any(|(text, arg)| *text.as_bytes() != **arg);
        let mut script = Script { args, mount: None, summary: String::new(), lossy: lossy_text };
        if let Some(first) = process.documents.first() {
            let ([line], true) = (&process.args[..], process.shell) else {
                return Err(Stop::error(format!("parsing produced an invalid run command: {}", listed(&script.args))));
            };
            if is_opener(line) {
                let body = first.chomped();
                script.summary = format!(" ({})", document_summary(&lossy(&first.content)));
                script.lossy = std::str::from_utf8(&body).is_err();
                if state.image.platform.os != "windows" && body.starts_with(b"#!") {
                    // The document says itself what runs it.
                    let source = self.inline_document(&first.name, 0o755, body.into_owned());
                    script.mount = Some(script_mount(source));
                    script.args = vec![go::join(SCRIPTS, &first.name)];
                } else {
                    script.args = vec![lossy(&body)];
                }
            } else {
                // Line and documents are put together again; the shell knows what to do with them.
                let mut text = line.to_vec();
                for document in &process.documents {
                    text.push(b'\n');
                    text.extend_from_slice(&document.content);
                    text.extend_from_slice(document.name.as_bytes());
                }
                script.lossy = std::str::from_utf8(&text).is_err();
                script.args = vec![lossy(&text)];
            }
        }
        if process.shell {
            let line = if let [line] = &mut script.args[..] { std::mem::take(line) } else { script.args.join(" ") };
            script.args = with_shell(state, line);
        }
        Ok(script)
    }

    /// Proxies among the build arguments, in any case; the last in byte order counts.
    fn proxy(&self) -> Option<ProxyEnv> {
        let mut proxy = None::<ProxyEnv>;
        for (key, value) in &self.build_args {
            let lower = key.to_ascii_lowercase();
            let field = |proxy: &mut ProxyEnv| match lower.as_str() {
                "http_proxy" => value.as_ref().clone_into(&mut proxy.http_proxy),
                "https_proxy" => value.as_ref().clone_into(&mut proxy.https_proxy),
                "ftp_proxy" => value.as_ref().clone_into(&mut proxy.ftp_proxy),
                "no_proxy" => value.as_ref().clone_into(&mut proxy.no_proxy),
                _ => value.as_ref().clone_into(&mut proxy.all_proxy),
            };
            if matches!(lower.as_str(), "http_proxy" | "https_proxy" | "ftp_proxy" | "no_proxy" | "all_proxy") {
                field(proxy.get_or_insert_default());
            }
        }
        proxy
    }
}

/// Whether a line is nothing but the opener of one document.
fn is_opener(line: &[u8]) -> bool {
    let digits = line.iter().position(|b| !b.is_ascii_digit()).unwrap_or(line.len());
    let Some(rest) = line[digits..].strip_prefix(b"<<") else { return false };
    let name = rest.strip_prefix(b"-").unwrap_or(rest).trim_ascii_start();
    if name.is_empty() || name.contains(&b'<') {
        return false;
    }
    let word = Word::parse(name, b'\\', Mode::Name);
    word.words_unset().is_some_and(|words| words.len() == 1)
}

fn script_mount(source: Edge) -> ExecMount {
    ExecMount {
        target: SCRIPTS.to_owned(),
        source: Some(source),
        selector: "/".to_owned(),
        readonly: true,
        kind: ExecMountKind::Bind,
    }
}

fn shared_memory(size: i64) -> ExecMount {
    ExecMount {
        target: "/dev/shm".to_owned(),
        source: None,
        selector: String::new(),
        readonly: false,
        kind: ExecMountKind::Tmpfs { size },
    }
}

/// Variables that secrets set, as names of steps show them.
fn masked(typed: &[TypedMount]) -> Environment {
    let mut env = Environment::default();
    for name in typed.iter().filter_map(TypedMount::secret_variable) {
        env.set(name.into(), Some("****".into()));
    }
    env
}

/// The environment without what is in it only because an argument has that name.
fn without_args(state: &State) -> Environment {
    let mut env = Environment::default();
    env.incomplete = state.env.incomplete;
    for (key, value) in state.env.iter() {
        if state.args.get(key).is_none() || state.image_env.get(key).is_some() {
            env.set(key.clone(), value.clone());
        }
    }
    env
}

fn network(command: &Command<'_>) -> Done<Option<NetMode>> {
    let mode =
        command.step.opts.iter().find_map(|opt| if let OptKind::Network(mode) = &opt.kind { Some(mode) } else { None });
    match mode.map(|mode| word::decode(mode.raw())).as_deref() {
        None | Some("default") => Ok(None),
        Some("none") => Ok(Some(NetMode::None)),
        Some("host") => Ok(Some(NetMode::Host)),
        Some(other) => Err(Stop::error(format!("unsupported network mode {}", ast::quote(other.as_bytes())))),
    }
}

fn security(command: &Command<'_>) -> Done<SecurityMode> {
    let mode = command
        .step
        .opts
        .iter()
        .find_map(|opt| if let OptKind::Security(mode) = &opt.kind { Some(mode) } else { None });
    match mode.map(|mode| word::decode(mode.raw())).as_deref() {
        None | Some("sandbox") => Ok(SecurityMode::Sandbox),
        Some("insecure") => Ok(SecurityMode::Insecure),
        Some(other) => Err(Stop::error(format!("unsupported security mode {}", ast::quote(other.as_bytes())))),
    }
}

fn devices(command: &Command<'_>) -> Vec<CdiDevice> {
    let device = |opt: &ast::Opt| match &opt.kind {
        OptKind::Device { name, required } => Some(CdiDevice { name: name.clone(), optional: !required }),
        _ => None,
    };
    command.step.opts.iter().filter_map(device).collect()
}

#[cfg(test)]
mod tests {
    use super::is_opener;

    #[test]
    fn openers() {
        for line in ["<<EOF", "3<<-EOF", "<<'E F'", "<< EOF"] {
            assert!(is_opener(line.as_bytes()), "{line}");
        }
        for line in ["<<EOF cat", "cat <<EOF", "<<", "<<A <<B", "<<<x", ""] {
            assert!(!is_opener(line.as_bytes()), "{line}");
        }
    }
}
