//! Cache keys, and the results they lead to.

mod chains;
pub mod config;
pub mod content_hash;
pub(crate) mod glob;
mod json;
mod key;
mod lent;
mod links;

pub use chains::Chains;
pub use key::{InputKey, Selector, VertexKey, of_source, of_vertex};
pub use lent::{Lent, Loan};
pub use links::{Found, Key, Known, borrow, content_key, forget, query, results, root_key, save, touch};
