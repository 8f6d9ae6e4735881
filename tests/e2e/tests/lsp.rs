//! `llbc lsp` over its standard streams: what a script sees, and what an editor sees.
#![allow(clippy::unwrap_used)] // An integration test is no `#[test]` to clippy where it is a plain function.

use e2e::lsp::Client;
use e2e::{Random, Sandbox, process};
use serde_json::{Value, json};

const URI: &str = "file:///nowhere/Dockerfile";

fn client(sandbox: &Sandbox) -> Client {
    Client::start(sandbox.llbc().args(["lsp", "--stdio"]), json!({})).unwrap()
}

fn at(line: usize, character: usize) -> Value {
    json!({"textDocument": {"uri": URI}, "position": {"line": line, "character": character}})
}

/// `code line:column` of each finding, from 0.
fn shown(findings: &[Value]) -> Vec<String> {
    let show = |found: &Value| {
        let start = &found["range"]["start"];
        format!("{} {}:{}", found["code"].as_str().unwrap(), start["line"], start["character"])
    };
    findings.iter().map(show).collect()
}

#[test]
fn findings_appear_move_and_vanish() {
    let sandbox = Sandbox::new();
    let mut client = client(&sandbox);
    client.open(URI, "FROM scratch\nMAINTAINER x\n").unwrap();
    assert_eq!(shown(&client.findings(URI, 1).unwrap()), ["MaintainerDeprecated 1:0"]);
    client.edit(URI, 2, (0, 0), (0, 0), "# note\n\n").unwrap();
    assert_eq!(shown(&client.findings(URI, 2).unwrap()), ["MaintainerDeprecated 3:0"]);
    client.edit(URI, 3, (3, 0), (4, 0), "COPY a\n").unwrap();
    assert_eq!(shown(&client.findings(URI, 3).unwrap()), ["instruction 3:0"]);
    client.edit(URI, 4, (3, 6), (3, 6), " b").unwrap();
    assert_eq!(shown(&client.findings(URI, 4).unwrap()), [""; 0]);
    assert_eq!(client.end().unwrap(), Some(0));
}

/// The same findings as `llbc check`: codes, places, words.
#[test]
fn findings_are_those_of_check() {
    let sandbox = Sandbox::new();
    let text = "ARG V=1\nFROM scratch AS Base\nENV A b\nCMD x\nEXPOSE 80/TCP\nFROM base\nWORKDIR $X\nMAINTAINER y\n";
    sandbox.write("Dockerfile", text);
    let run = process::run(sandbox.llbc().args(["check", "--format", "json", "--offline", "Dockerfile"])).unwrap();
    let expected: Vec<String> = run
        .out()
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let start = &line["span"]["start"];
            let from_0 = |value: &Value| value.as_u64().unwrap() - 1;
            let place = format!("{}:{}", from_0(&start["line"]), from_0(&start["column"]));
            format!("{} {place} {}", line["code"].as_str().unwrap(), line["message"].as_str().unwrap())
        })
        .collect();
    assert!(expected.len() >= 5, "{expected:?}");
    let mut client = client(&sandbox);
    client.open(URI, text).unwrap();
    let found = client.findings(URI, 1).unwrap();
    let words = found.iter().map(|found| found["message"].as_str().unwrap().lines().next().unwrap().to_owned());
    let found: Vec<String> = shown(&found).into_iter().zip(words).map(|(at, words)| format!("{at} {words}")).collect();
    assert_eq!(found, expected);
}

