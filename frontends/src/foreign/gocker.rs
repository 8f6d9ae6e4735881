//! Gockerfile: a program of Go, from a repository. Mirrors po3rin/gockerfile of 2019, with the images of today.

use super::yaml::Node;
use super::{Reader, Wrong, string};

/// The spec of a document.
pub(super) fn spec(document: &Node) -> Result<String, Vec<Wrong>> {
    let mut reader = Reader::new(document);
    let repository = reader.text("repo");
    let version = reader.text("version").unwrap_or_else(|| "master".to_owned());
    let path = reader.text("path").unwrap_or_else(|| "./".to_owned());
    let mut wrong = Vec::new();
    reader.finish(&mut wrong);
    if repository.is_none() && wrong.is_empty() {
        wrong.push((document.at.clone(), "repo is missing".to_owned()));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let repository = repository.unwrap_or_default();
    let address = match repository.contains("://") {
        true => repository.clone(),
        false => format!("https://{}.git", repository.trim_end_matches(".git")),
    };
    Ok(format!(
        "spec = 1\n[source.app]\ngit = {}\nref = {}\n[image.server]\npreset = \"go\"\nsource = \"app\"\npackage = {}\n\
         from = \"alpine:latest\"\nbinary = \"/bin/server\"\n",
        string(&address),
        string(&version),
        string(&path),
    ))
}
