//! Names equal images equally, so that they are fetched and unpacked once.
//!
//! ```text
//! source "docker-image://docker.io/library/alpine:3.20@sha256:…"        the first name for both
//! source "docker-image://docker.io/library/alpine:latest@sha256:…"  →
//! ```
//!
//! Sound because a digest pins the manifest: the tag before it is not looked up. Only names of the same repository are
//! exchanged, because another repository may need other credentials or not have the image; attributes, platform and
//! constraints must agree too. `same` then makes the vertices one, and what is built on them alike. Must not touch names
//! without a digest: a tag may be moved between two looks at it. Linear in sources.

use std::collections::BTreeMap;

use super::{Log, Rewrite};
use crate::{Graph, Node, Op};

const SCHEME: &str = "docker-image://";

pub(super) fn run(graph: &mut Graph, log: &mut Log) {
    let mut first: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
    let keys = graph.nodes.iter().enumerate().filter_map(|(index, node)| Some((index, pinned(node)?)));
    let mut keys: Vec<_> = keys.collect();
    // A name that came from outside stays, and is the first.
    keys.sort_by_key(|(index, _)| !graph.nodes[*index].fixed);
    for (index, key) in keys {
        let known = first.entry(key).or_default();
        let found = known.iter().find(|&&first| differ_in_name(&graph.nodes[first], &graph.nodes[index]));
        let Some(&other) = found else {
            known.push(index);
            continue;
        };
        if graph.nodes[index].fixed {
            continue;
        }
        let to = identifier(&graph.nodes[other]).to_owned();
        let Op::Source(source) = &mut graph.nodes[index].op else { unreachable!("`pinned` found a source") };
        if source.identifier != to {
            let from = std::mem::replace(&mut source.identifier, to.clone());
            log.done(&[index], Rewrite::ImageRenamed { from, to });
        }
    }
}

/// Repository and digest of an image that is named by digest.
fn pinned(node: &Node) -> Option<(String, String)> {
    let (name, digest) = identifier(node).strip_prefix(SCHEME)?.split_once('@')?;
    let tag = name.rfind(':').filter(|&colon| !name[colon..].contains('/'));
    Some((name[..tag.unwrap_or(name.len())].to_owned(), digest.to_owned()))
}

fn identifier(node: &Node) -> &str {
    match &node.op {
        Op::Source(source) => &source.identifier,
        _ => "",
    }
}

/// Whether two sources are alike but for the identifier.
fn differ_in_name(a: &Node, b: &Node) -> bool {
    let attrs = |node: &Node| match &node.op {
        Op::Source(source) => Some(source.attrs.clone()),
        _ => None,
    };
    attrs(a) == attrs(b) && a.platform == b.platform && a.constraints == b.constraints && !a.lossy && !b.lossy
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::passes::testing;

    /// `@x` and `@y` are digests.
    #[track_caller]
    fn check(before: &str, after: &str) {
        let full = |text: &str| {
            ["x", "y"].iter().fold(text.to_owned(), |text, name| {
                text.replace(&format!("@{name}\""), &format!("@{}\"", oci::Digest::sha256(name.as_bytes())))
            })
        };
        testing::check(run, &full(before), &full(after));
    }

    #[test]
    fn one_repository_and_digest_is_one_image() {
        check(
            r#"
            %0 = source "docker-image://h:5/a/b:1@x" platform("linux", "amd64")
            %1 = source "docker-image://h:5/a/b:2@x" platform("linux", "amd64")
            %2 = source "docker-image://h:5/a/b@x" platform("linux", "amd64")
            %3 = merge(%0, %1, %2)
            output %3"#,
            r#"
            %0 = source "docker-image://h:5/a/b:1@x" platform("linux", "amd64")
            %1 = source "docker-image://h:5/a/b:1@x" platform("linux", "amd64")
            %2 = source "docker-image://h:5/a/b:1@x" platform("linux", "amd64")
            %3 = merge(%0, %1, %2)
            output %3"#,
        );
    }

    #[test]
    fn tags_other_repositories_attributes_and_platforms_tell_apart() {
        let graph = r#"
            %0 = source "docker-image://a:1@x" platform("linux", "amd64")
            %1 = source "docker-image://b:1@x" platform("linux", "amd64")
            %2 = source "docker-image://a:2@y" platform("linux", "amd64")
            %3 = source "docker-image://a:2@x" platform("linux", "arm64")
            %4 = source "docker-image://a:2@x" attrs={"image.resolvemode": "pull"} platform("linux", "amd64")
            %5 = source "docker-image://a:1" platform("linux", "amd64")
            %6 = source "docker-image://a:2" platform("linux", "amd64")
            %7 = merge(%0, %1, %2, %3, %4, %5, %6)
            output %7"#;
        check(graph, graph);
    }

    #[test]
    fn a_name_that_came_from_outside_is_the_one_for_all() {
        check(
            r#"
            %0 = source "docker-image://a:1@x" platform("linux", "amd64")
            %1 = source "docker-image://a:2@x" platform("linux", "amd64") fixed
            %2 = source "docker-image://a:3@x" platform("linux", "amd64") fixed
            %3 = merge(%0, %1, %2)
            output %3"#,
            r#"
            %0 = source "docker-image://a:2@x" platform("linux", "amd64")
            %1 = source "docker-image://a:2@x" platform("linux", "amd64") fixed
            %2 = source "docker-image://a:3@x" platform("linux", "amd64") fixed
            %3 = merge(%0, %1, %2)
            output %3"#,
        );
    }
}
