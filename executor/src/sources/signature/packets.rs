//! What of OpenPGP data (RFC 9580, RFC 4880) is looked at here; all else is `gpgv`'s to read.
//!
//! `gpgv` names the key of a good signature by its fingerprint, and says neither how long it is nor, when it has expired,
//! that it was revoked. Both are in the key that the user gave, which needs no checking but for who gave it.

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use crate::{Error, Result};

const SIGNATURE: u8 = 2;
const SECRET_KEY: u8 = 5;
const PUBLIC_KEY: u8 = 6;
const SECRET_SUBKEY: u8 = 7;
const PUBLIC_SUBKEY: u8 = 14;

/// Type of signatures that take a key back with all that belong to it.
const REVOKES_PRIMARY: u8 = 0x20;
/// Type of signatures that take a key back which belongs to another.
const REVOKES_SUBKEY: u8 = 0x28;
/// Numbers of RSA: for all, for encryption, for signatures.
const RSA: [u8; 3] = [1, 2, 3];

struct Packet<'a> {
    tag: u8,
    body: &'a [u8],
}

/// A key, primary or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Key {
    /// In upper case hexadecimal digits, as `gpgv` writes it.
    pub(super) fingerprint: String,
    /// Of its number, if it is an RSA key.
    pub(super) rsa_bits: Option<usize>,
    /// Whether it comes with a revocation. What is wrong with one is not asked: a key that somebody took back is not trusted.
    pub(super) revoked: bool,
}

/// The keys in the data of public keys. **Errors**: it is no such data, or holds private keys.
pub(super) fn keys(data: &[u8]) -> Result<Vec<Key>> {
    let mut keys: Vec<Key> = Vec::new();
    let mut primary = 0;
    for Packet { tag, body } in packets(data)? {
        // Signatures follow what they are about.
        let revoked = match tag {
            SECRET_KEY | SECRET_SUBKEY => return Err(private()),
            PUBLIC_KEY | PUBLIC_SUBKEY => {
                if tag == PUBLIC_KEY {
                    primary = keys.len();
                }
                keys.push(key(body)?);
                continue;
            }
            SIGNATURE => match signature_type(body) {
                Some(REVOKES_PRIMARY) => keys.get_mut(primary),
                Some(REVOKES_SUBKEY) => keys.last_mut(),
                _ => continue,
            },
            _ => continue,
        };
        revoked.ok_or_else(broken)?.revoked = true;
    }
    Ok(keys)
}

/// Why a private key is refused.
pub(super) fn private() -> Error {
    Error::Invalid("it is a private key, which nobody else should have; give the public one".into())
}

/// **Errors**: the data is something else than signatures, as a message that carries its own text.
pub(super) fn check_signatures(data: &[u8]) -> Result<()> {
    let packets = packets(data)?;
    match packets.iter().all(|packet| packet.tag == SIGNATURE) && !packets.is_empty() {
        true => Ok(()),
        false => Err(Error::Invalid("it is no detached signature".into())),
    }
}

fn broken() -> Error {
    Error::Invalid("it is broken OpenPGP data".into())
}

fn packets(mut data: &[u8]) -> Result<Vec<Packet<'_>>> {
    let mut packets = Vec::new();
    while !data.is_empty() {
        let (packet, rest) = packet(data).ok_or_else(broken)?;
        packets.push(packet);
        data = rest;
    }
    Ok(packets)
}

/// The first packet, and what follows it. `None`: there is none, or it has no length of its own, which only data has.
fn packet(data: &[u8]) -> Option<(Packet<'_>, &[u8])> {
    let (&first, rest) = data.split_first()?;
    let (tag, digits, rest) = match first {
        0xc0.. => {
            let (&length, after) = rest.split_first()?;
            match length {
                0..192 => (first & 0x3f, 1, rest),
                192..224 => {
                    let (&low, after) = after.split_first()?;
                    let length = ((usize::from(length) - 192) << 8) + usize::from(low) + 192;
                    let (body, rest) = after.split_at_checked(length)?;
                    return Some((Packet { tag: first & 0x3f, body }, rest));
                }
                224..255 => return None,
                255 => (first & 0x3f, 4, after),
            }
        }
        0x80.. if first & 3 < 3 => (first >> 2 & 0xf, 1 << (first & 3), rest),
        _ => return None,
    };
    let (length, rest) = rest.split_at_checked(digits)?;
    let length = length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    let (body, rest) = rest.split_at_checked(length)?;
    Some((Packet { tag, body }, rest))
}

fn signature_type(body: &[u8]) -> Option<u8> {
    match body {
        [2 | 3, _, kind, ..] | [4..=u8::MAX, kind, ..] => Some(*kind),
        _ => None,
    }
}

/// A key of version 4. Of another it has no fingerprint here, and what it signs does not count.
fn key(body: &[u8]) -> Result<Key> {
    let [4, _, _, _, _, algorithm, numbers @ ..] = body else { return Ok(Key::default()) };
    let length = u16::try_from(body.len()).map_err(|_| broken())?;
    let hashed = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[&[0x99], &length.to_be_bytes()[..], body].concat());
    let fingerprint = hashed.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    let rsa_bits = match RSA.contains(algorithm) {
        true => Some(bits(numbers).ok_or_else(broken)?),
        false => None,
    };
    Ok(Key { fingerprint, rsa_bits, revoked: false })
}

