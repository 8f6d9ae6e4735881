//! OpenPGP signatures, by `gpgv`.
//!
//! What counts: hashes from SHA-256 on; RSA, ECDSA and EdDSA; RSA primary keys from 2048 bits on; keys that are not revoked;
//! signatures that are not from the future. A key that has expired since counts unless the user says otherwise.
//!
//! A text may hold several signatures, as releases have that several people sign. Those by keys that the user did not give
//! say nothing; all others must count, and there must be one.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::time::{SystemTime, UNIX_EPOCH};

use super::armor;
use super::packets::{self, Key};
use super::program::{Program, said};
use crate::sources::Context;
use crate::{Error, Result};

/// Longest keys and signatures, in bytes of their text.
const MAX_TEXT: usize = 8 << 20;
/// How far a signature may be ahead of this machine's clock, in seconds.
const LEEWAY: i64 = 5 * 60;
/// Least length of an RSA primary key, in bits.
const MIN_RSA_BITS: usize = 2048;
/// Numbers of RSA (for all, for signatures), ECDSA, EdDSA.
const ALGORITHMS: [&str; 4] = ["1", "3", "19", "22"];
/// Numbers of SHA-256, SHA-384, SHA-512.
const HASHES: [&str; 3] = ["8", "9", "10"];
/// Classes of signatures of bytes and of text; others are of keys, or of nothing.
const CLASSES: [&str; 2] = ["00", "01"];
/// What `gpgv` says of a signature whose key it does not have.
const NO_KEY: &str = "9";

/// What the user says of signatures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::sources) struct Policy {
    /// Whether keys and signatures that have expired since do not count.
    pub(in crate::sources) reject_expired: bool,
}

/// Whether bytes, read from the start of a file, have a detached signature by one of the keys, both as text.
///
/// **Errors**: they do not; `gpgv` is missing.
pub(in crate::sources) fn verify(
    bytes: File,
    signature: &str,
    keys: &str,
    policy: Policy,
    context: Context<'_>,
) -> Result<()> {
    verify_with(&gpgv(), bytes, signature, keys, policy, context)
}

pub(super) fn gpgv() -> Program {
    Program {
        name: "gpgv",
        what: "an OpenPGP signature",
        package: "the package gpgv of Debian, Ubuntu and Alpine, gnupg2 of Fedora",
        path: std::env::var_os("PATH"),
    }
}

pub(super) fn verify_with(
    gpgv: &Program,
    bytes: File,
    signature: &str,
    keys: &str,
    policy: Policy,
    context: Context<'_>,
) -> Result<()> {
    let signature = signatures(signature)?;
    let ring = Ring::parse(keys)?;
    let dir = context.store.temp().dir("gpgv")?;
    let file = |name: &str, data: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, data).map_err(Error::io("write", &path))?;
        Ok::<_, Error>(path)
    };
    let (signature, keyring) = (file("signature", &signature)?, file("keys", &ring.data)?);
    let option = |name: &'static str| OsStr::new(name);
    let arguments = [
        option("--homedir"),
        dir.path().as_os_str(),
        option("--status-fd"),
        option("1"),
        option("--keyring"),
        keyring.as_os_str(),
        option("--"),
        signature.as_os_str(),
        option("-"),
    ];
    let output = gpgv.run(&arguments, bytes, context)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64);
    let fails = judge(&String::from_utf8_lossy(&output.stdout), &ring.keys, policy, now)?;
    match output.status.success() || fails {
        true => Ok(()),
        false => Err(Error::Invalid(format!("gpgv failed: {}", said(&output)))),
    }
}

/// The data of the signatures in a text.
fn signatures(text: &str) -> Result<Vec<u8>> {
    let invalid = |why: &str| Error::Invalid(format!("failed to read armored signature: {why}"));
    let wrap = |error: Error| invalid(&error.to_string());
    if text.len() > MAX_TEXT {
        return Err(invalid("it is too long"));
    }
    match &armor::decode(text).map_err(wrap)?[..] {
        [block] if block.kind == "PGP SIGNATURE" => {
            packets::check_signatures(&block.bytes).map_err(wrap)?;
            Ok(block.bytes.clone())
        }
        [] => Err(invalid("no armored data found")),
        [block] => Err(invalid(&format!("it is a {}", block.kind))),
        _ => Err(invalid("there are several")),
    }
}

/// The keys that the user trusts.
struct Ring {
    data: Vec<u8>,
    keys: Vec<Key>,
}

