//! What instructions mean: syntax trees into steps of the shared tree.
//!
//! This is the second of BuildKit's two phases. Every error of an instruction is reported, in the order in which
//! BuildKit would meet them.

mod config;
mod copy;
mod from;
mod healthcheck;
mod run;
mod variables;

use std::ops::Range;

use ast::{Def, Diagnostic, Document, Name, Op, Opt, OptKind, Span, Step, Str, StrKind, Text, Written, code};

use super::flags::{self, Flag, Flags, Spec};
use super::keyword::Keyword;
use super::parse::{RawDocument, checks_in_comments, printed};
use super::scan::{Line, Scanner};
use super::syntax::{Args, Instruction};
use super::text::{Word, split_first, trim};

/// What an instruction stands in.
#[derive(Clone, Copy)]
pub(super) struct Context<'c> {
    pub(super) line: &'c Line<'c>,
    /// All of it, documents included.
    pub(super) span: Span,
    /// The last line of it, documents included.
    pub(super) last: u32,
    pub(super) documents: &'c [RawDocument],
    pub(super) scanner: &'c Scanner<'c>,
    /// The escape character of words.
    pub(super) escape: u8,
}

/// Instructions in order, gathered into stages. Steps are large: each is lowered into its place here.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Instructions before the first stage.
    pub(super) head: Vec<Step>,
    pub(super) defs: Vec<Def>,
}

impl Tree {
    /// Where the step at a place belongs: behind the others of the last stage, if there is one.
    fn steps(&mut self, at: Span) -> &mut Vec<Step> {
        match self.defs.last_mut() {
            Some(def) => {
                def.span = def.span.to(at);
                def.body.steps_mut()
            }
            None => &mut self.head,
        }
    }
}

/// An instruction being lowered.
struct Lowering<'c> {
    context: Context<'c>,
    /// Those above it; the step takes them.
    comments: Vec<ast::Comment>,
    opts: Vec<Opt>,
    /// In the order in which BuildKit would meet them, without the prefix it gives them.
    errors: Vec<Diagnostic>,
}

/// Lowers an instruction into the tree, and gives what is wrong with it, in the order in which BuildKit would meet it, without the
/// prefix it gives it. One with errors becomes what can be made of it, or a hole.
pub(super) fn instruction(
    parsed: &Instruction<'_>,
    context: Context<'_>,
    comments: Vec<ast::Comment>,
    tree: &mut Tree,
) -> Vec<Diagnostic> {
    let mut lowering = Lowering::new(context, comments);
    if parsed.keyword == Some(Keyword::From) {
        tree.defs.push(from::lower(parsed, &mut lowering));
    } else {
        let op = op(parsed, &mut lowering).unwrap_or(Op::Hole);
        tree.steps(context.span).push(lowering.step(op, &parsed.name));
    }
    lowering.errors
}

/// Makes a line that is no instruction a hole in the tree.
pub(super) fn hole(context: Context<'_>, comments: Vec<ast::Comment>, tree: &mut Tree) {
    let text = context.line.text;
    let (name, _) = split_first(text, trim(text, 0..text.len()));
    tree.steps(context.span).push(Lowering::new(context, comments).step(Op::Hole, &Word::slice(text, name)));
}

/// What the instruction does; `None` if there is no telling.
fn op(parsed: &Instruction<'_>, lowering: &mut Lowering<'_>) -> Option<Op> {
    let Some(keyword) = parsed.keyword else {
        let name = ast::word::decode(&parsed.name.text);
        let suggestion = ast::suggest_any_case(&name, Keyword::names());
        let message = ast::with_suggestion(format!("unknown instruction: {name}"), suggestion.as_deref());
        lowering.error(message, &parsed.name.range);
        return None;
    };
    match keyword {
        Keyword::From => None,
        Keyword::Run => run::lower(parsed, lowering),
        Keyword::Copy => copy::lower(parsed, "COPY", copy::COPY_FLAGS, lowering).map(Op::Copy),
        Keyword::Add => copy::lower(parsed, "ADD", copy::ADD_FLAGS, lowering).map(Op::Add),
        Keyword::Env => variables::pairs(parsed, "ENV", lowering).map(Op::Env),
        Keyword::Label => variables::pairs(parsed, "LABEL", lowering).map(Op::Label),
        Keyword::Arg => variables::arg(parsed, lowering),
        Keyword::Healthcheck => healthcheck::lower(parsed, lowering),
        Keyword::Workdir => config::single(parsed, "WORKDIR", lowering).map(Op::Dir),
        Keyword::User => config::single(parsed, "USER", lowering).map(Op::User),
        Keyword::Maintainer => config::single(parsed, "MAINTAINER", lowering).map(Op::Maintainer),
        Keyword::StopSignal => config::stop_signal(parsed, lowering),
        Keyword::Cmd => config::command(parsed, lowering).map(Op::Cmd),
        Keyword::Entrypoint => config::command(parsed, lowering).map(Op::Entrypoint),
        Keyword::Shell => config::shell(parsed, lowering),
        Keyword::Expose => config::expose(parsed, lowering),
        Keyword::Volume => config::volume(parsed, lowering),
        Keyword::OnBuild => config::on_build(parsed, lowering),
    }
}

