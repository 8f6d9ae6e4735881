//! What stages start from: images, named contexts, nothing.
//!
//! Bases of all stages are looked at, but only those of stages that are needed are asked for.

use std::sync::Arc;

use oci::{ImageConfig, Platform, Reference};

use super::build::{self, Said};
use super::image;
use super::notes::NoteKind;
use super::planner::Planner;
use super::stages::{SCRATCH, StageId, StageSet};
use super::state::State;
use super::stop::{Done, Stop};
use crate::plan::Purpose;

/// Images that people mean when they mistype a name.
const COMMON_IMAGES: [&str; 7] = ["alpine", "busybox", "centos", "debian", "golang", "ubuntu", "fedora"];

/// What a stage starts from.
enum Start {
    /// Nothing.
    Scratch,
    /// An image, or whatever takes its place.
    Reference(Reference),
}

impl Planner<'_> {
    /// Resolves the base of every stage that is needed, and the triggers that come with it, which may need more stages.
    pub(super) fn resolve(&mut self, target: StageId) -> StageSet {
        loop {
            let reachable = self.needed(target);
            self.resolve_bases(&reachable);
            if !self.add_triggers(&reachable) {
                return reachable;
            }
        }
    }

    /// The stages that a target needs; where steps are watched, those that theirs need.
    fn needed(&self, target: StageId) -> StageSet {
        if self.request.watch.is_none() {
            return self.reachable([target]);
        }
        self.reachable((0..self.stages.len()).filter(|id| self.is_watched_stage(*id)))
    }

    /// Whether every stage is to be planned, needed or not.
    pub(super) fn wants_all(&self) -> bool {
        self.request.purpose == Purpose::Lint && self.settings.target.is_empty() && self.request.watch.is_none()
    }

    /// Resolves what is not resolved yet. What is wrong without an answer is reported before everything else: BuildKit
    /// looks at all bases at once, and a registry takes longer than it takes to read a reference. What answers show to
    /// be wrong is reported after everything that was noted on the way.
    fn resolve_bases(&mut self, reachable: &StageSet) {
        let open: Vec<StageId> = (0..self.stages.len()).filter(|id| self.is_open(*id)).collect();
        let starts: Vec<Done<Start>> = open.iter().map(|id| self.start(*id)).collect();
        let before = self.shared.findings.len();
        let (mut malformed, mut failed) = (Vec::new(), Vec::new());
        for (id, start) in open.into_iter().zip(starts) {
            let needed = reachable.contains(id) || self.wants_all();
            self.stages[id].resolved = needed;
            let span = self.stages[id].span;
            let answers = self.answers;
            // Only who looks for mistakes is told what could not be asked.
            let written = if self.draws() { "".into() } else { self.stages[id].base_name.clone() };
            let result = match start {
                _ if self.stages[id].broken => Err(Stop::Unknown),
                Ok(Start::Reference(reference)) => self.resolve_base(id, reference, needed),
                Ok(Start::Scratch) => self.start_from_scratch(id),
                Err(stop) => Err(stop),
            };
            if self.stages[id].anonymous {
                self.stages[id].dispatched = true;
            }
            self.report_unreachable(span, &written);
            if let Err(stop) = result {
                let errors = if self.answers == answers { &mut malformed } else { &mut failed };
                errors.push(self.at(stop, span));
                self.stages[id].state = Some(Box::new(self.unknown_state()));
            }
        }
        let noted = self.shared.findings.split_off(before);
        malformed.into_iter().for_each(|stop| self.report(stop));
        self.shared.findings.extend(noted);
        failed.into_iter().for_each(|stop| self.report(stop));
    }

    fn is_open(&self, id: StageId) -> bool {
        let stage = &self.stages[id];
        stage.base.is_none() && !stage.dispatched && !stage.resolved
    }

    /// What a stage starts from.
    fn start(&self, id: StageId) -> Done<Start> {
        let stage = &self.stages[id];
        if stage.broken || stage.base_name == SCRATCH && stage.named.is_none() {
            return Ok(Start::Scratch);
        }
        match Reference::parse(&stage.base_name) {
            Ok(reference) => Ok(Start::Reference(reference.or_latest())),
            Err(error) => {
                let name = ast::quote(stage.base_name.as_bytes());
                Err(Stop::error(format!("failed to parse stage name {name}: {error}")))
            }
        }
    }

    /// A stage whose base is not known: whatever it does, its variables may be anything.
    fn unknown_state(&self) -> State {
        let mut state = State::new(self.target.platform.clone(), ImageConfig::empty((*self.target.platform).clone()));
        state.env.incomplete = true;
        state
    }

    fn start_from_scratch(&mut self, id: StageId) -> Done {
        let platform = self.target.platform.clone();
        // Nothing is built on what has no name: every mount without a source has such a stage.
        if !self.stages[id].anonymous {
            let state = self.scratch.get_or_insert_with(|| State::new(platform.clone(), image::scratch(&platform)));
            let state = Box::new(state.clone());
            self.set_state(id, state);
        }
        self.stages[id].platform = Some(platform);
        Ok(())
    }

    fn resolve_base(&mut self, id: StageId, reference: Reference, needed: bool) -> Done {
        let stage = &mut self.stages[id];
        let name = std::mem::replace(&mut stage.base_name, reference.full().into());
        let platform = self.or_target(self.stages[id].platform.as_ref());
        if needed && self.stages[id].named.is_some() {
            return self.resolve_named(id);
        }
        if !needed {
            // parity: what is not needed now but for a trigger later keeps what was made of it: a stage loses a number, and
            // an image is not pinned.
            let edge = self.add_image(id, &reference.full(), &platform);
            self.stages[id].root = Some(edge);
            self.stages[id].platform = Some(platform);
            return Ok(());
        }
        if self.resolve_context(id, &platform)? {
            Ok(())
        } else {
            self.resolve_registry(id, &name, reference, platform)
        }
    }

    /// A context in place of the stage.
    fn resolve_named(&mut self, id: StageId) -> Done {
        let Some(context) = self.stages[id].named.clone() else { return Ok(()) };
        // Whatever comes of it, the stage itself is not built.
        self.stages[id].dispatched = true;
        let loaded = self.load(&context, Some(self.stages[id].paths))?;
        let mut image = loaded.image.unwrap_or_default();
        // parity: what is no image has no platform, and no config at all.
        let mut state = self.start_from(Arc::default(), &mut image);
        state.root = loaded.edge;
        if !image.platform.os.is_empty() && !image.platform.architecture.is_empty() {
            state.platform = Arc::new(image.platform.clone());
            self.stages[id].platform = Some(state.platform.clone());
        }
        state.adopt(&image);
        self.set_state(id, Box::new(state));
        Ok(())
    }

    /// A context in place of the image. `false`: there is none.
    fn resolve_context(&mut self, id: StageId, platform: &Arc<Platform>) -> Done<bool> {
        if !self.settings.has_contexts {
            return Ok(false);
        }
        let name = self.stages[id].base_name.clone();
        let Some(context) = self.named_context(&name, Some(platform))? else { return Ok(false) };
        let loaded = self.load(&context, Some(self.stages[id].paths))?;
        let (is_image, mut image) = (loaded.image.is_some(), loaded.image.unwrap_or_else(|| image::scratch(platform)));
        let mut state = self.start_from(platform.clone(), &mut image);
        state.root = loaded.edge;
        if is_image {
            state.adopt(&image);
        }
        state.base_image = Some(Arc::new(image));
        state.process_platform = Some(normal(platform));
        self.set_state(id, Box::new(state));
        self.stages[id].platform = Some(platform.clone());
        Ok(true)
    }

    fn resolve_registry(&mut self, id: StageId, name: &str, reference: Reference, platform: Arc<Platform>) -> Done {
        let canonical = self.stages[id].base_name.clone();
        let answer = self.resolve_image(&canonical, Some(&platform), self.settings.resolve_mode);
        let answer = answer.map(|(digest, config)| (digest, ImageConfig::from_json(config)));
        let (digest, image) = answer.map_err(|stop| self.suggest_image(stop, name))?;
        let mut base = image.map_err(|error| Stop::error(format!("failed to parse image config: {error}")))?;
        let platform = if self.stages[id].platform.is_none() && self.target.implicit {
            super::platform::of_image(&base, platform, &self.settings.build_platforms)
        } else {
            platform
        };
        let pinned = digest.map_or(canonical, |digest| reference.with_digest(digest).full().into());
        let mut state = self.start_from(platform.clone(), &mut base);
        if !image::is_scratch(&base) {
            state.root = Some(self.add_image(id, &pinned, &platform));
            state.process_platform = Some(normal(&platform));
            self.note_base_platform(id, name, &platform, &base.platform);
        }
        self.stages[id].base_name = pinned;
        self.stages[id].platform = Some(platform);
        state.base_image = Some(Arc::new(base));
        self.set_state(id, Box::new(state));
        Ok(())
    }

    fn add_image(&mut self, id: StageId, reference: &str, platform: &Arc<Platform>) -> llb::Edge {
        let number = self.next_step(id);
        let name = self.step_name(number, false, &["FROM ", reference].concat(), Some(platform), None);
        let stage = &self.stages[id];
        let text = stage.text.map(|step| step.text.lossy().into_owned()).unwrap_or_default();
        let key = self.request.module.dialect.description_key;
        let said = Said::named(name).describe(key, text).at(self.location(stage.span));
        build::image(&mut self.shared.graph, reference, self.settings.resolve_mode, Some(platform), said)
    }

    /// A stage that starts from an image. What is made of it was not made when that was.
    fn start_from(&mut self, platform: Arc<Platform>, image: &mut ImageConfig) -> State {
        // Stages have those in a form of their own: the copy is made without them.
        let (variables, history) = (std::mem::take(&mut image.config.env), std::mem::take(&mut image.history));
        let mut state = State::new(platform, ImageConfig { created: None, ..image.clone() });
        state.image_env = image::variables(&variables);
        state.history = self.shared.history.extend(None, history.iter().cloned());
        (image.config.env, image.history) = (variables, history);
        state
    }

    fn suggest_image(&self, stop: Stop, name: &str) -> Stop {
        if matches!(stop, Stop::Unknown) {
            return stop;
        }
        let common = COMMON_IMAGES.iter().flat_map(|image| {
            // parity: the slash after `library` is missing in BuildKit too.
            let long = format!("docker.io/library{image}");
            [(*image).to_owned(), long.clone(), format!("{image}:latest"), format!("{long}:latest")]
        });
        let common: Vec<String> = common.collect();
        let options = self.stage_names().chain(common.iter().map(String::as_str));
        let suggestion = ast::suggest(name, options).map(str::to_owned);
        stop.context(name).suggest(suggestion.as_deref())
    }

    fn note_base_platform(&mut self, id: StageId, name: &str, wanted: &Platform, found: &Platform) {
        let Some(span) = self.stages[id].span else { return };
        if wanted.os == found.os && wanted.architecture == found.architecture {
            return;
        }
        let kind = NoteKind::BasePlatform {
            name: name.to_owned(),
            wanted: wanted.normalize().to_string(),
            found: found.normalize().to_string(),
        };
        self.note(span, kind);
    }
}

