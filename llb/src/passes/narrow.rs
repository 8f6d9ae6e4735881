//! Narrows local directories to the paths that are used.
//!
//! ```text
//! %0 = source "local://src"
//! %1 = file(%0) copy("/a", "/", from=0, to=0)    →    %0 = source "local://src" attrs={"local.followpaths": "[\"a\"]"}
//! ```
//!
//! Less is walked, hashed and sent. Sound because a copy reads what is at its source path, the links on the way to it, and
//! nothing else, and `local.followpaths` sends just that: the path, what links on the way lead to, and all below. A path that
//! is not there is sent as nothing, and the copy fails as before. Must not touch directories that a process sees, that are
//! changed, merged, compared or a result (all of them is used), nor paths with characters that `followpaths` reads as a
//! pattern where the copy does not. Frontends that know what they use (the Dockerfile's does) have said so already: what
//! has such attributes stays. Linear in edges and actions.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::{Log, Rewrite, Why};
use crate::{FileActionKind, Graph, Node, Op, UserOpt};

const SCHEME: &str = "local://";
const FOLLOW: &str = "local.followpaths";
const INCLUDE: &str = "local.includepattern";
/// Characters that mean something in patterns; `!` at the beginning alone, but it is rare.
const SPECIAL: [char; 6] = ['*', '?', '[', ']', '\\', '!'];

/// What is used of a directory.
enum Used {
    Paths(BTreeSet<String>),
    All(Why),
}

pub(super) fn run(graph: &mut Graph, log: &mut Log) {
    let mut used: Vec<Option<Used>> =
        graph.nodes.iter().map(|node| is_wide(node).then(|| Used::Paths(BTreeSet::new()))).collect();
    for node in &graph.nodes {
        note(node, &mut used);
    }
    let outputs = graph.outputs.iter().filter_map(|output| output.edge);
    outputs.for_each(|edge| all(&mut used, edge.node.0 as usize, Why::AllUsed));
    for (index, used) in used.into_iter().enumerate() {
        match used {
            None => {}
            Some(Used::All(why)) => log.refuse(&[index], why),
            Some(Used::Paths(paths)) if paths.is_empty() => {}
            Some(Used::Paths(paths)) => {
                let paths: Vec<String> = paths.into_iter().collect();
                let Op::Source(source) = &mut graph.nodes[index].op else { continue };
                let list = String::from_utf8(oci::json::to_vec(&paths)).expect("JSON is UTF-8");
                source.attrs.insert(FOLLOW.to_owned(), list);
                log.done(&[index], Rewrite::Narrowed { paths });
            }
        }
    }
}

/// Whether a vertex is a local directory of which everything is sent, and that may say otherwise.
fn is_wide(node: &Node) -> bool {
    let Op::Source(source) = &node.op else { return false };
    let said = |attr: &str| source.attrs.contains_key(attr);
    source.identifier.starts_with(SCHEME) && !node.fixed && !said(FOLLOW) && !said(INCLUDE)
}

/// Notes that all of a source is used. That somebody uses all of it says more than that a path cannot be told.
fn all(used: &mut [Option<Used>], source: usize, why: Why) {
    if let Some(Some(used)) = used.get_mut(source)
        && (matches!(used, Used::Paths(_)) || why == Why::AllUsed)
    {
        *used = Used::All(why);
    }
}

/// Notes what a vertex uses of its inputs.
fn note(node: &Node, used: &mut [Option<Used>]) {
    let Op::File(actions) = &node.op else {
        return node.inputs.iter().for_each(|edge| all(used, edge.node.0 as usize, Why::AllUsed));
    };
    let source = |position: i64| {
        let edge = usize::try_from(position).ok().and_then(|position| node.inputs.get(position));
        edge.map(|edge| edge.node.0 as usize)
    };
    for action in actions {
        if let Some(base) = source(action.input) {
            all(used, base, Why::AllUsed);
        }
        if let (FileActionKind::Copy(copy), Some(from)) = (&action.kind, source(action.secondary_input)) {
            add(used, from, &copy.src);
        }
        let owner = super::fuse::owner(&action.kind);
        for part in owner.into_iter().flat_map(|owner| [&owner.user, &owner.group]).flatten() {
            if let UserOpt::Name { input, .. } = part
                && let Some(from) = source(*input)
            {
                add(used, from, "/etc/passwd");
                add(used, from, "/etc/group");
            }
        }
    }
}

