//! One execution, seen from outside: send the job, drain what the sandbox says, know how it ended.
//!
//! What the author's code did is an [`Outcome`]. A sandbox's own word (its status frame) counts for
//! its own answer only. That its process is gone is known when its worker says so.

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
        exit,
        guard,
        old_runs,
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

/// Listens to a sandbox that has its job. Dropping it kills the sandbox.
#[derive(Debug)]
struct Listener {
    streams: Streams,
    watch: Watch,
    exit: oneshot::Receiver<Exited>,
    guard: SandboxGuard,
}

impl Listener {
    /// To the end of an old run, on the threads for these.
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
        // When the answer is written: what this starts, its successor's making, would take the
        // processor from it.
        tokio::spawn(async move {
            if leaves {
                guard.finished();
            } else {
                drop(guard);
            }
            // To close a pipe, too, is to call all that watch it. When the process is gone nobody
            // does.
            if old && !exit.is_terminated() {
                let _ = exit.await;
            }
            drop(pipes);
        });
        watch.outcome(end, Instant::now(), stdout, stderr)
    }
}

/// Whether nothing waits in a status pipe. The end of the pipe is learnt elsewhere.
fn is_silent(status: &pipe::Receiver) -> bool {
    !matches!(nix::unistd::read(status, &mut [0]), Ok(1..))
}
