//! Values on their way in and out: either equal to what Python makes of them, or dropped by the
//! rules of `json_safe`.

use codejail_harness::python::canonical;
use codejail_harness::{Run, Service};
use serde_json::{Value, json};

/// JSON texts that would change in the maps or floats of another language.
fn values() -> Vec<(&'static str, String)> {
    let texts = [
        ("nan", "NaN"),
        ("inf", "Infinity"),
        ("minus_inf", "-Infinity"),
        ("beyond_inf", "1e999"),
        ("minus_zero", "-0.0"),
        ("minus_zero_int", "-0"),
        ("float", "1.0"),
        ("exponent", "1E5"),
        ("small", "5e-324"),
        (
            "digits",
            "0.1000000000000000055511151231257827021181583404541015625",
        ),
        ("int", "1"),
        ("true", "true"),
        ("null", "null"),
        ("over_2_64", "18446744073709551617"),
        ("high_surrogate", r#""\ud800""#),
        ("low_surrogate", r#""a\udfffb""#),
        ("swapped", r#""\udc00\ud800""#),
        ("pair", r#""\ud83d\ude00""#),
        ("nul", r#""\u0000""#),
        ("separators", r#""\u2028\u2029""#),
        ("slashes", r#""\/\\\"\b\f\n\r\t\u007f""#),
        ("unicode", "\"é\u{20ac}\u{1f600}\u{fffe}\""),
        ("empty", r#"[{}, [], ""]"#),
        ("nested", r#"{"a": [{"b": [1, 1.0, null, NaN]}]}"#),
        ("é \u{1f600}", "1"),
        ("", "2"),
        (" with 'quotes' \u{7f}", "3"),
    ];
    let mut values: Vec<_> = texts.map(|(key, text)| (key, text.to_owned())).into();
    values.push(("longest_int", format!("-{}", "7".repeat(4300))));
    values.push(("deep", format!("{}1{}", "[".repeat(450), "]".repeat(450))));
    values
}

#[test]
fn what_comes_in_goes_out_equal_in_value_and_type() {
    let service = Service::start("");
    let quoted = |key| Value::from(key).to_string();
    for (key, text) in values() {
        let globals = format!("{{{}: {text}}}", quoted(key));
        let expected = canonical(&format!(r#"{{"globals_dict": {globals}}}"#));
        // Once untouched, and once read and written by the code.
        for code in [
            "",
            "for k in [k for k in globals() if k != '__builtins__']: globals()[k] = globals()[k]",
        ] {
            let code = if code.is_empty() {
                code.to_owned()
            } else {
                format!("{code}\ndel k")
            };
            let answer = service.run(&Run::new(code).globals(globals.as_str()));
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(canonical(&answer.body), expected, "{key}");
        }
        // A run that fails brings the globals back as they came.
        let answer = service.run(&Run::new("1/0").globals(globals.as_str()));
        let body: String = answer.body;
        let (globals_out, _) = body.split_once(",\"emsg\":").expect("emsg");
        assert_eq!(canonical(&format!("{globals_out}}}")), expected, "{key}");
    }
}

#[test]
fn code_sees_what_python_would_have_loaded() {
    let service = Service::start("");
    for (text, seen) in [
        ("NaN", "nan"),
        ("-Infinity", "-inf"),
        ("-0", "0"),
        ("-0.0", "-0.0"),
        ("1E400", "inf"),
        ("1.0", "1.0"),
        ("true", "True"),
        ("null", "None"),
        (r#""\ud800""#, r"'\ud800'"),
        (r#""\ud83d\ude00""#, r"'\U0001f600'"),
        (
            "123456789012345678901234567890",
            "123456789012345678901234567890",
        ),
        (r#"{"a": 1, "a": 2}"#, "{'a': 2}"),
    ] {
        let run = Run::new("x = ascii(v)").globals(format!(r#"{{"v": {text}}}"#));
        let answer = service.run(&run);
        let found = canonical(&answer.body);
        let expected = format!("'x': str {}", python_ascii(seen));
        assert!(found.contains(&expected), "{text}: {found}");
    }
}

/// `ascii()` of a text without line breaks.
fn python_ascii(text: &str) -> String {
    let quote = if text.contains('\'') { '"' } else { '\'' };
    format!("{quote}{}{quote}", text.replace('\\', "\\\\"))
}

const DROPPED: Option<&str> = None;

/// Expressions for `x`, and what comes back of each.
const RESULTS: &[(&str, Option<&str>)] = &[
    ("x = None", Some("null")),
    ("x = True", Some("true")),
    ("x = 10 ** 30", Some("1000000000000000000000000000000")),
    ("x = 10 ** 4300", DROPPED),
    ("x = 0.1 + 0.2", Some("0.30000000000000004")),
    ("x = 1e16", Some("1e16")),
    ("x = float('nan')", Some("NaN")),
    ("x = -float('inf')", Some("-Infinity")),
    ("x = 'é\\ud800'", Some(r#""\u00e9\ud800""#)),
    ("x = b'caf\\xc3\\xa9'", Some(r#""caf\u00e9""#)),
    ("x = b'\\xff'", DROPPED),
    (
        "x = [b'a', (b'b', {b'c': b'd'})]",
        Some(r#"["a", ["b", {"c": "d"}]]"#),
    ),
    ("x = [1, b'\\xff']", DROPPED),
    ("x = {b'\\xff': 1}", DROPPED),
    ("x = (1, (2, 3))", Some("[1, [2, 3]]")),
    (
        "x = {1: 'a', 2.5: 'b', None: 'c', False: 'd'}",
        Some(r#"{"1": "a", "2.5": "b", "null": "c", "false": "d"}"#),
    ),
    ("x = {(1, 2): 3}", DROPPED),
    ("x = [{(1, 2): 3}]", DROPPED),
    ("x = []; x.append(x)", DROPPED),
    ("x = {}; x['x'] = x", DROPPED),
    ("x = []\nfor n in range(2000): x = [x]\ndel n", DROPPED),
    ("x = {1, 2}", DROPPED),
    ("x = frozenset()", DROPPED),
    ("x = 1j", DROPPED),
    ("x = bytearray(b'a')", DROPPED),
    ("x = range(3)", DROPPED),
    ("x = [range(3)]", DROPPED),
    ("x = [1, {2}]", DROPPED),
    ("x = lambda: 1", DROPPED),
    ("import math as x", DROPPED),
    ("class x: pass", DROPPED),
    ("x = ...", DROPPED),
    (
        "from decimal import Decimal as D; x = D('1.5'); del D",
        DROPPED,
    ),
    (
        "import collections as c; x = c.OrderedDict(a=1); del c",
        Some(r#"{"a": 1}"#),
    ),
    (
        "import collections as c; x = c.namedtuple('P', 'a b')(1, 2); del c",
        Some("[1, 2]"),
    ),
    (
        "import enum as e; x = e.IntEnum('E', 'A B').B; del e",
        Some("2"),
    ),
    ("class S(str): pass\nx = S('a')\ndel S", Some(r#""a""#)),
    (
        "class D(dict):\n def items(self): raise OSError\nx = D(a=1)\ndel D",
        DROPPED,
    ),
];

#[test]
fn a_result_passes_the_straw_or_is_dropped() {
    let service = Service::start("");
    for (code, kept) in RESULTS {
        let answer = service.run(&Run::new(format!("{code}\ny = 1")));
        assert_eq!(answer.status, 200, "{code}: {answer:?}");
        let x = kept.map_or(String::new(), |text| format!(r#", "x": {text}"#));
        let expected = canonical(&format!(r#"{{"globals_dict": {{"y": 1{x}}}}}"#));
        assert_eq!(canonical(&answer.body), expected, "{code}");
    }
}

#[test]
fn the_result_is_merged_over_what_came_in() {
    let service = Service::start("");
    for (globals, code, expected) in [
        (r#"{"a": 1, "b": 2}"#, "a = 3", r#"{"a": 3, "b": 2}"#),
        (r#"{"a": 1}"#, "del a", r#"{"a": 1}"#),
        (r#"{"a": NaN}"#, "a = {1}", r#"{"a": NaN}"#),
        (r#"{"a": 1}"#, "globals().clear()", r#"{"a": 1}"#),
        (r#"{"\u0061": 1}"#, "a = 2", r#"{"a": 2}"#),
        (r#"{"a": 1, "a": 2}"#, "b = a", r#"{"a": 2, "b": 2}"#),
        (
            "{}",
            "globals()[5] = 6; globals()[b'k'] = 7",
            r#"{"5": 6, "k": 7}"#,
        ),
    ] {
        let answer = service.run(&Run::new(code).globals(globals));
        let expected = canonical(&format!(r#"{{"globals_dict": {expected}}}"#));
        assert_eq!(canonical(&answer.body), expected, "{code}");
    }
}

#[test]
fn values_may_be_as_deep_as_with_the_original() {
    let service = Service::start("");
    let globals = format!(r#"{{"a": {}{}}}"#, "[".repeat(900), "]".repeat(900));
    let answer = service.run(&Run::new("b = a").globals(globals));
    assert!(canonical(&answer.body).contains("'b'"), "{answer:?}");
}

#[test]
fn builtins_that_are_sent_in_are_not_those_of_the_code() {
    let service = Service::start("");
    let run = Run::new("x = len([1]); y = type(__builtins__).__name__")
        .globals(r#"{"__builtins__": {"len": null}, "a": 1}"#);
    let found = service.run(&run).success();
    assert_eq!(found["x"], json!(1));
    assert_eq!(found["y"], json!("dict"));
    // The result is merged over the input globals, which have this name.
    assert_eq!(found["__builtins__"], json!({"len": null}));
    let answer = service.execute("__builtins__['x'] = 1; y = 1");
    assert_eq!(answer.success(), json!({"y": 1}));
}

#[test]
fn every_200_has_globals() {
    let service = Service::start("output_bytes_max = 2000\nreply_bytes_max = 20000");
    for code in [
        "raise ValueError",
        "import os; os._exit(0)",
        "import os; os.abort()",
        "import os; os.write(1, b'[]'); os._exit(0)",
        "import os; os.write(1, b'null'); os._exit(0)",
        "import os; os.write(1, b'\\xff'); os._exit(0)",
        "import os; os.write(1, b'{' * 5000); os._exit(0)",
        "import os; os.write(1, b'[' * 5000 + b']' * 5000); os._exit(0)",
        "import os; os.write(1, b'{\"a\": ' + b'9' * 5000 + b'}'); os._exit(0)",
        "x = 'y' * 30000",
        "import os\nfor _ in range(100): os.write(2, b'z' * 60000)\nos._exit(1)",
        "import os; os.close(1)",
        "import sys; sys.stdout = None; sys.__stdout__ = None",
        "import sys; sys.__stdout__.close()",
        "import json; json.dumps = None",
        "del __builtins__",
        "(",
        "\0",
    ] {
        let answer = service.run(&Run::new(code).globals(r#"{"a": NaN}"#));
        assert_eq!(answer.status, 200, "{code}: {answer:?}");
        let (globals, rest) = answer.body.split_once("NaN").expect("its globals");
        assert!(
            globals.starts_with(r#"{"globals_dict":{"a":"#),
            "{code}: {globals}"
        );
        assert!(rest.starts_with('}'), "{code}: {rest}");
    }
}
