//! codejail: runs untrusted Python in pre-warmed sandboxes. See ARCHITECTURE.md for the map.

pub mod admission;
pub mod answer;
pub mod boot;
pub mod check;
pub mod code_exec;
pub mod config;
pub mod connections;
pub mod execution;
pub mod globals_merge;
pub mod health;
pub mod http;
pub mod json_scan;
pub mod library_cache;
pub mod metrics;
pub mod packet_io;
pub mod payload;
pub mod payload_schema;
pub mod pool;
pub mod privileges;
pub mod python_repr;
pub mod reload;
pub mod run_file;
pub mod serve;
pub mod spawner;
pub mod spawner_link;
pub mod startup_check;