impl Ring {
    /// From one text or several, one after the other.
    fn parse(text: &str) -> Result<Self> {
        let invalid = |why: &str| Error::Invalid(format!("failed to read armored public key: {why}"));
        if text.len() > MAX_TEXT {
            return Err(invalid("it is too long"));
        }
        let blocks = armor::decode(text).map_err(|error| invalid(&error.to_string()))?;
        for block in &blocks {
            match &*block.kind {
                "PGP PUBLIC KEY BLOCK" => {}
                "PGP PRIVATE KEY BLOCK" => return Err(invalid(&packets::private().to_string())),
                other => return Err(invalid(&format!("it is a {other}"))),
            }
        }
        let data: Vec<u8> = blocks.into_iter().flat_map(|block| block.bytes).collect();
        let keys = packets::keys(&data).map_err(|error| invalid(&error.to_string()))?;
        if keys.is_empty() {
            return Err(invalid("no armored data found"));
        }
        Ok(Self { data, keys })
    }
}

/// What `gpgv` says of one signature.
#[derive(Default)]
struct Said<'a> {
    /// `GOODSIG` and its like, and what follows it.
    verdict: Option<(&'a str, &'a str)>,
    /// What follows `VALIDSIG`.
    valid: Option<&'a str>,
    /// When the key, or the one it belongs to, expired; in seconds since 1970.
    expired: Vec<i64>,
}

/// Reads the lines that `gpgv` writes (`doc/DETAILS` of GnuPG). Gives whether it fails for what does not matter here: keys
/// that are missing, signatures that have expired.
///
/// **Errors**: no signature counts, or one by a key of the user's does not.
fn judge(status: &str, keys: &[Key], policy: Policy, now: i64) -> Result<bool> {
    let mut fails = false;
    let mut counted = false;
    let mut stranger = None;
    for said in read(status)? {
        match said.judge(keys, policy, now)? {
            Verdict::Counts { expired } => {
                counted = true;
                fails |= expired;
            }
            Verdict::Stranger(key) => {
                fails = true;
                stranger.get_or_insert(key);
            }
        }
    }
    match (counted, stranger) {
        (true, _) => Ok(fails),
        (false, Some(key)) => Err(Error::Invalid(format!(
            "signature by {key}: signature made by unknown entity: no key that was given has it"
        ))),
        (false, None) => Err(Error::Invalid("gpgv found no signature".into())),
    }
}

/// One for each signature. User ids and the like are escaped by `gpgv`: a line is a line of its own.
fn read(status: &str) -> Result<Vec<Said<'_>>> {
    let mut all: Vec<Said<'_>> = Vec::new();
    for line in status.lines() {
        let unexpected = || Error::Invalid(format!("gpgv said {}, which is not expected", oci::text::quote(line)));
        let line = line.strip_prefix("[GNUPG:] ").ok_or_else(unexpected)?;
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word == "NEWSIG" {
            all.push(Said::default());
        }
        let last = all.last_mut();
        match word {
            "GOODSIG" | "EXPSIG" | "EXPKEYSIG" | "REVKEYSIG" | "BADSIG" | "ERRSIG" => {
                let last = last.filter(|said| said.verdict.is_none()).ok_or_else(unexpected)?;
                last.verdict = Some((word, rest));
            }
            "VALIDSIG" => {
                let last = last.filter(|said| said.valid.is_none()).ok_or_else(unexpected)?;
                last.valid = Some(rest);
            }
            "KEYEXPIRED" => {
                let last = last.ok_or_else(unexpected)?;
                last.expired.push(rest.trim().parse().map_err(|_| unexpected())?);
            }
            _ => {}
        }
    }
    Ok(all)
}

enum Verdict {
    Counts {
        /// Whether the signature, not the key, has expired.
        expired: bool,
    },
    /// Made by this key, which the user did not give.
    Stranger(String),
}

