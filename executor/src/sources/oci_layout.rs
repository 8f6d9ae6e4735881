//! Images in OCI layout directories: `oci-layout://`. The definition names a store, the session knows its directory.

use oci::{Descriptor, Platform};

use super::content::Layout;
use super::image::{Attributes, LAYOUT_SCHEME, PinnedImage, after_scheme, make_layer};
use super::layers::download;
use super::{Context, Pinned, Source};
use crate::Result;
use crate::snapshot::LayerId;

/// `oci-layout://`.
pub(super) struct LayoutSource;

impl Source for LayoutSource {
    fn schemes(&self) -> &'static [&'static str] {
        &[LAYOUT_SCHEME]
    }

    fn pin(&self, source: &llb::Source, platform: &Platform, context: Context<'_>) -> Result<Box<dyn Pinned>> {
        let text = after_scheme(&source.identifier);
        let attributes = Attributes::parse(source)?;
        let image = context.images().in_layout(text, attributes.store.as_deref(), platform)?;
        attributes.check(&image, text)?;
        let name = text.rsplit_once('@').map_or(text, |(name, _)| name);
        let origin = format!("{LAYOUT_SCHEME}://{}", attributes.store.as_deref().unwrap_or(name));
        Ok(Box::new(PinnedImage::new(image, origin, platform, attributes.limit)?))
    }

    fn layer(&self, id: &LayerId, origin: &str, context: Context<'_>) -> Result<()> {
        let layout = Layout::find(&context.session.oci_layouts, after_scheme(origin))?;
        make_layer(id, &layout, context)
    }

    fn blob(&self, blob: &Descriptor, origin: &str, context: Context<'_>) -> Result<()> {
        download(blob, &Layout::find(&context.session.oci_layouts, after_scheme(origin))?, None, context)
    }
}
