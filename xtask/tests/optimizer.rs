//! What the optimizer promises of its gain, on the corpus.

use xtask::optimizer;

#[test]
fn nothing_gets_worse_and_real_builds_get_better() {
    let rows = optimizer::rows("").expect("the corpus is there");
    assert!(rows.len() > 500, "only {} cases can be built", rows.len());
    for row in &rows {
        let [before, o1, o2] = row.counts;
        for after in [o1, o2] {
            let worse = after.vertices > before.vertices || after.path > before.path || after.rerun > before.rerun;
            assert!(!worse, "{}: {before:?} became {after:?}", row.name);
        }
    }
    let real: Vec<_> = rows.into_iter().filter(|row| row.name.starts_with("real/")).collect();
    assert!(real.len() >= 15, "{real:?}");
    let gain = optimizer::median(&real, 1, |counts| counts.vertices);
    assert!(gain > 0.1, "only {gain} fewer vertices");

    // The documentation shows what is.
    let shown =
        std::fs::read_to_string(e2e::workspace().join("docs/optimizer.md")).expect("it is part of the repository");
    let table = optimizer::table(&real);
    let stale: Vec<_> = table.lines().filter(|line| line.starts_with("| real/") && !shown.contains(line)).collect();
    assert!(stale.is_empty(), "docs/optimizer.md lacks what `cargo xtask optimizer real/` prints: {stale:#?}");
}
