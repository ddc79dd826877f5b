//! What a cloned process does before it is another program or ends: system calls only, over memory
//! that its parent prepared.
//!
//! Another thread of the spawner (the cleaner) may have held any lock when the process was cloned.
//! So nothing that runs there allocates, formats, panics or calls more of libc than thin wrappers
//! of system calls. Only the parent calls what is here to prepare and to listen: `exec_plan.rs`,
//! and the second half of `failure.rs`.

pub mod become_worker;
mod credentials;
pub mod exec_plan;
pub mod failure;
pub mod proc_files;
pub mod user_maps;
