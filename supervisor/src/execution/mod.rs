//! One execution, seen from outside: send the job, drain what the sandbox says, know how it ended.
//!
//! What the author's code did is an [`Outcome`]. A sandbox's own word (its status frame) counts for
//! its own answer only. That its process is gone is known when its worker says so.

mod attempt;
mod job;
mod outcome;
mod output;
mod watch;

pub use attempt::{Attempt, SANDBOXES_MAX, run_somewhere};
pub use job::Job;
pub use outcome::{Captured, Outcome};

use crate::config::Config;
use crate::pool::ReadySandbox;
use output::Output;
use std::time::Duration;
use tokio::net::unix::pipe;
use tokio::time::Instant;
use watch::{Clock, Streams, Watch};

/// How much of each stream is kept.
#[derive(Debug, Clone, Copy)]
pub struct CaptureBounds {
    /// Of standard output: the answer must fit.
    pub reply_bytes_max: usize,
    /// Of standard error.
    pub output_bytes_max: usize,
}

impl CaptureBounds {
    /// As configured.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            reply_bytes_max: config.reply_bytes_max,
            output_bytes_max: config.output_bytes_max,
        }
    }
}

/// Runs `job` in `sandbox`. Dropping the future kills the sandbox.
async fn run(sandbox: ReadySandbox, job: Job<'_>, bounds: CaptureBounds) -> Outcome {
    let ReadySandbox {
        mut pipes,
        mut exit,
        guard,
        ..
    } = sandbox;
    // A sandbox without a job has nothing to say: these bytes can't be about this job.
    if !is_silent(&pipes.status) {
        return Outcome::Unprepared("it said something before it had a job".to_owned());
    }
    let realtime = Duration::from_millis(job.limits.realtime_ms);
    let clock = Clock::start((!realtime.is_zero()).then_some(realtime));
    // A sandbox that is gone, or takes nothing, can't be written to; the watch learns how it ended.
    tokio::select! {
        _ = job::send(&mut pipes.job, &job) => {}
        () = clock.passed() => {}
    }
    // Its standard input is at its end.
    drop(pipes.job);
    let mut streams = Streams {
        stdout: Output::new(pipes.stdout, bounds.reply_bytes_max),
        stderr: Output::new(pipes.stderr, bounds.output_bytes_max),
        status: Some(pipes.status),
    };
    let mut watch = Watch::new(clock);
    let end = watch.until_end(&mut streams, &mut exit, &guard).await;
    streams.stdout.take_rest();
    streams.stderr.take_rest();
    let (stdout, stdout_pipe) = streams.stdout.into_parts();
    let (stderr, stderr_pipe) = streams.stderr.into_parts();
    if end.leaves_by_itself() {
        // When the answer is written: what this starts, its successor's making, would take the
        // processor from it.
        tokio::spawn(async move {
            drop((stdout_pipe, stderr_pipe, streams.status));
            guard.finished();
        });
    }
    watch.outcome(end, Instant::now(), stdout, stderr)
}

/// Whether nothing waits in a status pipe. The end of the pipe is learnt elsewhere.
fn is_silent(status: &pipe::Receiver) -> bool {
    !matches!(nix::unistd::read(status, &mut [0]), Ok(1..))
}
