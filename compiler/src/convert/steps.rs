//! A vertex as a step of a stage.

use ast::{Command, Copy, Document, MountField, Op, Opt, OptKind, Pair, Span, Step, Str, Text};
use llb::{CopyAction, FileActionKind, MountKind, NetMode, NodeId, Owner, SecurityMode, UserOpt};
use oci::ContainerConfig;

use super::unfold::{Place, Unfolding};

/// Where programs are in an image that does not say so.
pub(super) const NOTHING_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How things stand in a stage: what processes start with, and what its image is told.
#[derive(Clone, Default)]
pub(super) struct Settings {
    env: Vec<(String, String)>,
    /// Parameters that are declared, which processes see.
    args: Vec<String>,
    dir: String,
    user: String,
    told: ContainerConfig,
}

/// What a later process, or the image, starts with.
pub(super) struct Wanted {
    env: Vec<(String, String)>,
    dir: String,
}

impl Wanted {
    pub(super) fn of_image(config: &ContainerConfig) -> Self {
        Self { env: pairs(&config.env), dir: config.working_dir.clone() }
    }
}

/// What the process of a vertex starts with, if it is one.
pub(super) fn wanted(node: &llb::Node) -> Option<Wanted> {
    let llb::Op::Exec(exec) = &node.op else { return None };
    Some(Wanted { env: pairs(&exec.meta.env), dir: exec.meta.cwd.clone() })
}

fn pairs(env: &[String]) -> Vec<(String, String)> {
    let pair = |entry: &String| {
        let (key, value) = entry.split_once('=').unwrap_or((entry, ""));
        (key.to_owned(), value.to_owned())
    };
    env.iter().map(pair).collect()
}

fn value<'e>(env: &'e [(String, String)], key: &str) -> Option<&'e str> {
    env.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
}

impl Settings {
    /// Those of a stage that starts from nothing.
    pub(super) fn of_nothing() -> Self {
        let env = vec![("PATH".to_owned(), NOTHING_PATH.to_owned())];
        Self { env, dir: "/".to_owned(), ..Self::default() }
    }

    pub(super) fn of_image(told: ContainerConfig) -> Self {
        let dir = if told.working_dir.is_empty() { "/".to_owned() } else { told.working_dir.clone() };
        Self { env: pairs(&told.env), args: Vec::new(), dir, user: told.user.clone(), told }
    }

    /// Those of a stage on this one, which does not have its parameters.
    pub(super) fn below_others(&self) -> Self {
        Self { args: Vec::new(), ..self.clone() }
    }

    fn seen(&self, unfolding: &Unfolding<'_>, key: &str) -> Option<String> {
        value(&self.env, key).map(str::to_owned).or_else(|| {
            let is_declared = self.args.iter().any(|arg| arg == key);
            is_declared.then(|| unfolding.mark(key)).flatten()
        })
    }

    /// Steps after which the image is told what it is to be told.
    pub(super) fn tell(
        &mut self,
        unfolding: &mut Unfolding<'_>,
        told: &ContainerConfig,
        at: Span,
        steps: &mut Vec<Step>,
    ) {
        let mut wanted = pairs(&told.env);
        if value(&wanted, "PATH").is_none() {
            wanted.push(("PATH".to_owned(), NOTHING_PATH.to_owned()));
        }
        if self.env.iter().any(|(key, _)| value(&wanted, key).is_none()) {
            unfolding.say_not(at, "a variable that is taken back");
        }
        let fresh: Vec<_> = wanted.iter().filter(|(key, new)| value(&self.env, key) != Some(new)).cloned().collect();
        self.set(unfolding, &fresh, at, steps);
        let dir = if told.working_dir.is_empty() { "/" } else { &told.working_dir };
        if dir != self.dir {
            if dir == "/" {
                let (path, _) = unfolding.text(dir, at);
                steps.push(step(Op::Dir(path), Vec::new(), at));
            } else {
                unfolding.say_not(at, "the working directory of an image, without making it");
            }
        }
        if told.user != self.user {
            let (user, params) = unfolding.text(&told.user, at);
            self.declare(unfolding, &params, at, steps);
            steps.push(step(Op::User(user), Vec::new(), at));
        }
        self.tell_process(told, at, steps);
        let own: Vec<_> = told.labels.iter().filter(|(key, value)| self.told.labels.get(*key) != Some(value)).collect();
        let labels: Vec<(String, String)> = own.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        if !labels.is_empty() {
            let pairs = self.written(unfolding, &labels, at, steps);
            steps.push(step(Op::Label(pairs), Vec::new(), at));
        }
        let list = |known: &std::collections::BTreeSet<String>, all: &std::collections::BTreeSet<String>| {
            all.difference(known).map(|text| unfolding.text(text, at).0).collect::<Vec<_>>()
        };
        let (ports, volumes) =
            (list(&self.told.exposed_ports, &told.exposed_ports), list(&self.told.volumes, &told.volumes));
        if !ports.is_empty() {
            steps.push(step(Op::Expose(ports), Vec::new(), at));
        }
        if !volumes.is_empty() {
            steps.push(step(Op::Volume(volumes), Vec::new(), at));
        }
        if told.stop_signal != self.told.stop_signal {
            steps.push(step(Op::StopSignal(unfolding.text(&told.stop_signal, at).0), Vec::new(), at));
        }
    }

