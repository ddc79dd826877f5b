//! The one loop that takes a sandbox, runs a job in it, and tries another sandbox if the first
//! fails. The job is a request's, a safety check's or a library's compilation.

use super::{CaptureBounds, Job, Outcome, run};
use crate::metrics;
use crate::pool::ReadySandbox;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How many sandboxes a job is offered to. A single failure can be bad luck (a tmp cleaner removed
/// its directory, its worker died). Five in a row are not.
pub const SANDBOXES_MAX: usize = 5;

/// The result of a job.
#[derive(Debug)]
pub enum Attempt {
    /// A sandbox took the job: how the run ended, and how long it took.
    Ran(Outcome, Duration),
    /// The deadline passed before a sandbox took it.
    TooLate,
    /// Each of [`SANDBOXES_MAX`] sandboxes failed before the job's limits were set. The text is the
    /// last failure's reason, for the log.
    NoneCould(String),
}

/// Takes sandboxes with `take` until one runs `job` to an end of its own, or `deadline` passes.
/// After the deadline no sandbox is taken, but a run that has begun goes on.
///
/// A job whose limits were set in a sandbox is never given to another one: however that sandbox
/// ended, the end is the job's result. There is one exception: a run during which Python's files
/// changed may have imported old and new files. We discard its result and run the job again; the
/// first run has touched nothing but its own directory.
pub async fn run_somewhere<Taking: Future<Output = ReadySandbox>>(
    take: impl Fn() -> Taking,
    job: Job<'_>,
    bounds: CaptureBounds,
    deadline: Instant,
) -> Attempt {
    let mut last = String::new();
    let mut first = true;
    let mut failed = 0;
    while failed < SANDBOXES_MAX {
        // `timeout_at` would still take a sandbox that is ready.
        if !first && Instant::now() >= deadline {
            return Attempt::TooLate;
        }
        first = false;
        let Ok(sandbox) = timeout_at(deadline, take()).await else {
            return Attempt::TooLate;
        };
        // The sandbox's worker was not told of the change yet. Each round leaves one such sandbox
        // less.
        if !sandbox.python.is_current() {
            continue;
        }
        let python = sandbox.python.clone();
        let started = Instant::now();
        match run(sandbox, job, bounds).await {
            _ if !python.is_current() => tracing::warn!(
                event = "job_repeated",
                "Python's files changed during a run; it is repeated with the new ones"
            ),
            Outcome::Unprepared(error) => {
                metrics::unprepared();
                tracing::warn!(
                    event = "job_passed_on",
                    error,
                    "a sandbox could not take its job; the job goes to another"
                );
                last = error;
                failed += 1;
            }
            outcome => return Attempt::Ran(outcome, started.elapsed()),
        }
    }
    Attempt::NoneCould(last)
}
