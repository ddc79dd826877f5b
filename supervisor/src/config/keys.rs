//! Every key that a configuration can have: its type, its bounds, how it is written as text.
//!
//! The one list that all sources, `--print-config` and docs/configuration.md are checked against.

use super::model::WORKERS_MAX;
use codejail_protocol::SABOTAGE;
use std::net::SocketAddr;
use std::path::Path;
use toml::Value;

/// One key; a `*` in its name stands for a name of the operator's own.
#[derive(Debug)]
pub struct Key {
    /// As TOML writes it, tables joined by dots.
    pub name: &'static str,
    /// What its value may be.
    pub kind: ValueType,
}

/// What a value may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueType {
    /// Yes or no.
    Boolean,
    /// A whole number, both bounds included.
    Integer(u64, u64),
    /// Seconds up to a bound; fractions are allowed.
    Seconds(f64),
    /// Where to listen.
    Address,
    /// Whom to connect to.
    Endpoint,
    /// Text that says something.
    Name,
    /// Any text.
    Text,
    /// From the root on, since a service's working directory is chance.
    Path,
    /// A whole number of 32 bits, or `random`.
    Seed,
    /// Several names.
    Names,
    /// Several paths.
    Paths,
    /// How much a layer is wanted.
    Mode,
    /// Like `Mode`, but `off` is accepted only in sabotage builds: every host has this layer.
    Always,
}

use ValueType::{Address, Boolean, Endpoint, Integer, Mode, Name, Names, Paths, Seconds, Text};

const HOUR_MS: u64 = 3_600_000;
const GIB: u64 = 1 << 30;
/// Bytes and processes: what the kernel takes for a number that TOML can write.
const KERNEL_MAX: u64 = i64::MAX as u64;
/// PID_MAX_LIMIT of the kernel's include/linux/threads.h.
const PIDS_MAX: u64 = 1 << 22;
/// CPU seconds: 30 years, so that the hard limit of one more is a number too.
const CPU_MAX: u64 = 1_000_000_000;
/// Seconds by the wall clock; a client gives up after four.
const REALTIME_MAX: f64 = 3600.0;

const fn key(name: &'static str, kind: ValueType) -> Key {
    Key { name, kind }
}

/// All of them, in the order in which they are printed: a table's keys are together.
pub const KEYS: &[Key] = &[
    key("bind", Address),
    key("enabled", Boolean),
    key("user", Name),
    key("workers", Integer(1, WORKERS_MAX as u64)),
    // With one descriptor for each in their worker: SANDBOXES_MAX of the protocol.
    key("sandboxes_per_worker", Integer(1, 200)),
    key("max_requests", Integer(0, 1_000_000_000)),
    key("max_requests_jitter", Integer(0, 1_000_000_000)),
    key("queue_length_max", Integer(0, 1 << 20)),
    key("queue_wait_max_ms", Integer(1, HOUR_MS)),
    key("graceful_timeout_ms", Integer(0, HOUR_MS)),
    key("connections_max", Integer(1, 65536)),
    key("head_timeout_ms", Integer(1, HOUR_MS)),
    key("body_timeout_ms", Integer(1, HOUR_MS)),
    key("body_bytes_max", Integer(1024, GIB)),
    key("output_bytes_max", Integer(1024, GIB)),
    key("reply_bytes_max", Integer(1024, GIB)),
    // At least what a run's own files take.
    key("scratch_bytes_max", Integer(1 << 20, KERNEL_MAX)),
    key("scratch_files_max", Integer(16, 1 << 24)),
    key("egress_check", Endpoint),
    key("python.bin", ValueType::Path),
    key("python.preload", Names),
    key("python.read_paths", Paths),
    key("python.huge_pages", Boolean),
    key("python.hash_seed", ValueType::Seed),
    key("python.worker_module", ValueType::Path),
    key("python.env.*", Text),
    key("limits.CPU", Integer(0, CPU_MAX)),
    key("limits.REALTIME", Seconds(REALTIME_MAX)),
    key("limits.VMEM", Integer(0, KERNEL_MAX)),
    key("limits.FSIZE", Integer(0, KERNEL_MAX)),
    key("limits.NPROC", Integer(0, KERNEL_MAX)),
    key("limit_overrides.*.CPU", Integer(0, CPU_MAX)),
    key("limit_overrides.*.REALTIME", Seconds(REALTIME_MAX)),
    key("limit_overrides.*.VMEM", Integer(0, KERNEL_MAX)),
    key("limit_overrides.*.FSIZE", Integer(0, KERNEL_MAX)),
    key("limit_overrides.*.NPROC", Integer(0, KERNEL_MAX)),
    // The last uid is bounded with the number of workers (`Config::check`).
    key("sandbox.uid_base", Integer(1000, u32::MAX as u64)),
    key("sandbox.scratch_dir", ValueType::Path),
    key("cgroup.memory_bytes_max", Integer(0, KERNEL_MAX)),
    key("cgroup.pids_max", Integer(0, PIDS_MAX)),
    // Half a GiB: beyond that memory is better spent on workers.
    key("library_cache.bytes_max", Integer(0, GIB / 2)),
    key("layers.uid", Mode),
    key("layers.namespaces", Mode),
    key("layers.mounts", Mode),
    key("layers.landlock", Mode),
    key("layers.seccomp", ValueType::Always),
    key("layers.rlimits", ValueType::Always),
    key("layers.cgroup", Mode),
    key("layers.apparmor", Mode),
];

