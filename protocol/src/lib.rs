//! The messages between codejail's processes: pure data, no I/O, no clock.
//!
//! Three conversations. Each state has a short list of legal messages. A peer that sends anything
//! else is killed. Descriptors travel beside a message (`SCM_RIGHTS`). Workers and sandboxes send
//! none; the spawner hands the two that it gets to a worker.
//!
//! ```text
//! supervisor -> spawner (SEQPACKET)            supervisor -> worker (SEQPACKET)
//!
//!   Configure -> Configured                      Start -> Hello | StartFailed
//!   then, in any order:                          then, in any order:
//!   Launch -> Launched | LaunchFailed            Prepare -> (nothing | PrepareFailed)
//!   Kill   -> Ended, once for each launched      Kill    -> Exited, once for each prepared
//!   Bound  -> nothing
//!   Ping   -> Pong
//!   Clean  -> Cleaned, then Removed for          closing the socket ends the worker
//!             what was moved away
//!   and Said at any time, Configured or not
//!
//! supervisor -> sandbox (its standard input)   sandbox -> supervisor (its status pipe)
//!
//!   Job header, then the blobs it announces,     Prepared | PrepareFailed
//!   then end of file                             then Closed | PrepareFailed
//!                                                then Started | Unloadable
//!                                                then Finished
//! ```
#![forbid(unsafe_code)]

pub mod apparmor;
pub mod control;
pub mod environment;
pub mod frame;
pub mod job;
pub mod name;
pub mod spawn;

pub use name::ScratchName;

/// Both ends of every conversation must be of the same build; the worker says this in its `Hello`.
pub const BUILD: &str = if SABOTAGE {
    concat!(
        env!("CARGO_PKG_NAME"),
        " ",
        env!("CARGO_PKG_VERSION"),
        " sabotage"
    )
} else {
    concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"))
};

/// Whether this build accepts `off` for the layers that every host has, so that tests can show what
/// each layer stops by itself. It is a cargo feature: an ordinary build has no such switch, and
/// refuses a worker from a sabotage build.
pub const SABOTAGE: bool = cfg!(feature = "sabotage");
