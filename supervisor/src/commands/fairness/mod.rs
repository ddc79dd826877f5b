//! "Is this host fair?": the properties of a host that make the times of executions unsteady, or
//! executions unsafe, and that only the host's operator can change. They are read from the kernel's
//! files. Files that a container or a virtual machine does not have are left out.

use std::fs;
use std::path::Path;

/// Most processors that are looked at: the kernel's own bound for x86_64 (NR_CPUS).
const PROCESSORS_MAX: usize = 8192;

/// The result of one look.
#[derive(Debug, PartialEq, Eq)]
pub enum Finding {
    /// The property is as it should be.
    Fair {
        /// The property.
        what: &'static str,
        /// Its value.
        is: String,
    },
    /// The property is not as it should be.
    Unfair {
        /// The value, and its effect.
        why: String,
        /// What to do about it.
        remedy: String,
    },
}

use Finding::{Fair, Unfair};

/// All findings of this host, whose files are below `root`.
pub fn findings(root: &Path) -> Vec<Finding> {
    [
        huge_pages(root),
        governor(root),
        swap(root),
        overcommit(root),
        layout(root),
        clock(root),
    ]
    .into_iter()
    .flatten()
    .chain(vulnerabilities(root))
    .collect()
}

fn read(root: &Path, file: &str) -> Option<String> {
    let text = fs::read_to_string(root.join(file)).ok()?;
    Some(text.trim().to_owned())
}

fn fair(what: &'static str, is: impl Into<String>) -> Option<Finding> {
    let is = is.into();
    Some(Fair { what, is })
}

fn unfair(why: impl Into<String>, remedy: impl Into<String>) -> Option<Finding> {
    let (why, remedy) = (why.into(), remedy.into());
    Some(Unfair { why, remedy })
}

/// The word in brackets: of several words, the kernel marks the chosen one.
fn chosen(text: &str) -> Option<&str> {
    Some(text.split_once('[')?.1.split_once(']')?.0)
}

/// Documentation/admin-guide/mm/transhuge.rst.
fn huge_pages(root: &Path) -> Option<Finding> {
    let directory = "sys/kernel/mm/transparent_hugepage";
    let enabled = read(root, &format!("{directory}/enabled"))?;
    let defrag = read(root, &format!("{directory}/defrag")).unwrap_or_default();
    match (chosen(&enabled)?, chosen(&defrag)) {
        ("always", Some("always")) => unfair(
            "transparent huge pages are \"always\", and the kernel defragments memory at once: \
             each page fault of a run may have to wait for that",
            format!("echo madvise > /{directory}/defrag"),
        ),
        ("always", _) => unfair(
            "transparent huge pages are \"always\": for one byte the kernel may give a run 2 MiB, \
             and zeros them first, so equal runs differ in time and memory",
            format!("echo madvise > /{directory}/enabled; this is enough for python.huge_pages"),
        ),
        (mode, _) => fair("huge pages", mode),
    }
}

/// Documentation/admin-guide/pm/cpufreq.rst.
fn governor(root: &Path) -> Option<Finding> {
    let of = |number| {
        let file = format!("sys/devices/system/cpu/cpu{number}/cpufreq/scaling_governor");
        read(root, &file)
    };
    let mut all: Vec<String> = (0..PROCESSORS_MAX).map_while(of).collect();
    all.sort();
    all.dedup();
    match all.as_slice() {
        [] => None,
        [only] if only == "performance" => fair("frequency", only),
        some => unfair(
            format!(
                "the governor of the processors' frequency is {}: a run after a pause is slower \
                 than a run under load",
                some.join(" and ")
            ),
            "cpupower frequency-set -g performance",
        ),
    }
}

/// The first line of the file is a heading.
fn swap(root: &Path) -> Option<Finding> {
    match read(root, "proc/swaps")?.lines().count() {
        0 | 1 => fair("swap", "none"),
        _ => unfair(
            "this host has swap: if a worker's memory is swapped out, its next runs wait for the \
             disk, and memory of runs is written to the disk",
            "MemorySwapMax=0 in the unit, or swapoff -a",
        ),
    }
}