/// What a spec includes is read beside it: its names mean something, and what is wrong with it is said where it is named.
#[test]
fn specs_that_include_others() {
    let sandbox = Sandbox::new();
    sandbox.write("build/common.toml", "include = [\"deep.toml\"]\n[stage.tools]\nfrom = \"scratch\"\n");
    sandbox.write("build/deep.toml", "[var]\nedition = { default = \"free\" }\n");
    let uri = format!("file://{}", sandbox.write("build.toml", "").display());
    let text = |path: &str| {
        format!(
            "spec = 1\ninclude = [\"{path}\"]\n[image.a]\nfrom = \"stage.tools\"\nlabels = {{ e = \"${{var.edition}}\" }}\n\
             [[image.a.step]]\ncopy = \"stage.tools:/x\"\n"
        )
    };
    let mut client = client(&sandbox);
    client.open_as("toml", &uri, &text("build/common.toml")).unwrap();
    assert_eq!(shown(&client.findings(&uri, 1).unwrap()), [""; 0]);
    let document = json!({"uri": uri});
    let links = client.request("textDocument/documentLink", json!({"textDocument": document})).unwrap();
    assert!(links[0]["target"].as_str().unwrap().ends_with("/build/common.toml"), "{links}");
    let complete = |client: &mut Client, line: usize, character: usize| {
        let at = json!({"textDocument": document, "position": {"line": line, "character": character}});
        client.request("textDocument/completion", at).unwrap().to_string()
    };
    assert!(complete(&mut client, 3, 8).contains("stage.tools"));
    assert!(complete(&mut client, 4, 22).contains("var.edition"));

    client.edit(&uri, 2, (0, 0), (7, 0), &text("build/commn.toml")).unwrap();
    let missing = client.findings(&uri, 2).unwrap();
    assert_eq!(shown(&missing)[0], "instruction 1:11");
    assert!(missing[0]["message"].as_str().unwrap().starts_with("there is no file build/commn.toml"), "{missing:?}");

    sandbox.write("build/deep.toml", "[var]\nedition = { defalt = \"free\" }\n");
    client.edit(&uri, 3, (0, 0), (7, 0), &text("build/deep.toml")).unwrap();
    client.findings(&uri, 3).unwrap();
    // What is around a text is read again when something is saved.
    client.notify("textDocument/didSave", json!({"textDocument": document})).unwrap();
    let wrong = client.findings(&uri, 3).unwrap();
    let message = wrong[0]["message"].as_str().unwrap();
    assert!(message.starts_with("in build/deep.toml: unknown key `defalt` in var"), "{wrong:?}");
    assert_eq!(shown(&wrong)[0], "instruction 1:11");
    assert_eq!(client.end().unwrap(), Some(0));
}

#[test]
fn a_renaming_can_be_applied() {
    let sandbox = Sandbox::new();
    let mut client = client(&sandbox);
    client.open(URI, "FROM a AS b\nRUN --mount=from=b,target=/x true\nCOPY --from=b x y\n").unwrap();
    let mut params = at(0, 10);
    params["newName"] = json!("base");
    let edit = client.request("textDocument/rename", params).unwrap();
    let mut edits = edit["documentChanges"][0]["edits"].as_array().unwrap().clone();
    edits.reverse();
    for (number, edit) in edits.iter().enumerate() {
        let place = |end: &str| {
            let place = &edit["range"][end];
            (place["line"].as_u64().unwrap() as usize, place["character"].as_u64().unwrap() as usize)
        };
        let text = edit["newText"].as_str().unwrap();
        client.edit(URI, 2 + number as i64, place("start"), place("end"), text).unwrap();
    }
    let text = client.request("llbc/text", at(0, 0)).unwrap();
    assert_eq!(text, "FROM a AS base\nRUN --mount=from=base,target=/x true\nCOPY --from=base x y\n");
}

/// A language with a text to start from and what is put into it.
struct Language {
    id: &'static str,
    uri: &'static str,
    start: &'static str,
    scraps: &'static [&'static str],
}

const DOCKERFILE: Language = Language {
    id: "dockerfile",
    uri: URI,
    start: "ARG A=1\nFROM alpine AS b\nENV B=$A\nRUN <<EOF\necho $B\nEOF\n",
    scraps: SCRAPS,
};

const HLB: Language = Language {
    id: "hlb",
    uri: "file:///nowhere/main.hlb",
    start: "# x\nfs default() {\n\tbase \"3\"\n\trun \"make\" with option {\n\t\tdir \"/src\"\n\t}\n}\n\nfs base(string v) {\n\timage \"alpine:${v}\"\n}\n",
    scraps: &[
        "fs a() {\n",
        "}\n",
        "\timage \"alpine\"\n",
        "\trun \"x ${v}\" with option {\n",
        "\"",
        "`",
        "${",
        "}",
        "(",
        ")",
        ",",
        "<<-EOF\n",
        "EOF\n",
        "# c\n",
        " as b\n",
        "import l from \"./l.hlb\"\n",
        "string v",
        "variadic ",
        "option::run ",
        "ä€𐍈",
        "\r\n",
        "\r",
        "\n",
        "\t",
        "\\",
    ],
};

