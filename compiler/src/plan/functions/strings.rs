//! Functions that give strings; those that ask the client are questions.

use ast::builtin::Builtin;
use oci::Platform;

use super::super::stop::{Done, Stop};
use super::call::Application;
use super::source::{platform_of, reference};
use super::{Evaluator, Named, fill, printf, process};
use crate::{Answer, HostValue, Question, RunOutput};

impl Evaluator<'_> {
    pub(super) fn string(&mut self, call: &Application<'_>) -> Done<String> {
        let text = match call.row.builtin {
            Builtin::Format => printf::sprintf(&call.text(0)?, &call.texts(1)?),
            Builtin::Template => template(call)?,
            Builtin::LocalArch => self.host(call, Question::Host(HostValue::Architecture))?,
            Builtin::LocalOs => self.host(call, Question::Host(HostValue::Os))?,
            Builtin::LocalCwd => self.host(call, Question::Host(HostValue::Directory))?,
            Builtin::LocalEnv => self.host(call, Question::HostEnv(call.text(0)?))?,
            Builtin::LocalRun => self.local_run(call)?,
            _ => self.manifest(call)?,
        };
        self.grow(text.len())?;
        Ok(text)
    }

    fn host(&mut self, call: &Application<'_>, question: Question) -> Done<String> {
        match self.need(question, call.at())? {
            Answer::Text(text) => Ok(text.clone().unwrap_or_default()),
            _ => Err(Stop::Unknown),
        }
    }

    fn local_run(&mut self, call: &Application<'_>) -> Done<String> {
        let argv = process::arguments(call.texts(0)?, call.has(Builtin::LocalRunShlex))?;
        let output = if call.has(Builtin::LocalRunOnlyStderr) {
            RunOutput::Stderr
        } else if call.has(Builtin::LocalRunIncludeStderr) {
            RunOutput::Both
        } else {
            RunOutput::Stdout
        };
        let directory = self.modules[call.module].directory().to_owned();
        match self.need(Question::HostRun { argv, directory, output }, call.at())? {
            Answer::Run { failure: Some(failure), .. } if !call.has(Builtin::LocalRunIgnoreError) => {
                Err(Stop::error(failure.clone()).point(call.at()))
            }
            Answer::Run { output, .. } => Ok(output.trim_end_matches('\n').to_owned()),
            _ => Err(Stop::Unknown),
        }
    }

    fn manifest(&mut self, call: &Application<'_>) -> Done<String> {
        let reference = reference(&call.text(0)?, call.span(0))?.to_string();
        let platform: Platform = platform_of(call, Builtin::ManifestPlatform)?.unwrap_or_else(|| self.platform.clone());
        let Answer::Manifest(found) = self.need(Question::Manifest { reference, platform }, call.span(0))? else {
            return Err(Stop::Unknown);
        };
        match call.effect.map(|(effect, _)| effect) {
            None => Ok(found.manifest.clone()),
            Some("digest") => Ok(found.digest.to_string()),
            Some("config") => Ok(found.config.clone()),
            Some(_) => {
                let index = found.index.clone();
                index.ok_or_else(|| Stop::error("has no manifest index").point(call.span(0)))
            }
        }
    }
}

fn template(call: &Application<'_>) -> Done<String> {
    let mut fields = Named::new();
    for option in call.options.iter().filter(|option| option.builtin == Builtin::TemplateStringField) {
        fields.insert(option.text(0)?, option.text(1)?);
    }
    fill::fill(&call.text(0)?, &fields).map_err(|message| Stop::error(message).point(call.at()))
}
