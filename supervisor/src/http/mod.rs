//! HTTP: which path goes where, connections from accept to close, and bodies within bounds.

pub mod body;
pub mod budget;
pub mod client_address;
mod client_stream;
pub mod connections;
pub mod pace;
pub mod peers;
pub mod router;
