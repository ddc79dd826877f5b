//! One library, compiled in a sandbox of its own: an ordinary execution, as the startup checks are.

use crate::execution::{Attempt, CaptureBounds, Job, Outcome, run_somewhere};
use crate::pool::Pool;
use crate::request::admission::Admission;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use codejail_protocol::job::Limits;
use serde::Deserialize;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const SCRIPT: &str = include_str!("compile.py");

/// Most uncompressed bytes of a library's sources that are compiled: some 3 s of work.
const SOURCES_BYTES_MAX: usize = 4 << 20;
/// Most bytes of a library's bytecode. Bytecode takes up to twice the bytes of its source.
const BYTECODE_BYTES_MAX: usize = 8 << 20;
/// Base64 makes four bytes of three; the reply also has some names.
const REPLY_BYTES_MAX: usize = BYTECODE_BYTES_MAX / 3 * 4 + (1 << 16);

/// Most CPU time of a compilation, and its multiple of the CPU time of an execution: some libraries
/// are larger than one execution could compile in its time. If an operator gives executions less
/// time, compilations get less too.
const CPU_S_MAX: u64 = 10;
const CPU_TIMES: u64 = 5;
/// Milliseconds by the wall clock for each CPU second: half as much again.
const REALTIME_MS_PER_CPU_S: u64 = 1500;
/// A source of 4 MiB takes some 200 MiB.
const VMEM_BYTES: u64 = 512 << 20;

/// The limits of a compilation, if executions have these limits.
fn limits(of_executions: Limits) -> Limits {
    // 0 means no limit.
    let cpu_s = match of_executions.cpu_s {
        0 => CPU_S_MAX,
        cpu_s => CPU_S_MAX.min(cpu_s.saturating_mul(CPU_TIMES)),
    };
    Limits {
        cpu_s,
        realtime_ms: cpu_s * REALTIME_MS_PER_CPU_S,
        vmem_bytes: VMEM_BYTES,
        fsize_bytes: 0,
        nproc: 1,
    }
}

/// How often a compilation looks for a moment in which no client waits. After that it waits in line
/// as a client's execution does, so that a service that is never idle gets its bytecode too.
const IDLE_LOOKS_MAX: u32 = 50;
const IDLE_LOOK: Duration = Duration::from_millis(20);
/// How long it may wait in line: longer than a worker takes to be replaced.
const TAKE_MAX: Duration = Duration::from_secs(60);

/// Why there is no bytecode.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// No sandbox became free.
    #[error("no sandbox could take it")]
    NoSandbox,
    /// The compilation failed: the library is broken or too large, or the cause is not the library.
    #[error("it ended with {status}: {stderr}")]
    Ended {
        /// As for any execution.
        status: i32,
        /// The end of its standard error.
        stderr: String,
    },
    /// The answer does not have the script's form.
    #[error("its answer can't be read: {0}")]
    Answer(String),
    /// The worker of its sandbox was lost.
    #[error("{0}")]
    Lost(String),
}

impl CompileError {
    /// Whether the fault is the library's own, which Python's exit status after an exception shows.
    /// A signal may come from the host's load or memory; all other errors come from the host.
    pub fn is_the_librarys(&self) -> bool {
        matches!(self, Self::Ended { status: 1, .. })
    }
}

/// The globals that the script leaves.
#[derive(Deserialize)]
struct CompiledJson {
    bytecode: Option<String>,
}

