//! What a builder can do, by name.

use std::collections::BTreeSet;

use crate::message::ApiCap;

/// Read files of a result.
pub const READ_FILE: &str = "readfile";
/// `Return`: hand over a result.
pub const RETURN: &str = "return";
/// Several results at once.
pub const RETURN_MAP: &str = "returnmap";
/// Caches to import, in a solve.
pub const IMPORT_CACHES: &str = "importcaches";
/// References as messages rather than as names.
pub const REF_ARRAY: &str = "proto.refarray";
/// `Inputs`: definitions a client hands in.
pub const INPUTS: &str = "frontend.inputs";
/// Solve with evaluation.
pub const EVALUATE_SOLVE: &str = "gateway.solve.evaluate";
/// `Warn`.
pub const WARNINGS: &str = "gateway.warnings";
/// `ResolveSourceMeta`.
pub const SOURCE_META: &str = "source.metaresolver";

/// Every capability of the protocol that BuildKit v0.32 has, those for processes in containers left out.
pub const ALL: &[&str] = &[
    "solve.base",
    "solve.inlinereturn",
    "resolveimage",
    "resolveimage.resolvemode",
    READ_FILE,
    RETURN,
    RETURN_MAP,
    "readdir",
    "statfile",
    IMPORT_CACHES,
    REF_ARRAY,
    "reference.output",
    INPUTS,
    "gateway.solve.metadata",
    "frontend.caps",
    EVALUATE_SOLVE,
    "gateway.evaluate",
    WARNINGS,
    SOURCE_META,
];

/// What builders could do that do not say what they can do.
const FROZEN: &[&str] = &["solve.base", "solve.inlinereturn", "resolveimage", READ_FILE];

/// What LLB such builders take.
const FROZEN_LLB: &[&str] = &[
    "source.image",
    "source.local",
    "source.local.unique",
    "source.local.sessionid",
    "source.local.includepatterns",
    "source.local.followpaths",
    "source.local.excludepatterns",
    "source.local.sharedkeyhint",
    "source.git",
    "source.git.keepgitdir",
    "source.git.fullurl",
    "source.http",
    "source.http.checksum",
    "source.http.perm",
    "soruce.http.uidgid",
    "source.buildop.llbfilename",
    "exec.meta.base",
    "exec.meta.proxyenv",
    "exec.mount.bind",
    "exec.mount.cache",
    "exec.mount.cache.sharing",
    "exec.mount.selector",
    "exec.mount.tmpfs",
    "exec.mount.secret",
    "constraints",
    "platform",
    "meta.ignorecache",
    "meta.description",
    "meta.exportcache",
];

/// A set of capabilities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caps(BTreeSet<String>);

impl Caps {
    /// What a builder says of the protocol.
    pub fn of_frontend(caps: &[ApiCap]) -> Self {
        Self::read(caps, FROZEN)
    }

    /// What a builder says of LLB.
    pub fn of_llb(caps: &[ApiCap]) -> Self {
        Self::read(caps, FROZEN_LLB)
    }

    fn read(caps: &[ApiCap], frozen: &[&str]) -> Self {
        if caps.is_empty() {
            return Self(frozen.iter().map(|cap| (*cap).to_owned()).collect());
        }
        Self(caps.iter().filter(|cap| cap.enabled).map(|cap| cap.id.clone()).collect())
    }

    /// Whether a capability is there.
    pub fn has(&self, cap: &str) -> bool {
        self.0.contains(cap)
    }

    /// The names.
    pub fn into_names(self) -> BTreeSet<String> {
        self.0
    }
}

/// As a builder says what it can do.
pub fn announce<'a>(caps: impl IntoIterator<Item = &'a str>) -> Vec<ApiCap> {
    caps.into_iter().map(|cap| ApiCap { id: cap.to_owned(), enabled: true, ..ApiCap::default() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builder_that_says_nothing_is_an_old_one() {
        assert!(Caps::of_frontend(&[]).has(READ_FILE) && !Caps::of_frontend(&[]).has(RETURN));
        assert!(Caps::of_llb(&[]).has("source.image") && !Caps::of_llb(&[]).has("file.base"));
    }

    #[test]
    fn what_is_disabled_is_not_there() {
        let mut caps = announce([RETURN, WARNINGS]);
        caps[1].enabled = false;
        let caps = Caps::of_frontend(&caps);
        assert!(caps.has(RETURN) && !caps.has(WARNINGS));
    }
}