const SPEC: Language = Language {
    id: "toml",
    uri: "file:///nowhere/build.toml",
    start: "spec = 1\n[var]\nv = { default = \"1\" }\n[stage.b]\nfrom = \"alpine:${var.v}\"\n[image.a]\nfrom = \"stage.b\"\nstep = [{ run = \"make\" }]\n",
    scraps: &[
        "[image.b]\n",
        "[[stage.b.step]]\n",
        "from = \"stage.b\"\n",
        "run = 'x && y'\n",
        "\"",
        "'",
        "\"\"\"",
        "${var.",
        "}",
        "{",
        "[",
        "]",
        "=",
        ",",
        ".",
        "# c\n",
        "preset = \"go\"\n",
        "when = \"var.v\"\n",
        "cache = [",
        "file = [{ from = \"./a\", ",
        "ä€𐍈",
        "\r\n",
        "\r",
        "\n",
        " ",
        "\\",
    ],
};

const SCRAPS: &[&str] = &[
    "FROM a AS b\n",
    "RUN x && \\\n  y\n",
    "RUN <<EOF\n",
    "EOF\n",
    "COPY --from=b ",
    "$A",
    "${A:-",
    "}",
    "\"",
    "'",
    "\\\n",
    "# check=skip=all\n",
    "ENV A=1 B=$A\n",
    "ARG A\n",
    "ä€𐍈",
    "\r\n",
    "\r",
    "\n",
    " ",
    "[\"a\", ",
    "--mount=type=cache,",
    "<<-'x'",
    "ONBUILD ",
    "# escape=`\n",
];

const REQUESTS: &[&str] = &[
    "hover",
    "completion",
    "signatureHelp",
    "definition",
    "declaration",
    "references",
    "documentHighlight",
    "prepareRename",
    "rename",
    "documentSymbol",
    "foldingRange",
    "selectionRange",
    "semanticTokens/full",
    "semanticTokens/full/delta",
    "semanticTokens/range",
    "formatting",
    "rangeFormatting",
    "onTypeFormatting",
    "codeAction",
    "codeLens",
    "inlayHint",
    "documentLink",
    "diagnostic",
];

/// The text of a client, as lines and UTF-16 columns.
struct Text(String);

impl Text {
    /// Line and column of a byte.
    fn position(&self, at: usize) -> (usize, usize) {
        let before = &self.0[..at];
        let bytes = before.as_bytes();
        let ends =
            |at: usize| bytes[at] == b'\n' || (bytes[at] == b'\r' && self.0.as_bytes().get(at + 1) != Some(&b'\n'));
        let lines: Vec<usize> = (0..bytes.len()).filter(|at| ends(*at)).collect();
        let start = lines.last().map_or(0, |end| end + 1);
        (lines.len(), before[start..].encode_utf16().count())
    }

    /// A place where an edit may be: between characters, and not between `\r` and `\n`.
    fn place(&self, random: &mut Random, near: usize, reach: usize) -> usize {
        let mut at = (near + random.below(reach)).min(self.0.len());
        let splits =
            |at: usize| at > 0 && self.0.as_bytes()[at - 1] == b'\r' && self.0.as_bytes().get(at) == Some(&b'\n');
        while !self.0.is_char_boundary(at) || splits(at) {
            at -= 1;
        }
        at
    }
}

