//! What has no equal in another language, in the words its user wrote.
//!
//! A difference of two builds is found at a vertex, or in what an image is told. Here it is given back to the text: to the
//! flag, the entry or the instruction that says it, which is quoted.

use ast::{Def, Diagnostic, Module, Op, OptKind, Source, Span, Step};

use super::difference::{Part, Variable};
use super::{NAMELESS, NO_EQUAL};

/// A text, to find constructs in it.
pub(super) struct Text<'t> {
    pub(super) source: &'t Source,
    pub(super) module: &'t Module,
    /// The definition that is built; none is the last.
    pub(super) def: Option<&'t Def>,
}

/// Longest construct that is quoted, in characters.
const LONGEST: usize = 72;

impl Text<'_> {
    /// Why something is refused: what of the text `noun` has no equal for.
    ///
    /// `place` is one in the text, whatever number its file has.
    pub(super) fn refusal(&self, part: &Part, place: Option<Span>, noun: &str) -> Diagnostic {
        let place = place.map(|place| Span { file: self.module.file, ..place });
        let at = self.construct(part, place);
        let said = said(part);
        let quoted = at.map(|at| self.quoted(at)).filter(|text| !text.is_empty());
        let (Some(quoted), Some(at), Some(said)) = (quoted, at, said) else {
            let message = format!("what {noun} builds of this is not the same");
            return Diagnostic::error(NAMELESS, message, at.or(place).or(Some(Span::default()))).help(LEAVE);
        };
        let error = Diagnostic::error(NO_EQUAL, format!("`{quoted}` has no equal in {noun}: {said}"), at);
        let is_apart = |place: &Span| !covers(*place, at) && !covers(at, *place);
        let error = match place.filter(is_apart) {
            Some(place) => error.also(place, "found at this step"),
            None => error,
        };
        error.help(advice(part))
    }

    /// The first line of a construct.
    fn quoted(&self, at: Span) -> String {
        let bytes = self.source.bytes.get(at.start as usize..at.end as usize).unwrap_or_default();
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim();
        let line = text.lines().next().unwrap_or_default().trim_end_matches(['\\', ' ', '\t']);
        let cut: String = line.chars().take(LONGEST).collect();
        if cut.len() < text.len() { format!("{cut} …") } else { cut }
    }

    /// What of the text says a part: something of the step at the place, or one before it, or the definition.
    fn construct(&self, part: &Part, place: Option<Span>) -> Option<Span> {
        let step = place.and_then(|place| self.step(place));
        let by_flag = || step.and_then(|step| flag(step, part));
        let by_step = || match part {
            Part::Variable(name, _) => self.setting(place, |step| sets(step, name)),
            Part::Directory => self.setting(place, |step| matches!(step.op, Op::Dir(_))),
            Part::User => self.setting(place, |step| matches!(step.op, Op::User(_))),
            Part::Config(key) => self.setting(None, |step| tells(&step.op, key)),
            Part::Platforms(_) => self.platform(),
            _ => None,
        };
        by_flag().or_else(by_step).or_else(|| step.map(|step| step.span)).or(place).or_else(|| self.whole())
    }

    /// All steps of the text itself.
    fn steps(&self) -> impl Iterator<Item = (&Step, Option<&Def>)> {
        ast::visit::steps(self.module).filter(|(step, _)| step.span.file == self.module.file)
    }

    /// The innermost step at a place.
    fn step(&self, place: Span) -> Option<&Step> {
        let at = self.steps().map(|(step, _)| step).filter(|step| covers(step.span, place) || covers(place, step.span));
        at.min_by_key(|step| step.span.end - step.span.start)
    }

    /// The last step before a place, of its definition if there is one, of which something is so.
    fn setting(&self, place: Option<Span>, is_so: impl Fn(&Step) -> bool) -> Option<Span> {
        let end = place.map_or(u32::MAX, |place| place.end);
        let own = match place {
            Some(place) => self.module.defs.iter().find(|def| covers(def.span, place)).or(self.def),
            None => self.def.or(self.module.defs.last()),
        };
        let all: Vec<_> = self.steps().filter(|(step, _)| step.span.start < end && is_so(step)).collect();
        let is_own = |def: Option<&Def>| def.zip(own).is_some_and(|(def, own)| std::ptr::eq(def, own));
        let in_own = all.iter().rfind(|(_, def)| is_own(*def));
        in_own.or(all.last()).map(|(step, _)| step.span)
    }

    /// What says the platform of the definition.
    fn platform(&self) -> Option<Span> {
        let def = self.def.or(self.module.defs.last())?;
        let from = def.body.steps().iter().find(|step| matches!(step.op, Op::From(_)))?;
        flag(from, &Part::Platform).or(Some(from.span))
    }

    /// The definition: what it begins with.
    fn whole(&self) -> Option<Span> {
        let def = self.def.or(self.module.defs.last())?;
        Some(def.body.steps().first().map_or(def.span, |step| step.span)).filter(|span| span.file == self.module.file)
    }
}

