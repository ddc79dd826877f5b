//! Many executions: each gets its right answer, and nothing of them is left. These tests run alone.

mod endurance;
mod latency;
mod memory;
mod soak;
mod tiny_pieces;
mod watched_pipes;
