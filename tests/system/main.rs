//! Tests of the service as its clients and its host see it: a real binary on a real kernel. All
//! tests run in one process.
//!
//! Tests run side by side. Each test has its own service, directory and uids (`codejail_harness`).
//! A test that needs the whole machine calls `machine::alone()`.

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
