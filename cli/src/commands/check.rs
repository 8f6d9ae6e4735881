//! `llbc check`: errors and warnings, and nothing else.

use ast::Severity;

use crate::args::{Check, CheckFormat};
use crate::failure::{Failure, Result};
use crate::settings::{Input, Settings};
use crate::{pipeline, printer};

pub(super) fn run(args: &Check) -> Result<()> {
    if matches!(args.format, CheckFormat::Sarif | CheckFormat::Github | CheckFormat::Gcc) {
        return Err(Failure::unsupported("this format", "--format json holds the same findings"));
    }
    let mut failed = false;
    for file in &args.files {
        let done = settings(&Settings::new(Input::new(file), &args.options)?, args.format);
        match done {
            Err(Failure::Diagnosed) => failed = true,
            other => other?,
        }
    }
    if failed { Err(Failure::Diagnosed) } else { Ok(()) }
}

/// Prints the findings in one file: for people to standard error, as data to standard output.
pub(super) fn settings(settings: &Settings, format: CheckFormat) -> Result<()> {
    let compiled = pipeline::read(settings, compiler::check)?;
    let diagnostics = &compiled.outcome.diagnostics;
    if format == CheckFormat::Human {
        printer::diagnostics(settings.error_format, &compiled.sources, diagnostics);
    } else {
        let lines = diagnostics.iter().map(|diagnostic| printer::json_diagnostic(&compiled.sources, diagnostic) + "\n");
        printer::data(lines.collect::<String>().as_bytes())?;
    }
    let failed = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    if failed { Err(Failure::Diagnosed) } else { Ok(()) }
}
