//! What is read before anything is planned: the text itself, and the files that questions are about.
//!
//! A command line has these on disk. A frontend that runs in a builder has to solve a graph for each; that graph is made
//! here, where the rest of the graph is, so that both share vertices and a client sends a directory once.

use std::collections::BTreeSet;

use ast::Diagnostic;
use llb::{Graph, Output};

use super::build::{self, Local, Said};
use super::context::{self, ContextPlan};
use super::settings::{self, Settings};
use crate::{Answer, Facts, Options, Question};

/// Name of an ignore file, and end of the name of one beside a text.
const IGNORE: &str = ".dockerignore";

/// Where the text of a build is.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What holds it: a graph with one output.
    pub graph: Graph,
    /// The local source that holds it, if it may be one; questions about files of it are about this graph.
    pub local: String,
    /// Names it may have in there, the likelier first; never empty.
    pub names: Vec<String>,
}

/// Whether the place of the text is known.
#[derive(Debug)]
pub enum Found {
    /// It is.
    Entry(Entry),
    /// Not before these are answered.
    Open(BTreeSet<Question>),
    /// The options are wrong.
    Refused(Box<Diagnostic>),
}

/// Finds the text of a build by the options.
pub fn entry(options: &Options, facts: &Facts) -> Found {
    let settings = match settings::parse(options) {
        Ok(settings) => settings,
        Err(error) => return Found::Refused(error),
    };
    let mut open = BTreeSet::new();
    let mut ask = |question: Question| match facts.answers.get(&question) {
        Some(answer) => answer.as_ref().ok().cloned(),
        None => {
            open.insert(question);
            None::<Answer>
        }
    };
    let context = ContextPlan::read(&settings, &mut ask);
    if !open.is_empty() {
        return Found::Open(open);
    }
    match context {
        Ok(context) => Found::Entry(Entry {
            graph: context.text_source(&settings),
            local: context.text_local().to_owned(),
            names: context.text_names(),
        }),
        Err(error) => Found::Refused(error),
    }
}

/// What holds the file that a [`Question::ContextFile`] is about: a graph with one output.
///
/// **Errors**: options that are wrong.
pub fn file_source(options: &Options, context: &str) -> Result<Graph, Box<Diagnostic>> {
    let settings = settings::parse(options)?;
    let mut graph = Graph::default();
    let edge = if context.starts_with("http://") || context.starts_with("https://") {
        let said = context::internal("load remote build context");
        build::http(&mut graph, context, context::WEB_FILE, "", said)
    } else {
        let (local, said) = ignore_file(&settings, context);
        build::local(&mut graph, local, said)
    };
    graph.outputs.push(Output { edge: Some(edge), ..Output::default() });
    Ok(graph)
}

/// What holds a path of a local context: a graph with one output.
pub fn context_path(options: &Options, context: &str, path: &str) -> Graph {
    let local = Local {
        name: context.into(),
        session: options.session.as_deref().unwrap_or_default().into(),
        shared_key: format!("{context}-{path}").into(),
        followed: vec![path.into()],
        ..Local::default()
    };
    let mut graph = Graph::default();
    let edge = build::local(&mut graph, local, context::internal(&format!("look at {path}")));
    graph.outputs.push(Output { edge: Some(edge), ..Output::default() });
    graph
}

/// The ignore file of a local context: the main one, or one that an option names.
fn ignore_file<'a>(settings: &'a Settings<'_>, name: &'a str) -> (Local<'a>, Said) {
    let is_this = |(option, value): (&String, &String)| {
        let key = option.strip_prefix("context:").filter(|_| value.strip_prefix("local:") == Some(name))?;
        Some(key.to_owned())
    };
    let key = settings.opts.iter().find_map(is_this);
    let (shared_key, said) = match key {
        Some(key) => {
            let said = Said::named(format!("[context {key}] load {IGNORE}"));
            (format!("context:{key}-{IGNORE}"), said)
        }
        None => (format!("{name}-{IGNORE}"), context::internal(&format!("load {IGNORE}"))),
    };
    let local = Local {
        name: name.into(),
        session: settings.session_of(name).into(),
        shared_key: shared_key.into(),
        followed: vec![IGNORE.into()],
        no_diff: true,
        ..Local::default()
    };
    (local, said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(opts: &[(&str, &str)]) -> Options {
        let opts = opts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Options { opts, ..Options::default() }
    }

    #[track_caller]
    fn check(found: &Graph, expected: &str) {
        assert_eq!(llb::text::print(found).trim(), llb::text::print(&llb::text::parse(expected).unwrap()).trim());
    }

    fn found(options: &Options) -> Entry {
        match entry(options, &Facts::default()) {
            Found::Entry(entry) => entry,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_local_text_has_two_names() {
        let entry = found(&options(&[("filename", "a/Dockerfile")]));
        assert_eq!(
            (entry.local.as_str(), &entry.names[..]),
            ("dockerfile", &["a/Dockerfile".into(), "a/dockerfile".into()][..])
        );
        assert_eq!(found(&options(&[("filename", "b"), ("dockerfilekey", "k")])).names, ["b"]);
    }

    #[test]
    fn what_is_on_the_web_is_looked_at_first() {
        let options = options(&[("context", "https://example.com/a")]);
        let Found::Open(open) = entry(&options, &Facts::default()) else {
            panic!("the start of the file is not known")
        };
        let mut facts = Facts::default();
        facts
            .answers
            .extend(open.into_iter().map(|question| (question, Ok(Answer::ContextFile(Some(b"FROM a".to_vec()))))));
        let Found::Entry(entry) = entry(&options, &facts) else { panic!("all is known") };
        assert_eq!(entry.names, ["context"]);
    }

    #[test]
    fn a_text_that_is_handed_in() {
        let mut options = options(&[]);
        let input = "%0 = source \"docker-image://docker.io/library/a:latest\"\noutput %0";
        options.inputs.insert("dockerfile".into(), llb::text::parse(input).unwrap());
        check(&found(&options).graph, input);
    }

    #[test]
    fn ignore_files_of_main_and_named_contexts() {
        let options = options(&[("context:n", "local:d")]);
        let identifier = |context: &str| {
            let graph = file_source(&options, context).unwrap();
            let node = &graph.nodes[0];
            let llb::Op::Source(source) = &node.op else { panic!("a source") };
            (
                source.identifier.clone(),
                source.attrs["local.sharedkeyhint"].clone(),
                node.meta.description[build::NAME].clone(),
            )
        };
        let owned = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        let main = owned("local://context", "context-.dockerignore", "[internal] load .dockerignore");
        assert_eq!(identifier("context"), main);
        let named = owned("local://d", "context:n-.dockerignore", "[context n] load .dockerignore");
        assert_eq!(identifier("d"), named);
    }
}
