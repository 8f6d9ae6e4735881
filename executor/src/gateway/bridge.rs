//! Answers the calls of one frontend.

use std::collections::BTreeMap;
use std::sync::Mutex;

use ::gateway::caps;
use ::gateway::message::{
    Attestation, Attestations, CacheOptionsEntry, EvaluateRequest, EvaluateResponse, InputsRequest, InputsResponse,
    PingRequest, Platform, PongResponse, ReadDirRequest, ReadDirResponse, ReadFileRequest, ReadFileResponse, Ref,
    RefMap, Request, ResolveImageConfigRequest, ResolveImageConfigResponse, ResolveSourceImageResponse,
    ResolveSourceMetaRequest, ResolveSourceMetaResponse, Result as Solved, ReturnRequest, ReturnResponse, SolveRequest,
    SolveResponse, SourceOp, StatFileRequest, StatFileResponse, WarnRequest, WarnResponse, WorkerRecord, result,
};
use ::gateway::{Code, Status};

use super::references::{Reference, References};
use super::{Frontend, Results, Returned, Said, Seen, container, files, wire};
use crate::ops;
use crate::progress::Sink;
use crate::provenance::Image;
use crate::remote_cache::Import;
use crate::sources::Mode;

type Answer<T> = std::result::Result<T, Status>;

/// Methods for processes in containers that a frontend starts itself.
const CONTAINERS: &[&str] =
    &["NewContainer", "ReleaseContainer", "ExecProcess", "ReadFileContainer", "ReadDirContainer", "StatFileContainer"];

/// Answers one frontend.
pub(super) struct Bridge<'a> {
    frontend: &'a Frontend<'a>,
    sink: &'a dyn Sink,
    references: References,
    returned: Mutex<Option<Answer<Returned>>>,
    seen: Mutex<Seen>,
}

/// Why a lock is whole.
const SEEN: &str = "no panic while it is noted what was seen";

impl<'a> Bridge<'a> {
    /// Nothing has been asked yet.
    pub(super) fn new(frontend: &'a Frontend<'a>, sink: &'a dyn Sink) -> Self {
        Self { frontend, sink, references: References::default(), returned: Mutex::default(), seen: Mutex::default() }
    }

    /// What was returned, if anything was.
    pub(super) fn returned(&self) -> Option<Answer<Returned>> {
        self.returned.lock().expect("no panic while the result is held").clone()
    }

    /// Ends the frontend with an error, unless it has returned.
    pub(super) fn fail(&self, status: Status) {
        self.returned.lock().expect("no panic while the result is held").get_or_insert(Err(status));
    }

    /// Answers a call.
    pub(super) fn call(&self, method: &str, message: &[u8]) -> Answer<Vec<u8>> {
        match method {
            PingRequest::METHOD => answer(message, |_: PingRequest| Ok(self.pong())),
            SolveRequest::METHOD => answer(message, |request| self.solve(request)),
            ReadFileRequest::METHOD => answer(message, |request| self.read_file(&request)),
            ReadDirRequest::METHOD => answer(message, |request| self.read_dir(&request)),
            StatFileRequest::METHOD => answer(message, |request| self.stat_file(&request)),
            EvaluateRequest::METHOD => answer(message, |request| self.evaluate(&request)),
            ResolveImageConfigRequest::METHOD => answer(message, |request| self.image_config(&request)),
            ResolveSourceMetaRequest::METHOD => answer(message, |request| self.source_meta(request)),
            InputsRequest::METHOD => answer(message, |_: InputsRequest| self.inputs()),
            WarnRequest::METHOD => answer(message, |request| self.warn(&request)),
            ReturnRequest::METHOD => answer(message, |request| self.take(request)),
            method if CONTAINERS.contains(&method) => Err(unimplemented(format!(
                "{method} is not supported: frontends cannot start processes here yet; put them into the definition"
            ))),
            method => Err(unimplemented(format!("there is no method {method}"))),
        }
    }

    fn pong(&self) -> PongResponse {
        let host = (&crate::host_platform()).into();
        let worker = WorkerRecord { id: "executor".to_owned(), platforms: vec![host], ..WorkerRecord::default() };
        PongResponse {
            frontend_api_caps: caps::announce(caps::ALL.iter().copied()),
            llb_caps: caps::announce(ops::caps::ANNOUNCED.iter().copied()),
            workers: vec![worker],
        }
    }

