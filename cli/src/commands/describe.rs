//! `llbc outline` and `llbc targets`: what a build file takes and gives, as tables or as BuildKit's JSON.

use ast::{Diagnostic, Severity, Sources};
use compiler::{outline, targets};

use crate::args::Describe;
use crate::failure::{Failure, Result};
use crate::settings::{Input, Settings};
use crate::{pipeline, printer};

/// What the target takes: arguments, secrets, agents, caches.
pub(super) fn outline(args: &Describe) -> Result<()> {
    let mut settings = Settings::new(Input::new(&args.file), &args.options)?;
    let compiled = pipeline::read(&mut settings, compiler::survey)?;
    errors(&settings, &compiled.sources, &compiled.outcome.diagnostics)?;
    let source = compiled.source();
    let outline = outline::outline(&compiled.outcome.module, &source.lines, &compiled.outcome.captures);
    print(args.json, &outline.tables(), outline.json(&source.bytes))
}

/// The stages of a file. Needs no image, so nobody is asked.
pub(super) fn targets(args: &Describe) -> Result<()> {
    let mut settings = Settings::new(Input::new(&args.file), &args.options)?;
    let source = pipeline::source(&mut settings)?;
    let module = compiler::parse(&source);
    match targets::targets(&module, &source.lines) {
        Ok(targets) => print(args.json, &targets.text(), targets.json(&source.bytes)),
        Err(found) => {
            let mut sources = Sources::default();
            sources.add(source);
            errors(&settings, &sources, &found)
        }
    }
}

/// Prints the errors among what was found, and fails if there are any.
fn errors(settings: &Settings, sources: &Sources, found: &[Diagnostic]) -> Result<()> {
    let errors: Vec<Diagnostic> = found.iter().filter(|found| found.severity == Severity::Error).cloned().collect();
    if printer::diagnostics(settings.error_format, sources, &errors) { Err(Failure::Diagnosed) } else { Ok(()) }
}

fn print(json: bool, text: &str, mut bytes: Vec<u8>) -> Result<()> {
    if !json {
        return printer::data(text.as_bytes());
    }
    bytes.push(b'\n');
    printer::data(&bytes)
}
