//! Cache keys, and the results they lead to.

pub mod config;
pub mod content_hash;
pub(crate) mod glob;
mod json;
mod key;
mod links;

pub use key::{InputKey, Selector, VertexKey, of_source, of_vertex};
pub use links::{Found, Key, Known, content_key, forget, query, results, root_key, save, touch};
