//! `llbc graph`: the plan as a page to look at, as it is and optimized. One file without scripts, and nothing is fetched.

use std::fmt::Write as _;

use llb::passes::{Level, Options};
use llb::{Graph, dump, shape};

use super::opt;
use crate::args::GraphArgs;
use crate::failure::Result;
use crate::files;
use crate::settings::{Input, Settings};
use crate::{pipeline, printer};

const STYLE: &str = include_str!("graph/style.css");

pub(super) fn run(args: &GraphArgs) -> Result<()> {
    let mut settings = Settings::new(Input::new(&args.file), &args.options)?;
    let source = pipeline::source(&mut settings)?;
    let name = source.name.clone();
    let given = opt::graph(&settings, source)?;
    let text = if args.svg { drawing(&given, settings.passes) } else { page(&name, &given, settings.passes) };
    match &args.output {
        Some(path) => files::replace(path, text.as_bytes()),
        None => printer::data(text.as_bytes()),
    }
}

/// One drawing alone, at the level that is asked for.
fn drawing(given: &Graph, options: Options) -> String {
    let mut graph = given.clone();
    compiler::optimize::definition(&mut graph, options);
    dump::svg(&graph, STYLE)
}

/// The page: one drawing a level, of which one is seen.
fn page(name: &str, given: &Graph, options: Options) -> String {
    let name = dump::escaped(name);
    let mut text = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{name}</title>\n<style>\n{STYLE}</style></head><body>\n<h1>{name}</h1>\n"
    );
    let levels = [(Level::O0, "as written"), (Level::O1, "-O1"), (Level::O2, "-O2")];
    for (level, title) in levels {
        let checked = if level == options.level { " checked" } else { "" };
        let _ = writeln!(
            text,
            "<input type=\"radio\" name=\"level\" id=\"{id}\"{checked}><label for=\"{id}\">{title}</label>",
            id = id(level)
        );
    }
    text.push_str(
        "<p class=\"key\"><span class=\"source\">source</span><span class=\"file\">files</span><span class=\"exec\">process</span>\
         <span class=\"other\">merge</span><span class=\"critical\">longest way</span><span class=\"output\">result</span></p>\n",
    );
    for (level, _) in levels {
        let mut graph = given.clone();
        compiler::optimize::definition(&mut graph, Options { level, ..options });
        let vertices = shape::needed(&graph).into_iter().filter(|needed| *needed).count();
        let _ = writeln!(
            text,
            "<section class=\"{}\"><p>{vertices} vertices, {} on the longest way through them</p>\n{}</section>",
            id(level),
            shape::critical_path(&graph).len(),
            dump::svg(&graph, "")
        );
    }
    text.push_str("</body></html>\n");
    text
}

fn id(level: Level) -> &'static str {
    match level {
        Level::O0 => "o0",
        Level::O1 => "o1",
        Level::O2 => "o2",
    }
}
