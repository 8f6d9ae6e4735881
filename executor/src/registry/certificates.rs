//! Certificates: whom to trust, and what is shown to a server that wants to know who asks.
//!
//! What the TLS library refuses is found here, before it is handed over: the HTTP library takes it for granted that a
//! client's certificate can be used. Errors name the file and say what to do.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, RootCertStore};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts};

use super::hosts::KeyPair;

/// Where distributions keep the certificates they trust.
const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The system's certificates and those of the user; Mozilla's when the system has none.
pub(super) fn roots(extra: &[PathBuf]) -> Result<RootCerts, String> {
    static SYSTEM: OnceLock<Vec<Certificate<'static>>> = OnceLock::new();
    let system = SYSTEM.get_or_init(system_certificates);
    if extra.is_empty() && system.is_empty() {
        return Ok(RootCerts::WebPki);
    }
    let mut all = system.clone();
    for path in extra {
        let certificates = read(path)?;
        let (usable, _) = RootCertStore::empty().add_parsable_certificates(certificates.iter().map(der_of));
        if usable == 0 {
            return Err(format!("{} holds no certificate that can be used", path.display()));
        }
        all.extend(certificates);
    }
    Ok(RootCerts::Specific(Arc::new(all)))
}

/// What is shown to a server that wants to know who asks.
pub(super) fn client(keypair: &[KeyPair]) -> Result<Option<ClientCert>, String> {
    let [KeyPair { key, cert }] = keypair else {
        let message = "a registry has more than one keypair, and one is shown to it";
        return if keypair.is_empty() { Ok(None) } else { Err(message.into()) };
    };
    let certificates = read(cert)?;
    let bytes = std::fs::read(key).map_err(|error| unreadable(key, &error))?;
    let no_key = || format!("{} holds no private key in PEM that can be read without a password", key.display());
    let private = PrivateKey::from_pem(&bytes).map_err(|_| no_key())?;
    let der = PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| no_key())?;
    check(key, der, cert, &certificates)?;
    Ok(Some(ClientCert::new_with_certs(&certificates, private)))
}

/// Whether the TLS library takes a certificate and its key. **Errors**: what is wrong with which file.
fn check(
    key: &Path,
    private: PrivateKeyDer<'static>,
    cert: &Path,
    certificates: &[Certificate<'_>],
) -> Result<(), String> {
    let signs = default_provider().key_provider.load_private_key(private).map_err(|_| {
        let kinds = "RSA from 2048 to 4096 bits, ECDSA (P-256, P-384) or Ed25519";
        format!("the key in {} cannot be used: it must be {kinds}", key.display())
    })?;
    let chain = certificates.iter().map(|certificate| der_of(certificate).into_owned()).collect();
    CertifiedKey::new(chain, signs).keys_match().map_err(|error| {
        let why = match error {
            rustls::Error::InconsistentKeys(_) => {
                return format!("the key in {} is not that of the certificate in {}", key.display(), cert.display());
            }
            rustls::Error::InvalidCertificate(CertificateError::Other(error)) => error.0.to_string(),
            rustls::Error::InvalidCertificate(error) => error.to_string(),
            error => error.to_string(),
        };
        let version = "X.509 version 3, as `openssl x509 -req` makes with -extfile or -copy_extensions";
        format!("the certificate in {} cannot be used ({why}): it must be of {version}", cert.display())
    })
}

fn der_of<'a>(certificate: &'a Certificate<'_>) -> CertificateDer<'a> {
    CertificateDer::from(certificate.der())
}

fn system_certificates() -> Vec<Certificate<'static>> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let usual = SYSTEM_BUNDLES.iter().map(PathBuf::from);
    named.into_iter().chain(usual).find_map(|path| read(&path).ok()).unwrap_or_default()
}

/// The certificates of a file, which are one at least.
fn read(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let pem = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    let items = ureq::tls::parse_pem(&pem);
    let found: Vec<_> =
        items.filter_map(|item| if let Ok(PemItem::Certificate(found)) = item { Some(found) } else { None }).collect();
    if found.is_empty() { Err(format!("{} holds no certificate", path.display())) } else { Ok(found) }
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> String {
    format!("cannot read {}: {why}", path.display())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Certificates and keys of every kind.
    const MAKE: &str = "
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ec.key -out ec.pem -subj /CN=me
        openssl req -new -key ec.key -subj /CN=me | openssl x509 -req -key ec.key -out v1.pem
        openssl req -x509 -newkey rsa:1024 -nodes -keyout rsa.key -out rsa.pem -subj /CN=me
        openssl req -x509 -newkey ed25519 -nodes -keyout ed.key -out ed.pem -subj /CN=me
        openssl ec -in ec.key -out sec1.key
        openssl ec -in ec.key -aes128 -passout pass:x -out locked.key
        (echo -----BEGIN CERTIFICATE-----; echo aGVsbG8=; echo -----END CERTIFICATE-----) >bad.pem
        (echo -----BEGIN CERTIFICATE-----; echo '!!!'; echo -----END CERTIFICATE-----) >worse.pem
        cat bad.pem ec.pem >mixed.pem";

    fn made() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let made = Command::new("sh").args(["-ec", MAKE]).current_dir(&directory).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        directory
    }

    #[test]
    fn what_is_shown() {
        let directory = made();
        let check = |key: &str, cert: &str, expected: &str| {
            let [key, cert] = [key, cert].map(|name| directory.path().join(name));
            let shown = client(&[KeyPair { key, cert }]).map(|shown| assert!(shown.is_some()));
            let said = shown.err().unwrap_or_default().replace(&format!("{}/", directory.path().display()), "");
            assert_eq!(said, expected);
        };
        check("ec.key", "ec.pem", "");
        check("sec1.key", "ec.pem", "");
        check("ed.key", "ed.pem", "");
        check("ed.key", "ec.pem", "the key in ed.key is not that of the certificate in ec.pem");
        let version = "it must be of X.509 version 3, as `openssl x509 -req` makes with -extfile or -copy_extensions";
        let unusable = |name: &str, why: &str| format!("the certificate in {name} cannot be used ({why}): {version}");
        check("ec.key", "v1.pem", &unusable("v1.pem", "UnsupportedCertVersion"));
        check("ec.key", "bad.pem", &unusable("bad.pem", "BadEncoding"));
        check("ec.key", "worse.pem", "worse.pem holds no certificate");
        let kinds = "it must be RSA from 2048 to 4096 bits, ECDSA (P-256, P-384) or Ed25519";
        check("rsa.key", "rsa.pem", &format!("the key in rsa.key cannot be used: {kinds}"));
        check("locked.key", "ec.pem", "locked.key holds no private key in PEM that can be read without a password");
        check("ec.pem", "ec.pem", "ec.pem holds no private key in PEM that can be read without a password");
        check("none.key", "ec.pem", "cannot read none.key: No such file or directory (os error 2)");
    }

    #[test]
    fn whom_to_trust() {
        let directory = made();
        let check = |name: &str, expected: &str| {
            let said = roots(&[directory.path().join(name)]).err().unwrap_or_default();
            assert_eq!(said.replace(&format!("{}/", directory.path().display()), ""), expected);
        };
        check("ec.pem", "");
        check("v1.pem", "");
        check("mixed.pem", "");
        check("bad.pem", "bad.pem holds no certificate that can be used");
        check("worse.pem", "worse.pem holds no certificate");
        check("ec.key", "ec.key holds no certificate");
        check("none.pem", "cannot read none.pem: No such file or directory (os error 2)");
    }
}
