//! How things stand in a stage: what processes start with, and what its image is told.

use std::collections::BTreeSet;

use ast::{Command, Op, Pair, Span, Step};
use oci::ContainerConfig;

use super::Unfolding;
use super::steps::step;

/// Where programs are in an image that does not say so.
pub(in crate::convert) const NOTHING_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How things stand in a stage: what processes start with, and what its image is told.
#[derive(Clone, Default)]
pub(super) struct Settings {
    pub(super) env: Vec<(String, String)>,
    /// Parameters that are declared, which processes see.
    args: Vec<String>,
    pub(super) dir: String,
    pub(super) user: String,
    told: ContainerConfig,
}

/// What a later process, or the image, starts with.
pub(super) struct Wanted {
    pub(super) env: Vec<(String, String)>,
    pub(super) dir: String,
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

pub(in crate::convert) fn pairs(env: &[String]) -> Vec<(String, String)> {
    let pair = |entry: &String| {
        let (key, value) = entry.split_once('=').unwrap_or((entry, ""));
        (key.to_owned(), value.to_owned())
    };
    env.iter().map(pair).collect()
}

pub(super) fn value<'e>(env: &'e [(String, String)], key: &str) -> Option<&'e str> {
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

    pub(super) fn seen(&self, unfolding: &Unfolding<'_>, key: &str) -> Option<String> {
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
        self.tell_process(unfolding, told, at, steps);
        let own: Vec<_> = told.labels.iter().filter(|(key, value)| self.told.labels.get(*key) != Some(value)).collect();
        let labels: Vec<(String, String)> = own.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        if !labels.is_empty() {
            let pairs = self.written(unfolding, &labels, at, steps);
            steps.push(step(Op::Label(pairs), Vec::new(), at));
        }
        let fresh =
            |known: &BTreeSet<String>, all: &BTreeSet<String>| all.difference(known).cloned().collect::<Vec<_>>();
        let ports = fresh(&self.told.exposed_ports, &told.exposed_ports);
        let ports = self.declared(unfolding, &ports, at, steps);
        let volumes = fresh(&self.told.volumes, &told.volumes);
        let volumes = self.declared(unfolding, &volumes, at, steps);
        if !ports.is_empty() {
            steps.push(step(Op::Expose(ports), Vec::new(), at));
        }
        if !volumes.is_empty() {
            steps.push(step(Op::Volume(volumes), Vec::new(), at));
        }
        if told.stop_signal.is_empty() && !self.told.stop_signal.is_empty() {
            unfolding.say_not(at, "a signal that is taken back");
        } else if told.stop_signal != self.told.stop_signal {
            let (signal, params) = unfolding.text(&told.stop_signal, at);
            self.declare(unfolding, &params, at, steps);
            steps.push(step(Op::StopSignal(signal), Vec::new(), at));
        }
    }

    fn tell_process(&self, unfolding: &mut Unfolding<'_>, told: &ContainerConfig, at: Span, steps: &mut Vec<Step>) {
        let args = [&told.entrypoint, &told.cmd].into_iter().flatten();
        let marked: BTreeSet<_> = args.flat_map(|arg| unfolding.text(arg, at).1).collect();
        let params: Vec<_> = marked.iter().filter_map(|name| unfolding.declared(name)).collect();
        for param in params {
            unfolding.say_not(param.name.span, "a parameter in the process of an image");
        }
        let command = |args: &[String]| Command {
            args: args.iter().map(|arg| unfolding.as_usual(arg).into()).collect(),
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
    pub(super) fn set(
        &mut self,
        unfolding: &mut Unfolding<'_>,
        fresh: &[(String, String)],
        at: Span,
        steps: &mut Vec<Step>,
    ) {
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

    pub(super) fn written(
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

    /// Texts whose parameters are declared.
    fn declared(
        &mut self,
        unfolding: &Unfolding<'_>,
        texts: &[String],
        at: Span,
        steps: &mut Vec<Step>,
    ) -> Vec<ast::Str> {
        let mut all = Vec::new();
        for text in texts {
            let (text, params) = unfolding.text(text, at);
            self.declare(unfolding, &params, at, steps);
            all.push(text);
        }
        all
    }

    /// Declares parameters that a text mentions.
    pub(super) fn declare(&mut self, unfolding: &Unfolding<'_>, names: &[String], at: Span, steps: &mut Vec<Step>) {
        for name in names {
            let Some(param) = unfolding.declared(name).filter(|_| !self.args.contains(name)) else { continue };
            steps.push(step(Op::Arg(vec![param]), Vec::new(), at));
            self.args.push(name.clone());
        }
    }
}
