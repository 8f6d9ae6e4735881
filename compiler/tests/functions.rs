//! What functions of HLB can do that HLB's own compiler cannot: compiled beside a program that says the same in full.

use ast::Source;
use compiler::{Answer, AskError, Facts, ImageAnswer, LocalPath, ModuleSource, Options, Outcome, Question, World};
use llb::Op;

/// What is in the file `app/Dockerfile`.
const DOCKERFILE: &str = "ARG V=1\nFROM base AS build\nARG V\nCOPY src /src\nRUN make $V\nFROM scratch\nCOPY --from=build /out /\nCMD [\"/app\"]\n";

/// The config of every image: it has a layer, or it would be nothing.
const IMAGE: &str = r#"{"rootfs":{"type":"layers","diff_ids":["sha256:0000000000000000000000000000000000000000000000000000000000000000"]}}"#;

/// Images are alike, the client has a directory with a Dockerfile, and there is nothing else.
struct Images;

impl World for Images {
    fn answer(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>> {
        let answer = |question: &Question| match question {
            Question::Image { .. } => {
                Ok(Answer::Image(ImageAnswer { digest: None, config: IMAGE.as_bytes().to_vec() }))
            }
            Question::LocalPath { .. } => {
                Ok(Answer::LocalPath(Some(LocalPath { directory: true, id: "id".to_owned(), context: None })))
            }
            Question::Module { source: ModuleSource::File(path) } => {
                Ok(Answer::File((path == "app/Dockerfile").then(|| DOCKERFILE.as_bytes().to_vec())))
            }
            Question::Module { source: ModuleSource::Built(file) } => {
                Ok(Answer::File((file.path == "Dockerfile").then(|| DOCKERFILE.as_bytes().to_vec())))
            }
            _ => Err(AskError { message: "not known".to_owned(), ..AskError::default() }),
        };
        questions.iter().map(answer).collect()
    }
}

fn compile(text: &str, args: &[(&str, &str)]) -> Outcome {
    let args = args.iter().map(|(key, value)| (format!("build-arg:{key}"), (*value).to_owned()));
    let options = Options { opts: args.collect(), ..Options::default() };
    compiler::compile(&Source::new("build.hlb", text.as_bytes()), &options, Facts::default(), &Images)
}

/// The definition, without the places of the text.
fn definition(text: &str, args: &[(&str, &str)]) -> Vec<u8> {
    let outcome = compile(text, args);
    assert_eq!(outcome.diagnostics, [], "{text}");
    let mut graph = outcome.plan.expect("there is a plan").output(0).graph;
    graph.nodes.iter_mut().for_each(|node| node.locations.clear());
    graph.sources.clear();
    llb::encode_to_bytes(&graph).expect("a plan can be encoded")
}

fn same(short: &str, long: &str) {
    assert_eq!(definition(short, &[]), definition(long, &[]), "{short}");
}

#[test]
fn arguments_that_are_left_out_have_their_defaults() {
    let make = "fs make(string name, string flags = \"-j\\t4\", int mode = 0o755) { mkdir name mode; mkfile \"/f\" 0o644 flags; }\n";
    let with = |call: &str| format!("{make}fs default() {{ {call}; }}\n");
    same(&with("make \"/a\""), &with("make \"/a\" \"-j\\t4\" 0o755"));
    same(&with("make \"/a\" \"x\""), &with("make \"/a\" \"x\" 493"));
    same(&with("copy make(\"/a\") \"/\" \"/\""), &with("copy make(\"/a\", \"-j\\t4\", 493) \"/\" \"/\""));
    // What is bound has the parameters of its function.
    let bound = |call: &str| {
        let built = "fs build(string tag = \"1\") {\n\timage \"a:${tag}\"\n\trun \"x\" with option { mount scratch \"/o\" as out; }\n}\n";
        format!("{built}fs default() {{ {call}; }}\n")
    };
    same(&bound("out"), &bound("out \"1\""));
}

#[test]
fn arguments_with_names_go_where_their_parameters_are() {
    let make = "fs make(string name, string flags = \"-j4\", int mode = 0o755) { mkdir name mode; mkfile \"/f\" 0o644 flags; }\n";
    let with = |call: &str| format!("{make}fs default() {{ {call}; }}\n");
    same(&with("make \"/a\" mode=0o700"), &with("make \"/a\" \"-j4\" 0o700"));
    same(&with("make flags=\"x\" name=\"/a\""), &with("make \"/a\" \"x\""));
    same(
        &with("copy make(mode=0, name=\"/a\") dst=\"/d\" src=\"/s\""),
        &with("copy make(\"/a\", \"-j4\", 0) \"/s\" \"/d\""),
    );
}

#[test]
fn one_block_of_a_choice_is_taken() {
    let text = "fs default(string v = \"1\", bool fresh = false) {\n\timage \"a\"\n\tif v == \"1\" { mkdir \"/one\" 0; } else if v != \"2\" { mkdir \"/other\" 0; }\n\trun string { if fresh { \"x\"; } else { \"y\"; }; }\n}\n";
    let full = |mkdir: &str, run: &str| format!("fs default() {{ image \"a\"; {mkdir} run \"{run}\"; }}\n");
    for (args, mkdir, run) in [
        (&[][..], "mkdir \"/one\" 0;", "y"),
        (&[("v", "2"), ("fresh", "true")], "", "x"),
        (&[("v", "3")], "mkdir \"/other\" 0;", "y"),
    ] {
        assert_eq!(definition(text, args), definition(&full(mkdir, run), &[]), "{args:?}");
    }
    same(
        "int n() { 2; }\nfs default() { if n == 2 { scratch; mkdir \"/a\" 0; }; }\n",
        "fs default() { scratch; mkdir \"/a\" 0; }\n",
    );
}

#[test]
fn what_is_bound_in_a_block_that_is_not_taken_is_not_there() {
    let program = |fresh: bool| {
        let run = "run \"x\" with option { mount scratch \"/o\" as out; }";
        format!("fs build() {{ image \"a\"; if {fresh} {{ {run}; }}; }}\nfs default() {{ copy out \"/\" \"/\"; }}\n")
    };
    assert_eq!(compile(&program(true), &[]).diagnostics, []);
    let outcome = compile(&program(false), &[]);
    let messages: Vec<_> = outcome.diagnostics.iter().map(|found| found.message.as_str()).collect();
    assert_eq!(messages, ["what is bound here is in a block that is not taken"]);
}

/// What the processes of a program's result run, with the argument V, and the sources of it.
fn processes(text: &str) -> (Vec<String>, Vec<String>) {
    let outcome = compile(text, &[]);
    assert_eq!(outcome.diagnostics, [], "{text}");
    let bytes = llb::encode_to_bytes(&outcome.plan.expect("there is a plan").output(0).graph);
    let graph = llb::decode(&bytes.expect("it can be encoded")).expect("it can be decoded").graph;
    let (mut execs, mut sources) = (Vec::new(), Vec::new());
    for node in &graph.nodes {
        match &node.op {
            Op::Exec(exec) => {
                let args = exec.meta.env.iter().filter(|entry| entry.starts_with("V=")).chain(exec.meta.args.last());
                execs.push(args.cloned().collect::<Vec<_>>().join(" "));
            }
            Op::Source(source) => sources.push(source.identifier.clone()),
            _ => {}
        }
    }
    (execs, sources)
}

#[test]
fn a_dockerfile_is_a_source() {
    let context = "fs context() { local \"app\"; }\n";
    let (execs, sources) = processes(&format!("{context}fs default() {{ dockerfile context; run \"test\"; }}\n"));
    assert_eq!(execs, ["V=1 make $V", "test"]);
    assert_eq!(sources, ["docker-image://docker.io/library/base:latest", "local://app"]);

    let options = "arg \"V\" \"2\"; target \"build\"; input \"base\" fs { image \"mine\"; };";
    let (execs, sources) =
        processes(&format!("{context}fs default() {{ dockerfile context with option {{ {options} }}; }}\n"));
    assert_eq!(execs, ["V=2 make $V"]);
    assert_eq!(sources, ["docker-image://docker.io/library/mine:latest", "local://app"]);
}

#[test]
fn the_dockerfile_of_any_filesystem_is_a_source() {
    let (execs, sources) = processes("fs default() { dockerfile fs { image \"holds-it\"; }; }\n");
    assert_eq!(execs, ["V=1 make $V"]);
    assert_eq!(
        sources,
        ["docker-image://docker.io/library/base:latest", "docker-image://docker.io/library/holds-it:latest"]
    );
}

#[test]
fn what_the_image_of_a_dockerfile_says_is_kept() {
    let outcome = compile("fs default() { dockerfile fs { local \"app\"; }; }\n", &[]);
    let output = &outcome.plan.expect("there is a plan").outputs[0];
    assert_eq!(output.config().config.cmd, ["/app"]);
    assert_eq!(output.needs.directories.keys().collect::<Vec<_>>(), ["app"]);
}

#[test]
fn a_dockerfile_that_is_not_there_or_not_to_be_read() {
    let wrong = |call: &str| {
        let outcome = compile(&format!("fs default() {{ dockerfile {call}; }}\n"), &[]);
        outcome.diagnostics.into_iter().map(|found| found.message).collect::<Vec<_>>()
    };
    assert_eq!(wrong("fs { local \"other\"; }"), ["open other/Dockerfile: no such file or directory"]);
    assert_eq!(wrong("scratch"), ["the empty filesystem holds no Dockerfile"]);
    assert_eq!(
        wrong("fs { image \"a\"; } with option { file \"none/Dockerfile\"; }"),
        ["open none/Dockerfile: no such file or directory"]
    );
    assert_eq!(
        wrong("fs { local \"app\"; } with option { target \"nope\"; }"),
        ["target stage \"nope\" could not be found"]
    );
}

#[test]
fn programs_may_have_functions_of_names_that_only_we_have() {
    same(
        "fs link() { image \"a\"; }\nfs dockerfile(string file) { link; mkdir file 0; }\nfs default() { dockerfile \"/x\"; }\n",
        "fs default() { image \"a\"; mkdir \"/x\" 0; }\n",
    );
}

#[test]
fn a_linked_copy_is_laid_over_what_was_there() {
    let copy =
        |with: &str| format!("fs default() {{ image \"a\"; copy fs {{ image \"b\"; }} \"/x\" \"/y\"{with}; }}\n");
    same(
        &copy(" with option { link; }"),
        "fs copied() { scratch; copy fs { image \"b\"; } \"/x\" \"/y\"; }\nfs default() { image \"a\"; merge copied; }\n",
    );
    // On nothing there is nothing to lay it over.
    same(
        "fs default() { scratch; copy fs { image \"b\"; } \"/x\" \"/y\" with option { link; }; }\n",
        "fs default() { scratch; copy fs { image \"b\"; } \"/x\" \"/y\"; }\n",
    );
}

#[test]
fn a_secret_of_the_environment_is_a_variable_of_the_process() {
    let outcome = compile("fs default() { image \"a\"; run \"x\" with option { secretEnv \"TOKEN\" \"T\"; }; }\n", &[]);
    let plan = outcome.plan.expect("there is a plan");
    let secret = plan.graph.nodes.iter().find_map(|node| match &node.op {
        Op::Exec(exec) => exec.secret_env.first().cloned(),
        _ => None,
    });
    let secret = secret.expect("there is a secret");
    assert_eq!((secret.name.as_str(), secret.optional), ("T", false));
    assert_eq!(plan.outputs[0].needs.variables.get(&secret.id).map(String::as_str), Some("TOKEN"));
}

#[test]
fn a_program_is_planned_for_every_platform() {
    let plan = |text: &str, platforms: &str| {
        let opts = [("platform".to_owned(), platforms.to_owned())].into();
        let options = Options { opts, ..Options::default() };
        compiler::compile(&Source::new("build.hlb", text.as_bytes()), &options, Facts::default(), &Images)
    };
    let both = "linux/amd64,linux/arm64,linux/amd64";
    let text = "fs default() { image \"a\"; dockerPush \"b\"; }\n";
    let outcome = plan(text, both);
    assert_eq!(outcome.diagnostics, []);
    let found = outcome.plan.expect("there is a plan");
    assert_eq!((found.variants, found.outputs.len(), found.exports.len()), (2, 4, 1));
    let pushed = found.output(found.exports[0].output);
    let platforms: Vec<String> = pushed.outputs.iter().map(|output| output.platform.to_string()).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    let configured: Vec<String> = pushed.outputs.iter().map(|output| output.config().platform.to_string()).collect();
    assert_eq!(configured, platforms);
    assert_eq!(plan(text, "linux/arm64").plan.expect("there is a plan").variants, 1);
}

#[test]
fn targets_have_defaults_too() {
    let text = "fs default(string tag = \"stable\", bool fresh = false) { image tag; mkfile \"/f\" 0 \"${fresh}\"; }\n";
    let full = "fs default() { image \"TAG\"; mkfile \"/f\" 0 \"FRESH\"; }\n";
    let full = |tag: &str, fresh: &str| full.replace("TAG", tag).replace("FRESH", fresh);
    assert_eq!(definition(text, &[]), definition(&full("stable", "false"), &[]));
    let args = [("tag", "edge"), ("fresh", "true")];
    assert_eq!(definition(text, &args), definition(&full("edge", "true"), &[]));
}

#[test]
fn a_variadic_parameter_may_stand_behind_defaults() {
    let many = "fs many(string dir = \"/a\", int mode = 0o755, variadic string words) { mkdir dir mode; run words; }\n";
    let with = |call: &str| format!("{many}fs default() {{ image \"a\"; {call}; }}\n");
    same(&with("many \"/b\" 1 \"x\" \"y\""), "fs default() { image \"a\"; mkdir \"/b\" 1; run \"x\" \"y\"; }\n");
    let one = with("many \"/b\"").replace("run words; ", "");
    same(&one, "fs default() { image \"a\"; mkdir \"/b\" 0o755; }\n");
    same(&one.replace("many \"/b\"", "many"), "fs default() { image \"a\"; mkdir \"/a\" 0o755; }\n");
}

#[test]
fn hosts_of_repositories_may_be_known() {
    let text = "fs default() {\n\tgit \"git@example.com:a/b.git\" \"main\" with option { knownHosts \"example.com ssh-ed25519 AAAA\"; }\n}\n";
    let outcome = compile(text, &[]);
    assert_eq!(outcome.diagnostics, []);
    let graph = outcome.plan.unwrap().graph;
    let known = graph.nodes.iter().find_map(|node| match &node.op {
        Op::Source(source) => source.attrs.get("git.knownsshhosts").cloned(),
        _ => None,
    });
    assert_eq!(known.as_deref(), Some("example.com ssh-ed25519 AAAA"));
}

#[test]
fn a_cache_that_is_bound_is_copied_by_a_process_of_its_own() {
    let bound = "fs build() {\n\timage \"a\"\n\trun \"make\" with option { mount scratch \"/c\" with option { cache \"id\" \"locked\"; } as kept; }\n}\n";
    let copied = "fs default() {\n\timage \"a\"\n\trun \"make\" with option { mount scratch \"/c\" with option { cache \"id\" \"locked\"; }; }\n\trun \"cp\" \"-a\" \"/c/.\" \"/.llbc-kept\" with option {\n\t\tmount scratch \"/c\" with option { cache \"id\" \"locked\"; }\n\t\tmount scratch \"/.llbc-kept\" as out\n\t}\n}\n";
    same(
        &format!("{bound}fs default() {{ kept; }}\n"),
        &format!("{}fs default() {{ out; }}\n", copied.replace("default", "build")),
    );
}

#[test]
fn no_file_of_a_repository_leads_out_of_it() {
    let asked = |file: &str| {
        let text =
            format!("import lib from \"git+https://example.com/a.git:{file}\"\n\nfs default() {{ lib.page; }}\n");
        let outcome = compile(&text, &[]);
        let path = outcome.facts.answers.into_keys().find_map(|question| match question {
            Question::Module { source: ModuleSource::Imported(file) } => Some(file.path),
            _ => None,
        });
        path.ok_or_else(|| outcome.diagnostics[0].message.clone())
    };
    assert_eq!(asked("../../../../.profile"), Ok(".profile".to_owned()));
    assert_eq!(asked("go/../../build.hlb"), Ok("build.hlb".to_owned()));
    assert_eq!(asked("go/build.hlb"), Ok("go/build.hlb".to_owned()));
    assert!(asked("..").unwrap_err().contains("is not the address of a module"));
}
