//! What runs again after one file of the context changed: the file, and the vertices.
//!
//! Caches know contents: a copy or mount of the context runs again when a file that it takes has changed (BuildKit's
//! content keys, by path, pattern and the patterns to take or leave), everything else when something that it depends on
//! does. That is the most that can run: where a process writes the same again, what copies its output is spared too.

use llb::{ContentCache, Edge, FileActionKind, Graph, Mount, Node, Op};

/// The context of a build, as sources name it.
const CONTEXT: &str = "local://context";

/// What a vertex takes of the context.
pub(super) struct Read<'g> {
    /// Path or pattern.
    pub(super) src: &'g str,
    /// Patterns below it; none take all.
    pub(super) include: &'g [String],
}

/// A source file as somebody edits it, where the build file tells: one of the directory that the most is read from, else
/// the last that is read.
pub(super) fn changed_file(graph: &Graph) -> Option<String> {
    let read: Vec<Read<'_>> = graph.nodes.iter().flat_map(|node| read(graph, node)).collect();
    let is_all = |read: &&Read<'_>| read.src == "/" && read.include.is_empty();
    let widest = read.iter().find(is_all).map(|_| "/src/main".to_owned());
    widest.or_else(|| read.last().map(|read| file_of(read.src)))
}

/// A file that a path or pattern takes. What has an ending or is hidden is a file by its look, everything else a directory.
fn file_of(src: &str) -> String {
    let path = src.replace(['*', '?'], "x").trim_end_matches('/').to_owned();
    let name = path.rsplit('/').next().unwrap_or_default();
    if name.contains('.') { path } else { format!("{path}/main") }
}