fn add(used: &mut [Option<Used>], source: usize, path: &str) {
    let path = clean(path);
    if path.is_empty() {
        return all(used, source, Why::AllUsed);
    }
    let Some(Some(Used::Paths(paths))) = used.get_mut(source) else { return };
    if path.contains(SPECIAL) {
        return all(used, source, Why::PatternCharacters(path.into_owned()));
    }
    // Many copy the same.
    if !paths.contains(&*path) {
        paths.insert(path.into_owned());
    }
}

/// A path below the root, as it is written where it is clean already.
fn clean(path: &str) -> Cow<'_, str> {
    let below = path.trim_start_matches('/');
    let is_clean = below.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if is_clean {
        return below.into();
    }
    oci::text::clean_path(&format!("/{path}")).trim_start_matches('/').to_owned().into()
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::passes::testing::check;

    #[test]
    fn only_what_is_copied_is_sent() {
        check(
            run,
            r#"
            %0 = source "local://src" attrs={"local.excludepatterns": "[\"x\"]"}
            %1 = file(%0) copy("/b/../a/", "/", from=0) copy("c", "/", base=#0, from=0, to=0, owner(user=name("u", 0)))
            output %1"#,
            r#"
            %0 = source "local://src" attrs={"local.excludepatterns": "[\"x\"]", "local.followpaths": "[\"a\",\"c\",\"etc/group\",\"etc/passwd\"]"}
            %1 = file(%0) copy("/b/../a/", "/", from=0) copy("c", "/", base=#0, from=0, to=0, owner(user=name("u", 0)))
            output %1"#,
        );
    }

    #[test]
    fn what_is_used_as_a_whole_is_sent_as_a_whole() {
        for use_of_all in [
            r#"file(%0) copy("/.", "/", from=0, to=0)"#,
            r#"file(%0) mkdir("/a", base=0, to=0)"#,
            "merge(%0)",
            "diff(%0) lower=-1 upper=0",
        ] {
            let graph = format!(
                "%0 = source \"local://src\"\n%1 = file(%0) copy(\"/a\", \"/\", from=0, to=0)\n%2 = {use_of_all}\n%3 = merge(%1, %2)\noutput %3"
            );
            check(run, &graph, &format!("{graph}\n;; %0: all of the directory is used"));
        }
    }

    #[test]
    fn patterns_and_what_is_narrow_already_stay() {
        let pattern = "%0 = source \"local://src\"\n%1 = file(%0) copy(\"/a*\", \"/\", from=0, to=0)\noutput %1";
        check(run, pattern, &format!("{pattern}\n;; %0: a* holds characters that mean something in patterns"));
        let both =
            pattern.replace("output %1", "%2 = file(%1, %0) copy(\"/\", \"/\", base=0, from=1, to=0)\noutput %2");
        check(run, &both, &format!("{both}\n;; %0: all of the directory is used"));
        let narrow = "%0 = source \"local://src\" attrs={\"local.followpaths\": \"[\\\"b\\\"]\"}\n%1 = file(%0) copy(\"/a\", \"/\", from=0, to=0)\noutput %1";
        check(run, narrow, narrow);
    }

    #[test]
    fn what_came_from_outside_is_left_alone() {
        let graph = "%0 = source \"local://a\" fixed\n%1 = file(%0) copy(\"/a\", \"/\", from=0, to=0)\noutput %1";
        check(run, graph, graph);
    }
}
