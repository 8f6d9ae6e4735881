//! The language server: what an editor can be told about a build file.
//!
//! Two halves. `features/` will hold one file a feature (diagnostics, hover, completion, symbols, links, fixes): plain
//! data in, plain data out, over the compiler's [`Outcome`](compiler::Outcome) with open questions left open.
//! `protocol/` will hold the wire and be the only place that knows `lsp-types`. Neither may ever know the executor: an
//! editor must not run a build. Neither folder exists yet; `llbc lsp` says so.
