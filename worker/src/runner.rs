//! `jailed_code`, the script that every sandbox seems to have been started with.
//!
//! It is compiled once, in the worker, and its first part is executed there too: in each child both
//! would cost 1.7 ms and 280 page faults (2026-11-25, two shared cores, Python 3.11). Two sandboxes
//! differ only in the name of the file, which is then put in its place.

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

/// The runner in a warm interpreter. `__main__` has the names that its first part makes.
#[derive(Debug)]
pub struct Runner {
    start: Py<PyAny>,
    /// The code that comes after the first part.
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
    /// Compiles the script, and executes its first part in `__main__`. From here on, print writes
    /// nowhere.
    pub fn start(py: Python<'_>) -> PyResult<Self> {
        let builtins = py.import("builtins")?;
        let compile =
            |text| builtins.call_method1("compile", (text, "jailed_code", "exec", 0, true));
        let (first_part, others) = parts()?;
        let start = compile(first_part.to_owned())?;
        // The functions and lines of the rest keep their line numbers.
        let rest = compile("\n".repeat(first_part.lines().count()) + others)?;
        let main = py.import("__main__")?.dict();
        builtins.call_method1("exec", (&start, main))?;
        Ok(Self {
            start: start.unbind(),
            rest: rest.unbind(),
            rename: py.import("_imp")?.getattr("_fix_co_filename")?.unbind(),
        })
    }

    /// Gives the script the name `file`, in all its functions. The import system does the same to
    /// byte code of a file that has moved (`_imp._fix_co_filename`, Python/import.c).
    pub fn rename(&self, py: Python<'_>, file: &OsStr) -> PyResult<()> {
        for code in [&self.start, &self.rest] {
            self.rename.call1(py, (code, file))?;
        }
        Ok(())
    }

    /// Runs what comes after the first part.
    ///
    /// It is called by PyEval_EvalCode from C, so no Python frame lies below. The call of this
    /// worker's hook is taken off the count of recursion. Before 3.12, C calls count together with
    /// Python's; in 3.12 they have a count of their own.
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

/// Undoes the entries that the call of `serve` made in the count of recursion. This process never
/// returns there.
///
/// Py_LeaveRecursiveCall is looked up at run time. Python 3.8 has only a macro of that name, so a
/// reference to a function would keep 3.8 from loading the module. In 3.8 the count is a field of
/// the thread's state. No C call below this one has a frame, so the count is that of the hook
/// alone.
fn take_hook_off_the_count(py: Python<'_>) {
    /// `recursion_depth` of `struct _ts` (Include/cpython/pystate.h of 3.8), after four pointers.
    const DEPTH_OFFSET: usize = 4 * size_of::<usize>();
    /// How often a call of a C function counts in 3.8.
    const ENTRIES_MAX: c_int = 2;
    // SAFETY: the name is a C string. If the interpreter has that symbol, it is a function without
    // arguments and result, which changes only this thread's state. Otherwise it is 3.8, whose
    // thread states have that field. The GIL is held, so the state is this thread's.
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
