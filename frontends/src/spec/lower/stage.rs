//! A stage: what it starts from, its settings, its steps.

use ast::{Command, Document, Mount, MountField, Op, OptKind, Pair, Param, Span, Str, Text as Bytes};

use super::super::model::{self, Cache, CacheUse, Image, Network, Stage, Step, entries};
use super::super::read::{At, Scalar, Text};
use super::super::text::{literal, refuse_references};
use super::super::when;
use super::copy::How;
use super::{Lowering, order, parameter};

impl<'s> Lowering<'_, 's> {
    /// The first step.
    pub(super) fn from(&mut self, name: &'s Text, stage: &'s Stage) {
        let Some(from) = &stage.from else {
            let help = "say from = \"IMAGE\", \"stage.NAME\", \"source.NAME\" or \"scratch\"";
            return self.error(format!("`{}` does not say what it starts from", name.value), name.span, help);
        };
        let Some(base) = self.base(from) else { return };
        let platform = stage.platform.as_ref().and_then(|platform| match platform.value.as_str() {
            "target" => None,
            "build" => {
                let text = Text { value: "${build.platform}".to_owned(), span: platform.span };
                Some(OptKind::Platform(self.template(&text)))
            }
            _ => Some(OptKind::Platform(self.template(platform))),
        });
        self.push(Op::From(base), platform.into_iter().collect(), from.span);
    }

    /// What a stage starts from.
    fn base(&mut self, from: &'s Text) -> Option<Str> {
        let spec = self.spec;
        if let Some(defined) = order::defined(&from.value) {
            let table = if from.value.starts_with("stage.") { "stage" } else { "image" };
            return self.is_defined(table, defined, from.span).then(|| literal(defined, from.span));
        }
        if let Some(source) = from.value.strip_prefix("source.") {
            let (name, source) = self.source(source, from.span)?;
            if !self.check_source(name, source) {
                return None;
            }
            let base = match &source.image {
                Some(image) => Some(self.template(image)),
                None => self.filesystem(name, source),
            };
            if base.is_none() {
                let help = "a stage starts from a source that is `image`, `oci-layout`, `context` or `stage`";
                self.error(format!("source `{}` is no image", name.value), from.span, help);
            }
            return base;
        }
        if from.value.starts_with("oci-layout://") {
            let help = "declare it: [source] NAME = { oci-layout = \"DIRECTORY\" }, and say from = \"source.NAME\"";
            self.error("a layout is no name of an image", from.span, help);
            return None;
        }
        for (kind, is_it) in [
            ("stage", spec.stages().iter().any(|(name, _)| name.value == from.value)),
            ("source", spec.source(&from.value).is_some_and(|source| source.oci_layout.is_some())),
        ] {
            if is_it {
                let message = format!("`{}` is a {kind}", from.value);
                self.error(message, from.span, format!("write {kind}.{}", from.value));
                return None;
            }
        }
        Some(self.template(from))
    }

    /// Shell, variables, labels and working directory, those of all stages first.
    pub(super) fn settings(&mut self, stage: &'s Stage, image: Option<&'s Image>) {
        let defaults = self.spec.default.as_ref();
        if let Some(shell) = stage.shell.as_ref().or(defaults.and_then(|defaults| defaults.shell.as_ref())) {
            let span = shell.first().map_or(stage.span, |word| word.span);
            let words = shell.iter().map(|word| literal(&word.value, word.span)).collect();
            self.push(Op::Shell(words), Vec::new(), span);
        }
        self.args(stage);
        let is_first = stage.from.as_ref().is_none_or(|from| order::defined(&from.value).is_none());
        let common = defaults.filter(|_| is_first);
        for env in [common.map(|defaults| &defaults.env), Some(&stage.env)].into_iter().flatten() {
            self.pairs(entries(env), Op::Env);
        }
        if let Some(image) = image {
            for labels in [defaults.map(|defaults| &defaults.labels), Some(&image.labels)].into_iter().flatten() {
                self.pairs(entries(labels), Op::Label);
            }
        }
        let workdir = stage.workdir.as_ref().or(common.and_then(|defaults| defaults.workdir.as_ref()));
        if let Some(workdir) = workdir {
            let dir = self.template(workdir);
            self.push(Op::Dir(dir), Vec::new(), workdir.span);
        }
    }

    /// Variables of processes alone: arguments that they see.
    fn args(&mut self, stage: &'s Stage) {
        for (name, Scalar(value, _)) in entries(&stage.args) {
            let template = self.template(value);
            let known =
                super::super::text::KNOWN.iter().find(|(_, argument)| *argument == name.value).map(|(known, _)| *known);
            let is_own = |text: &str| value.value == format!("${{{text}}}");
            let is_own = is_own(&format!("var.{}", name.value)) || known.is_some_and(is_own);
            let param = Param { default: (!is_own).then_some(template), ..parameter(name) };
            self.push(Op::Arg(vec![param]), vec![OptKind::Exported], name.span.to(value.span));
        }
    }

    fn pairs(&mut self, entries: &'s [(Text, Scalar)], op: fn(Vec<Pair>) -> Op) {
        let Some((first, last)) = entries.first().zip(entries.last()) else { return };
        let span = first.0.span.to(last.1.0.span);
        let pairs = self.pair_list(entries);
        self.push(op(pairs), Vec::new(), span);
    }

    fn pair_list(&mut self, entries: &'s [(Text, Scalar)]) -> Vec<Pair> {
        let pair = |(key, value): &'s (Text, Scalar)| Pair {
            key: literal(&key.value, key.span),
            value: self.names.template(&value.0, self.reader),
            legacy: false,
        };
        entries.iter().map(pair).collect()
    }

    /// The user, after everything that needs root.
    pub(super) fn user(&mut self, stage: &'s Stage) {
        let defaults = self.spec.default.as_ref();
        if let Some(user) = stage.user.as_ref().or(defaults.and_then(|defaults| defaults.user.as_ref())) {
            let name = self.template(user);
            self.push(Op::User(name), Vec::new(), user.span);
        }
    }

    pub(super) fn stage_steps(&mut self, stage: &'s Stage) {
        for step in stage.step.iter().flatten() {
            self.step(stage, step);
        }
    }

    fn step(&mut self, stage: &'s Stage, step: &'s Step) {
        let said = [
            ("run", step.run.is_some()),
            ("script", step.script.is_some()),
            ("copy", step.copy.is_some()),
            ("mkdir", step.mkdir.is_some()),
            ("write", step.write.is_some()),
            ("remove", step.remove.is_some()),
            ("unpack", step.unpack.is_some()),
        ];
        let said: Vec<&str> = said.iter().filter(|(_, said)| *said).map(|(name, _)| *name).collect();
        let [kind] = said[..] else {
            let message = match said[..] {
                [first, second, ..] => format!("a step cannot be both `{first}` and `{second}`"),
                _ => "the step does nothing".to_owned(),
            };
            let help = "a step is exactly one of run, script, copy, mkdir, write, remove, unpack";
            return self.error(message, step.span, help);
        };
        self.check_keys(step, kind);
        let when: Vec<OptKind> = step
            .when
            .as_ref()
            .and_then(|text| when::parse(text, &mut self.names, self.reader))
            .map(OptKind::When)
            .into_iter()
            .collect();
        match kind {
            "run" | "script" => self.process(stage, step, when),
            "copy" | "unpack" => self.copies(step, when),
            _ => self.files_step(step, when),
        }
    }

    /// Refuses keys that mean nothing for a kind of step.
    fn check_keys(&mut self, step: &'s Step, kind: &str) {
        let process = kind == "run" || kind == "script";
        let copy = kind == "copy" || kind == "unpack";
        let made = copy || kind == "mkdir" || kind == "write";
        let keys: [(&str, Option<Span>, bool); 19] = [
            ("to", step.to.as_ref().map(|text| text.span), copy),
            ("content", step.content.as_ref().map(|text| text.span), kind == "write"),
            ("only", span_of(&step.only), copy),
            ("except", span_of(&step.except), copy),
            ("owner", step.owner.as_ref().map(|text| text.span), made),
            ("mode", step.mode.as_ref().map(|text| text.span), made),
            ("link", step.link.map(|link: At<bool>| link.span), copy),
            ("parents", step.parents.map(|parents: At<bool>| parents.span), copy),
            ("env", entries(&step.env).first().map(|(key, _)| key.span), process),
            ("workdir", step.workdir.as_ref().map(|text| text.span), process),
            ("user", step.user.as_ref().map(|text| text.span), process),
            ("network", step.network.map(|_| step.span), process),
            ("security", step.security.map(|_| step.span), process),
            ("device", span_of(&step.device), process),
            ("cache", step.cache.as_ref().map(|_| step.span), process),
            ("secret", step.secret.as_ref().map(|_| step.span), process),
            ("ssh", step.ssh.as_ref().map(|_| step.span), process),
            ("mount", step.mount.as_ref().map(|_| step.span), process),
            ("when", None, true),
        ];
        for (key, span, fits) in keys {
            if let Some(span) = span.filter(|_| !fits) {
                self.error(format!("`{key}` means nothing for a `{kind}` step"), span, format!("leave `{key}` out"));
            }
        }
    }

    fn copies(&mut self, step: &'s Step, when: Vec<OptKind>) {
        let to = match &step.to {
            Some(to) => self.template(to),
            None => literal("./", step.span),
        };
        let how = How {
            only: step.only.as_deref().unwrap_or_default(),
            except: step.except.as_deref().unwrap_or_default(),
            owner: step.owner.as_ref(),
            mode: step.mode.as_ref(),
            usual_mode: None,
            link: step.link.is_some_and(|link| link.value),
            parents: step.parents.is_some_and(|parents| parents.value),
            unpack: step.unpack.is_some(),
            opts: when,
            span: step.span,
        };
        let first = self.steps.len();
        for reference in step.copy.iter().flat_map(|texts| &texts.0).chain(&step.unpack) {
            self.copy(reference, &to, &how);
        }
        self.join_copies(first);
    }

    fn files_step(&mut self, step: &'s Step, when: Vec<OptKind>) {
        let mut opts = self.attributes(step.owner.as_ref(), step.mode.as_ref());
        opts.extend(when);
        if let Some(path) = &step.mkdir {
            let path = self.template(path);
            self.push(Op::Mkdir(path), opts, step.span);
        } else if let Some(paths) = &step.remove {
            let paths = paths.0.iter().map(|path| self.names.template(path, self.reader)).collect();
            self.push(Op::Remove(paths), opts, step.span);
        } else if let Some(path) = &step.write {
            let (content, at) = step.content.as_ref().map_or(("", path.span), |text| (text.value.as_str(), text.span));
            let name = path.value.rsplit('/').next().unwrap_or("file");
            let to = self.template(path);
            self.write(name, content, at, &to, opts, step.span);
        }
    }

    fn process(&mut self, stage: &'s Stage, step: &'s Step, when: Vec<OptKind>) {
        let mut opts = Vec::new();
        for cache in stage.cache.iter().flatten().chain(step.cache.iter().flatten()) {
            opts.extend(self.cache(cache));
        }
        opts.extend(step.secret.iter().flatten().map(|secret| OptKind::Mount(self.secret(secret))));
        opts.extend(step.ssh.iter().flatten().map(|ssh| OptKind::Mount(self.ssh(ssh))));
        opts.extend(step.mount.iter().flatten().filter_map(|mount| self.mount(mount)).map(OptKind::Mount));
        let defaults = self.spec.default.as_ref().and_then(|defaults| defaults.network);
        let network = step.network.or(stage.network).or(defaults).unwrap_or(Network::None);
        opts.push(OptKind::Network(literal(network.word(), step.span)));
        opts.extend(step.security.map(|security| OptKind::Security(literal(security.word(), step.span))));
        let device = |name: &Text| OptKind::Device { name: name.value.clone(), required: true };
        opts.extend(step.device.iter().flatten().map(device));
        let env = entries(&step.env);
        if !env.is_empty() {
            opts.push(OptKind::Env(self.pair_list(env)));
        }
        opts.extend(step.workdir.as_ref().map(|dir| OptKind::Dir(self.names.template(dir, self.reader))));
        opts.extend(step.user.as_ref().map(|user| OptKind::User(self.names.template(user, self.reader))));
        opts.extend(when);
        let command = match (&step.run, &step.script) {
            (Some(run), _) => self.command(run),
            (None, Some(script)) => {
                refuse_references(script, self.reader);
                lines(script)
            }
            (None, None) => return,
        };
        self.push(Op::Run(command), opts, step.span);
    }

    /// A command as it is: a shell or a program replaces variables, nobody else.
    pub(super) fn command(&mut self, command: &model::Command) -> Command {
        match command {
            model::Command::Shell(line) => {
                refuse_references(line, self.reader);
                if line.value.trim_end().contains('\n') { lines(line) } else { shell(line.value.trim_end(), line.span) }
            }
            model::Command::Exec(args) => {
                args.iter().for_each(|arg| refuse_references(arg, self.reader));
                let span = args.first().map_or(Span::default(), |arg| arg.span);
                let args = args.iter().map(|arg| Bytes::from(arg.value.as_str())).collect();
                Command { args, shell: false, documents: Vec::new(), span }
            }
        }
    }

    pub(super) fn cache(&mut self, cache: &'s CacheUse) -> Option<OptKind> {
        let (name, cache, at) = match cache {
            CacheUse::Here(cache) => (None, &**cache, cache.span),
            CacheUse::Named(name) => {
                let known = self.spec.caches();
                let Some(found) = model::find(known, &name.value) else {
                    let message = format!("there is no cache {}", ast::quote(name.value.as_bytes()));
                    let names = known.iter().map(|(name, _)| name.value.as_str());
                    let message = ast::with_suggestion(message, ast::suggest(&name.value, names));
                    self.error(message, name.span, format!("declare it: [cache.{}], with a path", name.value));
                    return None;
                };
                (Some(name), found, name.span)
            }
        };
        let Some(path) = &cache.path else {
            self.error("the cache has no path", at, "say where it is mounted: path = \"/root/.cache\"");
            return None;
        };
        Some(OptKind::Mount(self.cache_mount(name, cache, path)))
    }

    fn cache_mount(&mut self, name: Option<&Text>, cache: &'s Cache, path: &Text) -> Mount {
        let mut fields = vec![field("type", Some(literal("cache", path.span)), path.span)];
        fields.push(field("target", Some(self.template(path)), path.span));
        let id = cache.id.as_ref().or(name);
        if id.is_some() || cache.per.is_some() {
            let mut text = id.map_or_else(|| path.value.clone(), |id| id.value.clone());
            let per = cache.per.iter().flatten();
            text.extend(per.filter_map(|per| self.kept_apart_by(per)));
            let id = self.template(&Text { value: text, span: path.span });
            fields.push(field("id", Some(id), path.span));
        }
        if let Some(seed) = &cache.seed {
            fields.extend(self.mount_source(seed).into_iter().flatten());
        }
        if let Some(share) = cache.share {
            fields.push(field("sharing", Some(literal(share.word(), path.span)), path.span));
        }
        fields.extend(self.owned(cache.uid.as_ref(), cache.gid.as_ref(), cache.mode.as_ref()));
        if cache.readonly.is_some_and(|readonly| readonly.value) {
            fields.push(field("readonly", None, path.span));
        }
        mount(fields)
    }

    /// What is added to the id of a cache that is kept apart by something.
    fn kept_apart_by(&mut self, per: &Text) -> Option<String> {
        match per.value.as_str() {
            "platform" => Some("-${target.os}-${target.arch}${target.variant}".to_owned()),
            "stage" => Some(format!("-{}", self.stage_name)),
            name if self.spec.vars().iter().any(|(var, _)| var.value == name) => Some(format!("-${{var.{name}}}")),
            name => {
                let message = format!("a cache is not kept apart by {}", ast::quote(name.as_bytes()));
                let vars = self.spec.vars().iter().map(|(name, _)| name.value.as_str());
                let suggestion = ast::suggest(name, vars.chain(["platform", "stage"]));
                let message = ast::with_suggestion(message, suggestion);
                self.error(message, per.span, "say platform, stage, or the name of a variable");
                None
            }
        }
    }

    fn secret(&mut self, secret: &'s model::Secret) -> Mount {
        let mut fields = vec![field("type", Some(literal("secret", secret.span)), secret.span)];
        if secret.id.is_none() {
            self.error("the secret has no id", secret.span, "say what --secret calls it: id = \"token\"");
        }
        for (key, value) in [("id", &secret.id), ("target", &secret.path), ("env", &secret.env)] {
            if let Some(value) = value {
                fields.push(field(key, Some(self.template(value)), value.span));
            }
        }
        fields.extend(self.owned(secret.uid.as_ref(), secret.gid.as_ref(), secret.mode.as_ref()));
        fields.push(self.required(secret.required, secret.span));
        mount(fields)
    }

    fn ssh(&mut self, ssh: &'s model::Ssh) -> Mount {
        let mut fields = vec![field("type", Some(literal("ssh", ssh.span)), ssh.span)];
        for (key, value) in [("id", &ssh.id), ("target", &ssh.path)] {
            if let Some(value) = value {
                fields.push(field(key, Some(self.template(value)), value.span));
            }
        }
        fields.extend(self.owned(ssh.uid.as_ref(), ssh.gid.as_ref(), ssh.mode.as_ref()));
        fields.push(self.required(ssh.required, ssh.span));
        mount(fields)
    }

    /// Owner and mode of what is mounted.
    fn owned(&mut self, uid: Option<&Scalar>, gid: Option<&Scalar>, mode: Option<&Text>) -> Vec<MountField> {
        let said = [("uid", uid.map(|uid| &uid.0)), ("gid", gid.map(|gid| &gid.0)), ("mode", mode)];
        let mut fields = Vec::new();
        for (key, value) in said {
            if let Some(value) = value {
                fields.push(field(key, Some(self.template(value)), value.span));
            }
        }
        fields
    }

    fn required(&self, said: Option<At<bool>>, span: Span) -> MountField {
        let word = if said.is_none_or(|said| said.value) { "true" } else { "false" };
        field("required", Some(literal(word, span)), span)
    }

    fn mount(&mut self, said: &'s model::Mount) -> Option<Mount> {
        let Some(to) = &said.to else {
            self.error("the mount does not say where it is", said.span, "say to = \"/PATH\"");
            return None;
        };
        let target = field("target", Some(self.template(to)), to.span);
        if said.tmpfs.is_some_and(|tmpfs| tmpfs.value) {
            let mut fields = vec![field("type", Some(literal("tmpfs", said.span)), said.span), target];
            if let Some(size) = &said.size {
                fields.push(field("size", Some(self.template(size)), size.span));
            }
            return Some(mount(fields));
        }
        let Some(from) = &said.from else {
            self.error("the mount says neither `from` nor `tmpfs`", said.span, "say from = \"SOURCE\" or tmpfs = true");
            return None;
        };
        let mut fields = vec![field("type", Some(literal("bind", said.span)), said.span), target];
        fields.extend(self.mount_source(from)?);
        if said.writable.is_some_and(|writable| writable.value) {
            fields.push(field("rw", None, said.span));
        }
        Some(mount(fields))
    }

    /// The fields that say what is mounted.
    pub(super) fn mount_source(&mut self, reference: &'s Text) -> Option<Vec<MountField>> {
        let (origin, path) = self.origin(reference)?;
        let span = reference.span;
        let (from, path) = match origin {
            super::copy::Origin::Context => (None, path),
            super::copy::Origin::Defined(name) => (Some(literal(name, span)), path),
            super::copy::Origin::Source(name, source) => {
                if !self.check_source(name, source) {
                    return None;
                }
                if let Some(local) = &source.local {
                    let path =
                        path.map_or_else(|| local.value.clone(), |path| format!("{}/{}", local.value, path.value));
                    (None, Some(Text { value: path, span }))
                } else if let Some(from) = self.filesystem(name, source) {
                    (Some(from), path)
                } else {
                    (Some(literal(&self.fetch_apart(name, source), span)), path)
                }
            }
        };
        let mut fields: Vec<MountField> = from.map(|from| field("from", Some(from), span)).into_iter().collect();
        if let Some(path) = path {
            fields.push(field("source", Some(self.template(&path)), span));
        }
        Some(fields)
    }
}

