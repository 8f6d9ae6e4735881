//! Private keys from files, to sign with: OpenSSH's own format, and the older PEM forms of RSA and Ed25519 keys.
//!
//! Formats: PROTOCOL.key of OpenSSH, RFC 4251 for its fields, RFC 8032, 8332 and 5656 for signatures.

use std::path::Path;

use ring::rand::SystemRandom;
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};

use crate::{Error, Result};

/// How a private key in OpenSSH's format begins.
const MAGIC: &[u8] = b"openssh-key-v1\0";
/// Longest key file, in bytes: the longest keys in use have a few thousand.
const MAX_FILE: u64 = 64 << 10;
/// Flags of a request to sign with RSA: the hash.
const SHA256: u32 = 2;
const SHA512: u32 = 4;

/// A key.
pub(super) struct Key {
    /// Its public half, as agents list it.
    pub(super) public: Vec<u8>,
    secret: Secret,
}

enum Secret {
    Ed25519(Ed25519KeyPair),
    Ecdsa(&'static str, EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl Key {
    /// Reads a file. **Errors**: it is no private key, or one that is locked by a passphrase.
    pub(super) fn read(path: &Path) -> Result<Self> {
        use std::io::Read;
        let mut text = String::new();
        let read = std::fs::File::open(path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text));
        let invalid = |why: &str| Error::Invalid(format!("SSH key {}: {why}", path.display()));
        match read {
            Ok(_) => parse(&text).map_err(invalid),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Err(invalid(NO_KEY)),
            Err(error) => Err(Error::io("read the SSH key", path)(error)),
        }
    }

    /// Signs; `None` when the key cannot sign in the way asked for.
    pub(super) fn sign(&self, data: &[u8], flags: u32) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        let (algorithm, signature) = match &self.secret {
            Secret::Ed25519(pair) => ("ssh-ed25519".to_owned(), pair.sign(data).as_ref().to_vec()),
            Secret::Ecdsa(curve, pair) => {
                let fixed = pair.sign(&random, data).ok()?;
                let (r, s) = fixed.as_ref().split_at(fixed.as_ref().len() / 2);
                (format!("ecdsa-sha2-{curve}"), [number(r), number(s)].concat())
            }
            Secret::Rsa(pair) => {
                let (name, padding): (_, &dyn signature::RsaEncoding) = match flags {
                    flags if flags & SHA512 != 0 => ("rsa-sha2-512", &signature::RSA_PKCS1_SHA512),
                    flags if flags & SHA256 != 0 => ("rsa-sha2-256", &signature::RSA_PKCS1_SHA256),
                    // SHA-1 proves nothing any more.
                    _ => return None,
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(padding, &random, data, &mut signature).ok()?;
                (name.to_owned(), signature)
            }
        };
        Some([string(algorithm.as_bytes()), string(&signature)].concat())
    }
}

const NO_KEY: &str = "it is no private key";
const LOCKED: &str = "it has a passphrase; unlock it in an agent (`ssh-add`) and hand that on (`--ssh default`)";
const UNKNOWN: &str = "it is of a kind that is not supported; add it to an agent (`ssh-add`) and hand that on (`--ssh default`), \
                       or write it in OpenSSH's format with `ssh-keygen -p -f`";
const BROKEN: &str = "it is damaged";

type Parsed<T> = std::result::Result<T, &'static str>;

fn parse(text: &str) -> Parsed<Key> {
    let begin = text.find("-----BEGIN ").ok_or(NO_KEY)?;
    let (label, rest) = text[begin + 11..].split_once("-----").ok_or(NO_KEY)?;
    let body = rest.split_once("-----END ").ok_or(BROKEN)?.0;
    if label.contains("ENCRYPTED") || body.contains("ENCRYPTED") {
        return Err(LOCKED);
    }
    let data: String = body.split_whitespace().collect();
    let data = oci::base64::decode(&data).ok_or(BROKEN)?;
    let (public, secret) = match label {
        "OPENSSH PRIVATE KEY" => openssh(&data)?,
        "RSA PRIVATE KEY" => rsa(RsaKeyPair::from_der(&data).map_err(|_| BROKEN)?),
        "PRIVATE KEY" => match (RsaKeyPair::from_pkcs8(&data), Ed25519KeyPair::from_pkcs8_maybe_unchecked(&data)) {
            (Ok(pair), _) => rsa(pair),
            (_, Ok(pair)) => ed25519(pair),
            _ => return Err(UNKNOWN),
        },
        label if label.ends_with("PRIVATE KEY") => return Err(UNKNOWN),
        _ => return Err(NO_KEY),
    };
    Ok(Key { public, secret })
}

fn openssh(data: &[u8]) -> Parsed<(Vec<u8>, Secret)> {
    let mut outer = Fields(data.strip_prefix(MAGIC).ok_or(BROKEN)?);
    if outer.string()? != b"none" {
        return Err(LOCKED);
    }
    let (_kdf, _options, _count, _public) = (outer.string()?, outer.string()?, outer.word()?, outer.string()?);
    let mut inner = Fields(outer.string()?);
    if inner.word()? != inner.word()? {
        return Err(BROKEN);
    }
    match inner.string()? {
        b"ssh-ed25519" => {
            let (public, secret) = (inner.string()?, inner.string()?);
            let seed = secret.get(..32).ok_or(BROKEN)?;
            Ok(ed25519(Ed25519KeyPair::from_seed_and_public_key(seed, public).map_err(|_| BROKEN)?))
        }
        b"ecdsa-sha2-nistp256" => ecdsa(inner, "nistp256", 32, &signature::ECDSA_P256_SHA256_FIXED_SIGNING),
        b"ecdsa-sha2-nistp384" => ecdsa(inner, "nistp384", 48, &signature::ECDSA_P384_SHA384_FIXED_SIGNING),
        b"ssh-rsa" => rsa_of_numbers(inner),
        _ => Err(UNKNOWN),
    }
}

