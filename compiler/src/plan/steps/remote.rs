//! Sources of `ADD` that are not files: repositories and addresses.

use ast::quote;
use llb::Edge;
use oci::Digest;

use super::copy::{Kind, Words};
use crate::plan::build::{self, Said};
use crate::plan::git::Repository;
use crate::plan::planner::Planner;
use crate::plan::stop::{Done, Stop};
use crate::plan::url::Url;

/// Name of a file whose address has none.
const UNNAMED: &str = "__unnamed__";

impl Planner<'_> {
    /// Adds a repository. parity: what its query says holds for the sources after it too.
    pub(super) fn add_repository(&mut self, words: &mut Words, repository: Repository, name: &str) -> Done<Edge> {
        if words.kind == Kind::Copy {
            return Err(Stop::error("source can't be a git ref for COPY").help("use ADD"));
        }
        let mut source = repository.source;
        if let Some(keep) = repository.keep_git_dir {
            if words.keep_git_dir.is_some_and(|flag| flag != keep) {
                return Err(Stop::error("inconsistent keep-git-dir configuration"));
            }
            words.keep_git_dir = Some(keep);
        }
        if !source.checksum.is_empty() {
            if !words.checksum.is_empty() && words.checksum != source.checksum {
                let (flag, query) = (quote(words.checksum.as_bytes()), quote(source.checksum.as_bytes()));
                return Err(Stop::error(format!("checksum mismatch {flag} != {query}")));
            }
            words.checksum.clone_from(&source.checksum);
        }
        source.keep_git_dir = words.keep_git_dir == Some(true);
        source.checksum.clone_from(&words.checksum);
        // parity: times of files cannot be chosen here.
        source.mtime.clear();
        Ok(build::git(&mut self.shared.graph, &source, Said::named(name)))
    }

    /// Adds a file from the web, and its name.
    pub(super) fn add_web_file(&mut self, words: &Words, address: &str, name: &str) -> Done<(Edge, String)> {
        if words.kind == Kind::Copy {
            return Err(Stop::error("source can't be a URL for COPY").help("use ADD"));
        }
        let file = file_name(address);
        if !words.checksum.is_empty() {
            Digest::parse(&words.checksum).map_err(|error| Stop::error(error.to_string()))?;
        }
        let key = self.request.module.dialect.description_key;
        // parity: the key is there, without a text.
        let said = Said::named(name).describe(key, "");
        let edge = build::http(&mut self.shared.graph, address, &file, &words.checksum, said);
        Ok((edge, file))
    }
}

/// The name a file from the web gets.
pub(in crate::plan) fn file_name(address: &str) -> String {
    let url = Url::parse(address);
    url.as_ref().and_then(Url::file_name).unwrap_or(UNNAMED).to_owned()
}
