//! The door: open a store, solve definitions in it.

mod environment;
mod scan;
mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use llb::Decoded;
use oci::{Digest, Platform};

use self::witness::Witness;
use crate::cache::{Key, Lent};
use crate::cdi::Devices;
use crate::exporters::{Ahead, Attached, Built, Packs};
use crate::ops::exec::{Failed, Failures};
use crate::remote_cache::{self, Export, Import, Lenders};
use crate::runtime::{self, Embedded, Exit, Later, NetworkMode, Runtime, Spec};
use crate::snapshot::{Active, Committed, Files, Snapshots};
use crate::solver::{Outcomes, Solved};
use crate::sources::Fetching;
use crate::store::Store;
use crate::{
    Cancel, Error, Expectation, Result, expect, exporters, ops, progress, provenance, prune, session, snapshot, solver,
    sources,
};

/// An executor over one store directory. Several processes may share the directory.
pub struct Engine {
    store: Store,
    snapshots: Arc<dyn Snapshots>,
    runtime: Arc<dyn Runtime>,
    fetching: Fetching,
}

impl Drop for Engine {
    /// Nobody waits for the removal of what was made on the way, nor for what was noted to reach the disk.
    fn drop(&mut self) {
        let mut remove = |dir: BorrowedFd<'_>| self.runtime.later(Later::Remove, dir);
        self.snapshots.hand_over(&mut remove);
        self.store.temp().hand_over(&mut remove);
        self.store.db().hand_over(&mut |file| self.runtime.later(Later::Fold, file));
    }
}

/// One build.
#[derive(Default)]
pub struct Request {
    /// The encoded definition, with image configs in the terminal vertices' descriptions.
    pub definition: Vec<u8>,
    /// What the build may read of the user's: directories, secrets, agents.
    pub session: session::Session,
    /// Where results go.
    pub outputs: Vec<Output>,
    /// What they must be like before they go anywhere.
    pub expected: Vec<Expectation>,
    /// Whether the cache is not read at all.
    pub no_cache: bool,
    /// Caches of others that are looked in, too.
    pub cache_from: Vec<Import>,
    /// Where the cache goes for others.
    pub cache_to: Vec<CacheOutput>,
    /// What is said of how results were made.
    pub attest: Vec<Attest>,
    /// A directory of JSON files that say more of the machine, if there is one.
    pub provenance_dir: Option<PathBuf>,
    /// What others say of results: outputs of the definition behind those that are results.
    pub attached: Vec<Attached>,
    /// What was found in them; nothing to begin with.
    pub lenders: Lenders,
    /// Entitlements granted: `network.host`, `security.insecure`, `device`, `device=NAME[,alias=OTHER]`.
    pub allow: Vec<String>,
    /// Devices of this machine.
    pub devices: Devices,
    /// The network of processes whose definition leaves it open.
    pub network: NetworkMode,
    /// Most steps at once; 0 leaves it to the executor.
    pub max_parallelism: usize,
    /// Asked to stop through this.
    pub cancel: Cancel,
}

/// Where one result goes.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// Which exporter.
    pub kind: exporters::Kind,
    /// A file, a directory, or standard output (`None`); unused by the image store.
    pub dest: Option<PathBuf>,
    /// Exporter attributes: `name`, `compression`, `push`, ….
    pub attrs: BTreeMap<String, String>,
    /// Which results it is of; all when nothing is said.
    pub part: Option<Part>,
}

impl Output {
    /// Which of so many results it is of.
    fn results(&self, count: usize) -> Range<usize> {
        results_of(self.part.as_ref(), count)
    }
}

/// Where a cache goes that others may use.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheOutput {
    /// Where it goes, and how much of it.
    pub to: Export,
    /// Of which results it is; of all when nothing is said.
    pub part: Option<Part>,
}

/// What is to be said of how results were made.
#[derive(Clone, Debug, PartialEq)]
pub struct Attest {
    /// It.
    pub asked: Arc<provenance::Asked>,
    /// Of which results; of all when nothing is said.
    pub part: Option<Part>,
}

/// Which of so many results something is of.
fn results_of(part: Option<&Part>, count: usize) -> Range<usize> {
    part.map_or(0..count, |part| part.results.clone())
}

/// Some of the results of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What the metadata of the response has them under; nothing where they are the only ones that go anywhere.
    pub name: Option<String>,
    /// Which; in the order of the definition.
    pub results: Range<usize>,
}

