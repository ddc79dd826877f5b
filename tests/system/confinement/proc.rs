//! What a run sees of `/proc`: nothing, and each of two layers hides it.

use codejail_harness::{Service, needs_root};
use serde_json::{Value, json};

/// Opens each path, and says what came of it: `open` for files, `os.listdir` for directories.
const OPEN: &str = r"
import os
paths = ['self/cmdline', 'self/environ', 'self/maps', 'self/mem', '1/cmdline', '1/environ', 'self/attr/current',
         'thread-self/comm', 'version', 'sys/kernel/ostype']
directories = ['', '/1', '/self/fd', '/self/task', '/self/root']
def answer(ask, path):
    try:
        ask(path)
    except OSError as error:
        return str(error).partition(':')[0]
    return path
DENIED = '[Errno 13] Permission denied'
x = sorted({answer(open, '/proc/' + path) for path in paths} | {answer(os.listdir, '/proc' + path) for path in directories})
";

/// Asks without opening anything, also about paths that don't exist.
const ASK: &str = r"
paths = ['1', 'self', 'self/exe', 'self/fd/0', 'nothing', 'nothing/below', 'cpuinfo', 'sys', 'mounted', 'mounted/1']
for ask in os.stat, os.lstat, os.readlink, os.chdir, os.statvfs, open, lambda path: os.chmod(path, 0o700):
    x += [(path, got) for path in paths for got in [answer(ask, '/proc/' + path)] if got != DENIED]
";

fn denied() -> Value {
    json!(["[Errno 13] Permission denied"])
}

#[test]
fn every_path_below_proc_is_denied_with_and_without_landlock() {
    needs_root!();
    for landlock in ["require", "off"] {
        let layers = format!("[layers]\nmounts = 'require'\nlandlock = '{landlock}'");
        let service = Service::start(&layers);
        let found = service.value_of_x(&format!("{OPEN}{ASK}"));
        assert_eq!(found, denied(), "landlock = {landlock}");
    }
}

/// Without the mounts layer only Landlock hides `/proc`. Landlock does not govern the questions of
/// `ASK`, so this test leaves them out.
#[test]
fn nothing_below_proc_can_be_opened_without_a_root_of_its_own() {
    needs_root!();
    let service = Service::start("[layers]\nmounts = 'off'\nlandlock = 'require'");
    assert_eq!(service.value_of_x(OPEN), denied());
}

/// Where worker and sandboxes are one user, the worker closes `/proc` also to itself.
#[test]
fn every_path_below_proc_is_denied_where_sandboxes_share_a_user() {
    let service = Service::start_unprivileged("[layers]\nmounts = 'auto'");
    let mounts = service.layers().into_iter();
    let mounts = mounts.filter(|layer| layer["layer"] == "mounts");
    let has_root = mounts.map(|layer| layer["on"] == true).next();
    let code = match has_root {
        Some(true) => format!("{OPEN}{ASK}"),
        _ => OPEN.to_owned(),
    };
    assert_eq!(service.value_of_x(&code), denied(), "a root: {has_root:?}");
}
