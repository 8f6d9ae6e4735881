//! `llbc convert`: a build file in another language, with everything it says or not at all.

use ast::{Diagnostic, Severity, Source, Sources};

use crate::args::{Convert, ErrorFormat, Target};
use crate::failure::{Failure, Result};
use crate::settings::Input;
use crate::{printer, world};

pub(super) fn run(args: &Convert) -> Result<()> {
    if let Target::Hlb | Target::Toml = args.to {
        return Err(Failure::unsupported("writing that language", "`--to dockerfile` is there"));
    }
    let input = Input::new(&args.file);
    let source = Source::new(input.name(), world::read(&input)?);
    let module = compiler::parse(&source);
    let errors: Vec<Diagnostic> =
        module.diagnostics.iter().filter(|found| found.severity == Severity::Error).cloned().collect();
    if !errors.is_empty() {
        return diagnosed(source, &errors);
    }
    match compiler::to_dockerfile(&module, args.lossy) {
        Ok(text) => match &args.output {
            Some(path) => super::write_whole(path, text.as_bytes()),
            None => printer::data(text.as_bytes()),
        },
        Err(unsaid) => diagnosed(source, &unsaid),
    }
}

fn diagnosed(source: Source, diagnostics: &[Diagnostic]) -> Result<()> {
    let mut sources = Sources::default();
    sources.add(source);
    printer::diagnostics(ErrorFormat::Human, &sources, diagnostics);
    Err(Failure::Diagnosed)
}
