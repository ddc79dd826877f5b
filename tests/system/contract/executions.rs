//! What comes of code that is run: each way in which it can end, and what it sees of where it is.

use crate::answers::SEE_LOGS;
use codejail_harness::python::library;
use codejail_harness::{Run, Service};
use serde_json::{Value, json};

/// Limits by name, for the runs that need others.
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

fn service() -> Service {
    Service::start(CONTEXTS)
}

/// The error message of a run that failed, whose input globals must come back.
fn emsg(service: &Service, run: Run) -> String {
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
    // As with the original, what was written is not flushed yet by then.
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

#[test]
fn the_result_is_merged_over_the_input() {
    let service = service();
    let run = |globals: &str, code: &str| service.run(&Run::new(code).globals(globals)).success();
    let input = r#"{"a": 1, "b": 2}"#;
    assert_eq!(run(input, "c = a + b"), json!({"a": 1, "b": 2, "c": 3}));
    assert_eq!(run(input, "del a; b = 5"), json!({"a": 1, "b": 5}));
    assert_eq!(
        run(input, "a = object(); b = print"),
        json!({"a": 1, "b": 2})
    );
    assert_eq!(
        run("{}", "a = (1, {2: b'3'}); c = {1}"),
        json!({"a": [1, {"2": "3"}]})
    );
    let builtins = r#"{"__builtins__": {"len": 0}}"#;
    assert_eq!(run(builtins, "x = len('four')")["x"], json!(4));
}

#[test]
fn values_that_only_python_writes_survive() {
    let service = service();
    let number = "9".repeat(4000);
    let globals = format!(
        r#"{{"nan": NaN, "inf": Infinity, "low": -Infinity, "big": {number}, "lone": "\ud800", "float": 1.0}}"#
    );
    let code = "same = (nan != nan, inf > 1e308, low < -1e308, len(str(big)), ord(lone), type(float).__name__)\n\
                more = big * 10";
    let answer = service.run(&Run::new(code).globals(globals));
    assert_eq!(answer.status, 200);
    let body = answer.body.replace(": ", ":").replace("D800", "d800");
    for part in [
        r#""nan":NaN"#.to_owned(),
        r#""inf":Infinity"#.to_owned(),
        r#""low":-Infinity"#.to_owned(),
        format!(r#""big":{number},"#),
        format!(r#""more":{number}0"#),
        r#""lone":"\ud800""#.to_owned(),
        r#""float":1.0"#.to_owned(),
    ] {
        assert!(body.contains(&part), "{part}\n{body}");
    }
    let same = r#""same":[true,true,true,4000,55296,"float"]"#;
    assert!(body.replace(", ", ",").contains(same), "{body}");
}

#[test]
fn a_course_library_can_be_imported_if_the_path_names_it() {
    let service = service();
    let zip = || library("course_lib", "def double(n): return 2 * n");
    let code = "import course_lib, os, sys\n\
                x = course_lib.double(21); path = sys.path[-1]; here = sorted(os.listdir())";
    let answer = service.run(&Run::new(code).library(zip()));
    let here = ["jailed_code", "python_lib.zip", "tmp"];
    let expected = json!({"x": 42, "path": "python_lib.zip", "here": here});
    assert_eq!(answer.success(), expected);

    let mut unnamed = Run::new("import course_lib").library(zip());
    unnamed.python_path = false;
    let message = emsg(&service, unnamed);
    assert!(
        message.contains("ModuleNotFoundError: No module named \\'course_lib\\'"),
        "{message}"
    );

    let mut unsent = Run::new("x = 1");
    unsent.python_path = true;
    assert_eq!(emsg(&service, unsent), SEE_LOGS);
}

#[test]
fn code_sees_what_a_fresh_interpreter_would_show() {
    let service = service();
    let directory = "import os, re; x = bool(re.fullmatch(r'/.*/codejail-[a-z0-9_]{8}', ";
    for (code, expected) in [
        ("x = __name__", json!("builtins")),
        ("x = '__file__' in globals()", json!(false)),
        ("x = globals() is locals()", json!(true)),
        ("import sys; x = sys.argv", json!(["jailed_code"])),
        ("import sys; x = sys.stdin.read()", json!("")),
        ("import os; x = os.read(0, 1)", json!("")),
        (
            "import os, stat; x = stat.S_ISFIFO(os.fstat(0).st_mode)",
            json!(true),
        ),
        (
            "import os; x = sorted(os.listdir())",
            json!(["jailed_code", "tmp"]),
        ),
        ("import os; x = os.listdir('tmp')", json!([])),
        (
            "import os; x = 'g_dict' in open('jailed_code').read()",
            json!(true),
        ),
        ("import inspect; x = len(inspect.stack())", json!(2)),
        (
            "import sys; x = type(sys.stdout).__name__",
            json!("DevNull"),
        ),
        ("print('hello'); x = 1", json!(1)),
        (
            "import sys; print('hello', file=sys.stderr); x = 1",
            json!(1),
        ),
        ("x = (lambda: 0).__code__.co_filename", json!("<string>")),
        ("x = (lambda: 0).__code__.co_flags & 0xfff000", json!(0)),
        ("def f(n): return n and f(n - 1)\nx = f(990)", json!(0)),
        (
            "import threading; x = threading.current_thread() is threading.main_thread()",
            json!(true),
        ),
        (
            "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\nx = 1",
            json!(1),
        ),
        (
            "import os; os.write(1, b'{\"x\": 5}'); os._exit(0)",
            json!(5),
        ),
        (
            "import __main__; x = sorted(n for n in vars(__main__) if n[:2] != '__')",
            json!(["DevNull", "code", "g_dict", "json", "six", "sys"]),
        ),
        (&format!("{directory}os.getcwd()))"), json!(true)),
        (
            &format!("{directory}__import__('sys').path[0]))"),
            json!(true),
        ),
    ] {
        assert_eq!(service.value_of_x(code), expected, "{code}");
    }
    let end = service
        .execute("import sys; x = sys.getrecursionlimit()")
        .success();
    assert_eq!(end["x"], Value::from(1000));
}
