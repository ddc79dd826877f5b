//! Removes what workers and sandboxes leave.

pub mod cleaner;
mod removal;
