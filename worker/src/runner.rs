//! `jailed_code`, the script that every sandbox seems to have been started with.
//!
//! Compiled, and its first part executed, once in the worker: in a child both would cost 1.7 ms and
//! 280 page faults (2026-11-25, two shared cores, Python 3.11). What differs between two sandboxes
//! is the name of the file, and that is put in its place.

use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ffi::{OsStr, c_int, c_void};
use std::mem;

/// The whole script, as it lies in a sandbox's directory. Authors see its lines in tracebacks.
pub const SCRIPT: &str = include_str!("python/runner/jailed_code.py");

/// The first line that needs a job, and the empty line before it.
const FIRST_LINE_OF_A_JOB: &str = "\nexec(code, g_dict)\n";

/// The runner in a warm interpreter: `__main__` has what its first part makes.
#[derive(Debug)]
pub struct Runner {
    start: Py<PyAny>,
    /// What comes after the first part.
    pub rest: Py<PyAny>,
    rename: Py<PyAny>,
}

/// The part for which no job is needed, and the rest.
fn parts() -> PyResult<(&'static str, &'static str)> {
    let start_bytes = SCRIPT.find(FIRST_LINE_OF_A_JOB);
    let parts = start_bytes.and_then(|bytes| SCRIPT.split_at_checked(bytes));
    parts.ok_or_else(|| PyValueError::new_err("jailed_code does not execute the job's code"))
}

impl Runner {
    /// Compiles it, and executes its first part in `__main__`: print goes nowhere from here on.
    pub fn start(py: Python<'_>) -> PyResult<Self> {
        let builtins = py.import("builtins")?;
        let compile =
            |text| builtins.call_method1("compile", (text, "jailed_code", "exec", 0, true));
        let (first_part, others) = parts()?;
        let start = compile(first_part.to_owned())?;
        // Its functions and its lines keep their numbers.
        let rest = compile("\n".repeat(first_part.lines().count()) + others)?;
        let main = py.import("__main__")?.dict();
        builtins.call_method1("exec", (&start, main))?;
        Ok(Self {
            start: start.unbind(),
            rest: rest.unbind(),
            rename: py.import("_imp")?.getattr("_fix_co_filename")?.unbind(),
        })
    }

    /// Gives it the name `file`, in all its functions, by what the import system does to byte code
    /// that has moved (`_imp._fix_co_filename`, Python/import.c).
    pub fn rename(&self, py: Python<'_>, file: &OsStr) -> PyResult<()> {
        for code in [&self.start, &self.rest] {
            self.rename.call1(py, (code, file))?;
        }
        Ok(())
    }

    /// Runs what comes after the first part.
    ///
    /// PyEval_EvalCode on the C stack: no Python frame lies below, and the call of this worker's
    /// hook is taken off the count: C calls count as recursion too before 3.12, and by themselves
    /// in it.
    pub fn run<'py>(&self, main: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyAny>> {
        let py = main.py();
        if py.version_info() < (3, 13) {
            take_hook_off_the_count(py);
        }
        // SAFETY: the GIL is held; `rest` is a code object and main a dict, both alive during the
        // call, which returns a new reference or null with an exception set.
        unsafe {
            let result = ffi::PyEval_EvalCode(self.rest.as_ptr(), main.as_ptr(), main.as_ptr());
            Bound::from_owned_ptr_or_err(py, result)
        }
    }
}

/// Undoes the entries that calling `serve` made; this process never returns there.
///
/// Py_LeaveRecursiveCall is looked up, as Python 3.8 has a macro of that name: a reference would
/// keep it from loading the module. There the count is a field of the thread's state, and no C call
/// below this one has a frame: what it counts is the hook's.
fn take_hook_off_the_count(py: Python<'_>) {
    /// `recursion_depth` of `struct _ts` (Include/cpython/pystate.h of 3.8), after four pointers.
    const DEPTH_OFFSET: usize = 4 * size_of::<usize>();
    /// How often a call of a C function counts there.
    const ENTRIES_MAX: c_int = 2;
    // SAFETY: the name is a C string. Where an interpreter has that symbol, it is a function
    // without arguments and result, which touches this thread's state alone. Where not, it is 3.8,
    // whose thread states have that field. The GIL is held, so the state is this thread's.
    unsafe {
        let symbol = libc::dlsym(libc::RTLD_DEFAULT, c"Py_LeaveRecursiveCall".as_ptr());
        match mem::transmute::<*mut c_void, Option<unsafe extern "C" fn()>>(symbol) {
            Some(leave) => leave(),
            None if py.version_info() < (3, 9) => {
                let depth = ffi::PyThreadState_Get()
                    .byte_add(DEPTH_OFFSET)
                    .cast::<c_int>();
                if (1..=ENTRIES_MAX).contains(&*depth) {
                    *depth = 0;
                }
            }
            None => {}
        }
    }
}
