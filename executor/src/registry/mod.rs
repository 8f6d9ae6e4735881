//! The registry protocol (OCI distribution 1.1, Docker registry v2): pulling and pushing over HTTP.
//!
//! | file | what it is |
//! |---|---|
//! | [`hosts`] | which servers answer for a registry's name: mirrors, plain HTTP, certificates |
//! | `certificates` | whom to trust, and what is shown to a server that wants to know who asks |
//! | [`credentials`] | Docker's `config.json` and whom it names |
//! | `helper` | credential helpers, the programs that it may name |
//! | `challenge` | what a server says when it wants to know who asks |
//! | `authority` | tokens and passwords: got once, kept until they expire |
//! | `transport` | one HTTP exchange: certificates, proxies, redirects, what a failure means |
//! | `client` | exchanges with an endpoint: authorised, retried, bounded |
//! | `pull` | manifests and blobs, resumed where they broke off |
//! | `push` | blobs, mounted or uploaded, and manifests |
//!
//! A registry is not trusted: what has a digest is checked (blobs by whoever commits them to a store), what has a size
//! is read no further, what has neither is bounded, and credentials go to the host they were given for and nowhere else.

mod authority;
mod certificates;
mod challenge;
mod client;
pub mod credentials;
mod helper;
pub mod hosts;
mod pull;
mod push;
pub(crate) mod redirect;
#[cfg(test)]
pub(crate) mod tests;
mod transport;

pub use client::{Asking, Client, Config};
pub(crate) use pull::range_start;
pub use pull::{BlobReader, Fetched};
pub use push::Push;
pub use transport::Patience;
pub(crate) use transport::broke_off;
