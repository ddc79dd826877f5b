//! What code sees of its surroundings: its globals, its library, its interpreter.

use super::executions::{emsg, service};
use crate::answers::SEE_LOGS;
use codejail_harness::Run;
use codejail_harness::python::library;
use serde_json::{Value, json};

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
