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

/// Of a library's sources, uncompressed, what is compiled: 3 s of work here.
const SOURCES_BYTES_MAX: usize = 4 << 20;
/// Of its bytecode, what is kept. It takes up to twice what its source takes.
const BYTECODE_BYTES_MAX: usize = 8 << 20;
/// Base64 makes four bytes of three, and some names are beside it.
const REPLY_BYTES_MAX: usize = BYTECODE_BYTES_MAX / 3 * 4 + (1 << 16);

/// What the compilation may use, whatever executions may: some libraries are larger than one execution
/// could compile in its time. Memory: a source of 4 MiB takes some 200 MiB.
const LIMITS: Limits = Limits {
    cpu_s: 10,
    realtime_ms: 15_000,
    vmem_bytes: 512 << 20,
    fsize_bytes: 0,
    nproc: 1,
};

/// How often, at most, a moment is looked for in which no client waits; then it takes its place in line
/// as a client's execution does. So a service that is never idle gets its bytecode too.
const IDLE_LOOKS_MAX: u32 = 50;
const IDLE_LOOK: Duration = Duration::from_millis(20);
/// How long it may wait in line: longer than a worker takes to be replaced.
const TAKE_MAX: Duration = Duration::from_secs(60);

/// Why there is no bytecode.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// No sandbox was to be had.
    #[error("no sandbox could take it")]
    NoSandbox,
    /// The library was too much for the compiler, or is no library.
    #[error("it ended with {status}: {stderr}")]
    Ended {
        /// As of any execution.
        status: i32,
        /// The end of what it said.
        stderr: String,
    },
    /// Its answer is none of the script's.
    #[error("its answer can't be read: {0}")]
    Answer(String),
    /// Its worker was lost with it.
    #[error("{0}")]
    Lost(String),
}

/// The globals that the script leaves.
#[derive(Deserialize)]
struct CompiledJson {
    bytecode: Option<String>,
}

/// The bytecode of all modules of `library`; none if it has no module that can be compiled without an
/// error or a warning.
///
/// # Errors
/// It could not be compiled.
pub async fn compile(
    library: &[u8],
    pool: &Pool,
    admission: &Admission,
) -> Result<Option<Bytes>, CompileError> {
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
        // The library must not be able to put a module of its own in the place of one of the script's.
        python_path: false,
        limits: LIMITS,
    };
    let bounds = CaptureBounds {
        reply_bytes_max: REPLY_BYTES_MAX,
        output_bytes_max: 1 << 16,
    };
    for _ in 0..IDLE_LOOKS_MAX {
        if admission.waiting() == 0 && pool.ready() > 0 {
            break;
        }
        sleep(IDLE_LOOK).await;
    }
    let take = || pool.take_for_service();
    match run_somewhere(take, job, bounds, Instant::now() + TAKE_MAX).await {
        Attempt::Ran(outcome, _) => bytecode_of(outcome),
        Attempt::TooLate | Attempt::NoneCould(_) => Err(CompileError::NoSandbox),
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

/// What the sandbox says is the library's claim: it is no more than bytes for executions of the same
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