/// Paths of the context whose content a vertex depends on; of everything else there it does not.
pub(super) fn read<'g>(graph: &'g Graph, node: &'g Node) -> Vec<Read<'g>> {
    let from_context = |position: i64| {
        let edge = usize::try_from(position).ok().and_then(|position| node.inputs.get(position));
        edge.is_some_and(|edge| is_context(&graph.nodes[edge.node.0 as usize]))
    };
    match &node.op {
        Op::File(actions) => {
            let copies = actions.iter().filter(|action| from_context(action.secondary_input));
            let copies = copies.filter_map(|action| match &action.kind {
                FileActionKind::Copy(copy) => Some(copy),
                _ => None,
            });
            copies.map(|copy| Read { src: &copy.src, include: &copy.include_patterns }).collect()
        }
        Op::Exec(exec) => {
            let mounts = exec.mounts.iter().filter(|mount| from_context(mount.input) && is_read_by_content(mount));
            let src = |mount: &'g Mount| if mount.selector.is_empty() { "/" } else { &*mount.selector };
            mounts.map(|mount| Read { src: src(mount), include: &[] }).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether the cache looks at what is in a mount, rather than at where it came from; as BuildKit v0.32 decides it.
fn is_read_by_content(mount: &Mount) -> bool {
    let is_whole = matches!(&*mount.selector, "" | "/");
    let is_safe = mount.output < 0 || mount.readonly || is_whole;
    let is_root = mount.dest == "/" && mount.content_cache == ContentCache::Default;
    is_safe && !is_root && mount.content_cache != ContentCache::Off
}

/// Whether a vertex is a local directory.
pub(super) fn is_local(node: &Node) -> bool {
    matches!(&node.op, Op::Source(source) if source.identifier.starts_with("local://"))
}

/// Whether a vertex is the context.
pub(super) fn is_context(node: &Node) -> bool {
    matches!(&node.op, Op::Source(source) if source.identifier == CONTEXT)
}

/// Whether each vertex runs again when a file of the context changed. Local directories are looked at in each build, the
/// others without effect.
pub(super) fn run_again(graph: &Graph, path: &str) -> Vec<bool> {
    let mut again: Vec<bool> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let sources = read(graph, node);
        let changed = |edge: &Edge| {
            let input = &graph.nodes[edge.node.0 as usize];
            let by_content = is_context(input) && !sources.is_empty();
            again[edge.node.0 as usize] && !by_content && (is_context(input) || !is_local(input))
        };
        again.push(is_local(node) || node.inputs.iter().any(changed) || sources.iter().any(|read| takes(read, path)));
    }
    again
}

/// Whether a file is among what is taken.
fn takes(read: &Read<'_>, path: &str) -> bool {
    let base = read.src.trim_end_matches('/');
    let below = |pattern: &String| covers(&format!("{base}/{}", pattern.trim_start_matches('/')), path);
    if read.include.is_empty() { covers(read.src, path) } else { read.include.iter().any(below) }
}

/// Whether a path or pattern leads to a file or to a directory above it.
pub(super) fn covers(pattern: &str, path: &str) -> bool {
    let split = |text| str::split(text, '/').filter(|part: &&str| !part.is_empty()).collect::<Vec<_>>();
    let (pattern, path): (Vec<&str>, Vec<&str>) = (split(pattern), split(path));
    pattern.len() <= path.len()
        && pattern.iter().zip(path).all(|(pattern, part)| fits(pattern.as_bytes(), part.as_bytes()))
}

/// Whether a name fits a pattern of `*` and `?`.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], name) => name.is_empty(),
        ([b'*', rest @ ..], name) => (0..=name.len()).any(|skipped| fits(rest, &name[skipped..])),
        ([b'?', pattern @ ..], [_, name @ ..]) => fits(pattern, name),
        ([a, pattern @ ..], [b, name @ ..]) => a == b && fits(pattern, name),
        (_, []) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_change_reaches_runs_again() {
        let graph = r#"
            %0 = source "local://context"
            %1 = source "docker-image://base" platform("linux", "amd64")
            %2 = file(%1, %0) copy("/package.json", "/", base=0, from=1, to=0)
            %3 = exec(%2) args=["install"] cwd="/" bind("/", from=0, to=0)
            %4 = file(%3, %0) copy("/src", "/src", base=0, from=1, to=0)
            %5 = exec(%4) args=["make"] cwd="/" bind("/", from=0, to=0)
            %6 = file(%1, %5) copy("/out", "/", base=0, from=1, to=0)
            output %6"#;
        let graph = llb::text::parse(graph).unwrap();
        assert_eq!(changed_file(&graph).as_deref(), Some("/src/main"));
        assert_eq!(run_again(&graph, "/src/main"), [true, false, false, false, true, true, true]);
        let counted = super::super::counts(&graph, Some("/src/main"), &super::super::Context::of(&graph));
        assert_eq!(counted, super::super::Counts { vertices: 7, path: 6, rerun: 4, layers: 1, sent: 12_000_000 });
    }

    #[test]
    fn a_mount_is_read_where_it_is_selected() {
        let graph = r#"
            %0 = source "local://context"
            %1 = source "docker-image://base" platform("linux", "amd64")
            %2 = exec(%1, %0) args=["install"] cwd="/" bind("/", from=0, to=0) bind("/lock", from=1, selector="/lock", readonly)
            %3 = exec(%2, %0) args=["make"] cwd="/" bind("/", from=0, to=0) bind("/src", from=1, selector="/src", readonly)
            output %3"#;
        let graph = llb::text::parse(graph).unwrap();
        assert_eq!(changed_file(&graph).as_deref(), Some("/src/main"));
        assert_eq!(run_again(&graph, "/src/main"), [true, false, false, true]);
    }

    #[test]
    fn patterns_take_what_fits() {
        let read = |src, include| Read { src, include };
        let include = ["/go.work".to_owned(), "*/go.mod".to_owned()];
        for (path, taken) in [("/go.work", true), ("/api/go.mod", true), ("/api/main", false), ("/go.mod", false)] {
            assert_eq!(takes(&read("/", &include), path), taken, "{path}");
        }
        for (src, taken) in
            [("/", true), ("/conf", true), ("/c*/*.yaml", true), ("/conf/?.toml", false), ("/co", false)]
        {
            assert_eq!(takes(&read(src, &[]), "/conf/x.yaml"), taken, "{src}");
        }
        assert_eq!(["/src/", "/.bashrc", "/conf/*.yaml"].map(file_of), ["/src/main", "/.bashrc", "/conf/x.yaml"]);
    }
}
