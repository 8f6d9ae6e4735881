//! Steps in order: every stage that is needed, from its base on.

use std::rc::Rc;

use ast::Op;

use super::image::DEFAULT_PATH;
use super::planner::{CommandScope, Planner};
use super::stages::{Command, StageId, StageSet};
use super::state::{Once, State};
use super::steps;
use super::stop::{Done, Stop};

impl Planner<'_> {
    /// Plans the steps of all stages that are needed.
    pub(super) fn dispatch(&mut self, needed: &StageSet, target: StageId) {
        if let Err(stop) = self.read_ignore_file() {
            self.report(stop);
        }
        let all = self.wants_all();
        let is_planned = |planner: &Self, id: StageId| {
            let stage = &planner.stages[id];
            !stage.anonymous && (all || (needed.contains(id) && !stage.dispatched))
        };
        self.count_heirs(target);
        let recorded = self.ancestors(target);
        let steps = needed.iter().map(|id| self.stages[id].commands.len()).sum();
        self.shared.graph.nodes.reserve(if self.draws() { steps } else { 0 });
        for id in 0..self.stages.len() {
            if (self.request.stopped)() {
                return;
            }
            if is_planned(self, id) {
                self.dispatch_stage(id, recorded.contains(id));
            }
        }
        let paths = self.stages[target].paths;
        self.paths.mark_all(paths);
    }

    /// The last heir of a stage takes its state, the others get copies: long chains stay cheap.
    fn count_heirs(&mut self, target: StageId) {
        for id in 0..self.stages.len() {
            if let Some(base) = self.stages[id].base {
                self.stages[base].heirs += 1;
            }
        }
        self.stages[target].heirs += 1;
    }

    /// A stage and those that it is built on: the history of its image is theirs.
    fn ancestors(&self, id: StageId) -> StageSet {
        let mut ancestors = StageSet::none_of(self.stages.len());
        let mut next = Some(id);
        while let Some(id) = next {
            ancestors.insert(id);
            next = self.stages[id].base;
        }
        ancestors
    }

    fn dispatch_stage(&mut self, id: StageId, recorded: bool) {
        let Some(mut state) = self.begin(id) else { return };
        state.recorded = recorded;
        self.stages[id].dispatched = true;
        if let Err(stop) = self.prepare(&mut state) {
            let stop = self.at(stop, self.stages[id].span);
            self.report(stop);
        }
        // Nothing looks at the commands of a stage while they are planned.
        let commands = std::mem::take(&mut self.stages[id].commands);
        for command in &commands {
            if !command.trigger {
                self.watch(command.span(), &state.env);
            }
            if let Err(stop) = self.step(id, &mut state, command) {
                let stop = self.at(stop, Some(command.span()));
                self.report(stop);
                // Whatever the step would have set, what follows cannot rely on it.
                state.env.incomplete = true;
            }
        }
        self.stages[id].commands = commands;
        self.stages[id].scanned = self.scanned(id, Some(&state.args));
        self.stages[id].root = state.root;
        // Large builds have thousands of stages that are copied from, and nothing else.
        self.stages[id].state = Some(state).filter(|_| self.stages[id].heirs > 0);
    }

    /// The state a stage starts with: its base's.
    fn begin(&mut self, id: StageId) -> Option<Box<State>> {
        let Some(base) = self.stages[id].base else { return self.stages[id].state.take() };
        let parent = &mut self.stages[base];
        parent.heirs -= 1;
        let state = if parent.heirs == 0 { parent.state.take() } else { parent.state.clone() };
        let (platform, paths) = (parent.platform.clone(), parent.paths);
        let stage = &mut self.stages[id];
        stage.platform = platform;
        stage.paths = paths;
        let mut state = state?;
        if !state.image.config.on_build.is_empty() {
            state.image_mut().config.on_build.clear();
        }
        state.once = Once::default();
        Some(state)
    }

    /// What processes get from the image, whatever the base set since.
    fn prepare(&mut self, state: &mut State) -> Done {
        let complete = state.is_complete();
        if complete && state.platform.os != "windows" && state.image_env.get("PATH").is_none() {
            state.image_env.push("PATH".into(), Some(DEFAULT_PATH.into()));
        }
        for (key, value) in state.image_env.iter() {
            let value = value.clone().unwrap_or_else(|| Rc::from(""));
            state.env.set(key.clone(), Some(value));
        }
        if !self.settings.process.hostname.is_empty() {
            state.hostname.clone_from(&self.settings.process.hostname);
        }
        state.network = self.settings.process.network;
        if !state.image.config.user.is_empty() {
            state.user.clone_from(&state.image.config.user);
        }
        if !state.image.config.working_dir.is_empty() {
            let dir = state.image.config.working_dir.clone();
            steps::workdir::enter(state, &dir)?;
        }
        Ok(())
    }

    /// Plans one step, unless its condition does not hold.
    fn step(&mut self, id: StageId, state: &mut State, command: &Command<'_>) -> Done {
        if !command.trigger && self.is_wrong(&command.step) {
            // Whatever it was meant to set, what follows cannot rely on it.
            state.env.incomplete = true;
            return Ok(());
        }
        if !self.is_taken(state, command)? {
            self.skip_step(id, &command.step);
            return Ok(());
        }
        self.take(id, state, command)
    }

    fn take(&mut self, id: StageId, state: &mut State, command: &Command<'_>) -> Done {
        match &command.step.op {
            Op::From(_) | Op::Hole => Ok(()),
            Op::Call(call) => {
                Err(Stop::error(format!("a stage calls no functions: {}", call.name.text)).point(call.span))
            }
            Op::Value(value) => Err(Stop::error("a stage has no values").point(value.span)),
            Op::Run(run) => self.run(id, state, command, run),
            Op::Copy(copy) => self.copy(id, state, command, copy, steps::copy::Kind::Copy),
            Op::Add(copy) => self.copy(id, state, command, copy, steps::copy::Kind::Add),
            Op::Dir(dir) => self.workdir(id, state, command, dir),
            Op::Arg(params) => self.arg(id, state, command, params),
            Op::Env(pairs) => self.env(state, command, pairs),
            Op::Label(pairs) => self.label(state, command, pairs),
            Op::User(user) => self.user(state, command, user),
            Op::Shell(words) => self.shell(state, words),
            Op::Cmd(cmd) => self.cmd(state, command, cmd),
            Op::Entrypoint(entrypoint) => self.entrypoint(state, command, entrypoint),
            Op::Expose(ports) => self.expose(state, command, ports),
            Op::Volume(volumes) => self.volume(state, command, volumes),
            Op::StopSignal(signal) => self.stop_signal(state, command, signal),
            Op::Healthcheck(check) => self.healthcheck(state, command, check),
            Op::Maintainer(name) => self.maintainer(state, name),
            Op::OnBuild(text) => self.on_build(state, text),
            Op::Mkdir(path) => self.mkdir(id, state, command, path),
            Op::Remove(paths) => self.remove(id, state, command, paths),
        }
    }

    /// Where a command's words are expanded.
    pub(super) fn scope<'s, 'c>(state: &'s State, command: &'s Command<'c>) -> CommandScope<'s, 'c> {
        CommandScope { env: &state.env, args: &state.args, command }
    }

    /// Adds a history entry, where anybody will see it.
    pub(super) fn commit(
        &mut self,
        state: &mut State,
        created_by: impl FnOnce(&State) -> String,
        layer: super::history::Layer,
    ) {
        if self.records(state) {
            let created_by = created_by(state);
            state.history = self.shared.history.add(state.history, created_by, layer, self.epoch);
        }
    }

    /// Whether anybody will see the history of a stage.
    pub(super) fn records(&self, state: &State) -> bool {
        state.recorded && self.request.module.dialect.history && self.draws()
    }
}
