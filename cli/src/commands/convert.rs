//! `llbc convert`: a build file in another language, with everything it says or not at all.

use ast::Sources;

use crate::args::{CompileOptions, Convert, Target};
use crate::failure::{Failure, Result};
use crate::settings::{Input, Settings};
use crate::world::Host;
use crate::{bake, pipeline, printer};

pub(super) fn run(args: &Convert) -> Result<()> {
    if bake::is_bake(&args.file) {
        return Err(Failure::unsupported(
            "converting a bake file",
            "`llbc build -f` builds it; its targets name the Dockerfiles that can be converted",
        ));
    }
    // Nobody is asked for images: the languages are compared, not what they would build today.
    let options = CompileOptions { offline: true, ..CompileOptions::default() };
    let mut settings = Settings::new(Input::new(&args.file), &options)?;
    let source = pipeline::source(&mut settings)?;
    let language = language(args.to);
    match compiler::convert(&source, language, args.lossy, &Host::new(&settings)?) {
        Ok(text) => match &args.output {
            Some(path) => super::write_whole(path, text.as_bytes()),
            None => printer::data(text.as_bytes()),
        },
        Err((found, included)) => {
            let sources: Sources = std::iter::once(source).chain(included).collect();
            printer::diagnostics(settings.error_format, &sources, &found);
            Err(Failure::Diagnosed)
        }
    }
}

fn language(target: Target) -> &'static frontends::Language {
    let id = match target {
        Target::Dockerfile => "Dockerfile",
        Target::Hlb => "HLB",
        Target::Toml => "TOML",
    };
    frontends::by_id(id).expect("the language is there")
}
