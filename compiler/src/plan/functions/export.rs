//! What is sent away: outputs of the plan, which whoever runs it carries out.

use ast::builtin::Builtin;

use super::super::stop::{Done, Stop};
use super::call::Application;
use super::source::reference;
use super::value::{Fs, Value};
use super::{Evaluator, modules};
use crate::{Answer, Push, Question};

pub(super) use crate::output::ExportKind as Kind;

/// What is sent away.
pub(super) struct Sent {
    pub(super) fs: Box<Fs>,
    pub(super) kind: Kind,
    /// Whether it is there already.
    pub(super) done: bool,
}

impl Evaluator<'_> {
    /// Records an export and gives the filesystem on, or the digest of what was pushed.
    pub(super) fn export(&mut self, call: &Application<'_>, value: Value) -> Done<Value> {
        let mut fs = value.fs()?;
        let mut sent = fs.clone();
        let kind = match call.row.builtin {
            Builtin::DockerPush => {
                let reference = reference(&call.text(0)?, call.span(0))?.to_string();
                say_platform(&mut sent);
                Kind::Push { reference, stargz: call.has(Builtin::DockerPushStargz) }
            }
            Builtin::DockerLoad => {
                say_platform(&mut sent);
                // parity: the name is held against the rules, and handed on as it is written.
                reference(&call.text(0)?, call.span(0))?;
                Kind::Load { reference: call.text(0)? }
            }
            Builtin::Download => Kind::Directory { path: self.destination(call)? },
            Builtin::DownloadTarball => Kind::Tar { path: self.destination(call)? },
            Builtin::DownloadOciTarball => Kind::Oci { path: self.destination(call)? },
            _ => {
                let reference = reference(&call.text(1)?, call.span(1))?.to_string();
                Kind::Docker { path: self.destination(call)?, reference }
            }
        };
        let pushed = match (&kind, call.effect) {
            (Kind::Push { reference, stargz }, Some(_)) => Some(self.push(reference, *stargz, &sent)?),
            _ => None,
        };
        fs.exports.insert(self.exports.len());
        let digest = pushed.map(|push| self.pushed(call, push)).transpose();
        self.exports.push(Sent { fs: sent, kind, done: matches!(digest, Ok(Some(_))) });
        Ok(digest?.map_or(Value::Fs(fs), Value::Text))
    }

    fn destination(&mut self, call: &Application<'_>) -> Done<String> {
        self.client_path(call.module, &call.text(0)?, call.span(0))
    }

    fn push(&self, reference: &str, stargz: bool, fs: &Fs) -> Done<Push> {
        Ok(Push {
            reference: reference.to_owned(),
            stargz,
            definition: modules::definition_of(&self.shared.graph, fs.edge)?,
            image: fs.image.to_json(),
            platform: fs.platform.clone(),
            needs: fs.needs.clone(),
        })
    }

    /// The digest that an image has once it is pushed.
    fn pushed(&mut self, call: &Application<'_>, push: Push) -> Done<String> {
        match self.need(Question::Pushed(push), call.at())? {
            Answer::Text(Some(digest)) => Ok(digest.clone()),
            _ => Err(Stop::Unknown),
        }
    }
}

/// An image that is pushed says what it runs on.
fn say_platform(fs: &mut Fs) {
    let platform = fs.platform.clone();
    fs.image().platform.os.clone_from(&platform.os);
    fs.image().platform.architecture = platform.architecture;
}