fn span_of(texts: &Option<Vec<Text>>) -> Option<Span> {
    texts.as_ref()?.first().map(|text| text.span)
}

/// A command line.
pub(super) fn shell(line: &str, span: Span) -> Command {
    Command { args: [line.into()].into(), shell: true, documents: Vec::new(), span }
}

/// Several lines: a document, which the shell runs, or the program that its first line names.
fn lines(text: &Text) -> Command {
    let mut content = text.value.clone();
    if !content.ends_with('\n') {
        content.push('\n');
    }
    let document = Document {
        name: "EOF".to_owned(),
        content: content.as_str().into(),
        expand: false,
        chomp: false,
        opener: text.span,
        span: text.span,
    };
    Command { args: ["<<'EOF'".into()].into(), shell: true, documents: vec![document], span: text.span }
}

pub(super) fn field(key: &str, value: Option<Str>, span: Span) -> MountField {
    MountField { key: key.to_owned(), value, span }
}

/// A mount, with the text that says it.
pub(super) fn mount(fields: Vec<MountField>) -> Mount {
    let text: Vec<String> = fields
        .iter()
        .map(|field| match &field.value {
            Some(value) => format!("{}={}", field.key, value.raw().lossy()),
            None => field.key.clone(),
        })
        .collect();
    Mount { raw: text.join(",").as_str().into(), fields }
}
