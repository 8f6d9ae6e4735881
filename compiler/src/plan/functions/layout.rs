//! What is done with a document once all of its pieces are known.

use ast::Layout;

/// Lays out a text.
pub(super) fn lay_out(text: String, layout: Layout) -> String {
    let body = || text.trim_start_matches('\n').trim_end_matches(['\n', '\t']);
    match layout {
        Layout::Plain => text,
        Layout::Document => body().to_owned(),
        Layout::Dedent => dedent(body()),
        Layout::Fold => fold(body()),
    }
}

/// Takes away the margin that all lines have which are not blank; blank lines become empty.
///
/// parity: a line's margin is another's with more behind it, or there is no margin at all, however alike they begin.
fn dedent(text: &str) -> String {
    let is_blank = |line: &&str| line.bytes().all(|b| matches!(b, b' ' | b'\t'));
    let margin = |line: &&str| line.bytes().take_while(|b| matches!(b, b' ' | b'\t')).count();
    let mut margins = text.split('\n').filter(|line| !is_blank(line)).map(|line| &line[..margin(&line)]);
    let first = margins.next().unwrap_or_default();
    let shorter = |known: &'_ str, other: &'_ str| known.starts_with(other) || other.starts_with(known);
    let common = margins.try_fold(first, |common, other| {
        shorter(common, other).then_some(if other.len() < common.len() { other } else { common })
    });
    let common = common.unwrap_or_default();
    let cut = |line: &str| if is_blank(&line) { String::new() } else { line[common.len()..].to_owned() };
    text.split('\n').map(cut).collect::<Vec<_>>().join("\n")
}

/// Makes one line of all lines, each without the blanks around it.
fn fold(text: &str) -> String {
    text.trim().split('\n').map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins() {
        let check = |text: &str, expected: &str| assert_eq!(lay_out(text.to_owned(), Layout::Dedent), expected);
        check("\n\t\ta\n\t\t  b\n\n\t\tc\n\t", "a\n  b\n\nc");
        check("  a\n\tb", "  a\n\tb");
        check("\t\ta\n\t  b", "\t\ta\n\t  b");
        check("\t\ta\n\tb\n\t\tc", "\ta\nb\n\tc");
        check("", "");
    }

    #[test]
    fn folds_and_documents() {
        assert_eq!(lay_out("\n  a\n\n  b  \n".to_owned(), Layout::Fold), "a  b");
        assert_eq!(lay_out("\n a \n\t".to_owned(), Layout::Document), " a ");
        assert_eq!(lay_out("\n".to_owned(), Layout::Plain), "\n");
    }
}
