//! The table of stages: every `FROM` with its words expanded.

use std::borrow::Cow;

use ast::{Op, OptKind, Span, Step, Str};
use oci::{Platform, Reference};

use super::environment::{Lookup, Scope};
use super::expand::{self, Expanded, Fault, Uses};
use super::notes::NoteKind;
use super::planner::Planner;
use super::stages::{SCRATCH, Stage, StepRef};
use super::stop::{Done, Stop};

impl<'a> Planner<'a> {
    /// Adds the stages of the text. One that is wrong stays in its place, and nothing is known of it.
    pub(super) fn add_stages(&mut self) {
        // With room for some that steps bring in.
        self.stages.reserve(self.request.module.defs.len() * 3 / 2 + 1);
        let mut bases = std::mem::take(&mut self.bases).into_iter();
        for (at, def) in self.request.module.defs.iter().enumerate() {
            let name = def.name.as_ref().map_or("", |name| name.text.as_str());
            let Some((from, rest)) = def.body.steps().split_first() else {
                self.add_broken(name, def.span);
                continue;
            };
            self.watch_base(from.span);
            let stage = if let Op::From(base) = &from.op {
                let known = bases.next();
                let expanded = known.unwrap_or_else(|| expand_in_from(base, &self.globals, self.captures.uses()));
                if self.is_wrong(from) { Err(Stop::Unknown) } else { self.stage(at, name, from, base, expanded) }
            } else {
                Err(Stop::Unknown)
            };
            match stage {
                Ok(stage) => self.add_defined(stage, at, rest),
                Err(stop) => {
                    self.report(stop);
                    self.add_broken(name, from.span);
                }
            }
        }
    }

    /// Adds a stage of which nothing is known, so that those after it keep their numbers.
    fn add_broken(&mut self, name: &'a str, at: Span) {
        let stage = self.new_stage("".into(), Some(at));
        self.add_stage(Stage { name, label: name.into(), broken: true, ..stage });
    }

    fn add_defined(&mut self, mut stage: Stage<'a>, at: usize, steps: &[Step]) {
        if stage.named.is_some() {
            // It is not built: neither a base nor numbers.
            let id = self.add_stage(stage);
            self.stages[id].base = None;
            return;
        }
        stage.total += usize::from(stage.base_name != SCRATCH && self.base_stage(&stage.base_name).is_none());
        stage.total += steps.iter().filter(|step| is_counted(step)).count();
        if stage.name.is_empty() {
            stage.label = format!("stage-{at}").into();
        }
        stage.ignore_cache = self.settings.ignores_cache(stage.name);
        self.add_stage(stage);
    }