    fn tell_process(&self, told: &ContainerConfig, at: Span, steps: &mut Vec<Step>) {
        let command = |args: &[String]| Command {
            args: args.iter().map(|arg| Text(arg.as_bytes().to_vec())).collect(),
            shell: false,
            documents: Vec::new(),
            span: at,
        };
        let starts_otherwise = told.entrypoint != self.told.entrypoint;
        if starts_otherwise {
            steps.push(step(Op::Entrypoint(command(&told.entrypoint)), Vec::new(), at));
        }
        // What a base says of arguments goes with its process.
        let known: &[String] = if starts_otherwise { &[] } else { &self.told.cmd };
        if told.cmd != known {
            steps.push(step(Op::Cmd(command(&told.cmd)), Vec::new(), at));
        }
    }

    /// Sets variables for good.
    fn set(&mut self, unfolding: &mut Unfolding<'_>, fresh: &[(String, String)], at: Span, steps: &mut Vec<Step>) {
        if fresh.is_empty() {
            return;
        }
        let pairs = self.written(unfolding, fresh, at, steps);
        steps.push(step(Op::Env(pairs), Vec::new(), at));
        for (key, new) in fresh {
            self.env.retain(|(known, _)| known != key);
            self.env.push((key.clone(), new.clone()));
        }
    }

    fn written(
        &mut self,
        unfolding: &mut Unfolding<'_>,
        all: &[(String, String)],
        at: Span,
        steps: &mut Vec<Step>,
    ) -> Vec<Pair> {
        let mut pairs = Vec::new();
        for (key, value) in all {
            let ((key, _), (value, params)) = (unfolding.text(key, at), unfolding.text(value, at));
            self.declare(unfolding, &params, at, steps);
            pairs.push(Pair { key, value, legacy: false });
        }
        pairs
    }

    /// Declares parameters that a text mentions.
    fn declare(&mut self, unfolding: &Unfolding<'_>, names: &[String], at: Span, steps: &mut Vec<Step>) {
        for name in names {
            let Some(param) = unfolding.declared(name).filter(|_| !self.args.contains(name)) else { continue };
            steps.push(step(Op::Arg(vec![param]), Vec::new(), at));
            self.args.push(name.clone());
        }
    }
}

/// A step as if it had been written.
pub(super) fn step(op: Op, opts: Vec<Opt>, span: Span) -> Step {
    Step { op, opts, text: Text(Vec::new()), comments: Vec::new(), checks: None, blank: None, keyword: span, span }
}

