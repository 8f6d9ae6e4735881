//! Work that waits for a thread, by what it is bound by.

use std::collections::VecDeque;

use crate::host::processors;

/// What a task is bound by; each kind has a limit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Servers and small files.
    Pin,
    /// Processors: hashing.
    Compare,
    /// Whatever the process does; processes sleep and wait as often as they compute.
    Run,
}

/// The lanes, each with what runs in it and what waits.
pub(super) struct Lanes<T> {
    lanes: [Queue<T>; 3],
    /// Most runs at once; 0 leaves it to us.
    runs: usize,
}

struct Queue<T> {
    running: usize,
    waiting: VecDeque<T>,
}

/// Runs at once for each processor when nobody says how many.
const RUNS_PER_CORE: usize = 16;
/// Sources pinned at once.
const PINS: usize = 16;

impl<T> Lanes<T> {
    /// Empty lanes; at most `runs` run at once, 0 leaves it to us.
    pub(super) fn new(runs: usize) -> Self {
        let queue = || Queue { running: 0, waiting: VecDeque::new() };
        Self { lanes: [queue(), queue(), queue()], runs }
    }

    /// How much of a lane runs at once.
    fn limit(&self, lane: Lane) -> usize {
        match lane {
            Lane::Pin => PINS,
            Lane::Compare => processors(),
            Lane::Run if self.runs == 0 => processors() * RUNS_PER_CORE,
            Lane::Run => self.runs,
        }
    }

    /// Adds work at the end of a lane.
    pub(super) fn push(&mut self, lane: Lane, work: T) {
        self.lanes[lane as usize].waiting.push_back(work);
    }

    /// Work of a lane that may start now.
    pub(super) fn next(&mut self, lane: Lane) -> Option<T> {
        let queue = &self.lanes[lane as usize];
        if queue.waiting.is_empty() || queue.running >= self.limit(lane) {
            return None;
        }
        let queue = &mut self.lanes[lane as usize];
        queue.running += 1;
        queue.waiting.pop_front()
    }

    /// Work of a lane ended.
    pub(super) fn ended(&mut self, lane: Lane) {
        self.lanes[lane as usize].running -= 1;
    }

    /// Whether nothing runs and nothing waits.
    pub(super) fn is_idle(&self) -> bool {
        self.lanes.iter().all(|queue| queue.running == 0 && queue.waiting.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_lane_waits_and_others_go_on() {
        let mut lanes = Lanes::new(1);
        assert!(lanes.is_idle());
        for work in ["a", "b"] {
            lanes.push(Lane::Run, work);
        }
        lanes.push(Lane::Pin, "c");
        assert_eq!([lanes.next(Lane::Run), lanes.next(Lane::Run), lanes.next(Lane::Pin)], [Some("a"), None, Some("c")]);
        lanes.ended(Lane::Run);
        assert_eq!(lanes.next(Lane::Run), Some("b"));
        lanes.ended(Lane::Run);
        assert!(!lanes.is_idle());
        lanes.ended(Lane::Pin);
        assert!(lanes.is_idle());
    }
}
