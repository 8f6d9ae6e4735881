//! Texts in other languages, and whether they build the same.
//!
//! What is written is compared with what it was written of, by what both compile to with stand-ins for images: the digests
//! of all vertices. So a construct that a writer took for something else is found here, whatever it was.

mod compare;
mod construct;
mod difference;
mod given;
mod several;
mod stand_ins;
mod unfold;

use ast::{Diagnostic, Module, Severity, Source, Span};
use frontends::{Language, Unsaid};

use crate::{Facts, Options, World};
use compare::{Directories, built};
use stand_ins::StandIns;

pub use several::{Build, Builds, several};

/// The class of refusals that name what has no equal.
pub const NO_EQUAL: &str = "convert";

/// The class of those that cannot: what is written is not what was meant, and why is not known.
pub const NAMELESS: &str = "converter";

/// A text that was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// It.
    pub text: String,
    /// What was left out, or else what is built otherwise: warnings, in the order of what it was written of.
    pub left_out: Vec<Diagnostic>,
    /// Texts that those may be in, beside what it was written of. **Shape**: file 1 first.
    pub included: Vec<Source>,
}

/// A text in another language. With `lossy`, what that has no word for is left out and named; where nothing is, what is built
/// otherwise is named.
///
/// `files` is asked for texts that the text includes or uses, and for nothing else. Spans are in file 0, which is `source`, or
/// in those texts: the second value.
///
/// **Errors**: what is wrong with the text; everything that the other language has no word for, each with its place; and
/// definitions that would be built otherwise.
pub fn convert(
    source: &Source,
    to: &Language,
    lossy: bool,
    files: &dyn World,
) -> Result<Written, (Vec<Diagnostic>, Vec<Source>)> {
    let world = StandIns::beside(files);
    let (module, texts) = crate::load(source, &Options::default(), &mut Facts::default(), &world);
    match written(source, &module, to, lossy, &world) {
        Ok(written) => Ok(Written { included: texts, ..written }),
        Err(found) => Err((found, texts)),
    }
}

fn written(
    source: &Source,
    module: &Module,
    to: &Language,
    lossy: bool,
    world: &StandIns<'_>,
) -> Result<Written, Vec<Diagnostic>> {
    let errors: Vec<Diagnostic> =
        module.diagnostics.iter().filter(|found| found.severity == Severity::Error).cloned().collect();
    if !errors.is_empty() {
        return Err(errors);
    }
    if frontends::choose(&source.name, &source.bytes, None).is_ok_and(|language| language.id == to.id) {
        return Err(vec![Diagnostic::error(NO_EQUAL, format!("the text is {} already", to.noun), None)]);
    }
    let unfolded = match module.dialect.functions {
        true => Some(unfold::unfold(source, module, world)?),
        false => None,
    };
    let (stages, unsaid) = match &unfolded {
        Some(unfolded) => (&unfolded.module, unfolded.unsaid.clone()),
        None => (module, Vec::new()),
    };
    let text = match (to.write)(stages, false) {
        Ok(text) if unsaid.is_empty() => in_order(text, to),
        whole => {
            let unsaid = named(unsaid.into_iter().chain(whole.err().unwrap_or_default()).collect(), to);
            if !lossy {
                return Err(unsaid);
            }
            let text = (to.write)(stages, true).map_err(|more| named(more, to))?;
            let left_out = unsaid.into_iter().map(left_out).collect();
            return Ok(Written { text: in_order(text, to), left_out, included: Vec::new() });
        }
    };
    let name = to.names.first().map_or_else(|| format!("text.{}", to.extensions[0]), |name| (*name).to_owned());
    let marks = unfolded.map(|unfolded| unfolded.marks).unwrap_or_default();
    let found = differences(source, &Source::new(name, text.clone().into_bytes()), module, &marks, to, world);
    judged(text, found, lossy)
}

/// A text as it is when it was formatted: who writes it does not look how long its lines are.
fn in_order(text: String, language: &Language) -> String {
    let Some(format) = language.format else { return text };
    let edits = format(&frontends::Input::new(ast::FileId(0), text.as_bytes()));
    String::from_utf8(ast::apply(text.as_bytes(), &edits)).expect("only blanks and line breaks move")
}

