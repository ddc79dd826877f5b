//! Listens to a sandbox that has its job, until its run is known to be over.

use super::output::Output;
use super::paced::PacedPipe;
use super::{Captured, Outcome};
use crate::deadline::sleep_until_some;
use crate::pool::SandboxGuard;
use codejail_protocol::control::Exited;
use codejail_protocol::frame::{self, PREFIX_BYTES};
use codejail_protocol::job::SandboxReport;
use std::io;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// How late the sandbox's own timer may be before the worker is told to kill the sandbox.
const TIMER_GRACE: Duration = Duration::from_millis(100);
/// How long after the kill the answer waits for the sandbox's end. The worker's task makes sure
/// that the process ends, if necessary together with its worker.
const KILL_GRACE: Duration = Duration::from_millis(250);
/// Longest report that is read from a sandbox. The longest honest report is `Unloadable` with a
/// message of Python's, which is short.
const REPORT_BYTES_MAX: usize = 4096;

/// When a job began, and how long it may run by the wall clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
    realtime: Option<Duration>,
}

impl Clock {
    /// A clock that starts now; without a limit its deadline never passes.
    pub fn start(realtime: Option<Duration>) -> Self {
        let started = Instant::now();
        Self { started, realtime }
    }

    /// The time by which the sandbox's own timer must have ended the sandbox.
    fn deadline(self) -> Option<Instant> {
        self.realtime
            .map(|realtime| self.started + realtime + TIMER_GRACE)
    }

    /// Waits until the deadline.
    pub async fn passed(self) {
        sleep_until_some(self.deadline()).await;
    }

    /// Whether the sandbox's own timer may have ended it by now.
    fn is_over(self, now: Instant) -> bool {
        self.realtime
            .is_some_and(|realtime| now >= self.started + realtime)
    }
}

/// The pipes that a sandbox writes to.
#[derive(Debug)]
pub struct Streams {
    /// Standard output.
    pub stdout: Output,
    /// Standard error.
    pub stderr: Output,
    /// The status pipe with the reports; none once it is at its end.
    pub status: Option<PacedPipe>,
}

impl Streams {
    /// Moves to the threads that call this: see [`PacedPipe::settle`].
    pub fn settle(&mut self) -> io::Result<()> {
        self.stdout.settle()?;
        self.stderr.settle()?;
        self.status = self.status.take().map(PacedPipe::settle).transpose()?;
        Ok(())
    }
}

/// The event that ends the watch.
#[derive(Debug)]
pub enum End {
    /// The sandbox reported the exit status to come.
    Finished(i32),
    /// The sandbox reported, before the author's code ran, that the job can't be loaded.
    Unloadable(String),
    /// The sandbox could not close itself around the job; the job's limits were not set yet.
    Unprepared(String),
    /// The worker reported the sandbox's exit status.
    Exited(i32),
    /// The sandbox was killed, since the deadline passed or it broke the protocol.
    Killed,
    /// Its worker is gone.
    Lost,
}

impl End {
    /// Whether the process has ended, or ends without being killed.
    pub fn leaves_by_itself(&self) -> bool {
        matches!(
            self,
            Self::Finished(_) | Self::Exited(_) | Self::Unloadable(_)
        )
    }
}

/// The progress of a sandbox with its job, by its own reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The sandbox may be reading the job: a failure is our fault.
    Waiting,
    /// The job's limits are set, and the sandbox loads code and globals: a failure is the job's
    /// result.
    Closed,
    /// The author's code runs: every report may come from that code.
    Started,
}

/// The state of a run as far as it is known.
#[derive(Debug)]
pub struct Watch {
    clock: Clock,
    /// When the sandbox is killed; after the kill, until when we wait for its end.
    deadline: Option<Instant>,
    killed: bool,
    stage: Stage,
    /// Bytes of the status pipe that are not a whole report yet.
    reports: Vec<u8>,
    /// The cold imports that the run reported at its end.
    cold_imports: Vec<String>,
}

/// A sandbox sent a report that is not legal in its state.
struct Broken;

