//! Capabilities: what the vertices of a definition may need of who runs them, by BuildKit's names.
//!
//! parity: BuildKit v0.32, solver/pb/caps.go: the names, and that two of them are not announced to frontends.

use crate::{Error, Result};

/// What frontends are told of.
pub(crate) const ANNOUNCED: &[&str] = &[
    "source.image",
    "source.image.resolvemode",
    "source.image.layerlimit",
    "source.image.checksum",
    "source.local",
    "source.local.unique",
    "source.local.sessionid",
    "source.local.includepatterns",
    "source.local.followpaths",
    "source.local.excludepatterns",
    "source.local.sharedkeyhint",
    "source.local.differ",
    "source.local.metadatatransfer",
    "source.git",
    "source.git.keepgitdir",
    "source.git.fullurl",
    "source.git.httpauth",
    "source.git.knownsshhosts",
    "source.git.mountsshsock",
    "source.git.subdir",
    "source.git.checksum",
    "source.git.skipsubmodules",
    "source.git.mtime",
    "source.git.fetchbycommit",
    "source.git.bundle",
    "source.git.checkoutbundle",
    "source.git.signatureverify",
    "source.http",
    "source.http.auth",
    "source.http.header",
    "source.http.checksum",
    "source.http.perm",
    "source.http.signatureverify",
    "soruce.http.uidgid",
    "source.ocilayout",
    "source.imageblob",
    "source.buildop.llbfilename",
    "exec.meta.base",
    "exec.meta.cdi",
    "exec.meta.cgroup.parent",
    "exec.meta.network",
    "exec.meta.proxyenv",
    "exec.meta.security",
    "exec.meta.setsdefaultpath",
    "exec.meta.ulimit",
    "exec.meta.linux.resources",
    "exec.mount.bind",
    "exec.mount.bind.readwrite-nooutput",
    "exec.mount.cache",
    "exec.mount.cache.sharing",
    "exec.mount.cache.content",
    "exec.mount.selector",
    "exec.mount.tmpfs",
    "exec.mount.tmpfs.size",
    "exec.mount.secret",
    "exec.mount.ssh",
    "exec.cgroup",
    "exec.secretenv",
    "exec.validexitcode",
    "file.base",
    "file.rm.wildcard",
    "file.copy.includeexcludepatterns",
    "file.copy.requiredpaths",
    "file.rm.nofollowsymlink",
    "file.copy.alwaysreplaceexistingdestpaths",
    "file.symlink.create",
    "constraints",
    "platform",
    "meta.ignorecache",
    "meta.description",
    "meta.exportcache",
    "mergeop",
    "diffop",
    "passthroughop",
];

/// What is there as well. parity: BuildKit has it without saying so, and definitions that its client library writes name it.
const UNANNOUNCED: &[&str] = &["file.copy.modestring", "exec.meta.removemountstubs.recursive"];

/// Refuses vertices that need what is not here: what they mean by it is not known.
pub(super) fn check(graph: &llb::Graph) -> Result<()> {
    let is_known = |cap: &str| [ANNOUNCED, UNANNOUNCED].iter().any(|caps| caps.contains(&cap));
    match graph.nodes.iter().flat_map(|node| node.meta.caps.iter()).find(|cap| !is_known(cap)) {
        Some(cap) => Err(Error::Unsupported {
            what: format!("{cap}, which the definition needs,"),
            why: "this executor does not have that capability; let a frontend that asks for it first write the definition"
                .into(),
        }),
        None => Ok(()),
    }
}
