//! A build as it begins: what the builder can do, what the client handed in, what is asked for.

use std::collections::BTreeMap;
use std::fmt::Display;

use compiler::Options;
use compiler::plan::{CacheImport, cache_imports};
use gateway::caps::{self, Caps};
use gateway::message::{CacheOptionsEntry, InputsRequest, PingRequest, Request, SolveRequest, SolveResponse, result};
use gateway::{Bridge, Calls, Code, Status};
use llb::{Definition, FieldOrder, Graph};

use crate::asked;
use crate::environment::Environment;

/// File operations in LLB: without them nothing can be built.
const FILES: &str = "file.base";

/// What builders say that they can since they write fields in the order of today (v0.17). A builder that is given another
/// order writes a vertex anew, and no longer finds by its digest where it stands in the build file.
const OF_NEW_FIELDS: &str = "exec.validexitcode";

/// A build.
pub(crate) struct Session<'b> {
    /// The builder.
    pub(crate) bridge: &'b Bridge,
    /// What it can do.
    pub(crate) caps: Caps,
    /// What is wanted.
    pub(crate) options: Options,
    /// Definitions the client handed in, as they came.
    pub(crate) inputs: BTreeMap<String, Vec<u8>>,
}

impl<'b> Session<'b> {
    /// Learns what the builder can do and what the client handed in.
    pub(crate) fn start(bridge: &'b Bridge, environment: Environment) -> Result<Self, Status> {
        let pong = bridge.call(&PingRequest {})?;
        let caps = Caps::of_frontend(&pong.frontend_api_caps);
        let llb_caps = Caps::of_llb(&pong.llb_caps);
        if !llb_caps.has(FILES) || !caps.has(caps::RETURN) {
            return Err(Status::new(Code::Unimplemented, "needs BuildKit 0.5 or later"));
        }
        let inputs = if caps.has(caps::INPUTS) { bridge.call(&InputsRequest {})?.definitions } else { BTreeMap::new() };
        let options = Options {
            labs: asked::labs(&environment.opts)?,
            opts: environment.opts,
            build_platforms: environment.platforms,
            session: environment.session,
            rules: Vec::new(),
            llb_caps: Some(llb_caps.into_names()),
            inputs: inputs
                .iter()
                .map(|(name, bytes)| Ok((name.clone(), input(name, bytes)?)))
                .collect::<Result<_, _>>()?,
        };
        Ok(Self { bridge, caps, options, inputs })
    }

    /// An option's value.
    pub(crate) fn opt(&self, name: &str) -> Option<&str> {
        self.options.opts.get(name).map(String::as_str)
    }

    /// A solve of a definition. Caches are named in every one, as BuildKit does.
    pub(crate) fn solve_request(&self, definition: Vec<u8>) -> SolveRequest {
        SolveRequest { definition, cache_imports: self.cache_imports(), ..plain_solve() }
    }

