//! Texts in other languages, and whether they build the same.
//!
//! What is written is compared with what it was written of, by what both compile to with stand-ins for images: the digests
//! of all vertices. So a construct that a writer took for something else is found here, whatever it was.

mod steps;
mod unfold;

use ast::{Diagnostic, FileId, Module, Severity, Source, Span};
use frontends::{Language, Unsaid};
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
    let unfolded = match module.dialect.functions {
        true => Some(unfold::unfold(source, module, world)?),
        false => None,
    };
    let (stages, unsaid) = match &unfolded {
        Some(unfolded) => (&unfolded.module, unfolded.unsaid.clone()),
        None => (module, Vec::new()),
    };
    let text = match (to.write)(stages, lossy) {
        Ok(text) if unsaid.is_empty() || lossy => text,
        Ok(_) => return Err(named(unsaid, to)),
        Err(more) => return Err(named(unsaid.into_iter().chain(more).collect(), to)),
    };
    if lossy {
        return Ok(text);
    }
    let name = to.names.first().map_or_else(|| format!("text.{}", to.extensions[0]), |name| (*name).to_owned());
    let marks = unfolded.map(|unfolded| unfolded.marks).unwrap_or_default();
    let found = differences(source, &Source::new(name, text.clone().into_bytes()), module, &marks, to, world);
    if found.is_empty() { Ok(text) } else { Err(found) }
}

/// What there is no word for, in the order of the text.
fn named(mut unsaid: Vec<Unsaid>, to: &Language) -> Vec<Diagnostic> {
    unsaid.sort_by_key(|(span, _)| *span);
    unsaid.dedup();
    let error = |(span, what)| {
        Diagnostic::error("convert", format!("{} has no word for {what}", to.noun), Some(span))
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
        let own: unfold::Marks = own.collect();
        let rounds = if own.is_empty() { vec![own] } else { vec![unfold::Marks::new(), own] };
        let fresh = rounds.iter().find_map(|args| difference(first, second, (target, at), args, to, world));
        // Targets that share a step differ in it together.
        found.extend(fresh.filter(|fresh| !found.contains(fresh)));
    }
    found
}

/// What two texts build differently for one target.
fn difference(
    first: &Source,
    second: &Source,
    (target, at): (&str, Option<Span>),
    args: &unfold::Marks,
    to: &Language,
    world: &StandIns<'_>,
) -> Option<Diagnostic> {
    // What cannot be built in the one language is no measure for the other.
    let wanted = built(first, target, args, world).ok()?;
    let (error, at) = match built(second, target, args, world) {
        Err(message) => (format!("{} of this is refused: {message}", to.noun), at),
        Ok(got) => {
            let (what, place) = wanted.unlike(&got)?;
            (format!("what {} builds of this is not the same: {what}", to.noun), place.or(at))
        }
    };
    let help = "something of it means another thing there: say it in another way, or take what there is with --lossy";
    Some(Diagnostic::error("convert", error, at.or(Some(Span::default()))).help(help))
}

/// A vertex with its digest and its place.
struct Vertex {
    digest: Digest,
    place: Option<Span>,
    op: llb::Op,
}

/// In what two vertices differ, as far as it has a name.
fn unlike_op(one: &llb::Op, other: &llb::Op) -> &'static str {
    match (one, other) {
        (llb::Op::Exec(one), llb::Op::Exec(other)) => {
            let alike = [
                (one.meta.args == other.meta.args, "the command"),
                (one.meta.env == other.meta.env, "the variables of the process, or their order"),
                (one.meta.cwd == other.meta.cwd, "the working directory of the process"),
                (one.meta.user == other.meta.user, "the user of the process"),
                (one.mounts == other.mounts, "the mounts of the process"),
            ];
            alike.iter().find(|(is_alike, _)| !is_alike).map_or("how the process runs", |(_, what)| what)
        }
        (llb::Op::File(one), llb::Op::File(other)) => match (&one[..], &other[..]) {
            ([one], [other]) => match (&one.kind, &other.kind) {
                (llb::FileActionKind::Copy(one), llb::FileActionKind::Copy(other)) => {
                    let alike = [
                        (one.src == other.src, "the path that is copied"),
                        (one.dest == other.dest, "where it is copied to"),
                        (one.owner == other.owner, "the owner of what is copied"),
                        (one.mode == other.mode && one.mode_str == other.mode_str, "the mode of what is copied"),
                    ];
                    alike.iter().find(|(is_alike, _)| !is_alike).map_or("how it is copied", |(_, what)| what)
                }
                _ => "what becomes of files",
            },
            _ => "several changes of files in one",
        },
        (llb::Op::Source(one), llb::Op::Source(other)) if one.identifier != other.identifier => "what is fetched",
        (llb::Op::Source(_), llb::Op::Source(_)) => "how it is fetched",
        _ => "what is done",
    }
}

