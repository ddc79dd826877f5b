//! Executions of a course library that was compiled before: faster, and with the same answers.

mod bounds;
mod cost;
mod reuse;
mod same_answers;

use codejail_harness::wait::{START_MAX, wait_until};
use codejail_harness::{Run, Service};
use serde_json::{Value, json};

const OFF: &str = "[library_cache]\nbytes_max = 0";

fn metric(service: &Service, name: &str) -> u64 {
    service.metric(&format!("codejail_library_cache_{name}"))
}

/// How many libraries the cache knows something of.
fn known(service: &Service) -> u64 {
    metric(service, "compiled_total") + metric(service, "failed_total")
}

/// Sends the library, at least twice, until the cache knows something of it.
fn warm(service: &Service, library: &[u8]) {
    let before = known(service);
    service.run(&Run::new("x = 1").library(library.to_vec()));
    wait_until("a compilation", START_MAX, || {
        service.run(&Run::new("x = 1").library(library.to_vec()));
        known(service) > before
    });
}

fn value_of_x(service: &Service, code: &str, library: &[u8]) -> Value {
    let run = Run::new(code).library(library.to_vec());
    service.run(&run).success()["x"].take()
}

/// Which modules of the library are compiled while the following code runs.
const WATCH: &str = "import sys\ncompiled = []\n\
    def hook(event, args):\n    \
        if event == 'compile' and str(args[1]).startswith('python_lib.zip'):\n        \
            compiled.append(args[1])\n\
    sys.addaudithook(hook)\n";

/// Whether a run that imports `lib` compiles it.
fn compiles(service: &Service, library: &[u8]) -> bool {
    let code = format!("{WATCH}import lib\nx = len(compiled) > 0");
    value_of_x(service, &code, library) == json!(true)
}
