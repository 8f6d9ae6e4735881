//! Addresses of repositories as Dockerfiles and contexts write them: URL, `user@host:path`, `github.com/…`; with a
//! fragment `#ref:subdir` or a query. Mirrors `dfgitutil` and `gitutil` of BuildKit v0.32.

use ast::{parse_bool, quote};

use super::build::Git;
use super::go;
use super::url::{Url, query_fields};

/// What a text is, read as the address of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GitRef {
    /// A repository.
    Repository(Box<Repository>),
    /// A repository, but something is wrong with its query.
    Bad(String),
    /// Something else.
    Other,
}

/// A repository and how to read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Repository {
    /// The source; flags that were not given are off.
    pub(super) source: Git,
    /// Whether it could as well be a local path: then only contexts mean a repository.
    pub(super) may_be_path: bool,
    /// Whether `.git` is kept, if that was said.
    pub(super) keep_git_dir: Option<bool>,
}

/// Reads an address.
pub(super) fn parse(text: &str) -> GitRef {
    if text.starts_with("./") || text.starts_with("../") {
        return GitRef::Other;
    }
    let may_be_path = text.starts_with("github.com/");
    // Most are paths, which are told by what every address has.
    if !may_be_path && !text.bytes().any(|b| b == b':') {
        return GitRef::Other;
    }
    let address = if may_be_path { Address::url(&format!("https://{text}")) } else { Address::parse(text) };
    let Some(address) = address else { return GitRef::Other };
    let web = matches!(address.scheme.as_str(), "http" | "https");
    if web && !may_be_path && !address.path.ends_with(".git") {
        return GitRef::Other;
    }
    let (reference, subdir) = split_fragment(&address.fragment);
    let Address { scheme, host, path, remote, query, .. } = address;
    let source = Git { remote, scheme, host, path, reference, subdir, ..Git::default() };
    let mut repository = Repository { source, may_be_path, keep_git_dir: None };
    match repository.read_query(query) {
        Ok(()) => GitRef::Repository(Box::new(repository)),
        Err(message) => GitRef::Bad(message),
    }
}

/// Whether a text is the address of a repository without doubt.
pub(super) fn is_repository(text: &str) -> bool {
    matches!(parse(text), GitRef::Repository(_))
}

/// Whether a text is the address of a file on the web.
pub(super) fn is_web_file(text: &str) -> bool {
    (text.starts_with("http://") || text.starts_with("https://")) && !is_repository(text)
}

/// An address in parts.
#[derive(Default)]
struct Address {
    scheme: String,
    host: String,
    path: String,
    fragment: String,
    query: Vec<(String, String)>,
    remote: String,
}

impl Address {
    fn parse(text: &str) -> Option<Self> {
        match text.split_once("://") {
            Some((scheme, _)) if !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                let known = ["http", "https", "ssh", "git"].iter().any(|known| known.eq_ignore_ascii_case(scheme));
                if known { Self::url(text) } else { None }
            }
            _ => Self::scp(text),
        }
    }

    fn url(text: &str) -> Option<Self> {
        let url = Url::parse(text)?;
        let (query, remote) = (url.query(), url.without_query_and_fragment());
        Some(Self { scheme: url.scheme, host: url.host, path: url.path, fragment: url.fragment, query, remote })
    }

    /// `user@host:path?query#fragment`.
    fn scp(text: &str) -> Option<Self> {
        let (user, rest) = text.split_once('@')?;
        let (host, rest) = rest.split_once(':')?;
        let is_user = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        let is_host = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
        let valid = !user.is_empty() && user.bytes().all(is_user) && !host.is_empty() && host.bytes().all(is_host);
        if !valid || rest.contains('\n') {
            return None;
        }
        // The path ends at the first `?`, the query at the first `#`; without a `?` the path ends at the `#`.
        let (path, query, fragment) = match rest.find(['?', '#']) {
            None => (rest, "", ""),
            Some(at) if rest.as_bytes()[at] == b'#' => (&rest[..at], "", &rest[at + 1..]),
            Some(at) => {
                let (query, fragment) = rest[at + 1..].split_once('#').unwrap_or((&rest[at + 1..], ""));
                (&rest[..at], query, fragment)
            }
        };
        let (query, complete) = query_fields(query);
        complete.then(|| Self {
            scheme: "ssh".to_owned(),
            host: host.to_owned(),
            path: path.to_owned(),
            fragment: fragment.to_owned(),
            query,
            remote: format!("{user}@{host}:{path}"),
        })
    }
}

fn split_fragment(fragment: &str) -> (String, String) {
    let (reference, subdir) = fragment.split_once(':').unwrap_or((fragment, ""));
    let subdir = go::join("/", subdir);
    (reference.to_owned(), subdir.strip_prefix('/').unwrap_or(&subdir).to_owned())
}