    fn solve(&self, request: SolveRequest) -> Answer<SolveResponse> {
        request.cache_imports.iter().for_each(|entry| self.borrow_from(entry));
        let returned = match request.frontend.as_str() {
            "" => Returned { results: Results::One(request.definition), ..Returned::default() },
            "gateway.v0" => self.nested(request.frontend_opt, request.frontend_inputs)?,
            other => {
                let message =
                    format!("frontend {other} is not in this builder: name an image (gateway.v0 with source=IMAGE)");
                return Err(unimplemented(message));
            }
        };
        let Returned { results, metadata, said_of, seen } = returned;
        self.see(|all| {
            all.images.extend(seen.images);
            all.locals.extend(seen.locals);
        });
        let add = |definition: Vec<u8>| {
            let (id, reference) = self.references.add(definition)?;
            if request.evaluate
                && let Some(reference) = reference
            {
                self.tree(&reference)?;
            }
            Ok::<_, Status>(id)
        };
        let result = match results {
            Results::None => None,
            Results::One(definition) => {
                let def = definition.clone();
                Some(result::Result::Ref(Ref { id: add(definition)?, def }))
            }
            Results::Many(all) => {
                let named = all.into_iter().map(|(name, def)| Ok((name, Ref { id: add(def.clone())?, def })));
                Some(result::Result::Refs(named.collect::<Answer<RefMap>>()?))
            }
        };
        let said = |Said { message, definition }: Said| {
            let found = Ref { id: add(definition.clone())?, def: definition };
            Ok::<_, Status>(Attestation { r#ref: Some(found), ..message })
        };
        let attestations = said_of.into_iter().map(|(platform, all)| {
            let attestation = all.into_iter().map(said).collect::<Answer<Vec<_>>>()?;
            Ok((platform, Attestations { attestation }))
        });
        let attestations = attestations.collect::<Answer<BTreeMap<_, _>>>()?;
        let solved = Solved { result, metadata, attestations };
        Ok(response(request.allow_result_array_ref, request.allow_result_return, solved))
    }

    /// Looks in a cache that the frontend names, from now on. A directory of the user's must have been given for that.
    fn borrow_from(&self, entry: &CacheOptionsEntry) {
        let Frontend { request, .. } = self.frontend;
        let refused = |why: &str| {
            let message = format!("the cache of type={} that the frontend names is not looked in: {why}", entry.r#type);
            container::warn(self.sink, message);
        };
        match Import::new(&entry.r#type, &entry.attrs) {
            Ok(import) if request.cache_from.contains(&import) => {}
            Ok(import @ Import::Registry { .. }) => request.lenders.add(import),
            Ok(Import::Local { .. }) => refused("the directory is not one of --cache-from"),
            Err(error) => refused(&error.to_string()),
        }
    }

    fn nested(&self, opts: BTreeMap<String, String>, inputs: BTreeMap<String, Vec<u8>>) -> Answer<Returned> {
        let source = opts.get("source").cloned();
        let source = source.ok_or_else(|| Status::new(Code::InvalidArgument, "no source specified for gateway"))?;
        let Frontend { engine, request, depth, .. } = *self.frontend;
        let nested = Frontend { engine, request, source, opts, inputs, depth: depth + 1 };
        nested.run(self.sink).map_err(wire::status)
    }

    fn tree(&self, reference: &Reference) -> Answer<crate::snapshot::Committed> {
        let Frontend { engine, request, .. } = self.frontend;
        let solve = |decoded: llb::Decoded| {
            self.see(|seen| seen.locals.extend(locals(&decoded.graph)));
            engine.trees(request, decoded, self.sink)
        };
        reference.tree(solve).map_err(wire::status)
    }

    /// Takes note of something for the provenance.
    fn see(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.seen.lock().expect(SEEN));
    }

    /// Takes note of an image that is looked up.
    pub(super) fn see_image(&self, name: &str, platform: &oci::Platform, digest: &oci::Digest) {
        let (name, is_local) = match name.strip_prefix("oci-layout://") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let (name, platform, digest) = (name.to_owned(), platform.clone(), digest.clone());
        self.see(|seen| seen.images.push(Image { name, platform, digest, is_local }));
    }

    fn files(&self, id: &str) -> Answer<crate::snapshot::Files> {
        let reference = self.references.find(id)?;
        let tree = self.tree(&reference)?;
        let Frontend { engine, request, .. } = self.frontend;
        engine.files(request, &tree, self.sink).map_err(wire::status)
    }

    fn read_file(&self, request: &ReadFileRequest) -> Answer<ReadFileResponse> {
        Ok(ReadFileResponse {
            data: files::read(&self.files(&request.r#ref)?, &request.file_path, request.range.as_ref())?,
        })
    }

    fn read_dir(&self, request: &ReadDirRequest) -> Answer<ReadDirResponse> {
        let entries = files::list(&self.files(&request.r#ref)?, &request.dir_path, &request.include_pattern)?;
        Ok(ReadDirResponse { entries })
    }

    fn stat_file(&self, request: &StatFileRequest) -> Answer<StatFileResponse> {
        Ok(StatFileResponse { stat: Some(files::stat(&self.files(&request.r#ref)?, &request.path)?) })
    }

    fn evaluate(&self, request: &EvaluateRequest) -> Answer<EvaluateResponse> {
        let reference = self.references.find(&request.r#ref)?;
        self.tree(&reference).map(|_| EvaluateResponse {})
    }

    fn resolve(&self, name: &str, platform: Option<&Platform>, mode: &str) -> Answer<crate::sources::Resolved> {
        let platform = platform.map_or_else(crate::host_platform, |platform| oci::Platform::from(platform).normalize());
        let mode = Mode::named(mode);
        let images = self.frontend.engine.images(self.frontend.request);
        let found = images.resolve(name, &platform, mode).map_err(wire::status)?;
        self.see_image(name, &platform, &found.digest);
        Ok(found)
    }

    fn image_config(&self, request: &ResolveImageConfigRequest) -> Answer<ResolveImageConfigResponse> {
        let name = match request.resolver_type {
            0 => request.r#ref.clone(),
            _ => wire::layout(&request.store_id, &request.r#ref),
        };
        let found = self.resolve(&name, request.platform.as_ref(), &request.resolve_mode)?;
        let digest = found.digest.to_string();
        Ok(ResolveImageConfigResponse { digest, config: found.config, r#ref: request.r#ref.clone() })
    }

    fn source_meta(&self, request: ResolveSourceMetaRequest) -> Answer<ResolveSourceMetaResponse> {
        let source = request.source.unwrap_or_default();
        let name = match source.identifier.split_once("://") {
            Some(("docker-image", name)) => name.to_owned(),
            Some(("oci-layout", name)) => {
                wire::layout(source.attrs.get("oci.store").map(String::as_str).unwrap_or_default(), name)
            }
            _ => return self.remote_meta(source, request.git.is_some_and(|git| git.return_object)),
        };
        let found = self.resolve(&name, request.platform.as_ref(), &request.resolve_mode)?;
        let image = ResolveSourceImageResponse { digest: found.digest.to_string(), config: found.config };
        Ok(ResolveSourceMetaResponse { source: Some(source), image: Some(image), ..Default::default() })
    }

    /// What is known of a commit or a file on the web; parity: of other sources nothing is, which is no error.
    fn remote_meta(&self, source: SourceOp, contents: bool) -> Answer<ResolveSourceMetaResponse> {
        let wanted =
            llb::Source { identifier: source.identifier.clone(), attrs: source.attrs.clone().into_iter().collect() };
        let Frontend { engine, request, .. } = self.frontend;
        let found = engine.meta(&wanted, &request.session, &request.cancel, contents).map_err(wire::status)?;
        let mut response = ResolveSourceMetaResponse { source: Some(source), ..Default::default() };
        if let Some(meta) = found {
            wire::put_meta(meta, &mut response);
        }
        Ok(response)
    }

    fn inputs(&self) -> Answer<InputsResponse> {
        Ok(InputsResponse { definitions: self.frontend.inputs.clone() })
    }

    fn warn(&self, request: &WarnRequest) -> Answer<WarnResponse> {
        self.sink.event(wire::warning(request));
        Ok(WarnResponse {})
    }

    fn take(&self, request: ReturnRequest) -> Answer<ReturnResponse> {
        let returned = match (request.result, request.error) {
            (Some(result), None) => Ok(self.returned_result(result)?),
            (None, Some(error)) => Err(Status::from_message(error)),
            _ => return Err(Status::new(Code::InvalidArgument, "gateway return must be either result or err")),
        };
        let mut slot = self.returned.lock().expect("no panic while the result is held");
        if slot.is_some() {
            return Err(Status::new(Code::FailedPrecondition, "gateway result is already set"));
        }
        *slot = Some(returned);
        Ok(ReturnResponse {})
    }

    fn returned_result(&self, result: Solved) -> Answer<Returned> {
        let definition = |id: &str| self.references.definition(id);
        let said = |message: Attestation| {
            let definition = definition(message.r#ref.as_ref().map_or("", |found| &found.id))?;
            Ok::<_, Status>(Said { message, definition })
        };
        let said_of = result.attestations.into_iter().map(|(platform, all)| {
            let all = all.attestation.into_iter().map(said).collect::<Answer<Vec<_>>>()?;
            Ok((platform, all))
        });
        let said_of = said_of.collect::<Answer<BTreeMap<_, _>>>()?;
        let many = |refs: BTreeMap<String, String>| {
            refs.into_iter().map(|(name, id)| Ok((name, definition(&id)?))).collect::<Answer<_>>().map(Results::Many)
        };
        let results = match result.result {
            None => Results::None,
            // A result of nothing with something to say is the answer to a request.
            Some(result::Result::Id(id)) => Results::One(definition(&id)?),
            Some(result::Result::Ref(found)) => Results::One(definition(&found.id)?),
            Some(result::Result::Ids(ids)) => many(ids.refs)?,
            Some(result::Result::Refs(refs)) => many(refs.into_iter().map(|(name, found)| (name, found.id)).collect())?,
        };
        let seen = self.seen.lock().expect(SEEN).clone();
        Ok(Returned { results, metadata: result.metadata, said_of, seen })
    }
}

/// Names of the local directories of a graph.
fn locals(graph: &llb::Graph) -> impl Iterator<Item = String> {
    graph.nodes.iter().filter_map(|node| match &node.op {
        llb::Op::Source(source) => source.identifier.strip_prefix("local://").map(str::to_owned),
        _ => None,
    })
}

fn answer<Q: Request + Default>(message: &[u8], work: impl FnOnce(Q) -> Answer<Q::Response>) -> Answer<Vec<u8>> {
    let request = Q::decode(message).map_err(|error| {
        Status::new(Code::InvalidArgument, format!("cannot read a request of {}: {error}", Q::METHOD))
    })?;
    work(request).map(|response| ::gateway::message::encode(&response))
}

/// A result in the newest form the frontend takes.
fn response(array: bool, returns: bool, mut solved: Solved) -> SolveResponse {
    let plain = match &solved.result {
        Some(result::Result::Ref(found)) => found.id.clone(),
        _ => String::new(),
    };
    if !returns {
        return SolveResponse { r#ref: plain, result: None };
    }
    solved.result = match solved.result {
        Some(result::Result::Ref(found)) if !array => Some(result::Result::Id(found.id)),
        Some(result::Result::Refs(refs)) if !array => {
            let ids = refs.into_iter().map(|(name, found)| (name, found.id)).collect();
            Some(result::Result::Ids(::gateway::message::IdMap { refs: ids }))
        }
        other => other,
    };
    SolveResponse { r#ref: plain, result: Some(solved) }
}

fn unimplemented(message: String) -> Status {
    Status::new(Code::Unimplemented, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use crate::{Engine, Request as Build};

    #[test]
    fn sources_of_which_nothing_is_known() {
        let root = tempfile::tempdir().unwrap();
        let (engine, build) = (Engine::open(root.path()).unwrap(), Build::default());
        let frontend = Frontend::new(&engine, &build, "frontend".into(), BTreeMap::new());
        let bridge = Bridge::new(&frontend, &Silent);
        let ask = |identifier: &str| {
            let source = SourceOp { identifier: identifier.into(), ..SourceOp::default() };
            bridge.source_meta(ResolveSourceMetaRequest { source: Some(source), ..Default::default() })
        };
        let known = ask("local://context").unwrap();
        assert_eq!(known.source.unwrap().identifier, "local://context");
        assert!(known.image.is_none() && known.git.is_none() && known.http.is_none());
        assert!(ask("other://context").unwrap_err().to_string().contains("source scheme other:// is not supported"));
    }
}
