//! One suite for every implementation of `Runtime`: real containers over a busybox root. Needs root, busybox-static, runc and crun.

#![allow(clippy::unwrap_used)]

#[path = "runtime/rig.rs"]
mod rig;
#[path = "runtime/suite/mod.rs"]
mod suite;