fn ed25519(pair: Ed25519KeyPair) -> (Vec<u8>, Secret) {
    let public = [string(b"ssh-ed25519"), string(pair.public_key().as_ref())].concat();
    (public, Secret::Ed25519(pair))
}

fn ecdsa(
    mut fields: Fields<'_>,
    curve: &'static str,
    size: usize,
    algorithm: &'static signature::EcdsaSigningAlgorithm,
) -> Parsed<(Vec<u8>, Secret)> {
    let (_curve, point, secret) = (fields.string()?, fields.string()?, without_zeros(fields.string()?));
    let mut padded = vec![0; size.checked_sub(secret.len()).ok_or(BROKEN)?];
    padded.extend_from_slice(secret);
    let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, &padded, point, &SystemRandom::new());
    let public = [string(format!("ecdsa-sha2-{curve}").as_bytes()), string(curve.as_bytes()), string(point)].concat();
    Ok((public, Secret::Ecdsa(curve, pair.map_err(|_| BROKEN)?)))
}

fn rsa_of_numbers(mut fields: Fields<'_>) -> Parsed<(Vec<u8>, Secret)> {
    let mut number = || fields.string().map(without_zeros);
    let (n, e, d, q_inv, p, q) = (number()?, number()?, number()?, number()?, number()?, number()?);
    let (d_p, d_q) = (remainder(d, &minus_one(p)), remainder(d, &minus_one(q)));
    let public_key = PublicKeyComponents { n, e };
    let components = KeyPairComponents { public_key, d, p, q, dP: &d_p[..], dQ: &d_q[..], qInv: q_inv };
    Ok(rsa(RsaKeyPair::from_components(&components).map_err(|_| BROKEN)?))
}

fn rsa(pair: RsaKeyPair) -> (Vec<u8>, Secret) {
    let public = PublicKeyComponents::<Vec<u8>>::from(pair.public());
    ([string(b"ssh-rsa"), number(&public.e), number(&public.n)].concat(), Secret::Rsa(Box::new(pair)))
}

/// A number without its least bit, which is set as that of every prime but 2.
fn minus_one(prime: &[u8]) -> Vec<u8> {
    let mut number = prime.to_vec();
    if let Some(last) = number.last_mut() {
        *last &= 0xfe;
    }
    number
}

/// `number` modulo `modulus`, most significant byte first, bit by bit: keys are read once.
fn remainder(number: &[u8], modulus: &[u8]) -> Vec<u8> {
    let mut rest = vec![0u8; modulus.len() + 1];
    let modulus: Vec<u8> = std::iter::once(0).chain(modulus.iter().copied()).collect();
    for bit in number.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)) {
        let mut carry = bit;
        for byte in rest.iter_mut().rev() {
            (*byte, carry) = (*byte << 1 | carry, *byte >> 7);
        }
        if rest >= modulus {
            let mut borrow = 0i16;
            for (byte, less) in rest.iter_mut().zip(&modulus).rev() {
                let difference = i16::from(*byte) - i16::from(*less) - borrow;
                borrow = i16::from(difference < 0);
                *byte = difference.rem_euclid(256) as u8;
            }
        }
    }
    without_zeros(&rest).to_vec()
}

/// Fields one after the other, each with its length before it.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn word(&mut self) -> Parsed<u32> {
        let (word, rest) = self.0.split_first_chunk().ok_or(BROKEN)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*word))
    }

    pub(super) fn string(&mut self) -> Parsed<&'a [u8]> {
        let length = self.word()? as usize;
        let (string, rest) = self.0.split_at_checked(length).ok_or(BROKEN)?;
        self.0 = rest;
        Ok(string)
    }
}

/// A field: its length and it.
pub(super) fn string(data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).expect("what is signed and listed is far shorter");
    [&length.to_be_bytes()[..], data].concat()
}

/// A number as a field: no needless zeros, and one where it would be negative.
fn number(bytes: &[u8]) -> Vec<u8> {
    let bytes = without_zeros(bytes);
    let sign = if bytes.first().is_some_and(|first| first & 0x80 != 0) { &[0][..] } else { &[] };
    string(&[sign, bytes].concat())
}

fn without_zeros(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remainders() {
        assert_eq!(remainder(&[0x12, 0x34, 0x56], &[0x9a, 0xbc]), (0x12_3456u32 % 0x9abc).to_be_bytes()[2..]);
        assert_eq!(remainder(&[7], &[0xff]), [7]);
        assert_eq!(remainder(&[0xff, 0xff], &[0xff]), [0u8; 0]);
    }

    #[test]
    fn what_is_no_key_or_locked_is_said() {
        let error = |text: &str| parse(text).err().unwrap();
        assert_eq!(error("hello"), NO_KEY);
        assert_eq!(error("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), NO_KEY);
        assert_eq!(error("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"), LOCKED);
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        assert_eq!(error(old), LOCKED);
        assert_eq!(error("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"), UNKNOWN);
        assert_eq!(error("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"), BROKEN);
    }
}
