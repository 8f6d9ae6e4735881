//! One file a kind of step. Each takes the state of its stage and changes it.

pub(super) mod arg;
pub(super) mod command;
pub(super) mod config;
pub(super) mod copy;
pub(super) mod env;
pub(super) mod expose;
pub(super) mod files;
pub(super) mod mode;
pub(super) mod mounts;
pub(super) mod remote;
pub(super) mod run;
pub(super) mod signal;
pub(super) mod when;
pub(super) mod workdir;
