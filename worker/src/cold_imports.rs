//! Which libraries a run had to import that are installed and not preloaded: what an operator may
//! want to preload. A run that is killed, or leaves by `os._exit`, says nothing; nobody relies on
//! what one says.

use codejail_protocol::job::COLD_IMPORTS_MAX;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// Names of libraries of which nothing is loaded.
#[derive(Debug)]
pub struct ColdLibraries(Vec<Py<PyString>>);

impl ColdLibraries {
    /// Made before forking, so that a child allocates and hashes nothing for them.
    pub fn new(names: Vec<Py<PyString>>) -> Self {
        Self(names)
    }

    /// Those that are loaded now, at most [`COLD_IMPORTS_MAX`].
    pub fn imported(&self, py: Python<'_>) -> Vec<String> {
        // SAFETY: the GIL is held; the call returns a borrowed reference to the dict that the
        // interpreter keeps modules in, whatever the run has made of `sys.modules`, or null.
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
