//! One vertex: its key, and its run.
