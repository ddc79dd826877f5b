//! What Python itself thinks of two texts.

use std::io::Write;
use std::process::{Command, Stdio};

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

/// A JSON text as Python reads it: equal in value and type if these texts are equal.
pub fn canonical(json: &str) -> String {
    let mut python = Command::new("/usr/bin/python3")
        .args(["-c", CANONICAL])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("/usr/bin/python3");
    let mut input = python.stdin.take().expect("a pipe");
    input.write_all(json.as_bytes()).expect("write");
    drop(input);
    let output = python.wait_with_output().expect("wait");
    assert!(output.status.success(), "Python refuses {json:?}");
    String::from_utf8(output.stdout).expect("ASCII")
}
