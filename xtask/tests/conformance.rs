//! The whole corpus, in process: what BuildKit makes of a Dockerfile is what we make of it.

use xtask::conformance;

#[test]
fn every_case_of_the_corpus() {
    let report = conformance::run(&conformance::corpus(), "").expect("the corpus is there");
    assert!(report.failed.is_empty(), "{}", report.print());
    // A runner that finds nothing must not pass.
    assert!(report.passed.len() >= 794 + 246, "only {} cases were found", report.passed.len());
}

#[test]
fn a_difference_is_found() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let case = folder.path().join("dockerfile/group/case");
    std::fs::create_dir_all(&case).expect("a folder for the case");
    let write = |path: &str, text: &str| std::fs::write(folder.path().join(path), text).expect("a file of the case");
    write("images.json", "{}");
    write("dockerfile/group/case/Dockerfile", "FROM scratch\nLABEL a=b\nCMD x\n");
    write("dockerfile/group/case/case.json", "{}");
    write("dockerfile/group/case/expect.json", r#"{"final_digest": "", "image": {"os": "linux"}, "warnings": []}"#);
    let report = conformance::run(folder.path(), "").expect("the corpus is there");
    let text = report.print();
    assert!(text.ends_with("0 passed, 1 failed\n"), "{text}");
    for part in ["image.architecture", "JSONArgsRecommended", "expect.pb: "] {
        assert!(text.contains(part), "{part} in {text}");
    }
}
