//! `run`: a process, its settings and what is mounted into it.

use ast::builtin::Builtin;
use llb::{ExecMeta, HostIp, NetMode, Op, SecurityMode};

use super::super::build::{self, ExecMount, ExecMountKind, Process, Said};
use super::super::go;
use super::super::stop::{Done, Stop};
use super::call::Application;
use super::mounts::{Mounted, Mounting};
use super::value::{Applied, Fs, Value, add_needs, set_env};
use super::{Evaluator, shell_words, traced};
use crate::{Answer, Question};

/// The variable that makes a process another one, so that its result is in no cache.
pub(crate) const IGNORE_CACHE: &str = "HLB_IGNORE_CACHE";
/// The variable that tells programs where an agent listens.
const AGENT: &str = "SSH_AUTH_SOCK";
/// What a process with the host's network needs to be allowed.
const HOST_NETWORK: &str = "network.host";
/// What a process with all privileges needs to be allowed.
const INSECURE: &str = "security.insecure";

/// Where a cache is copied to.
const KEPT: &str = "/.llbc-kept";

const NETWORKS: [&str; 3] = ["host", "none", "unset"];
const SECURITIES: [&str; 2] = ["insecure", "sandbox"];
const SHARINGS: [&str; 3] = ["locked", "private", "shared"];

/// The arguments of a process: one alone is a command line.
pub(super) fn arguments(args: Vec<String>, split: bool) -> Done<Vec<String>> {
    let [line] = &args[..] else { return Ok(args) };
    if split {
        return shell_words::split(line).map_err(Stop::error);
    }
    Ok(["/bin/sh", "-c", line].map(str::to_owned).to_vec())
}

