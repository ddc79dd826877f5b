//! Whether the memory of runs is bounded on this host, and whether the bound is small enough.

use crate::config::Config;

/// A warning for the operator, if there is a reason. `unbounded` says why no cgroup bounds a
/// worker, if none does.
#[must_use]
pub fn note(config: &Config, workers: usize, unbounded: Option<&str>) -> Option<String> {
    let bytes = config.cgroup.memory_bytes_max;
    // The limit of one process; a run is one process.
    let anything = match config.limits.VMEM {
        0 => "; with limits.VMEM = 0 one execution may take all memory of this host",
        _ => "",
    };
    match unbounded {
        Some(why) if bytes != 0 => Some(format!(
            "cgroup.memory_bytes_max = {bytes} has no effect here ({why}){anything}"
        )),
        None if bytes != 0 => more_than_there_is(bytes, workers, total()?),
        _ if anything.is_empty() => None,
        _ => Some(format!("cgroup.memory_bytes_max = 0{anything}")),
    }
}

fn more_than_there_is(bytes: u64, workers: usize, total: u64) -> Option<String> {
    let all = bytes.saturating_mul(workers as u64);
    (all > total).then(|| {
        format!(
            "cgroup.memory_bytes_max = {bytes} for each of {workers} workers is more than the {total} \
             bytes of memory that this host has"
        )
    })
}

/// The host's memory in bytes, from proc(5).
fn total() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_that_does_not_hold_is_named() {
        let mut config = Config::default();
        let said = |config: &Config, unbounded| note(config, 2, unbounded).unwrap_or_default();
        let none = said(&config, Some("no controllers"));
        assert!(
            none.contains(
                "memory_bytes_max = 2147483648 has no effect here (no controllers); with"
            )
        );
        config.limits.VMEM = 1;
        assert!(said(&config, Some("no controllers")).ends_with("(no controllers)"));
        config.cgroup.memory_bytes_max = 0;
        assert_eq!(said(&config, None), "");
        config.limits.VMEM = 0;
        assert!(said(&config, None).contains("memory_bytes_max = 0; with limits.VMEM = 0 one"));
        assert!(said(&config, Some("no controllers")).contains("memory_bytes_max = 0; with"));
        assert_eq!(more_than_there_is(5, 2, 10), None);
        assert!(more_than_there_is(5, 3, 10).is_some());
        assert!(total().is_some_and(|total| total > 1 << 20));
    }
}
