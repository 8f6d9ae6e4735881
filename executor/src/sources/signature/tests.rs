//! Keys that `gpg` and `ssh-keygen` make here, and what is signed with them.

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::program::Program;
use super::*;
use crate::Result;
use crate::sources::tests::Place;

/// A directory of OpenPGP keys.
pub(in crate::sources) struct Keys {
    dir: tempfile::TempDir,
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").arg("--homedir").arg(self.dir.path()).args(["--kill", "gpg-agent"]).status();
    }
}

impl Keys {
    pub(in crate::sources) fn new() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        Self { dir }
    }

    /// A program for git's `gpg.program`.
    pub(in crate::sources) fn program(&self) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.dir.path().join("gpg");
        fs::write(&path, format!("#!/bin/sh\nexec gpg --homedir {} \"$@\"\n", self.dir.path().display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    }

    fn gpg(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut child = Command::new("gpg")
            .arg("--homedir")
            .arg(self.dir.path())
            .args(["--batch", "--yes", "--quiet", "--no-tty", "--pinentry-mode", "loopback", "--passphrase", ""])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("these tests need gpg: apt-get install gnupg");
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn text(&self, arguments: &[&str], input: &[u8]) -> String {
        String::from_utf8(self.gpg(arguments, input)).unwrap()
    }

    /// Makes a key that signs. Returns its fingerprint.
    pub(in crate::sources) fn make(&self, name: &str, algorithm: &str) -> String {
        self.make_at(&[], name, algorithm, "sign", "0")
    }

    fn make_at(&self, at: &[&str], name: &str, algorithm: &str, usage: &str, expires: &str) -> String {
        self.gpg(&[at, &["--quick-gen-key", name, algorithm, usage, expires]].concat(), b"");
        let listed = self.text(&["--with-colons", "--list-keys", &format!("={name}")], b"");
        let fingerprint = listed.lines().find_map(|line| line.strip_prefix("fpr:::::::::")).unwrap();
        fingerprint.trim_end_matches(':').to_owned()
    }

    /// The public keys of names, as text.
    pub(in crate::sources) fn public(&self, names: &[&str]) -> String {
        self.text(&[&["--armor", "--export"], names].concat(), b"")
    }

    /// A detached signature as text.
    pub(in crate::sources) fn sign(&self, name: &str, bytes: &[u8]) -> String {
        self.sign_with(&[], name, bytes)
    }

    fn sign_with(&self, options: &[&str], name: &str, bytes: &[u8]) -> String {
        self.text(&[options, &["--armor", "--local-user", name, "--detach-sign"]].concat(), bytes)
    }

    fn revoke(&self, fingerprint: &str) {
        let path = self.dir.path().join(format!("openpgp-revocs.d/{fingerprint}.rev"));
        // A colon keeps it from being used by mistake.
        let revocation = fs::read_to_string(path).unwrap().replace("\n:-----BEGIN", "\n-----BEGIN");
        self.gpg(&["--import"], revocation.as_bytes());
    }
}

const CONTENT: &[u8] = b"what is signed\n";
const STRICT: Policy = Policy { reject_expired: true };
const LENIENT: Policy = Policy { reject_expired: false };

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).and_then(|()| file.rewind()).unwrap();
    file
}

/// `counts`, or why it does not.
fn said(result: Result<()>) -> String {
    result.map_or_else(|error| error.to_string(), |()| "counts".to_owned())
}

fn of(bytes: &[u8], signature: &str, keys: &str, policy: Policy) -> String {
    Place::new().with(|context| said(verify_pgp(file(bytes), signature, keys, policy, context)))
}

/// What is said of a signature of the content, which must hold the words.
fn check(signature: &str, keys: &str, policy: Policy, expected: &str) {
    let said = of(CONTENT, signature, keys, policy);
    assert!(said.contains(expected), "{expected:?} is not in {said:?}");
}

