//! Many executions: each right, and nothing left of them. These run alone.

mod endurance;
mod latency;
mod memory;
mod soak;
mod tiny_pieces;
mod watched_pipes;
