//! The end of a run as `Py_RunMain` and `Py_FinalizeEx` make it (Python/pylifecycle.c, 3.8 to
//! 3.13), except that the interpreter itself is not taken down, which would cost tens of
//! milliseconds. So one thing is left out: the `__del__` of objects that modules other than
//! `__main__` hold.

use crate::finders::WarmFinders;
use pyo3::exceptions::{PyImportError, PyKeyboardInterrupt, PyRuntimeError, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyInt, PyString, PyType};
use std::{io, ptr};

/// Exit status of an interpreter that could not flush its streams (Modules/main.c).
const FLUSH_FAILED: i32 = 120;

/// Names that an interpreter sets to None before it removes modules (`sys_deletes`,
/// Python/pylifecycle.c). From then on `__del__` can't import.
const SYS_CLEARED: &[&str] = &[
    "path",
    "argv",
    "ps1",
    "ps2",
    "last_exc",
    "last_type",
    "last_value",
    "last_traceback",
    "path_hooks",
    "path_importer_cache",
    "meta_path",
];

/// Does what an interpreter does between the script's last line and its exit. Returns the exit
/// status. A run that was interrupted ends in this function, by SIGINT.
pub fn finish(
    py: Python<'_>,
    result: PyResult<Bound<'_, PyAny>>,
    main: &Bound<'_, PyDict>,
    finders: &WarmFinders,
) -> i32 {
    let mut interrupted = false;
    let status = match result {
        Ok(_) => 0,
        Err(error) if error.is_instance_of::<PySystemExit>(py) => system_exit(py, &error),
        Err(error) => {
            // The class itself, not a subclass (`run_eval_code_obj`, Python/pythonrun.c).
            interrupted = error
                .get_type(py)
                .is(PyType::new::<PyKeyboardInterrupt>(py));
            error.print_and_set_sys_last_vars(py);
            1
        }
    };
    unraisable(py, forbid_threads(py));
    unraisable(py, join_threads(py));
    unraisable(py, run_exit_functions(py));
    let flushed = flush(py);
    finders.keep(py);
    unraisable(py, clear(py, main));
    if interrupted {
        interrupt();
    }
    if flushed { status } else { FLUSH_FAILED }
}

/// Touches the memory that the end of a run writes to, before the request comes and without any
/// effect: see `prefault` in `python/warm_up/load_job.py`.
pub fn prefault(py: Python<'_>, main: &Bound<'_, PyDict>) -> PyResult<()> {
    flush(py);
    let sys = py.import("sys")?;
    for name in SYS_CLEARED.iter().chain(&["stdin", "stdout", "stderr"]) {
        if let Some(value) = sys.getattr_opt(*name)? {
            sys.setattr(*name, value)?;
        }
    }
    drop(names_to_clear(main));
    flush_c_library();
    Ok(())
}

/// The exit status of a `SystemExit`, as `handle_system_exit` in Python/pythonrun.c reads it.
/// For `None` the status is 0. An integer is the status itself (the kernel keeps its low byte). Any
/// other object is printed, and the status is 1.
fn system_exit(py: Python<'_>, error: &PyErr) -> i32 {
    let Ok(code) = error.value(py).getattr("code") else {
        return 1;
    };
    if code.is_none() {
        return 0;
    }
    if code.is_instance_of::<PyInt>() {
        // A number out of range becomes -1 with an error set in C, so the exit status is 255.
        let low_bits = code.extract::<i64>().unwrap_or(-1);
        return i32::from(low_bits.to_le_bytes()[0]);
    }
    print_exit_code(py, &code);
    1
}

/// Prints the object and a newline to `sys.stderr`, or to descriptor 2 if there is no `sys.stderr`.
/// If the object can't be printed, only the newline is.
fn print_exit_code(py: Python<'_>, code: &Bound<'_, PyAny>) {
    let stderr = py.import("sys").and_then(|sys| sys.getattr("stderr"));
    let write = |text: &Bound<'_, PyAny>| match &stderr {
        Ok(stderr) if !stderr.is_none() => stderr.call_method1("write", (text,)).map(drop),
        _ => write_raw(&text.to_string()),
    };
    let _ = code.str().and_then(|text| write(text.as_any()));
    if write(PyString::new(py, "\n").as_any()).is_err() {
        let _ = write_raw("\n");
    }
}

fn write_raw(text: &str) -> PyResult<()> {
    nix::unistd::write(io::stderr(), text.as_bytes()).map_err(io::Error::from)?;
    Ok(())
}

/// In 3.12 no thread can be started from here on, not even by exit functions. 3.13 took that back
/// (`interp->finalizing`, Python/pylifecycle.c and Modules/_threadmodule.c).
fn forbid_threads(py: Python<'_>) -> PyResult<()> {
    let version = py.version_info();
    if (version.major, version.minor) != (3, 12) {
        return Ok(());
    }
    let refuse = PyCFunction::new_closure(py, None, None, |_, _| -> PyResult<()> {
        let error = "can't create new thread at interpreter shutdown";
        Err(PyRuntimeError::new_err(error))
    })?;
    let modules = py.import("sys")?.getattr("modules")?;
    for (module, name) in [
        ("_thread", "start_new_thread"),
        ("_thread", "start_new"),
        ("threading", "_start_new_thread"),
    ] {
        if let Ok(module) = modules.get_item(module) {
            module.setattr(name, &refuse)?;
        }
    }
    Ok(())
}

