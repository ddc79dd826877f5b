//! What processes used, from `/proc`: CPU, page faults, memory.
//!
//! A process that ended and was waited for has left its figures with its parent, so the sum over all
//! that live, their own and their children's, holds everything that a service ever used.

use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};

/// Since boot kernels have told user space 100 ticks a second, whatever theirs are (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// Between two readings that must be equal: some ticks, and longer than it takes to prepare a sandbox.
const SETTLED_AFTER: Duration = Duration::from_millis(100);

/// A service that is not asked anything gets quiet sooner, also on a loaded machine.
const SETTLE_MAX: Duration = Duration::from_secs(60);

/// What was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time, in steps of 10 ms.
    pub cpu: Duration,
    /// Page faults that needed no disk.
    pub faults: u64,
}

impl Usage {
    /// What came on top since an earlier reading, per execution.
    pub fn per_execution_since(self, before: Self, executions: usize) -> (Duration, f64) {
        let faults = (self.faults - before.faults) as f64 / executions as f64;
        let executions_u32 = u32::try_from(executions).unwrap_or(u32::MAX);
        ((self.cpu - before.cpu) / executions_u32, faults)
    }
}

struct Stat {
    parent: u32,
    own: Usage,
    children: Usage,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let fields: Vec<u64> = (text.rsplit_once(')')?.1.split_whitespace().skip(1))
        .map(|field| field.parse().unwrap_or(0))
        .collect();
    let ticks = |user: usize, system: usize| {
        TICK * u32::try_from(fields[user] + fields[system]).unwrap_or(u32::MAX)
    };
    Some(Stat {
        parent: u32::try_from(fields[0]).ok()?,
        own: Usage {
            cpu: ticks(10, 11),
            faults: fields[6],
        },
        children: Usage {
            cpu: ticks(12, 13),
            faults: fields[7],
        },
    })
}

/// A process and all below it.
pub fn tree(root: u32) -> Result<Vec<u32>> {
    let pids = std::fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let parents: Vec<(u32, u32)> = pids
        .filter_map(|pid: u32| Some((pid, stat(pid)?.parent)))
        .collect();
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(&parent) = tree.get(next) {
        tree.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    Ok(tree)
}

/// What a service used so far, all its processes, once it has gone quiet.
pub fn settled_usage(root: u32) -> Result<Usage> {
    let deadline = Instant::now() + SETTLE_MAX;
    let mut last = usage(root)?;
    loop {
        std::thread::sleep(SETTLED_AFTER);
        let now = usage(root)?;
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

/// What a process and all below it used so far.
pub fn usage(root: u32) -> Result<Usage> {
    let mut sum = Usage::default();
    for stat in tree(root)?.into_iter().filter_map(stat) {
        for part in [stat.own, stat.children] {
            sum.cpu += part.cpu;
            sum.faults += part.faults;
        }
    }
    Ok(sum)
}

/// What the children of this process used that have ended.
pub fn ended_children() -> Result<Usage> {
    Ok(stat(std::process::id())
        .context("/proc/self/stat")?
        .children)
}

/// The proportional set size of all these processes: pages that they share count once.
pub fn pss_bytes(pids: &[u32]) -> Result<u64> {
    let mut sum = 0;
    for pid in pids {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kilobytes = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
        sum += 1024 * kilobytes.with_context(|| path)?.trim().parse::<u64>()?;
    }
    Ok(sum)
}

/// Processor, kernel and day, without which figures mean nothing.
pub fn machine(python: &std::path::Path) -> Result<crate::results::Machine> {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo")?;
    let models: Vec<&str> = cpuinfo
        .lines()
        .filter_map(|line| line.strip_prefix("model name"))
        .map(|rest| rest.trim_start_matches([' ', '\t', ':']))
        .collect();
    let said = |command: &mut std::process::Command| -> Result<String> {
        Ok(String::from_utf8(command.output()?.stdout)?
            .trim()
            .to_owned())
    };
    Ok(crate::results::Machine {
        processor: (*models.first().unwrap_or(&"unknown processor")).to_owned(),
        cores: std::thread::available_parallelism()?.get(),
        kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease")?
            .trim()
            .to_owned(),
        python: said(std::process::Command::new(python).arg("-V"))?,
        date: said(std::process::Command::new("date").arg("+%F"))?,
        load_average: std::fs::read_to_string("/proc/loadavg")?
            .split(' ')
            .next()
            .and_then(|load| load.parse().ok())
            .context("/proc/loadavg")?,
    })
}
