//! What sandboxes get: limits, an environment, paths to read.

use super::model::{CodeJailLimits, Config};
use codejail_protocol::job::Limits;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Shared libraries, time zones, and the devices that programs expect.
const READ_PATHS: &[&str] = &[
    "/usr/lib",
    "/lib",
    "/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/usr/share/zoneinfo",
    "/etc/localtime",
    "/dev/null",
    "/dev/urandom",
    "/dev/zero",
];

/// There is no locale, as behind the original's sudo. Python then takes C.UTF-8, and UTF-8 for all
/// text.
const SANDBOX_ENV: &[(&str, &str)] = &[
    ("HOME", "/nonexistent"),
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

impl Config {
    /// What sandboxes may read beside the interpreter's own directories.
    #[must_use]
    pub fn read_paths(&self) -> Vec<PathBuf> {
        let fixed = READ_PATHS.iter().map(PathBuf::from);
        fixed
            .chain(self.python.read_paths.iter().cloned())
            .collect()
    }

    /// The whole environment of workers and sandboxes: the variables that the original's sudo
    /// leaves, and variables that keep numeric libraries from starting threads. A worker with
    /// threads could not fork.
    #[must_use]
    pub fn sandbox_env(&self) -> Vec<(String, String)> {
        let mut env: BTreeMap<String, String> = SANDBOX_ENV
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        env.extend(self.python.env.clone());
        env.into_iter().collect()
    }

    /// The limits of one execution. A context that is not known has the default limits.
    #[must_use]
    pub fn limits(&self, context: Option<&str>) -> Limits {
        let limits = self.code_jail_limits(context);
        Limits {
            cpu_s: limits.CPU,
            // The value was checked: it is at most an hour.
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
