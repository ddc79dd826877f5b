//! All sandboxes of a worker map the warm image. What a run writes to it is the run's own.

use codejail_harness::Service;
use serde_json::json;

/// Writes over a text that the worker has loaded, which Python itself does not allow.
const WRITE: &str = r"
import ctypes, six, sys
address = id(six.__author__) + sys.getsizeof('') - 1
count = len(six.__author__)
x = [ctypes.string_at(address, 6).decode()]
ctypes.memset(address, 88, count)
x += [ctypes.string_at(address, 6).decode(), six.__author__[:6]]
";

/// Each descriptor of a run, except the standard ones and the status pipe, with the kind of its
/// file; and what the kernel answers to the calls that make a file in memory or reach one.
const REACH: &str = r"
import ctypes, os, stat
def outcome(call):
    try:
        return repr(call())
    except OSError as error:
        return os.strerror(error.errno)
files = []
for fd in range(1024):
    try:
        found = os.fstat(fd)
    except OSError:
        continue
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 0:
        files.append(fd)
x = [files, outcome(lambda: os.memfd_create('x')), outcome(lambda: os.listdir('/proc/self/map_files'))]
";

fn service(sealed: bool) -> Service {
    Service::start(&format!("workers = 1\n[python]\nsealed_image = {sealed}"))
}

#[test]
fn what_a_run_writes_into_the_image_no_other_run_sees() {
    for sealed in [true, false] {
        let service = service(sealed);
        for _ in 0..3 {
            let seen = service.value_of_x(WRITE);
            assert_eq!(
                seen,
                json!(["Benjam", "XXXXXX", "XXXXXX"]),
                "sealed = {sealed}"
            );
        }
    }
}

#[test]
fn no_run_reaches_the_file_that_holds_the_image() {
    let seen = service(true).value_of_x(REACH);
    assert_eq!(seen, json!([[], "Permission denied", "Permission denied"]));
}

#[test]
fn the_log_says_how_much_of_the_image_is_sealed() {
    let said = |sealed| {
        let warmed = service(sealed).wait_for_event("worker_warmed");
        let (_, rest) = warmed.split_once("sealed_mib=").expect("the field");
        let number = rest.split_whitespace().next().expect("a number");
        number.parse::<u64>().expect("a number")
    };
    assert!(said(true) > 4);
    assert_eq!(said(false), 0);
}