impl<'c> Lowering<'c> {
    fn new(context: Context<'c>, comments: Vec<ast::Comment>) -> Self {
        Self { context, comments, opts: Vec::new(), errors: Vec::new() }
    }

    fn error(&mut self, message: impl Into<String>, range: &Range<u32>) {
        let at = self.context.line.span(range.clone());
        let error = Diagnostic::error(code::INSTRUCTION, message, at);
        self.errors.push(super::parse::located(error, self.context.line.first, self.context.last));
    }

    /// The flags of an instruction, held against those it has.
    fn flags<'f>(&mut self, parsed: &'f Instruction<'_>, specs: &[Spec]) -> Flags<'f> {
        if parsed.flags.is_empty() {
            return Flags::new();
        }
        let (flags, errors) = flags::check(&parsed.flags, specs);
        for (message, range) in errors {
            self.error(message, &range);
        }
        // Most instructions have one, and each that is not wrong becomes an option.
        self.opts.reserve_exact(flags.len());
        flags
    }

    fn opt(&mut self, kind: OptKind, flag: &Flag<'_>) {
        let span = self.context.line.span(flag.range.clone());
        self.opts.push(Opt { kind, span });
    }

    /// The value of a flag, expanded later.
    fn flag_word(&self, flag: &Flag<'_>) -> Str {
        self.template(flag.value.into(), &flag.value_range)
    }

    /// The value of a flag, taken as it is.
    fn flag_literal(&self, flag: &Flag<'_>) -> Str {
        Str { kind: StrKind::Lit(flag.value.into()), span: self.context.line.span(flag.value_range.clone()) }
    }

    /// A word that is expanded later.
    fn word(&self, word: &Word<'_>) -> Str {
        self.template(word.text.as_ref().into(), &word.range)
    }

    fn template(&self, raw: Text, range: &Range<u32>) -> Str {
        Str { kind: StrKind::Word { raw, escape: self.context.escape }, span: self.context.line.span(range.clone()) }
    }

    /// A word that is taken as it is.
    fn literal(&self, word: &Word<'_>) -> Str {
        Str { kind: StrKind::Lit(word.text.as_ref().into()), span: self.context.line.span(word.range.clone()) }
    }

    fn name(&self, word: &Word<'_>) -> Name {
        Name { text: ast::word::decode(&word.text).into_owned(), span: self.context.line.span(word.range.clone()) }
    }

    fn written(&self, word: &Word<'_>) -> Written {
        Written { text: word.text.as_ref().into(), span: self.context.line.span(word.range.clone()) }
    }

    fn document(&self, raw: &RawDocument) -> Document {
        let scanner = self.context.scanner;
        Document {
            name: raw.opener.name.clone(),
            content: scanner.bytes(&raw.body).into(),
            expand: raw.opener.expand,
            chomp: raw.opener.chomp,
            opener: self.context.line.span(raw.opener_range.clone()),
            span: scanner.span(raw.body.clone()),
        }
    }

    fn step(&mut self, op: Op, keyword: &Word<'_>) -> Step {
        let line = self.context.line;
        let blank = line.blank.map(|first| {
            // Only the number of the last line matters, which any place in it has.
            let last = line.whole(0);
            ast::Blank { first, last: Span { start: last.end.saturating_sub(1).max(last.start), ..last } }
        });
        Step {
            op,
            opts: std::mem::take(&mut self.opts),
            text: printed(line),
            checks: checks_in_comments(&self.comments),
            comments: std::mem::take(&mut self.comments),
            blank,
            keyword: line.span(keyword.range.clone()),
            span: self.context.span,
        }
    }
}

/// Words of either form, and whether it is the JSON form.
fn list<'a, 'l>(args: &'a Args<'l>) -> &'a [Word<'l>] {
    match args {
        Args::Words(words) | Args::Json(words) => words,
        _ => &[],
    }
}
