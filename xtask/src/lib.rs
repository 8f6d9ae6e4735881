//! What tasks and tests share.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod conformance;
pub mod frontend;
pub mod optimizer;
