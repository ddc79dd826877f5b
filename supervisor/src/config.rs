//! The service's configuration: read, checked and completed before anything else happens.
//!
//! From a TOML file; what it leaves out has the defaults below. Unknown keys and values out of
//! bounds are errors that name the key and say what would be right.

use codejail_protocol::control::LayerMode;
use codejail_protocol::job::Limits;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// Shared libraries, time zones, and the devices that programs expect.
const READ_PATHS: &[&str] = &[
    "/usr/lib",
    "/lib",
    "/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/usr/share/zoneinfo",
    "/etc/localtime",
    "/dev/urandom",
    "/dev/zero",
];

const SANDBOX_ENV: &[(&str, &str)] = &[
    ("HOME", "/nonexistent"),
    ("LANG", "C.UTF-8"),
    ("LOGNAME", "sandbox"),
    ("MKL_NUM_THREADS", "1"),
    ("NUMEXPR_NUM_THREADS", "1"),
    ("OMP_NUM_THREADS", "1"),
    ("OPENBLAS_NUM_THREADS", "1"),
    (
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ),
    ("SHELL", "/usr/sbin/nologin"),
    ("TMPDIR", "tmp"),
    ("USER", "sandbox"),
];

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, #[source] std::io::Error),
    /// It is not TOML, or has keys or types that this version does not know.
    #[error("{0}: {1}")]
    Parse(PathBuf, #[source] Box<toml::de::Error>),
    /// A value that can't be.
    #[error("{key} = {value}: {right}")]
    Value {
        /// The key as the file writes it.
        key: String,
        /// What it has.
        value: String,
        /// What would be right.
        right: String,
    },
}

/// All settings, by the file's names.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on; port 0 picks a free one.
    pub bind: SocketAddr,
    /// Whether executions are accepted; until an operator turns it on, they are answered 500.
    pub enabled: bool,
    /// Whom the HTTP side becomes when started as root: a user's name, or a number.
    pub user: String,
    /// Warm interpreters.
    pub workers: usize,
    /// Executions at a time in each.
    pub sandboxes_per_worker: usize,
    /// Executions after which a worker is replaced; 0 is never.
    pub max_requests: u64,
    /// Up to this many are added at random, so that workers are not replaced all at once.
    pub max_requests_jitter: u64,
    /// Requests that may wait for a sandbox; one more is answered 503.
    pub queue_length_max: usize,
    /// How long one may wait, in milliseconds. The client gives up 3.5 s after it sent.
    pub queue_wait_max_ms: u64,
    /// How long running executions have to finish when the service is told to end.
    pub graceful_timeout_ms: u64,
    /// Largest request body.
    pub body_bytes_max: usize,
    /// Of standard output and standard error each, what an error message can hold.
    pub output_bytes_max: usize,
    /// Largest answer on standard output.
    pub reply_bytes_max: usize,
    /// The interpreter.
    pub python: Python,
    /// Limits of every execution.
    pub limits: CodeJailLimits,
    /// Limits by `limit_overrides_context`.
    pub limit_overrides: BTreeMap<String, LimitOverrides>,
    /// Where and as whom sandboxes run.
    pub sandbox: Sandbox,
    /// What confines them.
    pub layers: Layers,
}

/// `[python]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Python {
    /// The sandbox venv's interpreter.
    pub bin: PathBuf,
    /// Modules to import before sandboxes are forked.
    pub preload: Vec<String>,
    /// Variables for sandboxes, beside the service's own small set.
    pub env: BTreeMap<String, String>,
    /// More that sandboxes may read.
    pub read_paths: Vec<PathBuf>,
    /// The worker module; beside the executable unless given.
    pub worker_module: Option<PathBuf>,
}

/// `[limits]`, named as in `CODE_JAIL`; 0 is no limit, except that FSIZE 0 is nothing.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(non_snake_case)]
pub struct CodeJailLimits {
    /// CPU seconds.
    pub CPU: u64,
    /// Seconds by the wall clock.
    pub REALTIME: f64,
    /// Bytes of address space.
    pub VMEM: u64,
    /// Longest file in bytes.
    pub FSIZE: u64,
    /// Threads.
    pub NPROC: u64,
}

