//! Words of other languages as strings of a spec.

use ast::word::{Mode, Piece, Word};
use ast::{Command, Healthcheck, Str, StrKind};

use super::super::text::KNOWN;
use super::Scope;

/// A word whose value is to be written.
pub(super) struct Words<'w> {
    word: Word<'w>,
    scope: &'w Scope,
}

impl<'w> Words<'w> {
    /// The text of a string, with its references; or what of it a spec has no word for.
    pub(super) fn of(value: &'w Str, scope: &'w Scope) -> Result<String, &'static str> {
        match &value.kind {
            StrKind::Lit(text) => plain(&text.lossy()),
            StrKind::Word { raw, escape } => {
                let words = Words { word: Word::parse(raw, *escape, Mode::Word), scope };
                let mut text = String::new();
                words.pieces(&words.word.pieces, &mut text)?;
                Ok(text)
            }
        }
    }

    fn pieces(&self, pieces: &[Piece], text: &mut String) -> Result<(), &'static str> {
        for piece in pieces {
            match piece {
                Piece::Text(range) | Piece::Literal(range) => {
                    let part = plain(self.word.slice(range))?;
                    if text.ends_with('$') && part.starts_with('{') {
                        return Err(DOLLAR);
                    }
                    text.push_str(&part);
                }
                Piece::Quoted(inner) => self.pieces(inner, text)?,
                Piece::Variable(variable) if variable.modifier.is_none() => {
                    text.push_str(&self.reference(self.word.slice(&variable.name))?);
                }
                Piece::Variable(_) => return Err("a substitution: ${NAME:-VALUE} and its kin"),
                Piece::Fault(_) => return Err("a word that cannot be read"),
            }
        }
        Ok(())
    }

    fn reference(&self, name: &str) -> Result<String, &'static str> {
        let is_arg = self.scope.args.iter().any(|arg| arg == name) && !self.scope.env.contains(name);
        match KNOWN.iter().find(|(_, argument)| *argument == name) {
            Some((known, _)) if is_arg || self.scope.is_global => Ok(format!("${{{known}}}")),
            _ if is_arg => Ok(match &self.scope.values {
                Some(values) => values.get(name).cloned().unwrap_or_default(),
                None => format!("${{var.{name}}}"),
            }),
            _ if name.starts_with("TARGET") && self.scope.is_global => Err("what is known of the target"),
            // Nobody has set it.
            _ if self.scope.is_global => Ok(String::new()),
            _ if !is_name(name) => Err("a variable with such a name"),
            _ => Ok(format!("${{env.{name}}}")),
        }
    }
}

const DOLLAR: &str = "a dollar sign before a brace";

fn plain(text: &str) -> Result<String, &'static str> {
    if text.contains("${") { Err(DOLLAR) } else { Ok(text.to_owned()) }
}

/// A truth value of a Dockerfile, as a spec writes it.
pub(super) fn truth(value: &str) -> String {
    match value {
        "1" | "t" | "T" | "TRUE" | "True" => "true".to_owned(),
        "0" | "f" | "F" | "FALSE" | "False" => "false".to_owned(),
        other => other.to_owned(),
    }
}

/// Whether a variable can have a name in a spec.
pub(super) fn is_name(name: &str) -> bool {
    let is_sign = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    name.bytes().all(is_sign) && name.starts_with(|c: char| !c.is_ascii_digit())
}

/// Whether an argument is one that is always there.
pub(super) fn is_known(name: &str) -> bool {
    KNOWN.iter().any(|(_, argument)| *argument == name)
}

/// A string of TOML.
pub(super) fn string(text: &str) -> String {
    // The escapes of JSON are among those of TOML, but for one character.
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// The text of a string of TOML.
pub(super) fn unquoted(text: &str) -> String {
    serde_json::from_str(text).unwrap_or_default()
}

/// A name that a stage can have.
pub(super) fn stage(name: &str) -> String {
    let name = crate::stage_name(name);
    match name.as_str() {
        "scratch" | "context" => name + "-stage",
        _ => name,
    }
}

/// A key of TOML.
pub(super) fn key(text: &str) -> String {
    let is_bare = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if is_bare { text.to_owned() } else { string(text) }
}

/// A command, which nobody expands.
pub(super) fn command(command: &Command) -> String {
    let args: Vec<String> = command.args.iter().map(|arg| string(&arg.lossy())).collect();
    if command.shell { args.first().cloned().unwrap_or_else(|| string("")) } else { format!("[{}]", args.join(", ")) }
}

/// A health check; `None` when it says what a spec does not.
pub(super) fn healthcheck(check: &Healthcheck) -> Option<String> {
    let texts: Vec<String> = check.test.iter().map(|text| string(&text.lossy())).collect();
    let cmd = match check.test.first()?.lossy().as_ref() {
        "CMD-SHELL" => texts.get(1)?.clone(),
        "CMD" => format!("[{}]", texts[1..].join(", ")),
        "NONE" => return Some("{ disable = true }".to_owned()),
        _ => return None,
    };
    let mut text = format!("{{ cmd = {cmd}");
    for (key, value) in [
        ("interval", check.interval),
        ("timeout", check.timeout),
        ("start-period", check.start_period),
        ("start-interval", check.start_interval),
    ] {
        if value != 0 {
            text += &format!(", {key} = \"{value}ns\"");
        }
    }
    if check.retries != 0 {
        text += &format!(", retries = {}", check.retries);
    }
    Some(text + " }")
}
