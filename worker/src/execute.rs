//! One execution, in its sandbox: lock down, wait for the job, run it, report, end.
//!
//! What the author's code does is an outcome, never an error. An error here is ours; it is reported
//! and the process ends, so no half-confined sandbox ever runs anything.

use crate::bytecode;
use crate::confine::Confined;
use crate::end_of_run;
use crate::job::{ReceivedJob, read_job};
use crate::json_depth::json_depth;
use crate::layers::LayerError;
use crate::layers::scratch::{JAILED_CODE, PYTHON_LIB};
use crate::runner;
use crate::sandbox::{self, Sandbox, SandboxSpec};
use crate::signals::Ignored;
use crate::status::Status;
use crate::warm_up::Warm;
use codejail_protocol::job::{SandboxReport, Usage};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use pyo3::exceptions::{PyRecursionError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Nesting that is far from Python's recursion limit, 1000: a level of nesting takes one or two of
/// them.
const SHALLOW_MAX: usize = 100;

/// Between the last report and the exit. The kernel keeps a processor for milliseconds to take down
/// a large image. The supervisor, which sends the answer, and a client on this host, which waits
/// for it, may need that very processor. The GIL is held, so no thread of the code goes on
/// meanwhile.
const EXIT_DELAY: Duration = Duration::from_millis(1);

/// Exit status of a worker that could not start: EX_UNAVAILABLE of sysexits(3).
pub const CANNOT_START: i32 = 69;

/// What every sandbox has from its worker.
pub struct Inherited<'a> {
    /// The warm interpreter's tools.
    pub warm: &'a Warm,
    /// What to be confined with.
    pub confined: &'a Confined,
    /// The signals that the worker ignores.
    pub ignored: &'a Ignored,
}

/// Runs in the forked child and never returns.
pub fn run(
    py: Python<'_>,
    inherited: &Inherited<'_>,
    spec: SandboxSpec,
    status: Result<OwnedFd, LayerError>,
) -> ! {
    // Without its status pipe it can tell nobody; its exit tells enough.
    let Ok(pipe) = status else { exit(1) };
    let mut status = Status::new(pipe);
    match prepare(py, inherited, spec) {
        Ok(sandbox) => {
            status.report(&SandboxReport::Prepared { used: used() });
            let result = serve_job(py, inherited, sandbox, &mut status);
            // No whole job came, because the supervisor is gone or has closed the pipe; or the
            // sandbox could not close around it.
            if let Err(error) = result {
                status.report(&SandboxReport::PrepareFailed { error });
            }
        }
        Err(error) => status.report(&SandboxReport::PrepareFailed { error }),
    }
    exit(1)
}

/// What this process has used so far, getrusage(2). Asked before there is a job, where the time
/// does not count.
fn used() -> Usage {
    let micros = |time: TimeVal| {
        let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
        u64::try_from(micros).unwrap_or(0)
    };
    // It has no reason to fail; then a run seems to use what its preparation did.
    getrusage(UsageWho::RUSAGE_SELF).map_or(Usage::default(), |usage| Usage {
        cpu_us: micros(usage.user_time()) + micros(usage.system_time()),
        resident_kib_max: usage.max_rss().unsigned_abs(),
    })
}

/// All that can be done before there is a job.
fn prepare(
    py: Python<'_>,
    inherited: &Inherited<'_>,
    spec: SandboxSpec,
) -> Result<Sandbox, String> {
    let ignored = inherited.ignored.restore();
    ignored.map_err(|errno| format!("actions of signals: {errno}"))?;
    let sandbox = sandbox::enter(spec, runner::SCRIPT.as_bytes(), inherited.confined)
        .map_err(|error| error.to_string())?;
    stand_in_place(py, inherited, &sandbox).map_err(|error| error.to_string())?;
    inherited
        .warm
        .make_own
        .call0(py)
        .map_err(|error| format!("make_own: {error}"))?;
    prefault(py, inherited).map_err(|error| format!("prefault: {error}"))?;
    Ok(sandbox)
}