/// What the exports of one build have in common.
struct Shared {
    packs: Packs,
    /// What timestamps of image and history are set to, in seconds since the epoch.
    epoch: Option<i64>,
    /// The keys of all that the build needed, once it is done.
    needed: OnceLock<BTreeSet<Key>>,
}

/// Who learns of trees and failures while they are there.
struct Aside<'a> {
    on_made: solver::OnMade<'a>,
    failures: Option<&'a Failures>,
}

/// A step whose process failed, with all it had: what it changed, its mounts, its variables, its network.
pub struct FailedStep<'a> {
    /// Why the build failed.
    pub error: &'a Error,
    failed: Failed,
    runtime: &'a dyn Runtime,
    cancel: &'a Cancel,
}

impl FailedStep<'_> {
    /// Runs a shell where the process was: the one that ran the step, else `/bin/sh`. What it changes is thrown away.
    pub fn shell(&self, talk: ops::exec::Talk, output: runtime::Output<'_>) -> Result<Exit> {
        self.failed.shell(self.runtime, talk, output, self.cancel)
    }
}

/// What a build gave.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// Exporter keys: `containerimage.digest`, `containerimage.config.digest`, `image.name`, ….
    pub metadata: BTreeMap<String, serde_json::Value>,
}

impl Engine {
    /// Opens (and makes) the store directory at `root`.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        Self::with_runtime(root, Arc::new(Embedded::new()))
    }

    /// Opens the store directory at `root` and runs processes with another runtime than the embedded one.
    pub fn with_runtime(root: impl Into<PathBuf>, runtime: Arc<dyn Runtime>) -> Result<Self> {
        Self::over(Store::open(root)?, runtime)
    }

    /// Works with a store that is open.
    pub fn over(store: Store, runtime: Arc<dyn Runtime>) -> Result<Self> {
        if !Path::new("/proc/self/fd").exists() {
            return Err(Error::Invalid("/proc is not there: mount it (`mount -t proc proc /proc`)".into()));
        }
        let snapshots = snapshot::open(store.root())?;
        Ok(Self { store, snapshots, runtime, fetching: Fetching::default() })
    }

    /// Prunes by a policy, when it is time and nobody else uses the store.
    pub fn collect(&self, policy: &prune::Policy) -> Result<Vec<prune::Record>> {
        prune::collect(&self.store, &*self.snapshots, policy)
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// When what a source names was last changed, in seconds since 1970: of an archive whose server does not say, its newest
    /// file. `None` when nobody says.
    pub fn timestamp(&self, source: &llb::Source, session: &session::Session, cancel: &Cancel) -> Result<Option<i64>> {
        self.look_up(source, session, cancel, |context| sources::time(source, context))
    }

    /// What a source is at the moment: a commit, the digest of a file on the web; `None` for sources of other kinds.
    pub fn pin(&self, source: &llb::Source, session: &session::Session, cancel: &Cancel) -> Result<Option<String>> {
        Ok(match self.meta(source, session, cancel, false)? {
            Some(sources::Meta::Commit { object, tagged, .. }) => Some(if tagged.is_empty() { object } else { tagged }),
            Some(sources::Meta::File { digest, .. }) => Some(digest.to_string()),
            None => None,
        })
    }

    /// What is known of a commit or of a file on the web before it is used; `None` for sources of other kinds. With
    /// `contents` also what a commit says.
    pub(crate) fn meta(
        &self,
        source: &llb::Source,
        session: &session::Session,
        cancel: &Cancel,
        contents: bool,
    ) -> Result<Option<sources::Meta>> {
        self.look_up(source, session, cancel, |context| sources::meta(source, contents, context))
    }

    /// Asks about a source, outside of a build.
    fn look_up<T>(
        &self,
        source: &llb::Source,
        session: &session::Session,
        cancel: &Cancel,
        ask: impl FnOnce(sources::Context<'_>) -> T,
    ) -> T {
        let digest = Digest::sha256(source.identifier.as_bytes());
        let progress = &progress::Vertex { sink: &progress::Silent, digest };
        ask(sources::Context { store: &self.store, snapshots: &*self.snapshots, session, progress, cancel })
    }

    /// Builds what a definition asks for, and hands it to nobody. Directories of the user's stay open until the next
    /// [`Engine::solve`] or [`Engine::close`] with the same session.
    pub(crate) fn trees(
        &self,
        request: &Request,
        mut decoded: Decoded,
        sink: &dyn progress::Sink,
    ) -> Result<Vec<Committed>> {
        ops::admit(&mut decoded.graph, &request.allow, &request.devices, sink)?;
        let aside = Aside { on_made: &|_| (), failures: None };
        let count = decoded.graph.outputs.len();
        let solved = self.build(request, decoded, count, &host_platform(), aside, sink)?;
        Ok(solved.solved.into_iter().map(|solved| solved.tree).collect())
    }

    /// Opens a tree for reading.
    pub(crate) fn files(&self, request: &Request, tree: &Committed, sink: &dyn progress::Sink) -> Result<Files> {
        self.materialise(request, tree, sink)?;
        sources::local::files(tree, &*self.snapshots, &request.session)
    }

    /// Starts a writable tree on top of another.
    pub(crate) fn prepare(&self, request: &Request, tree: &Committed, sink: &dyn progress::Sink) -> Result<Active> {
        self.materialise(request, tree, sink)?;
        self.snapshots.prepare(tree)
    }

    fn materialise(&self, request: &Request, tree: &Committed, sink: &dyn progress::Sink) -> Result<()> {
        if sources::local::is_local(tree) {
            return Ok(());
        }
        let progress = &progress::Vertex { sink, digest: Digest::sha256(b"files") };
        let (store, snapshots, cancel) = (&self.store, &*self.snapshots, &request.cancel);
        let context = sources::Context { store, snapshots, session: &request.session, progress, cancel };
        self.fetching.materialise(std::slice::from_ref(tree), context)
    }

    /// What is known of images.
    pub(crate) fn images<'a>(&'a self, request: &'a Request) -> sources::Images<'a> {
        sources::Images {
            store: Some(&self.store),
            registries: &request.session.registries,
            layouts: &request.session.oci_layouts,
            cancel: &request.cancel,
        }
    }

    /// Runs a process that is no step of a build.
    pub(crate) fn run_process(&self, spec: &Spec, output: runtime::Output<'_>, cancel: &Cancel) -> Result<Exit> {
        self.runtime.run(spec, output, cancel)
    }

    /// Closes what a session has open, when no [`Engine::solve`] follows that would.
    pub fn close(&self, session: &session::Session) {
        session.opened.close(&self.store, &*self.snapshots);
    }

    /// The first of some files that the result of a definition has, with its name and at most so many of its bytes;
    /// `None` when it has none of them.
    pub fn read_file(
        &self,
        request: &Request,
        names: &[String],
        most: u64,
        sink: &dyn progress::Sink,
    ) -> Result<Option<(String, Vec<u8>)>> {
        let _in_use = self.store.in_use(&request.cancel)?;
        let decoded = llb::decode(&request.definition).map_err(|error| Error::Definition(error.to_string()))?;
        let read = self.trees(request, decoded, sink).and_then(|trees| match trees.first() {
            Some(tree) => first_file(&self.files(request, tree, sink)?, names, most),
            None => Ok(None),
        });
        self.close(&request.session);
        read
    }

    /// Builds what a definition asks for and hands it to the outputs.
    pub fn solve(&self, request: &Request, sink: &dyn progress::Sink) -> Result<Response> {
        let _in_use = self.store.in_use(&request.cancel)?;
        let solved = self.solve_and_export(request, sink, None);
        request.session.opened.close(&self.store, &*self.snapshots);
        solved
    }

    /// The same; when a process fails, `look` sees it with all it had, before that is thrown away.
    pub fn solve_or_look(
        &self,
        request: &Request,
        sink: &dyn progress::Sink,
        look: &dyn Fn(&FailedStep<'_>),
    ) -> Result<Response> {
        let _in_use = self.store.in_use(&request.cancel)?;
        let failures = Failures::default();
        let solved = self.solve_and_export(request, sink, Some(&failures));
        if let Err(error) = &solved
            && let Some(failed) = failures.take(error)
        {
            look(&FailedStep { error, failed, runtime: &*self.runtime, cancel: &request.cancel });
        }
        request.session.opened.close(&self.store, &*self.snapshots);
        solved
    }

    fn solve_and_export(
        &self,
        request: &Request,
        sink: &dyn progress::Sink,
        failures: Option<&Failures>,
    ) -> Result<Response> {
        let mut decoded = llb::decode(&request.definition).map_err(|error| Error::Definition(error.to_string()))?;
        ops::admit(&mut decoded.graph, &request.allow, &request.devices, sink)?;
        let results = results_among(&decoded, &request.attached)?;
        request.outputs.iter().try_for_each(|output| {
            exporters::check(output, is_list(output, results), inline_only(request, output, results.len()))
        })?;
        exporters::check_apart(&request.outputs)?;
        request.cache_to.iter().filter(|cache| !cache.to.ignore_error).try_for_each(|cache| cache.to.check())?;
        let epoch = epoch(results);
        let wanted = exporters::wanted(&request.outputs, epoch)?;
        let shared = &Shared { packs: Packs::new(exporters::pace(&wanted)), epoch, needed: OnceLock::new() };
        // Packing ahead stops with the request, and when nothing will come of it any more.
        let stop = Cancel::default();
        let stopping = stop.clone();
        let _hook = request.cancel.on_cancel(move || stopping.cancel());
        let notices = progress::Notices(sink);
        let quiet = &progress::Vertex { sink: &notices, digest: Digest::sha256(b"ahead") };
        let context = self.exporting(request, shared, quiet, &stop);
        std::thread::scope(|scope| {
            let ahead = Ahead::new(scope, &wanted, context);
            let aside = Aside { on_made: &|tree| ahead.made(tree), failures };
            let built = self.build_outputs(request, decoded, aside, shared, sink);
            drop(ahead);
            let as_expected = built.and_then(|built| self.expect(request, &built, sink).map(|()| built));
            let exported = as_expected.and_then(|built| {
                let mut response = self.export_all(request, &built, shared, sink)?;
                self.export_caches(request, &built, shared, sink, &mut response)?;
                Ok(response)
            });
            exported.inspect_err(|_| stop.cancel())
        })
    }

    fn build_outputs(
        &self,
        request: &Request,
        decoded: Decoded,
        aside: Aside<'_>,
        shared: &Shared,
        sink: &dyn progress::Sink,
    ) -> Result<Vec<Built>> {
        let host = host_platform();
        let terminals = results_among(&decoded, &request.attached)?.to_vec();
        let witness = Witness::of(request, &decoded, &host)?;
        let Outcomes { mut solved, keys } = self.build(request, decoded, terminals.len(), &host, aside, sink)?;
        shared.needed.get_or_init(|| keys);
        let said = solved.split_off(terminals.len());
        let traces: Vec<_> = solved.iter_mut().map(|solved| solved.trace.take()).collect();
        let described = terminals.into_iter().zip(solved).map(|(terminal, solved)| describe(terminal, solved, &host));
        let mut built = described.collect::<Result<Vec<_>>>()?;
        if let Some(witness) = witness {
            witness.tell(request, &mut built, traces)?;
        }
        let mut room = exporters::Room::new();
        for (attached, said) in request.attached.iter().zip(said) {
            let found = exporters::statements(&self.files(request, &said.tree, sink)?, attached, &mut room)?;
            built[attached.of].said.extend(found);
        }
        built.iter_mut().for_each(|built| built.said.sort_by_key(|said| !said.is_core));
        Ok(built)
    }

    fn export_all(
        &self,
        request: &Request,
        built: &[Built],
        shared: &Shared,
        sink: &dyn progress::Sink,
    ) -> Result<Response> {
        let mut response = Response::default();
        let outputs = request.outputs.iter().filter(|output| output.kind != exporters::Kind::CacheOnly);
        for output in outputs {
            let of = results(built, &output.results(built.len()));
            let exported = self.export(request, of, output, shared, sink)?;
            let Some(name) = output.part.as_ref().and_then(|part| part.name.clone()) else {
                response.metadata.extend(exported);
                continue;
            };
            let known = response.metadata.entry(name).or_insert_with(|| serde_json::json!({}));
            if let Some(known) = known.as_object_mut() {
                known.extend(exported);
            }
        }
        Ok(response)
    }

    /// Compares results with what is expected of them.
    fn expect(&self, request: &Request, built: &[Built], sink: &dyn progress::Sink) -> Result<()> {
        for expected in &request.expected {
            for built in results(built, &expected.results) {
                let layers = built.layers(&*self.snapshots);
                expect::check(expected, built, layers, &self.files(request, &built.tree, sink)?)?;
            }
        }
        Ok(())
    }

    fn build(
        &self,
        request: &Request,
        decoded: Decoded,
        results: usize,
        host: &Platform,
        aside: Aside<'_>,
        sink: &dyn progress::Sink,
    ) -> Result<Outcomes> {
        let lent = &self.lent(request, sink)[..];
        let build = solver::Build {
            store: &self.store,
            snapshots: &*self.snapshots,
            runtime: &*self.runtime,
            fetching: &self.fetching,
            session: &request.session,
            allow: &request.allow,
            devices: &request.devices,
            network: request.network,
            sink,
            host,
            lent,
            results,
            traced: !request.attest.is_empty(),
            no_cache: request.no_cache,
            max_parallelism: request.max_parallelism,
            failures: aside.failures,
            cancel: &request.cancel,
        };
        solver::solve(&build, decoded, aside.on_made)
    }

    /// The caches that others lend for a build. One that cannot be had is left out, and said to be.
    fn lent(&self, request: &Request, sink: &dyn progress::Sink) -> Vec<Arc<Lent>> {
        // What is built without the cache has no use for theirs.
        if request.no_cache {
            return Vec::new();
        }
        request.lenders.borrow(&request.cache_from, |import| {
            let name = format!("importing cache manifest from {import}");
            let progress = &progress::Vertex { sink, digest: Digest::sha256(name.as_bytes()) };
            let (store, snapshots, session, cancel) =
                (&self.store, &*self.snapshots, &request.session, &request.cancel);
            let context = sources::Context { store, snapshots, session, progress, cancel };
            progress.during(&name, || remote_cache::lent(import, context))
        })
    }

    /// Hands the cache to others.
    fn export_caches(
        &self,
        request: &Request,
        built: &[Built],
        shared: &Shared,
        sink: &dyn progress::Sink,
        response: &mut Response,
    ) -> Result<()> {
        let Some(needed) = shared.needed.get() else { return Ok(()) };
        let mut done: Vec<&Export> = Vec::new();
        for CacheOutput { to, .. } in &request.cache_to {
            let Some(place) = to.place() else { continue };
            if done.contains(&to) {
                continue;
            }
            done.push(to);
            request.cancel.check()?;
            // What goes to one place is one cache: the next would take the place of the first.
            let same = request.cache_to.iter().filter(|other| other.to == *to);
            let which: BTreeSet<usize> = same.flat_map(|it| results_of(it.part.as_ref(), built.len())).collect();
            let built: Vec<Built> = which.iter().filter_map(|number| built.get(*number)).cloned().collect();
            let name = format!("exporting cache to {place}");
            let progress = &progress::Vertex { sink, digest: Digest::sha256(format!("{name} {to:?}").as_bytes()) };
            let context = self.exporting(request, shared, progress, &request.cancel);
            let export = || {
                let preparing = progress.part("preparing build cache for export", 0);
                let lending = exporters::lend(&built, needed, to.mode, to.wanted(), context)?;
                drop(preparing);
                remote_cache::write(to, &lending.config, &lending.blobs, context.sources)
            };
            match progress.during(&name, export) {
                Ok(Some(manifest)) => {
                    response.metadata.insert("cache.manifest".into(), serde_json::json!(manifest));
                }
                Ok(None) => {}
                // It is shown as an error.
                Err(error) if to.ignore_error && !matches!(error, Error::Cancelled) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn export(
        &self,
        request: &Request,
        built: &[Built],
        output: &Output,
        shared: &Shared,
        sink: &dyn progress::Sink,
    ) -> Result<exporters::Metadata> {
        request.cancel.check()?;
        let name = exporters::title(output.kind);
        let progress = &progress::Vertex { sink, digest: Digest::sha256(name.as_bytes()) };
        let mut context = self.exporting(request, shared, progress, &request.cancel);
        let is_of_it = |cache: &CacheOutput| cache.part.is_none() || cache.part == output.part;
        if request.cache_to.iter().any(|cache| cache.to.place().is_none() && is_of_it(cache)) {
            context.inline = shared.needed.get();
        }
        progress.during(name, || exporters::export(built, output, context))
    }

    fn exporting<'a>(
        &'a self,
        request: &'a Request,
        shared: &'a Shared,
        progress: &'a progress::Vertex<'a>,
        cancel: &'a Cancel,
    ) -> exporters::Context<'a> {
        let (store, snapshots) = (&self.store, &*self.snapshots);
        let sources = sources::Context { store, snapshots, session: &request.session, progress, cancel };
        let Shared { packs, epoch, .. } = shared;
        let (epoch, fetching) = (*epoch, &self.fetching);
        exporters::Context { store, snapshots, epoch, progress, cancel, packs, inline: None, fetching, sources }
    }
}

/// Which outputs of a definition are results: all but the last, which are said of them.
///
/// **Errors**: something is said of what is no result.
fn results_among<'d>(decoded: &'d Decoded, attached: &[Attached]) -> Result<&'d [llb::Output]> {
    let outputs = &decoded.graph.outputs;
    let results = outputs.len().checked_sub(attached.len()).and_then(|count| outputs.get(..count));
    let results = results.filter(|results| attached.iter().all(|attached| attached.of < results.len()));
    results.ok_or_else(|| Error::Definition("something is said of a result that there is not".into()))
}

/// Where something is to be said of what an output gets, whether all of that is for stores and registries only.
fn inline_only(request: &Request, output: &Output, count: usize) -> Option<bool> {
    let of_it = |attest: &&Attest| attest.part.is_none() || attest.part == output.part;
    let made = request.attest.iter().find(of_it).map(|attest| attest.asked.attrs.inline_only);
    let results = output.results(count);
    let said = request.attached.iter().filter(|attached| results.contains(&attached.of));
    made.into_iter().chain(said.map(|attached| attached.inline_only)).reduce(|one, other| one && other)
}

/// Some of the results.
fn results<'b>(built: &'b [Built], which: &Range<usize>) -> &'b [Built] {
    built.get(which.clone()).unwrap_or_default()
}

