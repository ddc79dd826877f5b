//! Makes the interpreter warm: preloads libraries, makes them look as if nothing had been imported,
//! and starts the runner that every sandbox continues.

use crate::cold_imports::ColdLibraries;
use crate::finders::WarmFinders;
use crate::runner::Runner;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyCFunction, PyDict, PyModule};

/// The module that loads the others; see its text.
const IMPORTER: &str = include_str!("python/importer.py");

/// Name and text of one module of the package.
macro_rules! module {
    ($name:literal) => {
        (
            concat!("warm_up.", $name),
            include_str!(concat!("python/warm_up/", $name, ".py")),
        )
    };
}

/// The package `warm_up`, which never enters a run's `sys.modules`.
const MODULES: [(&str, &str); 12] = [
    ("warm_up", include_str!("python/warm_up/__init__.py")),
    module!("at_fork"),
    module!("entry"),
    module!("imports"),
    module!("late_random"),
    module!("libraries"),
    module!("load_job"),
    module!("on_return"),
    module!("preloading"),
    module!("process_state"),
    module!("rng"),
    module!("shelf"),
];

/// The tools that this worker keeps from warm-up. The author's code can't reach them.
#[derive(Debug)]
pub struct Warm {
    /// Modules that could not be preloaded, with the error.
    pub failed: Vec<(String, String)>,
    /// The top-level names of all libraries in the sandbox venv.
    pub libraries: Vec<String>,
    /// The libraries of which no module is loaded.
    pub cold: ColdLibraries,
    /// `make_own()`: seeds every unseeded generator with fresh entropy, and sets the number of the
    /// main thread.
    pub make_own: Py<PyAny>,
    /// `load(code, globals, shallow)`: makes of a job's two JSON texts what the runner runs.
    pub load_job: Py<PyAny>,
    /// `prefault()`: does once, before the request comes, what every run does.
    pub prefault: Py<PyAny>,
    /// The finders by which the import system has searched directories.
    pub finders: WarmFinders,
    /// The runner that every sandbox continues.
    pub runner: Runner,
}

/// Warms the interpreter up.
pub fn run(py: Python<'_>, preload: &[String]) -> PyResult<Warm> {
    let [entry, libraries, load_job] = load(
        py,
        ["warm_up.entry", "warm_up.libraries", "warm_up.load_job"],
    )?;
    let first_of = wrap_pyfunction!(first_of, py)?;
    let warmed = entry.call_method1("warm_up", (preload.to_vec(), first_of))?;
    let (failed, make_own, loaded): (_, _, Bound<'_, PyAny>) = warmed.extract()?;
    forget_bootstrap(py)?;
    flush_buffers(py)?;
    let installed: Vec<String> = libraries.call_method0("installed")?.extract()?;
    let cold = libraries.call_method1("not_loaded", (installed.clone(), loaded))?;
    let runner = Runner::start(py)?;
    let loader = load_job.call_method1("JobLoader", (&runner.rest,))?;
    let warm = Warm {
        failed,
        libraries: installed,
        cold: ColdLibraries::new(cold.extract()?),
        make_own,
        load_job: loader.getattr("load")?.unbind(),
        prefault: loader.getattr("prefault")?.unbind(),
        finders: WarmFinders::note(py)?,
        runner,
    };
    entry.call_method0("freeze")?;
    Ok(warm)
}

/// Loads modules of the package, under names that no run finds.
fn load<'py>(py: Python<'py>, names: [&str; 3]) -> PyResult<[Bound<'py, PyAny>; 3]> {
    let builtins = PyModule::import(py, "builtins")?;
    let importer = PyDict::new(py);
    let code = builtins.call_method1(
        "compile",
        (IMPORTER, "<codejail importer>", "exec", 0, true),
    )?;
    builtins.call_method1("exec", (code, &importer))?;
    let load = importer.as_any().get_item("load")?;
    load.call1((MODULES.into_py_dict(py)?, names))?.extract()
}

/// Flushes what preloaded modules have printed to the log. Otherwise every sandbox would have it in
/// its buffers, and it would be a part of its answer.
fn flush_buffers(py: Python<'_>) -> PyResult<()> {
    let sys = py.import("sys")?;
    for name in ["__stdout__", "__stderr__"] {
        sys.getattr(name)?.call_method0("flush")?;
    }
    // SAFETY: fflush(3) of null flushes every stream of the C library.
    unsafe { libc::fflush(std::ptr::null_mut()) };
    Ok(())
}

/// `first_of(one, other)`: a function that calls `one` with its arguments. If that gives None, it
/// calls `other`. It is not a Python function, so it has no frame: in the place of a part of the
/// import system it shows in no traceback.
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

/// Removes from `__main__` and `sys` what the bootstrap and its exception left there.
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