impl Unfolding<'_> {
    /// The steps of a vertex; `next` is what is wanted after it.
    pub(super) fn vertex(&mut self, id: NodeId, next: Option<&Wanted>, settings: &mut Settings, steps: &mut Vec<Step>) {
        match self.node(id).op.clone() {
            llb::Op::Exec(exec) => self.process(id, &exec, next, settings, steps),
            llb::Op::File(actions) => self.files(id, &actions, false, next, settings, steps),
            llb::Op::Merge(_) => {
                let Some(copy) = self.linked(id) else { return };
                if let llb::Op::File(actions) = self.node(copy).op.clone() {
                    self.files(copy, &actions, true, next, settings, steps);
                }
            }
            _ => {}
        }
    }

    fn process(
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
            opts.extend(fields.map(|fields| OptKind::Mount(ast::Mount { raw: Text(Vec::new()), fields })));
        }
        if !exec.secret_env.is_empty() {
            self.say_not(at, "a secret that the program names itself");
        }
        let opts = opts.into_iter().map(|kind| Opt { kind, span: at }).collect();
        steps.push(step(Op::Run(command(&meta.args, at)), opts, at));
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
        let wanted = pairs(&exec.meta.env);
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
            value: Some(self.text(&value, at).0),
            span: at,
        };
        Some(fields.into_iter().map(field).collect())
    }

    fn files(
        &mut self,
        id: NodeId,
        actions: &[llb::FileAction],
        linked: bool,
        next: Option<&Wanted>,
        settings: &mut Settings,
        steps: &mut Vec<Step>,
    ) {
        let at = self.span(id);
        match actions {
            [action] => match &action.kind {
                FileActionKind::Copy(_) => self.copies(id, actions, linked, settings, steps),
                kind => self.file(at, kind, next, settings, steps),
            },
            several if several.iter().all(|action| matches!(action.kind, FileActionKind::Copy(_))) => {
                self.copies(id, several, linked, settings, steps);
            }
            _ => self.say_not(at, "several changes of files at once"),
        }
    }

    fn file(
        &mut self,
        at: Span,
        kind: &FileActionKind,
        next: Option<&Wanted>,
        settings: &mut Settings,
        steps: &mut Vec<Step>,
    ) {
        match kind {
            FileActionKind::Mkdir { path, mode: 0o755, make_parents: true, owner: None, timestamp: -1 }
                if next.is_some_and(|next| next.dir == *path) && path != "/" =>
            {
                let (text, params) = self.text(path, at);
                settings.declare(self, &params, at, steps);
                steps.push(step(Op::Dir(text), Vec::new(), at));
                settings.dir.clone_from(path);
            }
            FileActionKind::Mkdir { path, mode, make_parents, owner, timestamp: -1 } => {
                if !make_parents {
                    return self.say_not(at, "a directory that is made only if the one above it is there");
                }
                let (text, params) = self.text(path, at);
                settings.declare(self, &params, at, steps);
                let mode = (*mode != 0o755).then(|| OptKind::Chmod(self.text(&format!("{mode:04o}"), at).0));
                let owner = self.owner(owner.as_ref(), at).map(OptKind::Chown);
                let opts = mode.into_iter().chain(owner).map(|kind| Opt { kind, span: at });
                steps.push(step(Op::Mkdir(text), opts.collect(), at));
            }
            FileActionKind::Rm { path, allow_not_found: true, allow_wildcard: true } => {
                let (text, params) = self.text(path, at);
                settings.declare(self, &params, at, steps);
                steps.push(step(Op::Remove(vec![text]), Vec::new(), at));
            }
            FileActionKind::Rm { .. } => {
                self.say_not(at, "a removal of what must be there, or whose name is no pattern");
            }
            FileActionKind::Mkfile { path, mode, data, owner, .. } => {
                self.say_not(at, "a file that is written, and not copied");
                let document = self.as_document(path, data, at);
                let (dest, params) = self.text(path, at);
                settings.declare(self, &params, at, steps);
                let mode = OptKind::Chmod(self.text(&format!("{mode:04o}"), at).0);
                let owner = self.owner(owner.as_ref(), at).map(OptKind::Chown);
                let opts = std::iter::once(mode).chain(owner).map(|kind| Opt { kind, span: at }).collect();
                let copy = Copy { sources: Vec::new(), documents: vec![document], dest };
                steps.push(step(Op::Copy(copy), opts, at));
            }
            FileActionKind::Symlink { .. } => self.say_not(at, "a symbolic link"),
            FileActionKind::Mkdir { .. } => self.say_not(at, "the time of a directory"),
            FileActionKind::Copy(_) => {}
        }
    }

    /// A file as a document, of a name that no line of it is.
    fn as_document(&self, path: &str, data: &[u8], at: Span) -> Document {
        let content = String::from_utf8_lossy(data);
        let last = path.rsplit('/').next().unwrap_or_default();
        let mut name: String = last.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
        while name.is_empty() || content.lines().any(|line| line == name) {
            name.push_str("EOF");
        }
        let content = Text(data.to_vec());
        Document { name, content, expand: false, chomp: false, opener: at, span: at }
    }

    fn owner(&self, owner: Option<&Owner>, at: Span) -> Option<Str> {
        let shown = |opt: &UserOpt| match opt {
            UserOpt::Name { name, .. } => name.clone(),
            UserOpt::Id(id) => id.to_string(),
        };
        let owner = owner?;
        let user = owner.user.as_ref().map(shown).unwrap_or_default();
        let text = owner.group.as_ref().map_or(user.clone(), |group| format!("{user}:{}", shown(group)));
        Some(self.text(&text, at).0)
    }

    /// Copies that are one step: equal but for what is copied.
    fn copies(
        &mut self,
        id: NodeId,
        actions: &[llb::FileAction],
        linked: bool,
        settings: &mut Settings,
        steps: &mut Vec<Step>,
    ) {
        let at = self.span(id);
        let input = |unfolding: &Self, action: &llb::FileAction| {
            let position = usize::try_from(action.secondary_input).ok()?;
            unfolding.node(id).inputs.get(position).copied()
        };
        let mut all: Vec<(&CopyAction, Option<llb::Edge>)> = Vec::new();
        for action in actions {
            if let FileActionKind::Copy(copy) = &action.kind {
                all.push((copy, input(self, action)));
            }
        }
        let Some((first, _)) = all.first().copied() else { return };
        let alike = |copy: &CopyAction| CopyAction { src: String::new(), ..copy.clone() };
        if all.iter().any(|(copy, _)| alike(copy) != alike(first)) {
            return self.say_not(at, "several copies at once that differ");
        }
        if let Some(what) = unlike_copy(first) {
            self.say_not(at, what);
        }
        let (mut sources, mut documents, mut from) = (Vec::new(), Vec::new(), None);
        for (copy, edge) in &all {
            let document = edge.and_then(|edge| self.document(edge)).filter(|(name, _)| copy.src == format!("/{name}"));
            if let Some((name, content)) = document {
                documents.push(Document {
                    name: name.to_owned(),
                    content: Text(content.to_vec()),
                    expand: false,
                    chomp: false,
                    opener: at,
                    span: at,
                });
                continue;
            }
            if edge.is_none() {
                return self.say_not(at, "a copy of nothing");
            }
            if let Some(address) = edge.and_then(|edge| self.address(edge)) {
                self.say_not(at, "a copy of what is at an address");
                let (address, dest) = (self.text(&address, at).0, self.text(&first.dest, at).0);
                let copy = Copy { sources: vec![address], documents: Vec::new(), dest };
                return steps.push(step(Op::Add(copy), Vec::new(), at));
            }
            let Some(place) = self.place(*edge, id) else { return };
            let path = match &place {
                Place::Context if copy.src == "/" => ".",
                Place::Context => copy.src.trim_start_matches('/'),
                Place::Named(_) => &copy.src,
            };
            let (path, params) = self.text(path, at);
            settings.declare(self, &params, at, steps);
            sources.push(path);
            if let Place::Named(name) = place {
                if from.as_ref().is_some_and(|known| *known != name) {
                    return self.say_not(at, "copies from several places at once");
                }
                from = Some(name);
            }
        }
        let (dest, params) = self.text(&first.dest, at);
        settings.declare(self, &params, at, steps);
        let mut opts: Vec<OptKind> = from.iter().map(|name| OptKind::From(self.text(name, at).0)).collect();
        opts.extend(self.owner(first.owner.as_ref(), at).map(OptKind::Chown));
        if first.mode >= 0 {
            opts.push(OptKind::Chmod(self.text(&format!("{:o}", first.mode), at).0));
        } else if !first.mode_str.is_empty() {
            opts.push(OptKind::Chmod(self.text(&first.mode_str, at).0));
        }
        opts.extend(first.include_patterns.iter().map(|pattern| OptKind::Include(self.text(pattern, at).0)));
        opts.extend(first.exclude_patterns.iter().map(|pattern| OptKind::Exclude(self.text(pattern, at).0)));
        opts.extend(linked.then_some(OptKind::Link(true)));
        let opts = opts.into_iter().map(|kind| Opt { kind, span: at }).collect();
        let copy = Copy { sources, documents, dest };
        let unpacks = first.attempt_unpack;
        if unpacks && from.is_some() {
            self.say_not(at, "unpacking what is copied from a stage");
        }
        steps.push(step(if unpacks { Op::Add(copy) } else { Op::Copy(copy) }, opts, at));
    }
}

