//! Whether the text of a step is read as that step.
//!
//! A Dockerfile is lines, and its words, lists and documents have no way to say some texts: a line break in a variable, a
//! file that does not end with one. What is written is read again, and must come to the same; so nothing is forgotten here.

use ast::word::{Mode, Piece, Word};
use ast::{FileId, Healthcheck, Module, Op, Severity, Step, Str, StrKind, Text, visit};

use crate::Input;

/// Why the text of a step is not read as that step; nothing when it is.
pub(super) fn misread(step: &Step, text: &str) -> Option<&'static str> {
    let is_first = matches!(step.op, Op::From(_));
    let whole = if is_first { text.to_owned() } else { format!("FROM scratch\n{text}") };
    let module = super::parse::parse(&Input::new(FileId(0), whole.as_bytes()));
    let is_read = match read(&module).as_slice() {
        [again] if is_first => means(again, step),
        [_, again] => means(again, step),
        _ => false,
    };
    (!is_read).then(|| why(step))
}

/// The steps that a text is; none when there is something wrong with it.
fn read(module: &Module) -> Vec<&Step> {
    if module.diagnostics.iter().any(|found| found.severity == Severity::Error) {
        return Vec::new();
    }
    visit::steps(module).map(|(step, _)| step).collect()
}

fn means(one: &Step, other: &Step) -> bool {
    std::mem::discriminant(&one.op) == std::mem::discriminant(&other.op)
        && strings(one) == strings(other)
        && texts(&one.op) == texts(&other.op)
        && documents(one) == documents(other)
}

/// The strings of a step with the references in them, sorted: some options are read before others.
fn strings(step: &Step) -> Vec<String> {
    let mut all = Vec::new();
    // In some nothing is replaced.
    let is_plain = matches!(step.op, Op::Shell(_) | Op::Maintainer(_));
    visit::strings(step, &mut |value| all.push(if is_plain { written(value) } else { meant(value) }));
    all.sort();
    all
}

fn written(value: &Str) -> String {
    let (StrKind::Lit(text) | StrKind::Word { raw: text, .. }) = &value.kind;
    text.lossy().into_owned()
}

fn meant(value: &Str) -> String {
    match &value.kind {
        StrKind::Lit(_) => written(value),
        StrKind::Word { raw, escape } => {
            let word = Word::parse(raw, *escape, Mode::Word);
            let mut text = String::new();
            if unquoted(&word, &word.pieces, &mut text) { text } else { written(value) }
        }
    }
}

/// Writes pieces without quotes; whether all of them could be.
fn unquoted(word: &Word<'_>, pieces: &[Piece], text: &mut String) -> bool {
    pieces.iter().all(|piece| match piece {
        Piece::Text(range) | Piece::Literal(range) => {
            text.push_str(word.slice(range));
            true
        }
        Piece::Quoted(inner) => unquoted(word, inner, text),
        Piece::Variable(variable) if variable.modifier.is_none() => {
            text.extend(["\0", word.slice(&variable.name), "\0"]);
            true
        }
        Piece::Variable(_) | Piece::Fault(_) => false,
    })
}

/// Texts of a step in which nothing is replaced.
fn texts(op: &Op) -> Vec<String> {
    let all = |texts: &[Text]| texts.iter().map(|text| text.lossy().into_owned()).collect::<Vec<_>>();
    match op {
        Op::Run(command) | Op::Cmd(command) | Op::Entrypoint(command) if command.shell => {
            vec![all(&command.args).join(" ")]
        }
        Op::Run(command) | Op::Cmd(command) | Op::Entrypoint(command) => all(&command.args),
        Op::Healthcheck(Healthcheck { test, .. }) => all(test),
        Op::OnBuild(text) => all(std::slice::from_ref(text)),
        _ => Vec::new(),
    }
}

/// Documents of a step: name, content, whether variables are replaced in it, and tabs left out.
fn documents(step: &Step) -> Vec<(&str, &Text, bool, bool)> {
    let all = visit::documents(step).iter();
    all.map(|document| (document.name.as_str(), &document.content, document.expand, document.chomp)).collect()
}

/// What it is about a step that cannot be said.
fn why(step: &Step) -> &'static str {
    let has_break = |text: &str| text.contains(['\n', '\r']);
    let documents = visit::documents(step);
    let ends = documents.iter().all(|document| document.content.is_empty() || document.content.ends_with(b"\n"));
    match &step.op {
        Op::Copy(_) | Op::Add(_) if !ends => "a file whose last line has no end",
        Op::Copy(copy) | Op::Add(copy) if !documents.is_empty() && meant(&copy.dest).contains(char::is_whitespace) => {
            "a blank in the path of a file that is written"
        }
        Op::Copy(_) | Op::Add(_) if !documents.is_empty() => "a file of such a name, or with its name as a line",
        _ if strings(step).iter().any(|text| has_break(text)) => "a line break in a value",
        Op::Run(_) | Op::Cmd(_) | Op::Entrypoint(_) | Op::Healthcheck(_)
            if !strings(step).iter().any(|text| text.contains(char::is_whitespace)) =>
        {
            "such a command line: say it as a list"
        }
        _ => "such a value",
    }
}
