//! Which installed libraries a run imported although they are not preloaded. An operator may want
//! to preload them. A run that is killed, or leaves by `os._exit`, reports none, and nothing relies
//! on a report.

use codejail_protocol::job::COLD_IMPORTS_MAX;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// Names of libraries of which no module is loaded in the worker.
#[derive(Debug)]
pub struct ColdLibraries(Vec<Py<PyString>>);

impl ColdLibraries {
    /// To be made before the forks, so that a child need not allocate and hash anything for the
    /// names.
    pub fn new(names: Vec<Py<PyString>>) -> Self {
        Self(names)
    }

    /// The libraries that are loaded now, at most [`COLD_IMPORTS_MAX`].
    pub fn imported(&self, py: Python<'_>) -> Vec<String> {
        // SAFETY: the GIL is held. The call returns null, or a borrowed reference to the dict in
        // which the interpreter keeps modules, whatever the run has done to `sys.modules`.
        let modules = unsafe {
            let dict = ffi::PyImport_GetModuleDict();
            Bound::from_borrowed_ptr_or_opt(py, dict)
        };
        let Some(Ok(modules)) = modules.map(Bound::cast_into::<PyDict>) else {
            return Vec::new();
        };
        let loaded = |name: &&Py<PyString>| modules.contains(*name).unwrap_or(false);
        let names = self.0.iter().filter(loaded).take(COLD_IMPORTS_MAX);
        names.map(|name| name.bind(py).to_string()).collect()
    }
}
