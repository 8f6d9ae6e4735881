//! The manifest of an image, as its registry has it.

use compiler::{Answer, AskError, ManifestAnswer};
use executor::Error;
use oci::{Document, Matcher, Platform, Reference};

use super::{Answered, NO_IMAGE, Network, OFFLINE};

impl Network {
    /// Manifest, config and index of an image for a platform.
    pub(super) fn manifest(&self, reference: &str, platform: &Platform) -> Answered {
        if self.is_offline() {
            let message = format!("the manifest of {reference} is not known");
            return Err(AskError { message, help: Some(OFFLINE.into()), unreachable: true, ..AskError::default() });
        }
        let client = self.client()?;
        let failed = |error: Error| {
            let help = matches!(error, Error::NotFound(_)).then_some(NO_IMAGE);
            self.unanswered(&error, help)
        };
        let wrong = |message: String| AskError { message, ..AskError::default() };
        let name = Reference::parse(reference).map_err(|error| wrong(error.to_string()))?;
        let document = |bytes: &[u8]| Document::parse(bytes).map_err(|error| wrong(format!("{reference}: {error}")));
        let mut found = client.manifest(&name, &self.cancel).map_err(failed)?;
        let mut index = None;
        if let Document::Index(entries) = document(&found.bytes)? {
            let entry = entries.best(&Matcher::only(platform));
            let entry = entry.ok_or_else(|| wrong(format!("{reference} has no image for {platform}")))?;
            index = Some(text(found.bytes));
            let exact = name.clone().with_digest(entry.digest.clone());
            found = client.manifest(&exact, &self.cancel).map_err(failed)?;
        }
        let Document::Manifest(manifest) = document(&found.bytes)? else {
            return Err(wrong(format!("{reference}: an index in an index")));
        };
        let blob = client.blob(&name, &manifest.config, &self.cancel).map_err(failed)?;
        let config = executor::text::all(blob, executor::text::LONGEST_DOCUMENT);
        let config = config.map_err(|error| wrong(format!("{reference}: config: {error}")))?;
        let digest = found.descriptor.digest;
        Ok(Answer::Manifest(ManifestAnswer { digest, manifest: text(found.bytes), config: text(config), index }))
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}
