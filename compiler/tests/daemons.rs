//! Graphs for daemons that cannot do all, and for clients that hand filesystems in.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use std::collections::BTreeSet;

use ast::Source;
use compiler::{Answer, AskError, Facts, ImageAnswer, LocalPath, Options, Question, World};
use llb::passes::{self, Level};

/// Every image has a plain config and, unless told otherwise, no digest; no file exists.
struct Plain;

impl World for Plain {
    fn answer(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>> {
        let answer = |question: &Question| match question {
            Question::Image { .. } => {
                let config =
                    br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}}"#;
                Ok(Answer::Image(ImageAnswer { digest: None, config: config.to_vec() }))
            }
            Question::ContextFile { .. } => Ok(Answer::ContextFile(None)),
            Question::Timestamp { .. } => Ok(Answer::Timestamp(None)),
            _ => Err(AskError::default()),
        };
        questions.iter().map(answer).collect()
    }
}

fn options(opts: &[(&str, &str)]) -> Options {
    let opts = opts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Options { opts, ..Options::default() }
}

/// The graph of a Dockerfile, as text.
fn graph(text: &str, options: &Options) -> String {
    let source = Source::new("Dockerfile", text.as_bytes());
    let outcome = compiler::compile(&source, options, Facts::default(), &Plain);
    let plan = outcome.plan.unwrap_or_else(|| panic!("{:?}", outcome.diagnostics));
    llb::text::print(&plan.graph)
}

const RUN: &str = "FROM a\nRUN --mount=type=bind,target=/m,rw true\n";

#[test]
fn a_daemon_without_capabilities_gets_what_it_can_do() {
    let limits =
        [("ulimit", "nofile=1:2"), ("shm-size", "1"), ("cgroup-parent", "group-of-builds"), ("memory", "1000000")];
    let mut old = options(&limits);
    let new = graph(RUN, &old);
    old.llb_caps = Some(BTreeSet::new());
    let old = graph(RUN, &old);
    for word in ["nofile", "/dev/shm", "group-of-builds", "1000000", "exec.meta.setsdefaultpath"] {
        assert!(new.contains(word) && !old.contains(word), "{word}\n{new}\n{old}");
    }
}

#[test]
fn without_merges_linked_copies_are_plain_ones() {
    let text = "FROM a\nCOPY --link x /\n";
    let mut old = options(&[]);
    assert!(graph(text, &old).contains("merge"));
    old.llb_caps = Some(BTreeSet::new());
    assert!(!graph(text, &old).contains("merge"));
}

#[test]
fn an_image_without_a_digest_is_used_by_its_name() {
    assert!(graph("FROM a\nRUN true\n", &options(&[])).contains("\"docker-image://docker.io/library/a:latest\""));
}

