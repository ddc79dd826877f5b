//! What a cloned process does before it becomes another program or ends: only system calls, on
//! memory that its parent prepared.
//!
//! Another thread of the spawner (the cleaner) may have held any lock when the process was cloned.
//! So the code that runs there does not allocate, format or panic, and calls nothing of libc but
//! thin wrappers of system calls. The functions that prepare and listen are only for the parent:
//! `exec_plan.rs`, and the second half of `failure.rs`.

pub mod become_worker;
mod credentials;
pub mod exec_plan;
pub mod failure;
pub mod proc_files;
pub mod user_maps;
