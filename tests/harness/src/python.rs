//! Three Pythons: the sandboxes' Python, the tests' Python, and the system's Python. The last one
//! tells tests whether two JSON texts mean the same.

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Debian 12's Python. The service reports errors in JSON with the same texts as this Python.
pub const SYSTEM_PYTHON: &str = "/usr/bin/python3";

/// The interpreter of the sandboxes: `CODEJAIL_SANDBOX_PYTHON`, or where prepared hosts have it.
#[must_use]
pub fn sandbox_python() -> PathBuf {
    let given = std::env::var_os("CODEJAIL_SANDBOX_PYTHON");
    given.map_or_else(|| PathBuf::from("/sandbox/venv/bin/python"), PathBuf::from)
}

/// The interpreter with the tests' libraries: `CODEJAIL_TEST_PYTHON`. Panics without that variable.
#[must_use]
pub fn test_python() -> PathBuf {
    let given = std::env::var_os("CODEJAIL_TEST_PYTHON");
    let given = given.expect(
        "CODEJAIL_TEST_PYTHON must name a python that has jsonschema and simplejson: make test-venv",
    );
    PathBuf::from(given)
}

/// Runs a script, which must end well. Returns what the script prints.
pub fn run_script(python: impl AsRef<OsStr>, script: &str, input: &[u8]) -> Vec<u8> {
    let mut process = Command::new(python)
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a Python");
    let mut stdin = process.stdin.take().expect("a pipe");
    stdin.write_all(input).expect("write");
    drop(stdin);
    let output = process.wait_with_output().expect("wait");
    assert!(output.status.success(), "{script}: {}", output.status);
    output.stdout
}

/// Shows each value with the type that `json.loads` gives it; the order of keys doesn't matter.
const CANONICAL: &str = r"
import json, sys
def show(value):
    if isinstance(value, dict):
        return '{%s}' % ', '.join(sorted(ascii(k) + ': ' + show(v) for k, v in value.items()))
    if isinstance(value, list):
        return '[%s]' % ', '.join(show(item) for item in value)
    return type(value).__name__ + ' ' + ascii(value)
sys.setrecursionlimit(10000)
print(show(json.loads(sys.stdin.buffer.read().decode())), end='')
";

/// What Python reads from a JSON text, in a canonical form: if two JSON texts have the same form,
/// they have the same values of the same types.
#[must_use]
pub fn canonical(json: &str) -> String {
    let shown = run_script(SYSTEM_PYTHON, CANONICAL, json.as_bytes());
    String::from_utf8(shown).expect("ASCII")
}

const ZIP: &str = r"
import json, sys, zipfile
with zipfile.ZipFile(sys.stdout.buffer, 'w', zipfile.ZIP_DEFLATED) as archive:
    for name, content in json.load(sys.stdin):
        archive.writestr(zipfile.ZipInfo(name), bytes(content), zipfile.ZIP_DEFLATED)
";

/// A `python_lib.zip` with these files; the same files make the same bytes.
#[must_use]
pub fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let text = serde_json::to_vec(files).expect("JSON");
    run_script(sandbox_python(), ZIP, &text)
}

/// A `python_lib.zip` with one module.
#[must_use]
pub fn library(module: &str, source: &str) -> Vec<u8> {
    zip(&[(&format!("{module}.py"), source.as_bytes())])
}
