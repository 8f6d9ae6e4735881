//! The image config a stage works on, and the base it started from.
//!
//! [`oci::ImageConfig`] knows the fields and the bytes; here is what a build does with them. History and variables are
//! kept beside the config until an image is written ([`super::finish`]), because stages share the one and replace
//! entries of the other.

use std::rc::Rc;

use oci::{ImageConfig, Platform};

use super::environment::Assignments;

/// Where processes are looked for when nothing says otherwise.
pub(super) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A variable in an image: `KEY=value`, or as `None` a bare `KEY`, which only foreign images have.
pub(super) type EnvEntry = Option<Rc<str>>;

/// The variables that the entries of a config are.
pub(super) fn variables(entries: &[String]) -> Assignments<EnvEntry> {
    let mut variables = Assignments::default();
    for entry in entries {
        match entry.split_once('=') {
            Some((key, value)) => variables.push(key.into(), Some(value.into())),
            None => variables.push(entry.as_str().into(), None),
        }
    }
    variables
}

/// The variables as a config holds them.
pub(super) fn env_entries(env: &Assignments<EnvEntry>) -> Vec<String> {
    let entry = |(key, value): (&Rc<str>, &EnvEntry)| match value {
        Some(value) => [&**key, "=", value].concat(),
        None => key.to_string(),
    };
    env.iter().map(entry).collect()
}

/// Whether there is nothing in an image. parity: images of schema 1 have no diff ids, but layers in their history.
pub(super) fn is_scratch(image: &ImageConfig) -> bool {
    image.diff_ids().is_empty() && image.history.iter().all(|entry| entry.empty_layer)
}

/// The image that `FROM scratch` starts with.
pub(super) fn scratch(platform: &Platform) -> ImageConfig {
    let mut image = ImageConfig::empty(platform.clone());
    image.config.working_dir = "/".to_owned();
    if platform.os != "windows" {
        image.config.env.push(format!("PATH={DEFAULT_PATH}"));
    }
    image
}
