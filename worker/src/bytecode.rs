//! A course library's bytecode, which the service compiled before: zipimport gets it where it would
//! compile a module of `python_lib.zip`.
//!
//! It comes from a sandbox that saw this library alone, and is given to executions of this library
//! alone, whose code runs there anyway. So what is in it need not be trusted, but it must be right:
//! a module's is used only for the very source that it was made of.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyCFunction, PyDict, PyTuple};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Key of the hash of a source, the same in `supervisor/src/library_cache/compile.py`. Python's own
/// for `.pyc` files changes with its version.
const HASH_KEY: u64 = 0;

/// The library's bytecode, and what it takes to use it, kept from before the author's code runs.
struct Library {
    builtins: Py<PyAny>,
    compile: Py<PyAny>,
    loads: Py<PyAny>,
    source_hash: Py<PyAny>,
    marshalled: Py<PyBytes>,
    /// By file name: the hash of the source, and the marshalled code. Unmarshalled when first
    /// needed.
    modules: PyOnceLock<Option<Py<PyDict>>>,
    /// What was given last: the entry, and the code. An import asks twice in a row, since zipimport
    /// compiles a module to learn its file's name too, and throws that away.
    last: Mutex<Option<(Py<PyAny>, Py<PyAny>)>>,
}

/// Makes zipimport find `bytecode`: the magic number of the Python that made it, and a marshalled
/// dict.
///
/// zipimport looks `compile` up in its own namespace, then among the builtins. The one that it is
/// given has no frame, so no traceback shows it.
pub fn offer(py: Python<'_>, bytecode: &[u8]) -> PyResult<()> {
    let external = py.import("_frozen_importlib_external")?;
    let magic = external.getattr("MAGIC_NUMBER")?;
    let Some(marshalled) = bytecode.strip_prefix(magic.extract::<&[u8]>()?) else {
        // A worker has another Python now: that of before was replaced under the same name.
        return Ok(());
    };
    let builtins = py.import("builtins")?;
    let library = Library {
        compile: builtins.getattr("compile")?.unbind(),
        loads: py.import("marshal")?.getattr("loads")?.unbind(),
        source_hash: py.import("_imp")?.getattr("source_hash")?.unbind(),
        marshalled: PyBytes::new(py, marshalled).unbind(),
        modules: PyOnceLock::new(),
        last: Mutex::default(),
        builtins: builtins.into_any().unbind(),
    };
    let compile = PyCFunction::new_closure(py, Some(c"compile"), None, move |args, kwargs| {
        library.compile(args, kwargs)
    })?;
    py.import("zipimport")?.setattr("compile", compile)
}

impl Library {
    /// In place of `compile(source, file_name, "exec", dont_inherit=True)`. Where the run has put
    /// its own `compile` among the builtins, that is asked.
    fn compile(
        &self,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        let compile = self.builtins.bind(args.py()).getattr("compile")?;
        if compile.is(&self.compile)
            // What can't be unmarshalled is as if it were not there.
            && let Ok(Some(code)) = self.find(args)
        {
            return Ok(code.unbind());
        }
        compile.call(args, kwargs).map(Bound::unbind)
    }

    fn find<'py>(&self, args: &Bound<'py, PyTuple>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = args.py();
        let (source, name) = (args.get_item(0)?, args.get_item(1)?);
        let modules = self.modules.get_or_init(py, || {
            let modules = self.loads.bind(py).call1((&self.marshalled,)).ok()?;
            Some(modules.cast_into::<PyDict>().ok()?.unbind())
        });
        let Some(modules) = modules else {
            return Ok(None);
        };
        let Some(module) = modules.bind(py).get_item(name)? else {
            return Ok(None);
        };
        let (hash, code): (Bound<'py, PyBytes>, Bound<'py, PyBytes>) = module.extract()?;
        let found = self.source_hash.bind(py).call1((HASH_KEY, source))?;
        if !hash.as_any().eq(found)? {
            return Ok(None);
        }
        let last = self.last().take();
        if let Some((entry, code)) = last
            && entry.is(&module)
        {
            return Ok(Some(code.into_bound(py)));
        }
        let code = self.loads.bind(py).call1((code,))?;
        *self.last() = Some((module.unbind(), code.clone().unbind()));
        Ok(Some(code))
    }

    /// Never held while Python runs.
    fn last(&self) -> MutexGuard<'_, Option<(Py<PyAny>, Py<PyAny>)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
