//! One vertex: its key, and its run. Decide first, act later: [`key`](crate::cache::key) is pure but for sources, which
//! pin; `run` does the work.
//!
//! Every op gets its inputs as trees whose files are on this machine (lazy layers were fetched), in wire order, and
//! returns its outputs as trees, by output number.

use crate::runtime::Runtime;
use crate::session::Session;
use crate::snapshot::Snapshots;
use crate::store::Store;
use crate::{Cancel, progress};

/// What an op works with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Blobs, layers, the place for cache mounts.
    pub store: &'a Store,
    /// Trees.
    pub snapshots: &'a dyn Snapshots,
    /// Processes.
    pub runtime: &'a dyn Runtime,
    /// The user's directories, secrets, agents.
    pub session: &'a Session,
    /// Entitlements granted: `network.host`, `security.insecure`.
    pub allow: &'a [String],
    /// The vertex: its platform, metadata, operation.
    pub node: &'a llb::Node,
    /// Where to tell what it does.
    pub progress: &'a progress::Vertex<'a>,
    /// Asked to stop through this.
    pub cancel: &'a Cancel,
}
