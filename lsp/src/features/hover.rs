//! What stands at the cursor: the meaning of a word of the language, the value a name has here and where it came from,
//! what is known of an image, what a rule asks for.

use std::fmt::Write as _;

use ast::{Op, OptKind, Span, Step};
use compiler::lint::Rule;
use compiler::{Answer, Question};
use oci::{ImageConfig, Reference};

use crate::file::View;
use crate::names::{Kind, Role, Use};

/// What to show, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hover {
    /// Markdown.
    pub text: String,
    /// The words it explains.
    pub span: Span,
}

/// What stands at a place.
pub fn hover(view: &View<'_>, offset: u32) -> Option<Hover> {
    if view.file.keyed().is_some() {
        return super::keyed::hover::hover(view, offset);
    }
    rule(view, offset)
        .or_else(|| named(view, offset))
        .or_else(|| primitive(view, offset))
        .or_else(|| predefined(view, offset))
        .or_else(|| word(view, offset))
        .or_else(|| image(view, offset))
}

fn holds(span: Span, offset: u32) -> bool {
    span.start <= offset && offset <= span.end
}

/// The identifier around a place.
pub(super) fn identifier(view: &View<'_>, offset: u32) -> Span {
    let text = view.file.text().as_bytes();
    let is_part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    let at = (offset as usize).min(text.len());
    let start = text[..at].iter().rposition(|b| !is_part(b)).map_or(0, |before| before + 1);
    let end = text[at..].iter().position(|b| !is_part(b)).map_or(text.len(), |length| at + length);
    Span::new(ast::FileId(0), start as u32, end as u32)
}

/// The name of a rule in a comment.
fn rule(view: &View<'_>, offset: u32) -> Option<Hover> {
    let text = view.file.text();
    let at = (offset as usize).min(text.len());
    let line = text.get(..at)?.rfind('\n').map_or(0, |newline| newline + 1);
    if !text.get(line..)?.trim_start().starts_with(view.file.words()?.comment) {
        return None;
    }
    let span = identifier(view, offset);
    let name = view.file.slice(span);
    if let Some(rule) = Rule::find(name) {
        return Some(Hover { text: explain(rule), span });
    }
    let directive = view.file.words()?.directives.iter().find(|directive| directive.name.eq_ignore_ascii_case(name))?;
    let is_setting = text.get(span.end as usize..)?.trim_start().starts_with('=');
    is_setting.then(|| Hover { text: format!("`# {}=`\n\n{}", directive.name, directive.doc), span })
}

/// What `llbc explain` prints.
pub fn explain(rule: &Rule) -> String {
    let mut text = format!("**{}**: {}\n\n{}", rule.name, rule.description, rule.explanation());
    if !rule.url.is_empty() {
        let _ = write!(text, "\n\n[{0}]({0})", rule.url);
    }
    text
}

fn named(view: &View<'_>, offset: u32) -> Option<Hover> {
    let names = view.file.names();
    let found = names.at(offset)?;
    let symbol = &names.symbols[found.symbol];
    let text = match symbol.kind {
        Kind::Stage(def) => stage(view, def),
        Kind::Variable if view.file.words().is_some() => variable(view, found, &symbol.name),
        Kind::Function(def) => function(view, def),
        Kind::Variable | Kind::Bound(_) | Kind::Import | Kind::Entry(_) => declared(view, found, &symbol.name),
    };
    Some(Hover { text, span: found.span })
}

fn stage(view: &View<'_>, at: usize) -> String {
    let def = &view.file.module.defs[at];
    let steps = ast::visit::def_steps(def);
    let mut text = format!("```{}\n{}\n```\n", view.file.language.id.to_lowercase(), steps[0].text.lossy());
    if let Some(doc) = &def.doc {
        let _ = writeln!(text, "\n{}\n", doc.lossy());
    }
    let line = view.file.lines().line(def.span.start);
    let _ = write!(text, "Stage {at}, line {line}, {}.", count(steps.len() - 1, "step"));
    text
}

