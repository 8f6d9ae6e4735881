//! Texts in other languages, and whether they build the same.
//!
//! What is written is compared with what it was written of, by what both compile to with stand-ins for images: the digests
//! of all vertices. So a construct that a writer took for something else is found here, whatever it was.

use std::collections::BTreeSet;

use ast::{Diagnostic, Module, Severity, Source};
use frontends::Language;
use oci::Digest;

use crate::{Answer, AskError, Facts, ImageAnswer, LocalPath, Lock, Options, Question, World};

/// A text in another language. With `lossy`, what that has no word for is left out, and nothing is compared.
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
) -> Result<String, (Vec<Diagnostic>, Vec<Source>)> {
    let world = StandIns::beside(files);
    let (module, texts) = crate::load(source, &Options::default(), &mut Facts::default(), &world);
    written(source, &module, to, lossy, &world).map_err(|found| (found, texts))
}

fn written(
    source: &Source,
    module: &Module,
    to: &Language,
    lossy: bool,
    world: &StandIns<'_>,
) -> Result<String, Vec<Diagnostic>> {
    let errors: Vec<Diagnostic> =
        module.diagnostics.iter().filter(|found| found.severity == Severity::Error).cloned().collect();
    if !errors.is_empty() {
        return Err(errors);
    }
    if frontends::choose(&source.name, &source.bytes, None).is_ok_and(|language| language.id == to.id) {
        return Err(vec![Diagnostic::error("convert", format!("the text is {} already", to.noun), None)]);
    }
    let text = (to.write)(module, lossy).map_err(|unsaid| {
        let error = |(span, what)| {
            Diagnostic::error("convert", format!("{} has no word for {what}", to.noun), Some(span))
                .help("say it in another way, or leave it out with --lossy")
        };
        unsaid.into_iter().map(error).collect::<Vec<_>>()
    })?;
    if lossy {
        return Ok(text);
    }
    let name = to.names.first().map_or_else(|| format!("text.{}", to.extensions[0]), |name| (*name).to_owned());
    match differences(source, &Source::new(name, text.clone().into_bytes()), module, to, world) {
        found if found.is_empty() => Ok(text),
        found => Err(found),
    }
}

/// What two texts build differently, at the definitions of the first.
fn differences(
    first: &Source,
    second: &Source,
    module: &Module,
    to: &Language,
    world: &StandIns<'_>,
) -> Vec<Diagnostic> {
    let names = module.defs.iter().filter_map(|def| def.name.as_ref());
    let targets = names.map(|name| (name.text.as_str(), Some(name.span))).chain([("", None)]);
    let written = crate::parse(second);
    let mut found = Vec::new();
    for (target, at) in targets {
        let Ok(wanted) = built(first, target, world) else {
            // What cannot be built in the one language is no measure for the other.
            continue;
        };
        if !target.is_empty()
            && !written.defs.iter().any(|def| def.name.as_ref().is_some_and(|name| name.text == target))
        {
            // Not every name of a definition is one in every language.
            continue;
        }
        let error = match built(second, target, world) {
            Ok(got) if got == wanted => continue,
            Ok(_) => format!("what {} builds of this is not the same", to.noun),
            Err(message) => format!("{} of this is refused: {message}", to.noun),
        };
        let help =
            "something of it means another thing there: say it in another way, or take what there is with --lossy";
        found.push(Diagnostic::error("convert", error, at).help(help));
    }
    found
}

/// What a target comes to: its vertices, and what containers of its images are told.
type Built = (BTreeSet<Digest>, Vec<(String, serde_json::Value)>);

/// What a target comes to; an empty one is the default. **Errors**: why it cannot be built.
fn built(source: &Source, target: &str, world: &StandIns<'_>) -> Result<Built, String> {
    let mut options = Options::default();
    if !target.is_empty() {
        options.opts.insert("target".to_owned(), target.to_owned());
    }
    let outcome = crate::compile(source, &options, Facts::default(), world);
    let refused = || {
        let error = outcome.diagnostics.iter().find(|found| found.severity == Severity::Error);
        error.map_or_else(String::new, |error| error.message.clone())
    };
    let mut plan = outcome.plan.clone().ok_or_else(refused)?;
    same_contexts(&mut plan.graph);
    let definition = llb::encode(&plan.graph).map_err(|error| error.to_string())?;
    let told = plan.outputs.iter().map(|output| {
        let image: serde_json::Value = serde_json::from_slice(&output.image).unwrap_or_default();
        let mut told = image["config"].clone();
        if let Some(told) = told.as_object_mut() {
            // A mark of one language's own, for commands that are escaped on Windows.
            told.remove("ArgsEscaped");
        }
        (output.platform.to_string(), told)
    });
    Ok((definition.vertices.into_iter().map(|vertex| vertex.digest).collect(), told.collect()))
}

/// Makes all directories of the client one: each language has another name for the one it is built in, and what of it is
/// sent is no part of what is meant.
fn same_contexts(graph: &mut llb::Graph) {
    for node in &mut graph.nodes {
        if let llb::Op::Source(source) = &mut node.op
            && source.identifier.starts_with("local://")
        {
            "local://context".clone_into(&mut source.identifier);
            source.attrs.clear();
        }
    }
}

/// Stand-ins for images; no file of a context is there, texts beside the text are, and times are what they are.
struct StandIns<'w> {
    images: Lock,
    files: &'w dyn World,
}

impl<'w> StandIns<'w> {
    fn beside(files: &'w dyn World) -> Self {
        Self { images: Lock::parse(br#"{"images": "synthetic"}"#).expect("a facts file"), files }
    }

    fn of_files(&self, question: &Question) -> Result<Answer, AskError> {
        let answers = self.files.answer(std::slice::from_ref(question));
        answers.into_iter().next().unwrap_or_else(|| Err(AskError::default()))
    }
}

fn unanswered() -> Result<Answer, AskError> {
    Err(AskError::default())
}

/// An image without its digest.
fn undated(answer: Answer) -> Answer {
    match answer {
        Answer::Image(image) => Answer::Image(ImageAnswer { digest: None, ..image }),
        other => other,
    }
}

impl World for StandIns<'_> {
    fn answer(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>> {
        let answer = |question: &Question| match question {
            Question::ContextFile { context, path } if context == "dockerfile" && !path.ends_with(".dockerignore") => {
                self.of_files(question)
            }
            Question::Module { .. } => self.of_files(question),
            Question::ContextFile { .. } => Ok(Answer::ContextFile(None)),
            // Only some languages look what an image's name means today.
            Question::Image { .. } => self.images.answer(question).unwrap_or_else(unanswered).map(undated),
            Question::LocalPath { .. } => {
                Ok(Answer::LocalPath(Some(LocalPath { directory: true, id: String::new(), context: None })))
            }
            Question::Timestamp { .. } => Ok(Answer::Timestamp(Some(0))),
            _ => unanswered(),
        };
        questions.iter().map(answer).collect()
    }
}
