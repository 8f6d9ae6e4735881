//! Benchmarks.

use crate::shell::Result;

pub(crate) fn run(_: &[String]) -> Result<()> {
    Err("not written".into())
}
