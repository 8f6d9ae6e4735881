//! The form of the line that is being written, and which part of it is due.

use std::ops::Range;

use frontends::vocabulary::Keyword;

use crate::cursor::{Cursor, Place};
use crate::file::View;

/// The forms of a keyword.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// **Shape**: one entry a form.
    pub forms: Vec<Form>,
    /// Markdown.
    pub doc: String,
    /// Index of the form that fits what is written.
    pub active: usize,
}

/// A form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// As written.
    pub label: String,
    /// Where its parameters stand in the label, in bytes.
    pub parameters: Vec<Range<u32>>,
    /// Index of the parameter that is due.
    pub active: Option<usize>,
}

/// The forms of what is being written.
pub fn signature(view: &View<'_>, offset: u32) -> Option<Signature> {
    if view.file.keyed().is_some() {
        return super::keyed::signature::signature(view, offset);
    }
    if view.file.module.dialect.functions {
        return super::functional::signature::signature(view, offset);
    }
    let cursor = Cursor::new(view.file, offset)?;
    let (keyword, argument) = match cursor.place {
        Place::Option(keyword) | Place::Value(keyword, _) => (keyword, None),
        Place::Argument { keyword, before, .. } => (keyword, Some(before)),
        _ => return None,
    };
    let list = view.file.slice(cursor.typed).starts_with('[');
    let active = keyword.forms.iter().position(|form| form.contains("[\"") == list).unwrap_or(0);
    Some(Signature { forms: forms(keyword, argument), doc: keyword.doc.to_owned(), active })
}

fn forms(keyword: &'static Keyword, argument: Option<usize>) -> Vec<Form> {
    let form = |label: &&'static str| {
        let parameters = parameters(label, keyword.name.len());
        let options = usize::from(!keyword.options.is_empty());
        let active = match argument {
            None => 0,
            Some(before) => before + options,
        };
        let last = parameters.len().checked_sub(1);
        Form { label: (*label).to_owned(), active: last.map(|last| active.min(last)), parameters }
    };
    keyword.forms.iter().map(form).collect()
}

/// The words after the keyword.
fn parameters(label: &str, from: usize) -> Vec<Range<u32>> {
    let mut found = Vec::new();
    let mut at = from;
    for word in label[from..].split(' ') {
        if !word.is_empty() {
            found.push(at as u32..(at + word.len()) as u32);
        }
        at += word.len() + 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::with;

    #[track_caller]
    fn check(marked: &str, expected: Option<&str>) {
        let shown = with(marked, signature).map(|signature| {
            let form = &signature.forms[signature.active];
            let range = form.parameters[form.active.unwrap()].clone();
            format!("{} | {}", form.label, &form.label[range.start as usize..range.end as usize])
        });
        assert_eq!(shown.as_deref(), expected);
    }

    #[test]
    fn what_is_due() {
        check("FROM ┃", Some("FROM [--platform=<platform>] <image> [AS <name>] | <image>"));
        check("FROM a ┃", Some("FROM [--platform=<platform>] <image> [AS <name>] | [AS"));
        check("FROM a\nCOPY --┃", Some("COPY [options] <source>... <destination> | [options]"));
        check("FROM a\nCOPY x ┃", Some("COPY [options] <source>... <destination> | <destination>"));
        check("FROM a\nCMD [┃", Some("CMD [\"<program>\", \"<argument>\"] | [\"<program>\","));
        check("FR┃", None);
    }
}
