//! Which inputs of a vertex stay whole in its result: all of their layers are layers of it, whatever the vertex does.
//!
//! What is wanted of a build consists of its lineage: the vertices found from its outputs through such inputs. Whoever knows
//! what becomes of the outputs (they are exported) can begin as soon as one of these is done. Of the inputs of a difference
//! nothing stays for sure; a nested build is what it expands into.

use llb::{Node, Op};

/// Positions of the inputs that stay whole in an output.
pub(super) fn kept(node: &Node, output: u32) -> Vec<usize> {
    let output = i64::from(output);
    match &node.op {
        Op::Exec(exec) => {
            let mounts = exec.mounts.iter().filter(|mount| mount.output == output);
            mounts.filter_map(|mount| usize::try_from(mount.input).ok()).collect()
        }
        Op::File(actions) => {
            let mut found = actions.iter().find(|action| action.output == output);
            while let Some(action) = found {
                let Ok(position) = usize::try_from(action.input) else { break };
                let Some(earlier) = position.checked_sub(node.inputs.len()) else { return vec![position] };
                found = actions.get(earlier);
            }
            Vec::new()
        }
        Op::Merge(positions) => positions.iter().filter_map(|position| usize::try_from(*position).ok()).collect(),
        Op::Passthrough(passthrough) => {
            let position = usize::try_from(output).ok().and_then(|output| passthrough.outputs.get(output));
            position.and_then(|position| usize::try_from(*position).ok()).into_iter().collect()
        }
        Op::Source(_) | Op::Build(_) | Op::Diff(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, output: u32, expected: &[usize]) {
        let graph = llb::text::parse(text).unwrap();
        assert_eq!(kept(graph.nodes.last().unwrap(), output), expected);
    }

    const TWO: &str = "%0 = source \"docker-image://a\"\n%1 = source \"docker-image://b\"\n";

    #[test]
    fn of_a_process_what_its_output_is_mounted_on() {
        let exec = r#"%2 = exec(%0, %1) args=["x"] cwd="/" bind("/", from=0, to=0) bind("/b", from=1, to=1) bind("/c", from=1)"#;
        check(&format!("{TWO}{exec}"), 0, &[0]);
        check(&format!("{TWO}{exec}"), 1, &[1]);
        check(&format!("{TWO}{exec}"), 2, &[]);
    }

    #[test]
    fn of_file_actions_what_the_first_of_them_changes() {
        let copies = r#"%2 = file(%0, %1) copy("/a", "/a", base=0, from=1) copy("/b", "/b", base=2, from=1, to=0)"#;
        check(&format!("{TWO}{copies}"), 0, &[0]);
        let alone = r#"%2 = file(%0, %1) copy("/a", "/a", base=-1, from=1, to=0)"#;
        check(&format!("{TWO}{alone}"), 0, &[]);
    }

    #[test]
    fn of_a_merge_all_and_of_a_difference_nothing_for_sure() {
        check(&format!("{TWO}%2 = merge(%0, %1)"), 0, &[0, 1]);
        check(&format!("{TWO}%2 = diff(%0, %1)"), 0, &[]);
    }
}
