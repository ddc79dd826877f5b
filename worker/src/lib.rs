//! A worker: the sandbox venv's own Python, warmed up and confined, which forks sandboxes.
//!
//! This is a Python extension module with one function, `serve`. The spawner starts a bootstrap
//! script, which installs `serve` as `sys.excepthook` and raises. So no Python frame lies below the
//! code that a sandbox runs, and `inspect.stack()` shows what a fresh interpreter would show.

mod bytecode;
mod cold_imports;
mod confine;
mod control;
mod end_of_run;
mod execute;
mod finders;
mod fork_server;
mod heap;
mod huge_pages;
mod image;
mod interpreter;
mod job;
mod json_depth;
mod layers;
mod mappings;
mod memory;
mod report;
mod runner;
mod sandbox;
mod signals;
mod start;
mod status;
mod warm_up;

use codejail_protocol::control::{Hello, WorkerReport};
use control::Control;
use execute::Inherited;
use interpreter::OwnProcess;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use signals::Ignored;

/// The whole life of a worker. The interpreter calls it as its exception hook; it never returns.
#[pyfunction]
#[pyo3(signature = (*_exception))]
fn serve(py: Python<'_>, _exception: &Bound<'_, PyTuple>) {
    let control = Control::inherited();
    if let Err(error) = live(py, &control) {
        // Nobody may listen any more, but standard error reaches the service's log.
        eprintln!("worker: {error}");
        let _ = control.report(&WorkerReport::StartFailed { error });
        execute::exit(execute::CANNOT_START);
    }
    execute::exit(0)
}

/// Confines this process, warms it up, says hello, and forks until the supervisor closes the
/// conversation.
fn live(py: Python<'_>, control: &Control) -> Result<(), String> {
    let ignored = Ignored::ignore().map_err(text)?;
    start::as_with_e(py).map_err(text)?;
    let config = control.wait_for_start().map_err(text)?;
    let own_process = OwnProcess::open().map_err(text)?;
    let own_paths = interpreter::own_paths(py).map_err(text)?;
    let confined = confine::worker(&config, own_paths).map_err(text)?;
    let warm = warm_up::run(py, &config.preload).map_err(|error| match py.import("six") {
        Ok(_) => text(error),
        Err(missing) => six_is_missing(missing),
    })?;
    ignored.ignore_again().map_err(text)?;
    refuse_threads(&own_process, &warm.failed)?;
    require_six(&warm.failed)?;
    heap::fill_holes(py);
    heap::join_freed_blocks();
    let memory = memory::settle(&own_process, &config).map_err(text)?;
    let image_bytes = own_process.image_bytes().map_err(text)?;
    let hello = Hello {
        build: codejail_protocol::BUILD.to_owned(),
        python: interpreter::version(py).map_err(text)?,
        preload_failed: report::bounded(&warm.failed),
        libraries: warm.libraries.clone(),
        import_paths: interpreter::import_paths(py).map_err(text)?,
        layers: confined.layers.clone(),
        image_bytes,
        memory,
    };
    control.report(&WorkerReport::Hello(hello)).map_err(text)?;
    // Joins what this function has freed; otherwise each child would do it.
    heap::join_freed_blocks();
    let inherited = Inherited {
        warm: &warm,
        confined: &confined,
        ignored: &ignored,
    };
    fork_server::run(py, control, &config, &inherited, &own_process, image_bytes).map_err(text)
}

/// A fork beside other threads would copy locks whose owners do not exist in the child. After
/// warm-up only this module runs in a worker, so one look is enough.
fn refuse_threads(own_process: &OwnProcess, failed: &[(String, String)]) -> Result<(), String> {
    match own_process.threads().map_err(text)? {
        1 => Ok(()),
        count => Err(format!(
            "{count} threads run in this worker, but only one may: a preloaded module started them \
             (python.preload, {:?})",
            report::bounded(failed)
        )),
    }
}

/// The runner imports `six`, as the original's does.
fn require_six(failed: &[(String, String)]) -> Result<(), String> {
    match failed.iter().find(|(module, _)| module == "six") {
        None => Ok(()),
        Some((_, error)) => Err(six_is_missing(error)),
    }
}

fn six_is_missing(error: impl std::fmt::Display) -> String {
    format!(
        "six must be importable in the sandbox venv ({error}): install it there, by -m pip install six"
    )
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The module as Python sees it.
#[pymodule]
fn codejail_worker(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(serve, module)?)
}
