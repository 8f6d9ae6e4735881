//! The signature of the call that is being written, and which of its arguments is due.

use std::ops::Range;

use ast::builtin;

use super::super::functions;
use super::super::signature::{Form, Signature};
use crate::file::View;

/// The signatures of the call around the cursor, or of what the line calls so far.
pub(in super::super) fn signature(view: &View<'_>, offset: u32) -> Option<Signature> {
    let (name, due) = match functions::call_at(view, offset).filter(|call| call.name.span.end < offset) {
        Some(call) => (call.name.text.as_str(), due(call, offset)),
        None => line(view, offset)?,
    };
    let defs = view.file.module.defs.iter();
    let own = defs.filter(|def| def.name.as_ref().is_some_and(|known| known.text == name)).map(|def| {
        let doc = def.doc.as_ref().map(|doc| doc.lossy().into_owned()).unwrap_or_default();
        (functions::signature(view, def), doc)
    });
    let primitives = builtin::named(name).iter().map(|row| (row.signature, row.doc.to_owned()));
    let mut known: Vec<_> = own.collect();
    if known.is_empty() {
        known = primitives.collect();
    }
    let doc = known.first()?.1.clone();
    let forms: Vec<Form> = known.iter().map(|(label, _)| form(label, due)).collect();
    let active = forms.iter().position(|form| form.active.is_some()).unwrap_or(0);
    Some(Signature { forms, doc, active })
}

/// Which argument is due.
#[derive(Clone, Copy)]
enum Due<'d> {
    /// By its place, from 0.
    Place(usize),
    /// By the name of its parameter.
    Name(&'d str),
}

fn due(call: &ast::Call, offset: u32) -> Due<'_> {
    let (_, mut named) = call.split_args();
    match named.find(|(name, value)| name.span.start <= offset && offset <= value.span.end) {
        Some((name, _)) => Due::Name(&name.text),
        None => Due::Place(call.args.iter().filter(|arg| arg.span.end < offset).count()),
    }
}

/// The first word of a line that is being written, and which of its arguments is due.
fn line<'v>(view: &View<'v>, offset: u32) -> Option<(&'v str, Due<'v>)> {
    let before = view.file.text().get(..offset as usize)?;
    let line = before.rsplit(['\n', ';', '{']).next()?;
    let mut words = line.split_whitespace();
    let name = words.next().filter(|_| line.trim_start().contains(char::is_whitespace))?;
    let last = words.clone().next_back().filter(|_| !line.ends_with(char::is_whitespace));
    let due = match last.and_then(|word| word.split_once('=')) {
        Some((name, _)) => Due::Name(name),
        None => Due::Place(words.count().saturating_sub(usize::from(last.is_some()))),
    };
    Some((name, due))
}

/// The name in a parameter as it is written: `int n = 1`.
pub(super) fn name_of(parameter: &str) -> &str {
    let declared = parameter.split('=').next().unwrap_or_default().trim_end();
    declared.rsplit(' ').next().unwrap_or_default()
}

fn form(label: &str, due: Due<'_>) -> Form {
    let label = label.split(" binds").next().unwrap_or(label).trim_end();
    let parameters = parameters(label);
    let is_variadic = label.contains("variadic");
    let last = parameters.len().checked_sub(1);
    let active = match due {
        Due::Place(before) => last.filter(|last| before <= *last || is_variadic).map(|last| before.min(last)),
        Due::Name(name) => {
            parameters.iter().position(|range| name_of(&label[range.start as usize..range.end as usize]) == name)
        }
    };
    Form { label: label.to_owned(), parameters, active }
}

/// The parameters in a signature.
pub(super) fn parameters(label: &str) -> Vec<Range<u32>> {
    let (Some(open), Some(close)) = (label.find('('), label.find(')')) else { return Vec::new() };
    let mut found = Vec::new();
    let mut at = open + 1;
    for part in label.get(open + 1..close).unwrap_or_default().split(',') {
        let start = at + part.len() - part.trim_start().len();
        if !part.trim().is_empty() {
            found.push(start as u32..(start + part.trim().len()) as u32);
        }
        at += part.len() + 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::features::signature::signature;
    use crate::testing::with_named;

    #[track_caller]
    fn check(marked: &str, expected: &str) {
        let found = with_named("main.hlb", marked, signature).expect("a signature");
        let form = &found.forms[found.active];
        let range = form.active.map(|active| form.parameters[active].clone());
        let due = range.map_or("", |range| &form.label[range.start as usize..range.end as usize]);
        assert_eq!(format!("{} | {due}", form.label), expected);
    }

    #[test]
    fn what_is_due() {
        check("fs a() {\n\timage \"x┃\"\n}\n", "fs image(string ref) | string ref");
        check("fs a() {\n\tgit \"x\" \"┃\"\n}\n", "fs git(string remote, string ref) | string ref");
        check("fs a() {\n\tb \"x\" ┃\n}\nfs b(string s, int n) { scratch; }\n", "fs b(string s, int n) | int n");
        check("fs a() {\n\trun \"x\" \"y\" \"z┃\"\n}\n", "fs run(variadic string arg) | variadic string arg");
        check("fs a() {\n\thttp ┃\n", "fs http(string url) | string url");
        let named = "fs b(string s, int n = 1) { scratch; }\n";
        check(&format!("fs a() {{\n\tb n=2┃ s=\"x\"\n}}\n{named}"), "fs b(string s, int n = 1) | int n = 1");
        check(&format!("fs a() {{\n\tb s=┃\n}}\n{named}"), "fs b(string s, int n = 1) | string s");
    }
}
