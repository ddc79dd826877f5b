//! One hash seed for a deployment: authors seed generators by the hash of a text.

use codejail_harness::Service;
use serde_json::Value;
use std::collections::BTreeSet;
use std::thread;

/// An idiom of authors, with the client's prolog: random2 seeds by `hash(text)`.
const IDIOM: &str = "import random2 as random\n\
                     random.seed('5afe-anonymous-student-id')\n\
                     x = [random.random(), sorted(set('abcdef')) == list(set('abcdef')), hash('text')]";
const PRELOAD: &str = "workers = 4\nqueue_wait_max_ms = 60000\n[python]\npreload = ['random2']";

/// So many clients at the same time, so that each of the four workers executes some runs.
const CLIENTS: usize = 8;

/// The results of so many runs, each different result once.
fn results(service: &Service, runs: usize) -> BTreeSet<String> {
    service.wait_for_workers(4);
    let some = || -> BTreeSet<String> {
        let values = (0..runs / CLIENTS).map(|_| service.value_of_x(IDIOM));
        values.map(|value: Value| value.to_string()).collect()
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(some)).collect();
        let all = clients.into_iter().map(|client| client.join().unwrap());
        all.flatten().collect()
    })
}

#[test]
fn the_idiom_gives_one_value_over_workers_instances_and_a_restart() {
    let [one, other] = [(); 2].map(|()| Service::start(PRELOAD));
    let mut seen = results(&one, 400);
    seen.extend(results(&other, 400));
    drop(one);
    seen.extend(results(&Service::start(PRELOAD), 200));
    assert_eq!(seen.len(), 1, "{seen:?}");
}

#[test]
fn each_worker_has_a_seed_of_its_own_where_that_is_wanted_and_the_log_says_so() {
    let random = PRELOAD.replace("[python]", "[python]\nhash_seed = 'random'");
    let service = Service::start(&random);
    service.wait_for_event("hash_seed_random");
    let seen = results(&service, 80);
    assert!((2..=4).contains(&seen.len()), "{seen:?}");
}

#[test]
fn another_seed_gives_other_values() {
    let seed = |seed: &str| {
        let python = format!("[python]\nhash_seed = {seed}");
        Service::start(&python).value_of_x("x = hash('text')")
    };
    assert_ne!(seed("2"), seed("4294967295"));
    assert_eq!(seed("0"), seed("0"));
}

/// Python is not started with `-E`, since it would then ignore the seed. Code sees what it would
/// see with `-E`.
#[test]
fn the_interpreter_looks_as_if_it_heeded_no_variable() {
    let code = "import ctypes, os, sys\n\
                x = [sys.flags.ignore_environment, sys.flags.hash_randomization, sys.flags.isolated, \
                sys.flags.dont_write_bytecode, getattr(sys, 'orig_argv', ['', '-E', '-B', 'jailed_code'])[1:], \
                sys.argv, [name for name in os.environ if 'PYTHON' in name], os.environ.get('PYTHONPATH'), \
                '/elsewhere' in sys.path, ctypes.CDLL(None).getenv(b'PYTHONHASHSEED'), \
                ctypes.c_int.in_dll(ctypes.pythonapi, 'Py_IgnoreEnvironmentFlag').value]";
    let seen = |python: &str| Service::start(&format!("[python]\n{python}")).value_of_x(code);
    let expected = |names: Value, path: Value| {
        let arguments = ["-E", "-B", "jailed_code"];
        serde_json::json!([
            1,
            1,
            0,
            1,
            arguments,
            ["jailed_code"],
            names,
            path,
            false,
            0,
            1
        ])
    };
    let nothing = expected(serde_json::json!([]), Value::Null);
    for seed in ["0", "1", "'random'"] {
        assert_eq!(seen(&format!("hash_seed = {seed}")), nothing, "{seed}");
    }
    // A variable of the operator is in the environment, and Python has not heeded it.
    let given = expected(serde_json::json!(["PYTHONPATH"]), "/elsewhere".into());
    assert_eq!(seen("env = { PYTHONPATH = '/elsewhere' }"), given);
}