    fn stage(
        &mut self,
        at: usize,
        name: &'a str,
        from: &'a Step,
        base: &'a Str,
        expanded: InFrom<'a>,
    ) -> Done<Stage<'a>> {
        let place = Some(from.span);
        let (value, uses) = self.in_from(expanded, base, from.span);
        self.captures.from(at, &uses);
        let value = value.map_err(|stop| self.at(stop, place))?;
        if value.is_empty() {
            let message = format!("base name ({}) should not be blank", base.raw().lossy());
            let help = "give the argument a default, or pass it with --build-arg";
            return Err(self.at(Stop::error(message).help(help).point(base.span), place));
        }
        let written =
            from.opts.iter().find_map(|opt| if let OptKind::Platform(p) = &opt.kind { Some(p) } else { None });
        let platform = match written.filter(|platform| !platform.raw().is_empty()) {
            Some(platform) => Some(self.stage_platform(at, name, from.span, platform)?.into()),
            None => None,
        };
        let stage = self.new_stage(value, place);
        let mut stage = Stage { name, label: name.into(), platform, text: Some(from), ..stage };
        stage.named = self.stage_context(&stage)?.map(Box::new);
        if stage.named.is_some() {
            self.captures.forget(at);
        }
        Ok(stage)
    }

    fn stage_platform(&mut self, at: usize, name: &str, span: Span, written: &Str) -> Done<Platform> {
        let (value, uses) = self.in_from(expand_in_from(written, &self.globals, Uses::default()), written, span);
        let shown = written.raw().lossy();
        if let Ok(value) = &value {
            self.note_platform(name, span, &shown, value, &uses);
        }
        self.captures.from(at, &uses);
        let value = value.map_err(|stop| {
            let stop = stop.context("failed to process arguments for platform ");
            self.at(stop, Some(span))
        })?;
        let suggestion = uses.unmatched.iter().find_map(|name| ast::suggest(name, self.globals.names()));
        let suggested = |message: String| ast::with_suggestion(message, suggestion);
        if value.is_empty() {
            let message = suggested(format!("empty platform value from expression {shown}"));
            return Err(self.at(Stop::error(message).point(written.span), Some(span)));
        }
        Platform::parse(&value, &self.settings.build_platforms[0]).map_err(|error| {
            let message = format!("failed to parse platform {shown}: {}", suggested(error.to_string()));
            let stop = Stop::error(message).help("a platform is os/architecture[/variant]").point(written.span);
            // parity: the place is reported twice.
            self.at(self.at(stop, Some(span)), Some(span))
        })
    }

    /// The value of a word of `FROM`. Names that are not declared are noted.
    fn in_from<'t>(&mut self, (value, uses): InFrom<'t>, text: &Str, span: Span) -> (Done<Cow<'t, str>>, Uses) {
        let value = match value {
            Ok(Expanded::Known(value)) => Ok(value),
            Ok(Expanded::Unknown) => Err(Stop::Unknown),
            Err(fault) => Err(Stop::from(fault).point(text.span)),
        };
        for name in &uses.unmatched {
            let known = |name: &str| self.declared.contains(name) || self.globals.get(name) != Lookup::Unset;
            if !known(name) {
                let mut options: Vec<&str> = self.declared.iter().copied().chain(self.globals.names()).collect();
                options.sort_unstable();
                options.dedup();
                let suggestion = ast::suggest(name, options).map(str::to_owned);
                self.note(span, NoteKind::UndefinedInFrom { name: name.clone(), suggestion });
            }
        }
        (value, uses)
    }

    /// Notes bases that are no references when no build argument is given. parity: one that cannot be expanded ends the search.
    pub(super) fn note_default_bases(&mut self, bases: &[InFrom<'_>]) {
        for ((step, base), (value, _)) in froms(self.request.module).zip(bases) {
            match value {
                Ok(Expanded::Known(value)) if Reference::check(value).is_err() => {
                    self.note(step.span, NoteKind::InvalidDefaultBase { base: base.raw().lossy().into_owned() });
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }

    fn note_platform(&mut self, name: &str, span: Span, written: &str, value: &str, uses: &Uses) {
        match (&uses.matched[..], &uses.unmatched[..]) {
            ([only], []) if only == "TARGETPLATFORM" && self.globals.get(only) == Lookup::Set(value) => {
                self.note(span, NoteKind::RedundantPlatform { written: written.to_owned() });
            }
            ([], []) => {
                let Ok(platform) = Platform::parse(value, &self.settings.build_platforms[0]) else { return };
                if !name.contains(&platform.os) && !name.contains(&platform.architecture) {
                    self.note(span, NoteKind::ConstantPlatform { value: value.to_owned() });
                }
            }
            _ => {}
        }
    }

    /// Connects the steps of every stage with the stages they read from.
    pub(super) fn connect_stages(&mut self) -> Done {
        for (id, steps) in self.texts() {
            let mut commands = Vec::with_capacity(steps.len());
            for step in steps {
                match self.connect(StepRef::Text(step), false) {
                    Ok(command) => commands.push(command),
                    // parity: BuildKit reports no place for these.
                    Err(stop) => self.report(stop.nowhere(Some(step.span))),
                }
            }
            self.add_commands(id, commands, false);
        }
        if let Err(stop) = self.check_cycles() {
            self.report_unless_guessing(stop);
            self.shared.circular = true;
        }
        if let [only] = &mut self.stages[..] {
            only.label = "".into();
        }
        Ok(())
    }

    /// The steps after `FROM` of every stage of the text.
    fn texts(&self) -> Vec<(usize, &'a [Step])> {
        let steps = self.request.module.defs.iter().map(|def| def.body.steps().get(1..).unwrap_or_default());
        steps.enumerate().collect()
    }
}

/// What a word of `FROM` comes to, and the names it uses.
pub(super) type InFrom<'a> = (Result<Expanded<'a>, Fault>, Uses);

/// Expands a word of `FROM` among the arguments of the module.
fn expand_in_from<'a>(text: &'a Str, scope: &dyn Scope, mut uses: Uses) -> InFrom<'a> {
    (expand::string(text, scope, &mut uses), uses)
}

/// What the base of every `FROM` comes to, in their order; `uses` says which names are noted.
pub(super) fn expanded_bases<'a>(module: &'a ast::Module, scope: &dyn Scope, uses: &Uses) -> Vec<InFrom<'a>> {
    froms(module).map(|(_, base)| expand_in_from(base, scope, uses.clone())).collect()
}

/// Every `FROM` and its base.
fn froms(module: &ast::Module) -> impl Iterator<Item = (&Step, &Str)> {
    module.defs.iter().filter_map(|def| {
        let from = def.body.steps().first()?;
        if let Op::From(base) = &from.op { Some((from, base)) } else { None }
    })
}

/// Whether step names count it.
pub(super) fn is_counted(step: &Step) -> bool {
    matches!(step.op, Op::Add(_) | Op::Copy(_) | Op::Run(_) | Op::Dir(_) | Op::Mkdir(_) | Op::Remove(_))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use ast::Source;

    use crate::{Answer, AskError, Facts, Options, Question, World, check, glance, parse};

    /// Knows nothing, and keeps the references of images that it is asked for.
    #[derive(Default)]
    struct Asked(Mutex<Vec<String>>);

    impl World for Asked {
        fn answer(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>> {
            for question in questions {
                if let Question::Image { reference, .. } = question {
                    self.0.lock().unwrap().push(reference.clone());
                }
            }
            questions.iter().map(|_| Err(AskError::default())).collect()
        }
    }

    #[test]
    fn bases_see_the_epoch_that_its_argument_comes_to() {
        let source = Source::new("Dockerfile", *b"ARG SOURCE_DATE_EPOCH=007\nFROM a:$SOURCE_DATE_EPOCH\n");
        let asked = Asked::default();
        check(&source, &Options::default(), Facts::default(), &asked);
        assert_eq!(asked.0.into_inner().unwrap(), ["docker.io/library/a:7"]);
    }

    /// Else what follows would be taken for the steps of another.
    #[test]
    fn a_stage_without_steps_keeps_its_place() {
        for text in
            ["[stage.a]\nfrom = \"scratch\"\n[image.b]\n", "[stage.a]\n[image.b]\nfrom = \"stage.a\"\nuser = \"x\"\n"]
        {
            let source = Source::new("build.toml", text.as_bytes());
            let module = parse(&source);
            assert!(module.defs.iter().any(|def| def.body.steps().is_empty()), "{text}");
            glance(&module, &source, &Options::default(), &Facts::default(), &|| false).unwrap();
        }
    }
}
