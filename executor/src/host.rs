//! What this machine is.

use oci::Platform;

/// The platform of this machine, by Docker's names.
pub fn host_platform() -> Platform {
    let architecture = match std::env::consts::ARCH {
        "x86" => "386",
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    };
    Platform::new("linux", architecture).normalize()
}
