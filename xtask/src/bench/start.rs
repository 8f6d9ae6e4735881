//! What a builder waits for when it starts a frontend: `llbc-frontend`, beside other programs that speak the gateway
//! protocol, over pipes and without a container, which would cost both the same.
//!
//! The builder here answers at once, so that what is measured is the frontend. The file is small: most are. Memory is the
//! most that the process had when it handed over its result; of it, what is not of its file is its own.

use std::fmt::Write as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use e2e::frontend::{self, Arch};
use gateway::message::{
    InputsRequest, InputsResponse, PingRequest, PongResponse, ReadFileRequest, ReadFileResponse, Ref, Request,
    ResolveImageConfigRequest, ResolveImageConfigResponse, ResolveSourceImageResponse, ResolveSourceMetaRequest,
    ResolveSourceMetaResponse, Result as Solved, ReturnRequest, ReturnResponse, SolveRequest, SolveResponse,
    WarnRequest, WarnResponse, WorkerRecord, result,
};
use gateway::{Code, Limits, Service, Status, caps, stdio};
use prost::Message as _;

use crate::shell::{self, Result, say};

/// Starts of each program, in turns; the median counts.
const RUNS: usize = 101;

const TEXT: &str = "FROM alpine AS build\nWORKDIR /src\nCOPY . .\nRUN make\n\nFROM alpine\nCOPY --from=build /src/out /out\nCMD [\"/out\"]\n";
const DIGEST: &str = "sha256:7b55bd8fabc73f1bee1d2ab33b4ba0a3a8be7a4cd1d1a4a4b3de2e2e3d6f5a3c";
const CONFIG: &str = r#"{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/bin"]},"rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}}"#;

/// What definitions may ask of this builder: what those of the text ask.
const LLB_CAPS: &[&str] = &[
    "source.image",
    "source.image.resolvemode",
    "source.local",
    "source.local.unique",
    "source.local.sessionid",
    "source.local.includepatterns",
    "source.local.followpaths",
    "source.local.excludepatterns",
    "source.local.sharedkeyhint",
    "source.local.differ",
    "exec.meta.base",
    "exec.meta.setsdefaultpath",
    "exec.mount.bind",
    "exec.meta.removemountstubs.recursive",
    "file.base",
    "file.copy.includeexcludepatterns",
    "constraints",
    "platform",
    "meta.ignorecache",
    "meta.description",
    "meta.exportcache",
];

/// What one start cost.
#[derive(Clone, Copy, Default)]
struct Cost {
    /// From the start of the process until it wants something solved.
    first: Duration,
    /// Until it hands over its result.
    done: Duration,
    /// KiB in memory, at most, and how many of them are not pages of a file.
    peak: u64,
    own: u64,
}

