//! A whole file: instructions in order, gathered into stages, with every error of it.

use std::ops::Range;

use ast::{Checks, Diagnostic, Module, Name, Op, Span, Step, Syntax, code};

use super::directives::{self, Name as Directive};
use super::heredoc;
use super::lower::{self, Tree};
use super::scan::{Buffer, Line, Origin, Scanner};
use super::syntax::{self, Spare};
use super::text::trimmed;
use crate::{Input, Trigger};

/// What follows a line: the documents it opens, with the delimiter each was found under.
#[derive(Debug)]
pub(super) struct RawDocument {
    pub(super) opener: heredoc::Opener,
    pub(super) opener_range: Range<u32>,
    pub(super) body: Range<usize>,
}

/// Parses a Dockerfile.
pub(super) fn parse(input: &Input<'_>) -> Module {
    let mut parser = Parser::new(Scanner::of(input));
    parser.run();
    parser.into_module(input)
}

/// Parses an instruction kept for later.
pub(super) fn trigger(trigger: &Trigger<'_>) -> Result<Step, Box<Diagnostic>> {
    let mut parser = Parser::new(Scanner::new(trigger.bytes, Origin::Fixed(trigger.at)));
    parser.word_escape = Some(trigger.escape);
    parser.run();
    parser.finish_text();
    let stage = parser.tree.defs.first().map(|_| "*instructions.Stage is not a command type".to_owned());
    let several = (parser.instructions != 1).then(|| "onbuild trigger should be a single expression".to_owned());
    let own = parser.instruction_errors.into_iter().next().map(|error| error.message);
    if let Some(error) = parser.syntax_errors.into_iter().next() {
        return Err(Box::new(error));
    }
    match (several.or(own).or(stage), parser.tree.head.pop()) {
        (None, Some(step)) => Ok(step),
        (message, _) => {
            let message = message.expect("one instruction without errors is a step or a stage");
            Err(Box::new(Diagnostic::error(code::INSTRUCTION, message, trigger.at)))
        }
    }
}

struct Parser<'s> {
    scanner: Scanner<'s>,
    /// The escape character of words, where it is not that of lines.
    word_escape: Option<u8>,
    /// How many instructions there were.
    instructions: u32,
    spare: Spare,
    tree: Tree,
    syntax_errors: Vec<Diagnostic>,
    instruction_errors: Vec<Diagnostic>,
}

impl<'s> Parser<'s> {
    fn new(scanner: Scanner<'s>) -> Self {
        Self {
            scanner,
            word_escape: None,
            instructions: 0,
            spare: Spare::default(),
            tree: Tree::default(),
            syntax_errors: Vec::new(),
            instruction_errors: Vec::new(),
        }
    }

    fn run(&mut self) {
        let mut buffer = Buffer::default();
        while let Some(line) = self.scanner.line(&mut buffer) {
            self.syntax_errors.append(&mut self.scanner.diagnostics);
            self.instruction(&line);
        }
        self.syntax_errors.append(&mut self.scanner.diagnostics);
    }

    fn instruction(&mut self, line: &Line<'_>) {
        let comments = std::mem::take(&mut self.scanner.comments);
        let parsed = syntax::instruction_in(line.text, 0..line.text.len(), self.scanner.escape, &mut self.spare);
        if let Err((message, range)) = &parsed {
            self.syntax_error(message.clone(), line.span(range.clone()), line.first, line.last);
        }
        let (documents, end) = match &parsed {
            Ok(parsed) if parsed.takes_documents() => self.documents(line),
            _ => (Vec::new(), 0),
        };
        let context = lower::Context {
            line,
            span: line.whole(end),
            last: self.scanner.lines_read,
            documents: &documents,
            scanner: &self.scanner,
            escape: self.word_escape.unwrap_or(self.scanner.escape),
        };
        let last = context.last;
        match parsed {
            Ok(parsed) => {
                self.instruction_errors.extend(lower::instruction(&parsed, context, comments, &mut self.tree));
                self.spare.take(parsed);
            }
            Err(_) => lower::hole(context, comments, &mut self.tree),
        }
        self.instructions += 1;
        if self.tree.defs.is_empty() && self.word_escape.is_none() {
            self.before_stages(line.first, last);
        }
    }

    /// Looks at an instruction before the first stage.
    fn before_stages(&mut self, first: u32, last: u32) {
        let Some(step) = self.tree.head.last().filter(|step| !matches!(step.op, Op::Arg(_) | Op::Hole)) else { return };
        let error = Diagnostic::error(code::INSTRUCTION, NO_STAGE, step.keyword);
        let help = "a stage begins with FROM; only ARG may stand before the first";
        self.instruction_errors.push(located(error.help(help), first, last));
    }