fn first_file(files: &Files, names: &[String], most: u64) -> Result<Option<(String, Vec<u8>)>> {
    for name in names {
        let file = match files.open_file(Path::new(name)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            opened => opened.map_err(Error::io("open", name))?,
        };
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes).map_err(Error::io("read", name))?;
        return Ok(Some((name.clone(), bytes)));
    }
    Ok(None)
}

/// A result with what the terminal vertex says of it.
fn describe(terminal: llb::Output, solved: Solved, host: &Platform) -> Result<Built> {
    let listed = is_listed(&terminal);
    let platform = platform_of(&terminal, host)?;
    let description = &terminal.meta.description;
    let config = description.get("containerimage.config").map(|text| text.clone().into_bytes());
    let base_config = description.get("containerimage.base.config").map(|text| text.clone().into_bytes());
    let name = description.get("image.name").cloned();
    let annotations = description.iter().filter(|(key, _)| exporters::is_annotation(key));
    let annotations = annotations.map(|(key, value)| (key.to_string(), value.clone())).collect();
    let said = Vec::new();
    let Solved { tree, made, keys, trace: _ } = solved;
    Ok(Built { tree, made, keys, platform, config, base_config, listed, name, attested: None, said, annotations })
}

/// What a result runs on, as the terminal vertex says.
fn platform_of(terminal: &llb::Output, host: &Platform) -> Result<Platform> {
    Ok(match (terminal.meta.description.get("platform"), &terminal.platform) {
        (Some(text), _) => Platform::parse(text, host)
            .map_err(|error| Error::Definition(format!("platform of the result: {error}")))?
            .normalize(),
        (None, Some(platform)) => platform.normalize(),
        (None, None) => host.clone(),
    })
}

/// What results say timestamps are to be set to.
fn epoch(results: &[llb::Output]) -> Option<i64> {
    results.iter().find_map(|result| result.meta.description.get("source-date-epoch"))?.parse().ok()
}

/// Whether a result is of a list, even of one.
fn is_listed(terminal: &llb::Output) -> bool {
    terminal.meta.description.get("multi-platform").is_some_and(|text| text == "true")
}

/// Whether what an output gets is a list.
fn is_list(output: &Output, results: &[llb::Output]) -> bool {
    let results = results.get(output.results(results.len())).unwrap_or_default();
    results.len() > 1 || results.iter().any(is_listed)
}

/// The platform this process runs on, in normal form.
pub(crate) fn host_platform() -> Platform {
    Platform::new(std::env::consts::OS, std::env::consts::ARCH).normalize()
}