/// `[limit_overrides."…"]`: what is given replaces the limit of that name.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(non_snake_case)]
pub struct LimitOverrides {
    /// CPU seconds.
    pub CPU: Option<u64>,
    /// Seconds by the wall clock.
    pub REALTIME: Option<f64>,
    /// Bytes of address space.
    pub VMEM: Option<u64>,
    /// Longest file in bytes.
    pub FSIZE: Option<u64>,
    /// Threads.
    pub NPROC: Option<u64>,
}

/// `[sandbox]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sandbox {
    /// First of the uids that workers and sandboxes get when the service is started as root.
    pub uid_base: u32,
    /// Where scratch directories are made.
    pub scratch_dir: PathBuf,
}

/// `[layers]`: require, auto or off. Seccomp and resource limits have no switch: they are always
/// there to be had.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Layers {
    /// A uid for each worker and sandbox; needs root.
    pub uid: LayerMode,
    /// PID, mount, network, IPC and UTS namespaces for each worker.
    pub namespaces: LayerMode,
    /// Landlock, Linux 5.13 and later.
    pub landlock: LayerMode,
}

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
            graceful_timeout_ms: 30_000,
            body_bytes_max: 32 << 20,
            output_bytes_max: 1 << 20,
            reply_bytes_max: 32 << 20,
            python: Python::default(),
            limits: CodeJailLimits::default(),
            limit_overrides: BTreeMap::new(),
            sandbox: Sandbox::default(),
            layers: Layers::default(),
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

impl Default for Sandbox {
    fn default() -> Self {
        Self {
            uid_base: 349_590_000,
            scratch_dir: PathBuf::from("/tmp"),
        }
    }
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Read(path.to_owned(), error))?;
        let config: Self = toml::from_str(&text)
            .map_err(|error| ConfigError::Parse(path.to_owned(), Box::new(error)))?;
        config.check()?;
        Ok(config)
    }

    /// Checks all bounds.
    fn check(&self) -> Result<(), ConfigError> {
        within("workers", self.workers as u64, 1..=256)?;
        within(
            "sandboxes_per_worker",
            self.sandboxes_per_worker as u64,
            // With one descriptor for each in their worker: SANDBOXES_MAX of the protocol.
            1..=200,
        )?;
        within("max_requests", self.max_requests, 0..=1_000_000_000)?;
        within(
            "max_requests_jitter",
            self.max_requests_jitter,
            0..=1_000_000_000,
        )?;
        within(
            "queue_length_max",
            self.queue_length_max as u64,
            0..=1 << 20,
        )?;
        within("queue_wait_max_ms", self.queue_wait_max_ms, 1..=3_600_000)?;
        within(
            "graceful_timeout_ms",
            self.graceful_timeout_ms,
            0..=3_600_000,
        )?;
        within("body_bytes_max", self.body_bytes_max as u64, 1024..=1 << 30)?;
        within(
            "output_bytes_max",
            self.output_bytes_max as u64,
            1024..=1 << 30,
        )?;
        within(
            "reply_bytes_max",
            self.reply_bytes_max as u64,
            1024..=1 << 30,
        )?;
        let uid_max = u64::from(u32::MAX - 1) - self.uid_count();
        within(
            "sandbox.uid_base",
            self.sandbox.uid_base.into(),
            1000..=uid_max,
        )?;
        for (key, path) in [
            ("python.bin", &self.python.bin),
            ("sandbox.scratch_dir", &self.sandbox.scratch_dir),
        ] {
            if !path.is_absolute() {
                return Err(wrong(key, path.display(), "must be an absolute path"));
            }
        }
        for context in self
            .limit_overrides
            .keys()
            .map(|key| Some(key.as_str()))
            .chain([None])
        {
            let realtime = self.code_jail_limits(context).REALTIME;
            if !(0.0..=3600.0).contains(&realtime) {
                return Err(wrong(
                    "limits.REALTIME",
                    realtime,
                    "must be 0 to 3600 seconds",
                ));
            }
        }
        Ok(())
    }

    /// Sandboxes of one worker that may exist at once: running, a spare beside each, and twice as
    /// many on their way out, with some room where there are few.
    #[must_use]
    pub fn sandboxes_max(&self) -> usize {
        4 * self.sandboxes_per_worker + 4
    }

    /// The uids of one worker: its own, then its sandboxes'.
    #[must_use]
    pub fn uids_per_worker(&self) -> u64 {
        1 + self.sandboxes_max() as u64
    }

    /// All uids: each worker may have a successor warming up and a predecessor draining.
    #[must_use]
    pub fn uid_count(&self) -> u64 {
        self.uids_per_worker() * self.worker_slots() as u64
    }

    /// Workers that may exist at once.
    #[must_use]
    pub fn worker_slots(&self) -> usize {
        3 * self.workers
    }

    /// What sandboxes may read beside the interpreter's own directories.
    #[must_use]
    pub fn read_paths(&self) -> Vec<PathBuf> {
        let fixed = READ_PATHS.iter().map(PathBuf::from);
        fixed
            .chain(self.python.read_paths.iter().cloned())
            .collect()
    }

    /// The whole environment of workers and sandboxes: what the original's sudo leaves of one, and
    /// what keeps numeric libraries from starting threads, before which a worker could not fork.
    #[must_use]
    pub fn sandbox_env(&self) -> Vec<(String, String)> {
        let mut env: BTreeMap<String, String> = SANDBOX_ENV
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        env.extend(self.python.env.clone());
        env.into_iter().collect()
    }

    /// The limits of one execution; an unknown context means the defaults.
    #[must_use]
    pub fn limits(&self, context: Option<&str>) -> Limits {
        let limits = self.code_jail_limits(context);
        Limits {
            cpu_s: limits.CPU,
            // Checked to be at most an hour.
            realtime_ms: (limits.REALTIME * 1000.0).ceil() as u64,
            vmem_bytes: limits.VMEM,
            fsize_bytes: limits.FSIZE,
            nproc: limits.NPROC,
        }
    }

    fn code_jail_limits(&self, context: Option<&str>) -> CodeJailLimits {
        let overrides = context.and_then(|context| self.limit_overrides.get(context));
        let overrides = overrides.copied().unwrap_or_default();
        CodeJailLimits {
            CPU: overrides.CPU.unwrap_or(self.limits.CPU),
            REALTIME: overrides.REALTIME.unwrap_or(self.limits.REALTIME),
            VMEM: overrides.VMEM.unwrap_or(self.limits.VMEM),
            FSIZE: overrides.FSIZE.unwrap_or(self.limits.FSIZE),
            NPROC: overrides.NPROC.unwrap_or(self.limits.NPROC),
        }
    }
}