/// The platform in normal form, which it mostly has.
fn normal(platform: &Arc<Platform>) -> Arc<Platform> {
    if platform.is_normal() { platform.clone() } else { platform.normalize().into() }
}

#[cfg(test)]
mod tests {
    use ast::{Severity, Source};

    use crate::{Answer, AskError, Facts, Options, Question, World, check};

    /// Knows no image, and cannot ask.
    struct Offline;

    impl World for Offline {
        fn answer(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>> {
            let answer = |question: &Question| match question {
                Question::Image { .. } => {
                    Err(AskError { message: "not found".to_owned(), unreachable: true, ..AskError::default() })
                }
                _ => Ok(Answer::ContextFile(None)),
            };
            questions.iter().map(answer).collect()
        }
    }

    /// Without a registry a mistyped stage looks like an image: nothing else would tell.
    #[test]
    fn what_cannot_be_asked_may_be_a_mistyped_stage() {
        let source = Source::new("Dockerfile", *b"FROM alpine AS build\nFROM bulid\nCOPY --from=buidl a b\n");
        let outcome = check(&source, &Options::default(), Facts::default(), &Offline);
        let infos = outcome.diagnostics.iter().filter(|found| found.severity == Severity::Info);
        let shown: Vec<(u32, &str)> =
            infos.map(|found| (source.lines.line(found.at.unwrap().start), found.message.as_str())).collect();
        let unknown = "what depends on it is not looked at";
        let expected = [
            (1, format!("not found; {unknown}")),
            (2, format!("not found (did you mean build?); {unknown}")),
            (3, format!("not found (did you mean build?); {unknown}")),
        ];
        assert_eq!(shown, expected.iter().map(|(line, message)| (*line, message.as_str())).collect::<Vec<_>>());
    }
}