fn function(view: &View<'_>, at: usize) -> String {
    let def = &view.file.module.defs[at];
    let code = format!("```{}\n{}\n```", view.file.language.id.to_lowercase(), super::functions::signature(view, def));
    let doc = def.doc.as_ref().map(|doc| format!("\n\n{}", doc.lossy())).unwrap_or_default();
    code + &doc
}

/// The line that declares a name.
fn declared(view: &View<'_>, found: &Use, name: &str) -> String {
    let names = view.file.names();
    let first = names.of(found.symbol).find(|other| other.role == Role::Definition);
    let Some(line) = first.map(|first| view.file.lines().line(first.span.start)) else { return format!("`{name}`") };
    let start = view.file.lines().start_of(line).unwrap_or(0) as usize;
    let text = view.file.text().get(start..).and_then(|text| text.lines().next()).unwrap_or_default();
    format!("`{name}`\n\nfrom line {line}:\n```{}\n{}\n```", view.file.language.id.to_lowercase(), text.trim())
}

/// A primitive, in each of the meanings that it may have here.
fn primitive(view: &View<'_>, offset: u32) -> Option<Hover> {
    let (rows, span) = super::functions::primitives(view, offset)?;
    let language = view.file.language.id.to_lowercase();
    // Where it stands may tell which of several it is.
    let wanted = super::functional::completion::wanted(view, span.start);
    let fitting: Vec<_> = rows.iter().filter(|row| wanted.as_deref() == Some(row.gives)).collect();
    let shown = if fitting.is_empty() { rows.iter().collect() } else { fitting };
    let text = shown.into_iter().map(|row| format!("```{language}\n{}\n```\n\n{}", row.signature, row.doc));
    Some(Hover { text: text.collect::<Vec<_>>().join("\n\n"), span })
}

pub(super) fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

fn variable(view: &View<'_>, found: &Use, name: &str) -> String {
    let file = view.file;
    let origin = origin(view, found);
    let mut text = match value(view, found, name) {
        Some(Some(value)) => format!("```sh\n{name}={value}\n```\n"),
        Some(None) => format!("`{name}` is not known until the build\n"),
        None => format!("`{name}`\n"),
    };
    if let Some((step, line)) = origin {
        let words = step.text.lossy();
        let first = words.lines().next().unwrap_or_default();
        let _ = write!(text, "\nfrom line {line}:\n```{}\n{first}\n```", file.language.id.to_lowercase());
        if let Op::Arg(params) = &step.op {
            let doc = params.iter().find(|param| param.name.text == name).and_then(|param| param.doc.as_ref());
            if let Some(doc) = doc {
                let _ = write!(text, "\n{}", doc.lossy());
            }
        }
    }
    text
}

/// The step that gives a variable its value at a use, and its line: the last one before it, or the one it stands in.
fn origin<'v>(view: &View<'v>, found: &Use) -> Option<(&'v Step, u32)> {
    let defines = |other: &&Use| other.role != Role::Reference && other.span.start <= found.span.start;
    let names = view.file.names();
    let last = names.of(found.symbol).filter(defines).last()?;
    // A bare declaration passes on the value of an earlier definition.
    let earlier = |other: &&Use| defines(other) && other.role == Role::Definition;
    let last = if last.role == Role::Declaration {
        names.of(found.symbol).filter(earlier).last().unwrap_or(last)
    } else {
        last
    };
    let (step, _) = view.file.step_at(last.span.start)?;
    Some((step, view.file.lines().line(last.span.start)))
}

/// The value of a variable at a use, as the planner has it; of a definition, the value after it.
fn value(view: &View<'_>, found: &Use, name: &str) -> Option<Option<String>> {
    let file = view.file;
    let (step, _) = file.step_at(found.span.start)?;
    let place = if found.role == Role::Reference { step.span } else { next_step(view, step).unwrap_or(step.span) };
    let scope = view.scopes(place).into_iter().find(|scope| scope.step.start == place.start)?;
    let known = scope.variables().find(|(known, _)| *known == name).map(|(_, value)| value.map(str::to_owned));
    known.or_else(|| literal(step, name).map(Some))
}

fn next_step(view: &View<'_>, step: &Step) -> Option<Span> {
    let (_, def) = view.file.step_at(step.span.start)?;
    let steps = ast::visit::def_steps(&view.file.module.defs[def?]);
    steps.iter().find(|next| next.span.start > step.span.start).map(|next| next.span)
}

