//! The optimizer at work: the same trees, configs and failures at every level, with processes in between.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use e2e::{Sandbox, levels, process};

/// Build files that passes find something to do in, each with what they do.
const BUILDS: &[(&str, &str)] = &[
    (
        "directories and copies in a row",
        "FROM base AS build\nWORKDIR /src\nCOPY a.txt b.txt ./\nCOPY dir dir/\nRUN cat a.txt b.txt dir/c.txt > all && ln all linked\n\
         FROM base\nWORKDIR /app\nCOPY --from=build /src/all /src/linked ./\nCOPY --from=build /src/dir /app/dir\nENV A=1\nWORKDIR /app\n",
    ),
    (
        "owners, modes and links of the image on the way",
        "FROM base\nRUN mkdir -p /real && ln -s /real /link && echo 'me:x:7:8::/:' >> /etc/passwd\nWORKDIR /link/a\n\
         COPY --chown=me --chmod=640 a.txt /link/a/\nCOPY --chown=3:4 dir/ /link/a/d/\nUSER me\nWORKDIR own\nCOPY b.txt .\n",
    ),
    (
        "heredocs",
        "FROM base\nWORKDIR /etc/app\nCOPY <<one <<two ./\n1\none\n2\ntwo\nCOPY --chmod=755 <<run /bin/run-it\n#!/bin/sh\necho $(cat /etc/app/*)\nrun\n\
         RUN run-it > /said\n",
    ),
    (
        "linked copies on scratch",
        "FROM base AS one\nRUN echo 1 > /1\nFROM base AS two\nRUN echo 2 > /2\nFROM scratch\nCOPY --link --from=one /1 /x/1\n\
         COPY --link --from=two /2 /x/2\nCOPY a.txt /y/\nCOPY dir /y/dir\n",
    ),
    (
        "collected on the way",
        "FROM base AS made\nRUN mkdir -p /out/d && chmod 700 /out && echo 1 > /out/1 && ln /out/1 /out/d/2 && ln -s 1 /out/3\n\
         FROM scratch AS only\nCOPY --from=made /out /\nFROM scratch AS context\nCOPY . /\nFROM base\n\
         COPY --from=only / /made\nCOPY --from=context dir/deep /deep/\n",
    ),
    (
        "overwriting",
        "FROM base\nCOPY a.txt /f\nCOPY b.txt /f\nCOPY dir /d\nCOPY a.txt /d/c.txt\nRUN rm /d/c.txt\nCOPY dir /d\n",
    ),
];

fn sandbox(dockerfile: &str) -> Sandbox {
    let sandbox = Sandbox::with_base();
    for (name, content) in [("a.txt", "a\n"), ("b.txt", "b\n"), ("dir/c.txt", "c\n"), ("dir/deep/d.txt", "d\n")] {
        sandbox.write(name, content);
    }
    sandbox.write("Dockerfile", dockerfile);
    sandbox
}

/// Builds the same at each level, which must agree; who says none has the first.
#[track_caller]
fn check_levels(sandbox: &Sandbox, what: &str) {
    let layers = levels::check(sandbox, what, &["", "-O1", "-O2", "-O2 --preserve-layers"]);
    assert_eq!(layers[0], layers[1], "{what}: -O1 is what nobody asks for");
}

#[test]
fn levels_agree_on_trees_and_configs() {
    for (name, dockerfile) in BUILDS {
        process::say(name);
        check_levels(&sandbox(dockerfile), ".");
    }
}

/// Examples that need no more than the base that tests have, and how they are built.
const EXAMPLES: &[(&str, &str)] = &[
    ("hello", "--build-context busybox=docker-image://base -f hello/Dockerfile hello"),
    ("words", "--build-arg base=base -f words/build.toml words"),
    ("editions", "--build-arg base=base -f editions/build.toml words-pro"),
    ("static", "--build-context busybox:stable=docker-image://base -f static/build.toml static"),
    ("hlb", "--offline --target site --build-arg base=base -f hlb/build.hlb"),
    ("bake", "--build-arg BASE=base --target loud -f bake/app/Dockerfile bake/app"),
];

