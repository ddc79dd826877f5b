//! One execution, seen from outside: send the job, drain what the sandbox says, know how it ended.
//!
//! What the author's code did is an `Outcome`. A sandbox's own word (its status frame) is believed
//! only as far as it concerns its own answer; its process is gone for sure when its worker says so.

use crate::config::Config;
use crate::pool::{ReadySandbox, Running};
use codejail_protocol::control::Exited;
use codejail_protocol::frame::{self, PREFIX_BYTES};
use codejail_protocol::job::{JobHeader, Limits, SandboxReport};
use std::io::{self, IoSlice};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

/// What the kernel's own timer may be late before the worker is told to kill.
const TIMER_GRACE: Duration = Duration::from_millis(100);
/// How long after that the answer waits for the sandbox's end; the worker's task sees to it that the
/// process goes, if need be with its worker.
const KILL_GRACE: Duration = Duration::from_millis(250);
/// Read at a time. Most answers are shorter, and what the allocator gives back to the kernel after each execution,
/// as it did with the 64 KiB that a pipe holds, it takes anew by page faults.
const CHUNK_BYTES: usize = 8 * 1024;
/// Longest report that is read from a sandbox that runs hostile code: `Unloadable` with a message of
/// Python's, which is short.
const REPORT_BYTES_MAX: usize = 4096;

/// A job, still in the request's memory.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// JSON text of the code.
    pub code: &'a str,
    /// JSON text of the input globals.
    pub globals: &'a str,
    /// The library, where one was sent.
    pub python_lib: Option<&'a [u8]>,
    /// Its bytecode, where the service has it.
    pub bytecode: Option<&'a [u8]>,
    /// Whether it goes on `sys.path`.
    pub python_path: bool,
    /// What it may use.
    pub limits: Limits,
}

/// How much of each stream is kept.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Of standard output: the answer must fit.
    pub reply_bytes_max: usize,
    /// Of standard error.
    pub output_bytes_max: usize,
}

impl Bounds {
    /// As configured.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            reply_bytes_max: config.reply_bytes_max,
            output_bytes_max: config.output_bytes_max,
        }
    }
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ended: its exit status (negative for a signal) and what it wrote.
    Ended {
        /// 0 to 255, or minus the signal's number.
        status: i32,
        /// Standard output.
        stdout: Captured,
        /// Standard error.
        stderr: Captured,
        /// Libraries that it says it had to import cold.
        cold_imports: Vec<String>,
    },
    /// Python's `json` refused code or globals, and says why.
    Unloadable(String),
    /// Our fault, before any of the author's code ran: another sandbox may do better. For the log.
    Unprepared(String),
    /// Our fault, and it had begun: nothing is known of its end. For the log.
    Lost(String),
}

/// What a stream carried.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// Its beginning.
    pub bytes: Vec<u8>,
    /// Whether there was more.
    pub cut: bool,
}

impl Captured {
    fn keep(&mut self, chunk: &[u8], bytes_max: usize) {
        let room = bytes_max.saturating_sub(self.bytes.len());
        let kept = chunk.len().min(room);
        self.bytes.extend_from_slice(&chunk[..kept]);
        self.cut |= kept < chunk.len();
    }
}

/// Runs `job` in `sandbox`. Dropping the future kills the sandbox.
pub async fn run(sandbox: ReadySandbox, job: Job<'_>, bounds: Bounds) -> Outcome {
    let ReadySandbox {
        mut pipes,
        mut exit,
        running,
    } = sandbox;
    // It was told nothing and has said all that it may: whatever its pipe holds is no word of the job's.
    if !is_silent(&pipes.status) {
        return Outcome::Unprepared("it said something before it had a job".to_owned());
    }
    let deadline = match job.limits.realtime_ms {
        0 => None,
        ms => Some(Instant::now() + Duration::from_millis(ms) + TIMER_GRACE),
    };
    let mut watch = Watch {
        bounds,
        stdout: Captured::default(),
        stderr: Captured::default(),
        reports: Vec::new(),
        cold_imports: Vec::new(),
        started: false,
        chunk: vec![0; CHUNK_BYTES],
    };
    let mut streams = Streams {
        stdout: Some(pipes.stdout),
        stderr: Some(pipes.stderr),
        status: Some(pipes.status),
    };
    // A sandbox that is gone, or takes nothing, can't be written to; how it went is learnt below.
    tokio::select! {
        _ = send(&mut pipes.job, &job) => {}
        () = sleep_until_some(deadline) => {}
    }
    // Its standard input is at its end.
    drop(pipes.job);
    let end = watch
        .until_end(&mut streams, &mut exit, &running, deadline)
        .await;
    watch.drain(&mut streams);
    let status = match end {
        End::Finished(status) => status,
        End::Exited(status) if watch.started => status,
        End::Exited(status) => {
            running.finished();
            return Outcome::Unprepared(format!("it ended with {status} before its job"));
        }
        End::Unloadable(message) => {
            running.finished();
            return Outcome::Unloadable(message);
        }
        End::Unprepared(error) => return Outcome::Unprepared(error),
        // Dropping `running` kills it again, which is no fault.
        End::Killed => return watch.ended(-nix::libc::SIGKILL),
        End::Lost if watch.started => return Outcome::Lost("its worker was lost".to_owned()),
        End::Lost => return Outcome::Unprepared("its worker was lost".to_owned()),
    };
    // When the answer is written: what this starts, its successor's making, would take the processor from it.
    tokio::spawn(async move {
        drop(streams);
        running.finished();
    });
    watch.ended(status)
}