/// The value a step gives, if it is written without variables.
fn literal(step: &Step, name: &str) -> Option<String> {
    let plain = |value: &ast::Str| {
        let text = value.raw().lossy().into_owned();
        (!text.contains(['$', '\\', '"', '\''])).then_some(text)
    };
    match &step.op {
        Op::Arg(params) => plain(params.iter().find(|param| param.name.text == name)?.default.as_ref()?),
        Op::Env(pairs) => plain(&pairs.iter().find(|pair| pair.key.raw().lossy() == name)?.value),
        _ => None,
    }
}

/// A variable that nothing in the text defines: one that is always there, or one of the base image.
fn predefined(view: &View<'_>, offset: u32) -> Option<Hover> {
    let text = view.file.text();
    let span = identifier(view, offset);
    let before = text.get(..span.start as usize)?;
    if !before.ends_with('$') && !before.ends_with("${") {
        return None;
    }
    let name = view.file.slice(span);
    let (step, _) = view.file.step_at(offset)?;
    let known = view.file.words()?.variables.iter().find(|variable| variable.name == name);
    let scope = view.scopes(step.span).pop();
    let value = scope.as_ref().and_then(|scope| scope.variables().find(|(known, _)| *known == name)?.1);
    let head = match value {
        Some(value) => format!("```sh\n{name}={value}\n```\n"),
        None => format!("`{name}`\n"),
    };
    match (known, value) {
        (Some(known), _) => Some(Hover { text: format!("{head}\n{}", known.doc), span }),
        (None, Some(_)) => Some(Hover { text: format!("{head}\nfrom the base image"), span }),
        (None, None) => None,
    }
}

/// A keyword, an option, a field.
fn word(view: &View<'_>, offset: u32) -> Option<Hover> {
    let words = view.file.words()?;
    let (step, _) = view.file.step_at(offset)?;
    let keyword = words.keyword(&step.keyword_text())?;
    if holds(step.keyword, offset) {
        let forms = keyword.forms.join("\n");
        let text = format!(
            "```{}\n{forms}\n```\n\n{}\n\n[{}]({})",
            view.file.language.id.to_lowercase(),
            keyword.doc,
            "Reference",
            keyword.url
        );
        return Some(Hover { text, span: step.keyword });
    }
    let opt = step.opts.iter().find(|opt| holds(opt.span, offset))?;
    let written = view.file.slice(opt.span);
    let name = written.split('=').next().unwrap_or_default();
    let option = keyword.option(name)?;
    if let OptKind::Mount(mount) = &opt.kind
        && let Some(field) = mount.fields.iter().find(|field| holds(field.span, offset))
    {
        let key = match field.key.to_ascii_lowercase().as_str() {
            "src" => "source".to_owned(),
            "destination" => "target".to_owned(),
            "ro" => "readonly".to_owned(),
            "rw" => "readwrite".to_owned(),
            key => key.to_owned(),
        };
        if let Some(known) = option.field(&key) {
            return Some(Hover { text: format!("`{}`\n\n{}", field.key, known.doc), span: field.span });
        }
    }
    let end = opt.span.start + name.len() as u32;
    let span = if offset <= end { Span::new(opt.span.file, opt.span.start, end) } else { opt.span };
    Some(Hover { text: format!("`{name}`\n\n{}", option.doc), span })
}

/// An image that a step names.
fn image(view: &View<'_>, offset: u32) -> Option<Hover> {
    let (step, def) = view.file.step_at(offset)?;
    let written = super::links::images(step).into_iter().find(|image| holds(image.span, offset))?;
    let reference = reference_of(view, step, written)?;
    let mut text = format!("`{reference}`\n");
    if let Some(known) = known_image(view, &reference) {
        let _ = write!(text, "\n{}", describe(known));
    }
    let _ = def;
    Some(Hover { text, span: written.span })
}

/// The canonical reference that a template of a step stands for; `None` while that is not known.
pub(super) fn reference_of(view: &View<'_>, step: &Step, written: &ast::Str) -> Option<Reference> {
    let scope = || view.scopes(step.span).into_iter().find(|scope| scope.step.start == step.span.start);
    reference_in(written, scope)
}

