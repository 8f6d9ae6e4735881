//! What a definition asks for: `git://host/path#ref:subdir` and its attributes.

use super::bundle::Locator;
use super::verify::Signatures;
use crate::{Error, Result};

/// What a definition asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The address that `git` is given.
    pub(super) remote: String,
    /// Branch, tag, full name or commit; empty is the remote's default branch.
    pub(super) reference: String,
    /// Directory that becomes the root; empty is all.
    pub(super) subdir: String,
    /// What the commit, or a tag's object, must start with; empty is anything.
    pub(super) checksum: String,
    pub(super) keep_git_dir: bool,
    pub(super) skip_submodules: bool,
    /// Whether files get the time of the commit.
    pub(super) commit_mtime: bool,
    /// Whether the checksum is fetched without asking what the reference is.
    pub(super) fetch_by_commit: bool,
    /// Id of a secret with a whole `Authorization` header.
    pub(super) header_secret: String,
    /// Id of a secret with a token.
    pub(super) token_secret: String,
    /// Id of an agent; empty is none.
    pub(super) ssh: String,
    /// Lines of a known_hosts file; empty trusts any host.
    pub(super) known_hosts: String,
    /// Where the commit is taken from, if not from the remote.
    pub(super) bundle: Option<Locator>,
    /// Whether the tree is a bundle of the commit.
    pub(super) as_bundle: bool,
    /// How the commit or its tag must be signed; unset is not at all.
    pub(super) signatures: Option<Signatures>,
}

impl Wanted {
    pub(super) fn parse(source: &llb::Source) -> Result<Self> {
        let rest = source.identifier.split_once("://").map_or(source.identifier.as_str(), |(_, rest)| rest);
        let (address, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (reference, subdir) = fragment.split_once(':').unwrap_or((fragment, ""));
        let mut this = Self {
            remote: with_transport(address),
            reference: reference.to_owned(),
            subdir: subdir.to_owned(),
            ..Self::default()
        };
        for (key, value) in source.attrs.iter() {
            this.attribute(key, value)?;
        }
        if this.reference.starts_with('-') || this.remote.starts_with('-') {
            return Err(Error::Invalid(format!("invalid git ref {}", oci::text::quote(&this.reference))));
        }
        if !this.checksum.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let checksum = &this.checksum;
            return Err(Error::Invalid(format!("invalid checksum {checksum} for Git URL, expected hex commit hash")));
        }
        if let Some(locator) = source.attrs.get("git.bundle").filter(|locator| !locator.is_empty()) {
            this.bundle = Some(Locator::parse(locator, source.attrs.get("oci.store").map(String::as_str))?);
        }
        this.check_bundles()?;
        Ok(this)
    }

    fn check_bundles(&self) -> Result<()> {
        let invalid = |text: &str| Err(Error::Invalid(text.to_owned()));
        if self.bundle.is_some() && self.checksum.is_empty() {
            return invalid("git.bundle requires git.checksum to be set");
        }
        match (self.as_bundle, self.keep_git_dir, self.subdir.is_empty()) {
            (true, true, _) => invalid("git.checkoutbundle is incompatible with git.keepgitdir"),
            (true, _, false) => invalid("git.checkoutbundle is incompatible with a directory of the repository"),
            _ => Ok(()),
        }
    }

