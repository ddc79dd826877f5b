//! The three commands that start a host: each behind `boot`, so that none is less confined.

pub mod check;
mod fairness;
mod listening;
pub mod run_file;
pub mod serve;
mod venv;