/// Waits for non-daemon threads. If that takes too long, the kill timer ends the process.
fn join_threads(py: Python<'_>) -> PyResult<()> {
    let modules = py.import("sys")?.getattr("modules")?;
    match modules.get_item("threading") {
        Ok(threading) => threading.call_method0("_shutdown").map(drop),
        Err(_) => Ok(()),
    }
}

fn run_exit_functions(py: Python<'_>) -> PyResult<()> {
    let done = py.import("atexit")?.call_method0("_run_exitfuncs");
    // Before 3.10 this raises the last error, which it has printed already (`call_py_exitfuncs`).
    match py.version_info() < (3, 10) {
        true => Ok(()),
        false => done.map(drop),
    }
}

/// Flushes `sys.stdout` and `sys.stderr`. Returns whether both could be flushed, as
/// `flush_std_files` judges it. A stream that is not there or is closed has nothing to flush. An
/// error of standard error is not printed; only the exit status shows it.
fn flush(py: Python<'_>) -> bool {
    let stream = |name| {
        let stream = py.import("sys").and_then(|sys| sys.getattr(name)).ok()?;
        (!stream.is_none() && !is_closed(&stream)).then_some(stream)
    };
    let mut flushed = true;
    if let Some(stdout) = stream("stdout")
        && let Err(error) = stdout.call_method0("flush")
    {
        error.write_unraisable(py, Some(&stdout));
        flushed = false;
    }
    if let Some(stderr) = stream("stderr") {
        flushed &= stderr.call_method0("flush").is_ok();
    }
    flushed
}

fn is_closed(stream: &Bound<'_, PyAny>) -> bool {
    stream
        .getattr("closed")
        .and_then(|closed| closed.is_truthy())
        .unwrap_or(false)
}

/// Releases the run's objects, so that their `__del__` still runs: first unreachable cycles, then
/// the last exception, then the names of `__main__`, then the cycles that these held. Last, flushes
/// what `__del__` methods have written. If that fails, nobody is told, as in an interpreter.
fn clear(py: Python<'_>, main: &Bound<'_, PyDict>) -> PyResult<()> {
    let sys = py.import("sys")?;
    let gc = py.import("gc")?;
    gc.call_method0("collect")?;
    forbid_imports(&sys)?;
    for name in names_to_clear(main) {
        main.set_item(name, py.None())?;
    }
    gc.call_method0("collect")?;
    for name in ["stdout", "stderr"] {
        let _ = sys
            .getattr(name)
            .and_then(|file| file.call_method0("flush"));
    }
    flush_c_library();
    Ok(())
}

/// The names of `__main__` in the order of `_PyModule_ClearDict` (Objects/moduleobject.c). Names
/// that are not text are left out, as that function leaves them. Names with lone surrogates, which
/// that function clears, are left out too.
fn names_to_clear(main: &Bound<'_, PyDict>) -> impl Iterator<Item = String> {
    let names = main.keys().into_iter();
    let names = names.filter_map(|name| name.extract::<String>().ok());
    let (private, others): (Vec<_>, Vec<_>) = names
        .filter(|name| name != "__builtins__")
        .partition(|name| name.starts_with('_') && !name.starts_with("__"));
    private.into_iter().chain(others)
}

fn flush_c_library() {
    // SAFETY: fflush(3) of null flushes every stream of the C library, as exit(3) does.
    unsafe { libc::fflush(ptr::null_mut()) };
}

/// `finalize_modules_delete_special`. After it an import statement fails, also for a module that
/// was imported before: CPython then empties `sys.modules`. We only replace `__import__`, since
/// emptying `sys.modules` would write to the memory pages of every module.
fn forbid_imports(sys: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = sys.py();
    for name in SYS_CLEARED {
        if sys.hasattr(*name)? {
            sys.setattr(*name, py.None())?;
        }
    }
    for (name, first) in [
        ("stdin", "__stdin__"),
        ("stdout", "__stdout__"),
        ("stderr", "__stderr__"),
    ] {
        sys.setattr(
            name,
            sys.getattr(first)
                .unwrap_or_else(|_| py.None().into_bound(py)),
        )?;
    }
    let refuse = PyCFunction::new_closure(py, None, None, |_, _| -> PyResult<()> {
        Err(PyImportError::new_err(
            "sys.meta_path is None, Python is likely shutting down",
        ))
    })?;
    py.import("builtins")?.setattr("__import__", refuse)
}

/// An unhandled KeyboardInterrupt ends Python by the signal itself (`exit_sigint`, Modules/main.c).
fn interrupt() {
    // SAFETY: resetting a signal to its default and sending it to oneself touches no memory.
    unsafe {
        libc::signal(libc::SIGINT, libc::SIG_DFL);
        libc::kill(libc::getpid(), libc::SIGINT);
    }
}

/// Prints the error and goes on, as the interpreter does with errors at its end.
fn unraisable(py: Python<'_>, result: PyResult<()>) {
    if let Err(error) = result {
        error.write_unraisable(py, None);
    }
}
