//! The image as a process: its tree, its command, its standard streams tied to a server.
//!
//! parity: BuildKit v0.32, frontend/gateway/gateway.go: the command (`/run` by default), the environment, the labels.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::time::Duration;

use ::gateway::{Code, Limits, Service, Status};
use oci::{Digest, ImageConfig, Reference};

use super::bridge::Bridge;
use super::{Frontend, Returned};
use crate::progress::{Event, Sink, Vertex};
use crate::runtime::{Exit, Network, Root, Spec};
use crate::snapshot::Active;
use crate::{Cancel, Error, Result};

/// What is started when the image does not say.
const DEFAULT_COMMAND: &str = "/run";
/// Label: whether it has no network.
const NO_NETWORK: &str = "moby.buildkit.frontend.network.none";
/// Label: what it can do, with commas.
const CAPS: &str = "moby.buildkit.frontend.caps";

/// So long may a frontend do nothing while nothing is done for it.
const PATIENCE: Duration = Duration::from_secs(300);
/// So long may it take to end when nobody listens to it any more.
const FAREWELL: Duration = Duration::from_secs(10);

/// Starts the frontend and answers it until it has ended.
pub(super) fn run(frontend: &Frontend<'_>, sink: &dyn Sink) -> Result<Returned> {
    if frontend.depth >= super::MAX_DEPTH {
        return Err(Error::Invalid(format!("frontends call each other more than {} deep", super::MAX_DEPTH)));
    }
    let (image, active, digest) = fetch(frontend, sink)?;
    require_caps(frontend, &image)?;
    let name = format!("[internal] frontend {}", frontend.source);
    let vertex = Vertex { sink, digest: Digest::sha256(name.as_bytes()) };
    vertex.during(&name, || start(frontend, &vertex, &image, &active, &digest))
}

/// The image's config, its tree with a layer on top that is thrown away, and its digest.
fn fetch(frontend: &Frontend<'_>, sink: &dyn Sink) -> Result<(ImageConfig, Active, Digest)> {
    let name = Reference::parse(&frontend.source)
        .map_err(|error| Error::Invalid(format!("frontend {}: {error}", frontend.source)))?
        .or_latest();
    let host = crate::host_platform();
    let engine = frontend.engine;
    let resolved = engine.images(frontend.request).resolve(&name.to_string(), &host, Default::default())?;
    let config = ImageConfig::from_json(&resolved.config)
        .map_err(|error| Error::Invalid(format!("config of frontend {name}: {error}")))?;
    let pinned = name.with_digest(resolved.digest.clone());
    let mut graph = llb::Graph::default();
    let source = llb::Source { identifier: format!("docker-image://{pinned}"), attrs: Default::default() };
    let edge = graph.add(llb::Node::new(llb::Op::Source(source), Vec::new())).output(0);
    graph.outputs.push(llb::Output { edge: Some(edge), ..llb::Output::default() });
    let definition = llb::encode(&graph).map_err(|error| Error::Definition(error.to_string()))?;
    let decoded = llb::understand(definition).map_err(|error| Error::Definition(error.to_string()))?;
    let tree = engine.trees(frontend.request, decoded, sink)?.pop().unwrap_or_default();
    Ok((config, engine.prepare(frontend.request, &tree, sink)?, resolved.digest))
}

/// **Errors**: a capability that is asked for and that the image does not claim.
fn require_caps(frontend: &Frontend<'_>, image: &ImageConfig) -> Result<()> {
    let label = image.config.labels.get(CAPS).map(String::as_str).unwrap_or_default();
    let wanted = frontend.opts.get("frontend.caps").map(String::as_str).unwrap_or_default().split(',');
    let wanted = wanted.map(|cap| cap.split('+').next().unwrap_or_default()).filter(|cap| !cap.is_empty());
    let inputs = (!frontend.inputs.is_empty()).then_some("moby.buildkit.frontend.inputs");
    match wanted.chain(inputs).find(|cap| !label.split(',').any(|has| has == *cap)) {
        Some(cap) => Err(Error::Unsupported {
            what: format!("frontend capability {cap}"),
            why: format!("the image {} does not claim it", frontend.source),
        }),
        None => Ok(()),
    }
}

fn spec(frontend: &Frontend<'_>, image: &ImageConfig, active: &Active, stdin: OwnedFd) -> Result<Spec> {
    let root = match active.overlay() {
        Some(overlay) => Root::Overlay(overlay.clone()),
        None => Root::Dir(active.path()?.to_owned()),
    };
    let config = &image.config;
    let args = if config.entrypoint.is_empty() { vec![DEFAULT_COMMAND.to_owned()] } else { config.entrypoint.clone() };
    let no_network = config.labels.get(NO_NETWORK).is_some_and(|value| ["true", "1"].contains(&value.as_str()));
    Ok(Spec {
        root,
        args,
        env: environment(frontend, &config.env),
        cwd: if config.working_dir.is_empty() { "/".to_owned() } else { config.working_dir.clone() },
        network: if no_network { Network::None } else { Network::Sandbox },
        remove_mount_stubs_recursive: true,
        stdin: Some(Arc::new(stdin)),
        ..Spec::default()
    })
}

