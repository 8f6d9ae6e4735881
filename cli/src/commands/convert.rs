//! `llbc convert`: a build file in another language, with everything it says or not at all.

mod baked;

use ast::{Source, Sources};
use compiler::Written;

use crate::args::{CompileOptions, Convert, Target};
use crate::failure::{Failure, Result};
use crate::settings::{Input, Settings};
use crate::world::{self, Host};
use crate::{bake, files, pipeline, printer};

pub(super) fn run(args: &Convert) -> Result<()> {
    // Nobody is asked for images: the languages are compared, not what they would build today.
    let options = CompileOptions { offline: true, ..CompileOptions::default() };
    let mut settings = Settings::new(Input::new(&args.file), &options)?;
    let language = language(args.to);
    let source = if bake::is_bake(&args.file) {
        let spec = baked(args, &settings)?;
        if args.to == Target::Toml {
            return write(args, &spec);
        }
        // The spec has no file: what is wrong with it is shown in its own words.
        Source::new(format!("{} as build.toml", args.file), spec.into_bytes())
    } else {
        pipeline::source(&mut settings)?
    };
    let host = Host::new(&settings)?;
    let own = frontends::choose(&source.name, &source.bytes, None).ok();
    let is_foreign = own.is_some_and(|own| own.extensions.is_empty() && own.format.is_none());
    let written_once = match is_foreign && args.to != Target::Toml {
        // What is said of such a file is that it is this spec, so what has no equal is shown in the spec's words.
        true => compiler::convert(&source, self::language(Target::Toml), args.lossy, &host).ok().map(|spec| spec.text),
        false => None,
    };
    let source = match written_once {
        Some(spec) => Source::new(format!("spec of {} as build.toml", args.file), spec.into_bytes()),
        None => source,
    };
    match compiler::convert(&source, language, args.lossy, &host) {
        Ok(Written { text, left_out, included }) => {
            let sources: Sources = std::iter::once(source).chain(included).collect();
            printer::diagnostics(settings.error_format, &sources, &left_out);
            write(args, &text)
        }
        Err((found, included)) => {
            let sources: Sources = std::iter::once(source).chain(included).collect();
            printer::diagnostics(settings.error_format, &sources, &found);
            Err(Failure::Diagnosed)
        }
    }
}

fn write(args: &Convert, text: &str) -> Result<()> {
    match &args.output {
        Some(path) => files::replace(path, text.as_bytes()),
        None => printer::data(text.as_bytes()),
    }
}

/// A bake file as a spec.
fn baked(args: &Convert, settings: &Settings) -> Result<String> {
    let source = Source::new(args.file.clone(), world::read(&settings.input)?);
    let (mut builds, mut found) = baked::builds(&source)?;
    builds.exporting = args.to != Target::Toml;
    // Of nothing no spec comes, whatever may be left out.
    let lossy = args.lossy && !builds.builds.is_empty();
    let written = compiler::several(&builds, lossy, &Host::new(settings)?);
    let sources: Sources = std::iter::once(source).chain(builds.texts).collect();
    if lossy {
        found = found.into_iter().map(compiler::left_out).collect();
    }
    let text = match written {
        Ok(Written { text, left_out, .. }) => {
            found.extend(left_out);
            Ok(text)
        }
        Err(more) => {
            found.extend(more);
            Err(Failure::Diagnosed)
        }
    };
    if printer::diagnostics(settings.error_format, &sources, &found) { Err(Failure::Diagnosed) } else { text }
}

fn language(target: Target) -> &'static frontends::Language {
    let id = match target {
        Target::Dockerfile => "Dockerfile",
        Target::Hlb => "HLB",
        Target::Toml => "TOML",
    };
    frontends::by_id(id).expect("the language is there")
}
