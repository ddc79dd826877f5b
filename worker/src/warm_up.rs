//! Makes the interpreter warm: preloads, makes what was preloaded indistinguishable from fresh,
//! starts what every sandbox runs.

use crate::cold_imports::ColdLibraries;
use crate::finders::WarmFinders;
use crate::runner::Runner;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyCFunction, PyDict, PyModule};

/// Loads the modules: see there.
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

/// The warm interpreter's private tools.
#[derive(Debug)]
pub struct Warm {
    /// Modules that could not be preloaded, with the error.
    pub failed: Vec<(String, String)>,
    /// What the sandbox venv has: top-level names.
    pub libraries: Vec<String>,
    /// Those of them of which nothing is loaded.
    pub cold: ColdLibraries,
    /// `make_own()`: fresh entropy for every unseeded generator, and the number of the main thread.
    pub make_own: Py<PyAny>,
    /// `load(code, globals, shallow)`: what the runner runs, from a job's two JSON texts.
    pub load_job: Py<PyAny>,
    /// `prefault()`: what every run does, once ahead of the request.
    pub prefault: Py<PyAny>,
    /// What the import system has found directories with.
    pub finders: WarmFinders,
    /// What every sandbox runs.
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

/// What preloaded modules printed goes to the log: every sandbox would be born with it in its
/// buffers and find it in its answer.
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
