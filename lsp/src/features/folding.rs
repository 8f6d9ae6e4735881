//! What can be folded away: stages, long steps, documents, runs of comments, regions.

use ast::{Span, visit};

use crate::File;

/// A range of lines that can be folded, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fold {
    /// The line that stays.
    pub first: u32,
    /// The last line that goes.
    pub last: u32,
    /// What it is.
    pub kind: FoldKind,
}

/// What is folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FoldKind {
    /// Code.
    Code,
    /// Comments.
    Comment,
    /// `# region` to `# endregion`.
    Region,
}

/// Everything that can be folded, in file order.
pub fn folds(file: &File) -> Vec<Fold> {
    let mut folds = Vec::new();
    let mut add = |span: Span, kind: FoldKind| {
        let (first, last) = file.lines().lines_of(span);
        if last > first {
            folds.push(Fold { first, last, kind });
        }
    };
    if let Some((tree, _)) = file.keyed() {
        super::keyed::folding::folds(file, tree, &mut add);
        return in_order(folds);
    }
    file.module.defs.iter().for_each(|def| add(def.span, FoldKind::Code));
    let mut regions = Vec::new();
    for (step, _) in visit::steps(&file.module) {
        add(step.span, FoldKind::Code);
        for document in visit::documents(step) {
            add(document.opener.to(document.span), FoldKind::Code);
        }
        for run in step.comments.chunk_by(|a, b| file.lines().line(a.span.start) + 1 == file.lines().line(b.span.start))
        {
            add(run[0].span.to(run[run.len() - 1].span), FoldKind::Comment);
        }
        for comment in &step.comments {
            let text = comment.text.lossy();
            if text.starts_with("region") {
                regions.push(comment.span);
            } else if text.starts_with("endregion")
                && let Some(start) = regions.pop()
            {
                add(start.to(comment.span), FoldKind::Region);
            }
        }
    }
    in_order(folds)
}

fn in_order(mut folds: Vec<Fold>) -> Vec<Fold> {
    folds.sort();
    folds.dedup_by_key(|fold| (fold.first, fold.last));
    folds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::file;

    #[track_caller]
    fn check(text: &str, expected: &[(u32, u32, FoldKind)]) {
        let (file, _) = file(text);
        let found: Vec<_> = folds(&file).into_iter().map(|fold| (fold.first, fold.last, fold.kind)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn stages_steps_and_documents() {
        use FoldKind::Code;
        check("FROM a\nRUN x \\\n y\nFROM b\nRUN z\n", &[(1, 3, Code), (2, 3, Code), (4, 5, Code)]);
        check("FROM a\nRUN <<E\nx\nE\n", &[(1, 4, Code), (2, 3, Code), (2, 4, Code)]);
    }

    #[test]
    fn comments_and_regions() {
        check("# a\n# b\nFROM a\n", &[(1, 2, FoldKind::Comment)]);
        check("# region x\nFROM a\n# endregion\nRUN y\n", &[(1, 3, FoldKind::Region), (2, 4, FoldKind::Code)]);
    }
}