fn within(key: &str, value: u64, bounds: RangeInclusive<u64>) -> Result<(), ConfigError> {
    if bounds.contains(&value) {
        return Ok(());
    }
    let right = format!("must be {} to {}", bounds.start(), bounds.end());
    Err(wrong(key, value, &right))
}

fn wrong(key: &str, value: impl std::fmt::Display, right: &str) -> ConfigError {
    ConfigError::Value {
        key: key.to_owned(),
        value: value.to_string(),
        right: right.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        let config: Config = toml::from_str(text).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        let config = parse("").unwrap();
        assert!(!config.enabled);
        assert_eq!(config.limits(None).realtime_ms, 1000);
        assert_eq!(config.limits(None).nproc, 15);
    }

    #[test]
    fn an_unknown_key_is_named() {
        assert!(parse("wrokers = 2").unwrap_err().contains("wrokers"));
        assert!(
            parse("[layers]\nselinux = \"auto\"")
                .unwrap_err()
                .contains("selinux")
        );
        assert!(parse("[limits]\nRAM = 1").unwrap_err().contains("RAM"));
    }

    #[test]
    fn a_value_out_of_bounds_says_what_would_be_right() {
        let error = parse("workers = 0").unwrap_err();
        assert_eq!(error, "workers = 0: must be 1 to 256");
        assert!(
            parse("[limits]\nREALTIME = -1")
                .unwrap_err()
                .contains("REALTIME")
        );
        assert!(
            parse("[limits]\nREALTIME = nan")
                .unwrap_err()
                .contains("REALTIME")
        );
    }

    #[test]
    fn an_override_replaces_only_what_it_names() {
        let config = parse("[limits]\nCPU = 2\n[limit_overrides.course]\nREALTIME = 0.5").unwrap();
        assert_eq!(config.limits(Some("course")).realtime_ms, 500);
        assert_eq!(config.limits(Some("course")).cpu_s, 2);
        assert_eq!(config.limits(Some("another")).realtime_ms, 1000);
    }
}
