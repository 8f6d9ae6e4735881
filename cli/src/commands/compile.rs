//! `llbc compile`: a build file to the bytes of its definition.

use std::io::{IsTerminal, Write};
use std::path::Path;

use crate::args::Compile;
use crate::failure::{Failure, Result};
use crate::settings::{Input, Settings};
use crate::{definition, pipeline, printer};

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
        Some(path) if !to_stdout => write_aside(path, &bytes),
        _ => printer::data(&bytes),
    }
}

/// Writes a file so that it is whole or not there. What is no regular file (a pipe, `/dev/null`) is written as it is.
fn write_aside(path: &Path, bytes: &[u8]) -> Result<()> {
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        return std::fs::write(path, bytes).map_err(Failure::io("write", path));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let aside = path.with_file_name(name);
    let written = std::fs::File::create(&aside).and_then(|mut file| file.write_all(bytes));
    written.and_then(|()| std::fs::rename(&aside, path)).map_err(|error| {
        // The first failure is the one to tell; the file may not even exist.
        let _ = std::fs::remove_file(&aside);
        Failure::io("write", path)(error)
    })
}
