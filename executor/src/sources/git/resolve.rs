//! From a name to a commit, by asking the remote.

use super::Wanted;
use super::program::{Git, Place};
use super::wanted::is_commit;
use crate::sources::Context;
use crate::{Error, Result};

/// A commit that a name stands for at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sources) struct Commit {
    /// What to ask the remote for: the reference as given, or the default branch.
    pub(super) reference: String,
    /// Full name (`refs/heads/main`), or the commit itself.
    pub(super) name: String,
    /// The object: a commit, or the object of an annotated tag.
    pub(super) object: String,
    /// The commit behind an annotated tag.
    tagged: Option<String>,
}

impl Commit {
    /// The commit, also of a tag.
    pub(super) fn peeled(&self) -> &str {
        self.tagged.as_deref().unwrap_or(&self.object)
    }

    /// Whether it is an annotated tag.
    pub(super) fn is_annotated(&self) -> bool {
        self.tagged.is_some()
    }

    /// Whether the definition names the object and no reference.
    pub(super) fn is_bare(&self) -> bool {
        is_commit(&self.reference)
    }

    fn bare(id: &str, reference: &str, name: String) -> Self {
        Self { reference: reference.to_owned(), name, object: id.to_owned(), tagged: None }
    }
}

/// The commit that is wanted, without fetching it.
pub(super) fn commit(wanted: &Wanted, git: &Git, context: Context<'_>) -> Result<Commit> {
    let Wanted { reference, checksum, .. } = wanted;
    if is_commit(reference) {
        if !reference.starts_with(checksum.as_str()) {
            return Err(mismatch(checksum, reference));
        }
        return Ok(Commit::bare(reference, reference, reference.clone()));
    }
    if wanted.fetch_by_commit {
        return by_checksum(wanted);
    }
    let key = format!("{}\0{reference}", wanted.remote);
    let commit = context.session.pins.commits.get(key, || ask(wanted, git, context))?;
    if commit.object.starts_with(checksum.as_str()) || commit.peeled().starts_with(checksum.as_str()) {
        return Ok(commit);
    }
    Err(mismatch(checksum, commit.peeled()))
}

/// What the reference stands for now.
fn ask(wanted: &Wanted, git: &Git, context: Context<'_>) -> Result<Commit> {
    let reference = match wanted.reference.as_str() {
        "" => default_branch(wanted, git, context)?,
        given => given.to_owned(),
    };
    let peeled = format!("{reference}^{{}}");
    let listed = git
        .run(&Place::default(), &["ls-remote", "--", &wanted.remote, &reference, &peeled], context)
        .map_err(|error| failed(wanted, error))?;
    choose(&reference, &listed).ok_or_else(|| {
        Error::NotFound(format!("repository does not contain ref {reference}, output: {}", oci::text::quote(&listed)))
    })
}

/// A failure to reach the remote, without its password.
pub(super) fn failed(wanted: &Wanted, error: Error) -> Error {
    match error {
        Error::Remote { reason, .. } => {
            Error::Remote { attempt: format!("failed to fetch remote {}", wanted.redacted()), reason }
        }
        other => other,
    }
}

fn mismatch(want: &str, got: &str) -> Error {
    Error::Invalid(format!("expected checksum to match {want}, got {got}"))
}

fn by_checksum(wanted: &Wanted) -> Result<Commit> {
    let Wanted { reference, checksum, .. } = wanted;
    if !is_commit(checksum) {
        let why = match checksum.as_str() {
            "" => "a checksum or a commit SHA ref".to_owned(),
            short => format!("a full commit SHA checksum, got {}", oci::text::quote(short)),
        };
        return Err(Error::Invalid(format!("fetch-by-commit requires {why}")));
    }
    let name = match reference.as_str() {
        "" => checksum.clone(),
        full if full.starts_with("refs/") => full.to_owned(),
        short => format!("refs/heads/{short}"),
    };
    Ok(Commit::bare(checksum, &name, name.clone()))
}

fn default_branch(wanted: &Wanted, git: &Git, context: Context<'_>) -> Result<String> {
    let listed = git
        .run(&Place::default(), &["ls-remote", "--symref", "--", &wanted.remote, "HEAD"], context)
        .map_err(|error| failed(wanted, error))?;
    let branch = listed.split_whitespace().find_map(|word| word.strip_prefix("refs/heads/"));
    branch
        .filter(|name| !name.starts_with('-'))
        .map(str::to_owned)
        .ok_or_else(|| Error::NotFound(format!("could not find default branch for repository: {}", wanted.redacted())))
}

/// A full name as it stands, else a branch, else a tag.
fn choose(reference: &str, listed: &str) -> Option<Commit> {
    let under = |prefix: &str| format!("{prefix}{}", reference.strip_prefix(prefix).unwrap_or(reference));
    let (full, branch, tag) = (under("refs/"), under("refs/heads/"), under("refs/tags/"));
    let find = |name: &str| {
        let of_name = listed.lines().filter_map(|line| line.split_once('\t')).find(|(_, listed)| *listed == name);
        of_name.map(|(id, _)| id.to_owned()).filter(|id| is_commit(id))
    };
    let named = [&full, &branch].into_iter().find_map(|name| Some((name, find(name)?)));
    let (name, object) = named.or_else(|| Some((&tag, find(&tag)?)))?;
    let tagged = if *name == tag { find(&format!("{tag}^{{}}")) } else { None };
    Some(Commit { reference: reference.to_owned(), name: name.clone(), object, tagged })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: char) -> String {
        digit.to_string().repeat(40)
    }

    /// `name object commit`, each id by its digit.
    fn check(reference: &str, listed: &[(char, &str)], expected: &str) {
        let text: String = listed.iter().map(|(digit, name)| format!("{}\t{name}\n", id(*digit))).collect();
        let actual = choose(reference, &text).map_or("none".to_owned(), |commit| {
            format!("{} {} {}", commit.name, &commit.object[..1], &commit.peeled()[..1])
        });
        assert_eq!(actual, expected, "{reference}");
    }

    #[test]
    fn branches_come_before_tags() {
        check("x", &[('1', "refs/heads/x"), ('2', "refs/tags/x")], "refs/heads/x 1 1");
        check("x", &[('2', "refs/tags/x"), ('3', "refs/tags/x^{}")], "refs/tags/x 2 3");
        check("x", &[('1', "refs/heads/x"), ('2', "refs/tags/x"), ('3', "refs/tags/x^{}")], "refs/heads/x 1 1");
        check("refs/tags/x", &[('1', "refs/tags/x"), ('2', "refs/tags/x^{}")], "refs/tags/x 1 2");
        check("refs/pull/1/head", &[('1', "refs/pull/1/head")], "refs/pull/1/head 1 1");
        check("x", &[('1', "refs/heads/y/x")], "none");
    }
}
