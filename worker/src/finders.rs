//! The finders in `sys.path_importer_cache`, one for each directory that modules were imported
//! from.
//!
//! The end of a run sets that attribute to None, as the end of an interpreter does. If nothing else
//! holds the dict (Python 3.12 and later), every finder of the warm image would be freed, and each
//! writes to a page. So the dict is kept. No code can notice that: a finder does nothing when it is
//! freed.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ptr;

/// What the dict held when the image was warm.
#[derive(Debug)]
pub struct WarmFinders {
    cache: Py<PyDict>,
    /// Addresses of the finders in the order of the dict. They are compared, never followed.
    finders: Vec<usize>,
    /// The import system's own classes, which have no `__del__`.
    classes: Vec<Py<PyAny>>,
}

impl WarmFinders {
    /// Notes what the dict holds now.
    pub fn note(py: Python<'_>) -> PyResult<Self> {
        let cache = py.import("sys")?.getattr("path_importer_cache")?;
        let cache = cache.cast_into::<PyDict>()?;
        let classes = [
            ("_frozen_importlib_external", "FileFinder"),
            ("zipimport", "zipimporter"),
        ];
        let mut found = vec![py.None().bind(py).get_type().into_any().unbind()];
        let modules = py.import("sys")?.getattr("modules")?;
        for (module, class) in classes {
            if modules.contains(module)? {
                found.push(py.import(module)?.getattr(class)?.unbind());
            }
        }
        Ok(Self {
            finders: values(&cache).map(|value| value.addr()).collect(),
            cache: cache.unbind(),
            classes: found,
        })
    }

    /// Keeps the dict for ever, if it holds only what it held before and what the import system has
    /// added since. If it holds an object of the run, it is freed with the run: the `__del__` of
    /// that object may be noticed.
    pub fn keep(&self, py: Python<'_>) {
        let cache = self.cache.bind(py);
        let mut values = values(cache);
        let unchanged = self
            .finders
            .iter()
            .all(|warm| values.next().is_some_and(|value| value.addr() == *warm));
        // SAFETY: the dict holds its values, and nothing changes it meanwhile.
        let class = |value: *mut ffi::PyObject| unsafe { ffi::Py_TYPE(value) }.addr();
        let own = |value| {
            self.classes
                .iter()
                .any(|own| own.as_ptr().addr() == class(value))
        };
        if unchanged && values.all(own) {
            std::mem::forget(cache.clone());
        }
    }
}

/// The values as borrowed references. To count references up and down would write to the page of
/// each value.
fn values<'a>(dict: &'a Bound<'_, PyDict>) -> impl Iterator<Item = *mut ffi::PyObject> + 'a {
    let mut position = 0;
    std::iter::from_fn(move || {
        let mut value = ptr::null_mut();
        // SAFETY: a bound dict means that the GIL is held. Position and value are live places of
        // the right types, and the place for the key may be null.
        let more = unsafe {
            ffi::PyDict_Next(
                dict.as_ptr(),
                &raw mut position,
                ptr::null_mut(),
                &raw mut value,
            )
        };
        (more != 0).then_some(value)
    })
}
