//! After the author's code has begun, whatever a sandbox says over its status pipe is a claim of
//! that code. It can spoil the run's own answer, and nothing else.

use crate::answers::KILLED;
use codejail_harness::{Run, Service};
use serde_json::json;
use std::thread;
use std::time::Duration;

/// Frames as a sandbox would send them (`protocol/src/frame.rs`): bincode with fixed integers.
const SAY: &str = r"
import os, struct, time
def say(body):
    os.write(63, struct.pack('<I', len(body)) + body)
def finished(status, cold_imports=()):
    names = (struct.pack('<Q', len(name)) + name for name in cold_imports)
    say(struct.pack('<IiQ', 3, status, len(cold_imports)) + b''.join(names))
def prepare_failed(error):
    say(struct.pack('<IQ', 1, len(error)) + error)
def started():
    say(struct.pack('<I', 2))
def unloadable(message):
    say(struct.pack('<IQ', 4, len(message)) + message)
def closed():
    say(struct.pack('<I', 5))
";

fn claim(code: &str) -> Run {
    Run::new(format!("{SAY}{code}"))
}

#[test]
fn a_run_that_claims_to_be_done_and_stays_ends_alone() {
    let service = Service::start("sandboxes_per_worker = 2\n[limits]\nREALTIME = 20\nCPU = 20");
    let workers = service.workers();
    thread::scope(|scope| {
        let victim = "import os, time; os.mkdir('tmp/running'); time.sleep(3); x = 1";
        let victim = scope.spawn(|| service.value_of_x(victim));
        service.wait_for_mark("running");
        for _ in 0..5 {
            let forged = claim("os.write(1, b'{\"x\": 2}'); finished(0); time.sleep(15)");
            assert_eq!(service.run(&forged).success(), json!({"x": 2}));
        }
        assert_eq!(victim.join().unwrap(), json!(1));
    });
    assert_eq!(service.workers(), workers);
    // Supervisor, spawner, worker, and four sandboxes that wait. The forged runs have ended.
    service.wait_for_processes(2 + 1 + 4);
}

#[test]
fn what_is_not_legal_in_a_running_sandbox_ends_it() {
    let service = Service::start("");
    for code in [
        "started(); time.sleep(5)",
        "closed(); time.sleep(5)",
        "unloadable(b'a refusal of my own'); time.sleep(5)",
        "prepare_failed(b'try another'); time.sleep(5)",
        "os.write(63, b'\\xff' * 8); time.sleep(5)",
        "say(b'garbage'); time.sleep(5)",
        "os.write(63, struct.pack('<I', 1 << 20)); time.sleep(5)",
    ] {
        assert_eq!(service.run(&claim(code)).emsg(), KILLED, "{code}");
    }
    assert_eq!(service.value_of_x("x = 1"), json!(1));
}

#[test]
fn a_closed_status_pipe_leaves_the_exit_to_tell() {
    let service = Service::start("");
    let run = Run::new("import os\nos.close(63)\nx = 1");
    assert_eq!(service.run(&run).success(), json!({"x": 1}));
}

#[test]
fn half_a_frame_spoils_what_the_sandbox_itself_says_and_so_the_run() {
    let service = Service::start("");
    let emsg = service
        .run(&Run::new("import os\nos.write(63, b'\\x08\\0')\nx = 1"))
        .emsg();
    assert!(emsg.ends_with("status code: -9"), "{emsg}");
}

#[test]
fn a_sandbox_whose_directory_was_tampered_with_does_not_cost_a_run() {
    let service = Service::start("");
    service.wait_for_processes(2 + 1 + 2);
    for directory in service.scratch_directories() {
        let library = directory.join("python_lib.zip");
        if library.exists() {
            std::fs::remove_file(&library).expect("remove");
        }
    }
    for n in 0..3 {
        assert_eq!(service.value_of_x(&format!("x = {n}")), json!(n));
    }
    service.wait_for_event("job_passed_on");
}

#[test]
fn a_flood_of_claims_does_not_hold_the_deadline_up() {
    let service = Service::start("[limits]\nREALTIME = 0.5");
    let flood =
        "while True:\n    try:\n        os.write(1, b'x' * 65536)\n    except OSError: pass";
    let started = std::time::Instant::now();
    let emsg = service.run(&claim(flood)).emsg();
    assert!(
        emsg.ends_with("status code: -9"),
        "{}",
        &emsg[emsg.len() - 40..]
    );
    // Ten times the limit, because the machine may be busy with other tests.
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn space_cannot_be_taken_past_the_limit_on_a_files_size() {
    let service = Service::start("[limits]\nFSIZE = 4096");
    let code = |mode: u8| {
        format!(
            "import ctypes, os\n\
             f = os.open('tmp/file', os.O_CREAT | os.O_WRONLY)\n\
             libc = ctypes.CDLL(None, use_errno=True)\n\
             done = libc.fallocate(f, {mode}, ctypes.c_long(0), ctypes.c_long(4096))\n\
             x = [done, ctypes.get_errno(), os.fstat(f).st_blocks > 0]"
        )
    };
    assert_eq!(service.value_of_x(&code(0)), json!([0, 0, true]));
    // The kernel checks the limit only where the size of a file grows. FALLOC_FL_KEEP_SIZE takes
    // space without that, so seccomp denies it.
    assert_eq!(service.value_of_x(&code(1)), json!([-1, 13, false]));
}

#[test]
fn what_a_run_imports_cold_is_counted_by_library_and_nothing_else_that_it_names() {
    let service = Service::start("[python]\npreload = ['numpy']");
    let count = |module: &str| {
        let labels = format!("codejail_cold_imports_total{{module=\"{module}\"}}");
        service.metric(&labels)
    };
    // Only networkx is counted, since it is installed and not preloaded. The other modules are
    // preloaded, or of the standard library, or not installed.
    let imports = "import numpy, json, decimal\ntry:\n    import no_such_library\nexcept ImportError:\n    \
                   pass\nimport networkx\nx = 1";
    for _ in 0..2 {
        assert_eq!(service.value_of_x(imports), json!(1));
    }
    assert_eq!(count("networkx"), 2);
    // A run that changes its modules, or reports others over the pipe, adds no label.
    let own = "import sys\nsys.modules['evil'] = sys\nsys.modules = {}\nx = 1";
    assert_eq!(service.value_of_x(own), json!(1));
    let names = "[b'evil', b'\\n', b'networkx', b'networkx'] + [b'evil'] * 90";
    let forged = claim(&format!(
        "os.write(1, b'{{}}'); finished(0, {names}); time.sleep(15)"
    ));
    service.run(&forged).success();
    assert_eq!(count("networkx"), 3);
    let metrics = service.get("/metrics").body;
    let counted = metrics
        .lines()
        .filter(|line| line.starts_with("codejail_cold_imports_total{"));
    assert_eq!(counted.count(), 1, "{metrics}");
}
