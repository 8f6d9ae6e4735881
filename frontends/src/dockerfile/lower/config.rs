//! Instructions that only write image metadata, but for the health check.

use ast::{Command, Op, Str, Text};
use smallvec::SmallVec;

use super::{Lowering, list};
use crate::dockerfile::syntax::{Args, Instruction};
use crate::dockerfile::text::{is_regex_blank, trim, trimmed};

/// The one argument of `WORKDIR`, `USER`, `MAINTAINER`: the rest of the line.
pub(super) fn single(parsed: &Instruction<'_>, name: &str, lowering: &mut Lowering<'_>) -> Option<Str> {
    let Args::Line(line) = &parsed.args else {
        lowering.error(format!("{name} requires exactly one argument"), &parsed.name.range);
        return None;
    };
    lowering.flags(parsed, &[]);
    Some(lowering.word(line))
}

/// `STOPSIGNAL` takes no notice of flags.
pub(super) fn stop_signal(parsed: &Instruction<'_>, lowering: &mut Lowering<'_>) -> Option<Op> {
    let Args::Line(line) = &parsed.args else {
        lowering.error("STOPSIGNAL requires exactly one argument", &parsed.name.range);
        return None;
    };
    Some(Op::StopSignal(lowering.word(line)))
}

/// `CMD` and `ENTRYPOINT`.
pub(super) fn command(parsed: &Instruction<'_>, lowering: &mut Lowering<'_>) -> Option<Command> {
    lowering.flags(parsed, &[]);
    Some(command_args(parsed, lowering))
}

/// The words of a command, in either form.
pub(super) fn command_args(parsed: &Instruction<'_>, lowering: &Lowering<'_>) -> Command {
    let line = lowering.context.line;
    let (args, shell, range) = match &parsed.args {
        Args::Json(words) => {
            let end = words.last().map_or(parsed.name.range.end, |word| word.range.end);
            let start = words.first().map_or(end, |word| word.range.start);
            (words.iter().map(|word| Text::from(word.text.as_ref())).collect(), false, start..end)
        }
        Args::Line(word) => ([word.text.as_ref().into()].into(), true, word.range.clone()),
        _ => (SmallVec::new(), true, parsed.name.range.end..parsed.name.range.end),
    };
    Command { args, shell, documents: Vec::new(), span: line.span(range) }
}

pub(super) fn shell(parsed: &Instruction<'_>, lowering: &mut Lowering<'_>) -> Option<Op> {
    lowering.flags(parsed, &[]);
    match &parsed.args {
        Args::Json(words) if !words.is_empty() => {
            Some(Op::Shell(words.iter().map(|word| lowering.literal(word)).collect()))
        }
        Args::Line(line) => {
            lowering.error("SHELL requires the arguments to be in JSON form", &line.range);
            None
        }
        _ => {
            lowering.error("SHELL requires at least one argument", &parsed.name.range);
            None
        }
    }
}

pub(super) fn expose(parsed: &Instruction<'_>, lowering: &mut Lowering<'_>) -> Option<Op> {
    let words = list(&parsed.args);
    if words.is_empty() {
        lowering.error("EXPOSE requires at least one argument", &parsed.name.range);
        return None;
    }
    lowering.flags(parsed, &[]);
    let mut sorted: Vec<_> = words.iter().collect();
    sorted.sort_by(|a, b| a.text.cmp(&b.text));
    Some(Op::Expose(sorted.into_iter().map(|word| lowering.word(word)).collect()))
}

pub(super) fn volume(parsed: &Instruction<'_>, lowering: &mut Lowering<'_>) -> Option<Op> {
    let words = list(&parsed.args);
    if words.is_empty() {
        lowering.error("VOLUME requires at least one argument", &parsed.name.range);
        return None;
    }
    lowering.flags(parsed, &[]);
    let mut volumes = Vec::with_capacity(words.len());
    for word in words {
        let text = &word.text[trim(&word.text, 0..word.text.len())];
        if text.is_empty() {
            lowering.error("VOLUME specified can not be an empty string", &word.range);
            return None;
        }
        volumes.push(lowering.template(text.into(), &word.range));
    }
    Some(Op::Volume(volumes))
}

pub(super) fn on_build(parsed: &Instruction<'_>, lowering: &mut Lowering<'_>) -> Option<Op> {
    let Args::Trigger(trigger) = &parsed.args else {
        lowering.error("ONBUILD requires at least one argument", &parsed.name.range);
        return None;
    };
    lowering.flags(parsed, &[]);
    let name = ast::word::decode(trimmed(&trigger.name.text));
    let name = ast::case::upper(&name);
    match &*name {
        "ONBUILD" => {
            lowering.error("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed", &trigger.name.range);
            None
        }
        "MAINTAINER" | "FROM" => {
            lowering.error(format!("{name} isn't allowed as an ONBUILD trigger"), &trigger.name.range);
            None
        }
        _ => Some(Op::OnBuild(trigger_text(lowering))),
    }
}

/// The line without its keyword, and every document as it stood.
fn trigger_text(lowering: &Lowering<'_>) -> Text {
    let mut text = without_keyword(lowering.context.line.text).to_vec();
    for raw in lowering.context.documents {
        text.push(b'\n');
        text.extend_from_slice(lowering.context.scanner.bytes(&raw.body));
        text.extend_from_slice(raw.opener.name.as_bytes());
    }
    text.into()
}

/// parity: the blanks before the keyword are those of a regular expression; after others the keyword stays.
fn without_keyword(line: &[u8]) -> &[u8] {
    let skip_blanks = |text: &[u8]| text.iter().position(|b| !is_regex_blank(*b)).unwrap_or(text.len());
    let start = skip_blanks(line);
    let end = start + "ONBUILD".len();
    match line.get(start..end) {
        Some(word) if word.eq_ignore_ascii_case(b"ONBUILD") => &line[end + skip_blanks(&line[end..])..],
        _ => line,
    }
}