/// Does ahead of the request what every run does: see `prefault` in `python/warm_up/load_job.py`.
fn prefault(py: Python<'_>, inherited: &Inherited<'_>) -> PyResult<()> {
    inherited.warm.prefault.call0(py)?;
    end_of_run::prefault(py, &py.import("__main__")?.dict())
}

/// Makes the interpreter believe that it was started in the sandbox's directory, with the script
/// there: up to Python 3.8 its name stays as it was given.
fn stand_in_place(py: Python<'_>, inherited: &Inherited<'_>, sandbox: &Sandbox) -> PyResult<()> {
    let file = match py.version_info() >= (3, 9) {
        true => sandbox.path().join(JAILED_CODE),
        false => JAILED_CODE.into(),
    };
    let file = file.as_os_str();
    py.import("sys")?
        .getattr("path")?
        .set_item(0, sandbox.path().as_os_str())?;
    let main = py.import("__main__")?;
    main.setattr("__file__", file)?;
    if let Ok(loader) = main.getattr("__loader__") {
        loader.setattr("path", file)?;
    }
    inherited.warm.runner.rename(py, file)
}

/// Reads the job, closes the sandbox around it and runs it. Returns only if that was not possible.
fn serve_job(
    py: Python<'_>,
    inherited: &Inherited<'_>,
    mut sandbox: Sandbox,
    status: &mut Status,
) -> Result<(), String> {
    let job = read_job(&mut sandbox).map_err(|error| error.to_string())?;
    let main = py
        .import("__main__")
        .map_err(|error| error.to_string())?
        .dict();
    sandbox
        .close(job.python_lib.as_deref(), &job.header.limits)
        .map_err(|error| error.to_string())?;
    // The job's limits hold from here on. Whatever ends the process now is the job's own end, also
    // while the job is loaded.
    status.report(&SandboxReport::Closed);
    let loaded = load(py, inherited, &job, &main);
    drop(job);
    let result = match loaded {
        Ok(()) => {
            status.report(&SandboxReport::Started);
            inherited.warm.runner.run(&main)
        }
        Err(error) if is_refusal(py, &error) => {
            let message = error.value(py).to_string();
            status.report(&SandboxReport::Unloadable { message });
            exit(0)
        }
        // Too little memory is left, for example: the run ends with it as with an error of its
        // code.
        Err(error) => {
            status.report(&SandboxReport::Started);
            Err(error)
        }
    };
    let cold_imports = inherited.warm.cold.imported(py);
    let code = end_of_run::finish(py, result, &main, &inherited.warm.finders);
    status.report(&SandboxReport::Finished {
        status: code,
        cold_imports,
    });
    std::thread::sleep(EXIT_DELAY);
    exit(code)
}

/// Whether Python's `json` refused the texts: too many digits are a ValueError, too deep nesting is
/// a RecursionError.
fn is_refusal(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyValueError>(py) || error.is_instance_of::<PyRecursionError>(py)
}

/// Puts `code` and `g_dict` where the runner finds them, and the library on the path.
fn load(
    py: Python<'_>,
    inherited: &Inherited<'_>,
    job: &ReceivedJob,
    main: &Bound<'_, PyDict>,
) -> PyResult<()> {
    let code = PyBytes::new(py, &job.code);
    let globals = PyBytes::new(py, &job.globals);
    let shallow = json_depth(&job.globals) <= SHALLOW_MAX;
    let loaded = inherited
        .warm
        .load_job
        .call1(py, (code, globals, shallow))?;
    let (code, globals): (Bound<'_, PyAny>, Bound<'_, PyAny>) = loaded.extract(py)?;
    main.set_item("code", code)?;
    main.set_item("g_dict", globals)?;
    if job.header.python_path {
        let path = py.import("sys")?.getattr("path")?;
        path.call_method1("append", (PYTHON_LIB,))?;
        if let Some(bytecode) = &job.bytecode {
            bytecode::offer(py, bytecode)?;
        }
    }
    Ok(())
}

/// Ends at once: no destructor, no exit handler, nothing of the warm image is taken down by hand.
pub fn exit(status: i32) -> ! {
    // SAFETY: _exit(2) takes a number and does not return.
    unsafe { libc::_exit(status) }
}