#[test]
fn handed_in_filesystems_are_contexts() {
    let config = r#"{"architecture":"amd64","os":"linux","config":{"Env":["FROM_INPUT=1"]}}"#;
    let metadata = format!(r#"{{"containerimage.config":"{}"}}"#, oci::base64::encode(config.as_bytes()));
    let mut options = options(&[("context:base", "input:base"), ("input-metadata:base", &metadata)]);
    for name in ["base", "context"] {
        let text = format!("%0 = source \"docker-image://docker.io/library/{name}:in\"\noutput %0");
        options.inputs.insert(name.to_owned(), llb::text::parse(&text).unwrap());
    }
    let graph = graph("FROM base\nRUN true\nCOPY f /\n", &options);
    for word in ["library/base:in", "library/context:in", "FROM_INPUT=1"] {
        assert!(graph.contains(word), "{word}\n{graph}");
    }
    assert!(!graph.contains("local://context"), "{graph}");
}

/// An input that every pass would change, were it the build's own: the context, and what it is named besides.
const HANDED_IN: &str = r#"
    %0 = source "docker-image://docker.io/library/a:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" platform("linux", "amd64")
    %1 = source "docker-image://docker.io/library/a:2@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" platform("linux", "amd64")
    %2 = source "local://context"
    %3 = exec(%0, %1) args=["x"] cwd="/" bind("/", from=0, to=0) bind("/a", from=1, to=1) bind("/b", to=2) platform("linux", "amd64")
    %4 = file mkfile("/f", to=0, data="f")
    %5 = file(%3, %4) copy("/f", "/f", base=0, from=1, to=0)
    %6 = file(%2) copy("/", "/", from=0, to=0, follow_symlink, dir_copy_contents, create_dest_path)
    %7 = file(%5, %6) copy("/d", "/d", base=0, from=1, to=0, follow_symlink, dir_copy_contents, create_dest_path)
    %8 = file(%7) mkdir("/e/f", base=0, to=0, make_parents)
    %9 = file(%8) mkdir("/e", base=0, to=0)
    %10 = merge(%4)
    %11 = merge(%10, %9, %4)
    %12 = file(%11, %2) copy("/1", "/1", base=0, from=1, to=0, dir_copy_contents, create_dest_path)
    %13 = file(%12, %2) copy("/2", "/2", base=0, from=1, to=0, dir_copy_contents, create_dest_path)
    output %13"#;

#[test]
fn handed_in_vertices_stay_as_they_are_at_every_level() {
    let definition = llb::encode(&llb::text::parse(HANDED_IN).unwrap()).unwrap().to_bytes();
    let input = llb::decode(&definition).unwrap().graph;
    let digests = |graph: &llb::Graph| -> BTreeSet<_> {
        let (_, digests) = llb::encode_traced(graph).unwrap();
        digests.into_iter().flatten().collect()
    };
    let given = digests(&input);
    let mut options = options(&[("context:base", "input:base")]);
    options.inputs = ["base", "context"].map(|name| (name.to_owned(), input.clone())).into();
    let text = "FROM base AS made\nCOPY 1 /\nWORKDIR /w\nFROM scratch AS way\nCOPY --from=base /2 /2\n\
                FROM made\nWORKDIR /v\nCOPY --from=way /2 /2\nCOPY --from=base / /all/\n";
    let source = Source::new("Dockerfile", text.as_bytes());
    let plan = compiler::compile(&source, &options, Facts::default(), &Plain).plan.unwrap();
    let unchanged = digests(&plan.graph);
    for level in [Level::O0, Level::O1, Level::O2] {
        let mut plan = plan.clone();
        plan.optimize(passes::Options { level, ..passes::Options::default() });
        let found = digests(&plan.graph);
        assert!(found.is_superset(&given), "{level}\n{}", llb::text::print(&plan.graph));
        assert_eq!(found == unchanged, level == Level::O0, "the build's own vertices are made less");
    }
    // Were they not handed in, no more than the first image and the file in the merge would be as they came.
    let mut own = input;
    passes::optimize(&mut own, passes::Options { level: Level::O1, ..passes::Options::default() });
    assert_eq!(digests(&own).intersection(&given).count(), 2);
}

/// The process that scans the only result of a Dockerfile, as text.
fn scan(text: &str, opts: &[(&str, &str)], image: &str) -> Result<String, String> {
    let options = options(opts);
    let source = Source::new("Dockerfile", text.as_bytes());
    let plan = compiler::compile(&source, &options, Facts::default(), &Plain).plan.unwrap();
    let image = ImageAnswer { digest: None, config: image.as_bytes().to_vec() };
    let graph = compiler::plan::scanner(&options).unwrap().graph(&plan, 0, &image)?;
    let text = llb::text::print(&graph);
    Ok(text[text.rfind("= exec").unwrap()..].to_owned())
}

#[test]
fn a_bill_of_materials_is_made_of_the_result_and_of_what_is_asked_for() {
    let image = r#"{"os":"linux","architecture":"amd64","config":{"Entrypoint":["/scan"],"Cmd":["all"],"Env":["A=1"],"WorkingDir":"/w"}}"#;
    let plain = scan("FROM scratch\nCOPY x /\n", &[("attest:sbom", "generator=scanner,DEPTH=2")], image).unwrap();
    for word in [
        "args=[\"/scan\", \"all\"]",
        "cwd=\"/w\"",
        "\"A=1\", \"BUILDKIT_SCAN_DESTINATION=/run/out/\", \"BUILDKIT_SCAN_SOURCE=/run/src/core/sbom\", \"BUILDKIT_SCAN_DEPTH=2\"",
        "generating sbom using docker.io/library/scanner:latest",
    ] {
        assert!(plain.contains(word), "{word}\n{plain}");
    }
    assert!(!plain.contains("extras") && !plain.contains("ignore_cache"), "{plain}");

    let stages = "ARG BUILDKIT_SBOM_SCAN_STAGE=a\nFROM scratch AS a\nCOPY x /\nFROM scratch AS b\nCOPY --from=a /x /\n\
                  FROM scratch\nARG BUILDKIT_SBOM_SCAN_CONTEXT=true\nCOPY --from=b /x /y\n";
    let asked = scan(stages, &[("attest:sbom", "generator=scanner"), ("no-cache", "a")], image).unwrap();
    for word in [
        "/run/src/extras/sbom-a\"",
        "/run/src/extras/sbom-context\"",
        "ignore_cache",
        "SOURCE_EXTRAS=/run/src/extras\"",
    ] {
        assert!(asked.contains(word), "{word}\n{asked}");
    }
    assert!(!asked.contains("sbom-b"), "{asked}");
    let error = scan("FROM scratch\nCOPY x /\n", &[("attest:sbom", "generator=scanner")], r#"{"os":"linux"}"#);
    assert_eq!(error.unwrap_err(), "scanner docker.io/library/scanner:latest does not have cmd");
}

/// The same, of images that start a process.
struct Starting;

impl World for Starting {
    fn answer(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>> {
        let config = br#"{"architecture":"amd64","os":"linux","config":{"Cmd":["scan"]}}"#.to_vec();
        let image = Answer::Image(ImageAnswer { digest: None, config });
        let answers = Plain.answer(questions).into_iter().zip(questions);
        answers
            .map(|(answer, of)| if matches!(of, Question::Image { .. }) { Ok(image.clone()) } else { answer })
            .collect()
    }
}

#[test]
fn bills_of_materials_are_outputs_behind_the_results() {
    let text = "FROM a AS s\nARG BUILDKIT_SBOM_SCAN_STAGE=1\nRUN s\nFROM a\nRUN one\nCOPY --from=s /s /\nRUN two\n";
    let source = Source::new("Dockerfile", text.as_bytes());
    let plan =
        |opts: &[(&str, &str)], world: &dyn World| compiler::build(&source, &options(opts), Facts::default(), world);
    let asked = [("attest:sbom", "generator=scanner"), ("platform", "linux/amd64,linux/arm64")];
    let built = plan(&asked, &Starting);
    let asks =
        |question: &Question| matches!(question, Question::Image { reference, .. } if reference.contains("scanner"));
    assert!(built.facts.answers.keys().any(asks), "it is written into a lock file");
    let two = built.plan.unwrap();
    assert_eq!((two.outputs.len(), two.graph.outputs.len(), two.bills().collect::<Vec<_>>()), (2, 4, vec![0, 1]));
    let plain = plan(&asked[1..], &Starting).plan.unwrap();
    assert_eq!((plain.graph.outputs.len(), plain.bills().count()), (2, 0));
    let mut together = compiler::Plan::together(vec![plain, two]);
    assert_eq!(together.bills().collect::<Vec<_>>(), [2, 3]);
    for level in [Level::O0, Level::O2] {
        together.optimize(passes::Options { level, ..passes::Options::default() });
        assert_eq!(llb::verify::verify(&together.graph), []);
        for (number, bill) in together.bills().zip(&together.graph.outputs[4..]) {
            let output = &together.outputs[number];
            assert_eq!((output.bill, output.edge), (bill.edge, together.graph.outputs[number].edge));
            let node = &together.graph.nodes[bill.edge.unwrap().node.0 as usize];
            let llb::Op::Exec(exec) = &node.op else { panic!("{node:?}") };
            let of = |dest: &str| {
                let mount = exec.mounts.iter().find(|mount| mount.dest == dest).unwrap();
                node.inputs[usize::try_from(mount.input).unwrap()]
            };
            assert_eq!(Some(of("/run/src/core/sbom")), output.edge, "{level}");
            let stage = &together.graph.nodes[of("/run/src/extras/sbom-s").node.0 as usize];
            assert!(format!("{:?}", stage.op).contains("\"s\""), "{stage:?}");
        }
    }
    let failed = plan(&asked, &Plain);
    assert!(failed.plan.is_none());
    let told = &failed.diagnostics[0].message;
    assert_eq!(told, "the scanner for bills of materials: scanner docker.io/library/scanner:latest does not have cmd");
}

#[test]
fn the_language_may_be_asked_for() {
    let source = Source::new("x", &b"FROM scratch\n"[..]);
    let compile = |language| compiler::compile(&source, &options(&[("language", language)]), Facts::default(), &Plain);
    assert!(compile("Dockerfile").plan.is_some());
    let refused = compile("m4").diagnostics;
    assert!(refused[0].message.starts_with("unknown language m4: there is Dockerfile"), "{refused:?}");
}

/// The build context has every path; what ends in `.txt` is a file.
struct Sent;

impl World for Sent {
    fn answer(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>> {
        let answer = |question: &Question| match question {
            Question::LocalPath { path } => {
                let directory = !path.ends_with(".txt");
                let found = LocalPath { directory, id: String::new(), context: Some("context".into()) };
                Ok(Answer::LocalPath(Some(found)))
            }
            _ => Err(AskError::default()),
        };
        questions.iter().map(answer).collect()
    }
}

#[test]
fn paths_of_a_program_are_those_of_the_build_context() {
    let graph = |call: &str| {
        let source = Source::new("build.hlb", format!("fs default() {{\n\tlocal {call}\n}}\n").into_bytes());
        let outcome = compiler::compile(&source, &options(&[]), Facts::default(), &Sent);
        llb::text::print(&outcome.plan.unwrap_or_else(|| panic!("{:?}", outcome.diagnostics)).graph)
    };
    let whole = graph("\".\"");
    assert!(whole.contains("local://context") && !whole.contains("followpaths"), "{whole}");
    let part = graph("\"src\" with includePatterns(\"*.c\")");
    for word in ["local://context", "[\\\"src\\\"]", "\"/src\"", "*.c"] {
        assert!(part.contains(word), "{word}\n{part}");
    }
    assert!(graph("\"a/b.txt\"").contains("\"/a/b.txt\""));
}
