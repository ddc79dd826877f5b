//! The one harness of all tests and benchmarks in Rust. It starts a real service with a port, a
//! directory and uids of its own, talks to the service, watches its processes, and causes faults in
//! it.
//!
//! The harness knows nothing of what a test expects. It never ends a process that it did not start.
//!
//! * [`Service`] is for tests: a call that fails panics, and at its end nothing of it may be left.
//! * [`Running`] is the same service for programs: a call that fails returns its error.
//!
//! tests/README.md says which variables of the environment the harness reads.

pub mod binary;
pub mod cgroups;
pub mod dir;
pub mod http;
pub mod inject;
pub mod log;
pub mod machine;
pub mod own_python;
pub mod processes;
pub mod python;
pub mod root;
mod run;
mod running;
mod service;
pub mod setup;
pub mod small_disk;
pub mod uids;
pub mod wait;
pub mod wire;

pub use run::Run;
pub use running::Running;
pub use service::Service;
pub use setup::Setup;
