//! One execution, seen from outside: send the job, read what the sandbox writes, find out how it
//! ended.
//!
//! The result of the author's code is an [`Outcome`]. We trust a status frame only for that
//! sandbox's own answer. Only the worker's `Exited` proves that the process is gone.

mod attempt;
mod job;
mod outcome;
mod output;
mod paced;
mod watch;

pub use attempt::{Attempt, SANDBOXES_MAX, run_somewhere};
pub use job::Job;
pub use outcome::{Captured, Outcome};

use crate::config::Config;
use crate::old_runs::{Away, YOUNG_MAX};
use crate::pool::{ReadySandbox, SandboxGuard};
use codejail_protocol::control::Exited;
use output::Output;
use paced::PacedPipe;
use std::time::Duration;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};
use watch::{Clock, End, Streams, Watch};

/// How much of each stream is kept.
#[derive(Debug, Clone, Copy)]
pub struct CaptureBounds {
    /// Bytes of standard output, which must hold the whole answer.
    pub reply_bytes_max: usize,
    /// Bytes of standard error.
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
        exit,
        guard,
        old_runs,
        ..
    } = sandbox;
    // A sandbox without a job has nothing to report, so these bytes can't be about this job.
    if !is_silent(&pipes.status) {
        return Outcome::Unprepared("it said something before it had a job".to_owned());
    }
    let realtime = Duration::from_millis(job.limits.realtime_ms);
    let clock = Clock::start((!realtime.is_zero()).then_some(realtime));
    // A failed write means that the sandbox is gone or does not read. The watch finds out how it
    // ended.
    tokio::select! {
        _ = job::send(&mut pipes.job, &job) => {}
        () = clock.passed() => {}
    }
    // This ends the sandbox's standard input.
    drop(pipes.job);
    let mut listener = Box::new(Listener {
        streams: Streams {
            stdout: Output::new(pipes.stdout, bounds.reply_bytes_max),
            stderr: Output::new(pipes.stderr, bounds.output_bytes_max),
            status: Some(PacedPipe::new(pipes.status)),
        },
        watch: Watch::new(clock),
        exit,
        guard,
    });
    tokio::select! {
        biased;
        () = sleep(YOUNG_MAX) => {}
        end = listener.listen() => return listener.outcome(end, false),
    }
    let outcome = Away::spawn(&old_runs, listener.until_end()).end().await;
    outcome.unwrap_or_else(|| Outcome::Lost("the service ends".to_owned()))
}

/// Listens to a sandbox that has its job. Dropping this value kills the sandbox.
#[derive(Debug)]
struct Listener {
    streams: Streams,
    watch: Watch,
    exit: oneshot::Receiver<Exited>,
    guard: SandboxGuard,
}

impl Listener {
    /// Listens to the end of an old run, on the threads for old runs.
    async fn until_end(mut self: Box<Self>) -> Outcome {
        if let Err(error) = self.streams.settle() {
            return Outcome::Lost(format!("its pipes: {error}"));
        }
        let end = self.listen().await;
        self.outcome(end, true)
    }

    async fn listen(&mut self) -> End {
        let streams = &mut self.streams;
        self.watch
            .until_end(streams, &mut self.exit, &self.guard)
            .await
    }

    fn outcome(mut self: Box<Self>, end: End, old: bool) -> Outcome {
        self.streams.stdout.take_rest();
        self.streams.stderr.take_rest();
        let Self {
            streams,
            watch,
            exit,
            guard,
        } = *self;
        let (stdout, stdout_pipe) = streams.stdout.into_parts();
        let (stderr, stderr_pipe) = streams.stderr.into_parts();
        let pipes = (stdout_pipe, stderr_pipe, streams.status);
        let leaves = end.leaves_by_itself();
        // After the answer is written: this starts the making of the sandbox's successor, which
        // would take the processor from the answer.
        tokio::spawn(async move {
            if leaves {
                guard.finished();
            } else {
                drop(guard);
            }
            // Closing a pipe wakes all processes that watch it. When the sandbox's process is gone
            // nobody watches.
            if old && !exit.is_terminated() {
                let _ = exit.await;
            }
            drop(pipes);
        });
        watch.outcome(end, Instant::now(), stdout, stderr)
    }
}

/// Whether nothing waits in a status pipe. The watch notices the end of the pipe.
fn is_silent(status: &pipe::Receiver) -> bool {
    !matches!(nix::unistd::read(status, &mut [0]), Ok(1..))
}