/// How long the first number is, whatever is said of it.
fn bits(numbers: &[u8]) -> Option<usize> {
    let (length, rest) = numbers.split_first_chunk::<2>()?;
    let number = rest.get(..usize::from(u16::from_be_bytes(*length)).div_ceil(8))?;
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let first = number.get(zeros).map_or(8, |byte| byte.leading_zeros() as usize);
    Some(((number.len() - zeros) * 8).saturating_sub(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key of version 4 with a number.
    fn body(algorithm: u8, number: &[u8]) -> Vec<u8> {
        let bits = u16::try_from(number.len() * 8).unwrap().to_be_bytes();
        [&[4, 0, 0, 0, 0, algorithm], &bits[..], number].concat()
    }

    /// `tag length`, joined with commas.
    fn check(data: &[u8], expected: &str) {
        let shown = |packet: &Packet<'_>| format!("{} {}", packet.tag, packet.body.len());
        let actual = match packets(data) {
            Ok(packets) => packets.iter().map(shown).collect::<Vec<_>>().join(", "),
            Err(error) => error.to_string(),
        };
        assert_eq!(actual, expected, "{data:x?}");
    }

    #[test]
    fn headers() {
        const BROKEN: &str = "it is broken OpenPGP data";
        check(b"", "");
        check(b"\xc2\x03abc\xc6\x00", "2 3, 6 0");
        check(&[b"\xce\xc0\x08", &[0; 200][..]].concat(), "14 200");
        check(&[b"\xc2\xff\x00\x00\x01\x00", &[0; 256][..]].concat(), "2 256");
        check(b"\x88\x03abc\x99\x00\x02ab\x9a\x00\x00\x00\x01a", "2 3, 6 2, 6 1");
        for broken in
            [&b"abc"[..], b"\xc2", b"\xc2\x04abc", b"\xc2\xe1abc", b"\xcb\xff", b"\x8b", b"\x99\x01", b"\xc2\xc0"]
        {
            check(broken, BROKEN);
        }
    }

    #[test]
    fn lengths() {
        let of = |number: &[u8]| key(&body(1, number)).unwrap().rsa_bits.unwrap();
        assert_eq!(of(&[0xff; 256]), 2048);
        assert_eq!(of(&[&[0x7f], &[0xff; 255][..]].concat()), 2047);
        assert_eq!(of(&[&[0; 128], &[0xff; 128][..]].concat()), 1024, "zeros make no key longer");
        assert_eq!(of(&[0; 256]), 0);
        assert_eq!(key(&body(22, &[9])).unwrap().rsa_bits, None);
        assert!(key(&[4, 0, 0, 0, 0, 1, 8, 0, 1]).is_err());
    }

    #[test]
    fn revocations_are_of_the_key_that_they_follow() {
        let packet = |tag: u8, body: &[u8]| [&[0xc0 | tag, u8::try_from(body.len()).unwrap()], body].concat();
        let (primary, sub) = (packet(PUBLIC_KEY, &body(22, b"p")), packet(PUBLIC_SUBKEY, &body(22, b"s")));
        let signed = |kind: u8| packet(SIGNATURE, &[4, kind, 22, 8]);
        let revoked =
            |parts: &[Vec<u8>]| keys(&parts.concat()).unwrap().iter().map(|key| key.revoked).collect::<Vec<_>>();
        let user = packet(13, b"me");
        assert_eq!(revoked(&[primary.clone(), user.clone(), signed(0x13), sub.clone(), signed(0x18)]), [false, false]);
        assert_eq!(revoked(&[primary.clone(), signed(0x20), user.clone(), sub.clone(), signed(0x18)]), [true, false]);
        assert_eq!(revoked(&[primary.clone(), sub.clone(), signed(0x18), signed(0x20)]), [true, false]);
        assert_eq!(revoked(&[primary.clone(), user, signed(0x30), sub, signed(0x28), primary]), [false, true, false]);
    }

    #[test]
    fn data_that_is_cut_off() {
        let parts =
            [b"\xc6\x09\x04\x00\x00\x00\x00\x16\x00\x08p".as_slice(), b"\xcd\x02me", b"\x89\x00\x04\x04\x13\x16\x08"];
        let (whole, mut ends) = (parts.concat(), vec![0]);
        parts.iter().for_each(|part| ends.push(ends.last().unwrap() + part.len()));
        let readable: Vec<_> = (0..=whole.len()).filter(|length| keys(&whole[..*length]).is_ok()).collect();
        assert_eq!(readable, ends);
    }

    #[test]
    fn what_is_no_public_key() {
        let text = |data: &[u8]| keys(data).unwrap_err().to_string();
        assert!(text(b"\xc5\x01a").contains("private key"), "{}", text(b"\xc5\x01a"));
        assert!(text(b"\xc7\x01a").contains("private key"));
        assert!(text(b"\xc2\x02\x04\x20").contains("broken"));
        assert_eq!(keys(b"\xc6\x01\x06").unwrap(), [Key::default()], "a version that is not known");
        for message in [&b""[..], b"\xcb\x01b", b"\xc2\x01a\xcb\x01b"] {
            assert_eq!(check_signatures(message).unwrap_err().to_string(), "it is no detached signature");
        }
        check_signatures(b"\xc2\x01a\xc2\x01a").unwrap();
    }
}
