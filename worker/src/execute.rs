//! One execution, in its sandbox: lock down, wait for the job, run it, report, end.
//!
//! What the author's code does is an outcome, never an error. An error here is ours; it is reported
//! and the process ends, so no half-confined sandbox ever runs anything.

use crate::bytecode;
use crate::confine::Confined;
use crate::end_of_run;
use crate::json_depth::json_depth;
use crate::layers::{LayerError, descriptors};
use crate::runner;
use crate::sandbox::{self, Plan, Sandbox};
use crate::status::Status;
use crate::warm_up::Warm;
use codejail_protocol::frame::{self, PREFIX_BYTES};
use codejail_protocol::job::{JobHeader, SandboxReport};
use nix::unistd::read;
use pyo3::exceptions::{PyRecursionError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// Nesting that is far from Python's recursion limit, 1000, of which a level of nesting takes one or two.
const SHALLOW_MAX: usize = 100;

/// Between the last report and the exit. Taking down a large image keeps a processor for milliseconds, in the kernel;
/// what sends the answer, and whoever waits for it on this host, may need just that one. The GIL is held, so no thread
/// of the code goes on meanwhile.
const LINGER: Duration = Duration::from_millis(1);

/// What every sandbox of a worker shares with it.
pub struct Interpreter<'a> {
    /// The warm interpreter's tools.
    pub warm: &'a Warm,
    /// What to be confined with.
    pub confined: &'a Confined,
}

/// A job as it came in: the header and the blobs behind it.
struct Job {
    header: JobHeader,
    code: Vec<u8>,
    globals: Vec<u8>,
    python_lib: Option<Vec<u8>>,
    bytecode: Option<Vec<u8>>,
}

