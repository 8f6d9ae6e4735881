//! A command as a list of words, which no shell reads: for commands that need none.

use ast::{Edit, Op, Span};

use super::{Action, Place, rewrite};
use crate::file::View;
use crate::shell::{self, Kind};

pub(super) fn action(view: &View<'_>, place: &Place<'_>) -> Option<Action> {
    let (Op::Run(command) | Op::Cmd(command) | Op::Entrypoint(command)) = &place.step.op else { return None };
    if !command.shell || !command.documents.is_empty() || command.span.start == command.span.end {
        return None;
    }
    let text = list(view, command.span)?;
    Some(rewrite("Write as a list", vec![Edit { span: command.span, text }]))
}

/// A command as a list of strings; `None` when a shell must read it.
pub(in super::super) fn list(view: &View<'_>, span: Span) -> Option<String> {
    let text = view.file.text();
    let mut words: Vec<String> = Vec::new();
    let mut end = None;
    for token in shell::tokens(text, span) {
        let written = view.file.slice(token.span);
        let word = match token.kind {
            Kind::Command | Kind::Argument | Kind::Option if !written.contains(['*', '?', '[', '~', '\\', '{']) => {
                written
            }
            Kind::Quoted if written.len() >= 2 && !written.contains('\\') => &written[1..written.len() - 1],
            _ => return None,
        };
        match words.last_mut() {
            // Pieces that touch are one word.
            Some(last) if end == Some(token.span.start) => last.push_str(word),
            _ => words.push(word.to_owned()),
        }
        end = Some(token.span.end);
    }
    let list = words.iter().map(|word| serde_json::Value::from(word.as_str()).to_string()).collect::<Vec<_>>();
    (!list.is_empty()).then(|| format!("[{}]", list.join(", ")))
}

#[cfg(test)]
mod tests {
    use crate::features::actions::tests::{check, check_none};

    #[test]
    fn plain_commands() {
        check(
            "FROM a\nCMD ┃nginx -g 'daemon off;' x\"y z\"\n",
            "Write as a list",
            "FROM a\nCMD [\"nginx\", \"-g\", \"daemon off;\", \"xy z\"]\n",
        );
    }

    #[test]
    fn what_a_shell_must_read_stays() {
        for script in ["a $B", "a && b", "a *.c", "A=1 b", "a > b", "a \"$(b)\""] {
            check_none(&format!("FROM a\nCMD ┃{script}\n"), "Write as a list");
        }
    }
}
