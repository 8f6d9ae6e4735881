//! How much of the context is sent, of one in which every path that a build names is as big as any other.
//!
//! The context is not there, so it is made up from what the build names at `-O0`: [`NAMED`] bytes at each path that a copy or a
//! mount takes, and [`REST`] bytes beside them that nothing names. A local directory is sent as its attributes say.

use std::collections::BTreeSet;

use llb::{Graph, Op};

use super::again::{covers, is_context, read};

/// Bytes at each path that something takes.
const NAMED: usize = 1_000_000;
/// Bytes that nothing names.
const REST: usize = 10_000_000;

/// Attributes with lists of the paths that are sent; all is sent without them.
const LISTS: [&str; 2] = ["local.followpaths", "local.includepattern"];

/// A context: the paths of its files.
pub(super) struct Context {
    paths: BTreeSet<String>,
}

impl Context {
    /// What a build names, each path with something in it.
    pub(super) fn of(graph: &Graph) -> Self {
        let read = graph.nodes.iter().flat_map(|node| read(graph, node));
        let below =
            |src: &str, pattern: &str| format!("{}/{}", src.trim_end_matches('/'), pattern.trim_start_matches('/'));
        let paths = read.flat_map(|read| match read.include {
            [] => vec![read.src.to_owned()],
            patterns => patterns.iter().map(|pattern| below(read.src, pattern)).collect(),
        });
        let plain = |path: String| path.replace(['*', '?'], "x").trim_matches('/').to_owned();
        Self { paths: paths.map(plain).filter(|path| !path.is_empty()).collect() }
    }

    /// Bytes that are sent of it: of each path once, however many vertices ask for it.
    pub(super) fn sent(&self, graph: &Graph) -> usize {
        let mut sent = 0;
        for node in graph.nodes.iter().filter(|node| is_context(node)) {
            let Op::Source(source) = &node.op else { continue };
            let lists: Vec<Vec<String>> = LISTS
                .iter()
                .filter_map(|name| source.attrs.get(name))
                .map(|list| serde_json::from_str(list).expect("the attribute is a list"))
                .collect();
            let is_sent =
                |path: &&String| lists.is_empty() || lists.iter().flatten().any(|listed| covers(listed, path));
            sent += NAMED * self.paths.iter().filter(is_sent).count();
            sent += if lists.is_empty() { REST } else { 0 };
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_sent_as_it_is_asked_for() {
        let graph = |attrs: &str| {
            let text = format!(
                "%0 = source \"local://context\"{attrs}\n%1 = file(%0) copy(\"/a/b\", \"/\", from=0, to=0)\n\
                 %2 = file(%1, %0) copy(\"/c\", \"/\", base=0, from=1, to=0, include_patterns=[\"x*\", \"/y\"])\noutput %2"
            );
            llb::text::parse(&text).unwrap()
        };
        let context = Context::of(&graph(""));
        assert_eq!(context.paths.iter().collect::<Vec<_>>(), ["a/b", "c/xx", "c/y"]);
        assert_eq!(context.sent(&graph("")), 3 * NAMED + REST);
        assert_eq!(context.sent(&graph(" attrs={\"local.followpaths\": \"[\\\"a\\\",\\\"c/y\\\"]\"}")), 2 * NAMED);
        assert_eq!(context.sent(&graph(" attrs={\"local.includepattern\": \"[\\\"c\\\"]\"}")), 2 * NAMED);
    }
}
