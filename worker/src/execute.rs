//! One execution, in its sandbox: lock down, wait for the job, run it, report, end.
//!
//! What the author's code does is an outcome, never an error. An error here is a fault of ours. It
//! is reported and the process ends, so no half-confined sandbox ever runs code.

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

/// Nesting that is far from Python's recursion limit of 1000. Each level of nesting takes one or
/// two levels of recursion.
const SHALLOW_MAX: usize = 100;

/// The time between the last report and the exit. At the exit the kernel takes down a large image,
/// which keeps a processor busy for milliseconds. The supervisor that sends the answer, and a
/// client on this host that waits for it, may need that processor. The GIL is held meanwhile, so no
/// thread of the code goes on.
const EXIT_DELAY: Duration = Duration::from_millis(1);

/// Exit status of a worker that could not start: EX_UNAVAILABLE of sysexits(3).
pub const CANNOT_START: i32 = 69;

/// What every sandbox has from its worker.
pub struct Inherited<'a> {
    /// The warm interpreter's tools.
    pub warm: &'a Warm,
    /// The profiles, rulesets and filters with which a sandbox is confined.
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
    // A sandbox without its status pipe can't report; its exit tells enough.
    let Ok(pipe) = status else { exit(1) };
    let mut status = Status::new(pipe);
    match prepare(py, inherited, spec) {
        Ok(sandbox) => {
            status.report(&SandboxReport::Prepared { used: used() });
            let result = serve_job(py, inherited, sandbox, &mut status);
            // No whole job came, because the supervisor is gone or has closed the pipe. Or a step
            // of the second stage of confinement failed.
            if let Err(error) = result {
                status.report(&SandboxReport::PrepareFailed { error });
            }
        }
        Err(error) => status.report(&SandboxReport::PrepareFailed { error }),
    }
    exit(1)
}

/// What this process has used so far, getrusage(2). It is asked before there is a job, when the
/// time does not count.
fn used() -> Usage {
    let micros = |time: TimeVal| {
        let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
        u64::try_from(micros).unwrap_or(0)
    };
    // The call has no reason to fail. If it does, the preparation counts as a part of the run.
    getrusage(UsageWho::RUSAGE_SELF).map_or(Usage::default(), |usage| Usage {
        cpu_us: micros(usage.user_time()) + micros(usage.system_time()),
        resident_kib_max: usage.max_rss().unsigned_abs(),
    })
}

/// Everything that can be done before there is a job.
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

/// Does once, before the request comes, what every run does: see `prefault` in
/// `python/warm_up/load_job.py`.
fn prefault(py: Python<'_>, inherited: &Inherited<'_>) -> PyResult<()> {
    inherited.warm.prefault.call0(py)?;
    end_of_run::prefault(py, &py.import("__main__")?.dict())
}

/// Makes the interpreter believe that it was started in the sandbox's directory, with the script
/// that lies there. In Python 3.8 the script's name stays as it was given.
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

/// Reads the job, closes the sandbox around it and runs it. Returns only if one of these failed.
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
    // The job's limits hold from here on. From here on also, any end of the process is the result
    // of the job, even while the job is being loaded.
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
        // For example, too little memory is left. The run then ends with that error, as if its code
        // had raised it.
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

/// Whether Python's `json` refused the texts. Too many digits are a ValueError; nesting that is too
/// deep is a RecursionError.
fn is_refusal(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyValueError>(py) || error.is_instance_of::<PyRecursionError>(py)
}

/// Puts `code` and `g_dict` where the runner finds them, and puts the library on the path.
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

/// Ends at once: no destructor and no exit handler runs, and nothing of the warm image is taken
/// down by hand.
pub fn exit(status: i32) -> ! {
    // SAFETY: _exit(2) takes a number and does not return.
    unsafe { libc::_exit(status) }
}