/// The bytecode of all modules of `library`; none if it has no module that can be compiled without
/// an error or a warning. Beside it the time for which it has had a sandbox.
///
/// `of_executions` are the limits that executions have.
pub async fn compile(
    library: &[u8],
    of_executions: Limits,
    pool: &Pool,
    admission: &Admission,
) -> (Result<Option<Bytes>, CompileError>, Duration) {
    let code = serde_json::Value::from(SCRIPT).to_string();
    let globals = serde_json::json!({
        "sources_bytes_max": SOURCES_BYTES_MAX,
        "bytecode_bytes_max": BYTECODE_BYTES_MAX,
    });
    let globals = globals.to_string();
    let job = Job {
        code: &code,
        globals: &globals,
        python_lib: Some(library),
        bytecode: None,
        // The library must not be able to put a module of its own in the place of one of the
        // script's.
        python_path: false,
        limits: limits(of_executions),
    };
    let bounds = CaptureBounds {
        reply_bytes_max: REPLY_BYTES_MAX,
        output_bytes_max: 1 << 16,
    };
    for _ in 0..IDLE_LOOKS_MAX {
        if admission.now().waiting == 0 && pool.ready() > 0 {
            break;
        }
        sleep(IDLE_LOOK).await;
    }
    let take = || pool.take_for_service();
    match run_somewhere(take, job, bounds, Instant::now() + TAKE_MAX).await {
        Attempt::Ran(outcome, elapsed) => (bytecode_of(outcome), elapsed),
        Attempt::TooLate | Attempt::NoneCould(_) => (Err(CompileError::NoSandbox), Duration::ZERO),
    }
}

fn bytecode_of(outcome: Outcome) -> Result<Option<Bytes>, CompileError> {
    match outcome {
        Outcome::Ended {
            status: 0, stdout, ..
        } => read(&stdout.bytes),
        Outcome::Ended { status, stderr, .. } => {
            let stderr = last_line(&stderr.bytes);
            Err(CompileError::Ended { status, stderr })
        }
        Outcome::Unprepared(why) | Outcome::Unloadable(why) | Outcome::Lost(why) => {
            Err(CompileError::Lost(why))
        }
    }
}

/// The sandbox's answer is the library's claim. We use it only as bytes for executions of the same
/// library.
fn read(stdout: &[u8]) -> Result<Option<Bytes>, CompileError> {
    let unreadable = |error: &dyn ToString| CompileError::Answer(error.to_string());
    let answer: CompiledJson =
        serde_json::from_slice(stdout).map_err(|error| unreadable(&error))?;
    let Some(bytecode) = answer.bytecode else {
        return Ok(None);
    };
    let bytecode = STANDARD
        .decode(bytecode)
        .map_err(|error| unreadable(&error))?;
    if bytecode.len() > BYTECODE_BYTES_MAX {
        return Err(unreadable(&"too much"));
    }
    Ok(Some(Bytes::from(bytecode)))
}

/// The last line of a traceback, bounded, for the log.
fn last_line(stderr: &[u8]) -> String {
    const CHARACTERS_MAX: usize = 200;
    let text = String::from_utf8_lossy(stderr);
    let line = text.trim_end().lines().next_back().unwrap_or_default();
    line.chars().take(CHARACTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compilation_has_some_times_the_cpu_time_of_an_execution_and_at_most_ten_seconds() {
        let limits_at = |cpu_s| {
            let limits = limits(Limits {
                cpu_s,
                realtime_ms: 1,
                vmem_bytes: 1,
                fsize_bytes: 1,
                nproc: 7,
            });
            (limits.cpu_s, limits.realtime_ms)
        };
        assert_eq!(limits_at(1), (5, 7_500));
        assert_eq!(limits_at(2), (10, 15_000));
        assert_eq!(limits_at(u64::MAX), (10, 15_000));
        assert_eq!(limits_at(0), (10, 15_000), "no limit");
    }

    #[test]
    fn an_exception_is_the_librarys_own_fault_and_a_signal_is_not() {
        for (status, own) in [
            (1, true),
            (-9, false),
            (-24, false),
            (-15, false),
            (7, false),
        ] {
            let stderr = String::new();
            let error = CompileError::Ended { status, stderr };
            assert_eq!(error.is_the_librarys(), own, "{status}");
        }
        assert!(!CompileError::NoSandbox.is_the_librarys());
    }
}
