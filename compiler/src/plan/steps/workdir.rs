//! `WORKDIR`: makes the directory and goes there.

use ast::Str;
use llb::FileActionKind;

use crate::plan::build::{FileChain, Said, UNDRAWN};
use crate::plan::go;
use crate::plan::history::Layer;
use crate::plan::notes::NoteKind;
use crate::plan::path;
use crate::plan::planner::Planner;
use crate::plan::stages::{Command, StageId};
use crate::plan::state::State;
use crate::plan::stop::{Done, Stop};

impl Planner<'_> {
    pub(in crate::plan) fn workdir(
        &mut self,
        id: StageId,
        state: &mut State,
        command: &Command<'_>,
        dir: &Str,
    ) -> Done {
        let dir = self.text(dir, Self::scope(state, command))?;
        // parity: only the first of a chain of stages is looked at; mending it mends all.
        if !state.dir_set && !path::is_absolute(&dir, &state.platform.os) {
            self.note_at(command, NoteKind::RelativeWorkdir { path: dir.clone() });
        }
        state.dir_set = true;
        enter(state, &dir)?;
        let mut layer = Layer::Empty;
        if state.dir != "/" {
            self.make_dir(id, state, command);
            layer = Layer::Made;
        }
        self.commit(state, |state| ["WORKDIR ", &state.dir].concat(), layer);
        Ok(())
    }

    fn make_dir(&mut self, id: StageId, state: &mut State, command: &Command<'_>) {
        if !self.draws() {
            state.root = Some(UNDRAWN);
            return;
        }
        let mut chain = FileChain::on(state.root);
        let user = &state.image.config.user;
        chain.act(FileActionKind::Mkdir {
            path: go::clean(&state.dir).into_owned(),
            mode: 0o755,
            make_parents: true,
            owner: (!user.is_empty()).then(|| chain.owner(user)),
            timestamp: self.epoch.map_or(-1, |seconds| seconds.wrapping_mul(1_000_000_000)),
        });
        let text = self.shown_words(&command.step.text, &state.env);
        let number = self.next_step(id);
        let name = self.step_name(number, command.trigger, &text, Some(&state.platform), Some(&state.env));
        let said = Said::named(name).at(self.location(Some(command.span())));
        state.root = Some(chain.finish(&mut self.shared.graph, said));
    }
}

/// Goes to a directory, in processes and in the image.
pub(in crate::plan) fn enter(state: &mut State, dir: &str) -> Done {
    let os = &state.platform.os;
    let dir = path::normalize(&state.image.config.working_dir, dir, os, false);
    let dir =
        dir.map_err(|message| Stop::error(format!("normalizing workdir: normalizing working directory: {message}")))?;
    let stored = path::from_slash(&dir, os);
    if state.image.config.working_dir != stored {
        state.image_mut().config.working_dir = stored;
    }
    state.dir = dir;
    Ok(())
}
