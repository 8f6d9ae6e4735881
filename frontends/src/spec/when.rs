//! Conditions: `var.debug && target.arch in ['amd64', 'arm64']`. The grammar is `grammar/when.pest`.

use ast::{Condition, Span, Str, StrKind};
use pest::Parser as _;
use pest::iterators::Pair;

use super::read::{Reader, Text};
use super::text::{ESCAPE, Names, literal};

#[derive(pest_derive::Parser)]
#[grammar = "../../grammar/when.pest"]
struct Grammar;

/// Conditions inside conditions, at the most: a person writes three or four.
const MAX_DEPTH: usize = 32;

/// Parses a condition; `None` when it is wrong, which a diagnostic then says.
pub(super) fn parse(text: &Text, names: &mut Names<'_>, reader: &mut Reader) -> Option<Condition> {
    if depth(&text.value) > MAX_DEPTH {
        reader.error(format!("the condition is nested more than {MAX_DEPTH} deep"), text.span);
        return None;
    }
    let mut pairs = match Grammar::parse(Rule::condition, &text.value) {
        Ok(pairs) => pairs,
        Err(error) => {
            let (pest::error::LineColLocation::Pos((_, column)) | pest::error::LineColLocation::Span((_, column), _)) =
                error.line_col;
            reader.error(format!("cannot read the condition at its character {column}"), text.span).help = Some(
                "conditions are made of var.NAME, target.arch and 'texts' with ==, !=, in [...], !, &&, || and ()"
                    .to_owned(),
            );
            return None;
        }
    };
    let any = pairs.next()?.into_inner().next()?;
    Walk { names, reader, span: text.span }.any(any)
}

/// How deep parentheses and negations go: what recursion is bounded by.
fn depth(text: &str) -> usize {
    let mut depth = 0usize;
    let mut deepest = 0;
    for c in text.chars() {
        match c {
            '(' | '!' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

struct Walk<'w, 's> {
    names: &'w mut Names<'s>,
    reader: &'w mut Reader,
    span: Span,
}

impl Walk<'_, '_> {
    fn any(&mut self, pair: Pair<'_, Rule>) -> Option<Condition> {
        let mut parts: Vec<_> = pair.into_inner().map(|all| self.all(all)).collect::<Option<_>>()?;
        if parts.len() == 1 { parts.pop() } else { Some(Condition::Any(parts)) }
    }

    fn all(&mut self, pair: Pair<'_, Rule>) -> Option<Condition> {
        let mut parts: Vec<_> = pair.into_inner().map(|factor| self.factor(factor)).collect::<Option<_>>()?;
        if parts.len() == 1 { parts.pop() } else { Some(Condition::All(parts)) }
    }

    fn factor(&mut self, pair: Pair<'_, Rule>) -> Option<Condition> {
        let inner = pair.into_inner().next()?;
        match inner.as_rule() {
            Rule::not => Some(Condition::Not(Box::new(self.factor(inner.into_inner().next()?)?))),
            _ => self.comparison(inner),
        }
    }

    fn comparison(&mut self, pair: Pair<'_, Rule>) -> Option<Condition> {
        let mut inner = pair.into_inner();
        let first = inner.next()?;
        if first.as_rule() == Rule::any {
            return self.any(first);
        }
        let left = self.operand(first)?;
        let Some(operator) = inner.next() else { return Some(Condition::True(left)) };
        let right = inner.next()?;
        Some(match operator.as_rule() {
            Rule::within => Condition::In(left, right.into_inner().map(|option| self.literal(&option)).collect()),
            Rule::unequal => Condition::Not(Box::new(Condition::Equal(left, self.operand(right)?))),
            _ => Condition::Equal(left, self.operand(right)?),
        })
    }

    fn operand(&mut self, pair: Pair<'_, Rule>) -> Option<Str> {
        let inner = pair.into_inner().next()?;
        if inner.as_rule() == Rule::literal {
            return Some(self.literal(&inner));
        }
        let argument = self.names.argument(inner.as_str(), self.span, self.reader)?;
        let raw = format!("${{{argument}}}");
        Some(Str { kind: StrKind::Word { raw: raw.as_str().into(), escape: ESCAPE }, span: self.span })
    }

    fn literal(&self, pair: &Pair<'_, Rule>) -> Str {
        literal(pair.as_str().trim_matches('\''), self.span)
    }
}
