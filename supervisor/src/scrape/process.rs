//! The supervisor's own process, with the metric names of Prometheus' client libraries. Values that
//! the kernel does not give are left out.

use super::exposition::Exposition;
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeVal;
use nix::unistd::{SysconfVar, sysconf};
use std::fs;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// The time of the first look. The service looks when it starts.
static STARTED: LazyLock<SystemTime> = LazyLock::new(SystemTime::now);

/// Remembers that the process has just started.
pub fn begin() {
    LazyLock::force(&STARTED);
}

/// Adds all values that are known.
pub fn add(page: &mut Exposition) {
    if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
        let cpu = seconds(usage.user_time()) + seconds(usage.system_time());
        page.add("process_cpu_seconds_total", cpu);
    }
    if let Some([virtual_bytes, resident_bytes]) = memory() {
        page.add("process_resident_memory_bytes", resident_bytes);
        page.add("process_virtual_memory_bytes", virtual_bytes);
    }
    if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
        // While the directory is read, it is open itself.
        let open = descriptors.count().saturating_sub(1);
        page.add("process_open_fds", open as f64);
    }
    if let Ok((most, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
        page.add("process_max_fds", most as f64);
    }
    let started = STARTED.duration_since(UNIX_EPOCH).unwrap_or_default();
    page.add("process_start_time_seconds", started.as_secs_f64());
}

fn seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}

/// Address space and resident memory, proc_pid_statm(5).
fn memory() -> Option<[f64; 2]> {
    let page_bytes = sysconf(SysconfVar::PAGE_SIZE).ok()?? as f64;
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = text.split(' ').map(|field| field.parse::<f64>().ok());
    Some([pages.next()?? * page_bytes, pages.next()?? * page_bytes])
}
