//! The commands. Three start a host, each behind `boot`, so that none is less confined: `serve`,
//! `check` and `run_file`. The others start nothing of the kind.

pub mod check;
mod fairness;
pub mod import_settings;
mod listening;
pub mod run_file;
pub mod serve;
mod venv;
