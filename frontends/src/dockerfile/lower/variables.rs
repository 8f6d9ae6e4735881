//! `ENV`, `LABEL` and `ARG`: names and values.

use ast::{Op, Param};

use super::Lowering;
use crate::dockerfile::parse::documented;
use crate::dockerfile::syntax::{Args, Instruction, cut};
use crate::dockerfile::text::Word;

pub(super) fn pairs(parsed: &Instruction<'_>, name: &str, lowering: &mut Lowering<'_>) -> Option<Vec<ast::Pair>> {
    lowering.flags(parsed, &[]);
    let Args::Pairs(pairs) = &parsed.args else {
        lowering.error(format!("{name} requires at least one argument"), &parsed.name.range);
        return None;
    };
    if let Some(blank) = pairs.iter().find(|pair| pair.key.text.is_empty()) {
        let range = blank.key.range.start..blank.value.range.end;
        lowering.error(format!("{name} names can not be blank"), &range);
        return None;
    }
    let pair = |pair: &crate::dockerfile::syntax::Pair<'_>| ast::Pair {
        key: lowering.word(&pair.key),
        value: lowering.word(&pair.value),
        legacy: pair.legacy,
    };
    Some(pairs.iter().map(pair).collect())
}

/// `ARG` takes no notice of flags.
pub(super) fn arg(parsed: &Instruction<'_>, lowering: &mut Lowering<'_>) -> Option<Op> {
    let Args::Words(words) = &parsed.args else {
        lowering.error("ARG requires at least one argument", &parsed.name.range);
        return None;
    };
    let mut params = Vec::with_capacity(words.len());
    for word in words {
        params.push(param(word, lowering)?);
    }
    Some(Op::Arg(params))
}

fn param(word: &Word<'_>, lowering: &mut Lowering<'_>) -> Option<Param> {
    let (key, value) = match word.text.iter().position(|b| *b == b'=') {
        Some(equals) => {
            let (key, value) = cut(word.clone(), equals);
            (key, Some(value))
        }
        None => (word.clone(), None),
    };
    if key.text.is_empty() {
        lowering.error("ARG names can not be blank", &word.range);
        return None;
    }
    let name = lowering.name(&key);
    Some(Param {
        doc: documented(&lowering.comments, &name.text),
        name,
        ty: None,
        variadic: false,
        default: value.map(|value| lowering.word(&value)),
        domain: None,
    })
}
