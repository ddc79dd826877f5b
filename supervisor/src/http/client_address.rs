//! Where a request comes from.

use std::net::SocketAddr;

/// The other end of a connection, in each of its requests (as an extension).
#[derive(Debug, Clone, Copy)]
pub struct ClientAddress(pub SocketAddr);
