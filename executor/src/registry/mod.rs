//! The registry protocol.