impl Evaluator<'_> {
    /// What is wrong with an option as soon as it is written.
    pub(super) fn check_option(&self, call: &Application<'_>) -> Done {
        let one_of = |at: usize, what: &str, known: &[&str]| {
            let mode = call.text(at)?;
            if known.contains(&mode.as_str()) {
                return Ok(());
            }
            let stop = Stop::error(format!("invalid {what} mode `{mode}`")).point(call.span(at));
            let meant = ast::suggest(&mode, known.iter().copied());
            Err(stop.help(match meant {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("modes are {}", known.join(", ")),
            }))
        };
        match call.row.builtin {
            Builtin::RunNetwork => one_of(0, "network", &NETWORKS),
            Builtin::RunSecurity => one_of(0, "security", &SECURITIES),
            Builtin::MountCache => one_of(1, "cache sharing", &SHARINGS),
            Builtin::RunHost => {
                let address = call.text(1)?;
                let wrong =
                    |_| Stop::error(format!("invalid ip {}", ast::quote(address.as_bytes()))).point(call.span(1));
                address.parse::<core::net::IpAddr>().map(drop).map_err(wrong)
            }
            Builtin::RunMount if call.has(Builtin::MountTmpfs) && call.fs(0)?.edge.is_some() => {
                let stop = Stop::error("tmpfs mounts must use scratch").point(call.span(0));
                Err(stop.help("memory starts empty: mount scratch, or leave out tmpfs"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn run(&mut self, call: &Application<'_>, value: Value) -> Done<Value> {
        let fs = value.fs()?;
        let args = arguments(call.texts(0)?, call.has(Builtin::RunShlex))?;
        if args.is_empty() {
            return Err(Stop::error("arguments are required"));
        }
        let mut launch = Launch::new(&fs);
        for option in &call.options {
            self.launch_option(call.module, &mut launch, option).map_err(|stop| traced(stop, &option.trace))?;
        }
        let kept = launch.mounted.bound_cache().cloned();
        if let Some(cache) = kept.as_ref().filter(|_| launch.readonly) {
            let at = cache.bound.unwrap_or_default();
            let stop = Stop::error("a cache mount cannot be bound where the root is read-only").point(at);
            let readonly = call.last(Builtin::RunReadonlyRootfs).and_then(|option| option.trace.spans().next());
            return Err(stop
                .label(readonly.unwrap_or(at), "read-only here")
                .help("what is in a cache is copied after the process, by another one on its root"));
        }
        launch.mounted.make_mount_points(&mut self.shared.graph);
        let mut fs = fs;
        let shown = args.join(" ");
        self.exec(&mut fs, launch, args, call);
        fs.commit(false, format!("RUN {shown}"));
        if let Some(cache) = kept {
            self.copy_of_cache(&mut fs, cache, call);
        }
        Ok(Value::Fs(fs))
    }

    /// What is in a cache after a process: another process copies it, since a cache is the result of nothing.
    fn copy_of_cache(&mut self, fs: &mut Fs, cache: Mounting, call: &Application<'_>) {
        let from = format!("{}/.", cache.target.trim_end_matches('/'));
        let args = ["cp", "-a", &from, KEPT].map(str::to_owned).to_vec();
        let target = Mounting::bound_scratch(KEPT, cache.bound, fs.platform.clone());
        let mut launch = Launch::new(fs);
        let image = cache.source.image.clone();
        launch.mounted.add(cache.unbound());
        launch.mounted.add(target);
        self.exec(fs, launch, args, call);
        fs.image = image;
    }

    fn launch_option(&mut self, module: usize, launch: &mut Launch, option: &Applied) -> Done {
        match option.builtin {
            Builtin::RunReadonlyRootfs => launch.readonly = true,
            Builtin::RunEnv => set_env(&mut launch.env, &option.text(0)?, &option.text(1)?),
            Builtin::RunDir => {
                let path = option.text(0)?;
                launch.cwd = if path.starts_with('/') { path } else { go::join(&launch.cwd, &path) };
            }
            Builtin::RunUser => launch.user = Some(option.text(0)?),
            Builtin::RunIgnoreCache => {
                self.nonces += 1;
                let question = Question::Nonce { number: self.nonces };
                let Answer::Text(Some(nonce)) = self.need(question, option.span(0))? else { return Err(Stop::Unknown) };
                set_env(&mut launch.env, IGNORE_CACHE, nonce);
            }
            Builtin::RunNetwork => {
                launch.network = match option.text(0)?.as_str() {
                    "host" => NetMode::Host,
                    "none" => NetMode::None,
                    _ => NetMode::Unset,
                };
                launch.mounted.needs.entitlements.extend((launch.network == NetMode::Host).then_some(HOST_NETWORK));
            }
            Builtin::RunSecurity => {
                let insecure = option.text(0)? == "insecure";
                launch.security = if insecure { SecurityMode::Insecure } else { SecurityMode::Sandbox };
                launch.mounted.needs.entitlements.extend(insecure.then_some(INSECURE));
            }
            Builtin::RunHost => {
                let address = option.text(1)?.parse::<core::net::IpAddr>();
                let ip = address.map_or_else(|_| String::new(), |address| address.to_canonical().to_string());
                launch.hosts.push(HostIp { host: option.text(0)?, ip });
            }
            Builtin::RunMount => launch.mounted.add(Mounting::read(option)?),
            Builtin::RunSecret => self.secret(module, &mut launch.mounted, option)?,
            Builtin::RunSecretEnv => launch.mounted.add_secret_variable(&option.text(0)?, option.text(1)?),
            Builtin::RunSsh => self.ssh(module, &mut launch.mounted, option)?,
            Builtin::RunForward => self.forward(module, &mut launch.mounted, option)?,
            _ => {}
        }
        Ok(())
    }

    fn exec(&mut self, fs: &mut Fs, launch: Launch, args: Vec<String>, call: &Application<'_>) {
        let Launch { mut env, cwd, user, readonly, network, security, hosts, mounted } = launch;
        let name = shell_words::join(&args).replace('\n', "\\n");
        let agent = mounted.sockets.first().filter(|_| !env.iter().any(|(key, _)| key == AGENT));
        env.extend(agent.map(|(agent, _)| (AGENT.to_owned(), agent.clone())));
        let image_user = (!fs.image.config.user.is_empty()).then(|| fs.image.config.user.clone());
        let meta = ExecMeta {
            args,
            env: env.into_iter().map(|(key, value)| format!("{key}={value}")).collect(),
            cwd,
            user: user.or(image_user).unwrap_or_else(|| fs.user.clone()),
            extra_hosts: hosts,
            remove_mount_stubs_recursive: true,
            ..ExecMeta::default()
        };
        let root = ExecMount {
            target: "/".to_owned(),
            source: fs.edge,
            selector: String::new(),
            readonly,
            kind: ExecMountKind::Root,
        };
        let mut mounts = vec![root];
        mounts.extend(mounted.mounts.iter().map(Mounting::mount));
        let said = self.said(call.trace);
        let said = Said { locations: said.locations, ..Said::named(name) };
        let secret_env = mounted.secret_env;
        let process = Process { meta, network, security, secret_env, ..Process::default() };
        let platform = fs.process_platform.as_ref().unwrap_or(&fs.platform).normalize();
        let graph = &mut self.shared.graph;
        let edge = build::exec(graph, mounts, mounted.secrets, mounted.sockets, process, Some(platform.into()), said);
        let Op::Exec(exec) = &mut graph.nodes[edge.node.0 as usize].op else { return };
        let bound = mounted.mounts.iter().find(|mount| mount.bound.is_some() && !mount.is_cache());
        let number = set_outputs(&mut exec.mounts, bound);
        add_needs(&mut fs.needs, &mounted.needs);
        mounted.mounts.iter().for_each(|mount| fs.exports.extend(&mount.source.exports));
        match bound {
            Some(mount) => {
                fs.edge = if mount.readonly { mount.source.edge } else { Some(edge.node.output(number)) };
                fs.image = mount.source.image.clone();
            }
            // parity: a process whose root is read-only leaves the filesystem what it was.
            None if readonly => {}
            None => fs.edge = Some(edge),
        }
    }
}

/// Numbers the outputs: the root unless it is read-only, then the mount whose result is wanted.
fn set_outputs(mounts: &mut [llb::Mount], bound: Option<&Mounting>) -> u32 {
    let files =
        mounts.iter_mut().filter(|mount| matches!(mount.kind, llb::MountKind::Secret(_) | llb::MountKind::Ssh(_)));
    // parity: BuildKit v0.15, which HLB pins, leaves the input of these at its default.
    files.for_each(|mount| mount.input = 0);
    // Another filesystem may be mounted over the root; the root comes first.
    let root = mounts.iter_mut().find(|mount| mount.dest == "/");
    let number = root.map_or(0, |root| {
        root.output = if root.readonly { -1 } else { 0 };
        u32::from(!root.readonly)
    });
    let target = bound.filter(|mount| !mount.readonly).map(|mount| mount.target.as_str());
    if let Some(mount) = mounts.iter_mut().find(|mount| target == Some(mount.dest.as_str())) {
        mount.output = i64::from(number);
    }
    number
}

/// A process that is put together.
struct Launch {
    env: Vec<(String, String)>,
    cwd: String,
    user: Option<String>,
    readonly: bool,
    network: NetMode,
    security: SecurityMode,
    hosts: Vec<HostIp>,
    mounted: Mounted,
}

impl Launch {
    fn new(fs: &Fs) -> Self {
        Self {
            env: fs.env.clone(),
            cwd: fs.cwd.clone(),
            user: None,
            readonly: false,
            network: NetMode::Unset,
            security: SecurityMode::Sandbox,
            hosts: Vec::new(),
            mounted: Mounted::default(),
        }
    }
}
