//! Makes the interpreter look as if it had been started by `python -E -B jailed_code`, as the
//! original's is.
//!
//! It was started without `-E`, which would keep Python from its hash seed
//! (`codejail_protocol::environment`). Python has heeded no other variable. So only what can be
//! seen must be set right.

use codejail_protocol::environment::{HASH_SEED, true_name};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use std::ffi::{CStr, c_int};

/// Places in `sys.flags` (`flags_fields` of the interpreter's Python/sysmodule.c, 3.8 to 3.14).
const IGNORE_ENVIRONMENT: isize = 7;
const HASH_RANDOMIZATION: isize = 11;

/// The interpreter's own copies in C, which libraries can read. Later versions do not have them.
const C_FLAGS: [&CStr; 2] = [c"Py_IgnoreEnvironmentFlag", c"Py_HashRandomizationFlag"];

/// Sets flags, arguments and environment right, before any other code runs.
pub fn as_with_e(py: Python<'_>) -> PyResult<()> {
    let sys = py.import("sys")?;
    set_flags(py, &sys.getattr("flags")?)?;
    // Before 3.10 Python does not keep the original arguments.
    if let Ok(arguments) = sys.getattr("orig_argv") {
        arguments.cast::<PyList>()?.insert(1, "-E")?;
    }
    restore_environment(&py.import("os")?.getattr("environ")?)
}

/// What the flags say under `-E`: Python ignores the environment and takes a random seed.
fn set_flags(py: Python<'_>, flags: &Bound<'_, PyAny>) -> PyResult<()> {
    for (place, name) in [
        (IGNORE_ENVIRONMENT, "ignore_environment"),
        (HASH_RANDOMIZATION, "hash_randomization"),
    ] {
        let one = 1_i32.into_pyobject(py)?.into_any().unbind();
        // SAFETY: the object is a structure sequence with more places than these. The call takes
        // over the reference to the new value. The old value is a small number.
        unsafe { pyo3::ffi::PyStructSequence_SetItem(flags.as_ptr(), place, one.into_ptr()) };
        if flags.getattr(name)?.extract::<i32>()? != 1 {
            let error = format!("sys.flags.{name} lies elsewhere in this Python");
            return Err(PyRuntimeError::new_err(error));
        }
    }
    for name in C_FLAGS {
        // SAFETY: the name is a C string; where the interpreter has such a symbol, it is a C int,
        // and only this thread runs.
        unsafe {
            let flag = libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()).cast::<c_int>();
            if let Some(flag) = flag.as_mut() {
                *flag = 1;
            }
        }
    }
    Ok(())
}

/// Removes the seed's variable, and gives the variables that were held back their names again.
fn restore_environment(environ: &Bound<'_, PyAny>) -> PyResult<()> {
    environ.del_item(HASH_SEED)?;
    let items = environ.call_method0("copy")?.call_method0("items")?;
    let all = items.try_iter()?.map(|item| item?.extract());
    let all: Vec<(String, String)> = all.collect::<PyResult<_>>()?;
    if all.iter().all(|(name, _)| true_name(name) == name) {
        return Ok(());
    }
    // All are set anew, so that they are in the order in which they were given.
    environ.call_method0("clear")?;
    for (name, value) in all {
        environ.set_item(true_name(&name), value)?;
    }
    Ok(())
}