/// The key of this path, with its place in the list.
pub fn find(path: &[String]) -> Option<(usize, &'static Key)> {
    let mut keys = KEYS.iter().enumerate();
    keys.find(|(_, key)| key.name.split('.').count() == path.len() && key.begins_with(path))
}

/// Whether keys lie below this path.
pub fn is_table(path: &[String]) -> bool {
    find(path).is_none() && KEYS.iter().any(|key| key.begins_with(path))
}

/// The place of the first key that lies directly in this table.
pub fn first_in(table: &[String]) -> Option<usize> {
    let directly = |key: &Key| key.name.split('.').count() == table.len() + 1;
    KEYS.iter()
        .position(|key| directly(key) && key.begins_with(table))
}

/// What may stand in the table of this path, for whoever wrote something else.
pub fn names_in(table: &[String]) -> String {
    let below = KEYS.iter().filter(|key| key.begins_with(table));
    let mut names: Vec<&str> = below
        .filter_map(|key| key.name.split('.').nth(table.len()))
        .collect();
    names.dedup();
    names.join(", ")
}

impl Key {
    /// Its environment variable; none where names of the operator's own are part of it.
    pub fn variable(&self) -> Option<String> {
        let nested = self.name.to_uppercase().replace('.', "__");
        (!self.name.contains('*')).then(|| format!("CODEJAIL_{nested}"))
    }

    fn begins_with(&self, path: &[String]) -> bool {
        let mut segments = self.name.split('.');
        path.iter().all(|name| {
            segments
                .next()
                .is_some_and(|segment| segment == "*" || segment == name)
        })
    }
}

impl ValueType {
    /// What would be right, after "must be".
    pub fn right(self) -> String {
        match self {
            Boolean => "true or false".to_owned(),
            Integer(least, KERNEL_MAX) => format!("a number from {least} on, below 2^63"),
            Integer(least, most) => format!("a number from {least} to {most}"),
            Seconds(most) => format!("a number of seconds from 0 to {most}"),
            Address => "an address with a port, such as 127.0.0.1:8080 or [::]:8080".to_owned(),
            Endpoint => "a name or an address with a port, such as example.org:443".to_owned(),
            Name => "text, and not empty".to_owned(),
            Text => "text without a zero byte".to_owned(),
            ValueType::Path => "an absolute path".to_owned(),
            ValueType::Seed => format!("a number from 0 to {}, or random", u32::MAX),
            Names => "a list of names".to_owned(),
            Paths => "a list of absolute paths".to_owned(),
            ValueType::Always if !SABOTAGE => "require or auto".to_owned(),
            Mode | ValueType::Always => "require, auto or off".to_owned(),
        }
    }