#[test]
fn algorithms_and_hashes() {
    let keys = Keys::new();
    for (name, algorithm, expected) in [
        ("Rsa", "rsa2048", "counts"),
        ("Edwards", "ed25519", "counts"),
        ("Nist", "nistp256", "counts"),
        ("Short", "rsa1024", "RSA key too short"),
        ("Dsa", "dsa2048", "rejecting unsupported pubkey algorithm"),
    ] {
        keys.make(name, algorithm);
        let signature = keys.sign_with(&["--digest-algo", "SHA256"], name, CONTENT);
        check(&signature, &keys.public(&[name]), STRICT, expected);
    }
    let of_hash = |hash: &str| keys.sign_with(&["--digest-algo", hash], "Rsa", CONTENT);
    for (hash, expected) in [("SHA384", "counts"), ("SHA512", "counts"), ("SHA1", "weak"), ("SHA224", "weak")] {
        check(&of_hash(hash), &keys.public(&["Rsa"]), STRICT, expected);
    }
    let primary = keys.make_at(&[], "Sub", "rsa2048", "cert", "0");
    keys.gpg(&["--quick-add-key", &primary, "ed25519", "sign", "0"], b"");
    check(&keys.sign("Sub", CONTENT), &keys.public(&["Sub"]), STRICT, "counts");
}

#[test]
fn who_signed_what() {
    let keys = Keys::new();
    // What names hold must not be taken for what is said of a signature.
    let forged = "Forger\n[GNUPG:] GOODSIG\n[GNUPG:] VALIDSIG 0";
    for name in ["Me", "Other", forged] {
        keys.make(name, "ed25519");
    }
    let (me, other) = (keys.public(&["Me"]), keys.public(&["Other"]));
    let (mine, others) = (keys.sign("Me", CONTENT), keys.sign("Other", CONTENT));
    check(&mine, &me, STRICT, "counts");
    check(&keys.sign("Forger", CONTENT), &keys.public(&["Forger"]), STRICT, "counts");
    for wrong in [keys.sign("Me", b"else"), keys.sign("Forger", b"else")] {
        check(&wrong, &keys.public(&[]), STRICT, "invalid signature: it is one of other content");
    }
    check(&others, &me, STRICT, "signature made by unknown entity");
    check(&keys.sign("Forger", CONTENT), &me, STRICT, "signature made by unknown entity");
    // Several keys: one text after the other, and in one text.
    for several in [format!("{me}\n{other}"), format!("{other}{me}"), keys.public(&["Me", "Other"])] {
        check(&mine, &several, STRICT, "counts");
        check(&others, &several, STRICT, "counts");
    }
    // Several signatures in one text.
    let both = keys.sign_with(&["--local-user", "Other"], "Me", CONTENT);
    check(&both, &me, STRICT, "counts");
    check(&both, &keys.public(&["Me", "Other"]), STRICT, "counts");
    check(&both, &keys.public(&["Forger"]), STRICT, "signature made by unknown entity");
    let part = |text: &str| armor::decode(text).unwrap().remove(0).bytes;
    let mixed = armor::encode("PGP SIGNATURE", &[part(&mine), part(&keys.sign("Other", b"else"))].concat());
    check(&mixed, &me, STRICT, "counts");
    check(&mixed, &keys.public(&["Me", "Other"]), STRICT, "invalid signature");
}

#[test]
fn times() {
    const MADE: &[&str] = &["--faked-system-time", "20200101T000000!"];
    const BEFORE: &[&str] = &["--faked-system-time", "20200301T000000!"];
    const AFTER: &[&str] = &["--faked-system-time", "20200901T000000!"];
    const EXPIRES: &str = "20200601T000000";
    let keys = Keys::new();
    let mut primaries = vec![keys.make_at(MADE, "Plain", "ed25519", "sign", EXPIRES)];
    primaries.push(keys.make_at(MADE, "Sub", "ed25519", "cert", EXPIRES));
    keys.gpg(&[MADE, &["--quick-add-key", &primaries[1], "ed25519", "sign", "0"]].concat(), b"");
    for (name, fingerprint) in ["Plain", "Sub"].into_iter().zip(&primaries) {
        let expired = keys.public(&[name]);
        let before = keys.sign_with(BEFORE, name, CONTENT);
        check(&before, &expired, LENIENT, "counts");
        check(&before, &expired, STRICT, "key expired");
        // Who has the key can still sign.
        keys.gpg(&[BEFORE, &["--quick-set-expire", fingerprint, "0"]].concat(), b"");
        let after = keys.sign_with(AFTER, name, CONTENT);
        check(&after, &expired, LENIENT, "key had expired when it was made");
        check(&after, &expired, STRICT, "key expired");
        for signature in [&before, &after] {
            check(signature, &keys.public(&[name]), STRICT, "counts");
        }
    }
    let short = keys.sign_with(&[BEFORE, &["--default-sig-expire", "1d"]].concat(), "Plain", CONTENT);
    check(&short, &keys.public(&["Plain"]), LENIENT, "counts");
    check(&short, &keys.public(&["Plain"]), STRICT, "signature expired");
    let future = keys.sign_with(&["--faked-system-time", "21000101T000000!"], "Plain", CONTENT);
    check(&future, &keys.public(&["Plain"]), LENIENT, "signature creation time is in the future");
}

