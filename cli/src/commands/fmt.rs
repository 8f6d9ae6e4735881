//! `llbc fmt`: build files put in order, without a change to what they build.
//!
//! Files are written in place, atomically; standard input goes to standard output. `--check` and `--diff` write nothing.

use ast::{Edit, LineIndex, Severity, Source, Sources};

use crate::args::{ErrorFormat, Fmt, LineRange};
use crate::failure::{Failure, Result};
use crate::settings::Input;
use crate::{files, printer, world};

use super::walk;

pub(super) fn run(args: &Fmt) -> Result<()> {
    let mut failed = false;
    let mut unordered = 0;
    for file in &args.files {
        for input in walk::inputs(file)? {
            match one(args, &input) {
                Ok(changed) => unordered += usize::from(changed),
                Err(Failure::Diagnosed) => failed = true,
                Err(other) => return Err(other),
            }
        }
    }
    match unordered {
        _ if failed => Err(Failure::Diagnosed),
        0 => Ok(()),
        _ if !args.check => Ok(()),
        1 => Err(Failure::message("format", "1 file is not in order", "`llbc fmt FILE` puts it in order")),
        count => {
            let help = "`llbc fmt FILE…` puts them in order";
            Err(Failure::message("format", format!("{count} files are not in order"), help))
        }
    }
}

/// Formats one file; returns whether that changes it.
fn one(args: &Fmt, input: &Input) -> Result<bool> {
    let name = match input {
        Input::Stdin | Input::Piped(_) => args.stdin_name.clone(),
        Input::File(_) | Input::Remote(_) => input.name(),
    };
    let source = Source::new(name, world::read(input)?);
    refuse_errors(&source)?;
    let Some(mut edits) = compiler::format(&source) else {
        let help = "Dockerfiles, HLB programs and build specs can be formatted";
        return Err(Failure::unsupported(&format!("formatting {}", source.name), help));
    };
    if let Some(range) = args.lines {
        edits.retain(|edit| is_inside(edit, range, &source.lines));
    }
    let formatted = ast::apply(&source.bytes, &edits);
    let changed = formatted != *source.bytes;
    if args.diff {
        printer::data(difference(&source, &formatted).as_bytes())?;
    } else if args.check {
        if changed {
            printer::data(format!("{}\n", source.name).as_bytes())?;
        }
    } else {
        match input {
            Input::Stdin | Input::Piped(_) => printer::data(&formatted)?,
            Input::File(path) if changed => files::replace(path, &formatted)?,
            Input::File(_) | Input::Remote(_) => {}
        }
    }
    Ok(changed)
}

/// A text that cannot be read is left alone: what it means is not certain.
fn refuse_errors(source: &Source) -> Result<()> {
    let module = compiler::parse(source);
    let is_error =
        |diagnostic: &&ast::Diagnostic| diagnostic.severity == Severity::Error && diagnostic.code != ast::code::MODULE;
    let errors: Vec<_> = module.diagnostics.iter().filter(is_error).cloned().collect();
    if errors.is_empty() {
        return Ok(());
    }
    let mut sources = Sources::default();
    sources.add(source.clone());
    printer::diagnostics(ErrorFormat::Human, &sources, &errors);
    Err(Failure::Diagnosed)
}

fn is_inside(edit: &Edit, range: LineRange, lines: &LineIndex) -> bool {
    let (first, last) = lines.lines_of(edit.span);
    range.first <= first && last <= range.last
}

fn difference(source: &Source, formatted: &[u8]) -> String {
    printer::difference(&source.name, &ast::word::decode(&source.bytes), &ast::word::decode(formatted))
}

#[cfg(test)]
mod tests {
    use ast::FileId;

    use super::*;

    #[test]
    fn edits_inside_a_range() {
        let lines = LineIndex::new(b"a\nb\nc\n");
        let edit = |start, end| Edit { span: ast::Span::new(FileId(0), start, end), text: String::new() };
        let range = LineRange { first: 2, last: 2 };
        let found = [edit(0, 1), edit(2, 4), edit(3, 5), edit(4, 6)].map(|edit| is_inside(&edit, range, &lines));
        assert_eq!(found, [false, true, false, false]);
    }
}
