//! SSH signatures, by `ssh-keygen -Y verify`.
//!
//! What is signed, by whom and for what is read here (PROTOCOL.sshsig of OpenSSH), so that a refusal says why; whether it is
//! right is for `ssh-keygen` to say, which gets what was read and the one key.

use std::ffi::OsStr;
use std::fs::{self, File};

use super::armor;
use super::program::{Program, said};
use crate::sources::Context;
use crate::{Error, Result};

/// Kinds of keys that count; certificates are none.
const KINDS: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];
const KIND: &str = "SSH SIGNATURE";
/// The name that the key goes by in the file of the keys that may sign.
const NAME: &str = "llbc";

/// Whether bytes, read from the start of a file, have a signature for a namespace by a key: a line as in `id_ed25519.pub`.
///
/// **Errors**: they do not; `ssh-keygen` is missing.
pub(in crate::sources) fn verify(
    bytes: File,
    signature: &str,
    key: &str,
    namespace: &str,
    context: Context<'_>,
) -> Result<()> {
    verify_with(&ssh_keygen(), bytes, signature, key, namespace, context)
}

pub(super) fn ssh_keygen() -> Program {
    Program {
        name: "ssh-keygen",
        what: "an SSH signature",
        package: "the package openssh-client of Debian and Ubuntu, openssh-keygen of Alpine, openssh of Fedora",
        path: std::env::var_os("PATH"),
    }
}

pub(super) fn verify_with(
    program: &Program,
    bytes: File,
    signature: &str,
    key: &str,
    namespace: &str,
    context: Context<'_>,
) -> Result<()> {
    let signature = Signature::parse(signature)?;
    signature.check(namespace)?;
    let key = Key::parse(key)?;
    let failed = |why: &str| Error::Invalid(format!("failed to verify ssh signature: {why}"));
    if signature.key != key.data {
        return Err(failed("public key does not match"));
    }
    let dir = context.store.temp().dir("ssh-keygen")?;
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).map_err(Error::io("write", &path))?;
        Ok::<_, Error>(path)
    };
    let allowed = format!("{NAME} namespaces=\"{namespace}\" {} {}\n", key.kind, oci::base64::encode(&key.data));
    let (allowed, signed) = (file("keys", &allowed)?, file("signature", &armor::encode(KIND, &signature.data))?);
    let option = |name: &'static str| OsStr::new(name);
    let arguments = [
        option("-Y"),
        option("verify"),
        option("-f"),
        allowed.as_os_str(),
        option("-I"),
        option(NAME),
        option("-n"),
        OsStr::new(namespace),
        option("-s"),
        signed.as_os_str(),
    ];
    let output = program.run(&arguments, bytes, context)?;
    let good = format!("Good \"{namespace}\" signature for {NAME} with ");
    let lines: Vec<_> = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    match lines[..] {
        [line] if output.status.success() && line.starts_with(good.as_bytes()) => Ok(()),
        _ => Err(failed(&said(&output))),
    }
}

/// A public key.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    kind: &'static str,
    data: Vec<u8>,
}

impl Key {
    /// From the first line that has one: comments, and options before it, are passed over.
    fn parse(text: &str) -> Result<Self> {
        let invalid = |why: &str| Error::Invalid(format!("failed to parse ssh public key: {why}"));
        if text.contains(" PRIVATE KEY-----") {
            return Err(invalid("it is a private key, which nobody else should have; give the public one"));
        }
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        let key = lines.filter_map(|line| {
            let words: Vec<_> = line.split_ascii_whitespace().collect();
            words.windows(2).find_map(|pair| {
                let kind = *KINDS.iter().find(|kind| **kind == pair[0])?;
                Some(Self { kind, data: oci::base64::decode(pair[1])? })
            })
        });
        let key = key.into_iter().next().ok_or_else(|| invalid("no key found"))?;
        match string(&mut &key.data[..]) {
            Some(kind) if kind == key.kind.as_bytes() => Ok(key),
            _ => Err(invalid("it is another kind of key than it says")),
        }
    }
}

/// A signature that was read.
struct Signature {
    version: u32,
    key: Vec<u8>,
    namespace: Vec<u8>,
    hash: Vec<u8>,
    /// All of it.
    data: Vec<u8>,
}

impl Signature {
    fn parse(text: &str) -> Result<Self> {
        let invalid = |why: &str| Error::Invalid(format!("failed to parse ssh signature: {why}"));
        match &armor::decode(text).map_err(|error| invalid(&error.to_string()))?[..] {
            [block] if block.kind == KIND => Self::read(&block.bytes).ok_or_else(|| invalid("it is broken")),
            _ => Err(invalid("it is not one signature")),
        }
    }

    fn read(data: &[u8]) -> Option<Self> {
        let (version, rest) = data.strip_prefix(b"SSHSIG")?.split_first_chunk::<4>()?;
        let rest = &mut &rest[..];
        let (key, namespace) = (string(rest)?.to_owned(), string(rest)?.to_owned());
        let (_reserved, hash, _signature) = (string(rest)?, string(rest)?.to_owned(), string(rest)?);
        let version = u32::from_be_bytes(*version);
        rest.is_empty().then(|| Self { version, key, namespace, hash, data: data.to_owned() })
    }

    /// **Errors**: it is for something else.
    fn check(&self, namespace: &str) -> Result<()> {
        let Self { version, .. } = self;
        let shown = |bytes: &[u8]| oci::text::quote(&String::from_utf8_lossy(bytes));
        let why = match &*self.hash {
            _ if *version != 1 => format!("unsupported SSH signature version: {version}"),
            b"sha256" | b"sha512" if self.namespace == namespace.as_bytes() => return Ok(()),
            b"sha256" | b"sha512" => format!("unexpected SSH signature namespace: {}", shown(&self.namespace)),
            other => format!("unsupported SSH signature hash algorithm: {}", shown(other)),
        };
        Err(Error::Invalid(why))
    }
}

/// Takes a field: its length and it.
fn string<'a>(data: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = data.split_first_chunk::<4>()?;
    let (string, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *data = rest;
    Some(string)
}
