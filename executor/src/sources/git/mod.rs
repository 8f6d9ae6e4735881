//! Git repositories: `git://`, over whatever transport `git.fullurl` names.
//!
//! Pinning asks the remote for the commit; fetching brings that one commit into a bare repository that all builds of the
//! remote share (`git-v1/` of the store), and checks it out into a layer. The work is done by the `git` program, as in
//! BuildKit, whose `source/git` keys, preferences (a branch before a tag) and messages mirror.
//!
//! | file | what it is |
//! |---|---|
//! | `wanted` | what a definition asks for |
//! | `program` | running `git`, apart from the user's configuration |
//! | `guard` | where servers and repositories may send it |
//! | `resolve` | from a name to a commit |
//! | `repository` | the shared bare repository |
//! | `checkout` | from a commit to files |
//! | `object` | commits and tags as git stores them, and what of them is signed |
//! | `verify` | whether they are signed with a key that the definition gives |
//! | `bundle` | from bundles to commits, and back |

mod bundle;
mod checkout;
mod guard;
mod object;
mod program;
mod repository;
mod resolve;
#[cfg(test)]
pub(super) mod tests;
mod verify;
mod wanted;

use std::path::Path;

use oci::{Digest, Platform};

use super::{Context, Key, Meta, Pinned, Source};
use crate::Result;
use crate::provenance::Material;
use crate::snapshot::{Committed, LayerId};
use program::Git;
use repository::Repository;
pub(super) use resolve::Commit;
use verify::Objects;
use wanted::{Wanted, is_commit};

/// `git://`.
pub(super) struct GitSource;

impl Source for GitSource {
    fn schemes(&self) -> &'static [&'static str] {
        &["git"]
    }

    fn pin(&self, source: &llb::Source, _: &Platform, context: Context<'_>) -> Result<Box<dyn Pinned>> {
        let wanted = Wanted::parse(source)?;
        let git = Git::new(&wanted, context)?;
        let commit = find(&wanted, &git, context)?;
        // Before there is a key: nothing that is kept may stand for it.
        if wanted.signatures.is_some() {
            verified(&wanted, &git, &commit, context)?;
        }
        Ok(Box::new(PinnedCommit { wanted, commit }))
    }
}

/// What a repository gave.
pub(super) fn material(source: &llb::Source, commit: &str) -> Result<Material> {
    let wanted = Wanted::parse(source)?;
    let url = match wanted.reference.as_str() {
        "" => wanted.remote,
        name => format!("{}#{name}", wanted.remote),
    };
    Ok(Material::Git {
        url,
        commit: commit.to_owned(),
        bundle: source.attrs.get("git.bundle").filter(|locator| !locator.is_empty()).cloned(),
        secrets: [wanted.token_secret, wanted.header_secret].into_iter().filter(|id| !id.is_empty()).collect(),
        ssh: Some(wanted.ssh).filter(|id| !id.is_empty()),
    })
}

/// What is known of a commit.
pub(super) fn meta(source: &llb::Source, contents: bool, context: Context<'_>) -> Result<Meta> {
    let wanted = Wanted::parse(source)?;
    let git = Git::new(&wanted, context)?;
    let found = find(&wanted, &git, context)?;
    let objects = match contents || wanted.signatures.is_some() {
        true => verified(&wanted, &git, &found, context)?,
        false => Objects { id: found.peeled().to_owned(), ..Objects::default() },
    };
    let Objects { id: mut tagged, commit, tag } = objects;
    if tagged == found.object {
        tagged.clear();
    }
    let (commit, tag) = if contents { (commit, tag) } else { Default::default() };
    Ok(Meta::Commit { name: found.name, object: found.object, tagged, commit, tag })
}

/// The commit and its tag, once they are signed as the definition asks.
fn verified(wanted: &Wanted, git: &Git, found: &Commit, context: Context<'_>) -> Result<Objects> {
    let objects = objects(wanted, git, found, context)?;
    if let Some(signatures) = &wanted.signatures {
        signatures.check(found, &objects, context)?;
    }
    Ok(objects)
}