impl Watch {
    /// The state before any report.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            deadline: clock.deadline(),
            killed: false,
            stage: Stage::Waiting,
            reports: Vec::new(),
            cold_imports: Vec::new(),
        }
    }

    /// Drains the streams until the run is known to be over. The future may be dropped and the
    /// function called again without losing anything.
    pub async fn until_end(
        &mut self,
        streams: &mut Streams,
        exit: &mut oneshot::Receiver<Exited>,
        guard: &SandboxGuard,
    ) -> End {
        let mut status_chunk = [0; 256];
        loop {
            tokio::select! {
                // The deadline comes first: a flood must not delay it.
                biased;
                () = sleep_until_some(self.deadline) => {
                    if self.killed {
                        return End::Killed;
                    }
                    self.kill(guard);
                }
                read = read_some(&mut streams.status, &mut status_chunk) => {
                    let heard = match read {
                        Some(count) => self.hear(&status_chunk[..count]),
                        // The author's code may have closed the pipe. The exit status will tell how
                        // the run ended.
                        None => {
                            streams.status = None;
                            Ok(None)
                        }
                    };
                    match heard {
                        Ok(Some(end)) if !self.killed => return end,
                        Ok(_) => {}
                        // No code of the author ran yet, so the job is not to blame.
                        Err(Broken) if self.stage == Stage::Waiting && !self.killed => {
                            return End::Unprepared("it broke the protocol".to_owned());
                        }
                        Err(Broken) => {
                            self.kill(guard);
                            streams.status = None;
                        }
                    }
                }
                () = streams.stdout.take_some() => {}
                () = streams.stderr.take_some() => {}
                exited = &mut *exit => return match exited {
                    _ if self.killed => End::Killed,
                    Ok(exited) => self.last_word(streams, exited.status),
                    Err(_) => End::Lost,
                },
            }
        }
    }

    fn kill(&mut self, guard: &SandboxGuard) {
        guard.kill();
        self.killed = true;
        self.deadline = Some(Instant::now() + KILL_GRACE);
    }

    /// The sandbox has exited. A report that is still in the pipe tells more than the exit status.
    fn last_word(&mut self, streams: &mut Streams, status: i32) -> End {
        let mut chunk = [0; 256];
        while let Some(stream) = &streams.status
            && let Ok(count @ 1..) = nix::unistd::read(stream.pipe(), &mut chunk)
        {
            match self.hear(&chunk[..count]) {
                Ok(None) => {}
                Ok(Some(end)) => return end,
                Err(Broken) => break,
            }
        }
        End::Exited(status)
    }

    /// Collects status bytes and reads the reports among them. Returns the event that ends the
    /// watch, if there is one.
    fn hear(&mut self, bytes: &[u8]) -> Result<Option<End>, Broken> {
        self.reports.extend_from_slice(bytes);
        while let Some((prefix, remainder)) = self.reports.split_first_chunk::<PREFIX_BYTES>() {
            let length = frame::body_length(*prefix).map_err(|_| Broken)?;
            if length > REPORT_BYTES_MAX {
                return Err(Broken);
            }
            let Some(body) = remainder.get(..length) else {
                return Ok(None);
            };
            let report = frame::decode(body).map_err(|_| Broken)?;
            self.reports.drain(..PREFIX_BYTES + length);
            if let Some(end) = self.advance(report)? {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    /// Handles one report; each stage allows only a few.
    fn advance(&mut self, report: SandboxReport) -> Result<Option<End>, Broken> {
        match (self.stage, report) {
            (Stage::Waiting, SandboxReport::Closed) => self.stage = Stage::Closed,
            (Stage::Waiting, SandboxReport::PrepareFailed { error }) => {
                return Ok(Some(End::Unprepared(error)));
            }
            (Stage::Closed, SandboxReport::Started) => self.stage = Stage::Started,
            (Stage::Closed, SandboxReport::Unloadable { message }) => {
                return Ok(Some(End::Unloadable(message)));
            }
            (
                Stage::Started,
                SandboxReport::Finished {
                    status,
                    cold_imports,
                },
            ) => {
                self.cold_imports = cold_imports;
                return Ok(Some(End::Finished(status)));
            }
            _ => return Err(Broken),
        }
        Ok(None)
    }

    /// The outcome for this end. In [`Stage::Waiting`] an unexpected end is our fault; in later
    /// stages it is the job's result.
    pub fn outcome(self, end: End, now: Instant, stdout: Captured, stderr: Captured) -> Outcome {
        let cold_imports = self.cold_imports;
        let ended = |status| Outcome::Ended {
            status,
            stdout,
            stderr,
            cold_imports,
        };
        match (end, self.stage) {
            (End::Unprepared(error), _) => Outcome::Unprepared(error),
            (End::Unloadable(message), _) => Outcome::Unloadable(message),
            // The sandbox arms the timer as soon as it knows the limits, so a long job can end
            // while it is read.
            (End::Exited(status), Stage::Waiting)
                if status != -nix::libc::SIGKILL || !self.clock.is_over(now) =>
            {
                Outcome::Unprepared(format!("it ended with {status} before its job"))
            }
            (End::Finished(status) | End::Exited(status), _) => ended(status),
            (End::Killed, _) => ended(-nix::libc::SIGKILL),
            (End::Lost, Stage::Waiting) => Outcome::Unprepared("its worker was lost".to_owned()),
            (End::Lost, _) => Outcome::Lost("its worker was lost".to_owned()),
        }
    }
}

/// Reads some bytes, or none at the end of the stream. After the end it never returns.
async fn read_some(stream: &mut Option<PacedPipe>, chunk: &mut [u8]) -> Option<usize> {
    match stream {
        Some(stream) => stream.read(chunk).await.ok().filter(|count| *count > 0),
        None => std::future::pending().await,
    }
}