/// Whether nothing waits in a status pipe; that it has ended is learnt elsewhere.
fn is_silent(status: &pipe::Receiver) -> bool {
    !matches!(nix::unistd::read(status, &mut [0]), Ok(1..))
}

/// The header and the blobs, in as few system calls as the pipe allows.
async fn send(pipe: &mut pipe::Sender, job: &Job<'_>) -> io::Result<()> {
    let header = JobHeader {
        code_bytes: job.code.len() as u64,
        globals_bytes: job.globals.len() as u64,
        python_lib_bytes: job.python_lib.map(|bytes| bytes.len() as u64),
        bytecode_bytes: job.bytecode.map(|bytes| bytes.len() as u64),
        python_path: job.python_path,
        limits: job.limits,
    };
    let header = frame::encode(&header).map_err(io::Error::other)?;
    let mut parts = [
        IoSlice::new(&header),
        IoSlice::new(job.code.as_bytes()),
        IoSlice::new(job.globals.as_bytes()),
        IoSlice::new(job.python_lib.unwrap_or_default()),
        IoSlice::new(job.bytecode.unwrap_or_default()),
    ];
    let mut rest = &mut parts[..];
    while rest.iter().any(|part| !part.is_empty()) {
        let written = pipe.write_vectored(rest).await?;
        IoSlice::advance_slices(&mut rest, written);
    }
    Ok(())
}

/// The streams that a sandbox writes to; each goes when it is at its end.
struct Streams {
    stdout: Option<pipe::Receiver>,
    stderr: Option<pipe::Receiver>,
    status: Option<pipe::Receiver>,
}

/// What ends the watch.
enum End {
    /// Its own word: the exit status to come.
    Finished(i32),
    /// Its own word, before the author's code ran: the job can't be loaded.
    Unloadable(String),
    /// Its own word, before the author's code ran: it could not be closed around the job.
    Unprepared(String),
    /// Its worker's word: the exit status.
    Exited(i32),
    /// The deadline passed and it was killed, or it broke the protocol and was.
    Killed,
    /// Its worker is gone.
    Lost,
}

/// What is known of a run so far.
struct Watch {
    bounds: Bounds,
    stdout: Captured,
    stderr: Captured,
    /// Bytes of the status pipe that are no whole report yet.
    reports: Vec<u8>,
    /// As it says at its end.
    cold_imports: Vec<String>,
    /// The author's code runs: what the sandbox says from here on is the code's claim.
    started: bool,
    chunk: Vec<u8>,
}

/// A sandbox said what is not legal in its state.
struct Broken;

