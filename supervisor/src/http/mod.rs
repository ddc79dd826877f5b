//! HTTP: which path goes where, connections from accept to close, and bodies within bounds.

pub mod body;
pub mod budget;
mod client_stream;
pub mod connections;
pub mod pace;
pub mod router;
