//! The system calls that neither std nor nix offers as safe functions: all unsafe code of the
//! spawner.
//!
//! A function makes one call, or the calls for one kernel object. No function decides anything. No
//! function allocates unless its text says so, so that a cloned child may call it.
#![allow(unsafe_code)]

pub mod clone;
pub mod file;
pub mod mount;
pub mod process;