impl Watch {
    /// Drains the streams until the run is known to be over.
    async fn until_end(
        &mut self,
        streams: &mut Streams,
        exit: &mut oneshot::Receiver<Exited>,
        running: &Running,
        mut deadline: Option<Instant>,
    ) -> End {
        let mut killed = false;
        let mut status_chunk = [0; 256];
        let mut error_chunk = vec![0; CHUNK_BYTES];
        loop {
            tokio::select! {
                // The deadline first: a flood must not keep it waiting.
                biased;
                () = sleep_until_some(deadline) => {
                    if killed {
                        return End::Killed;
                    }
                    running.kill();
                    killed = true;
                    deadline = Some(Instant::now() + KILL_GRACE);
                }
                read = read_some(&mut streams.status, &mut status_chunk) => {
                    let heard = match read {
                        Some(count) => self.hear(&status_chunk[..count]),
                        // The code may have closed it: its exit will tell.
                        None => {
                            streams.status = None;
                            Ok(None)
                        }
                    };
                    match heard {
                        Ok(Some(end)) if !killed => return end,
                        Ok(_) => {}
                        // No code ran that could have said it: the job is not to blame.
                        Err(Broken) if !self.started && !killed => {
                            return End::Unprepared("it broke the protocol".to_owned());
                        }
                        Err(Broken) => {
                            running.kill();
                            killed = true;
                            streams.status = None;
                            deadline = Some(Instant::now() + KILL_GRACE);
                        }
                    }
                }
                read = read_some(&mut streams.stdout, &mut self.chunk) => match read {
                    Some(count) => {
                        let bytes_max = self.bounds.reply_bytes_max;
                        self.stdout.keep(&self.chunk[..count], bytes_max);
                    }
                    None => streams.stdout = None,
                },
                read = read_some(&mut streams.stderr, &mut error_chunk) => match read {
                    Some(count) => {
                        self.stderr.keep(&error_chunk[..count], self.bounds.output_bytes_max);
                    }
                    None => streams.stderr = None,
                },
                exited = &mut *exit => return match exited {
                    _ if killed => End::Killed,
                    Ok(exited) => self.last_word(streams, exited.status),
                    Err(_) => End::Lost,
                },
            }
        }
    }

    /// It has exited: a report may still be in the pipe, and tells more than the status.
    fn last_word(&mut self, streams: &mut Streams, status: i32) -> End {
        let mut chunk = [0; 256];
        while let Some(stream) = &streams.status
            && let Ok(count @ 1..) = nix::unistd::read(stream, &mut chunk)
        {
            match self.hear(&chunk[..count]) {
                Ok(None) => {}
                Ok(Some(end)) => return end,
                Err(Broken) => break,
            }
        }
        End::Exited(status)
    }

    /// Collects status bytes and reads the reports among them; what ends the watch, if one does.
    fn hear(&mut self, bytes: &[u8]) -> Result<Option<End>, Broken> {
        self.reports.extend_from_slice(bytes);
        while let Some((prefix, rest)) = self.reports.split_first_chunk::<PREFIX_BYTES>() {
            let length = frame::body_length(*prefix).map_err(|_| Broken)?;
            if length > REPORT_BYTES_MAX {
                return Err(Broken);
            }
            let Some(body) = rest.get(..length) else {
                return Ok(None);
            };
            let report = frame::decode(body).map_err(|_| Broken)?;
            self.reports.drain(..PREFIX_BYTES + length);
            match (self.started, report) {
                (false, SandboxReport::Started) => self.started = true,
                (false, SandboxReport::PrepareFailed { error }) => {
                    return Ok(Some(End::Unprepared(error)));
                }
                (false, SandboxReport::Unloadable { message }) => {
                    return Ok(Some(End::Unloadable(message)));
                }
                (
                    true,
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
        }
        Ok(None)
    }

    /// The outcome of a run that ended with `status`.
    fn ended(self, status: i32) -> Outcome {
        Outcome::Ended {
            status,
            stdout: self.stdout,
            stderr: self.stderr,
            cold_imports: self.cold_imports,
        }
    }

    /// Takes what the streams hold now; what is written later was written after the end.
    fn drain(&mut self, streams: &mut Streams) {
        let kept = [
            (
                &streams.stdout,
                &mut self.stdout,
                self.bounds.reply_bytes_max,
            ),
            (
                &streams.stderr,
                &mut self.stderr,
                self.bounds.output_bytes_max,
            ),
        ];
        for (stream, captured, bytes_max) in kept {
            let Some(stream) = stream else { continue };
            // Past the runtime, which may not have heard yet that there is something to read. A flood
            // is cut: not more is read than is kept, plus one chunk to know that there was more.
            while let Ok(count @ 1..) = nix::unistd::read(stream, &mut self.chunk) {
                captured.keep(&self.chunk[..count], bytes_max);
                if captured.cut {
                    break;
                }
            }
        }
    }
}

/// Reads some bytes, or none at the end of the stream; a stream that has ended stays silent.
async fn read_some(stream: &mut Option<pipe::Receiver>, chunk: &mut [u8]) -> Option<usize> {
    match stream {
        Some(stream) => stream.read(chunk).await.ok().filter(|count| *count > 0),
        None => std::future::pending().await,
    }
}

async fn sleep_until_some(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
