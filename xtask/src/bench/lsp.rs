//! What an editor waits for: `llbc lsp` beside the language server most editors use for Dockerfiles, one client script
//! for both, in one run.
//!
//! The peer is `dockerfile-language-server-nodejs` of npm; where it cannot be had, its column is left out. Times are those
//! of a client in another process, from the request to the last byte of the answer: reading it is the client's own affair.
//! Servers may send the changes of tokens after an edit alone, where they can. Memory is the most that the process had.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::lsp::Client;
use e2e::process::find;
use serde_json::{Value, json};

use crate::shell::{self, Result, target_dir};

/// The version of the peer that is measured.
const PEER: &str = "dockerfile-language-server-nodejs@0.15.0";
/// Requests of each kind; the median counts.
const RUNS: usize = 15;
/// Lines of the file.
const LINES: usize = 5000;

const URI: &str = "file:///nowhere/Dockerfile";

/// What one server costs.
struct Costs {
    /// Milliseconds, in the order of [`ROWS`].
    times: Vec<f64>,
    /// KiB.
    peak: u64,
}

const ROWS: &[&str] = &[
    "start until it answers",
    "open until findings",
    "keystroke until findings",
    "completion of a keyword",
    "completion of a variable",
    "hover on a keyword",
    "hover on a variable",
    "outline",
    "semantic tokens",
    "keystroke until tokens",
];

pub(super) fn run() -> Result<()> {
    let ours = measure(Command::new(target_dir().join("release/llbc")).arg("lsp"))?;
    let peer = match peer() {
        Ok(program) => Some(measure(Command::new(program).arg("--stdio"))?),
        Err(why) => {
            shell::say(&format!("the peer is left out: {why}\n"));
            None
        }
    };
    shell::print(&table(&ours, peer.as_ref()))
}

/// The peer's program, installed below the target directory when it is not there.
fn peer() -> Result<PathBuf> {
    if let Some(program) = find("docker-langserver") {
        return Ok(program);
    }
    let folder = target_dir().join("peers");
    let program = folder.join("node_modules/.bin/docker-langserver");
    if !program.is_file() {
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(&folder).arg(PEER);
        shell::run(&mut npm)?;
    }
    Ok(program)
}

/// Stages of ten lines, as people write them.
fn text() -> String {
    let mut text = String::from("ARG VERSION=3.20\n");
    for stage in 0..LINES / 10 {
        let _ = write!(
            text,
            "FROM alpine:${{VERSION}} AS stage{stage}\nARG NAME=app{stage}\nENV HOME_DIR=/srv/${{NAME}} MODE=release\n\
             WORKDIR ${{HOME_DIR}}\nRUN apk add --no-cache make git && \\\n    git clone https://example.com/$NAME.git && \\\n    \
             make -C \"$NAME\" install\nCOPY --chown=1000:1000 src/{stage} ./src/\nUSER 1000\nCMD [\"/srv/run\", \"--mode\"]\n"
        );
    }
    text
}

fn measure(command: &mut Command) -> Result<Costs> {
    let mut times = Vec::new();
    let start = Instant::now();
    let mut client = Client::start(command, json!({}))?;
    times.push(client.arrived - start);
    let text = text();
    let start = Instant::now();
    client.open(URI, &text)?;
    client.findings(URI, 1)?;
    times.push(client.arrived - start);
    let middle = LINES / 2;
    let line = |prefix: &str| {
        let found = text.lines().enumerate().skip(middle).find(|(_, line)| line.starts_with(prefix));
        found.map_or(middle, |(at, _)| at)
    };
    let (run, dir, user) = (line("RUN"), line("WORKDIR"), line("USER"));
    times.push(median((0..RUNS).map(|round| keystroke(&mut client, 2 + round as i64, run)))?);
    let mut version = 2 + RUNS as i64;
    // What is completed is half a word on a line of its own.
    client.edit(URI, version, (user, 0), (user, 0), "E\nUSER $\n")?;
    client.findings(URI, version)?;
    let mut ask = |method: &str, at: Option<(usize, usize)>| {
        let mut params = json!({"textDocument": {"uri": URI}});
        if let Some((line, character)) = at {
            params["position"] = json!({"line": line, "character": character});
        }
        median((0..RUNS).map(|_| timed(&mut client, method, &params)))
    };
    times.push(ask("textDocument/completion", Some((user, 1)))?);
    times.push(ask("textDocument/completion", Some((user + 1, 6)))?);
    times.push(ask("textDocument/hover", Some((dir, 2)))?);
    times.push(ask("textDocument/hover", Some((dir, 12)))?);
    times.push(ask("textDocument/documentSymbol", None)?);
    times.push(ask("textDocument/semanticTokens/full", None)?);
    times.push(median((0..RUNS).map(|_| {
        version += 1;
        retint(&mut client, version, run)
    }))?);
    let peak = client.peak();
    client.end()?;
    Ok(Costs { times: times.into_iter().map(|time| time.as_secs_f64() * 1000.0).collect(), peak })
}

fn keystroke(client: &mut Client, version: i64, line: usize) -> Result<Duration> {
    let start = Instant::now();
    client.edit(URI, version, (line, 4), (line, 4), "x")?;
    client.findings(URI, version)?;
    Ok(client.arrived - start)
}

/// The tokens after an edit, or what is new in them.
fn retint(client: &mut Client, version: i64, line: usize) -> Result<Duration> {
    let document = json!({"textDocument": {"uri": URI}});
    let has_changes = client.capabilities["semanticTokensProvider"]["full"]["delta"] == json!(true);
    let (method, params) = if has_changes {
        let known = client.request("textDocument/semanticTokens/full", document.clone())?;
        let params = json!({"textDocument": {"uri": URI}, "previousResultId": known["resultId"]});
        ("textDocument/semanticTokens/full/delta", params)
    } else {
        ("textDocument/semanticTokens/full", document)
    };
    let start = Instant::now();
    client.edit(URI, version, (line, 4), (line, 4), "x")?;
    client.request(method, params)?;
    Ok(client.arrived - start)
}

fn timed(client: &mut Client, method: &str, params: &Value) -> Result<Duration> {
    let start = Instant::now();
    client.request(method, params.clone())?;
    Ok(client.arrived - start)
}

fn median(times: impl Iterator<Item = Result<Duration>>) -> Result<Duration> {
    let mut times = times.collect::<Result<Vec<_>>>()?;
    times.sort();
    Ok(times[times.len() / 2])
}

fn table(ours: &Costs, peer: Option<&Costs>) -> String {
    let mut text = format!("\n| a Dockerfile of {LINES} lines | `llbc lsp` |");
    if peer.is_some() {
        let _ = write!(text, " {PEER} |");
    }
    text.push_str("\n|---|---|");
    text.push_str(if peer.is_some() { "---|\n" } else { "\n" });
    for (row, name) in ROWS.iter().enumerate() {
        let _ = write!(text, "| {name} | {:.1} ms |", ours.times[row]);
        if let Some(peer) = peer {
            let _ = write!(text, " {:.1} ms ({:.1}×) |", peer.times[row], peer.times[row] / ours.times[row]);
        }
        text.push('\n');
    }
    let mib = |costs: &Costs| costs.peak as f64 / 1024.0;
    let _ = write!(text, "| memory at its peak | {:.1} MB |", mib(ours));
    if let Some(peer) = peer {
        let _ = write!(text, " {:.1} MB ({:.1}×) |", mib(peer), mib(peer) / mib(ours));
    }
    text.push('\n');
    text
}
