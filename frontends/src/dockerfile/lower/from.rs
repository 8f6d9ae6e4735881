//! `FROM`: begins a stage.

use std::borrow::Cow;

use ast::{Alias, Body, Def, Op, OptKind};

use super::{Lowering, list};
use crate::dockerfile::flags::{Kind, Spec};
use crate::dockerfile::parse::documented;
use crate::dockerfile::syntax::Instruction;
use crate::dockerfile::text::Word;

const FLAGS: &[Spec] = &[("platform", Kind::Text)];

pub(super) fn lower(parsed: &Instruction<'_>, lowering: &mut Lowering<'_>) -> Def {
    let words = list(&parsed.args);
    let name = stage_name(parsed, words, lowering);
    for flag in lowering.flags(parsed, FLAGS) {
        if !flag.value.is_empty() {
            let platform = lowering.flag_word(&flag);
            lowering.opt(OptKind::Platform(platform), &flag);
        }
    }
    let alias = words.get(1).filter(|_| words.len() > 2).map(|keyword| Alias {
        keyword: lowering.written(keyword),
        name: words.get(2).filter(|_| words.len() == 3).map(|name| lowering.written(name)),
    });
    let op = words.first().map_or(Op::Hole, |base| Op::From(lowering.word(base)));
    let doc = name.as_ref().and_then(|name| documented(&lowering.comments, &name.text));
    let step = lowering.step(op, &parsed.name);
    Def { doc, name, alias, params: Vec::new(), signature: None, span: step.span, body: Body::Fs(steps_from(step)) }
}

/// The steps of a stage that begins with one: few have no more than that.
fn steps_from(step: ast::Step) -> Vec<ast::Step> {
    let mut steps = Vec::with_capacity(8);
    steps.push(step);
    steps
}

fn stage_name(parsed: &Instruction<'_>, words: &[Word<'_>], lowering: &mut Lowering<'_>) -> Option<ast::Name> {
    match words {
        [_] => None,
        [_, keyword, name] if is_as(&keyword.text) => {
            let mut lower = lowering.name(name);
            if let Cow::Owned(text) = ast::case::lower(&lower.text) {
                lower.text = text;
            }
            if is_valid(&lower.text) {
                return Some(lower);
            }
            let written = ast::quote(&name.text);
            let what = "name can't start with a number or contain symbols";
            lowering.error(format!("invalid name for build stage: {written}, {what}"), &name.range);
            None
        }
        _ => {
            let range = match words {
                [_, first, ..] => first.range.start..words[words.len() - 1].range.end,
                _ => parsed.name.range.clone(),
            };
            lowering.error("FROM requires either one or three arguments", &range);
            None
        }
    }
}

/// Whether the word is `as` in any case; the long s is one of its cases.
fn is_as(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"as") || std::str::from_utf8(word).is_ok_and(|word| ast::case::upper(word) == "AS")
}

fn is_valid(name: &str) -> bool {
    let is_sign = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(is_sign)
}
