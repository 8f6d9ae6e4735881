//! A text as features see it: parsed, with its names, and with what is known of the outside.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use ast::{LineIndex, Module, Source, Span, Step, visit};
use compiler::plan::StepScope;
use compiler::{Facts, Glance, Options};
use frontends::Language;
use frontends::keyed::{Grammar, Tree};
use frontends::vocabulary::Vocabulary;
use oci::Digest;

use crate::names::Names;

/// One version of a text. Everything about it is computed once, when it is first asked for.
#[derive(Debug)]
pub struct File {
    /// The text.
    pub source: Source,
    /// The text, parsed.
    pub module: Module,
    /// Its language.
    pub language: &'static Language,
    /// The same bytes as those of the source, known to be text: looking at a piece of it must not look at all of it.
    text: Arc<str>,
    names: OnceCell<Names>,
    keyed: OnceCell<Tree>,
}

impl File {
    /// Parses a text under the name of its file.
    pub fn new(name: impl Into<String>, text: impl Into<Arc<str>>, language: &'static Language) -> Self {
        let text: Arc<str> = text.into();
        let source = Source::new(name, Arc::<[u8]>::from(text.clone()));
        let module = (language.parse)(&frontends::Input::of(ast::FileId(0), &source));
        Self { source, module, language, text, names: OnceCell::new(), keyed: OnceCell::new() }
    }

    /// The text; editors know no other than Unicode.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A piece of the text.
    pub fn slice(&self, span: Span) -> &str {
        self.text().get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// Where its lines start.
    pub fn lines(&self) -> &LineIndex {
        &self.source.lines
    }

    /// Names that are defined in it, and where.
    pub fn names(&self) -> &Names {
        self.names.get_or_init(|| Names::new(self))
    }

    /// What editors can say of the words of its language.
    pub fn words(&self) -> Option<&'static Vocabulary> {
        self.language.vocabulary
    }

    /// Its keys and values, and what may be there, if its language is of such.
    pub fn keyed(&self) -> Option<(&Tree, &'static Grammar)> {
        let keyed = self.language.keyed?;
        Some((self.keyed.get_or_init(|| (keyed.read)(&self.text)), (keyed.grammar)()))
    }

    /// The step at a place, ends included, and the number of its definition.
    pub fn step_at(&self, offset: u32) -> Option<(&Step, Option<usize>)> {
        let holds = |step: &&Step| step.span.start <= offset && offset <= step.span.end;
        let head = self.module.head.iter().find(holds).map(|step| (step, None));
        head.or_else(|| {
            let def = self.module.defs.partition_point(|def| def.span.start <= offset).checked_sub(1)?;
            let steps = visit::def_steps(&self.module.defs[def]);
            let step = steps.partition_point(|step| step.span.start <= offset).checked_sub(1)?;
            Some((steps.get(step).filter(holds)?, Some(def)))
        })
    }
}

/// A file, how it is built, and what is known of the outside.
#[derive(Clone, Copy)]
pub struct View<'v> {
    /// The file.
    pub file: &'v File,
    /// How it is built.
    pub options: &'v Options,
    /// What is known.
    pub facts: &'v Facts,
    /// What stands around it.
    pub surroundings: &'v dyn Surroundings,
    /// Whether nobody waits for what is worked out any more.
    pub stopped: &'v dyn Fn() -> bool,
}

impl View<'_> {
    /// Everything that can be said without asking; `None` when nobody waits for it any more.
    pub fn glance(&self) -> Option<Glance> {
        compiler::glance(&self.file.module, &self.file.source, self.options, self.facts, self.stopped)
    }

    /// The texts that the file includes, as far as they are known.
    pub fn included(&self) -> Vec<Source> {
        compiler::included(&self.file.module, &self.file.source, self.options, self.facts)
    }

    /// The vertices of the build, each with its lines; nothing as long as not all is known.
    pub fn vertices(&self) -> Vec<(Digest, (u32, u32))> {
        compiler::vertices(&self.file.module, &self.file.source, self.options, self.facts)
    }

    /// What steps see that stand in a range: nothing when the text has errors.
    pub fn scopes(&self, range: Span) -> Vec<StepScope> {
        compiler::scopes(&self.file.module, &self.file.source, self.options, self.facts, range)
    }
}

/// The build context of a file, and images that are at hand.
pub trait Surroundings {
    /// Names in a directory of the context (`""`, `"src"`), sorted; those the ignore file leaves out are not among them.
    fn list(&self, directory: &str) -> Vec<Entry>;
    /// References of images that are known to be there, as people write them, sorted.
    fn images(&self) -> Vec<String>;
    /// Tags of a repository, as people write it, as far as they are known by now; never waits.
    fn tags(&self, repository: &str) -> Vec<String>;
    /// How vertices went when they were last built. **Shape**: one entry a vertex, `None` where nothing is known.
    fn runs(&self, vertices: &[Digest]) -> Vec<Option<Run>>;
}

/// How a step went when it was last built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// How long it took.
    pub took: Duration,
    /// Bytes that it left, as far as known.
    pub bytes: Option<u64>,
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name alone.
    pub name: String,
    /// Whether it is a directory.
    pub directory: bool,
}