fn objects(wanted: &Wanted, git: &Git, found: &Commit, context: Context<'_>) -> Result<Objects> {
    let repository = repository(wanted, git, found, context)?;
    // A commit that was named by its id may be a tag: only the repository knows.
    let id = repository.peel(found, context)?;
    let commit = repository.object("commit", &id, context)?;
    let tag = if id == found.object { Vec::new() } else { repository.object("tag", &found.object, context)? };
    Ok(Objects { id, commit, tag })
}

/// The commit that is wanted, from the remote or a bundle.
fn find(wanted: &Wanted, git: &Git, context: Context<'_>) -> Result<Commit> {
    match &wanted.bundle {
        // Nothing is left to ask.
        Some(_) if wanted.reference.is_empty() => {
            resolve::commit(&Wanted { reference: wanted.checksum.clone(), ..wanted.clone() }, git, context)
        }
        Some(locator) if !is_commit(&wanted.reference) => {
            resolve::commit(&bundle::stage(wanted, locator, git, context)?.wanted, git, context)
        }
        _ => resolve::commit(wanted, git, context),
    }
}

/// The repository of the remote with the commit in it, from the remote or a bundle.
fn repository<'a>(wanted: &Wanted, git: &'a Git, commit: &Commit, context: Context<'_>) -> Result<Repository<'a>> {
    let repository = Repository::open(wanted, git, context)?;
    match &wanted.bundle {
        Some(locator) if !repository.has(&commit.object, context) => {
            repository.fetched(&bundle::stage(wanted, locator, git, context)?.wanted, commit, context)
        }
        _ => repository.fetched(wanted, commit, context),
    }
}

/// A commit that was found.
struct PinnedCommit {
    wanted: Wanted,
    commit: Commit,
}

impl PinnedCommit {
    /// parity: B2's `K` of git sources.
    fn cache_key(&self) -> String {
        let wanted = &self.wanted;
        let mut key = if wanted.keep_git_dir { self.commit.object.clone() } else { self.commit.peeled().to_owned() };
        if wanted.keep_git_dir {
            key += ".git";
            key += &format!("#{}", self.commit.name);
        }
        if !wanted.subdir.is_empty() {
            key += &format!(":{}", wanted.subdir);
        }
        if wanted.skip_submodules {
            key += "(skip-submodules)";
        }
        if wanted.commit_mtime {
            key += "(mtime=commit)";
        }
        if wanted.as_bundle {
            key += "(bundle)";
        }
        key
    }

    /// What is kept of a repository names where it came from.
    fn layer_id(&self) -> LayerId {
        let remote = if self.wanted.keep_git_dir { self.wanted.remote.as_str() } else { "" };
        let digest = Digest::sha256(format!("{}\0{remote}", self.cache_key()).as_bytes());
        LayerId(format!("git-{}", digest.hex()).into())
    }
}

impl Pinned for PinnedCommit {
    fn key(&self, index: usize, _: Context<'_>) -> Result<Option<Key>> {
        Ok((index == 0).then(|| Key::Stable(self.cache_key())))
    }

    fn pin(&self) -> String {
        self.commit.object.clone()
    }

    fn fetch(&self, context: Context<'_>) -> Result<Committed> {
        let id = self.layer_id();
        if !context.snapshots.has(&id) {
            let git = Git::new(&self.wanted, context)?;
            let Self { wanted, commit } = self;
            if wanted.as_bundle {
                let write = |wanted: &Wanted, dir: &Path| bundle::write(dir, &git, wanted, commit, context);
                context.snapshots.import(&id, &mut |dir| match &wanted.bundle {
                    Some(locator) => write(&bundle::stage(wanted, locator, &git, context)?.wanted, dir),
                    None => write(wanted, dir),
                })?;
            } else {
                let repository = repository(wanted, &git, commit, context)?;
                context.snapshots.import(&id, &mut |dir| checkout::into(dir, &repository, wanted, commit, context))?;
            }
        }
        Ok(Committed { layers: vec![id] })
    }
}