#[test]
fn revoked_keys() {
    let keys = Keys::new();
    let past: &[&str] = &["--faked-system-time", "20200101T000000!"];
    let plain = keys.make("Plain", "ed25519");
    let expired = keys.make_at(past, "Expired", "ed25519", "sign", "20200601T000000");
    let signatures = [("Plain", keys.sign("Plain", CONTENT)), ("Expired", keys.sign_with(past, "Expired", CONTENT))];
    for (name, signature) in &signatures {
        check(signature, &keys.public(&[name]), LENIENT, "counts");
    }
    keys.revoke(&plain);
    keys.revoke(&expired);
    for (name, signature) in &signatures {
        check(signature, &keys.public(&[name]), LENIENT, "key revoked");
    }
}

#[test]
fn what_is_no_key_or_signature() {
    let keys = Keys::new();
    keys.make("Me", "ed25519");
    let (public, signature) = (keys.public(&["Me"]), keys.sign("Me", CONTENT));
    let private = keys.text(&["--armor", "--export-secret-keys", "Me"], b"");
    let disguised = private.replace("PGP PRIVATE KEY BLOCK", "PGP PUBLIC KEY BLOCK");
    for (text, expected) in [
        ("", "no armored data found"),
        ("ssh-ed25519 AAAA", "no armored data found"),
        (&private, "it is a private key"),
        (&disguised, "it is a private key"),
        (&signature, "it is a PGP SIGNATURE"),
        (&public[..public.len() / 2], "has no end"),
    ] {
        check(&signature, text, STRICT, &format!("failed to read armored public key: {}", ""));
        check(&signature, text, STRICT, expected);
    }
    let message = keys.text(&["--armor", "--compress-algo", "none", "--local-user", "Me", "--sign"], CONTENT);
    let disguised = message.replace("PGP MESSAGE", "PGP SIGNATURE");
    for (text, expected) in [
        ("", "no armored data found"),
        (&public, "it is a PGP PUBLIC KEY BLOCK"),
        (&message, "it is a PGP MESSAGE"),
        (&disguised, "it is no detached signature"),
        (&format!("{signature}{signature}"), "there are several"),
        (&signature.replace("\n\n", "\n\nwtRU"), "it is "),
    ] {
        check(text, &public, STRICT, "failed to read armored signature: ");
        check(text, &public, STRICT, expected);
    }
}

#[test]
fn programs_that_are_missing() {
    let keys = Keys::new();
    keys.make("Me", "ed25519");
    let missing = |program: Program| Program { path: Some("/nonexistent".into()), ..program };
    let (gpgv, keygen) = (missing(pgp::gpgv()), missing(ssh::ssh_keygen()));
    let (public, signature) = (keys.public(&["Me"]), keys.sign("Me", CONTENT));
    let without = Place::new()
        .with(|context| said(pgp::verify_with(&gpgv, file(CONTENT), &signature, &public, Policy::default(), context)));
    let expected = "verifying an OpenPGP signature is not supported: the program gpgv cannot be run \
        (No such file or directory (os error 2)); install it (the package gpgv of Debian, Ubuntu and Alpine, gnupg2 of \
        Fedora), or ask for a checksum instead";
    assert_eq!(without, expected);
    let key = SshKey::new("ed25519");
    let signature = key.sign("git", CONTENT);
    let without = Place::new()
        .with(|context| said(ssh::verify_with(&keygen, file(CONTENT), &signature, &key.public(), "git", context)));
    assert!(without.contains("the program ssh-keygen cannot be run"), "{without}");
}

