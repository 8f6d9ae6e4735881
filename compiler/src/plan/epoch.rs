//! `SOURCE_DATE_EPOCH`: a number of seconds, or where the time is to be learnt: the main context, a named context, or a
//! stage that does nothing but fetch one thing. Mirrors `dockerfile2llb/epoch.go` of BuildKit v0.32.

use std::rc::Rc;

use ast::number;
use ast::{Copy, Def, Op, OptKind, Param, Step, Str};
use oci::Digest;

use super::environment::{Environment, Lookup, Scope};
use super::expand::{self, Expanded, Uses};
use super::git::{self, GitRef};
use super::go;
use super::planner::Planner;
use super::stages::SCRATCH;
use super::stop::{Done, Stop};
use crate::{Answer, Question, ResolveMode};

const NAME: &str = "SOURCE_DATE_EPOCH";

impl Planner<'_> {
    /// Sets the epoch, and its argument to what it came to.
    pub(super) fn set_epoch(&mut self) -> Done {
        let given = self.build_args.get(NAME).cloned();
        let value = match (given, self.globals.get(NAME)) {
            (Some(given), _) => given,
            (None, Lookup::Set(value)) if !value.is_empty() => value.into(),
            _ => return Ok(()),
        };
        self.epoch = match self.epoch_of(&value) {
            Err(Stop::Unknown) => return Ok(()),
            epoch => epoch?,
        };
        let value = self.epoch.map(|seconds| Rc::<str>::from(seconds.to_string()));
        let in_args = self.build_args.contains_key(NAME);
        let in_globals = self.globals.get(NAME) != Lookup::Unset;
        // They may use it.
        self.bases.clear();
        match value {
            Some(value) => {
                if in_args {
                    self.build_args.insert(NAME, value.clone());
                }
                if in_globals {
                    self.globals.own.set(NAME.into(), Some(value));
                }
            }
            None => {
                self.build_args.remove(NAME);
                self.globals.own.remove(NAME);
            }
        }
        Ok(())
    }

    fn epoch_of(&mut self, value: &str) -> Done<Option<i64>> {
        if value.is_empty() {
            return Ok(None);
        }
        if let Ok(seconds) = number::parse_int(value, 10, 64) {
            return Ok(Some(seconds));
        }
        match self.epoch_source(value)? {
            Some(question) => match self.ask(question)? {
                Ok(Answer::Timestamp(time)) => Ok(*time),
                Ok(_) => Ok(None),
                Err(error) => Err(Stop::error(error.message.clone()).nowhere(None)),
            },
            None => Ok(None),
        }
    }

    /// What to ask for the time that counts; `None`: there is none.
    fn epoch_source(&mut self, value: &str) -> Done<Option<Question>> {
        if value == "context" {
            return Ok(self.context_time());
        }
        if let Some(context) =
            self.find_context(value, None, ResolveMode::Default).map_err(|stop| stop.nowhere(None))?
        {
            return Ok(self.load(&context, None).map_err(|stop| stop.nowhere(None))?.time);
        }
        let module = self.request.module;
        let is_named = |def: &&Def| def.name.as_ref().is_some_and(|name| go::equal_fold(&name.text, value));
        let Some(def) = module.defs.iter().find(is_named) else {
            return Err(Stop::error(format!("invalid {NAME}: {value}"))
                .help("a number of seconds, `context`, a named context, or a stage that fetches one thing")
                .nowhere(None));
        };
        let steps = def.body.steps();
        let span = steps.first().map(|step| step.span);
        self.stage_source(steps).map(Some).map_err(|stop| self.at(stop, span))
    }

    fn stage_source(&mut self, steps: &[Step]) -> Done<Question> {
        let mut env = self.globals.variables();
        env.remove(NAME);
        let mut source = None;
        for step in steps {
            match &step.op {
                Op::From(base) => {
                    let wrong = format!("failed to process source stage base name {}", ast::quote(base.raw()));
                    if word(base, &env).map_err(|stop| stop.context(&wrong))? != SCRATCH {
                        return Err(Stop::error(format!("{NAME} stage must use FROM scratch")));
                    }
                }
                Op::Arg(params) => self.stage_args(params, &mut env)?,
                Op::Add(_) if source.is_some() => return Err(only_one()),
                Op::Add(copy) => source = Some(add_source(step, copy, &env)?),
                _ => {
                    let keyword = step.keyword_text();
                    return Err(Stop::error(format!(
                        "{NAME} stage does not meet source-only requirements: unsupported {keyword} instruction"
                    )));
                }
            }
        }
        source.ok_or_else(only_one)
    }

    fn stage_args(&self, params: &[Param], env: &mut Environment) -> Done {
        for param in params {
            let key = param.name.text.as_str();
            let value = match (self.build_args.get(key), &param.default) {
                (Some(given), _) => given.clone(),
                (None, Some(default)) => word(default, env)?.into(),
                (None, None) => continue,
            };
            env.set(key.into(), Some(value));
        }
        Ok(())
    }
}

fn only_one() -> Stop {
    Stop::error(format!("{NAME} stage must contain exactly one remote ADD"))
}

/// What to ask for the time of what an `ADD` fetches.
fn add_source(step: &Step, copy: &Copy, env: &Environment) -> Done<Question> {
    let ([source], []) = (&copy.sources[..], &copy.documents[..]) else {
        return Err(Stop::error(format!("{NAME} stage must contain exactly one remote ADD source")));
    };
    let source = word(source, env)?;
    let checksum =
        step.opts.iter().find_map(|opt| if let OptKind::Checksum(text) = &opt.kind { Some(text) } else { None });
    if git::is_web_file(&source) {
        if let Some(checksum) = checksum {
            Digest::parse(&word(checksum, env)?).map_err(|error| Stop::error(error.to_string()))?;
        }
        return Ok(Question::Timestamp { source, remote: None });
    }
    match git::parse(&source) {
        GitRef::Bad(message) => Err(Stop::error(message)),
        GitRef::Repository(repository) if !repository.may_be_path => {
            checksum.map(|checksum| word(checksum, env)).transpose()?;
            Ok(repository.source.time())
        }
        _ => Err(Stop::error(format!("{NAME} stage source must be a single HTTP(S) or Git ADD"))),
    }
}

fn word(text: &Str, env: &Environment) -> Done<String> {
    match expand::string(text, env, &mut Uses::ignored())? {
        Expanded::Known(value) => Ok(value.into_owned()),
        Expanded::Unknown => Err(Stop::Unknown),
    }
}
