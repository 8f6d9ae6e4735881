//! References in strings: `${var.NAME}`, `${target.arch}`, and `${env.NAME}` for variables of the stage. Nothing else is special, and strings stay strings.
//!
//! A reference becomes a variable of the planner's words; everything around it is escaped, so that no other character
//! means anything there. Names of build arguments that a definition uses are collected: it declares them.

use std::collections::BTreeSet;

use ast::{Span, Str, StrKind};

use super::read::{Reader, Text};

/// The escape character of the words made here.
pub(super) const ESCAPE: u8 = b'\\';

/// Values that are always there, and the build arguments that hold them.
pub(super) const KNOWN: &[(&str, &str)] = &[
    ("target.platform", "TARGETPLATFORM"),
    ("target.os", "TARGETOS"),
    ("target.arch", "TARGETARCH"),
    ("target.variant", "TARGETVARIANT"),
    ("build.platform", "BUILDPLATFORM"),
    ("build.os", "BUILDOS"),
    ("build.arch", "BUILDARCH"),
    ("build.variant", "BUILDVARIANT"),
];

/// The names there are, and those that were used.
pub(super) struct Names<'s> {
    vars: Vec<&'s str>,
    used: BTreeSet<String>,
    /// Whether there is a stage, whose variables `${env.NAME}` are.
    pub(super) in_stage: bool,
}

impl<'s> Names<'s> {
    pub(super) fn new<T>(vars: &'s [(Text, T)]) -> Self {
        Self {
            vars: vars.iter().map(|(name, _)| name.value.as_str()).collect(),
            used: BTreeSet::new(),
            in_stage: false,
        }
    }

    /// The build arguments that were used since the last time.
    pub(super) fn take_used(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.used)
    }

    /// Counts arguments as used, too.
    pub(super) fn put_used(&mut self, used: BTreeSet<String>) {
        self.used.extend(used);
    }

    /// The build argument of a reference such as `var.version`.
    pub(super) fn argument(&mut self, reference: &str, at: Span, reader: &mut Reader) -> Option<String> {
        if let Some(name) = reference.strip_prefix("var.") {
            if self.vars.contains(&name) {
                self.used.insert(name.to_owned());
                return Some(name.to_owned());
            }
            let message = format!("there is no variable {}", ast::quote(name.as_bytes()));
            let message = ast::with_suggestion(message, ast::suggest(name, self.vars.iter().copied()));
            reader.error(message, at).help = Some(format!("declare it: [var.{name}]"));
            return None;
        }
        if let Some((_, argument)) = KNOWN.iter().find(|(known, _)| *known == reference) {
            self.used.insert((*argument).to_owned());
            return Some((*argument).to_owned());
        }
        if let Some(name) = reference.strip_prefix("env.") {
            if !self.in_stage {
                reader.error(format!("${{{reference}}} is known only in a stage"), at).help =
                    Some("it is a variable of the stage or of its base: use ${var.NAME} here".to_owned());
                return None;
            }
            let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !is_name || name.as_bytes()[0].is_ascii_digit() {
                reader.error(format!("not the name of a variable: {}", ast::quote(name.as_bytes())), at).help =
                    Some("it has letters, digits and underscores".to_owned());
                return None;
            }
            return Some(name.to_owned());
        }
        let known = KNOWN.iter().map(|(known, _)| *known);
        let message = format!("unknown reference ${{{reference}}}");
        let message = ast::with_suggestion(message, ast::suggest(reference, known.clone()));
        let known: Vec<&str> = known.collect();
        reader.error(message, at).help = Some(format!("there are var.NAME, env.NAME, {}", known.join(", ")));
        None
    }

    /// A string with its references, to be expanded by the planner.
    pub(super) fn template(&mut self, text: &Text, reader: &mut Reader) -> Str {
        let mut raw = String::with_capacity(text.value.len());
        let mut rest = text.value.as_str();
        while let Some(at) = rest.find("${") {
            escape(&rest[..at], &mut raw);
            rest = &rest[at + 2..];
            let Some(end) = rest.find('}') else {
                reader.error("`${` without a `}`", text.span).help =
                    Some("a reference is ${var.NAME} or ${target.arch}".to_owned());
                break;
            };
            if let Some(argument) = self.argument(rest[..end].trim(), text.span, reader) {
                raw.push_str(&format!("${{{argument}}}"));
            }
            rest = &rest[end + 1..];
        }
        escape(rest, &mut raw);
        Str { kind: StrKind::Word { raw: ast::Text::from(raw.as_str()), escape: ESCAPE }, span: text.span }
    }
}

/// A string that is taken as it is.
pub(super) fn literal(text: &str, span: Span) -> Str {
    Str { kind: StrKind::Lit(text.into()), span }
}

/// Says that a text which a shell reads has a reference, which nobody replaces there.
pub(super) fn refuse_references(text: &Text, reader: &mut Reader) {
    for prefix in ["${var.", "${target.", "${build.", "${env."] {
        if text.value.contains(prefix) {
            let name = prefix.trim_start_matches("${").trim_end_matches('.').to_uppercase();
            let help = match prefix {
                "${env." => "the process has the variable: write $NAME".to_owned(),
                _ => {
                    format!("give it to the process as a variable: env = {{ {name} = \"{prefix}…}}\" }}, then ${name}")
                }
            };
            reader.error(format!("`{prefix}…}}` is not replaced in commands"), text.span).help = Some(help);
            return;
        }
    }
}

/// Takes the meaning from every character that has one in a word.
fn escape(text: &str, raw: &mut String) {
    for c in text.chars() {
        if matches!(c, '\\' | '$' | '"' | '\'') {
            raw.push('\\');
        }
        raw.push(c);
    }
}

/// A word of a POSIX shell that means this text.
pub(super) fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> (String, Vec<String>) {
        let vars = [(Text { value: "version".into(), span: Span::default() }, ())];
        let mut names = Names::new(&vars);
        let mut reader = Reader::new(ast::FileId(0), None);
        let text = Text { value: text.into(), span: Span::default() };
        let made = names.template(&text, &mut reader);
        (made.raw().lossy().into_owned(), reader.diagnostics.into_iter().map(|found| found.message).collect())
    }

    #[test]
    fn references_and_everything_else() {
        assert_eq!(template("v${var.version}-${target.arch}").0, "v${version}-${TARGETARCH}");
        assert_eq!(template(r#"$HOME "x" \ 'y'"#).0, r#"\$HOME \"x\" \\ \'y\'"#);
        assert_eq!(template("${var.versoin}").1, [r#"there is no variable "versoin" (did you mean version?)"#]);
        assert_eq!(template("${target.arc}").1, ["unknown reference ${target.arc} (did you mean target.arch?)"]);
        assert_eq!(template("${var.version").1, ["`${` without a `}`"]);
    }

    #[test]
    fn words_of_a_shell() {
        assert_eq!(shell_word("curl=7.*"), "'curl=7.*'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word("libc6-dev"), "libc6-dev");
    }
}
