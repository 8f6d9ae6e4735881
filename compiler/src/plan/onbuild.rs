//! Triggers: instructions that an image, or the stage built on, keeps for its heirs. They run first, once.

use ast::{Op, Text};

use super::planner::Planner;
use super::stages::{Command, StageId, StageSet, StepRef};
use super::stop::{Done, Stop};

impl<'a> Planner<'a> {
    /// Adds the triggers of every stage's base. `true`: they may need stages that were not needed before.
    pub(super) fn add_triggers(&mut self, reachable: &StageSet) -> bool {
        let mut found = false;
        for id in reachable.iter() {
            let texts = self.take_triggers(id);
            if texts.is_empty() {
                continue;
            }
            let span = self.stages[id].span;
            let mut commands = Vec::with_capacity(texts.len());
            for text in texts {
                match self.trigger(id, &text) {
                    Ok(command) => commands.push(command),
                    Err(Stop::Error(mut diagnostic)) => {
                        // Wherever it went wrong, what is reported is the instruction that brought it in.
                        diagnostic.locations = None;
                        let stop = self.at(Stop::Error(diagnostic), span);
                        self.report(stop);
                    }
                    Err(Stop::Unknown) => {}
                }
            }
            found |= commands.iter().any(|command| !command.sources.is_empty());
            self.stages[id].total += commands.len();
            self.add_commands(id, commands, true);
        }
        found
    }

    /// The triggers that a stage has not run yet: those of its image, or those that the steps of its base keep.
    fn take_triggers(&mut self, id: StageId) -> Vec<Text> {
        let stage = &mut self.stages[id];
        let of_image = stage.state.as_mut().filter(|state| !state.image.config.on_build.is_empty());
        let of_image = of_image.map(|state| std::mem::take(&mut state.image_mut().config.on_build));
        let mut texts: Vec<Text> = of_image.unwrap_or_default().iter().map(|text| Text::from(text.as_str())).collect();
        if let Some(base) = stage.base.filter(|_| !stage.triggered) {
            let kept = |command: &Command<'_>| match &command.step.op {
                Op::OnBuild(text) => Some(text.clone()),
                _ => None,
            };
            texts.extend(self.stages[base].commands.iter().filter_map(kept));
            self.stages[id].triggered = true;
        }
        texts
    }

    fn trigger(&mut self, id: StageId, text: &Text) -> Done<Command<'a>> {
        let Some(parse) = self.request.trigger else {
            return Err(Stop::error("this language has no instructions that images could keep"));
        };
        let at = self.stages[id].span.unwrap_or(ast::Span::new(self.request.module.file, 0, 0));
        let step = parse(text, at, self.escape).map_err(Stop::Error)?;
        self.connect(StepRef::Trigger(Box::new(step)), true)
    }
}
