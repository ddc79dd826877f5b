//! The service as its clients and its host see it: a real binary, a real kernel, one process of
//! tests.
//!
//! Tests run side by side. Each has its own service, directory and uids (`codejail_harness`); one
//! that needs the whole machine says so by `machine::alone()`.

mod answers;
mod confinement;
mod contract;
mod faults;
mod library_cache;
mod lifecycle;
mod load;
mod observation;
mod python_json;
mod spawner;