fn covers(outer: Span, inner: Span) -> bool {
    outer.file == inner.file && outer.start <= inner.start && inner.end <= outer.end
}

/// The option of a step that says a part.
fn flag(step: &Step, part: &Part) -> Option<Span> {
    let is_it = |kind: &OptKind| match (part, kind) {
        (Part::Mount(dest), OptKind::Mount(mount)) => is_at(mount, dest),
        (Part::Network, OptKind::Network(_))
        | (Part::Security, OptKind::Security(_))
        | (Part::Devices, OptKind::Device { .. })
        | (Part::Owner, OptKind::Chown(_))
        | (Part::Mode, OptKind::Chmod(_))
        | (Part::Patterns, OptKind::Include(_) | OptKind::Exclude(_))
        | (Part::Unpack, OptKind::Unpack(_))
        | (Part::Link | Part::Kind(_), OptKind::Link(_))
        | (Part::Platform, OptKind::Platform(_))
        | (Part::Directory, OptKind::Dir(_))
        | (Part::User, OptKind::User(_))
        | (Part::Inputs, OptKind::From(_))
        | (Part::Attribute(_), OptKind::Checksum(_) | OptKind::KeepGitDir(_))
        | (Part::Option(_), OptKind::Parents(_)) => true,
        (Part::Variable(name, _), OptKind::Env(pairs)) => pairs.iter().any(|pair| *pair.key.raw().lossy() == **name),
        _ => false,
    };
    step.opts.iter().find(|opt| is_it(&opt.kind)).map(|opt| opt.span).filter(|span| span.end > span.start)
}

/// Whether a mount may be the one at a path: its own may be relative, or have a variable in it.
fn is_at(mount: &ast::Mount, dest: &str) -> bool {
    let is_target = |key: &str| ["target", "dst", "destination"].contains(&key.to_ascii_lowercase().as_str());
    let target = mount.fields.iter().rev().find(|field| is_target(&field.key)).and_then(|field| field.value.as_ref());
    target.is_none_or(|target| {
        let target = target.raw().lossy().into_owned();
        target.contains('$') || dest.trim_end_matches('/').ends_with(target.trim_matches('/'))
    })
}

/// Whether a step sets a variable.
fn sets(step: &Step, name: &str) -> bool {
    match &step.op {
        Op::Arg(params) => params.iter().any(|param| param.name.text == name),
        // A name may be made of others.
        Op::Env(pairs) => pairs.iter().any(|pair| {
            let key = pair.key.raw();
            *key.lossy() == *name || key.lossy().contains('$')
        }),
        _ => false,
    }
}

