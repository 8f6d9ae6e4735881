//! Bills of materials of results that came without: nobody but the engine is there to have them made.

use std::collections::BTreeMap;

use llb::Graph;
use llb::scan::{PREDICATE, Scanned, Scanner};

use super::{Engine, Request, host_platform, platform_of, results_among};
use crate::exporters::Attached;
use crate::sources::Mode;
use crate::{Error, Result};

impl Engine {
    /// Adds the making of a bill of materials of each result to a definition, unless somebody says what is in them already.
    ///
    /// parity: `solver/llbsolver/proc/sbom.go` of BuildKit v0.32, but for its bill of nothing: there it makes none.
    ///
    /// **Errors**: a scanner that is not there, or whose image starts no process.
    pub fn scan(&self, request: &mut Request, scanner: &Scanner, mode: Mode, ignore_cache: bool) -> Result<()> {
        if request.attached.iter().any(|attached| attached.predicate_type == PREDICATE) {
            return Ok(());
        }
        let decoded = llb::decode(&request.definition).map_err(|error| Error::Definition(error.to_string()))?;
        let results = results_among(&decoded, &request.attached)?.to_vec();
        let found = self.images(request).resolve(&scanner.image, &scanner.platform, mode)?;
        let mut graph: Graph = decoded.graph;
        for (of, result) in results.iter().enumerate() {
            let platform = platform_of(result, &host_platform())?;
            let scanned = Scanned { platform: &platform, core: result.edge, extras: &BTreeMap::new(), ignore_cache };
            let edge = scanner.add(&mut graph, scanned, &found.config).map_err(Error::Invalid)?;
            graph.outputs.push(llb::Output { edge: Some(edge), ..llb::Output::default() });
            request.attached.push(Attached::bill(of));
        }
        request.definition = llb::encode_to_bytes(&graph).map_err(|error| Error::Definition(error.to_string()))?;
        Ok(())
    }
}
