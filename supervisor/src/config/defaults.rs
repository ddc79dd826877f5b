//! The value of each key that no source sets.

use super::model::{
    Cgroup, CodeJailLimits, Config, HashSeed, Layers, LibraryCache, Log, LogFormat, Metrics, Peers,
    Python, Sandbox,
};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

impl Default for Config {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 8080)),
            enabled: false,
            user: "app".to_owned(),
            workers: 2,
            sandboxes_per_worker: 1,
            max_requests: 1000,
            max_requests_jitter: 100,
            queue_length_max: 256,
            queue_wait_max_ms: 1000,
            // The whole list of Open edX takes 3 s, and 40 s under emulation.
            warm_up_timeout_ms: 120_000,
            graceful_timeout_ms: 30_000,
            connections_max: 512,
            head_timeout_ms: 10_000,
            body_timeout_ms: 30_000,
            body_bytes_max: 32 << 20,
            // Room for eight of the longest bodies. It is a quarter of a small host's memory.
            bodies_bytes_max: 256 << 20,
            output_bytes_max: 1 << 20,
            reply_bytes_max: 32 << 20,
            scratch_bytes_max: 256 << 20,
            scratch_files_max: 16_384,
            // Ten times what a course's code has open (matplotlib with its fonts: some twenty).
            // What a run can hang on one wait queue grows with the square of this number, and
            // kernel memory that no limit counts grows with up to its cube. The original's 1024
            // would allow 16 to 64 times as much.
            descriptors_max: 256,
            egress_check: None,
            peers: Peers::default(),
            python: Python::default(),
            limits: CodeJailLimits::default(),
            limit_overrides: BTreeMap::new(),
            sandbox: Sandbox::default(),
            cgroup: Cgroup::default(),
            library_cache: LibraryCache::default(),
            layers: Layers::default(),
            log: Log::default(),
            metrics: Metrics::default(),
            is_tool: false,
        }
    }
}

impl Default for Python {
    fn default() -> Self {
        Self {
            bin: PathBuf::from("/sandbox/venv/bin/python"),
            preload: Vec::new(),
            env: BTreeMap::new(),
            read_paths: Vec::new(),
            sealed_image: true,
            huge_pages: true,
            // Any constant is good, if all workers of all services have the same.
            hash_seed: HashSeed::Fixed(1),
            worker_module: None,
        }
    }
}

impl Default for CodeJailLimits {
    fn default() -> Self {
        Self {
            CPU: 1,
            REALTIME: 1.0,
            VMEM: 0,
            FSIZE: 0,
            NPROC: 15,
        }
    }
}

impl Default for Cgroup {
    fn default() -> Self {
        Self {
            // For the defaults of the other keys. `Config::memory_bytes_default` computes it if
            // they are changed.
            memory_bytes_max: 2 << 30,
            // Far more than a worker's sandboxes may have by NPROC, and far less than a host has.
            pids_max: 4096,
        }
    }
}

impl Default for LibraryCache {
    fn default() -> Self {
        Self {
            // A zip file of 130 kB can have 0.8 MB of bytecode. So there is room for some 80 of the
            // largest courses.
            bytes_max: 64 << 20,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".to_owned(),
            payloads: false,
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            bind: None,
            // As it was before metrics could have an address of their own.
            on_api_address: true,
        }
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self {
            uid_base: 349_590_000,
            scratch_dir: PathBuf::from("/tmp"),
        }
    }
}