/// What of a copy is not as the copies of stages are.
fn unlike_copy(copy: &CopyAction) -> Option<&'static str> {
    let asked = [
        (copy.follow_symlink, "a copy that does not follow links (option followSymlinks)"),
        (copy.dir_copy_contents, "a copy of a directory itself (option contentsOnly copies what is in it)"),
        (copy.create_dest_path, "a copy that does not make the directories above (option createDestPath)"),
        (copy.allow_wildcard, "a copy of a name that is no pattern (option allowWildcard)"),
        (copy.allow_empty_wildcard, "a copy whose pattern must match something (option allowEmptyWildcard)"),
        (copy.timestamp == -1, "the time of what is copied"),
        (!copy.always_replace_existing_dest_paths, "a copy that replaces what is in its way"),
    ];
    asked.iter().find(|(is_so, _)| !is_so).map(|(_, what)| *what)
}

/// A process: a line for the shell where a line can say it.
fn command(args: &[String], at: Span) -> Command {
    let text = |text: &str| Text(text.as_bytes().to_vec());
    let (args, shell) = match args {
        [program, option, line] if program == "/bin/sh" && option == "-c" && is_line(line) => (vec![text(line)], true),
        args => (args.iter().map(|arg| text(arg)).collect(), false),
    };
    Command { args, shell, documents: Vec::new(), span: at }
}

/// Whether a line means the same as the rest of an instruction.
fn is_line(line: &str) -> bool {
    let starts_well = line.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/' || c == '.');
    starts_well && line.trim() == line && !line.contains(['\n', '\r']) && !line.contains("<<") && !line.ends_with('\\')
}