/// Measures our program and those that are named.
pub(super) fn run(others: &[String]) -> Result<()> {
    let compile = || Ok(frontend::compile(Arch::here()?, "frontend")?);
    let mut programs = vec![shell::timed("compile the frontend", compile)?];
    programs.extend(others.iter().map(PathBuf::from));
    let mut costs = vec![Vec::new(); programs.len()];
    for _ in 0..RUNS {
        for (program, costs) in programs.iter().zip(&mut costs) {
            costs.push(start(program)?);
        }
    }
    let mut table = "first solve | result | most memory | own memory | program\n".to_owned();
    for (program, costs) in programs.iter().zip(costs) {
        let median = |of: fn(&Cost) -> f64| {
            let mut all: Vec<f64> = costs.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let times = [median(|cost| cost.first.as_secs_f64() * 1e3), median(|cost| cost.done.as_secs_f64() * 1e3)];
        let sizes = [median(|cost| cost.peak as f64), median(|cost| cost.own as f64)];
        let _ = writeln!(
            table,
            "{:8.2} ms | {:6.2} ms | {:7.0} KiB | {:6.0} KiB | {}",
            times[0],
            times[1],
            sizes[0],
            sizes[1],
            program.display()
        );
    }
    say(&format!("{RUNS} starts of each, in turns; medians"));
    shell::print(&table)
}

/// Starts a program and answers it until it has handed over its result.
fn start(program: &Path) -> Result<Cost> {
    let mut command = Command::new(program);
    command.env_clear().env("BUILDKIT_SESSION_ID", "bench").env("BUILDKIT_FRONTEND_OPT_0", "filename=Dockerfile");
    command.env("BUILDKIT_WORKERS", r#"[{"ID":"bench","Platforms":[{"architecture":"amd64","os":"linux"}]}]"#);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let started = Instant::now();
    let mut process = command.spawn()?;
    let builder = Arc::new(Builder { started, id: process.id(), cost: Mutex::default() });
    let (read, write) = streams(&mut process);
    gateway::serve(|| stdio::halves((read, write)), builder.clone(), Limits::default())?;
    let status = process.wait()?;
    let cost = *builder.cost.lock().expect("no panic while it is held");
    if !status.success() || cost.done.is_zero() {
        return Err(format!("{}: ended with {status}, without a result", program.display()).into());
    }
    Ok(cost)
}

fn streams(process: &mut Child) -> (OwnedFd, OwnedFd) {
    let (read, write) = (process.stdout.take(), process.stdin.take());
    (read.expect("it is piped").into(), write.expect("it is piped").into())
}

/// A builder that has everything.
struct Builder {
    started: Instant,
    id: u32,
    cost: Mutex<Cost>,
}

impl Service for Builder {
    fn call(&self, method: &str, message: &[u8]) -> std::result::Result<Vec<u8>, Status> {
        let now = self.started.elapsed();
        let mut cost = self.cost.lock().expect("no panic while it is held");
        let answer = match method {
            PingRequest::METHOD => pong().encode_to_vec(),
            InputsRequest::METHOD => InputsResponse::default().encode_to_vec(),
            SolveRequest::METHOD => {
                if cost.first.is_zero() {
                    cost.first = now;
                }
                let id = Ref { id: "tree".to_owned(), ..Ref::default() };
                let result = Solved { result: Some(result::Result::Ref(id)), ..Solved::default() };
                SolveResponse { result: Some(result), ..SolveResponse::default() }.encode_to_vec()
            }
            ReadFileRequest::METHOD => {
                let request = ReadFileRequest::decode(message).expect("a frontend writes what can be read");
                if request.file_path != "Dockerfile" {
                    return Err(Status::new(Code::NotFound, format!("{}: no such file", request.file_path)));
                }
                ReadFileResponse { data: TEXT.into() }.encode_to_vec()
            }
            ResolveImageConfigRequest::METHOD => {
                let (digest, config) = (DIGEST.to_owned(), CONFIG.into());
                ResolveImageConfigResponse { digest, config, ..ResolveImageConfigResponse::default() }.encode_to_vec()
            }
            ResolveSourceMetaRequest::METHOD => {
                let request = ResolveSourceMetaRequest::decode(message).expect("a frontend writes what can be read");
                let image = ResolveSourceImageResponse { digest: DIGEST.to_owned(), config: CONFIG.into() };
                let (source, image) = (request.source, Some(image));
                ResolveSourceMetaResponse { source, image, ..ResolveSourceMetaResponse::default() }.encode_to_vec()
            }
            WarnRequest::METHOD => WarnResponse::default().encode_to_vec(),
            ReturnRequest::METHOD => {
                cost.done = now;
                (cost.peak, cost.own) = memory(self.id);
                ReturnResponse::default().encode_to_vec()
            }
            method => return Err(Status::new(Code::Unimplemented, format!("there is no {method}"))),
        };
        Ok(answer)
    }
}

fn pong() -> PongResponse {
    let platform =
        gateway::message::Platform { architecture: "amd64".to_owned(), os: "linux".to_owned(), ..Default::default() };
    PongResponse {
        frontend_api_caps: caps::announce(caps::ALL.iter().copied()),
        llb_caps: caps::announce(LLB_CAPS.iter().copied()),
        workers: vec![WorkerRecord { id: "bench".to_owned(), platforms: vec![platform], ..WorkerRecord::default() }],
    }
}

/// KiB in memory of a process: at most, and now without pages of files.
fn memory(id: u32) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    (field("VmHWM").unwrap_or(0), field("RssAnon").unwrap_or(0))
}
