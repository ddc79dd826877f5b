//! Removes what workers and sandboxes leave, and what dead services have left.

pub mod cleaner;
pub mod leftovers;
pub mod removal;
mod trash;
