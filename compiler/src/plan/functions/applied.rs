//! Builtins, each to the file that knows it; an exhaustive match, so that a new one is not forgotten.

use ast::builtin::Builtin;
use ast::{Span, types};

use super::super::stop::{Done, Stop};
use super::Evaluator;
use super::call::Application;
use super::value::{Applied, Fs, Value};

impl Application<'_> {
    /// An argument, by its number.
    pub(super) fn arg(&self, at: usize) -> Done<Value> {
        self.args.get(at).cloned().ok_or(Stop::Unknown)
    }

    pub(super) fn text(&self, at: usize) -> Done<String> {
        self.arg(at)?.text().map_err(|stop| stop.point(self.span(at)))
    }

    pub(super) fn int(&self, at: usize) -> Done<i64> {
        self.arg(at)?.int().map_err(|stop| stop.point(self.span(at)))
    }

    pub(super) fn fs(&self, at: usize) -> Done<Box<Fs>> {
        self.arg(at)?.fs().map_err(|stop| stop.point(self.span(at)))
    }

    /// All arguments from one on, as strings.
    pub(super) fn texts(&self, from: usize) -> Done<Vec<String>> {
        (from..self.args.len()).map(|at| self.text(at)).collect()
    }

    /// Where an argument stands.
    pub(super) fn span(&self, at: usize) -> Span {
        self.spans.get(at).or(self.spans.last()).copied().unwrap_or(self.at())
    }

    /// Where the call stands.
    pub(super) fn at(&self) -> Span {
        self.trace.spans().next().unwrap_or_default()
    }

    /// Whether an option is there.
    pub(super) fn has(&self, builtin: Builtin) -> bool {
        self.options.iter().any(|option| option.builtin == builtin)
    }

    /// The last option of a kind: it is the one that counts.
    pub(super) fn last(&self, builtin: Builtin) -> Option<&Applied> {
        self.options.iter().rev().find(|option| option.builtin == builtin)
    }
}

impl Applied {
    pub(super) fn text(&self, at: usize) -> Done<String> {
        self.args.get(at).cloned().ok_or(Stop::Unknown)?.text()
    }

    pub(super) fn int(&self, at: usize) -> Done<i64> {
        self.args.get(at).cloned().ok_or(Stop::Unknown)?.int()
    }

    pub(super) fn texts(&self) -> Done<Vec<String>> {
        self.args.iter().cloned().map(Value::text).collect()
    }

    /// Where an argument stands.
    pub(super) fn span(&self, at: usize) -> Span {
        self.spans.get(at).copied().or_else(|| self.trace.spans().next()).unwrap_or_default()
    }
}

impl Evaluator<'_> {
    /// Applies a builtin to a value.
    pub(super) fn apply(&mut self, call: Application<'_>, value: Value) -> Done<Value> {
        if types::is_options(call.row.gives) {
            return self.option(call, value);
        }
        match call.row.builtin {
            Builtin::Scratch => Ok(Value::Fs(Box::new(Fs::scratch(self.platform.clone())))),
            Builtin::Image => self.image(&call),
            Builtin::Http => self.http(&call),
            Builtin::Git => self.git(&call),
            Builtin::Local => self.local(&call),
            Builtin::Frontend => self.frontend(&call),
            Builtin::Dockerfile => self.dockerfile(&call),
            Builtin::Shell => Err(Stop::error("unrecognized builtin `shell`")
                .help("HLB declares it and gives it no meaning; `run \"bash\" \"-c\" \"…\"` runs a shell")
                .point(call.at())),
            Builtin::Run => self.run(&call, value),
            Builtin::Mkdir | Builtin::Mkfile | Builtin::Rm => self.file(&call, value),
            Builtin::Copy => self.copy(&call, value),
            Builtin::Merge => self.merge(&call, value),
            Builtin::Diff => self.diff(&call, value),
            Builtin::Env
            | Builtin::Dir
            | Builtin::User
            | Builtin::Entrypoint
            | Builtin::Cmd
            | Builtin::Label
            | Builtin::Expose
            | Builtin::Volumes
            | Builtin::StopSignal => self.meta(&call, value),
            Builtin::DockerPush
            | Builtin::DockerLoad
            | Builtin::Download
            | Builtin::DownloadTarball
            | Builtin::DownloadOciTarball
            | Builtin::DownloadDockerTarball => self.export(&call, value),
            Builtin::Format
            | Builtin::Template
            | Builtin::LocalArch
            | Builtin::LocalCwd
            | Builtin::LocalEnv
            | Builtin::LocalOs
            | Builtin::LocalRun
            | Builtin::Manifest => self.string(&call).map(Value::Text),
            Builtin::Stage => self.stage(&call, value),
            // Everything else gives options.
            _ => Err(Stop::Unknown),
        }
    }

    /// An option joins those before it.
    fn option(&mut self, call: Application<'_>, value: Value) -> Done<Value> {
        self.check_option(&call)?;
        let mut all = value.options()?;
        all.push(Applied {
            builtin: call.row.builtin,
            args: call.args,
            spans: call.spans,
            options: call.options,
            bound: call.effect.map(|(_, keyword)| keyword),
            trace: call.trace.clone(),
        });
        Ok(Value::Options(all))
    }

    fn stage(&mut self, call: &Application<'_>, value: Value) -> Done<Value> {
        let at_once = super::value::Request::parallel(call.args.iter().cloned().map(Value::request));
        Ok(Value::Request(value.request().then(at_once)))
    }
}
