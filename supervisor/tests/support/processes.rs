//! Processes as `/proc` shows them, so that a test can find those of its service and no others.

use std::fs;
use std::time::{Duration, Instant};

/// A process that was there when it was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    pub uid: u32,
    /// In clock ticks since boot: with the pid, its identity.
    started: u64,
    zombie: bool,
    pub command: String,
}

/// All processes of this machine.
pub fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(find).collect()
}

/// The direct children of `parent` that live.
pub fn children(parent: i32) -> Vec<Process> {
    let is_child = |process: &Process| process.parent == parent && !process.zombie;
    all().into_iter().filter(is_child).collect()
}

/// `root` and all below it.
pub fn family(root: i32) -> Vec<Process> {
    let all = all();
    let mut family: Vec<Process> = find(root).into_iter().collect();
    let mut next = 0;
    while next < family.len() {
        let parent = family[next].pid;
        family.extend(
            all.iter()
                .filter(|process| process.parent == parent)
                .cloned(),
        );
        next += 1;
    }
    family
}

impl Process {
    /// Still the same process, and more than an exit status that nobody has fetched.
    pub fn lives(&self) -> bool {
        find(self.pid).is_some_and(|now| now.started == self.started && !now.zombie)
    }

    /// Descriptors that it has open; none where the kernel doesn't tell (another user's, or a
    /// process that is not dumpable).
    pub fn descriptors(&self) -> Option<usize> {
        let entries = fs::read_dir(format!("/proc/{}/fd", self.pid)).ok()?;
        Some(entries.count())
    }
}

/// Field numbers are those of proc(5), less the two before the command's closing parenthesis.
fn find(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    Some(Process {
        pid,
        parent: fields.get(1)?.parse().ok()?,
        uid: uids.split_whitespace().next()?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
        zombie: matches!(*fields.first()?, "Z" | "X"),
        command: String::from_utf8_lossy(&arguments).replace('\0', " "),
    })
}

/// Looks again and again until there is something to see, or panics with what was waited for.
pub fn wait_for<T>(what: &str, longest: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + longest;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {longest:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
