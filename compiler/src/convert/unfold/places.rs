//! Where something comes from: images, addresses, directories of the client, other stages.

use llb::{Edge, NodeId};
use oci::ImageConfig;

use super::settings::Settings;
use super::{Place, Unfolding};

impl Unfolding<'_> {
    /// The name of the image that a vertex is.
    pub(super) fn image_name(&self, id: NodeId) -> Option<String> {
        let llb::Op::Source(source) = &self.node(id).op else { return None };
        let name = source.identifier.strip_prefix("docker-image://")?;
        let short = name.strip_prefix("docker.io/library/").or_else(|| name.strip_prefix("docker.io/")).unwrap_or(name);
        let short = short.strip_suffix(":latest").filter(|rest| !rest.contains('@')).unwrap_or(short);
        let is_stage = |known: &str| known.eq_ignore_ascii_case(short);
        let means_a_stage = short.bytes().all(|b| b.is_ascii_digit())
            || self.names.iter().any(|known| is_stage(known))
            || self.functions.iter().any(|(_, known)| is_stage(known));
        Some(if means_a_stage { format!("docker.io/library/{short}") } else { short.to_owned() })
    }

    pub(super) fn image_settings(&self, id: NodeId) -> Settings {
        let llb::Op::Source(source) = &self.node(id).op else { return Settings::of_nothing() };
        let reference = source.identifier.trim_start_matches("docker-image://").to_owned();
        let platform = self.node(id).platform.as_deref().unwrap_or(&self.platform).clone();
        let question = crate::Question::Image { reference, platform, mode: crate::ResolveMode::Default };
        let config = match self.world.answer(&[question]).pop() {
            Some(Ok(crate::Answer::Image(image))) => ImageConfig::from_json(&image.config).unwrap_or_default(),
            _ => ImageConfig::default(),
        };
        Settings::of_image(config.config)
    }

    /// Where something of another result is found; `None` when there is no word for it, which is said.
    pub(super) fn place(&mut self, edge: Option<Edge>, user: NodeId) -> Option<Place> {
        let edge = edge?;
        if let Some(known) = self.stages.get(&edge) {
            return Some(Place::Named(known.name.clone()));
        }
        let (at, by) = (self.span(edge.node), self.span(user));
        let llb::Op::Source(source) = &self.node(edge.node).op else {
            self.say_not(by, "a filesystem that is no stage");
            return None;
        };
        if let Some(path) = source.identifier.strip_prefix("local://") {
            if !self.is_own(path) {
                self.say_not(at, "a directory of the client that is not the program's own");
                return None;
            }
            if source.attrs.contains_key("local.includepattern") || source.attrs.contains_key("local.excludepatterns") {
                self.say_not(at, "patterns of what the client sends");
            }
            return Some(Place::Context);
        }
        match self.image_name(edge.node) {
            Some(name) if self.is_marked(&name) => {
                self.say_not(at, "an image to copy from whose name has a parameter in it");
                None
            }
            Some(name) => Some(Place::Named(name)),
            None => {
                self.say_not(at, "an address as a filesystem");
                None
            }
        }
    }

    /// Whether a result is the file at an address.
    pub(super) fn is_address(&self, edge: Edge) -> bool {
        let llb::Op::Source(source) = &self.node(edge.node).op else { return false };
        source.identifier.starts_with("http://") || source.identifier.starts_with("https://")
    }

    /// Whether a path of the client is the directory of the program.
    pub(super) fn is_own(&self, path: &str) -> bool {
        let parts = |path: &str| -> Vec<String> {
            path.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
        };
        let directory = self.source.name.rsplit_once('/').map_or("", |(directory, _)| directory);
        parts(path) == parts(directory)
    }
}