    /// Reads the documents that a line opens, and where the last of them ends.
    fn documents(&mut self, line: &Line<'_>) -> (Vec<RawDocument>, u32) {
        let openers = match heredoc::openers(line.text) {
            Ok(openers) => openers,
            Err(message) => {
                self.syntax_error(message, line.whole(0), line.first, line.last);
                return (Vec::new(), 0);
            }
        };
        let mut documents = Vec::with_capacity(openers.len());
        let mut end = 0;
        for (opener, opener_range) in openers {
            let document = self.scanner.document(opener.name.as_bytes(), opener.chomp);
            end = document.end;
            if !document.terminated {
                let message = "unterminated heredoc".to_owned();
                self.syntax_error(message, line.span(opener_range), line.first, self.scanner.lines_read);
                break;
            }
            documents.push(RawDocument { opener, opener_range, body: document.body });
        }
        (documents, end)
    }

    fn syntax_error(&mut self, message: String, at: Span, first: u32, last: u32) {
        self.syntax_errors.push(located(Diagnostic::error(code::SYNTAX, message, at), first, last));
    }

    /// What is wrong with the text as a whole once it is read.
    fn finish_text(&mut self) {
        let last = self.scanner.lines_read;
        let end = self.scanner.span(0..0);
        if self.instructions == 0 && self.syntax_errors.is_empty() {
            self.syntax_error("file with no instructions".to_owned(), end, last, last);
        } else if self.scanner.too_long {
            let message = "dockerfile line greater than max allowed size of 65535".to_owned();
            self.syntax_error(message, end, last, last);
        }
    }

    fn into_module(mut self, input: &Input<'_>) -> Module {
        let mut diagnostics = Vec::new();
        if input.bytes.is_empty() {
            diagnostics.push(Diagnostic::error(code::SYNTAX, "the Dockerfile cannot be empty", None));
        } else {
            self.finish_text();
            diagnostics.append(&mut self.syntax_errors);
        }
        diagnostics.extend(self.instruction_errors.into_iter().map(prefixed));
        if self.tree.defs.is_empty() && diagnostics.is_empty() {
            diagnostics.push(Diagnostic::error(code::MODULE, "dockerfile contains no stages to build", None));
        }
        Module {
            file: input.file,
            dialect: super::DIALECT,
            syntax: syntax_directive(input),
            imports: Vec::new(),
            exports: Vec::new(),
            head: self.tree.head,
            defs: self.tree.defs,
            goals: Vec::new(),
            contexts: Vec::new(),
            includes: Vec::new(),
            checks: checks_directive(input.bytes),
            diagnostics,
        }
    }
}

const NO_STAGE: &str = "no build stage in current context";

/// The error of an instruction with the words BuildKit puts before it.
fn prefixed(mut error: Diagnostic) -> Diagnostic {
    if error.message != NO_STAGE {
        let line = error.locations.as_ref().and_then(|locations| locations.first()?.first()).map_or(0, |lines| lines.0);
        error.message = format!("dockerfile parse error on line {line}: {}", error.message);
    }
    error
}

/// The diagnostic with the lines BuildKit names.
pub(super) fn located(mut diagnostic: Diagnostic, first: u32, last: u32) -> Diagnostic {
    diagnostic.locations = Some(vec![vec![(first, last)]]);
    diagnostic
}

pub(super) fn syntax_directive(input: &Input<'_>) -> Option<Syntax> {
    let span = |range: Range<usize>| Span::new(input.file, range.start as u32, range.end as u32);
    if let Some(range) = directives::find(input.bytes, Directive::Syntax) {
        let command = ast::word::decode(&input.bytes[range.clone()]).into_owned();
        let reference = directives::up_to_blank(&input.bytes[range.clone()]);
        let end = range.start + reference.len();
        let text = ast::word::decode(reference).into_owned();
        let line = input.bytes[..range.start].iter().filter(|b| **b == b'\n').count() as u32 + 1;
        return Some(Syntax { reference: Name { text, span: span(range.start..end) }, command, line });
    }
    // parity: here the whole string is the reference.
    let (command, line) = directives::syntax_in_json(input.bytes)?;
    Some(Syntax { reference: Name { text: command.clone(), span: span(0..0) }, command, line })
}

fn checks_directive(bytes: &[u8]) -> Result<Checks, String> {
    let Some(range) = directives::find(bytes, Directive::Check) else { return Ok(Checks::default()) };
    Checks::parse(&ast::word::decode(directives::up_to_blank(&bytes[range])))
}

/// The settings of rules in the comments above a step: of the first comment that has any.
pub(super) fn checks_in_comments(comments: &[ast::Comment]) -> Option<Box<Checks>> {
    let text = comments.iter().find_map(|comment| directives::check_in_comment(&comment.text))?;
    Checks::parse(&ast::word::decode(text)).ok().map(Box::new)
}

/// What a comment says of `name`: the text after it.
pub(super) fn documented(comments: &[ast::Comment], name: &str) -> Option<ast::Text> {
    let after = |comment: &ast::Comment| {
        comment.text.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b" ")).map(ast::Text::from)
    };
    if name.is_empty() { None } else { comments.iter().find_map(after) }
}

/// The line as instructions are printed: without blanks around it.
pub(super) fn printed(line: &Line<'_>) -> ast::Text {
    trimmed(line.text).into()
}
