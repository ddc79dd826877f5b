//! The commands. Three start workers: `serve`, `check` and `run_file`. All three do it by `boot`,
//! so none is less confined than the others. The other commands start no worker.

pub mod check;
mod fairness;
pub mod import_settings;
mod listening;
pub mod run_file;
pub mod serve;
mod venv;