#[test]
fn levels_agree_on_the_examples() {
    for (name, what) in EXAMPLES {
        let sandbox = Sandbox::with_base();
        sandbox.succeed(sandbox.shell("cp -r \"$FROM\" .").env("FROM", e2e::workspace().join("examples").join(name)));
        check_levels(&sandbox, what);
    }
}

#[test]
fn what_fails_still_fails_and_shows_its_line() {
    let sandbox = sandbox("FROM base\nWORKDIR /a\nCOPY missing.txt /a/\nRUN true\n");
    for level in ["-O0", "-O1", "-O2"] {
        let said = sandbox.fail(1, sandbox.llbc().args(["build", level, "."]));
        assert!(said.contains("missing.txt") && said.contains(">>> COPY missing.txt /a/"), "{level}: {said}");
    }
}

#[test]
fn the_optimizer_says_what_it_does_and_what_stands_in_its_way() {
    let sandbox =
        sandbox("FROM base AS b\nRUN true\nFROM base\nWORKDIR /a\nCOPY a.txt .\nCOPY --from=b /etc/group .\n");
    let said = sandbox.succeed(sandbox.llbc().args(["opt", "--explain", "Dockerfile"])).out();
    for part in ["one file operation now", "WORKDIR /a", "left alone: they copy from different trees", "vertices"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let said = sandbox.succeed(sandbox.llbc().args(["opt", "-O0", "--explain", "Dockerfile"])).out();
    assert!(said.starts_with("nothing is changed at -O0; -O1 and -O2 run passes\n"), "{said}");
    sandbox.succeed(&mut sandbox.shell("llbc dump Dockerfile > given.llb && llbc opt --text given.llb > better.llb"));
    assert!(sandbox.read("better.llb").contains("mkdir(\"/a\", base=0, mode=0o755, make_parents) copy("));
    let passes = sandbox.succeed(sandbox.llbc().args(["dump", "--passes", "Dockerfile"])).out();
    assert!(passes.contains("; as given\n") && passes.contains("\n; after fuse\n"), "{passes}");
    sandbox.succeed(&mut sandbox.shell("llbc Dockerfile | llbc opt -O2 - | executor --progress=quiet -o tree"));
    assert!(sandbox.has("tree/a/a.txt"));
}

#[test]
fn definitions_are_known_by_what_is_in_them() {
    let sandbox = sandbox("FROM base\nWORKDIR /a\nCOPY a.txt .\n");
    sandbox.write("Changed", "FROM base\nWORKDIR /a\nCOPY b.txt .\n");
    sandbox.succeed(
        &mut sandbox.shell("llbc Dockerfile -o a.llb && llbc Changed -o b.pb && llbc opt -O0 --text b.pb > b.llb"),
    );
    for (first, second) in [("a.llb", "b.pb"), ("a.llb", "b.llb"), ("Dockerfile", "b.llb")] {
        let said = sandbox.succeed(sandbox.llbc().args(["diff", first, second])).out();
        assert!(said.contains("/a.txt") && said.contains("/b.txt"), "{first} {second}: {said}");
    }
    sandbox.write("Labelled", "FROM base\nWORKDIR /a\nCOPY --chmod=640 a.txt .\nLABEL a=1\n");
    let said = sandbox.succeed(sandbox.llbc().args(["diff", "Dockerfile", "Labelled"])).out();
    for part in [
        "kind.copy.mode: unset → 0o640",
        "changed in the image, without anything run again:",
        "config.Labels: nothing → {\"a\":\"1\"}",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let dumps = ["b.pb", "b.llb"].map(|file| sandbox.succeed(sandbox.llbc().args(["dump", file])).out());
    assert_eq!(dumps[0], dumps[1]);
    sandbox.write("wrong.llb", "%0 = nothing\n");
    assert!(sandbox.fail(1, sandbox.llbc().args(["dump", "wrong.llb"])).contains("wrong.llb: "));
}
