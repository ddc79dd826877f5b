//! Each way in which code can end, and its answer.

use codejail_harness::{Run, Service};
use serde_json::json;

/// Limits by name, for runs that need other limits.
const CONTEXTS: &str = "
[limit_overrides.cpu]
CPU = 1
[limit_overrides.memory]
VMEM = 67108864
[limit_overrides.files]
FSIZE = 10
[limit_overrides.threads]
NPROC = 3
";

const CORRUPTED: &str = "Sandboxed code produced corrupted stdout.";

pub fn service() -> Service {
    Service::start(CONTEXTS)
}

/// The error message of a run that failed. Its input globals must come back.
pub fn emsg(service: &Service, run: Run) -> String {
    let answer = service.run(&run.globals(r#"{"given": [1, "two"]}"#));
    assert_eq!(answer.globals(), json!({"given": [1, "two"]}));
    answer.emsg()
}

fn status(status: i32, stderr: &str) -> String {
    format!(
        "Couldn't execute jailed code: stdout: b'', stderr: b'{stderr}' with status code: {status}"
    )
}

#[test]
fn each_way_to_exit_has_its_status() {
    let service = service();
    let exits: [(&str, i32, &str); 15] = [
        ("import sys; sys.exit(3)", 3, ""),
        ("raise SystemExit(3)", 3, ""),
        ("import sys; sys.exit('bye')", 1, "bye\\n"),
        ("import sys; sys.exit(-1)", 255, ""),
        ("import sys; sys.exit(2.5)", 1, "2.5\\n"),
        ("import sys; sys.exit((1, 2))", 1, "(1, 2)\\n"),
        ("import sys; sys.exit(True)", 1, ""),
        ("import sys; sys.exit(259)", 3, ""),
        ("import os; os._exit(7)", 7, ""),
        ("import ctypes; ctypes.string_at(0)", -11, ""),
        ("import os; os.abort()", -6, ""),
        ("import os; os.kill(os.getpid(), 15)", -15, ""),
        (
            "import sys; sys.stderr.write('dying'); sys.exit(4)",
            4,
            "dying",
        ),
        ("import atexit, os; atexit.register(os._exit, 9)", 9, ""),
        (
            "import os, threading, time\n\
             threading.Thread(target=lambda: (time.sleep(0.1), os._exit(5))).start()",
            5,
            "",
        ),
    ];
    for (code, expected, stderr) in exits {
        assert_eq!(
            emsg(&service, Run::new(code)),
            status(expected, stderr),
            "{code}"
        );
    }
}

#[test]
fn the_end_counts_after_the_result_was_written() {
    // As with the original, the text that was written is not flushed by then.
    let code = "class End:\n def __del__(self, end=__import__('os')._exit): end(8)\nkept = End()";
    assert_eq!(
        emsg(&service(), Run::new(code)),
        "Couldn't execute jailed code: stdout: b'', stderr: b'' with status code: 8"
    );
}

#[test]
fn an_end_without_a_result_is_corrupted_output() {
    let service = service();
    for code in [
        "import os; os._exit(0)",
        "import sys; sys.exit(0)",
        "import sys; sys.exit()",
        "import sys; sys.exit(256)",
        "import os; os.write(1, b'hello')",
        "import sys; sys.__stdout__.write('hello')",
    ] {
        assert_eq!(emsg(&service, Run::new(code)), CORRUPTED, "{code}");
    }
}

#[test]
fn an_exception_shows_exactly_two_frames() {
    let service = service();
    let message = emsg(&service, Run::new("a = 1\nraise ValueError('no \\u2713')"));
    let (before, rest) = message.split_once("codejail-").unwrap();
    let (name, rest) = rest.split_once("/jailed_code").unwrap();
    let (line, after) = rest.split_once(", in ").unwrap();
    assert_eq!(
        before,
        format!(
            "Couldn't execute jailed code: stdout: b'', stderr: b'Traceback (most recent call \
             last):\\n  File \"{}/",
            service.scratch_root().display()
        )
    );
    assert_eq!(name.len(), 8);
    let number = line.strip_prefix("\", line ").unwrap();
    assert!(number.parse::<u32>().is_ok(), "{number}");
    assert_eq!(
        after,
        "<module>\\n    exec(code, g_dict)\\n  File \"<string>\", line 2, in <module>\\n\
         ValueError: no \\xe2\\x9c\\x93\\n' with status code: 1"
    );
}

#[test]
fn a_syntax_error_names_its_line() {
    let message = emsg(&service(), Run::new("x = 1\nx = = 2"));
    assert!(message.contains("File \"<string>\", line 2"), "{message}");
    assert!(message.contains("SyntaxError: invalid syntax"), "{message}");
}

#[test]
fn each_limit_ends_a_run_in_its_own_way() {
    let service = service();
    let killed = status(-9, "");
    for code in [
        "while True: pass",
        "import time; time.sleep(60)",
        "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start()",
        "import signal\nfor s in set(signal.Signals) - {9, 19}: signal.signal(s, signal.SIG_IGN)\n\
         while True: pass",
    ] {
        assert_eq!(
            emsg(&service, Run::new(code).context("short")),
            killed,
            "{code}"
        );
    }
    let burnt = emsg(&service, Run::new("while True: pass").context("cpu"));
    assert_eq!(burnt, status(-24, ""));
    let memory = emsg(
        &service,
        Run::new("x = bytearray(1 << 30)").context("memory"),
    );
    assert!(
        memory.contains("MemoryError\\n' with status code: 1"),
        "{memory}"
    );
    let fits = service.run(&Run::new("x = len(bytearray(1 << 24))").context("memory"));
    assert_eq!(fits.success(), json!({"x": 1 << 24}));
    let threads = "import threading, time\n\
                   for n in range(9): threading.Thread(target=time.sleep, args=(0.2,)).start()";
    let threads = emsg(&service, Run::new(threads).context("threads"));
    assert!(
        threads.contains("RuntimeError: can\\'t start new thread"),
        "{threads}"
    );
}

#[test]
fn files_grow_to_their_limit_and_not_further() {
    let service = service();
    let write = |count| format!("with open('tmp/f', 'w') as f: f.write('a' * {count})");
    let too_large = "OSError: [Errno 27] File too large";
    assert!(emsg(&service, Run::new(write(1))).contains(too_large));
    assert!(emsg(&service, Run::new(write(11)).context("files")).contains(too_large));
    let fits = service.run(&Run::new(write(10)).context("files"));
    assert_eq!(fits.success(), json!({}));
}

#[test]
fn processes_programs_and_the_network_are_denied() {
    let service = service();
    let permission = "PermissionError: [Errno 13]";
    let too_many = "BlockingIOError: [Errno 11] Resource temporarily unavailable";
    for (code, error) in [
        ("import os; os.fork()", too_many),
        (
            "import os; os.posix_spawn('/bin/date', ['date'], {})",
            too_many,
        ),
        (
            "import multiprocessing as m; m.Process(target=print).start()",
            too_many,
        ),
        ("import subprocess; subprocess.run(['date'])", too_many),
        ("import os; os.execv('/bin/date', ['date'])", permission),
        (
            "import os, sys; os.execv(sys.executable, ['python'])",
            permission,
        ),
        ("import socket; socket.socket()", permission),
        (
            "import socket; socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)",
            permission,
        ),
        (
            "import socket; socket.socket(socket.AF_UNIX).connect('/x')",
            permission,
        ),
        (
            "import socket; socket.gethostbyname('example.org')",
            "gaierror: [Errno -2]",
        ),
        (
            "import urllib.request; urllib.request.urlopen('http://example.org')",
            "<urlopen error [Errno -3] Temporary failure in name resolution>",
        ),
        (
            "import os; os.listdir('/')",
            "PermissionError: [Errno 13] Permission denied: \\'/\\'",
        ),
        (
            "open('/etc/passwd')",
            "PermissionError: [Errno 13] Permission denied: \\'/etc/passwd\\'",
        ),
    ] {
        let message = emsg(&service, Run::new(code));
        assert!(message.contains(error), "{code}: {message}");
    }
}
