//! Directories that are made and paths that are removed, each as a layer of its own.

use ast::{OptKind, Str};
use llb::FileActionKind;

use super::mode::{self, Mode};
use crate::plan::build::{FileChain, Said};
use crate::plan::history::Layer;
use crate::plan::path;
use crate::plan::planner::Planner;
use crate::plan::stages::{Command, StageId};
use crate::plan::state::State;
use crate::plan::stop::{Done, Stop};

/// A path as it is when it is absolute, else below the directory.
pub(super) fn inside(dir: &str, path: &str, os: &str) -> Done<String> {
    path::normalize(dir, path, os, false).map_err(Stop::error)
}

impl Planner<'_> {
    /// Makes a directory and those above it.
    pub(in crate::plan) fn mkdir(&mut self, id: StageId, state: &mut State, command: &Command<'_>, path: &Str) -> Done {
        let path = inside(&state.dir, &self.text(path, Self::scope(state, command))?, &state.platform.os)?;
        let owner =
            self.option(state, command, |kind| if let OptKind::Chown(owner) = kind { Some(owner) } else { None })?;
        let mode =
            self.option(state, command, |kind| if let OptKind::Chmod(mode) = kind { Some(mode) } else { None })?;
        let mode = match mode::parse(&mode)? {
            Mode::Keep => 0o755,
            Mode::Bits(bits) => bits,
            Mode::Symbolic(_) => return Err(Stop::error("the mode of a new directory must be octal, such as 0755")),
        };
        let mut chain = FileChain::on(state.root);
        let owner = (!owner.is_empty()).then(|| chain.owner(&owner));
        let timestamp = self.epoch.map_or(-1, |seconds| seconds.wrapping_mul(1_000_000_000));
        let created_by = format!("MKDIR {path}");
        chain.act(FileActionKind::Mkdir { path, mode, make_parents: true, owner, timestamp });
        self.finish_files(id, state, command, chain, created_by);
        Ok(())
    }

    /// Removes what patterns match; what is not there is no error.
    pub(in crate::plan) fn remove(
        &mut self,
        id: StageId,
        state: &mut State,
        command: &Command<'_>,
        paths: &[Str],
    ) -> Done {
        let mut chain = FileChain::on(state.root);
        let mut created_by = String::from("REMOVE");
        for path in paths {
            let path = inside(&state.dir, &self.text(path, Self::scope(state, command))?, &state.platform.os)?;
            created_by.extend([" ", &path]);
            chain.act(FileActionKind::Rm { path, allow_not_found: true, allow_wildcard: true });
        }
        self.finish_files(id, state, command, chain, created_by);
        Ok(())
    }

    fn option(&mut self, state: &State, command: &Command<'_>, wanted: fn(&OptKind) -> Option<&Str>) -> Done<String> {
        match command.step.opts.iter().find_map(|opt| wanted(&opt.kind)) {
            Some(value) => self.text(value, Self::scope(state, command)),
            None => Ok(String::new()),
        }
    }

    fn finish_files(
        &mut self,
        id: StageId,
        state: &mut State,
        command: &Command<'_>,
        chain: FileChain,
        created_by: String,
    ) {
        let text = self.shown_words(&command.step.text, &state.env);
        let number = self.next_step(id);
        let name = self.step_name(number, command.trigger, &text, Some(&state.platform), Some(&state.env));
        let mut said = Said::named(name).at(self.location(Some(command.span())));
        said.meta.ignore_cache = self.stages[id].ignore_cache;
        state.root = Some(chain.finish(&mut self.shared.graph, said));
        self.commit(state, |_| created_by, Layer::Solved);
    }
}
