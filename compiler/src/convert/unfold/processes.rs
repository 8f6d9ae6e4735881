//! A vertex that runs a process as a step of a stage.

use ast::{Command, MountField, Op, Opt, OptKind, Span, Step, Text};
use llb::{MountKind, NetMode, NodeId, SecurityMode};

use super::settings::{Settings, Wanted, pairs, value};
use super::steps::step;
use super::{Place, Unfolding};
use crate::plan::IGNORE_CACHE;

impl Unfolding<'_> {
    pub(super) fn process(
        &mut self,
        id: NodeId,
        exec: &llb::Exec,
        next: Option<&Wanted>,
        settings: &mut Settings,
        steps: &mut Vec<Step>,
    ) {
        let at = self.span(id);
        let mut opts = Vec::new();
        self.environment(id, exec, next, settings, steps, &mut opts);
        let meta = &exec.meta;
        if meta.args.iter().any(|arg| self.is_marked(arg)) {
            self.say_not(at, "a parameter in a command: give the process a variable");
        }
        if exec.mounts.iter().any(|mount| mount.dest == "/" && mount.readonly) {
            self.say_not(at, "a root that can only be read");
        }
        if !meta.extra_hosts.is_empty() {
            self.say_not(at, "names of hosts for one process");
        }
        if meta.user != settings.user {
            let (user, params) = self.text(&meta.user, at);
            settings.declare(self, &params, at, steps);
            steps.push(step(Op::User(user), Vec::new(), at));
            settings.user.clone_from(&meta.user);
        }
        if meta.cwd != settings.dir {
            let (path, params) = self.text(&meta.cwd, at);
            settings.declare(self, &params, at, steps);
            if meta.cwd == "/" {
                steps.push(step(Op::Dir(path), Vec::new(), at));
                settings.dir = "/".to_owned();
            } else {
                opts.push(OptKind::Dir(path));
            }
        }
        match exec.network {
            NetMode::Unset => {}
            NetMode::Host => opts.push(OptKind::Network(self.text("host", at).0)),
            NetMode::None => opts.push(OptKind::Network(self.text("none", at).0)),
        }
        if exec.security == SecurityMode::Insecure {
            opts.push(OptKind::Security(self.text("insecure", at).0));
        }
        for mount in exec.mounts.iter().filter(|mount| mount.dest != "/") {
            let fields = self.mount(id, mount);
            opts.extend(fields.map(|fields| OptKind::Mount(ast::Mount { raw: Text::default(), fields })));
        }
        if !exec.secret_env.is_empty() {
            self.say_not(at, "a secret that the program names itself");
        }
        let opts = opts.into_iter().map(|kind| Opt { kind, span: at }).collect();
        let args: Vec<String> = meta.args.iter().map(|arg| self.as_usual(arg)).collect();
        steps.push(step(Op::Run(command(&args, at)), opts, at));
    }

    /// Sets what the process sees: for good where what comes after sees it too, for itself where it does not.
    fn environment(
        &mut self,
        id: NodeId,
        exec: &llb::Exec,
        next: Option<&Wanted>,
        settings: &mut Settings,
        steps: &mut Vec<Step>,
        opts: &mut Vec<OptKind>,
    ) {
        let at = self.span(id);
        let mut wanted = pairs(&exec.meta.env);
        if value(&wanted, IGNORE_CACHE).is_some() {
            self.say_not(at, "a process that runs each time");
            wanted.retain(|(key, _)| key != IGNORE_CACHE);
        }
        let (mut for_good, mut own) = (Vec::new(), Vec::new());
        for (key, new) in &wanted {
            if settings.seen(self, key).as_ref() == Some(new) {
                continue;
            }
            if self.parameter(key, new).is_some() {
                settings.declare(self, std::slice::from_ref(key), at, steps);
                continue;
            }
            let stays = next.is_none_or(|next| value(&next.env, key) == Some(new));
            if stays { &mut for_good } else { &mut own }.push((key.clone(), new.clone()));
        }
        settings.set(self, &for_good, at, steps);
        if settings.env.iter().any(|(key, _)| value(&wanted, key).is_none()) {
            let is_path = settings.env.iter().all(|(key, _)| key == "PATH" || value(&wanted, key).is_some());
            let what = if is_path {
                "a process without PATH: set it, as an image made of nothing has it"
            } else {
                "a variable that is taken back"
            };
            self.say_not(at, what);
        }
        if !own.is_empty() {
            let pairs = settings.written(self, &own, at, steps);
            opts.push(OptKind::Env(pairs));
        }
    }

    fn mount(&mut self, id: NodeId, mount: &llb::Mount) -> Option<Vec<MountField>> {
        let at = self.span(id);
        if mount.output >= 0 {
            self.say_not(at, "the files of a mount as a value");
            return None;
        }
        let mut fields: Vec<(&str, String)> = Vec::new();
        match &mount.kind {
            MountKind::Bind => {
                let edge = usize::try_from(mount.input).ok().and_then(|at| self.node(id).inputs.get(at).copied());
                if edge.is_none() {
                    self.say_not(at, "an empty directory that is mounted");
                    return None;
                }
                fields.push(("type", "bind".to_owned()));
                if let Place::Named(name) = self.place(edge, id)? {
                    fields.push(("from", name));
                }
                if !mount.selector.is_empty() {
                    fields.push(("source", mount.selector.clone()));
                }
                if !mount.readonly {
                    fields.push(("rw", "true".to_owned()));
                }
            }
            MountKind::Tmpfs { size } => {
                fields.push(("type", "tmpfs".to_owned()));
                fields.extend(size.filter(|size| *size > 0).map(|size| ("size", size.to_string())));
            }
            MountKind::Cache { id, sharing } => {
                let Some(id) = id.strip_prefix('/').filter(|_| mount.input < 0) else {
                    self.say_not(
                        at,
                        "a cache whose name does not begin with a slash, or that holds something at first",
                    );
                    return None;
                };
                fields.extend([("type", "cache".to_owned()), ("id", id.to_owned())]);
                let sharing = match sharing {
                    llb::CacheSharing::Shared => "shared",
                    llb::CacheSharing::Private => "private",
                    llb::CacheSharing::Locked => "locked",
                };
                fields.push(("sharing", sharing.to_owned()));
            }
            MountKind::Secret(_) => {
                self.say_not(at, "a secret that the program names itself");
                return None;
            }
            MountKind::Ssh(_) => {
                self.say_not(at, "a socket of the client that the program names itself");
                return None;
            }
        }
        fields.push(("target", mount.dest.clone()));
        if fields.iter().any(|(_, value)| self.is_marked(value) || value.contains([',', '"', '\n'])) {
            self.say_not(at, "a parameter, or a comma, in what is said of a mount");
        }
        let field = |(key, value): (&str, String)| MountField {
            key: key.to_owned(),
            value: Some(self.text(&self.as_usual(&value), at).0),
            span: at,
        };
        Some(fields.into_iter().map(field).collect())
    }
}

/// A process: a line for the shell where a line can say it.
fn command(args: &[String], at: Span) -> Command {
    let text = |text: &str| Text::from(text);
    let (args, shell) = match args {
        [program, option, line] if program == "/bin/sh" && option == "-c" && is_line(line) => {
            ([text(line)].into(), true)
        }
        args => (args.iter().map(|arg| text(arg)).collect(), false),
    };
    Command { args, shell, documents: Vec::new(), span: at }
}

/// Whether a line means the same as the rest of an instruction.
fn is_line(line: &str) -> bool {
    let starts_well = line.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/' || c == '.');
    starts_well && line.trim() == line && !line.contains(['\n', '\r']) && !line.contains("<<") && !line.ends_with('\\')
}
