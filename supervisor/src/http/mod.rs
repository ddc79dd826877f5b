//! HTTP: which path goes where, and connections from accept to close.

pub mod connections;
pub mod router;