/// Why a job could not be read.
#[derive(Debug, thiserror::Error)]
enum JobError {
    #[error("job pipe: {0}")]
    Read(#[from] nix::errno::Errno),
    #[error("job pipe: {0}")]
    Frame(#[from] frame::FrameError),
    #[error("job pipe: it ended inside a job, or went on after one")]
    Length,
}

/// Runs in the forked child and never returns.
pub fn run(
    py: Python<'_>,
    interpreter: &Interpreter<'_>,
    plan: Plan,
    status: Result<OwnedFd, LayerError>,
) -> ! {
    // Without its status pipe it can tell nobody; its exit does.
    let Ok(pipe) = status else { exit(1) };
    let mut status = Status::new(pipe);
    match prepare(py, interpreter, plan) {
        Ok(sandbox) => {
            status.report(&SandboxReport::Prepared);
            let result = serve_job(py, interpreter, sandbox, &mut status);
            // No job came, or not a whole one: the supervisor is gone or has closed the pipe.
            if let Err(error) = result {
                status.report(&SandboxReport::PrepareFailed { error });
            }
        }
        Err(error) => status.report(&SandboxReport::PrepareFailed { error }),
    }
    exit(1)
}

/// All that can be done before there is a job.
fn prepare(py: Python<'_>, interpreter: &Interpreter<'_>, plan: Plan) -> Result<Sandbox, String> {
    let sandbox = sandbox::enter(plan, runner::SCRIPT.as_bytes(), interpreter.confined)
        .map_err(|error| error.to_string())?;
    stand_in_place(py, interpreter, &sandbox).map_err(|error| error.to_string())?;
    interpreter
        .warm
        .reseed
        .call0(py)
        .map_err(|error| format!("reseed: {error}"))?;
    rehearse(py, interpreter).map_err(|error| format!("rehearse: {error}"))?;
    Ok(sandbox)
}

/// Does ahead of the request what every run does: see `rehearse` in load_job.py.
fn rehearse(py: Python<'_>, interpreter: &Interpreter<'_>) -> PyResult<()> {
    interpreter.warm.prefault.call0(py)?;
    end_of_run::rehearse(py, &py.import("__main__")?.dict())
}

/// Makes the interpreter believe that it was started in the sandbox's directory, with the script there.
fn stand_in_place(
    py: Python<'_>,
    interpreter: &Interpreter<'_>,
    sandbox: &Sandbox,
) -> PyResult<()> {
    let file = sandbox.path().join("jailed_code");
    let file = file.as_os_str();
    py.import("sys")?
        .getattr("path")?
        .set_item(0, sandbox.path().as_os_str())?;
    let main = py.import("__main__")?;
    main.setattr("__file__", file)?;
    if let Ok(loader) = main.getattr("__loader__") {
        loader.setattr("path", file)?;
    }
    interpreter.warm.runner.rename(py, file)
}

/// Reads the job, closes the sandbox around it and runs it. Returns only if that was not possible.
fn serve_job(
    py: Python<'_>,
    interpreter: &Interpreter<'_>,
    sandbox: Sandbox,
    status: &mut Status,
) -> Result<(), String> {
    let job = read_job().map_err(|error| error.to_string())?;
    sandbox
        .close(job.python_lib.as_deref(), &job.header.limits)
        .map_err(|error| error.to_string())?;
    let main = py
        .import("__main__")
        .map_err(|error| error.to_string())?
        .dict();
    let loaded = load(py, interpreter, &job, &main);
    drop(job);
    let result = match loaded {
        Ok(()) => {
            status.report(&SandboxReport::Started);
            interpreter.warm.runner.run(&main)
        }
        Err(error) if is_refusal(py, &error) => {
            let message = error.value(py).to_string();
            status.report(&SandboxReport::Unloadable { message });
            exit(0)
        }
        // The limits bite already: this is the run's own end.
        Err(error) => Err(error),
    };
    let cold_imports = interpreter.warm.cold.imported(py);
    let code = end_of_run::finish(py, result, &main);
    status.report(&SandboxReport::Finished {
        status: code,
        cold_imports,
    });
    std::thread::sleep(LINGER);
    exit(code)
}

/// Whether Python's `json` refused the texts: too many digits are a ValueError, too deep nesting is a
/// RecursionError.
fn is_refusal(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyValueError>(py) || error.is_instance_of::<PyRecursionError>(py)
}

/// Puts `code` and `g_dict` where the runner finds them, and the library on the path.
fn load(
    py: Python<'_>,
    interpreter: &Interpreter<'_>,
    job: &Job,
    main: &Bound<'_, PyDict>,
) -> PyResult<()> {
    let code = PyBytes::new(py, &job.code);
    let globals = PyBytes::new(py, &job.globals);
    let shallow = json_depth(&job.globals) <= SHALLOW_MAX;
    let loaded = interpreter
        .warm
        .load_job
        .call1(py, (code, globals, shallow))?;
    let (code, globals): (Bound<'_, PyAny>, Bound<'_, PyAny>) = loaded.extract(py)?;
    main.set_item("code", code)?;
    main.set_item("g_dict", globals)?;
    if job.header.python_path {
        let path = py.import("sys")?.getattr("path")?;
        path.call_method1("append", (OsStr::from_bytes(b"python_lib.zip"),))?;
        if let Some(bytecode) = &job.bytecode {
            bytecode::offer(py, bytecode)?;
        }
    }
    Ok(())
}

/// Reads one job from standard input, to its end. The clock starts once its limits are known.
fn read_job() -> Result<Job, JobError> {
    let mut prefix = [0; PREFIX_BYTES];
    read_exactly(&mut prefix)?;
    let mut body = vec![0; frame::body_length(prefix)?];
    read_exactly(&mut body)?;
    let header: JobHeader = frame::decode(&body)?;
    header.blobs_bytes().ok_or(JobError::Length)?;
    // Failing to arm it leaves the worker's and the spawner's deadlines; the supervisor keeps both.
    sandbox::start_clock(&header.limits).map_err(|_| JobError::Length)?;
    let job = Job {
        header,
        code: read_blob(header.code_bytes)?,
        globals: read_blob(header.globals_bytes)?,
        python_lib: header.python_lib_bytes.map(read_blob).transpose()?,
        bytecode: header.bytecode_bytes.map(read_blob).transpose()?,
    };
    // The code finds its standard input at its end, as behind the original's `json.load`.
    match read(descriptors::job_input(), &mut [0])? {
        0 => Ok(job),
        _ => Err(JobError::Length),
    }
}

fn read_blob(length: u64) -> Result<Vec<u8>, JobError> {
    let mut blob = vec![0; usize::try_from(length).map_err(|_| JobError::Length)?];
    read_exactly(&mut blob)?;
    Ok(blob)
}

fn read_exactly(mut buffer: &mut [u8]) -> Result<(), JobError> {
    while !buffer.is_empty() {
        match read(descriptors::job_input(), buffer)? {
            0 => return Err(JobError::Length),
            count => buffer = &mut buffer[count..],
        }
    }
    Ok(())
}

/// Ends at once: no destructor, no exit handler, nothing of the warm image is taken down by hand.
pub fn exit(status: i32) -> ! {
    // SAFETY: _exit(2) takes a number and does not return.
    unsafe { libc::_exit(status) }
}
