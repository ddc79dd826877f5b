//! codejail: runs untrusted Python in pre-warmed sandboxes. See ARCHITECTURE.md for the map.
#![forbid(unsafe_code)]
// These macros panic if they can't write, and a panic aborts the process. Use `say` instead.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod big_work;
pub mod boot;
pub mod command_line;
pub mod commands;
pub mod config;
pub mod deadline;
pub mod execution;
pub mod health;
pub mod http;
pub mod library_cache;
pub mod log;
pub mod metrics;
pub mod old_runs;
pub mod page;
pub mod pool;
pub mod python_files;
pub mod python_json;
pub mod received_signals;
pub mod reload;
pub mod request;
pub mod say;
pub mod scrape;
pub mod service;
pub mod service_manager;
pub mod spawner_link;
pub mod startup_check;
