//! Python's JSON as text: scanned, checked, quoted and merged, never decoded into values.

pub mod merge;
pub mod repr;
pub mod scan;
pub mod schema;