fn environment(frontend: &Frontend<'_>, image: &[String]) -> Vec<String> {
    let host = crate::host_platform();
    let workers = serde_json::json!([{ "ID": "executor", "Labels": {}, "Platforms": [host] }]);
    let opts = frontend.opts.iter().enumerate();
    let opts = opts.map(|(number, (key, value))| format!("BUILDKIT_FRONTEND_OPT_{number}={key}={value}"));
    let own = [
        "BUILDKIT_SESSION_ID=".to_owned(),
        format!("BUILDKIT_WORKERS={workers}"),
        "BUILDKIT_EXPORTEDPRODUCT=".to_owned(),
    ];
    image.iter().cloned().chain(opts).chain(own).collect()
}

/// A call on its way to where it is answered.
struct Call {
    method: String,
    message: Vec<u8>,
    reply: std::sync::mpsc::SyncSender<std::result::Result<Vec<u8>, Status>>,
}

/// Hands calls of the server's threads on to threads that may borrow what the build has.
struct Relay(Sender<Call>);

impl Service for Relay {
    fn call(&self, method: &str, message: &[u8]) -> std::result::Result<Vec<u8>, Status> {
        let (reply, answer) = sync_channel(1);
        let call = Call { method: method.to_owned(), message: message.to_owned(), reply };
        let gone = || Status::new(Code::Unavailable, "the build is over");
        self.0.send(call).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}

fn start(
    frontend: &Frontend<'_>,
    vertex: &Vertex<'_>,
    image: &ImageConfig,
    active: &Active,
    digest: &Digest,
) -> Result<Returned> {
    let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
    let ((their_in, our_out), (our_in, their_out)) = pipe()
        .and_then(|first| Ok((first, pipe()?)))
        .map_err(|error| Error::io("make a pipe to", &frontend.source)(error.into()))?;
    let spec = spec(frontend, image, active, their_in)?;
    let cancel = Cancel::default();
    let stop = cancel.clone();
    let _hook = frontend.request.cancel.on_cancel(move || stop.cancel());
    let bridge = Bridge::new(frontend, vertex.sink);
    bridge.see_image(&frontend.source, &crate::host_platform(), digest);
    let (sender, calls) = channel();
    let exit = std::thread::scope(|scope| {
        let served = move || {
            ::gateway::serve(|| ::gateway::stdio::halves((our_in, our_out)), Arc::new(Relay(sender)), Limits::default())
        };
        let server = scope.spawn(served);
        let cancel = &cancel;
        let process = scope.spawn(move || run_process(frontend, vertex, spec, their_out, cancel));
        answer(&bridge, &calls, scope, cancel);
        // Nobody listens any more: it has ended, or should.
        let waited = std::time::Instant::now();
        while !process.is_finished() && waited.elapsed() < FAREWELL && !cancel.is_cancelled() {
            std::thread::sleep(Duration::from_millis(5));
        }
        if !process.is_finished() {
            cancel.cancel();
        }
        let _ = server.join();
        process.join().expect("running a process does not panic")
    });
    frontend.request.cancel.check()?;
    outcome(frontend, &bridge, exit)
}

/// Runs the process; its standard output goes to the server, its standard error to who watches.
fn run_process(
    frontend: &Frontend<'_>,
    vertex: &Vertex<'_>,
    spec: Spec,
    stdout: OwnedFd,
    cancel: &Cancel,
) -> Result<Exit> {
    let stdout = std::fs::File::from(stdout);
    let output = |stream: u8, data: &[u8]| match stream {
        // A server that is gone is no reason for the process to fail.
        1 => drop((&stdout).write_all(data)),
        _ => vertex.log(2, data),
    };
    frontend.engine.run_process(&spec, &output, cancel)
}

/// Answers calls until the server is gone, each in a thread of its own. A frontend that neither asks nor waits for an
/// answer for too long is stopped.
fn answer<'s>(bridge: &'s Bridge<'_>, calls: &Receiver<Call>, scope: &'s std::thread::Scope<'s, '_>, cancel: &Cancel) {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        match calls.recv_timeout(PATIENCE) {
            Ok(Call { method, message, reply }) => {
                let open = open.clone();
                open.fetch_add(1, Ordering::Relaxed);
                scope.spawn(move || {
                    // A caller that is gone needs no answer.
                    let _ = reply.send(bridge.call(&method, &message));
                    open.fetch_sub(1, Ordering::Relaxed);
                });
            }
            Err(RecvTimeoutError::Timeout) if open.load(Ordering::Relaxed) == 0 => {
                bridge.fail(Status::new(
                    Code::DeadlineExceeded,
                    format!("the frontend has done nothing for {} seconds", PATIENCE.as_secs()),
                ));
                cancel.cancel();
                return;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// What was returned counts; then how the process ended.
fn outcome(frontend: &Frontend<'_>, bridge: &Bridge<'_>, exit: Result<Exit>) -> Result<Returned> {
    match (bridge.returned(), exit) {
        (Some(Err(status)), _) => Err(super::wire::error(status)),
        (Some(Ok(returned)), Ok(Exit { code: 0, .. })) => Ok(returned),
        (_, Err(error)) => Err(error),
        (Some(Ok(_)), Ok(exit)) => {
            Err(Error::Exit { command: frontend.source.clone(), code: exit.code, out_of_memory: exit.out_of_memory })
        }
        (None, Ok(exit)) => Err(Error::Invalid(format!(
            "frontend {} ended (exit code {}) without a result; is it an image that speaks BuildKit's gateway protocol?",
            frontend.source, exit.code
        ))),
    }
}

/// Says something to who watches the build.
pub(super) fn warn(sink: &dyn Sink, message: String) {
    sink.event(Event::Warning { digest: None, message, about: None });
}