    /// Whether `value` may be one.
    pub fn admits(self, value: &Value) -> bool {
        match (self, value) {
            (Boolean, Value::Boolean(_)) => true,
            (Integer(least, most), Value::Integer(number)) => {
                u64::try_from(*number).is_ok_and(|number| (least..=most).contains(&number))
            }
            (Seconds(most), Value::Float(number)) => (0.0..=most).contains(number),
            (Seconds(most), Value::Integer(number)) => (0.0..=most).contains(&(*number as f64)),
            (Address, Value::String(text)) => text.parse::<SocketAddr>().is_ok(),
            (Endpoint, Value::String(text)) => is_endpoint(text),
            (Name, Value::String(text)) => !text.is_empty() && !text.contains('\0'),
            (Text, Value::String(text)) => !text.contains('\0'),
            (ValueType::Path, Value::String(text)) => {
                Path::new(text).is_absolute() && !text.contains('\0')
            }
            (ValueType::Seed, Value::Integer(number)) => u32::try_from(*number).is_ok(),
            (ValueType::Seed, Value::String(text)) => text == "random",
            (Names, Value::Array(values)) => values.iter().all(|value| Name.admits(value)),
            (Paths, Value::Array(values)) => {
                values.iter().all(|value| ValueType::Path.admits(value))
            }
            (ValueType::Always, Value::String(text)) if !SABOTAGE => {
                ["require", "auto"].contains(&text.as_str())
            }
            (Mode | ValueType::Always, Value::String(text)) => {
                ["require", "auto", "off"].contains(&text.as_str())
            }
            _ => false,
        }
    }

    /// Reads a variable's or a flag's text; what can't be read stays text, which is then refused.
    pub fn read(self, text: &str) -> Value {
        let as_text = || Value::String(text.to_owned());
        match self {
            Boolean => match text.to_ascii_lowercase().parse() {
                Ok(value) => Value::Boolean(value),
                Err(_) => as_text(),
            },
            Integer(..) | ValueType::Seed => {
                text.parse().map_or_else(|_| as_text(), Value::Integer)
            }
            Seconds(_) => match (text.parse(), text.parse()) {
                (Ok(whole), _) => Value::Integer(whole),
                (_, Ok(number)) => Value::Float(number),
                _ => as_text(),
            },
            Names | Paths => {
                let items = text.split(',').map(str::trim);
                let items = items.filter(|item| !item.is_empty());
                Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
            }
            Address | Endpoint | Name | Text | ValueType::Path | Mode | ValueType::Always => {
                as_text()
            }
        }
    }
}

/// `name:port`, `192.0.2.1:port` or `[2001:db8::1]:port`.
fn is_endpoint(text: &str) -> bool {
    let named = |(host, port): (&str, &str)| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        !host.is_empty()
            && host.bytes().all(plain)
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    text.rsplit_once(':').is_some_and(named)
        || text
            .parse::<SocketAddr>()
            .is_ok_and(|address| address.port() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> Vec<String> {
        name.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn keys_are_found_by_their_path() {
        assert_eq!(find(&path("limits.CPU")).unwrap().1.name, "limits.CPU");
        let context = ["limit_overrides", "course.with.dots", "CPU"].map(str::to_owned);
        assert_eq!(find(&context).unwrap().1.name, "limit_overrides.*.CPU");
        assert!(find(&path("limits")).is_none());
        assert!(find(&path("limits.CPU.x")).is_none());
        assert!(is_table(&path("limits")) && is_table(&context[..2]) && is_table(&[]));
        assert!(!is_table(&path("limits.CPU")) && !is_table(&path("limit")));
        assert_eq!(names_in(&path("cgroup")), "memory_bytes_max, pids_max");
    }

    #[test]
    fn variables_are_named_after_their_keys() {
        let variable = |name| find(&path(name)).unwrap().1.variable();
        assert_eq!(variable("workers").unwrap(), "CODEJAIL_WORKERS");
        assert_eq!(variable("limits.CPU").unwrap(), "CODEJAIL_LIMITS__CPU");
        assert_eq!(variable("python.env.HOME"), None);
    }

    #[test]
    fn a_seed_is_a_number_or_random() {
        let seed = ValueType::Seed;
        assert_eq!(seed.read("7"), Value::Integer(7));
        for right in ["0", "4294967295", "random"] {
            assert!(seed.admits(&seed.read(right)), "{right}");
        }
        for wrong in ["-1", "4294967296", "Random", "", "0.5"] {
            assert!(!seed.admits(&seed.read(wrong)), "{wrong}");
        }
    }

    #[test]
    fn text_is_read_by_kind() {
        assert_eq!(Boolean.read("True"), Value::Boolean(true));
        assert_eq!(Integer(0, 9).read("4"), Value::Integer(4));
        assert!(!Integer(0, 9).admits(&Integer(0, 9).read("four")));
        assert_eq!(Seconds(9.0).read("0.5"), Value::Float(0.5));
        assert!(!Seconds(9.0).admits(&Seconds(9.0).read("nan")));
        let list = |items: &[&str]| Value::from(items.to_vec());
        assert_eq!(Names.read(" numpy, scipy,"), list(&["numpy", "scipy"]));
        assert_eq!(Names.read(""), list(&[]));
    }
}