/// A text of which nothing was left out, and what it builds otherwise, which are warnings where that is allowed.
fn judged(text: String, found: Vec<Diagnostic>, lossy: bool) -> Result<Written, Vec<Diagnostic>> {
    if !found.is_empty() && !lossy {
        return Err(found);
    }
    let warning = |found| Diagnostic { severity: Severity::Warning, help: None, ..found };
    Ok(Written { text, left_out: found.into_iter().map(warning).collect(), included: Vec::new() })
}

/// The warning that something is left out, of what would be the error.
pub fn left_out(error: Diagnostic) -> Diagnostic {
    Diagnostic { severity: Severity::Warning, message: format!("left out: {}", error.message), help: None, ..error }
}

/// What there is no word for, in the order of the text.
fn named(mut unsaid: Vec<Unsaid>, to: &Language) -> Vec<Diagnostic> {
    unsaid.sort_by_key(|(span, _)| *span);
    unsaid.dedup();
    let error = |(span, what)| {
        Diagnostic::error(NO_EQUAL, format!("{} has no word for {what}", to.noun), Some(span))
            .help("say it in another way, or leave it out with --lossy")
    };
    unsaid.into_iter().map(error).collect()
}

/// What two texts build differently, at the definitions of the first; `marks` are arguments to compare with, too.
fn differences(
    first: &Source,
    second: &Source,
    module: &Module,
    marks: &unfold::Marks,
    to: &Language,
    world: &StandIns<'_>,
) -> Vec<Diagnostic> {
    let names = module.defs.iter().filter_map(|def| def.name.as_ref());
    let targets = names.map(|name| (name.text.as_str(), Some(name.span))).chain([("", None)]);
    let written = crate::parse(second);
    let has = |target: &str| {
        let mut names = written.defs.iter().filter_map(|def| def.name.as_ref());
        names.any(|name| name.text.eq_ignore_ascii_case(target))
    };
    let mut found = Vec::new();
    for (target, at) in targets {
        // Not every name of a definition is one in every language.
        if !target.is_empty() && !has(target) {
            continue;
        }
        let is_own = |name: &str| {
            let def = module.defs.iter().find(|def| def.name.as_ref().is_some_and(|own| own.text == target));
            def.is_some_and(|def| def.params.iter().any(|param| param.name.text == name))
        };
        let own = marks.iter().filter(|(name, _)| is_own(name)).map(|(name, mark)| (name.clone(), mark.clone()));
        let own: unfold::Marks = own.chain(given::arguments(module)).collect();
        let rounds = if own.is_empty() { vec![own] } else { vec![unfold::Marks::new(), own] };
        let texts = [(first, module), (second, &written)];
        let fresh = rounds.iter().find_map(|args| difference(texts, (target, at), args, to, world));
        // Targets that share a step differ in it together.
        found.extend(fresh.filter(|fresh| !found.contains(fresh)));
    }
    found
}

/// What two texts build differently for one target.
fn difference(
    [(first, module), (second, written)]: [(&Source, &Module); 2],
    (target, at): (&str, Option<Span>),
    args: &unfold::Marks,
    to: &Language,
    world: &StandIns<'_>,
) -> Option<Diagnostic> {
    let mut options = Options::default();
    if !target.is_empty() {
        options.opts.insert("target".to_owned(), target.to_owned());
    }
    options.opts.extend(args.iter().map(|(name, value)| (format!("build-arg:{name}"), value.clone())));
    let directories = Directories::new();
    // What cannot be built in the one language is no measure for the other.
    let (wanted, _) = built(first, &options, &directories, world).ok()?;
    if written.dialect.functions {
        // A program refuses arguments that it has no parameters for.
        let goal = if target.is_empty() { "default" } else { target };
        let params = written.defs.iter().filter(|def| def.name.as_ref().is_some_and(|name| name.text == goal));
        let params: Vec<&str> = params.flat_map(|def| &def.params).map(|param| param.name.text.as_str()).collect();
        options.opts.retain(|key, _| key.strip_prefix("build-arg:").is_none_or(|name| params.contains(&name)));
    }
    let error = match built(second, &options, &directories, world) {
        Err(message) => {
            let message = format!("{} of this is refused: {message}", to.noun);
            Diagnostic::error(NAMELESS, message, at.or(Some(Span::default()))).help(construct::LEAVE)
        }
        Ok((got, _)) => {
            let (part, place) = wanted.unlike(&got)?;
            let def = module.defs.iter().find(|def| def.name.as_ref().is_some_and(|own| own.text == target));
            construct::Text { source: first, module, def }.refusal(&part, place, to.noun)
        }
    };
    Some(error)
}
