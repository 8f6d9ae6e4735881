//! What an editor waits for: `llbc lsp` beside the language server most editors use for Dockerfiles, one client script
//! for both, in one run.
//!
//! The peer is `dockerfile-language-server-nodejs` of npm; where it cannot be had, its column is left out. Times are those
//! of a client in another process, from the request to the last byte of the answer: reading it is the client's own affair.
//! Servers may send the changes of tokens after an edit alone, where they can. Memory is the most that the process had.
//!
//! A slow server is asked less often, and one that does not answer within [`PATIENCE`] is given up: it works on what it was
//! asked, one thing after the other, so that nothing it would say later tells anything. What it was not asked has no figure.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::lsp::Client;
use e2e::process::find;
use serde_json::{Value, json};

use crate::release;
use crate::shell::{self, Result, target_dir};

/// The version of the peer that is measured.
const PEER: &str = "dockerfile-language-server-nodejs@0.15.0";
/// Requests of each kind; the median counts.
const RUNS: usize = 15;
/// No more requests of a kind are made once they have taken so long together.
const ENOUGH: Duration = Duration::from_secs(2);
/// So long may one answer take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Lines of the file.
const LINES: usize = 5000;

const URI: &str = "file:///nowhere/Dockerfile";

/// What one server costs.
struct Costs {
    /// In the order of [`ROWS`].
    times: Vec<Took>,
    /// KiB.
    peak: u64,
}

/// How long a server takes for one thing.
#[derive(Clone, Copy)]
enum Took {
    /// The median.
    Time(Duration),
    /// It was given up after [`PATIENCE`].
    TooLong,
    /// It had been given up before.
    NotAsked,
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
    let ours = measure(Command::new(release::directory().join("llbc")).arg("lsp"))?;
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
    let start = Instant::now();
    let client = Client::start(command, json!({}))?;
    let started = client.arrived - start;
    let mut session = Session { client, version: 1, times: vec![Took::Time(started)], is_lost: false };
    session.client.patience = PATIENCE;
    session.ask_all()?;
    let peak = session.client.peak();
    if !session.is_lost {
        session.client.end()?;
    }
    Ok(Costs { times: session.times, peak })
}

/// A server at work, and what was measured so far.
struct Session {
    client: Client,
    /// Of the text.
    version: i64,
    times: Vec<Took>,
    /// Whether it was given up.
    is_lost: bool,
}

impl Session {
    /// Everything in the order of [`ROWS`], after the start.
    fn ask_all(&mut self) -> Result<()> {
        let text = text();
        let middle = LINES / 2;
        let line = |prefix: &str| {
            let found = text.lines().enumerate().skip(middle).find(|(_, line)| line.starts_with(prefix));
            found.map_or(middle, |(at, _)| at)
        };
        let (run, dir, user) = (line("RUN"), line("WORKDIR"), line("USER"));
        self.take(1, |session| {
            let start = Instant::now();
            session.client.open(URI, &text)?;
            session.client.findings(URI, 1)?;
            Ok(session.client.arrived - start)
        })?;
        self.take(RUNS, |session| session.keystroke(run))?;
        // What is completed is half a word on a line of its own.
        self.edit((user, 0), "E\nUSER $\n")?;
        self.client.findings(URI, self.version)?;
        self.position("textDocument/completion", user, 1)?;
        self.position("textDocument/completion", user + 1, 6)?;
        self.position("textDocument/hover", dir, 2)?;
        self.position("textDocument/hover", dir, 12)?;
        self.request("textDocument/documentSymbol", json!({}))?;
        self.request("textDocument/semanticTokens/full", json!({}))?;
        self.take(RUNS, |session| session.retint(run))
    }

    /// Measures one thing: the median of as many answers as are worth waiting for.
    fn take(&mut self, runs: usize, mut ask: impl FnMut(&mut Self) -> Result<Duration>) -> Result<()> {
        if self.is_lost {
            self.times.push(Took::NotAsked);
            return Ok(());
        }
        let start = Instant::now();
        let mut times = Vec::new();
        while times.is_empty() || (times.len() < runs && start.elapsed() < ENOUGH) {
            let asked = Instant::now();
            match ask(self) {
                Ok(time) => times.push(time),
                Err(_) if asked.elapsed() >= PATIENCE => {
                    self.is_lost = true;
                    self.times.push(Took::TooLong);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        times.sort();
        self.times.push(Took::Time(times[times.len() / 2]));
        Ok(())
    }

    fn position(&mut self, method: &str, line: usize, character: usize) -> Result<()> {
        self.request(method, json!({"position": {"line": line, "character": character}}))
    }

    fn request(&mut self, method: &str, mut params: Value) -> Result<()> {
        params["textDocument"] = json!({"uri": URI});
        self.take(RUNS, |session| {
            let start = Instant::now();
            session.client.request(method, params.clone())?;
            Ok(session.client.arrived - start)
        })
    }

    fn edit(&mut self, place: (usize, usize), text: &str) -> Result<()> {
        self.version += 1;
        Ok(self.client.edit(URI, self.version, place, place, text)?)
    }

    fn keystroke(&mut self, line: usize) -> Result<Duration> {
        let start = Instant::now();
        self.edit((line, 4), "x")?;
        self.client.findings(URI, self.version)?;
        Ok(self.client.arrived - start)
    }

    /// The tokens after an edit, or what is new in them.
    fn retint(&mut self, line: usize) -> Result<Duration> {
        let document = json!({"textDocument": {"uri": URI}});
        let has_changes = self.client.capabilities["semanticTokensProvider"]["full"]["delta"] == json!(true);
        let (method, params) = if has_changes {
            let known = self.client.request("textDocument/semanticTokens/full", document.clone())?;
            let params = json!({"textDocument": {"uri": URI}, "previousResultId": known["resultId"]});
            ("textDocument/semanticTokens/full/delta", params)
        } else {
            ("textDocument/semanticTokens/full", document)
        };
        let start = Instant::now();
        self.edit((line, 4), "x")?;
        self.client.request(method, params)?;
        Ok(self.client.arrived - start)
    }
}

fn table(ours: &Costs, peer: Option<&Costs>) -> String {
    let mut text = format!("\n| a Dockerfile of {LINES} lines | `llbc lsp` |");
    if peer.is_some() {
        let _ = write!(text, " {PEER} |");
    }
    text.push_str("\n|---|---|");
    text.push_str(if peer.is_some() { "---|\n" } else { "\n" });
    for (row, name) in ROWS.iter().enumerate() {
        let own = ours.times[row];
        let _ = write!(text, "| {name} | {} |", cell(own, None));
        if let Some(peer) = peer {
            let _ = write!(text, " {} |", cell(peer.times[row], Some(own)));
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

/// A time, and how many times another one it is.
fn cell(took: Took, other: Option<Took>) -> String {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    let times = |time: Duration| match other {
        Some(Took::Time(other)) => format!(" ({:.1}×)", time.as_secs_f64() / other.as_secs_f64()),
        _ => String::new(),
    };
    match took {
        Took::Time(time) => format!("{:.1} ms{}", milliseconds(time), times(time)),
        Took::TooLong => format!("over {:.0} ms{}", milliseconds(PATIENCE), times(PATIENCE).replace('(', "(over ")),
        Took::NotAsked => "–".to_owned(),
    }
}
