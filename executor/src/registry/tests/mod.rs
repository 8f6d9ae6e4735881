//! The client against servers: a scripted one that misbehaves, and Debian's `docker-registry`.

mod debian;
mod hostile;
pub(crate) mod server;

use oci::{Descriptor, Manifest, Reference, media};

use super::{Client, Config};

/// A client without credentials.
fn client() -> Client {
    Client::new(Config::default())
}

fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

/// An image with one layer: manifest and blobs.
fn image(layer: &[u8]) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let config =
        br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{}}"#.to_vec();
    let layers = vec![Descriptor::of(media::OCI_LAYER, layer)];
    let manifest = Manifest::new(Descriptor::of(media::OCI_CONFIG, &config), layers).to_json();
    (manifest, config, layer.to_vec())
}
