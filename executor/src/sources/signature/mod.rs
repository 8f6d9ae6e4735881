//! Whether bytes were signed with a key that the user trusts: OpenPGP for git objects and downloads, SSH for git objects.
//!
//! The cryptography is that of `gpgv` and `ssh-keygen`, as git's own verification is: they get the key and the signature in
//! files of a private directory, the bytes as their input, and nothing of the user's configuration. What they say is read
//! from the lines they write for machines. The exit code alone says nothing: `gpgv` has none for keys that are expired or
//! revoked.
//!
//! | file | what it is |
//! |---|---|
//! | `armor` | from text to bytes, and back |
//! | `packets` | what of OpenPGP data is looked at here: whose it is, how long a key is, what was revoked |
//! | `pgp` | asking `gpgv`, and what its answer means |
//! | `ssh` | asking `ssh-keygen` |
//! | `program` | how both are run |
//!
//! parity: BuildKit v0.32, util/pgpsign and util/gitutil/gitsign: what counts, and the words of messages. Other than there,
//! private keys are refused.

mod armor;
mod packets;
mod pgp;
mod program;
mod ssh;
#[cfg(test)]
pub(super) mod tests;

pub(super) use pgp::{Policy, verify as verify_pgp};
pub(super) use ssh::verify as verify_ssh;

/// How the text of an OpenPGP signature begins.
pub(super) const PGP: &str = "-----BEGIN PGP SIGNATURE-----";
/// How the text of an SSH signature begins.
pub(super) const SSH: &str = "-----BEGIN SSH SIGNATURE-----";
