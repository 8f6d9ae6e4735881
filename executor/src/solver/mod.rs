//! The scheduler, and the driver that performs its actions.

pub mod scheduler;
