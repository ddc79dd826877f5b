//! The address that a request comes from.

use std::net::SocketAddr;

/// The address of a connection's other end. Each request of the connection has it as an extension.
#[derive(Debug, Clone, Copy)]
pub struct ClientAddress(pub SocketAddr);
