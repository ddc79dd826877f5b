//! Faults of the sandboxes' venv that stop no service. `codejail-venv create` makes a venv without
//! them.

use std::fs;
use std::path::{Path, PathBuf};

/// Most directories that are searched. The venv of Open edX has 2,000.
const DIRECTORIES_MAX: usize = 20_000;

/// One of so many files may be without bytecode: some libraries have test files in Python 2, which
/// do not compile.
const COMPILED_BUT_ONE_IN: usize = 20;

/// Faults of the venv of this interpreter, each with its cost. `version` is the interpreter's
/// version, such as 3.11.2.
#[must_use]
pub fn faults(python_bin: &Path, version: &str) -> Vec<String> {
    [a_link(python_bin), uncompiled(python_bin, version)]
        .into_iter()
        .flatten()
        .collect()
}

/// The interpreter is a link, not a copy.
fn a_link(python_bin: &Path) -> Option<String> {
    let target = fs::canonicalize(python_bin).ok()?;
    let venv = fs::canonicalize(python_bin.parent()?.parent()?).ok()?;
    (!target.starts_with(&venv)).then(|| {
        format!(
            "python.bin = {} leads to {}, outside of its venv: AppArmor's profiles know only a \
             copy (venv --copies)",
            python_bin.display(),
            target.display()
        )
    })
}

/// Modules without bytecode for this interpreter. A sandbox can't write bytecode.
fn uncompiled(python_bin: &Path, version: &str) -> Option<String> {
    let mut numbers = version.split('.');
    let (major, minor) = (numbers.next()?, numbers.next()?);
    let packages = python_bin
        .parent()?
        .parent()?
        .join(format!("lib/python{major}.{minor}/site-packages"));
    let suffix = format!(".cpython-{major}{minor}.pyc");
    let mut directories = vec![packages.clone()];
    let (mut seen, mut modules, mut missing) = (0, 0, 0);
    while let Some(directory) = directories.pop() {
        seen += 1;
        if seen > DIRECTORIES_MAX {
            break;
        }
        // If a directory can't be read, the service itself reports that.
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "py") {
                modules += 1;
                missing +=
                    usize::from(!bytecode_of(&path, &suffix).is_some_and(|file| file.exists()));
            }
        }
    }
    (missing * COMPILED_BUT_ONE_IN > modules).then(|| {
        format!(
            "{missing} of {modules} modules below {} are not compiled: each execution compiles \
             again those that it imports",
            packages.display()
        )
    })
}

fn bytecode_of(module: &Path, suffix: &str) -> Option<PathBuf> {
    let name = module.file_stem()?.to_str()?;
    Some(
        module
            .with_file_name("__pycache__")
            .join(format!("{name}{suffix}")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A venv for a test, removed at the end.
    struct Venv(PathBuf);

    impl Venv {
        fn new(name: &str) -> Self {
            let venv = std::env::temp_dir().join(format!("cj-venv-{name}-{}", std::process::id()));
            fs::create_dir_all(venv.join("bin")).unwrap();
            fs::create_dir_all(venv.join("lib/python3.11/site-packages/one/__pycache__")).unwrap();
            fs::write(venv.join("bin/python"), "").unwrap();
            fs::write(venv.join("lib/python3.11/site-packages/one/a.py"), "").unwrap();
            Self(venv)
        }

        fn faults(&self) -> Vec<String> {
            faults(&self.0.join("bin/python"), "3.11.2")
        }
    }

    impl Drop for Venv {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn modules_without_bytecode_of_this_python_are_counted() {
        let venv = Venv::new("bytecode");
        let cache = venv.0.join("lib/python3.11/site-packages/one/__pycache__");
        fs::write(cache.join("a.cpython-312.pyc"), "").unwrap();
        let found = venv.faults();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("1 of 1 modules below "), "{found:?}");
        fs::write(cache.join("a.cpython-311.pyc"), "").unwrap();
        assert_eq!(venv.faults(), Vec::<String>::new());
    }

    #[test]
    fn an_interpreter_that_is_a_link_is_named_with_where_it_leads_to() {
        let venv = Venv::new("link");
        fs::remove_dir_all(venv.0.join("lib")).unwrap();
        assert_eq!(venv.faults(), Vec::<String>::new());
        fs::remove_file(venv.0.join("bin/python")).unwrap();
        fs::write(venv.0.join("bin/python3"), "").unwrap();
        symlink("python3", venv.0.join("bin/python")).unwrap();
        assert_eq!(venv.faults(), Vec::<String>::new(), "a link within is none");
        fs::remove_file(venv.0.join("bin/python")).unwrap();
        symlink("/bin/sh", venv.0.join("bin/python")).unwrap();
        let found = venv.faults();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("outside of its venv"), "{found:?}");
    }
}
