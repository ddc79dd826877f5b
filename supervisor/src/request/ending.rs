//! How an execution ended, for operators: a word from a list, the limit that the run reached, and a
//! sentence.
//!
//! Standard error of a run is the author's own claim. Here it can at most change the limit that is
//! named for that very run.

use crate::config::LimitOverrides;
use crate::execution::Outcome;
use crate::metrics::labels::{End, Limit};
use codejail_protocol::job::Limits;
use memchr::memmem;
use nix::libc::{SIGKILL, SIGXCPU};
use nix::sys::signal::Signal;
use std::borrow::Cow;
use std::time::Duration;

/// How many bytes at the beginning of standard error are searched for a traceback, and how many at
/// its end for the last line.
const LOOKED_AT_BYTES: usize = 16 * 1024;

/// The bounds of a run.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Its limits.
    pub limits: Limits,
    /// The limits that come from the run's context.
    pub overrides: LimitOverrides,
    /// Longest result.
    pub reply_bytes_max: usize,
}

/// What is known of a run at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Exit status, or minus a signal's number; none if nothing is known.
    pub status: Option<i32>,
    /// How long it ran.
    pub elapsed: Duration,
    /// Bytes of standard output that were kept, and whether there were more.
    pub stdout: (usize, bool),
    /// The same of standard error.
    pub stderr: (usize, bool),
    /// The limit that its last line is about.
    pub complaint: Option<Limit>,
    /// Whether an exception ended it.
    pub traceback: bool,
    /// Why the service is to blame, if it is.
    pub fault: Option<String>,
}

impl Facts {
    /// The facts of an outcome, before it becomes an answer.
    #[must_use]
    pub fn of(outcome: &Outcome, elapsed: Duration) -> Self {
        let mut facts = Self::unknown(elapsed);
        match outcome {
            Outcome::Ended {
                status,
                stdout,
                stderr,
                ..
            } => {
                facts.status = Some(*status);
                facts.stdout = (stdout.bytes.len(), stdout.cut);
                facts.stderr = (stderr.bytes.len(), stderr.cut);
                if *status == 1 {
                    let beginning = &stderr.bytes[..stderr.bytes.len().min(LOOKED_AT_BYTES)];
                    facts.traceback = memmem::find(beginning, b"Traceback (most recent").is_some();
                    facts.complaint = complaint(&stderr.bytes);
                }
            }
            Outcome::Lost(why) | Outcome::Unprepared(why) => facts.fault = Some(why.clone()),
            Outcome::Unloadable(_) => {}
        }
        facts
    }

    /// Facts of which only the duration is known.
    #[must_use]
    pub fn unknown(elapsed: Duration) -> Self {
        Self {
            status: None,
            elapsed,
            stdout: (0, false),
            stderr: (0, false),
            complaint: None,
            traceback: false,
            fault: None,
        }
    }
}

/// The limit that the last line of standard error is about.
fn complaint(stderr: &[u8]) -> Option<Limit> {
    let end = &stderr[stderr.len().saturating_sub(LOOKED_AT_BYTES)..];
    let end = end.trim_ascii_end();
    let start = memchr::memrchr(b'\n', end).map_or(0, |at| at + 1);
    let has = |part: &[u8]| memmem::find(&end[start..], part).is_some();
    if end[start..].starts_with(b"MemoryError") || has(b"failed to map segment") {
        Some(Limit::Vmem)
    } else if has(b"[Errno 27]") {
        Some(Limit::Fsize)
    } else if has(b"[Errno 28]") {
        Some(Limit::Scratch)
    } else if has(b"can't start new thread") {
        Some(Limit::Nproc)
    } else {
        None
    }
}