/// What a target comes to: its vertices with their places, and what containers of its images are told.
struct Built {
    vertices: Vec<Vertex>,
    told: Vec<(String, serde_json::Value)>,
}

impl Built {
    /// The first thing that another one has not, or has otherwise.
    fn unlike(&self, other: &Self) -> Option<(String, Option<Span>)> {
        let has = |of: &Self, vertex: &Vertex| of.vertices.iter().any(|known| known.digest == vertex.digest);
        let more = other.vertices.iter().find(|vertex| !has(self, vertex));
        if let Some(less) = self.vertices.iter().find(|vertex| !has(other, vertex)) {
            let what = more.map_or("it is not there", |more| unlike_op(&less.op, &more.op));
            return Some((format!("of the steps that differ, this is the first ({what})"), less.place));
        }
        if more.is_some() {
            return Some(("it has more steps".to_owned(), None));
        }
        if self.told.len() != other.told.len() {
            return Some(("it is for other platforms".to_owned(), None));
        }
        let of_each = self.told.iter().zip(&other.told).find(|(told, other)| told != other);
        let ((platform, told), (other_platform, other)) = of_each?;
        if platform != other_platform {
            return Some((format!("it is for {other_platform}"), None));
        }
        let keys = told.as_object().into_iter().chain(other.as_object()).flat_map(serde_json::Map::keys);
        let key = keys.into_iter().find(|key| told[key.as_str()] != other[key.as_str()]);
        Some((format!("its image is told another {}", key.map_or("config", String::as_str)), None))
    }
}

/// What a target comes to; an empty one is the default. **Errors**: why it cannot be built.
fn built(source: &Source, target: &str, args: &unfold::Marks, world: &StandIns<'_>) -> Result<Built, String> {
    let mut options = Options::default();
    if !target.is_empty() {
        options.opts.insert("target".to_owned(), target.to_owned());
    }
    options.opts.extend(args.iter().map(|(name, value)| (format!("build-arg:{name}"), value.clone())));
    let outcome = crate::compile(source, &options, Facts::default(), world);
    let refused = || {
        let error = outcome.diagnostics.iter().find(|found| found.severity == Severity::Error);
        error.map_or_else(String::new, |error| error.message.clone())
    };
    let mut plan = outcome.plan.clone().ok_or_else(refused)?;
    same_contexts(&mut plan.graph);
    let (_, digests) = llb::encode_traced(&plan.graph).map_err(|error| error.to_string())?;
    let vertex = |(node, digest): (&llb::Node, Option<Digest>)| {
        Some(Vertex { digest: digest?, place: place(node, source), op: node.op.clone() })
    };
    let vertices = plan.graph.nodes.iter().zip(digests).filter_map(vertex).collect();
    let told = plan.outputs.iter().map(|output| (output.platform.to_string(), told(&output.image)));
    Ok(Built { vertices, told: told.collect() })
}

/// What containers of an image are told, with what they have when it says nothing.
fn told(image: &[u8]) -> serde_json::Value {
    let mut image: serde_json::Value = serde_json::from_slice(image).unwrap_or_default();
    let mut told = image["config"].take();
    if told.is_null() {
        told = serde_json::json!({});
    }
    if let Some(told) = told.as_object_mut() {
        // A mark of one language's own, for commands that are escaped on Windows.
        told.remove("ArgsEscaped");
        told.entry("WorkingDir").or_insert_with(|| "/".into());
        let env = told.entry("Env").or_insert_with(|| serde_json::json!([]));
        let has_path = |env: &[serde_json::Value]| {
            env.iter().any(|entry| entry.as_str().is_some_and(|entry| entry.starts_with("PATH=")))
        };
        if let Some(env) = env.as_array_mut().filter(|env| !has_path(env)) {
            env.push(format!("PATH={}", steps::NOTHING_PATH).into());
        }
    }
    told
}

/// The innermost place of a vertex in a text.
fn place(node: &llb::Node, source: &Source) -> Option<Span> {
    let location = node.locations.iter().find(|location| location.source == 0 && !location.ranges.is_empty())?;
    let (first, last) = (location.ranges.first()?, location.ranges.last()?);
    let offset = |position: llb::Position| {
        let start = source.lines.start_of(u32::try_from(position.line).ok()?)?;
        let line = &source.bytes[start as usize..];
        let line = String::from_utf8_lossy(&line[..line.iter().position(|b| *b == b'\n').unwrap_or(line.len())]);
        let mut units = usize::try_from(position.character).ok()?;
        let before = line.chars().take_while(|c| {
            let is_before = units > 0;
            units = units.saturating_sub(c.len_utf16());
            is_before
        });
        Some((start + before.map(char::len_utf8).sum::<usize>() as u32, start + line.trim_end().len() as u32))
    };
    let ((start, _), (end, line_end)) = (offset(first.start)?, offset(last.end)?);
    // Of steps only the lines are known.
    let end = if end > start { end } else { line_end.max(start) };
    Some(Span::new(FileId(0), start, end))
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
