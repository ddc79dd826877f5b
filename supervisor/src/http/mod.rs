//! HTTP: which path goes where, connections from accept to close, and bodies within bounds.

pub mod body;
pub mod budget;
pub mod connections;
pub mod pace;
pub mod router;