fn ask(client: &mut Client, uri: &str, random: &mut Random, text: &Text) {
    let place = |at: usize| {
        let (line, character) = text.position(at);
        json!({"line": line, "character": character})
    };
    let start = text.place(random, 0, text.0.len() + 1);
    let end = text.place(random, start, 80).max(start);
    let method = format!("textDocument/{}", random.choose(REQUESTS));
    let params = json!({
        "textDocument": {"uri": uri},
        "position": place(start),
        "positions": [place(start), place(end)],
        "range": {"start": place(start), "end": place(end)},
        "newName": "c",
        "ch": "\n",
        "options": {"tabSize": 4, "insertSpaces": true},
        "previousResultId": "0",
        "context": {"includeDeclaration": true, "diagnostics": []},
    });
    match client.request(&method, params) {
        Ok(_) => {}
        // There may be nothing to rename, or the name may be taken.
        Err(error) if method.ends_with("rename") && !error.0.contains("defect") => {}
        Err(error) => panic!("{error}\nin {:?}", text.0),
    }
}

#[test]
fn random_edits_of_a_dockerfile() {
    random_edits_and_requests(&DOCKERFILE);
}

#[test]
fn random_edits_of_a_program() {
    random_edits_and_requests(&HLB);
}

#[test]
fn random_edits_of_a_spec() {
    random_edits_and_requests(&SPEC);
}

/// Ten thousand edits with requests between them leave the server with the text of the client, alive, and small.
fn random_edits_and_requests(language: &Language) {
    let uri = language.uri;
    let whole = json!({"textDocument": {"uri": uri}});
    let sandbox = Sandbox::new();
    let mut client = client(&sandbox);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut text = Text(language.start.to_owned());
    client.open_as(language.id, uri, &text.0).unwrap();
    let mut peak = 0;
    for version in 2..10_002 {
        let start = text.place(&mut random, 0, text.0.len() + 1);
        // What is taken away is more than what is put in, on the whole, once the text is long.
        let reach = if text.0.len() > 500 { 60 } else { 8 };
        let end = text.place(&mut random, start, reach).max(start);
        let scrap = random.choose(language.scraps);
        client.edit(uri, version, text.position(start), text.position(end), scrap).unwrap();
        text.0.replace_range(start..end, scrap);
        if random.below(4) == 0 {
            ask(&mut client, uri, &mut random, &text);
        }
        if version % 500 == 0 {
            assert_eq!(client.request("llbc/text", whole.clone()).unwrap(), text.0, "after {version} edits");
            client.forget_findings();
        }
        if version == 1000 {
            peak = client.peak();
        }
    }
    assert_eq!(client.request("llbc/text", whole).unwrap(), text.0);
    let growth = client.peak().saturating_sub(peak);
    assert!(peak > 0 && growth < 16 << 10, "{growth} KiB more than the {peak} KiB after a tenth of the edits");
    assert_eq!(client.end().unwrap(), Some(0));
}

/// What a build took is shown above its steps, by the digests of their vertices: those of other texts are others.
#[test]
fn lenses_tell_how_the_last_build_went() {
    let sandbox = Sandbox::new();
    let text = "FROM scratch\nCOPY a /a\nCOPY a /b\n";
    let file = sandbox.write("Dockerfile", text);
    sandbox.write("a", &"x".repeat(5000));
    sandbox.succeed(sandbox.llbc().args(["build", "--quiet", "-o", "type=cacheonly", "."]));
    let uri = format!("file://{}", file.display());
    let mut client = Client::start(sandbox.llbc().arg("lsp"), json!({"codeLens": true})).unwrap();
    let mut titles = |version: i64, change: Option<&str>| -> Vec<String> {
        match change {
            None => client.open(&uri, text).unwrap(),
            Some(change) => client.edit(&uri, version, (2, 8), (2, 9), change).unwrap(),
        }
        // The ignore file is known once there are findings.
        client.findings(&uri, version).unwrap();
        let lenses = client.request("textDocument/codeLens", json!({"textDocument": {"uri": uri}})).unwrap();
        let told = lenses.as_array().unwrap().iter().filter(|lens| lens["command"]["command"] == "");
        told.map(|lens| format!("{} {}", lens["range"]["start"]["line"], lens["command"]["title"])).collect()
    };
    let before = titles(1, None);
    assert!(before.len() == 2 && before.iter().all(|title| title.contains(" kB")), "{before:?}");
    assert_eq!(titles(2, Some("c")).len(), 1, "a step that was never built like this has no past");
}
