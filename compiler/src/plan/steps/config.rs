//! Steps that change one field of the image config: `USER`, `VOLUME`, `STOPSIGNAL`, `MAINTAINER`, `ONBUILD`.

use ast::{Str, Text};
use oci::json::lossy;

use super::command::listed;
use super::signal;
use crate::plan::history::Layer;
use crate::plan::planner::Planner;
use crate::plan::stages::Command;
use crate::plan::state::State;
use crate::plan::stop::{Done, Stop};

impl Planner<'_> {
    pub(in crate::plan) fn user(&mut self, state: &mut State, command: &Command<'_>, user: &Str) -> Done {
        let user = self.text(user, Self::scope(state, command))?;
        self.commit(state, |_| ["USER ", &user].concat(), Layer::Empty);
        state.user.clone_from(&user);
        state.image_mut().config.user = user;
        Ok(())
    }

    pub(in crate::plan) fn volume(&mut self, state: &mut State, command: &Command<'_>, volumes: &[Str]) -> Done {
        let scope = Self::scope(state, command);
        let paths = volumes.iter().map(|volume| self.text(volume, scope)).collect::<Done<Vec<_>>>()?;
        for (path, volume) in paths.iter().zip(volumes) {
            if path.is_empty() {
                return Err(Stop::error("VOLUME specified can not be an empty string").point(volume.span));
            }
            state.image_mut().config.volumes.insert(path.clone());
        }
        self.commit(state, |_| format!("VOLUME {}", listed(&paths)), Layer::Empty);
        Ok(())
    }

    pub(in crate::plan) fn stop_signal(&mut self, state: &mut State, command: &Command<'_>, signal: &Str) -> Done {
        let name = self.text(signal, Self::scope(state, command))?;
        if !signal::is_signal(&name) {
            return Err(Stop::error(format!("invalid signal: {name}"))
                .help("a signal is a name such as SIGTERM, or a number other than 0")
                .point(signal.span));
        }
        self.commit(state, |_| format!("STOPSIGNAL {name}"), Layer::Empty);
        state.image_mut().config.stop_signal = name;
        Ok(())
    }

    pub(in crate::plan) fn maintainer(&mut self, state: &mut State, name: &Str) -> Done {
        let name = lossy(name.raw());
        self.commit(state, |_| format!("MAINTAINER {name}"), Layer::Empty);
        state.image_mut().author = name;
        Ok(())
    }

    pub(in crate::plan) fn on_build(&mut self, state: &mut State, text: &Text) -> Done {
        state.image_mut().config.on_build.push(lossy(text));
        Ok(())
    }
}