impl Repository {
    fn read_query(&mut self, query: Vec<(String, String)>) -> Result<(), String> {
        let (mut tag, mut branch) = (None, None);
        for (at, (key, value)) in query.iter().enumerate() {
            if query[..at].iter().any(|(earlier, _)| earlier == key) {
                continue;
            }
            let is_flag = matches!(key.as_str(), "submodules" | "keep-git-dir" | "fetch-by-commit");
            if query[at + 1..].iter().any(|(later, _)| later == key) {
                return Err(format!("query {} has multiple values", quote(key.as_bytes())));
            }
            if value.is_empty() && !is_flag {
                return Err(format!("query {} has no value", quote(key.as_bytes())));
            }
            let git = &mut self.source;
            match key.as_str() {
                "ref" => set_once(&mut git.reference, "ref", value)?,
                "tag" => tag = Some(value),
                "branch" => branch = Some(value),
                "subdir" => set_once(&mut git.subdir, "subdir", value)?,
                "checksum" | "commit" => git.checksum.clone_from(value),
                "keep-git-dir" => self.keep_git_dir = Some(flag(key, value)?),
                "submodules" => git.skip_submodules = !flag(key, value)?,
                "fetch-by-commit" => git.fetch_by_commit = flag(key, value)?,
                "mtime" if matches!(value.as_str(), "checkout" | "commit") => git.mtime.clone_from(value),
                "mtime" => {
                    let value = quote(value.as_bytes());
                    return Err(format!("invalid mtime value: {value} (must be \"checkout\" or \"commit\")"));
                }
                key => return Err(format!("unexpected query {}", quote(key.as_bytes()))),
            }
        }
        if let Some(tag) = tag {
            set_once(&mut self.source.reference, "ref", &qualified(tag, "refs/tags/"))?;
        }
        match branch {
            Some(_) if tag.is_some() => Err("branch conflicts with tag".to_owned()),
            Some(branch) => set_once(&mut self.source.reference, "ref", &qualified(branch, "refs/heads/")),
            None => Ok(()),
        }
    }
}

fn qualified(name: &str, prefix: &str) -> String {
    if name.starts_with(prefix) { name.to_owned() } else { format!("{prefix}{name}") }
}

fn set_once(field: &mut String, name: &str, value: &str) -> Result<(), String> {
    if !field.is_empty() && field != value {
        return Err(format!("{name} conflicts: {} vs {}", quote(field.as_bytes()), quote(value.as_bytes())));
    }
    value.clone_into(field);
    Ok(())
}

fn flag(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "" => Ok(true),
        value => parse_bool(value).ok_or_else(|| format!("invalid {key} value: {}", quote(value.as_bytes()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let actual = match parse(text) {
            GitRef::Other => "other".to_owned(),
            GitRef::Bad(message) => message,
            GitRef::Repository(repository) => {
                format!("{} {}", repository.source.identifier(), repository.source.remote)
            }
        };
        assert_eq!(actual, expected, "{text}");
    }

    #[test]
    fn forms() {
        check("https://h/a/b.git#v1:sub/../d", "git://h/a/b.git#v1:d https://h/a/b.git");
        check("https://u@h/a.git#", "git://h/a.git https://u@h/a.git");
        check("git@h.com:a/b.git#main", "git://h.com/a/b.git#main git@h.com:a/b.git");
        check("git@h.com:a.git?ref=x#:d", "git://h.com/a.git#x:d git@h.com:a.git");
        check("ssh://git@h:22/a", "git://h:22/a ssh://git@h:22/a");
        check("git://h/a", "git://h/a git://h/a");
        check("github.com/a/b", "git://github.com/a/b https://github.com/a/b");
        for other in ["https://h/a", "ftp://h/a.git", "./git@h:a", "a/b.git", "dir:x", ""] {
            check(other, "other");
        }
    }

    #[test]
    fn queries() {
        check("https://h/a.git?tag=v1", "git://h/a.git#refs/tags/v1 https://h/a.git");
        check("https://h/a.git?branch=b&subdir=d", "git://h/a.git#refs/heads/b:d https://h/a.git");
        check("https://h/a.git?ref=b#a", r#"ref conflicts: "a" vs "b""#);
        check("https://h/a.git?subdir=a#:b", r#"subdir conflicts: "b" vs "a""#);
        check("https://h/a.git?tag=a&branch=b", "branch conflicts with tag");
        check("https://h/a.git?tag=a&tag=b", r#"query "tag" has multiple values"#);
        check("https://h/a.git?branch=", r#"query "branch" has no value"#);
        check("https://h/a.git?depth=1", r#"unexpected query "depth""#);
        check("https://h/a.git?submodules=no", r#"invalid submodules value: "no""#);
        check("https://h/a.git?mtime=x", r#"invalid mtime value: "x" (must be "checkout" or "commit")"#);
        check("https://h/a?x", "other");
    }

    #[test]
    fn flags() {
        let GitRef::Repository(repository) =
            parse("https://h/a.git?submodules=0&keep-git-dir&commit=c&fetch-by-commit=1")
        else {
            panic!("a repository")
        };
        assert!(repository.source.skip_submodules && repository.source.fetch_by_commit);
        assert_eq!((repository.keep_git_dir, repository.source.checksum.as_str()), (Some(true), "c"));
    }
}
