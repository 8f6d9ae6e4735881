//! The scheduler, and the driver that performs its actions.
//!
//! | file | what it is |
//! |---|---|
//! | `scheduler` | decides: events in, actions out |
//! | `driver` | the loop between the scheduler and the threads that act |
//! | `vertices` | what is known of each vertex: its node, keys, results |
//! | `lanes` | what waits for a thread |
//! | `makers` | which vertex made each layer of a result |
//! | `lineage` | which results what is wanted will consist of |
//! | `tasks` | what a thread does for one action |
//! | `trace` | what went into a result, where somebody asks |
//! | `report` | what of it is told as progress |
//! | `names` | names of vertices for people |

mod driver;
mod lanes;
mod lineage;
mod makers;
mod names;
mod report;
pub mod scheduler;
mod tasks;
mod trace;
mod vertices;

pub use driver::{Build, OnMade, Outcomes, Solved, solve};
pub use trace::Trace;
