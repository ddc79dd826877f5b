//! The limits of `CODE_JAIL`, and other promises to code that the table of answers does not show.

use codejail_harness::Run;
use codejail_harness::Service;
use codejail_harness::own_python::OwnPython;
use codejail_harness::python::canonical;
use serde_json::json;
use std::process::Command;

/// Soft and hard limits as a run sees them; -1 is no limit.
const LIMITS: &str = "
import resource
x = [resource.getrlimit(getattr(resource, 'RLIMIT_' + name)) for name in ('CPU', 'AS', 'FSIZE', 'NPROC')]
";

#[test]
fn zero_is_no_limit_but_for_files() {
    let service = Service::start(
        "[limits]\nCPU = 0\nREALTIME = 0\nVMEM = 0\nFSIZE = 0\nNPROC = 0\n\
         [limit_overrides.some]\nCPU = 5\nFSIZE = 7\nNPROC = 9\nREALTIME = 30",
    );
    let none = service.value_of_x(LIMITS);
    assert_eq!(none[0], json!([-1, -1]), "CPU");
    assert_eq!(none[1], json!([-1, -1]), "VMEM");
    assert_eq!(none[2], json!([0, 0]), "FSIZE");
    // NPROC is what the host gives its users, and not the limit of a context.
    assert_ne!(none[3][0], json!(9), "NPROC");
    // The default would end this run earlier.
    let code = "import time; time.sleep(1.5); x = 1";
    assert_eq!(service.value_of_x(code), json!(1));

    let some = service.run(&Run::new(LIMITS).context("some")).success();
    assert_eq!(
        some["x"][0],
        json!([5, 6]),
        "CPU: the hard limit is a second more"
    );
    assert_eq!(some["x"][1], json!([-1, -1]), "VMEM: as for everybody");
    assert_eq!(some["x"][2], json!([7, 7]), "FSIZE");
}

#[test]
fn what_the_warm_interpreter_maps_does_not_count() {
    // A bare interpreter maps more than this.
    let service = Service::start("[limits]\nVMEM = 8388608");
    assert_eq!(
        service.value_of_x("x = len(bytearray(1 << 20))"),
        json!(1 << 20)
    );
    let emsg = service.execute("x = bytearray(1 << 24)").emsg();
    assert!(emsg.contains("MemoryError"), "{emsg}");
}

#[test]
fn unix_sockets_may_be_bound_under_tmp_and_connected_to_by_nobody() {
    let service = Service::start("[limits]\nFSIZE = 1000");
    let bound = "import os, socket, stat\n\
                 s = socket.socket(socket.AF_UNIX); s.bind('tmp/s')\n\
                 x = stat.S_ISSOCK(os.stat('tmp/s').st_mode)";
    assert_eq!(service.value_of_x(bound), json!(true));
    let connecting = format!("{bound}\ns.listen()\nsocket.socket(socket.AF_UNIX).connect('tmp/s')");
    let emsg = service.execute(&connecting).emsg();
    assert!(emsg.contains("PermissionError: [Errno 13]"), "{emsg}");
    let elsewhere = bound.replace("tmp/s", "s");
    let emsg = service.execute(&elsewhere).emsg();
    assert!(emsg.contains("PermissionError: [Errno 13]"), "{emsg}");
}

/// With the real simplejson, which the tests' Python has.
#[test]
fn simplejson_takes_the_place_of_json_where_the_sandbox_has_it() {
    let tests_python = std::env::var_os("CODEJAIL_TEST_PYTHON")
        .expect("CODEJAIL_TEST_PYTHON must name a python that has simplejson; `make test` sets it");
    let script = "import os, simplejson; print(os.path.dirname(simplejson.__file__))";
    let asked = Command::new(tests_python).args(["-c", script]).output();
    let asked = String::from_utf8(asked.expect("python").stdout).expect("UTF-8");
    let python = OwnPython::venv(&[]);
    python.copy_package(asked.trim().as_ref());
    let service = Service::start(&python.overrides(&[]));
    for (code, expected) in [
        (
            "import sys; x = 'simplejson' in sys.modules",
            r#"{"x": true, "y": 1}"#,
        ),
        ("x = float('nan')", r#"{"y": 1}"#),
        ("x = float('inf')", r#"{"y": 1}"#),
        (
            "from decimal import Decimal as D; x = [D('1.5')]; del D",
            r#"{"x": [1.5], "y": 1}"#,
        ),
        ("x = (1, b'a')", r#"{"x": [1, "a"], "y": 1}"#),
    ] {
        let answer = service.execute(&format!("{code}\ny = 1"));
        assert_eq!(answer.status, 200, "{code}: {answer:?}");
        let expected = canonical(&format!(r#"{{"globals_dict": {expected}}}"#));
        assert_eq!(canonical(&answer.body), expected, "{code}");
    }
}