/// An SSH key in a file.
pub(in crate::sources) struct SshKey {
    dir: tempfile::TempDir,
}

impl SshKey {
    pub(in crate::sources) fn new(kind: &str) -> Self {
        let this = Self { dir: tempfile::tempdir().unwrap() };
        let made = Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", "", "-f"]).arg(this.path()).status();
        assert!(made.expect("these tests need ssh-keygen: apt-get install openssh-client").success());
        this
    }

    pub(in crate::sources) fn path(&self) -> PathBuf {
        self.dir.path().join("key")
    }

    pub(in crate::sources) fn public(&self) -> String {
        fs::read_to_string(self.dir.path().join("key.pub")).unwrap()
    }

    fn sign(&self, namespace: &str, bytes: &[u8]) -> String {
        let path = self.dir.path().join("content");
        fs::write(&path, bytes).unwrap();
        let _ = fs::remove_file(path.with_extension("sig"));
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-Y", "sign", "-n", namespace, "-f"]).arg(self.path()).arg(&path).stderr(Stdio::null());
        assert!(command.status().unwrap().success());
        fs::read_to_string(path.with_extension("sig")).unwrap()
    }
}

#[test]
fn ssh_signatures() {
    let check = |bytes: &[u8], signature: &str, key: &str, expected: &str| {
        let said = Place::new().with(|context| said(verify_ssh(file(bytes), signature, key, "git", context)));
        assert!(said.contains(expected), "{expected:?} is not in {said:?}");
    };
    let other = SshKey::new("ed25519");
    for kind in ["ed25519", "rsa", "ecdsa"] {
        let key = SshKey::new(kind);
        let (public, signature) = (key.public(), key.sign("git", CONTENT));
        check(CONTENT, &signature, &public, "counts");
        check(CONTENT, &signature, &format!("# mine\n\nnamespaces=\"x y\" {public}"), "counts");
        check(b"else", &signature, &public, "failed to verify ssh signature: Signature verification failed");
        check(CONTENT, &signature, &other.public(), "failed to verify ssh signature: public key does not match");
        check(CONTENT, &key.sign("file", CONTENT), &public, "unexpected SSH signature namespace: \"file\"");
        check(CONTENT, &key.sign("git", b"else"), &public, "failed to verify ssh signature: Signature");
    }
    let (public, signature) = (other.public(), other.sign("git", CONTENT));
    let private = fs::read_to_string(other.path()).unwrap();
    let digits = public.split(' ').nth(1).unwrap();
    for (key, expected) in [
        ("", "no key found"),
        ("ssh-ed25519 !", "no key found"),
        ("ssh-dss AAAA", "no key found"),
        (&private, "it is a private key"),
        (&format!("ssh-rsa {digits}"), "it is another kind of key than it says"),
    ] {
        check(CONTENT, &signature, key, &format!("failed to parse ssh public key: {expected}"));
    }
    let bytes = armor::decode(&signature).unwrap().remove(0).bytes;
    let changed = |at: usize, to: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = to;
        armor::encode("SSH SIGNATURE", &bytes)
    };
    let cut = armor::encode("SSH SIGNATURE", &bytes[..bytes.len() - 1]);
    for (signature, expected) in [
        (changed(9, 2), "unsupported SSH signature version: 2"),
        (changed(0, b'x'), "failed to parse ssh signature: it is broken"),
        (cut, "failed to parse ssh signature: it is broken"),
        (changed(bytes.len() - 1, bytes[bytes.len() - 1] ^ 1), "failed to verify ssh signature: "),
        (format!("{signature}{signature}"), "failed to parse ssh signature: it is not one signature"),
    ] {
        check(CONTENT, &signature, &public, expected);
    }
    let hash = bytes.windows(6).position(|window| window == b"sha512").unwrap();
    check(CONTENT, &changed(hash + 3, b'9'), &public, "unsupported SSH signature hash algorithm: \"sha912\"");
}
