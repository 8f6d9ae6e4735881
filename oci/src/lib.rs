//! The vocabulary of images: digests, references, platforms, configs, manifests, ignore patterns.
//!
//! Pure: no files, no network, no clock, no host. What depends on the host is passed in.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod base64;
mod borrowed;
mod config;
mod config_read;
mod config_write;
mod digest;
pub mod ignore;
pub mod json;
pub mod layout;
mod manifest;
mod matcher;
mod platform;
mod reference;
pub mod text;
mod time;

pub use config::{ContainerConfig, Healthcheck, History, ImageConfig, RootFs};
pub use config_read::ConfigError;
pub use digest::{Algorithm, Digest, DigestError, Hasher};
pub use manifest::{Descriptor, Document, Index, Manifest, ManifestError, media};
pub use matcher::Matcher;
pub use platform::{Platform, PlatformError};
pub use reference::{Reference, ReferenceError};
pub use time::{Time, TimeError};
