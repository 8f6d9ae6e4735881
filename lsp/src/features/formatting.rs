//! The layout of a text: all of it, some of its lines, or the line that was just left.

use ast::{Edit, LineIndex};

use crate::File;

/// The edits that put a text in order.
pub fn format(file: &File) -> Vec<Edit> {
    let input = frontends::Input::of(ast::FileId(0), &file.source);
    file.language.format.map(|format| format(&input)).unwrap_or_default()
}

/// Those that touch no other than the lines given, both from 1.
pub fn format_lines(file: &File, first: u32, last: u32) -> Vec<Edit> {
    within(format(file), file.lines(), first, last)
}

/// Those of the lines before the one the cursor came to, from 1; that one is not touched.
pub fn format_typed(file: &File, line: u32) -> Vec<Edit> {
    // The blank line someone has just made is not in the way.
    let keeps = |edit: &Edit| !edit.text.is_empty() || !file.slice(edit.span).contains('\n');
    format_lines(file, line.saturating_sub(1).max(1), line.saturating_sub(1)).into_iter().filter(keeps).collect()
}

fn within(edits: Vec<Edit>, lines: &LineIndex, first: u32, last: u32) -> Vec<Edit> {
    let is_inside = |edit: &Edit| {
        let (start, end) = lines.lines_of(edit.span);
        first <= start && end <= last
    };
    edits.into_iter().filter(is_inside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::file;

    #[track_caller]
    fn check(text: &str, edits: impl FnOnce(&File) -> Vec<Edit>, expected: &str) {
        let (file, _) = file(text);
        let found = ast::apply(&file.source.bytes, &edits(&file));
        assert_eq!(String::from_utf8_lossy(&found), expected);
    }

    #[test]
    fn a_part_of_a_program() {
        let text = "import  a from \"b\"\n\n\n\nfs  one() {\n  scratch\n}\nfs two() {\n  scratch\n\n\n\n}\n";
        let (file, _) = crate::testing::named("main.hlb", text);
        let part = |first, last| {
            let found = ast::apply(text.as_bytes(), &format_lines(&file, first, last));
            String::from_utf8(found).unwrap()
        };
        assert_eq!(part(5, 7), text.replace("fs  one() {\n  scratch", "fs one() {\n\tscratch"));
        assert_eq!(part(1, 1), text.replace("import  a", "import a"));
        let whole = "import a from \"b\"\n\nfs one() {\n\tscratch\n}\n\nfs two() {\n\tscratch\n\n}\n";
        assert_eq!(part(1, 99), whole);
    }

    #[test]
    fn all_some_and_what_was_typed() {
        let text = "  FROM a \n\n\n RUN b \n RUN c \n";
        check(text, format, "FROM a\n\nRUN b\nRUN c\n");
        check(text, |file| format_lines(file, 4, 4), "  FROM a \n\n\nRUN b\n RUN c \n");
        check(" RUN a \n\n", |file| format_typed(file, 2), "RUN a\n\n");
        check("FROM a\n\n\n\n", |file| format_typed(file, 4), "FROM a\n\n\n\n");
    }
}
