//! What a source gave, for provenance.
//!
//! parity: the `Capture` of BuildKit's identifiers (`source/*/identifier.go`).

use oci::{Digest, Platform};

use super::git;
use super::image::after_scheme;
use crate::Result;
use crate::provenance::{Image, Material};

/// What a source gave that was pinned to `pin`; `None` of what is not known.
pub(crate) fn material(source: &llb::Source, platform: &Platform, pin: &str) -> Result<Option<Material>> {
    let scheme = source.identifier.split_once("://").map_or("", |(scheme, _)| scheme);
    let name = after_scheme(&source.identifier);
    let image = |name: String, is_local| {
        let digest = Digest::parse(pin).ok()?;
        Some(Material::Image(Image { name, platform: platform.normalize(), digest, is_local }))
    };
    Ok(match scheme {
        "docker-image" => image(name.to_owned(), false),
        "oci-layout" => image(name.to_owned(), true),
        "docker-image+blob" | "oci-layout+blob" => Digest::parse(pin).ok().map(|digest| Material::Blob {
            name: name.to_owned(),
            digest,
            is_local: scheme.starts_with("oci"),
        }),
        "git" => Some(git::material(source, pin)?),
        "http" | "https" => {
            Digest::parse(pin).ok().map(|digest| Material::Http { url: source.identifier.clone(), digest })
        }
        "local" => Some(Material::Local { name: name.to_owned() }),
        _ => None,
    })
}
