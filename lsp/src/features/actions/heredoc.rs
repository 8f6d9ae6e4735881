//! `RUN a && \ b` as a document with a command a line.
//!
//! `set -e` at its head keeps what `&&` said: the first command that fails ends the script. Only chains of `&&` are
//! rewritten; in other scripts an operator or a condition may mean something that a line break does not.

use ast::{Edit, Op, Span};

use super::{Action, Place, rewrite};
use crate::file::View;
use crate::shell::{self, Kind};

pub(super) fn action(view: &View<'_>, place: &Place<'_>) -> Option<Action> {
    let Op::Run(command) = &place.step.op else { return None };
    if !command.shell || !command.documents.is_empty() {
        return None;
    }
    let lines = commands(view, command.span)?;
    let document = format!("<<EOF\nset -e\n{}\nEOF", lines.join("\n"));
    // In a document the builder leaves variables to the shell, as in a command; a quoted delimiter changes nothing.
    Some(rewrite("Write as a here-document", vec![Edit { span: command.span, text: document }]))
}

/// The commands of a chain of `&&`, one a line; `None` when it is no such chain, or of one.
pub(in super::super) fn commands(view: &View<'_>, span: Span) -> Option<Vec<String>> {
    let text = view.file.text();
    let tokens = shell::tokens(text, span);
    let mut commands = Vec::new();
    let mut start = span.start;
    for token in &tokens {
        match (token.kind, view.file.slice(token.span)) {
            (Kind::Operator, "&&") => {
                commands.push(Span::new(span.file, start, token.span.start));
                start = token.span.end;
            }
            // What comes after these depends on more than the command before.
            (Kind::Operator, "||" | ";" | "&" | "(" | ")" | "|" | "<<") | (Kind::Keyword | Kind::Comment, _) => {
                return None;
            }
            _ => {}
        }
    }
    commands.push(Span::new(span.file, start, span.end));
    let lines: Vec<String> = commands.into_iter().map(|span| one_line(view.file.slice(span))).collect();
    let is_chain = lines.len() > 1 && !lines.iter().any(String::is_empty);
    is_chain.then_some(lines)
}

/// A command without the escape characters that continued its lines.
fn one_line(text: &str) -> String {
    let lines = text.split('\n').map(|line| line.trim().trim_end_matches(['\\', '`']).trim_end());
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use crate::features::actions::tests::{check, check_none};

    #[test]
    fn a_chain() {
        check(
            "FROM a\nRUN --network=none ┃a b \\\n  && c \\\n    -d && e\nUSER x\n",
            "Write as a here-document",
            "FROM a\nRUN --network=none <<EOF\nset -e\na b\nc -d\ne\nEOF\nUSER x\n",
        );
    }

    #[test]
    fn what_would_change_its_meaning_stays() {
        for script in ["a", "a && b || c", "a; b", "cd x && (b)", "if a; then b; fi", "a | b && c"] {
            check_none(&format!("FROM a\nRUN ┃{script}\n"), "Write as a here-document");
        }
    }
}
