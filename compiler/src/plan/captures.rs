//! What an outline tells of a build: arguments, secrets, agents and caches, as planning met them.
//!
//! Collected only for an outline. Spans lead back to the text, where documentation stands.

use std::collections::BTreeSet;

use ast::Span;

use super::expand::Uses;
use super::stages::{Command, StageId};
use super::steps::arg::Given;

/// Everything met.
#[derive(Clone, Debug, Default)]
pub struct Captures {
    /// Arguments of the module, in file order.
    pub globals: Vec<ArgCapture>,
    /// **Shape**: one per stage, anonymous ones included.
    pub stages: Vec<StageCapture>,
    /// The stage that is built.
    pub target: usize,
    on: bool,
}

/// What was met in one stage.
#[derive(Clone, Debug, Default)]
pub struct StageCapture {
    /// Names of arguments of the module that its `FROM` uses.
    pub used: BTreeSet<String>,
    /// Arguments it declares, in file order.
    pub args: Vec<ArgCapture>,
    /// Secrets it mounts: the first of each id.
    pub secrets: Vec<MountCapture>,
    /// Agents it mounts: the first of each id.
    pub ssh: Vec<MountCapture>,
    /// Caches it mounts: the first of each id.
    pub caches: Vec<MountCapture>,
    /// The stage it is built on.
    pub base: Option<usize>,
    /// The stages it reads from.
    pub deps: Vec<usize>,
}

/// An argument.
#[derive(Clone, Debug)]
pub struct ArgCapture {
    /// The instruction.
    pub step: Span,
    /// Which of its arguments.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// Its value, if it has one and it is known.
    pub value: Option<String>,
    /// Whether it only passes on the argument of the module.
    pub inherited: bool,
    /// Names of arguments its default uses.
    pub uses: Vec<String>,
}

/// A secret, an agent, or a cache.
#[derive(Clone, Debug)]
pub struct MountCapture {
    /// Its id.
    pub id: String,
    /// Whether it must be there.
    pub required: bool,
    /// The instruction.
    pub step: Span,
}

impl Captures {
    /// Of one definition, of which nothing else is to be told.
    pub(super) fn of(target: usize) -> Self {
        Self { target, ..Self::default() }
    }

    /// Collects, or does not.
    pub(super) fn new(on: bool) -> Self {
        Self { on, ..Self::default() }
    }

    /// The names to note in what is captured.
    pub(super) fn uses(&self) -> Uses {
        if self.on { Uses::default() } else { Uses::of_unset() }
    }

    fn stage(&mut self, id: StageId) -> Option<&mut StageCapture> {
        if !self.on {
            return None;
        }
        if self.stages.len() <= id {
            self.stages.resize_with(id + 1, StageCapture::default);
        }
        self.stages.get_mut(id)
    }

    /// Names a `FROM` uses.
    pub(super) fn from(&mut self, id: StageId, uses: &Uses) {
        if let Some(stage) = self.stage(id) {
            stage.used.extend(uses.matched.iter().cloned());
        }
    }

    /// A stage that something else takes the place of uses nothing.
    pub(super) fn forget(&mut self, id: StageId) {
        if let Some(stage) = self.stage(id) {
            stage.used.clear();
        }
    }

    /// An argument of the module.
    pub(super) fn global(&mut self, step: Span, index: usize, name: &str, value: Option<&str>, uses: Vec<String>) {
        if self.on {
            let value = value.map(str::to_owned);
            self.globals.push(ArgCapture { step, index, name: name.to_owned(), value, inherited: false, uses });
        }
    }

    /// An argument of a stage.
    pub(super) fn stage_arg(&mut self, id: StageId, command: &Command<'_>, index: usize, name: &str, given: &Given) {
        let Some(stage) = self.stage(id) else { return };
        let (value, inherited) = match given {
            Given::Nothing => (None, false),
            Given::Value { value, inherited } => (value.as_ref().map(ToString::to_string), *inherited),
        };
        let uses = Vec::new();
        stage.args.push(ArgCapture { step: command.span(), index, name: name.to_owned(), value, inherited, uses });
    }

    /// A secret of a stage.
    pub(super) fn secret(&mut self, id: StageId, command: &Command<'_>, secret: &str, required: bool) {
        if let Some(stage) = self.stage(id) {
            add_first(&mut stage.secrets, secret, required, command.span());
        }
    }

    /// An agent of a stage; the unnamed one is `default`.
    pub(super) fn ssh(&mut self, id: StageId, command: &Command<'_>, agent: &str, required: bool) {
        let agent = if agent.is_empty() { "default" } else { agent };
        if let Some(stage) = self.stage(id) {
            add_first(&mut stage.ssh, agent, required, command.span());
        }
    }

    /// A cache of a stage.
    pub(super) fn cache(&mut self, id: StageId, command: &Command<'_>, cache: &str) {
        if let Some(stage) = self.stage(id) {
            add_first(&mut stage.caches, cache, false, command.span());
        }
    }

    /// How stages depend on each other.
    pub(super) fn connect(&mut self, id: StageId, base: Option<StageId>, deps: impl Iterator<Item = StageId>) {
        if let Some(stage) = self.stage(id) {
            stage.base = base;
            stage.deps = deps.collect();
        }
    }
}

fn add_first(list: &mut Vec<MountCapture>, id: &str, required: bool, step: Span) {
    if !list.iter().any(|known| known.id == id) {
        list.push(MountCapture { id: id.to_owned(), required, step });
    }
}
