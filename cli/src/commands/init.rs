//! `llbc init`: looks at a project and writes a build file for it.
//!
//! What a project is, is read off the files that its tools go by (`detect`); what is written (`write`) is a preset with what
//! was found out, or a Dockerfile that does the same.

mod detect;
mod write;

use std::path::Path;

use crate::args::{Init, InitFormat};
use crate::failure::{Failure, Result};
use crate::{files, printer};

pub(super) fn run(args: &Init) -> Result<()> {
    let directory = args.directory.as_path();
    let mut project = detect::project(directory, args.kind)?;
    if let Some(name) = &args.name {
        project.name = detect::image_name(name);
    }
    project.builder.clone_from(&args.builder);
    project.base.clone_from(&args.from);
    let (usual, text) = match args.format {
        InitFormat::Toml => ("build.toml", write::spec(&project)),
        InitFormat::Dockerfile => ("Dockerfile", write::dockerfile(&project)),
    };
    let path = args.output.clone().unwrap_or_else(|| directory.join(usual));
    if path == Path::new("-") {
        return printer::data(text.as_bytes());
    }
    if path.exists() && !args.force {
        return Err(Failure::message("init", format!("{} is there already", path.display()), "--force writes over it"));
    }
    files::replace(&path, text.as_bytes())?;
    printer::note(&format!("wrote {}: {}", path.display(), project.found));
    let ignored = directory.join(".dockerignore");
    if args.output.is_none() && !ignored.exists() {
        files::replace(&ignored, write::ignored(&project).as_bytes())?;
        printer::note(&format!("wrote {}: what is no part of the build", ignored.display()));
    }
    printer::note(&format!("build it: llbc build -t {} {}", project.name, directory.display()));
    Ok(())
}
