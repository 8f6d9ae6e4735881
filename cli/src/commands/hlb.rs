//! `llbc hlb`: the modules that a program imports from filesystems and repositories, kept beside it.

use std::collections::{BTreeMap, BTreeSet};

use ast::FileId;
use compiler::{Facts, Imported, ModuleSource, Outcome, TreeFile};
use oci::Digest;

use crate::args::{CompileOptions, Hlb, HlbCommand, ModuleArgs, Vendor};
use crate::failure::{Failure, Result};
use crate::settings::{Input, Modules, Settings};
use crate::{kept, pipeline, printer};

pub(super) fn run(args: &Hlb) -> Result<()> {
    match &args.command {
        HlbCommand::Vendor(args) => vendor(args),
        HlbCommand::Tidy(args) => tidy(args),
        HlbCommand::Tree(args) => tree(&args.module, args.long),
    }
}

/// A program and everything that it imports.
struct Found {
    outcome: Outcome,
    name: String,
}

/// Finds what a program imports, or says that it imports nothing. A module that is kept is named by its digest, too.
fn find(args: &ModuleArgs, modules: Modules) -> Result<Option<Found>> {
    let mut input = Input::new(&args.file);
    if let Input::File(path) = &input
        && !path.exists()
        && let Some(kept) = kept::find(&args.file)?
    {
        input = Input::File(kept);
    }
    // Whatever is built of it, it imports the same.
    let mut settings = Settings::new(input, &CompileOptions { target: None, ..args.options.clone() })?;
    settings.modules = modules;
    let compiled = pipeline::read(&mut settings, compiler::imports)?;
    let name = compiled.source().name.clone();
    if printer::diagnostics(settings.error_format, &compiled.sources, &compiled.outcome.diagnostics) {
        return Err(Failure::Diagnosed);
    }
    if !compiled.outcome.module.dialect.functions {
        return Err(Failure::usage(format!("{name} is no program of HLB"), None));
    }
    if compiled.outcome.module.imports.is_empty() {
        printer::data(format!("No imports found in {name}\n").as_bytes())?;
        return Ok(None);
    }
    Ok(Some(Found { outcome: compiled.outcome, name }))
}

fn vendor(args: &Vendor) -> Result<()> {
    let mut targets = args.targets.clone();
    targets.extend(args.module.options.target.clone());
    if targets.is_empty() {
        let Some(found) = find(&args.module, Modules::Built(None))? else { return Ok(()) };
        return keep(&found.outcome.facts, &found.trees(None)?);
    }
    // What the imports that are named come to is known when everything is there once.
    let Some(found) = find(&args.module, Modules::KeptOrBuilt)? else { return Ok(()) };
    let digests = found.trees(Some(&targets))?.into_iter().map(|file| file.digest).collect();
    let Some(found) = find(&args.module, Modules::Built(Some(digests)))? else { return Ok(()) };
    keep(&found.outcome.facts, &found.trees(Some(&targets))?)
}

fn tidy(args: &ModuleArgs) -> Result<()> {
    let Some(found) = find(args, Modules::KeptOrBuilt)? else { return Ok(()) };
    let trees = found.trees(None)?;
    kept::sweep(&trees.iter().map(|file| file.digest.clone()).collect::<BTreeSet<Digest>>())?;
    keep(&found.outcome.facts, &trees)
}

/// Keeps what was built, as HLB prints it.
fn keep(facts: &Facts, trees: &BTreeSet<TreeFile>) -> Result<()> {
    for file in trees {
        let question = compiler::Question::Module { source: ModuleSource::Imported(file.clone()) };
        let Some(Ok(compiler::Answer::File(Some(text)))) = facts.answers.get(&question) else { continue };
        let source = ast::Source::new(file.path.clone(), text.clone());
        let edits = compiler::format(&source).unwrap_or_default();
        kept::write(file, &ast::apply(text, &edits))?;
    }
    if trees.is_empty() && !kept::exists() { Ok(()) } else { kept::sum() }
}

impl Found {
    /// The files of filesystems that are imported; with targets, those that they and what they import come to.
    ///
    /// **Errors**: a target that is no import of the program.
    fn trees(&self, targets: Option<&[String]>) -> Result<BTreeSet<TreeFile>> {
        let imports = &self.outcome.imports;
        let main = self.outcome.module.file;
        if let Some(missing) = targets
            .into_iter()
            .flatten()
            .find(|target| !imports.iter().any(|import| import.importer == main && import.name == **target))
        {
            let names = self.outcome.module.imports.iter().map(|import| import.name.text.as_str());
            let text = format!("{missing} is no import of {}", self.name);
            return Err(Failure::usage(ast::with_suggestion(text, ast::suggest(missing, names)), None));
        }
        let is_wanted = |import: &&Imported| {
            import.importer != main || targets.is_none_or(|targets| targets.contains(&import.name))
        };
        let mut reached = BTreeSet::from([main]);
        let mut open = vec![main];
        let mut trees = BTreeSet::new();
        while let Some(importer) = open.pop() {
            for import in imports.iter().filter(|import| import.importer == importer).filter(is_wanted) {
                if let ModuleSource::Imported(file) = &import.source {
                    trees.insert(file.clone());
                }
                if reached.insert(import.module) {
                    open.push(import.module);
                }
            }
        }
        Ok(trees)
    }
}

/// Prints the tree of imports, in HLB's form.
fn tree(args: &ModuleArgs, long: bool) -> Result<()> {
    let Some(found) = find(args, Modules::Kept)? else { return Ok(()) };
    let mut imports: BTreeMap<FileId, Vec<&Imported>> = BTreeMap::new();
    for import in &found.outcome.imports {
        imports.entry(import.importer).or_default().push(import);
    }
    let mut text = format!("{}\n", found.name);
    let main = found.outcome.module.file;
    print(&mut text, &imports, long, "", &mut vec![main]);
    printer::data(text.as_bytes())
}

/// Prints what a module imports, below it. `way` are the modules down to it: one that imports itself is named once more, and
/// not gone into.
fn print(
    text: &mut String,
    imports: &BTreeMap<FileId, Vec<&Imported>>,
    long: bool,
    margin: &str,
    way: &mut Vec<FileId>,
) {
    let Some(importer) = way.last() else { return };
    let all = imports.get(importer).map_or(&[][..], Vec::as_slice);
    for (at, import) in all.iter().enumerate() {
        let is_last = at + 1 == all.len();
        let (branch, below) = if is_last { ("└── ", "    ") } else { ("├── ", "│   ") };
        *text += &format!("{margin}{branch}[{}]  {}\n", import.name, shown(&import.source, long));
        if !way.contains(&import.module) {
            way.push(import.module);
            print(text, imports, long, &format!("{margin}{below}"), way);
            way.pop();
        }
    }
}

fn shown(source: &ModuleSource, long: bool) -> String {
    match source {
        ModuleSource::File(path) => path.clone(),
        ModuleSource::Imported(file) | ModuleSource::Built(file) if long => format!("{}/{}", file.digest, file.path),
        ModuleSource::Imported(file) | ModuleSource::Built(file) => file.shown(),
    }
}
