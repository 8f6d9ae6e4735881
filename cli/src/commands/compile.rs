//! `llbc compile`: a build file to the bytes of its definition.

use std::io::IsTerminal;
use std::path::Path;

use crate::args::Compile;
use crate::failure::{Failure, Result};
use crate::settings::{Input, Settings};
use crate::{definition, files, pipeline, printer};

pub(super) fn run(args: &Compile) -> Result<()> {
    let target = Target::new(args.output.as_deref())?;
    let mut settings = Settings::new(Input::new(&args.file), &args.options)?;
    let compiled = pipeline::read(&mut settings, compiler::compile)?;
    let bytes = definition::encode(pipeline::definition_plan(&settings, compiled)?)?;
    target.write(&bytes)
}

/// Where a definition is written.
pub(super) struct Target<'a>(Option<&'a Path>);

impl<'a> Target<'a> {
    /// A path; none and `-` are standard output, which must not be a terminal.
    pub(super) fn new(path: Option<&'a Path>) -> Result<Self> {
        let file = path.filter(|path| *path != Path::new("-"));
        if file.is_none() && std::io::stdout().is_terminal() {
            return Err(Failure::usage(
                "standard output is a terminal, and a definition is binary",
                "pipe it on (`llbc FILE | executor`), write it with -o FILE, or look at it with `llbc dump FILE`"
                    .to_owned(),
            ));
        }
        Ok(Self(file))
    }

    /// Writes the definition.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<()> {
        self.0.map_or_else(|| printer::data(bytes), |path| files::replace(path, bytes))
    }
}
