//! What functions of HLB can do that HLB's own compiler cannot: compiled beside a program that says the same in full.

use ast::Source;
use compiler::{Answer, AskError, Facts, ImageAnswer, Options, Outcome, Question, World};

/// Images have an empty config, and there is nothing else.
struct Images;

impl World for Images {
    fn answer(&self, questions: &[Question]) -> Vec<Result<Answer, AskError>> {
        let answer = |question: &Question| match question {
            Question::Image { .. } => Ok(Answer::Image(ImageAnswer { digest: None, config: b"{}".to_vec() })),
            _ => Err(AskError { message: "not known".to_owned(), help: None, unreachable: false }),
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
fn targets_have_defaults_too() {
    let text = "fs default(string tag = \"stable\", bool fresh = false) { image tag; mkfile \"/f\" 0 \"${fresh}\"; }\n";
    let full = "fs default() { image \"TAG\"; mkfile \"/f\" 0 \"FRESH\"; }\n";
    let full = |tag: &str, fresh: &str| full.replace("TAG", tag).replace("FRESH", fresh);
    assert_eq!(definition(text, &[]), definition(&full("stable", "false"), &[]));
    let args = [("tag", "edge"), ("fresh", "true")];
    assert_eq!(definition(text, &args), definition(&full("edge", "true"), &[]));
}