/// Documentation/mm/overcommit-accounting.rst.
fn overcommit(root: &Path) -> Option<Finding> {
    match read(root, "proc/sys/vm/overcommit_memory")?.as_str() {
        "2" => unfair(
            "vm.overcommit_memory is 2: each sandbox counts as a whole copy of its worker, and \
             the kernel refuses forks long before memory is short",
            "sysctl vm.overcommit_memory=0",
        ),
        mode => fair("overcommit", mode),
    }
}

/// Documentation/admin-guide/sysctl/kernel.rst.
fn layout(root: &Path) -> Option<Finding> {
    match read(root, "proc/sys/kernel/randomize_va_space")?.as_str() {
        "2" => fair("addresses", "random"),
        mode => unfair(
            format!(
                "kernel.randomize_va_space is {mode}: a hole in a library is easier to use, \
                 because its addresses are known"
            ),
            "sysctl kernel.randomize_va_space=2",
        ),
    }
}

/// Clocks that are read without a system call.
const QUICK_CLOCKS: [&str; 5] = [
    "tsc",
    "kvm-clock",
    "hyperv_clocksource_tsc_page",
    "xen",
    "arch_sys_counter",
];

fn clock(root: &Path) -> Option<Finding> {
    let directory = "sys/devices/system/clocksource/clocksource0";
    let current = read(root, &format!("{directory}/current_clocksource"))?;
    if QUICK_CLOCKS.contains(&current.as_str()) {
        return fair("clock", current);
    }
    let available = read(root, &format!("{directory}/available_clocksource")).unwrap_or_default();
    let mut quick = available
        .split(' ')
        .filter(|name| QUICK_CLOCKS.contains(name));
    let remedy = match quick.next() {
        Some(name) => format!("echo {name} > /{directory}/current_clocksource"),
        None => "use another machine or another hypervisor: this one has no quick clock".to_owned(),
    };
    unfair(
        format!("the clock is {current}: to read the time takes a microsecond or more"),
        remedy,
    )
}

/// Documentation/admin-guide/hw-vuln. Code of strangers runs here, beside data that it must not
/// learn.
fn vulnerabilities(root: &Path) -> Vec<Finding> {
    let directory = root.join("sys/devices/system/cpu/vulnerabilities");
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut open = Vec::new();
    let mut by_threads = Vec::new();
    let mut dear = Vec::new();
    for entry in entries {
        let Ok(state) = fs::read_to_string(entry.path()) else {
            continue;
        };
        let name = entry.file_name().to_string_lossy().into_owned();
        if state.starts_with("Vulnerable") {
            open.push(name);
        } else if state.contains("SMT vulnerable") || state.contains("SMT Host state unknown") {
            by_threads.push(name);
        } else if let Some(cost) = ["PTI", "; IBRS", ": IBRS"]
            .iter()
            .find(|word| state.contains(**word))
        {
            let cost = cost.trim_start_matches([';', ':', ' ']);
            dear.push(format!("{name} ({cost})"));
        }
    }
    let listed = |names: &mut Vec<String>| {
        names.sort();
        names.join(", ")
    };
    let mut found = Vec::new();
    if !open.is_empty() {
        found.extend(unfair(
            format!(
                "the kernel does not protect against faults of the processor ({}): a run may read \
                 memory of others",
                listed(&mut open)
            ),
            "remove mitigations=off from the kernel's command line; install the newest microcode \
             of the processor",
        ));
    }
    if !by_threads.is_empty() {
        found.extend(unfair(
            format!(
                "two threads of one core can learn data of each other ({}), and two runs may be \
                 on one core",
                listed(&mut by_threads)
            ),
            "mitigations=auto,nosmt on the kernel's command line",
        ));
    }
    if !dear.is_empty() {
        found.extend(unfair(
            format!(
                "the protection against faults of the processor makes each system call slow: {}",
                listed(&mut dear)
            ),
            "a newer processor; leave the protection on, because code of strangers runs here",
        ));
    }
    found
}

#[cfg(test)]
mod tests;