    fn attribute(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "git.fullurl" => self.remote = with_transport(value),
            "git.keepgitdir" => self.keep_git_dir = value == "true",
            "git.skipsubmodules" => self.skip_submodules = value == "true",
            "git.checksum" => self.checksum = value.to_owned(),
            "git.mtime" => self.commit_mtime = value == "commit",
            "git.fetchbycommit" => self.fetch_by_commit = value == "true",
            "git.authheadersecret" => self.header_secret = value.to_owned(),
            "git.authtokensecret" => self.token_secret = value.to_owned(),
            "git.mountsshsock" => self.ssh = value.to_owned(),
            "git.knownsshhosts" => self.known_hosts = value.to_owned(),
            "git.checkoutbundle" => self.as_bundle = value == "true",
            _ => {
                if let Some(name) = key.strip_prefix("git.sig.") {
                    self.signatures.get_or_insert_default().attribute(name, value)?;
                }
            }
        }
        Ok(())
    }

    /// The host of the remote, with its port.
    pub(super) fn host(&self) -> &str {
        let rest = self.remote.split_once("://").map_or(self.remote.as_str(), |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or(rest);
        authority.rsplit('@').next().unwrap_or(authority)
    }

    /// The host of the remote alone.
    pub(super) fn domain(&self) -> &str {
        let host = self.host();
        match host.rsplit_once(':') {
            Some((domain, port)) if !port.ends_with(']') => domain,
            _ => host,
        }
        .trim_matches(['[', ']'])
    }

    /// The remote without a password.
    pub(super) fn redacted(&self) -> String {
        let Some((scheme, rest)) = self.remote.split_once("://") else { return self.remote.clone() };
        let end = rest.find('/').unwrap_or(rest.len());
        match rest[..end].rsplit_once('@') {
            Some((user, host)) if user.contains(':') => format!("{scheme}://xxxxx:xxxxx@{host}{}", &rest[end..]),
            _ => self.remote.clone(),
        }
    }
}

/// An address that names no transport is fetched over HTTPS; `user@host:path` is SSH.
fn with_transport(address: &str) -> String {
    let schemes = ["http://", "https://", "ssh://", "git://"];
    if schemes.iter().any(|scheme| address.starts_with(scheme)) || is_scp(address) {
        return address.to_owned();
    }
    format!("https://{address}")
}

/// `[user@]host:path` where the path is no port.
fn is_scp(address: &str) -> bool {
    let Some((host, path)) = address.split_once(':') else { return false };
    let name = host.rsplit('@').next().unwrap_or(host);
    host.contains('@') && !name.is_empty() && !name.contains('/') && !path.is_empty() && !path.starts_with("//")
}

/// Whether it is a whole commit id, of either hash.
pub(super) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `remote reference subdir`, or the error.
    fn check(identifier: &str, attrs: &[(&str, &str)], expected: &str) {
        let attrs = attrs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let actual = match Wanted::parse(&llb::Source { identifier: identifier.to_owned(), attrs }) {
            Ok(wanted) => format!("{} {} {}", wanted.redacted(), wanted.reference, wanted.subdir),
            Err(error) => error.to_string(),
        };
        assert_eq!(actual, expected, "{identifier}");
    }

    #[test]
    fn identifiers() {
        check("git://example.com/a/b.git", &[], "https://example.com/a/b.git  ");
        check("git://example.com/a#v1:docs/x", &[], "https://example.com/a v1 docs/x");
        check("git://example.com/a#:docs", &[("git.fullurl", "http://example.com/a")], "http://example.com/a  docs");
        check("git://git@example.com:a/b", &[], "git@example.com:a/b  ");
        check(
            "git://example.com/a",
            &[("git.fullurl", "https://me:pw@example.com/a")],
            "https://xxxxx:xxxxx@example.com/a  ",
        );
        check("git://example.com:8443/a", &[], "https://example.com:8443/a  ");
    }

    #[test]
    fn domains() {
        let domain = |remote: &str| Wanted { remote: remote.into(), ..Wanted::default() }.domain().to_owned();
        assert_eq!(domain("https://me:pw@example.com:8443/a/b"), "example.com");
        assert_eq!(domain("http://[::1]:80/a"), "::1");
        assert_eq!(domain("http://[::1]/a"), "::1");
        assert_eq!(domain("git@example.com:a/b"), "example.com");
    }

    #[test]
    fn errors() {
        check("git://example.com/a#-x", &[], "invalid git ref \"-x\"");
        check(
            "git://example.com/a",
            &[("git.checksum", "xyz")],
            "invalid checksum xyz for Git URL, expected hex commit hash",
        );
        check("git://example.com/a", &[("git.sig.other", "x")], "git.sig.other: no such rule for signatures is known");
    }
}