    /// Caches to import: `cache-imports` (JSON), and `cache-from` (names of images) of older clients. What is malformed
    /// the planner refuses.
    fn cache_imports(&self) -> Vec<CacheOptionsEntry> {
        if !self.caps.has(caps::IMPORT_CACHES) {
            return Vec::new();
        }
        let imports = cache_imports(self.opt("cache-imports").unwrap_or_default()).unwrap_or_default();
        let images = self.opt("cache-from").unwrap_or_default().split(',').filter(|name| !name.is_empty());
        let of_image = |name: &str| CacheOptionsEntry {
            r#type: "registry".to_owned(),
            attrs: BTreeMap::from([("ref".to_owned(), name.to_owned())]),
        };
        let given = imports.into_iter().map(|CacheImport { kind, attrs }| CacheOptionsEntry { r#type: kind, attrs });
        given.chain(images.map(of_image)).collect()
    }

    /// Waits for the answer to a call.
    pub(crate) fn call<Q: Request>(&self, request: &Q) -> Result<Q::Response, Status> {
        self.bridge.call(request)
    }
}

/// A graph as the builder's own clients write it: what they have asked for already is then the same vertex. That matters
/// where a thing can be had only once, such as an archive that Docker's client sends along.
pub(crate) fn encode(
    options: &Options,
    graph: &Graph,
) -> Result<(Definition, Vec<Option<oci::Digest>>), llb::EncodeError> {
    let fields = if options.supports(OF_NEW_FIELDS) { FieldOrder::OperationLast } else { FieldOrder::Ascending };
    llb::encode_ordered(graph, fields)
}

/// Whether the result has names, even if it is one; `platforms` is how many are wanted.
pub(crate) fn multi_platform(options: &Options, platforms: usize) -> bool {
    let asked = ["build-arg:BUILDKIT_MULTI_PLATFORM", "multi-platform"].into_iter();
    let asked = asked.filter_map(|key| options.opts.get(key)).filter(|text| !text.is_empty());
    asked.map(String::as_str).find_map(ast::parse_bool).unwrap_or(platforms > 1)
}

/// A solve of nothing, with results in the form of today.
pub(crate) fn plain_solve() -> SolveRequest {
    SolveRequest { allow_result_return: true, allow_result_array_ref: true, ..SolveRequest::default() }
}

/// Solves a definition; the name of its one result, empty for scratch.
pub(crate) async fn solve(calls: &Calls, request: &SolveRequest) -> Result<String, Status> {
    single(calls.call(request).await?)
}

/// The name of the one result of a solve; empty for scratch.
pub(crate) fn single(response: SolveResponse) -> Result<String, Status> {
    match response.result.and_then(|result| result.result) {
        None => Ok(response.r#ref),
        Some(result::Result::Id(id)) => Ok(id),
        Some(result::Result::Ref(found)) => Ok(found.id),
        Some(result::Result::Ids(_) | result::Result::Refs(_)) => {
            Err(Status::new(Code::Internal, "the builder gave several results for one definition"))
        }
    }
}

fn input(name: &str, bytes: &[u8]) -> Result<Graph, Status> {
    let failed = |code, error: &dyn Display| Status::new(code, format!("failed to get frontend inputs: {error}"));
    let graph =
        llb::decode(bytes).map_err(|error| failed(Code::InvalidArgument, &format!("input {name}: {error}")))?.graph;
    // parity: in BuildKit's words.
    let is_nothing = graph.outputs.iter().all(|output| output.edge.is_none());
    if is_nothing { Err(failed(Code::Unknown, &"invalid nil input definition to definition op")) } else { Ok(graph) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway::message::{Ref, Result as Solved};

    /// Not all that a builder can is said by it: v0.32 says nothing of `file.copy.modestring`.
    #[test]
    fn vertices_are_written_as_the_builder_writes_them() {
        let graph =
            llb::text::parse("%0 = source \"docker-image://a\" platform(\"linux\", \"amd64\")\noutput %0").unwrap();
        let digest = |caps: &[&str]| {
            let caps = caps.iter().map(|cap| (*cap).to_owned()).collect();
            let options = Options { llb_caps: Some(caps), ..Options::default() };
            encode(&options, &graph).unwrap().1[0].clone()
        };
        let today = llb::encode_traced(&graph).unwrap().1[0].clone();
        assert_eq!(digest(&["file.base", "exec.validexitcode"]), today);
        assert_ne!(digest(&["file.base"]), today);
    }

    #[test]
    fn an_input_of_nothing_is_refused() {
        let said = "failed to get frontend inputs: invalid nil input definition to definition op";
        assert_eq!(input("context", b"").unwrap_err().message, said);
    }

    #[test]
    fn results_old_and_new() {
        let response = |result| SolveResponse { r#ref: "plain".into(), result };
        let solved = |result| response(Some(Solved { result: Some(result), ..Solved::default() }));
        assert_eq!(single(response(None)).unwrap(), "plain");
        assert_eq!(single(solved(result::Result::Id("a".into()))).unwrap(), "a");
        assert_eq!(single(solved(result::Result::Ref(Ref { id: "b".into(), def: Vec::new() }))).unwrap(), "b");
        assert!(single(solved(result::Result::Refs(Default::default()))).is_err());
    }
}
