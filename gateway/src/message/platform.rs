//! Platforms, between the protocol's form and everybody's.

use super::Platform;

impl From<&oci::Platform> for Platform {
    fn from(platform: &oci::Platform) -> Self {
        let oci::Platform { architecture, os, os_version, os_features, variant } = platform.clone();
        Self { architecture, os, variant, os_version, os_features }
    }
}

impl From<&Platform> for oci::Platform {
    fn from(platform: &Platform) -> Self {
        let Platform { architecture, os, variant, os_version, os_features } = platform.clone();
        Self { architecture, os, os_version, os_features, variant }
    }
}