impl Said<'_> {
    /// **Errors**: it is by a key of the user's and does not count.
    fn judge(&self, keys: &[Key], policy: Policy, now: i64) -> Result<Verdict> {
        let (word, rest) = self.verdict.ok_or_else(|| Error::Invalid("gpgv says nothing of a signature".into()))?;
        let mut words = rest.split(' ');
        let key = words.next().unwrap_or_default();
        let refused = |why: &str| Err(Error::Invalid(format!("signature by {key}: {why}")));
        match word {
            "ERRSIG" => match words.nth(4) {
                Some(NO_KEY) => Ok(Verdict::Stranger(key.to_owned())),
                code => refused(&format!("gpgv cannot check it (error {})", code.unwrap_or_default())),
            },
            "BADSIG" => refused("invalid signature: it is one of other content"),
            "REVKEYSIG" => refused("key revoked"),
            _ if policy.reject_expired && word == "EXPKEYSIG" => refused("key expired"),
            _ if policy.reject_expired && word == "EXPSIG" => refused("signature expired"),
            _ => match self.check(word, keys, now) {
                Ok(()) => Ok(Verdict::Counts { expired: word == "EXPSIG" }),
                Err(why) => refused(why),
            },
        }
    }

    /// Why a signature that is right does not count.
    fn check(&self, word: &str, keys: &[Key], now: i64) -> std::result::Result<(), &'static str> {
        let fields: Vec<_> = self.valid.unwrap_or_default().split(' ').collect();
        let [by, _, made, _, _, _, algorithm, hash, class, primary] = fields[..] else {
            return Err("gpgv says too little of it");
        };
        let made: i64 = made.parse().map_err(|_| "gpgv says no time of it")?;
        if !CLASSES.contains(&class) {
            return Err("it is no signature of content");
        }
        if !HASHES.contains(&hash) {
            return Err("rejecting weak/unknown hash: SHA-256, SHA-384 and SHA-512 count");
        }
        if !ALGORITHMS.contains(&algorithm) {
            return Err("rejecting unsupported pubkey algorithm: RSA, ECDSA and EdDSA count");
        }
        // A key of a version that is not known has none.
        let of =
            |fingerprint| keys.iter().filter(move |key| !key.fingerprint.is_empty() && key.fingerprint == fingerprint);
        let (bys, primaries): (Vec<_>, Vec<_>) = (of(by).collect(), of(primary).collect());
        if bys.is_empty() || primaries.is_empty() {
            return Err("it is by a key that was not given");
        }
        // `gpgv` does not tell of a key that has expired as well.
        if bys.iter().chain(&primaries).any(|key| key.revoked) {
            return Err("key revoked");
        }
        if primaries.iter().any(|key| key.rsa_bits.is_some_and(|bits| bits < MIN_RSA_BITS)) {
            return Err("RSA key too short: it takes 2048 bits");
        }
        // 0 is said of a key that goes with another one which has expired.
        let mut expired = self.expired.iter().filter(|time| **time != 0).peekable();
        if word == "EXPKEYSIG" && expired.peek().is_none() || expired.any(|time| *time <= made) {
            return Err("key had expired when it was made");
        }
        if made > now + LEEWAY {
            return Err("signature creation time is in the future");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000;
    const GOOD: &str = "GOODSIG 1 me\nVALIDSIG A 2020 1600000000 0 4 0 22 8 00 A";

    /// What is said of lines without `[GNUPG:] `, by a trusted key `A`.
    fn check(lines: &str, expected: &str) {
        let keys = [Key { fingerprint: "A".into(), ..Key::default() }, Key::default()];
        let status: String = lines.lines().map(|line| format!("[GNUPG:] {line}\n")).collect();
        let said = match judge(&status, &keys, Policy::default(), NOW) {
            Ok(_) => "counts".to_owned(),
            Err(error) => error.to_string(),
        };
        assert!(said.contains(expected), "{expected:?} is not in {said:?}");
    }

    #[test]
    fn what_gpgv_says() {
        let new = |rest: &str| format!("NEWSIG\n{rest}");
        check(&new(GOOD), "counts");
        check("", "gpgv found no signature");
        check("NODATA 2", "gpgv found no signature");
        check("NEWSIG", "gpgv says nothing of a signature");
        check(&new("GOODSIG 1 me"), "gpgv says too little of it");
        check(&new("VALIDSIG A 2020 1600000000 0 4 0 22 8 00 A"), "gpgv says nothing of a signature");
        check(&new(&GOOD.replace(" A", " B")), "it is by a key that was not given");
        check(&new(&GOOD.replace(" A", " ")), "it is by a key that was not given");
        check(&new(&GOOD.replace("1600000000", "soon")), "gpgv says no time of it");
        check(&new(&GOOD.replace(" 00 ", " 01 ")), "counts");
        check(&new(&GOOD.replace(" 00 ", " 02 ")), "it is no signature of content");
        check(&new(&GOOD.replace("GOODSIG", "REVKEYSIG")), "key revoked");
        check(&new(&GOOD.replace("GOODSIG", "EXPKEYSIG")), "key had expired when it was made");
        check(&new("ERRSIG 1 22 8 00 0 4 A"), "gpgv cannot check it (error 4)");
        check(&new("ERRSIG 1 22 8 00 0 9 A\nNO_PUBKEY 1"), "signature by 1: signature made by unknown entity");
        check(&new(&format!("{GOOD}\nNEWSIG\nBADSIG 1 me")), "invalid signature");
        check(&new(&format!("{GOOD}\nNEWSIG\nERRSIG 2 22 8 00 0 9")), "counts");
        for unexpected in [GOOD.to_owned(), new(&format!("{GOOD}\n{GOOD}")), "KEYEXPIRED 1".into(), new("KEYEXPIRED x")]
        {
            check(&unexpected, "which is not expected");
        }
        let leeway = GOOD.replace("1600000000", &(NOW + LEEWAY).to_string());
        check(&new(&leeway), "counts");
        check(&new(&leeway.replace("300 ", "301 ")), "signature creation time is in the future");
        assert!(judge("gpgv: talk\n", &[], Policy::default(), NOW).is_err(), "only lines for machines are expected");
    }
}
