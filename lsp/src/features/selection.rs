//! A selection that grows: word, string, option, step, stage, file.

use ast::{Span, visit};

use crate::file::View;

/// Ranges around a place, each inside the next.
pub fn ranges(view: &View<'_>, offset: u32) -> Vec<Span> {
    let file = view.file;
    let mut found = vec![super::hover::identifier(view, offset)];
    if let Some((tree, _)) = file.keyed() {
        super::keyed::selection::ranges(tree, offset, &mut found);
    } else if let Some((step, def)) = file.step_at(offset) {
        found.extend(file.names().at(offset).map(|found| found.span));
        visit::strings(step, &mut |string| found.push(string.span));
        found.extend(step.opts.iter().map(|opt| opt.span));
        for document in visit::documents(step) {
            found.push(document.span);
            found.push(line(file.text(), offset));
        }
        if let ast::Op::Run(command) | ast::Op::Cmd(command) | ast::Op::Entrypoint(command) = &step.op {
            found.push(command.span);
            if command.shell {
                let tokens = crate::shell::tokens(file.text(), command.span);
                found.extend(tokens.into_iter().map(|token| token.span));
            }
        }
        found.push(step.span);
        found.extend(def.map(|def| file.module.defs[def].span));
    }
    found.push(Span::new(ast::FileId(0), 0, file.text().len() as u32));
    nested(found, offset)
}

fn line(text: &str, offset: u32) -> Span {
    let at = offset as usize;
    let start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    let end = text.get(at..).and_then(|after| after.find('\n')).map_or(text.len(), |length| at + length);
    Span::new(ast::FileId(0), start as u32, end as u32)
}

/// Those that hold the place, from the smallest on, without what does not lie in the next.
fn nested(mut spans: Vec<Span>, offset: u32) -> Vec<Span> {
    spans.retain(|span| span.start <= offset && offset <= span.end && span.start < span.end);
    spans.sort_by_key(|span| (span.end - span.start, span.start));
    let mut nested: Vec<Span> = Vec::new();
    for span in spans {
        let fits = nested.last().is_none_or(|last| span.start <= last.start && last.end <= span.end && span != *last);
        if fits {
            nested.push(span);
        }
    }
    nested
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::with;

    #[test]
    fn from_the_word_to_the_file() {
        let found = with("FROM a\nCOPY --chown=${US┃ER}:x a b\n", |view, offset| {
            ranges(view, offset).into_iter().map(|span| view.file.slice(span).to_owned()).collect::<Vec<_>>()
        });
        let expected = [
            "USER",
            "${USER}:x",
            "--chown=${USER}:x",
            "COPY --chown=${USER}:x a b",
            "FROM a\nCOPY --chown=${USER}:x a b",
            "FROM a\nCOPY --chown=${USER}:x a b\n",
        ];
        assert_eq!(found, expected);
    }
}
