//! Images into an engine on this machine: Docker and what speaks its API (Podman), or containerd.
//!
//! The archive that `type=docker` writes to a file is streamed to the engine instead. Its layers are not compressed:
//! the engine is next door and would have to undo it.

mod engine;

use super::attrs::ImageAttrs;
use super::layers::Wanted;
use super::{Built, Context, Metadata, archive, image};
use crate::layer::Compression;
use crate::{Error, Result};

use engine::Engine;

/// Refuses what cannot be loaded, and says so when there is no engine.
pub(super) fn check(attrs: &ImageAttrs, list: bool, is_attested: bool) -> Result<()> {
    archive::check_attrs(attrs)?;
    let engine = Engine::find(attrs.engine.as_deref())?;
    if list && engine.is_docker() {
        return Err(Error::Unsupported {
            what: "loading an image of several platforms into Docker".into(),
            why: "its archives hold one; use type=oci or type=registry, or build for one platform".into(),
        });
    }
    if is_attested && engine.is_docker() {
        return Err(Error::Unsupported {
            what: "loading an image with attestations into Docker".into(),
            why: "its archives hold none; use type=oci or type=registry, or build without --provenance and --attest"
                .into(),
        });
    }
    Ok(())
}

/// Attributes with what an engine next door makes of the defaults.
pub(super) fn for_engine(attrs: ImageAttrs) -> ImageAttrs {
    match attrs.compression {
        Compression::Default => ImageAttrs { compression: Compression::Uncompressed, or_gzip: true, ..attrs },
        _ => attrs,
    }
}

/// Hands an image to the engine that is found here.
pub(super) fn export(built: &[Built], attrs: &ImageAttrs, context: Context<'_>) -> Result<Metadata> {
    let engine = Engine::find(attrs.engine.as_deref())?;
    let attrs = for_engine(attrs.clone());
    let written = image::write(built, &attrs, attrs.docker_types.unwrap_or(false), Wanted::passing(&attrs), context)?;
    let root = image::announced(&written, &attrs);
    let records = archive::records(&written, &root, &attrs, engine.is_docker())?;
    let _part = context.progress.part(format!("importing to {engine}"), 0);
    let loaded = engine.load(&mut |mut out| archive::write_archive(&mut out, &records, context), context.cancel);
    context.cancel.check()?;
    loaded?;
    image::metadata(&written, &root, &attrs.names)
}