/// How an execution ended, and the limit that it reached. `cpu` is the CPU time that it used, if
/// known.
#[must_use]
pub fn classify(
    facts: &Facts,
    succeeded: bool,
    bounds: &Bounds,
    cpu: Option<Duration>,
) -> (End, Option<Limit>) {
    let limits = &bounds.limits;
    let Some(status) = facts.status.filter(|_| facts.fault.is_none()) else {
        return (End::Fault, None);
    };
    match status {
        0 if succeeded => (End::Success, None),
        0 if facts.stdout.1 => (End::Output, Some(Limit::Reply)),
        0 if facts.stdout.0 > 0 => (End::Output, None),
        1 if facts.complaint == Some(Limit::Vmem) && limits.vmem_bytes > 0 => {
            (End::Memory, Some(Limit::Vmem))
        }
        1 if facts.traceback => (End::Exception, facts.complaint),
        0.. => (End::Exit, None),
        _ if status == -SIGXCPU => (End::Cpu, Some(Limit::Cpu)),
        _ if status == -SIGKILL && is_over(facts.elapsed, limits) => {
            (End::Wall, Some(Limit::Realtime))
        }
        // Code that goes on after SIGXCPU is killed a second later.
        _ if status == -SIGKILL && limits.cpu_s > 0 && cpu >= Some(cpu_max(limits)) => {
            (End::Cpu, Some(Limit::Cpu))
        }
        _ => (End::Killed, None),
    }
}

fn is_over(elapsed: Duration, limits: &Limits) -> bool {
    limits.realtime_ms > 0 && elapsed >= Duration::from_millis(limits.realtime_ms)
}

fn cpu_max(limits: &Limits) -> Duration {
    Duration::from_secs(limits.cpu_s)
}

/// The sentence of an execution's line in the log. `context` must not look like another field.
#[must_use]
pub fn words(
    (end, limit): (End, Option<Limit>),
    facts: &Facts,
    bounds: &Bounds,
    context: Option<&str>,
) -> Cow<'static, str> {
    if end == End::Success {
        return Cow::Borrowed("executed: succeeded");
    }
    let limit = limit.map(|limit| limit_words(limit, bounds, context));
    let why = match (end, limit, facts.status) {
        (_, Some(limit), _) => limit,
        (End::Exception, ..) => "an exception that the code did not catch".to_owned(),
        (End::Exit, _, Some(0)) => "it left without a result".to_owned(),
        (End::Exit, _, Some(status)) => format!("it left with status {status}"),
        (End::Output, ..) => "standard output holds something else than a result".to_owned(),
        (End::Killed, _, Some(status)) => signal(-status),
        (End::Killed, ..) => "its client hung up".to_owned(),
        (..) => facts
            .fault
            .clone()
            .unwrap_or_else(|| "nothing is known of its end".to_owned()),
    };
    let what = match end {
        End::Cpu | End::Wall | End::Killed => "killed",
        End::Fault => "fault of the service",
        _ => "failed",
    };
    Cow::Owned(format!("{what}: {why}"))
}

fn signal(number: i32) -> String {
    let name = Signal::try_from(number).map_or("unknown", Signal::as_str);
    let hint = match number {
        SIGKILL => ", as the kernel sends it when memory is short",
        _ => "",
    };
    format!("signal {number} ({name}){hint}")
}

fn limit_words(limit: Limit, bounds: &Bounds, context: Option<&str>) -> String {
    let (limits, overrides) = (&bounds.limits, &bounds.overrides);
    let (value, overridden) = match limit {
        Limit::Cpu => (format!("{} s", limits.cpu_s), overrides.CPU.is_some()),
        Limit::Realtime => {
            let seconds = limits.realtime_ms as f64 / 1000.0;
            (format!("{seconds} s"), overrides.REALTIME.is_some())
        }
        Limit::Vmem => (bytes(limits.vmem_bytes), overrides.VMEM.is_some()),
        Limit::Fsize => (bytes(limits.fsize_bytes), overrides.FSIZE.is_some()),
        Limit::Nproc => (
            format!("{} threads", limits.nproc),
            overrides.NPROC.is_some(),
        ),
        Limit::Scratch => return "scratch_bytes_max or scratch_files_max".to_owned(),
        Limit::Reply => {
            return format!(
                "result longer than reply_bytes_max = {}",
                bounds.reply_bytes_max
            );
        }
    };
    match context.filter(|_| overridden) {
        Some(context) => format!("{} limit of {value}, context {context}", limit.name()),
        None => format!("{} limit of {value}", limit.name()),
    }
}

fn bytes(count: u64) -> String {
    const MIB: u64 = 1 << 20;
    if count > 0 && count.is_multiple_of(MIB) {
        format!("{} MiB", count / MIB)
    } else {
        format!("{count} bytes")
    }
}
