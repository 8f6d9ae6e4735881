//! `llbc dump`: the LLB of a build file or of an encoded definition, to look at.

use llb::Definition;
use llb::passes::Level;

use super::opt;
use crate::args::{Dump, DumpFormat};
use crate::definition::DAMAGED;
use crate::failure::{Failure, Result};
use crate::settings::{Input, Settings};
use crate::{definition, pipeline, printer};

pub(super) fn run(args: &Dump) -> Result<()> {
    let mut settings = Settings::new(Input::new(&args.file), &args.options)?;
    let source = pipeline::source(&mut settings)?;
    if args.format.passes {
        return opt::dump(&settings, source);
    }
    match definition::read(&source)? {
        Some(decoded) if settings.passes.level == Level::O0 => {
            let definition = decoded.definition;
            print(&args.format, &definition, &definition::images_of(&definition))
        }
        Some(mut decoded) => {
            compiler::optimize::definition(&mut decoded.graph, settings.passes);
            let definition = definition::of(&decoded.graph)?;
            print(&args.format, &definition, &definition::images_of(&definition))
        }
        None => {
            let compiled = pipeline::run(&settings, source, compiler::compile)?;
            let plan = pipeline::definition_plan(&settings, compiled)?;
            let images: Vec<Vec<u8>> = plan.outputs.iter().map(|output| output.image.clone()).collect();
            print(&args.format, &definition::of(&plan.graph)?, &images)
        }
    }
}

fn print(format: &DumpFormat, definition: &Definition, images: &[Vec<u8>]) -> Result<()> {
    if format.image {
        return print_images(images);
    }
    let text = if format.json {
        llb::dump::json(definition)
    } else if format.dot {
        llb::dump::dot(definition)
    } else {
        llb::dump::text(definition)
    };
    let text = text.map_err(|error| Failure::message("definition", error.to_string(), DAMAGED))?;
    printer::data(text.as_bytes())
}

/// One config a line, in the order of the outputs.
fn print_images(images: &[Vec<u8>]) -> Result<()> {
    if images.is_empty() {
        return Err(Failure::message(
            "definition",
            "the definition holds no image config",
            "definitions written by `llbc compile` do; others keep it elsewhere",
        ));
    }
    let mut text = Vec::new();
    for image in images {
        text.extend_from_slice(image);
        text.push(b'\n');
    }
    printer::data(&text)
}
