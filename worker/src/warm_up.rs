//! Makes the interpreter warm: preloads, makes what was preloaded indistinguishable from fresh,
//! starts what every sandbox runs.

use crate::cold_imports::ColdLibraries;
use crate::runner::Runner;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyModule};

/// Python parts that run in one private namespace, in this order, and never enter `sys.modules`.
const PARTS: &[(&str, &str)] = &[
    (
        "<codejail late_random>",
        include_str!("python/late_random.py"),
    ),
    ("<codejail rng>", include_str!("python/rng.py")),
    ("<codejail warm_up>", include_str!("python/warm_up.py")),
    ("<codejail libraries>", include_str!("python/libraries.py")),
    (
        "<codejail json_straw>",
        include_str!("python/json_straw.py"),
    ),
    ("<codejail load_job>", include_str!("python/load_job.py")),
];

/// The warm interpreter's private tools.
#[derive(Debug)]
pub struct Warm {
    /// Modules that could not be preloaded, with the error.
    pub failed: Vec<(String, String)>,
    /// What the sandbox venv has: top-level names.
    pub libraries: Vec<String>,
    /// Those of them of which nothing is loaded.
    pub cold: ColdLibraries,
    /// `reseed()`: fresh entropy for every unseeded generator.
    pub reseed: Py<PyAny>,
    /// `load_job(code, globals)`.
    pub load_job: Py<PyAny>,
    /// `rehearse()`: what every run does, once ahead of the request.
    pub rehearse: Py<PyAny>,
    /// What every sandbox runs.
    pub runner: Runner,
}

/// Warms the interpreter up.
pub fn run(py: Python<'_>, preload: &[String]) -> PyResult<Warm> {
    let tools = PyDict::new(py);
    tools.set_item("first_of", wrap_pyfunction!(first_of, py)?)?;
    for (name, source) in PARTS {
        let builtins = PyModule::import(py, "builtins")?;
        let code = builtins.call_method1("compile", (*source, name, "exec", 0, true))?;
        builtins.call_method1("exec", (code, &tools))?;
    }
    let tool = |name: &str| tools.as_any().get_item(name);
    let failed = tool("warm_up")?.call1((preload.to_vec(),))?.extract()?;
    forget_bootstrap(py)?;
    flush_buffers(py)?;
    let libraries: Vec<String> = tool("libraries")?.call0()?.extract()?;
    let cold = ColdLibraries::new(tool("not_loaded")?.call1((libraries.clone(),))?.extract()?);
    let runner = Runner::start(py)?;
    tool("freeze")?.call0()?;
    Ok(Warm {
        failed,
        libraries,
        cold,
        reseed: tool("reseed")?.unbind(),
        load_job: tool("load_job")?.unbind(),
        rehearse: tool("rehearse")?.unbind(),
        runner,
    })
}

/// What preloaded modules printed goes to the log: every sandbox would be born with it in its buffers
/// and find it in its answer.
fn flush_buffers(py: Python<'_>) -> PyResult<()> {
    let sys = py.import("sys")?;
    for name in ["__stdout__", "__stderr__"] {
        sys.getattr(name)?.call_method0("flush")?;
    }
    // SAFETY: fflush(3) of null flushes every stream of the C library.
    unsafe { libc::fflush(std::ptr::null_mut()) };
    Ok(())
}

/// `first_of(one, other)`: a function that gives what `one` does with its arguments, or if that is
/// None, what `other` does. As it is no Python, it has no frame: what stands in for a part of the
/// import system with it shows in no traceback.
#[pyfunction]
fn first_of<'py>(
    py: Python<'py>,
    one: Py<PyAny>,
    other: Py<PyAny>,
) -> PyResult<Bound<'py, PyCFunction>> {
    PyCFunction::new_closure(py, None, None, move |arguments, _| {
        let py = arguments.py();
        match one.call1(py, arguments.clone())? {
            result if result.is_none(py) => other.call1(py, arguments.clone()),
            result => Ok(result),
        }
    })
}

/// Takes from `__main__` and `sys` what the bootstrap and its exception left there.
fn forget_bootstrap(py: Python<'_>) -> PyResult<()> {
    let sys = py.import("sys")?;
    sys.setattr("excepthook", sys.getattr("__excepthook__")?)?;
    for name in ["last_type", "last_value", "last_traceback", "last_exc"] {
        if sys.hasattr(name)? {
            sys.delattr(name)?;
        }
    }
    let main = py.import("__main__")?.dict();
    for key in main.keys().extract::<Vec<String>>()? {
        if !key.starts_with("__") {
            main.del_item(key)?;
        }
    }
    Ok(())
}