/// Whether a step tells images what they have under a key.
fn tells(op: &Op, key: &str) -> bool {
    match key {
        "Env" => matches!(op, Op::Env(_)),
        "Labels" => matches!(op, Op::Label(_)),
        "Cmd" => matches!(op, Op::Cmd(_) | Op::Entrypoint(_)),
        "Entrypoint" => matches!(op, Op::Entrypoint(_)),
        "ExposedPorts" => matches!(op, Op::Expose(_)),
        "Volumes" => matches!(op, Op::Volume(_)),
        "WorkingDir" => matches!(op, Op::Dir(_)),
        "User" => matches!(op, Op::User(_)),
        "StopSignal" => matches!(op, Op::StopSignal(_)),
        "Healthcheck" => matches!(op, Op::Healthcheck(_)),
        "Shell" => matches!(op, Op::Shell(_)),
        "OnBuild" => matches!(op, Op::OnBuild(_)),
        _ => false,
    }
}

/// How it would be there; `None` when nobody knows.
fn said(part: &Part) -> Option<String> {
    Some(match part {
        Part::Command => "the process would have another command line".to_owned(),
        Part::Variable(name, how) => {
            let how = match how {
                Variable::Absent => "would not be set",
                Variable::Fresh => "would be set as well",
                Variable::Value => "would have another value",
                Variable::Place => "would stand in another place among the variables, which cache keys tell apart",
            };
            format!("{name} {how}")
        }
        Part::Directory => "it would be another working directory".to_owned(),
        Part::User => "it would be another user".to_owned(),
        Part::Mount(dest) => format!("something else would be mounted at {dest}"),
        Part::Network => "the process would have another network".to_owned(),
        Part::Security => "the process would have other privileges".to_owned(),
        Part::Secrets => "the process would be given other secrets".to_owned(),
        Part::Devices => "the process would be given other devices".to_owned(),
        Part::Process(what) => format!("there is no word for {what} of a process"),
        Part::From => "another path would be copied".to_owned(),
        Part::To => "the path that is written to would be another".to_owned(),
        Part::Owner => "the files would have another owner".to_owned(),
        Part::Mode => "the files would have another mode".to_owned(),
        Part::Time => "the files would have another time".to_owned(),
        Part::Content => "the file would have something else in it".to_owned(),
        Part::Patterns => "other files would be taken".to_owned(),
        Part::Unpack => "archives would be unpacked where they are not, or not where they are".to_owned(),
        Part::Link => "the step would be a layer of its own, or would not be one".to_owned(),
        Part::Option(what) => format!("only one of them {what}"),
        Part::Several => "it would be another number of changes in one step".to_owned(),
        Part::Fetched => "something else would be fetched".to_owned(),
        Part::Attribute(name) => format!("it would be fetched in another way ({name})"),
        Part::Inputs => "it would work on something else".to_owned(),
        Part::Platform => "it would be for another platform".to_owned(),
        Part::Kind(kind) => format!("it would be {kind}"),
        Part::Missing => "the step would not be there".to_owned(),
        Part::More(kind) => format!("there would be a step more, {kind}"),
        Part::Platforms(all) if all.is_empty() => "there would be nothing to build".to_owned(),
        Part::Platforms(all) => format!("it would be built for {all}"),
        Part::Config(key) => format!("the image would be told another {key}"),
        Part::Nameless => return None,
    })
}

/// What to do where nothing better is known.
pub(super) const LEAVE: &str = "say it in another way, or take what there is with --lossy";

/// What to do.
fn advice(part: &Part) -> String {
    let first = match part {
        Part::Command => "write the command in one line, or as a file that is copied",
        Part::Variable(_, Variable::Place) => {
            "declare arguments before variables are set, and in the stage that uses them"
        }
        Part::Variable(_, Variable::Fresh) => {
            "keep what is known of the build out of words: where one mentions it, all processes see it"
        }
        Part::Variable(..) => "set the variable in the stage whose processes need it",
        Part::Directory | Part::From | Part::To => "write the path from the root, as `/app`",
        Part::Mount(_) => "write the paths of the mount from the root, without variables",
        Part::Platform | Part::Platforms(_) => "leave the platform to whoever builds",
        Part::Inputs | Part::Fetched | Part::Missing | Part::More(_) => {
            "give stages names of their own, and call them by those"
        }
        Part::Several => "write one step for each",
        _ => return LEAVE.to_owned(),
    };
    format!("{first}, or take what there is with --lossy")
}
