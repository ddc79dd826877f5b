//! Many executions: each right, and nothing left of them. These run alone.

mod endurance;
mod soak;
