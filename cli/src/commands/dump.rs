//! `llbc dump`: the LLB of a build file or of an encoded definition, to look at.

use ast::Source;
use llb::Definition;

use crate::args::{Dump, DumpFormat};
use crate::failure::{Failure, Result};
use crate::settings::{Input, Settings};
use crate::{definition, pipeline, printer};

pub(super) fn run(args: &Dump) -> Result<()> {
    let settings = Settings::new(Input::new(&args.file), &args.options)?;
    let source = pipeline::source(&settings)?;
    match encoded(&source)? {
        Some(definition) => print(&args.format, &definition, &definition::images_of(&definition)),
        None => {
            let compiled = pipeline::run(&settings, source, compiler::compile)?;
            let plan = pipeline::plan(&settings, compiled)?;
            let images: Vec<Vec<u8>> = plan.outputs.iter().map(|output| output.image.clone()).collect();
            print(&args.format, &definition::graph(&plan)?, &images)
        }
    }
}

/// The definition, if that is what the bytes are. No build file decodes as one: each of its vertices is checked.
fn encoded(source: &Source) -> Result<Option<Definition>> {
    let bytes = &source.bytes;
    match llb::decode(bytes) {
        Ok(decoded) if !decoded.definition.vertices.is_empty() => Ok(Some(decoded.definition)),
        // Text is never binary; a definition that is cut or damaged deserves its own error.
        Err(error) if bytes.first() == Some(&b'\n') && bytes.contains(&0) => {
            Err(Failure::message("definition", format!("{}: {error}", source.name), DAMAGED))
        }
        _ => Ok(None),
    }
}

const DAMAGED: &str = "write it again with `llbc FILE -o`";

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