/// The same in a scope that is asked for when it counts.
pub(super) fn reference_in<S: std::borrow::Borrow<compiler::plan::StepScope>>(
    written: &ast::Str,
    scope: impl FnOnce() -> Option<S>,
) -> Option<Reference> {
    let raw = written.raw().lossy();
    let value = if raw.contains('$') { scope()?.borrow().expand(written)? } else { raw.into_owned() };
    if value == "scratch" {
        return None;
    }
    Reference::parse(&value).ok().map(Reference::or_latest)
}

/// What was answered of an image, for any platform.
pub(super) fn known_image<'v>(view: &View<'v>, reference: &Reference) -> Option<&'v compiler::ImageAnswer> {
    let name = reference.to_string();
    view.facts.answers.iter().find_map(|(question, answer)| match (question, answer) {
        (Question::Image { reference, .. }, Ok(Answer::Image(image))) if *reference == name => Some(image),
        _ => None,
    })
}

pub(super) fn describe(image: &compiler::ImageAnswer) -> String {
    let mut text = image.digest.as_ref().map_or(String::new(), |digest| format!("`{digest}`\n"));
    let Ok(config) = ImageConfig::from_json(&image.config) else { return text };
    let _ = write!(text, "\n| | |\n|-|-|\n| platform | {} |\n", config.platform);
    let config = &config.config;
    let mut row = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "| {name} | `{}` |", value.replace('|', "\\|"));
        }
    };
    row("user", &config.user);
    row("directory", &config.working_dir);
    row("entrypoint", &config.entrypoint.join(" "));
    row("command", &config.cmd.join(" "));
    for variable in &config.env {
        row("variable", variable);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::with;

    /// Parts of what is shown, and the words it is about.
    #[track_caller]
    fn check(marked: &str, about: &str, parts: &[&str]) {
        with(marked, |view, offset| {
            let found = hover(view, offset).expect("something is said");
            assert_eq!(view.file.slice(found.span), about, "{}", found.text);
            for part in parts {
                assert!(found.text.contains(part), "{part} in {}", found.text);
            }
        });
    }

    #[test]
    fn words_of_the_language() {
        check("FR┃OM a\n", "FROM", &["FROM [--platform=<platform>]", "Begins a stage"]);
        check("FROM a\nCOPY --fr┃om=b x y\n", "--from", &["Takes no variables"]);
        check("FROM a\nRUN --mount=type=cache,dst=/x,shar┃ing=locked x\n", "sharing=locked", &["makes them wait"]);
    }

    #[test]
    fn variables_with_their_origin() {
        check("ARG V=3\nFROM alpine:3.20 AS x\nARG V\nRUN echo $┃V\n", "V", &["V=3", "from line 1", "ARG V=3"]);
        check("FROM alpine:3.20\nENV A=1\nENV B=${A}2\nRUN echo $┃B\n", "B", &["B=12", "from line 3"]);
        check("FROM alpine:3.20\nENV ┃A=1\nRUN x\n", "A", &["A=1"]);
        check("FROM alpine:3.20\nRUN echo $GREE┃TING\n", "GREETING", &["GREETING=hello", "from the base image"]);
        check("FROM alpine:3.20\nARG TARGETARCH\nRUN echo $TARGET┃ARCH\n", "TARGETARCH", &["TARGETARCH=amd64"]);
    }

    #[test]
    fn a_broken_file_still_tells_where_a_variable_is_set() {
        check("FROM a\nENV A=1\nRUN $┃A\nNOPE\n", "A", &["`A`", "from line 2", "ENV A=1"]);
    }

    #[test]
    fn stages_images_and_rules() {
        check("# x is it\nFROM a AS x\nRUN y\nFROM b\nCOPY --from=┃x a b\n", "x", &["FROM a AS x", "is it", "1 step."]);
        check("FROM alp┃ine:3.20\n", "alpine:3.20", &["docker.io/library/alpine:3.20", "sha256:aaaa", "/srv"]);
        check("# check=skip=Undefined┃Var\nFROM a\n", "UndefinedVar", &["# What it does"]);
    }
}
