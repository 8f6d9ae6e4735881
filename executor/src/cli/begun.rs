//! A runtime that makes what steps run in while nobody knows the steps yet.
//!
//! Where the cache holds nothing for a build, its first step would wait for a container's process, its control group and its
//! network, which takes as long as it takes to start the program, read the definition and open the store: so both are done
//! at once. A build that may find everything in the cache begins with that when it first finds something missing.

use std::path::Path;
use std::sync::Arc;

use super::{Network, RunArgs, StoreArgs};
use crate::Result;
use crate::runtime::{Embedded, OciRuntime, Runtime};

/// The runtime of a build that takes nothing from the cache, at work already; `None` for a build that may.
///
/// **Errors**: there is no such runtime.
pub fn begun(args: &RunArgs, store: &StoreArgs, network: Network) -> Result<Option<Arc<dyn Runtime>>> {
    let is_first = || args.cache_from.is_empty() && !store.directory().exists();
    if !args.no_cache && !is_first() {
        return Ok(None);
    }
    let runtime = runtime(args.oci_runtime.as_deref())?;
    let begun = runtime.clone();
    // Nobody waits for it: whoever needs what it makes does.
    std::thread::spawn(move || begun.expect(matches!(network, Network::Default | Network::Sandbox)));
    Ok(Some(runtime))
}

/// The runtime asked for.
pub(super) fn runtime(program: Option<&Path>) -> Result<Arc<dyn Runtime>> {
    Ok(match program {
        Some(program) => Arc::new(OciRuntime::find(program)?),
        None => Arc::new(Embedded::new()),
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::Args;
    use super::*;

    #[test]
    fn only_what_cannot_come_from_the_cache_is_begun() {
        let dir = tempfile::tempdir().unwrap();
        let (there, new) = (dir.path().to_str().unwrap(), dir.path().join("new"));
        let is_begun = |words: &[&str]| {
            let words = ["executor"].iter().chain(words);
            let args = Args::checked(Args::command().try_get_matches_from(words).unwrap()).unwrap();
            begun(&args.run, &args.store, args.network).unwrap().is_some()
        };
        let new = new.to_str().unwrap();
        assert!(is_begun(&["--no-cache", "--root", there]));
        assert!(!is_begun(&["--root", there]));
        assert!(is_begun(&["--root", new]));
        assert!(!is_begun(&["--root", new, "--import-cache", "type=local,src=."]));
    }

    #[test]
    fn a_runtime_that_is_not_there_is_said_at_once() {
        let words = ["executor", "--no-cache", "--oci-runtime", "/no/such/runtime"];
        let args = Args::checked(Args::command().try_get_matches_from(words).unwrap()).unwrap();
        let error = begun(&args.run, &args.store, args.network).err().unwrap();
        assert_eq!(error.to_string(), "no OCI runtime at /no/such/runtime");
    }
}
