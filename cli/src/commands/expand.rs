//! `llbc expand`: a build spec with its presets written out, so that nothing in it is implicit any more.

use ast::{Source, Sources};

use crate::args::{ErrorFormat, Expand};
use crate::failure::{Failure, Result};
use crate::settings::Input;
use crate::{files, printer, world};

pub(super) fn run(args: &Expand) -> Result<()> {
    let input = Input::new(&args.file);
    let source = Source::new(input.name(), world::read(&input)?);
    let expanded = match compiler::expand(&source) {
        None => {
            let help = "presets are part of build specs (build.toml)";
            return Err(Failure::unsupported(&format!("expanding {}", source.name), help));
        }
        Some(Err(errors)) => {
            let mut sources = Sources::default();
            sources.add(source);
            printer::diagnostics(ErrorFormat::Human, &sources, &errors);
            return Err(Failure::Diagnosed);
        }
        Some(Ok(text)) => text,
    };
    match input {
        Input::File(path) if args.write => files::replace(&path, expanded.as_bytes()),
        _ => printer::data(expanded.as_bytes()),
    }
}
