//! A course library's bytecode, which the service has compiled before. zipimport gets it instead of
//! compiling the modules of `python_lib.zip`.
//!
//! The bytecode comes from a sandbox that saw only this library, and only executions of this
//! library get it. In those executions the library's own code runs anyway. So the bytecode need not
//! be trusted, but it must be right: the bytecode of a module is used only if its source is the one
//! that was compiled.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyCFunction, PyDict, PyTuple};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Key for the hash of a source, the same as in `supervisor/src/library_cache/compile.py`. Python
/// has a key of its own for `.pyc` files, which changes with the version.
const HASH_KEY: u64 = 0;

/// The library's bytecode, and the functions that are needed to use it. They are looked up before
/// the author's code runs, so that code can't replace them here.
struct Library {
    builtins: Py<PyAny>,
    compile: Py<PyAny>,
    loads: Py<PyAny>,
    source_hash: Py<PyAny>,
    marshalled: Py<PyBytes>,
    /// For each file name, the hash of the source and the marshalled code. The dict is unmarshalled
    /// when it is first needed.
    modules: PyOnceLock<Option<Py<PyDict>>>,
    /// The entry and the code that were given last. An import asks twice in a row: zipimport first
    /// compiles a module to learn the name of its file, and throws the result away.
    last: Mutex<Option<(Py<PyAny>, Py<PyAny>)>>,
}

/// Makes zipimport use `bytecode`: the magic number of the Python that made it, and a marshalled
/// dict.
///
/// zipimport looks the name `compile` up in its own namespace, then among the builtins. The
/// function that is put there has no frame, so no traceback shows it.
pub fn offer(py: Python<'_>, bytecode: &[u8]) -> PyResult<()> {
    let external = py.import("_frozen_importlib_external")?;
    let magic = external.getattr("MAGIC_NUMBER")?;
    let Some(marshalled) = bytecode.strip_prefix(magic.extract::<&[u8]>()?) else {
        // The bytecode is from a Python that has been replaced since, and this worker has the new
        // one.
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
    /// Stands in for `compile(source, file_name, "exec", dont_inherit=True)`. If the run has put
    /// its own `compile` among the builtins, that function is called.
    fn compile(
        &self,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        let compile = self.builtins.bind(args.py()).getattr("compile")?;
        if compile.is(&self.compile)
            // Bytecode that can't be unmarshalled is ignored.
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

    /// The lock is never held while Python runs.
    fn last(&self) -> MutexGuard<'_, Option<(Py<PyAny>, Py<PyAny>)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
