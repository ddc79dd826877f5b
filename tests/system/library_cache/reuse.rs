//! Later runs with the same library get the bytecode, and no other run does.

use super::{OFF, WATCH, compiles, known, metric, value_of_x, warm};
use codejail_harness::python::library;
use codejail_harness::python::zip;
use codejail_harness::wait::{START_MAX, wait_until};
use codejail_harness::{Run, Service};
use serde_json::json;

fn a_third_execution_does_not_compile(service: &Service) {
    let library = library("lib", "def f():\n    return 5\n");
    assert!(compiles(service, &library));
    assert!(compiles(service, &library));
    wait_until("the compilation", START_MAX, || {
        metric(service, "compiled_total") == 1
    });
    assert!(!compiles(service, &library));
    assert_eq!(value_of_x(service, "import lib; x = lib.f()", &library), 5);
    let counted = ["hits", "misses", "compiled", "failed", "evicted"]
        .map(|name| metric(service, &format!("{name}_total")));
    assert_eq!(counted, [2, 2, 1, 0, 0]);
    assert!(metric(service, "bytes") > 100);
    // The compilation does not count as an execution.
    assert_eq!(service.metric("codejail_execution_seconds_count"), 4);
    assert_eq!(service.events("library_compiled").len(), 1);
}

#[test]
fn a_third_execution_is_given_bytecode_and_does_not_compile() {
    a_third_execution_does_not_compile(&Service::start(""));
}

#[test]
fn an_unprivileged_service_gives_bytecode_too() {
    a_third_execution_does_not_compile(&Service::start_unprivileged(""));
}

#[test]
fn a_service_whose_cache_is_off_compiles_each_time() {
    let service = Service::start(OFF);
    let library = library("lib", "x = 1\n");
    for _ in 0..3 {
        assert!(compiles(&service, &library));
    }
    let counted = ["hits_total", "misses_total", "compiled_total", "bytes"];
    assert_eq!(counted.map(|name| metric(&service, name)), [0; 4]);
}

#[test]
fn what_a_run_does_to_its_library_reaches_no_other_run() {
    let service = Service::start("[limits]\nFSIZE = 1000000");
    let library = library("lib", "def f():\n    return 5\n");
    let vandals = [
        // It answers as a compilation would. The next vandal sets the global with which a
        // compilation answers.
        "import sys\nsys.__stdout__.write('{\"bytecode\": \"AAAA\"}')\nsys.__stdout__.flush()",
        "bytecode = 'AAAA'",
        "import zipimport, marshal, builtins\n\
         zipimport.compile = builtins.compile = marshal.loads = marshal.dumps = lambda *a, **k: None",
        "import lib\nlib.f.__code__ = (lambda: 6).__code__",
        "open('python_lib.zip', 'wb').write(b'')",
        "import os\nos.rename('python_lib.zip', 'tmp/python_lib.zip')",
        "import zipimport, gc\n[o.clear() for o in gc.get_objects() if type(o) is dict and 'python_lib.zip/lib.py' in o]",
    ];
    for vandal in vandals {
        // The second run may be beside the compilation.
        for _ in 0..2 {
            service.run(&Run::new(vandal).library(library.clone()));
        }
        let x = value_of_x(&service, "import lib; x = lib.f()", &library);
        assert_eq!(x, json!(5), "{vandal}");
        wait_until("the compilation", START_MAX, || known(&service) == 1);
    }
    assert!(!compiles(&service, &library));
    assert_eq!(known(&service), 1);
}

#[test]
fn another_library_with_the_same_names_gets_nothing_of_the_first() {
    let service = Service::start("[limits]\nFSIZE = 1000000");
    let libraries = ["x = 'one'\n", "x = 'two'\n"].map(|source| library("lib", source));
    for library in &libraries {
        warm(&service, library);
    }
    for _ in 0..2 {
        for (library, expected) in libraries.iter().zip(["one", "two"]) {
            let x = value_of_x(&service, "import lib; x = lib.x", library);
            assert_eq!(x, json!(expected));
        }
    }
    // The run makes another file of the same path.
    let code = format!(
        "{WATCH}import os\nos.chdir('tmp')\nopen('python_lib.zip', 'wb').write(bytes.fromhex(other))\n\
         import lib\nx = [lib.x, len(compiled) > 0]"
    );
    let other: String = libraries[1].iter().map(|b| format!("{b:02x}")).collect();
    let run = Run::new(code)
        .globals(json!({ "other": other }).to_string())
        .library(libraries[0].clone());
    assert_eq!(service.run(&run).success()["x"], json!(["two", true]));
}

#[test]
fn a_library_that_is_sent_but_not_on_the_path_is_left_alone() {
    let service = Service::start("");
    let mut run = Run::new("x = 1").library(library("lib", "x = 1\n"));
    run.python_path = false;
    for _ in 0..2 {
        assert_eq!(service.run(&run).success(), json!({"x": 1}));
    }
    assert_eq!(known(&service) + metric(&service, "misses_total"), 0);
}

#[test]
fn no_module_of_a_library_is_executed_to_compile_it() {
    let service = Service::start("");
    // The compiler imports modules of these names. None of the library's modules may take their
    // place.
    let endless = b"while True:\n    pass\n".as_slice();
    let names = ["base64", "marshal", "zipfile", "warnings", "six", "lib"];
    let files = names.map(|name| (format!("{name}.py"), endless));
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (&**name, *text)).collect();
    let library = zip(&files);
    warm(&service, &library);
    assert_eq!(metric(&service, "compiled_total"), 1);
    assert!(metric(&service, "bytes") > 0);
    let code = "import zipimport\nx = zipimport.zipimporter('python_lib.zip').get_code('lib').co_names == ()";
    assert_eq!(value_of_x(&service, code, &library), json!(true));
}
