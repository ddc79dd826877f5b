//! Processes as `/proc` shows them: which ones belong to a service, and what they use.
//!
//! The figures of a process that ended and was waited for are added to its parent's. So the sum
//! over all living processes, with the figures of their children, is everything that the service
//! ever used.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::time::{Duration, Instant};

/// The kernel shows user space 100 ticks a second, whatever its own rate is (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// Time between two readings that must be equal: some ticks, and longer than the preparation of a
/// sandbox.
const SETTLED_AFTER: Duration = Duration::from_millis(100);

/// A service that is not asked anything gets quiet sooner, also on a loaded machine.
const SETTLE_MAX: Duration = Duration::from_secs(60);

/// A process that was there when it was looked for.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its number on the host.
    pub pid: i32,
    /// Its parent's number.
    pub parent: i32,
    /// Its real user.
    pub uid: u32,
    /// Its arguments, with spaces between them.
    pub command: String,
    stat: Stat,
}

/// What `/proc/PID/stat` says.
#[derive(Debug, Clone, Copy)]
struct Stat {
    parent: i32,
    zombie: bool,
    /// In clock ticks since boot: with the pid, the process's identity.
    started: u64,
    own: Usage,
    children: Usage,
}

/// What processes have used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time, in steps of 10 ms.
    pub cpu: Duration,
    /// Page faults that needed no disk.
    pub faults: u64,
}

impl PartialEq for Process {
    fn eq(&self, other: &Self) -> bool {
        (self.pid, self.stat.started) == (other.pid, other.stat.started)
    }
}

impl Process {
    /// Whether it is still the same process, and more than an exit status that nobody has fetched.
    #[must_use]
    pub fn lives(&self) -> bool {
        stat(self.pid).is_some_and(|now| now.started == self.stat.started && !now.zombie)
    }

    /// How many descriptors it has open; none where the kernel doesn't tell (another user's, or a
    /// process that is not dumpable).
    #[must_use]
    pub fn descriptors(&self) -> Option<usize> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.pid)).ok()?;
        Some(entries.count())
    }
}

impl Usage {
    /// What came on top since an earlier reading, per execution.
    #[must_use]
    pub fn per_execution_since(self, before: Self, executions: usize) -> (Duration, f64) {
        let faults = (self.faults - before.faults) as f64 / executions as f64;
        let executions = u32::try_from(executions).unwrap_or(u32::MAX);
        ((self.cpu - before.cpu) / executions, faults)
    }
}

/// All processes of this machine.
#[must_use]
pub fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(find).collect()
}

/// The direct children of `parent` that live.
#[must_use]
pub fn children(parent: i32) -> Vec<Process> {
    let is_child = |process: &Process| process.parent == parent && !process.stat.zombie;
    all().into_iter().filter(is_child).collect()
}

/// `root` and all below it.
#[must_use]
pub fn family(root: i32) -> Vec<Process> {
    let all = all();
    let mut family: Vec<Process> = find(root).into_iter().collect();
    let mut next = 0;
    while next < family.len() {
        let parent = family[next].pid;
        let children = all.iter().filter(|process| process.parent == parent);
        family.extend(children.cloned());
        next += 1;
    }
    family
}

fn find(pid: i32) -> Option<Process> {
    let stat = stat(pid)?;
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    Some(Process {
        pid,
        parent: stat.parent,
        uid: status_number(pid, "Uid:")?.try_into().ok()?,
        command: String::from_utf8_lossy(&arguments).replace('\0', " "),
        stat,
    })
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything. Numbers are those of proc_pid_stat(5), less three.
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split_whitespace().collect();
    let number = |index: usize| -> Option<u64> { fields.get(index)?.parse().ok() };
    let used = |faults: usize, user: usize| -> Option<Usage> {
        let ticks = number(user)? + number(user + 1)?;
        Some(Usage {
            cpu: TICK * u32::try_from(ticks).ok()?,
            faults: number(faults)?,
        })
    };
    Some(Stat {
        parent: i32::try_from(number(1)?).ok()?,
        zombie: matches!(*fields.first()?, "Z" | "X"),
        started: number(19)?,
        own: used(7, 11)?,
        children: used(8, 13)?,
    })
}

/// The first number of a field of `/proc/PID/status` (`"VmRSS:"`); none if the process is gone.
#[must_use]
pub fn status_number(pid: i32, field: &str) -> Option<u64> {
    let text = status_field(pid, field)?;
    text.split_whitespace().next()?.parse().ok()
}

/// A field of `/proc/PID/status` (`"CapBnd:"`); none if the process is gone.
#[must_use]
pub fn status_field(pid: i32, field: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(field))?;
    Some(value.trim().to_owned())
}

/// What all processes of a service have used so far, once the service is quiet.
///
/// # Errors
/// The service does not get quiet.
pub fn settled_usage(root: i32) -> Result<Usage> {
    let deadline = Instant::now() + SETTLE_MAX;
    let mut last = usage(root);
    loop {
        std::thread::sleep(SETTLED_AFTER);
        let now = usage(root);
        if now == last {
            return Ok(now);
        }
        ensure!(
            Instant::now() < deadline,
            "process {root} does not go quiet"
        );
        last = now;
    }
}

/// What a process and all processes below it have used so far.
#[must_use]
pub fn usage(root: i32) -> Usage {
    let mut sum = Usage::default();
    for process in family(root) {
        for part in [process.stat.own, process.stat.children] {
            sum.cpu += part.cpu;
            sum.faults += part.faults;
        }
    }
    sum
}

/// What those children of this process have used that have ended.
///
/// # Errors
/// `/proc` does not tell.
pub fn ended_children() -> Result<Usage> {
    let own = i32::try_from(std::process::id())?;
    Ok(stat(own).context("/proc/self/stat")?.children)
}

/// The proportional set size of all these processes: a page that they share counts once.
///
/// # Errors
/// One of them is gone, or the kernel doesn't tell.
pub fn pss_bytes(pids: impl IntoIterator<Item = i32>) -> Result<u64> {
    let mut sum = 0;
    for pid in pids {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = fs::read_to_string(&path).with_context(|| path.clone())?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kilobytes = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
        sum += 1024 * kilobytes.with_context(|| path)?.trim().parse::<u64>()?;
    }
    Ok(sum)
}
