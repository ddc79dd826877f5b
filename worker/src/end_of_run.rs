//! The end of a run as `Py_RunMain` and `Py_FinalizeEx` make it (Python/pylifecycle.c, 3.9 to 3.13),
//! but for taking the interpreter itself down, which costs tens of milliseconds and which nobody can
//! observe: the process ends right after.

use pyo3::exceptions::{PyKeyboardInterrupt, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Exit status of an interpreter that could not flush its streams (Modules/main.c).
const FLUSH_FAILED: i32 = 120;

/// Does what an interpreter does between the script's last line and its exit, and returns the exit
/// status. A run that was interrupted ends here, by SIGINT.
pub fn finish(py: Python<'_>, result: PyResult<Bound<'_, PyAny>>, main: &Bound<'_, PyDict>) -> i32 {
    let mut interrupted = false;
    let status = match result {
        Ok(_) => 0,
        Err(error) if error.is_instance_of::<PySystemExit>(py) => system_exit(py, &error),
        Err(error) => {
            interrupted = error.is_instance_of::<PyKeyboardInterrupt>(py);
            error.print_and_set_sys_last_vars(py);
            1
        }
    };
    unraisable(py, join_threads(py));
    unraisable(py, run_exit_functions(py));
    let mut flushed = flush(py);
    unraisable(py, clear(py, main));
    flushed &= flush(py);
    if interrupted {
        interrupt();
    }
    match status {
        0 if !flushed => FLUSH_FAILED,
        status => status,
    }
}

/// What `SystemExit` asks for, as `handle_system_exit` in Python/pythonrun.c reads it: nothing is 0,
/// an integer is itself (the kernel keeps its low byte), anything else is printed and is 1.
fn system_exit(py: Python<'_>, error: &PyErr) -> i32 {
    let Ok(code) = error.value(py).getattr("code") else {
        return 1;
    };
    if code.is_none() {
        return 0;
    }
    if code.is_instance_of::<pyo3::types::PyInt>() {
        // Out of range it is C's -1 with an error set, and the exit status 255.
        let low_bits = code.extract::<i64>().unwrap_or(-1);
        return i32::from(low_bits.to_le_bytes()[0]);
    }
    unraisable(py, print_to_stderr(py, &code));
    1
}

fn print_to_stderr(py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<()> {
    let stderr = py.import("sys")?.getattr("stderr")?;
    stderr.call_method1("write", (message.str()?,))?;
    stderr.call_method1("write", ("\n",)).map(drop)
}

/// Waits for non-daemon threads; past the deadline the kill timer ends it.
fn join_threads(py: Python<'_>) -> PyResult<()> {
    let modules = py.import("sys")?.getattr("modules")?;
    match modules.get_item("threading") {
        Ok(threading) => threading.call_method0("_shutdown").map(drop),
        Err(_) => Ok(()),
    }
}

fn run_exit_functions(py: Python<'_>) -> PyResult<()> {
    py.import("atexit")?
        .call_method0("_run_exitfuncs")
        .map(drop)
}

/// Flushes the standard streams; whether what was printed has arrived. Like `flush_std_files`, only
/// standard output counts, and standard error's trouble is not reported.
fn flush(py: Python<'_>) -> bool {
    let Ok(sys) = py.import("sys") else {
        return false;
    };
    let flush = |name| -> PyResult<()> {
        let stream = sys.getattr(name)?;
        if stream.is_none() || is_closed(&stream) {
            return Ok(());
        }
        stream.call_method0("flush").map(drop)
    };
    let flushed = flush("stdout").and_then(|()| flush("__stdout__"));
    let _ = flush("stderr").and_then(|()| flush("__stderr__"));
    match flushed {
        Ok(()) => true,
        Err(error) => {
            error.write_unraisable(py, None);
            false
        }
    }
}

fn is_closed(stream: &Bound<'_, PyAny>) -> bool {
    stream
        .getattr("closed")
        .and_then(|closed| closed.is_truthy())
        .unwrap_or(false)
}

/// Lets go of the run's objects, so that what their `__del__` does still happens: the exception
/// first, then `__main__`'s names in the order of `_PyModule_ClearDict`, then cycles.
fn clear(py: Python<'_>, main: &Bound<'_, PyDict>) -> PyResult<()> {
    let sys = py.import("sys")?;
    for name in ["last_exc", "last_type", "last_value", "last_traceback"] {
        if sys.hasattr(name)? {
            sys.setattr(name, py.None())?;
        }
    }
    // A name that is no text, or holds lone surrogates, is left: the original's ends as late.
    let names = main
        .keys()
        .iter()
        .filter_map(|name| name.extract::<String>().ok());
    let (private, others): (Vec<_>, Vec<_>) =
        names.partition(|name| name.starts_with('_') && !name.starts_with("__"));
    for name in private.iter().chain(&others) {
        if name != "__builtins__" {
            main.set_item(name, py.None())?;
        }
    }
    py.import("gc")?.call_method0("collect").map(drop)
}

/// An unhandled KeyboardInterrupt ends Python by the signal itself (`exit_sigint`, Modules/main.c).
fn interrupt() {
    // SAFETY: resetting a signal to its default and sending it to oneself touches no memory.
    unsafe {
        libc::signal(libc::SIGINT, libc::SIG_DFL);
        libc::kill(libc::getpid(), libc::SIGINT);
    }
}

/// As the interpreter does with errors at its end: print and go on.
fn unraisable(py: Python<'_>, result: PyResult<()>) {
    if let Err(error) = result {
        error.write_unraisable(py, None);
    }
}
