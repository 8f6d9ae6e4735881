//! Puts vertices in an order with inputs first.

/// What is left to do on the walk.
enum Visit {
    Enter(usize),
    Leave(usize),
}

/// The rank of each vertex among those that have one; `None` when vertices depend on each other in a circle.
///
/// **Shape**: in step with `edges`; meaningless where `is_ranked` says no, which no edge may lead to. Vertices that
/// already stand after their inputs keep their order.
pub(super) fn ranks(edges: &[Vec<(usize, u32)>], is_ranked: impl Fn(usize) -> bool) -> Option<Vec<u32>> {
    const UNKNOWN: u32 = u32::MAX;
    const ENTERED: u32 = u32::MAX - 1;
    let mut ranks = vec![UNKNOWN; edges.len()];
    let mut next = 0;
    let mut stack: Vec<Visit> = Vec::new();
    for start in (0..edges.len()).filter(|&start| is_ranked(start)) {
        stack.push(Visit::Enter(start));
        while let Some(visit) = stack.pop() {
            match visit {
                Visit::Leave(vertex) => {
                    ranks[vertex] = next;
                    next += 1;
                }
                Visit::Enter(vertex) if ranks[vertex] == ENTERED => return None,
                Visit::Enter(vertex) if ranks[vertex] == UNKNOWN => {
                    ranks[vertex] = ENTERED;
                    stack.push(Visit::Leave(vertex));
                    stack.extend(edges[vertex].iter().rev().map(|&(input, _)| Visit::Enter(input)));
                }
                Visit::Enter(_) => {}
            }
        }
    }
    Some(ranks)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each vertex is the list of its inputs; `.` has none, `-` is not ranked.
    fn check(vertices: &[&str], expected: &str) {
        let edges: Vec<Vec<(usize, u32)>> = vertices
            .iter()
            .map(|inputs| inputs.split(' ').filter_map(|input| input.parse().ok()).map(|input| (input, 0)).collect())
            .collect();
        let actual = match ranks(&edges, |vertex| vertices[vertex] != "-") {
            None => "circle".to_owned(),
            Some(ranks) => ranks
                .iter()
                .map(|&rank| if rank == u32::MAX { "-".to_owned() } else { rank.to_string() })
                .collect::<Vec<_>>()
                .join(" "),
        };
        assert_eq!(actual, expected, "{vertices:?}");
    }

    #[test]
    fn order_is_kept_or_mended() {
        check(&[], "");
        check(&[".", "0", "1 0"], "0 1 2");
        check(&["1", "."], "1 0");
        check(&["2 1", "2", "."], "2 1 0");
        check(&[".", "-", "0"], "0 - 1");
    }

    #[test]
    fn circles_are_found() {
        check(&["0"], "circle");
        check(&[".", "2", "3 0", "1"], "circle");
    }
}
