//! Walking the tree: every step, and every string of a step. For rules, the editor and dumps, so that a new op or
//! option has one place to be listed in.

use crate::word::{Mode, Word};
use crate::{Def, Document, Module, Op, OptKind, Span, Step, Str, StrKind};

/// Every step in file order, those before the first definition included, with the definition it belongs to.
pub fn steps(module: &Module) -> impl Iterator<Item = (&Step, Option<&Def>)> {
    let of_defs = module.defs.iter().flat_map(|def| def_steps(def).iter().map(move |step| (step, Some(def))));
    module.head.iter().map(|step| (step, None)).chain(of_defs)
}

/// How many steps there are.
pub fn count_steps(module: &Module) -> usize {
    module.head.len() + module.defs.iter().map(|def| def_steps(def).len()).sum::<usize>()
}

/// The steps of a definition.
pub fn def_steps(def: &Def) -> &[Step] {
    def.body.steps()
}

/// Every string of a step: those of its options, then those of its op, each in the order of its kind.
///
/// Commands and the texts of kept instructions are not among them: nothing in them is expanded.
pub fn strings<'s>(step: &'s Step, visit: &mut impl FnMut(&'s Str)) {
    for opt in &step.opts {
        option_strings(&opt.kind, visit);
    }
    match &step.op {
        Op::From(value)
        | Op::Dir(value)
        | Op::User(value)
        | Op::StopSignal(value)
        | Op::Maintainer(value)
        | Op::Mkdir(value) => visit(value),
        Op::Copy(copy) | Op::Add(copy) => {
            copy.sources.iter().for_each(&mut *visit);
            visit(&copy.dest);
        }
        Op::Arg(params) => params.iter().filter_map(|param| param.default.as_ref()).for_each(visit),
        Op::Env(pairs) | Op::Label(pairs) => {
            for pair in pairs {
                visit(&pair.key);
                visit(&pair.value);
            }
        }
        Op::Shell(values) | Op::Expose(values) | Op::Volume(values) | Op::Remove(values) => {
            values.iter().for_each(visit)
        }
        Op::Run(_)
        | Op::Cmd(_)
        | Op::Entrypoint(_)
        | Op::Healthcheck(_)
        | Op::OnBuild(_)
        | Op::Call(_)
        | Op::Value(_)
        | Op::Hole => {}
    }
}

fn option_strings<'s>(option: &'s OptKind, visit: &mut impl FnMut(&'s Str)) {
    match option {
        OptKind::Platform(value)
        | OptKind::From(value)
        | OptKind::Chown(value)
        | OptKind::Chmod(value)
        | OptKind::Exclude(value)
        | OptKind::Include(value)
        | OptKind::Dir(value)
        | OptKind::User(value)
        | OptKind::Checksum(value)
        | OptKind::Network(value)
        | OptKind::Security(value) => visit(value),
        OptKind::Mount(mount) => mount.fields.iter().filter_map(|field| field.value.as_ref()).for_each(visit),
        OptKind::Env(pairs) => {
            for pair in pairs {
                visit(&pair.key);
                visit(&pair.value);
            }
        }
        OptKind::When(condition) => condition.strings(visit),
        OptKind::Exported
        | OptKind::Link(_)
        | OptKind::Parents(_)
        | OptKind::KeepGitDir(_)
        | OptKind::Unpack(_)
        | OptKind::Device { .. } => {}
    }
}

/// Every here-document of a step.
pub fn documents(step: &Step) -> &[Document] {
    match &step.op {
        Op::Run(command) | Op::Cmd(command) | Op::Entrypoint(command) => &command.documents,
        Op::Copy(copy) | Op::Add(copy) => &copy.documents,
        _ => &[],
    }
}

/// A variable that a step mentions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// Its name.
    pub name: String,
    /// The reference with its dollar sign and braces; the whole string where continued lines make its place unclear.
    pub span: Span,
    /// Whether the reference says itself what happens when there is no value.
    pub guarded: bool,
}

/// Every variable that the strings of a step mention, in their order.
pub fn mentions(step: &Step) -> Vec<Mention> {
    let mut found = Vec::new();
    strings(step, &mut |string| found.extend(mentions_in(string)));
    found
}

fn mentions_in(string: &Str) -> Vec<Mention> {
    let StrKind::Word { raw, escape } = &string.kind else { return Vec::new() };
    if !raw.contains(&b'$') {
        return Vec::new();
    }
    let word = Word::parse(raw, *escape, Mode::Word);
    // The text lies in the file as it is unless a line was continued or a byte was replaced.
    let exact = raw.len() == (string.span.end - string.span.start) as usize && **raw == *word.text.as_bytes();
    let place = |range: &std::ops::Range<u32>| {
        let start = string.span.start;
        if exact { Span { start: start + range.start, end: start + range.end, ..string.span } } else { string.span }
    };
    let references = word.references();
    references
        .iter()
        .map(|reference| Mention {
            name: reference.name.to_owned(),
            span: place(&reference.range),
            guarded: reference.guarded,
        })
        .collect()
}
