//! `llbc compile`: a build file to the bytes of its definition.

use std::io::IsTerminal;
use std::path::Path;

use crate::args::Compile;
use crate::failure::{Failure, Result};
use crate::settings::{Input, Settings};
use crate::{definition, files, pipeline, printer};

pub(super) fn run(args: &Compile) -> Result<()> {
    let to_stdout = args.output.as_deref().is_none_or(|path| path == Path::new("-"));
    if to_stdout && std::io::stdout().is_terminal() {
        return Err(Failure::usage(
            "standard output is a terminal, and a definition is binary",
            "pipe it on (`llbc FILE | executor`), write it with -o FILE, or look at it with `llbc dump FILE`"
                .to_owned(),
        ));
    }
    let settings = Settings::new(Input::new(&args.file), &args.options)?;
    let compiled = pipeline::read(&settings, compiler::compile)?;
    let bytes = definition::encode(pipeline::plan(&settings, compiled)?)?;
    match &args.output {
        Some(path) if !to_stdout => files::replace(path, &bytes),
        _ => printer::data(&bytes),
    }
}
