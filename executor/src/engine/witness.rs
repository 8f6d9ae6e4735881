//! Who takes notes of a build whose results are to say how they were made. Without somebody who asks there is none.

use llb::Decoded;
use oci::{Platform, Time};
use serde_json::{Map, Value};

use super::{Attest, Request, environment, results_of};
use crate::exporters::{Attested, Built};
use crate::provenance::Provenance;
use crate::snapshot::LayerId;
use crate::solver::Trace;
use crate::{Error, Result, clock};

/// What is known when a build begins.
pub(super) struct Witness {
    invocation: String,
    started: Time,
    host: Platform,
    environment: Map<String, Value>,
    definition: llb::Definition,
}

impl Witness {
    /// `None` where nobody asks.
    pub(super) fn of(request: &Request, decoded: &Decoded, host: &Platform) -> Result<Option<Self>> {
        if request.attest.is_empty() {
            return Ok(None);
        }
        let is_told = request.attest.iter().any(|attest| attest.asked.attrs.max);
        Ok(Some(Self {
            invocation: LayerId::random()?.0.to_string(),
            started: clock::now(),
            host: host.clone(),
            environment: request.provenance_dir.as_deref().map_or_else(|| Ok(Map::new()), environment::read)?,
            definition: if is_told { decoded.definition.clone() } else { llb::Definition::default() },
        }))
    }

    /// Gives results what there is to say of them.
    pub(super) fn tell(&self, request: &Request, built: &mut [Built], traces: Vec<Option<Trace>>) -> Result<()> {
        let mut traces: Vec<Trace> = traces.into_iter().map(Option::unwrap_or_default).collect();
        for Attest { asked, part } in &request.attest {
            let results = results_of(part.as_ref(), built.len());
            let Some(of_it) = built.get_mut(results.clone()) else { continue };
            let platforms: Vec<Platform> = of_it.iter().map(|built| built.platform.clone()).collect();
            for (number, built) in results.zip(of_it) {
                let Trace { mut capture, gave } = std::mem::take(&mut traces[number]);
                capture.locals.extend(asked.locals.iter().cloned());
                capture.add_looked_up(&asked.images, &platforms, &built.platform);
                if asked.attrs.complete_materials {
                    capture.check_complete()?;
                }
                let steps = asked.attrs.max.then(|| llb::dump::steps(&self.definition, number)).transpose();
                let provenance = Provenance {
                    asked: asked.clone(),
                    capture,
                    steps: steps.map_err(|error| Error::Definition(error.to_string()))?,
                    invocation: self.invocation.clone(),
                    started: self.started,
                    builder: self.host.clone(),
                    environment: self.environment.clone(),
                };
                built.attested = Some(Box::new(Attested { provenance, gave }));
            }
        }
        Ok(())
    }
}
