//! Compares the scanner, the schema's messages, `repr` and the merge with CPython and jsonschema
//! themselves, on texts that a seeded generator makes. `python_json.py` answers; each test asks one
//! child process all its questions.
//!
//! No test here is skipped: a Python that is missing or of another version fails it.

mod random;

use codejail_harness::python::{SYSTEM_PYTHON, test_python};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use codejail::python_json::scan::{JsonError, NESTING_MAX, scan};
use codejail::python_json::{
    merge as globals_merge, repr as python_repr, schema as payload_schema,
};

use random::Random;

#[test]
fn texts_are_accepted_read_and_refused_as_by_python() {
    let mut random = Random(1);
    let mut texts = short_texts();
    for _ in 0..6000 {
        let text = random.value(4);
        texts.extend((0..3).map(|_| random.mutation_of(&text)));
        texts.push(text);
    }
    let python = ask(
        SYSTEM_PYTHON,
        texts.iter().map(|text| question("loads", &[text])),
    );
    for (text, expected) in texts.iter().zip(&python) {
        // Python accepts the text; it has a character whose `repr` depends on the Unicode version.
        if expected == "newer" {
            assert!(scan(text).is_ok(), "{text:?}");
        } else {
            assert_eq!(&verdict(text), expected, "{text:?}");
        }
    }
    let accepted = python
        .iter()
        .filter(|answer| answer.starts_with("ok"))
        .count();
    assert!(
        accepted > 6000 && accepted < texts.len() - 6000,
        "both kinds must be there: {accepted}"
    );
}

#[test]
fn strings_are_decoded_to_pythons_code_points() {
    let mut random = Random(2);
    let texts: Vec<_> = (0..5000).map(|_| random.string()).collect();
    let python = ask(
        SYSTEM_PYTHON,
        texts.iter().map(|text| question("decode", &[text])),
    );
    for (text, expected) in texts.iter().zip(python) {
        let decoded = scan(text).unwrap().as_string().unwrap().decode();
        assert_eq!(hex(&decoded), expected, "{text:?}");
    }
}

#[test]
fn python_accepts_the_deepest_nesting_that_we_do_and_little_more() {
    let nested = |depth: usize| {
        let (pairs, odd) = (depth / 2, "[".repeat(depth % 2));
        format!(
            "{odd}{}1{}{}",
            "[{\"a\":".repeat(pairs),
            "}]".repeat(pairs),
            odd.replace('[', "]")
        )
    };
    let asked = [NESTING_MAX, NESTING_MAX + 1, NESTING_MAX + 10]
        .map(|depth| question("nests", &[&nested(depth)]));
    assert_eq!(ask(SYSTEM_PYTHON, asked), ["ok", "ok", "deep"]);
    assert!(scan(&nested(NESTING_MAX)).is_ok());
    assert!(matches!(
        scan(&nested(NESTING_MAX + 1)),
        Err(JsonError::TooDeep { .. })
    ));
}

#[test]
fn bytes_are_shown_as_by_python() {
    let mut random = Random(3);
    let mut all: Vec<_> = (0..=255).map(|byte| vec![byte]).collect();
    all.extend((0..500).map(|_| {
        (0..random.below(9))
            .map(|_| random.pick(b"'\"\\\n\t\ra~\x00\x7f\xff"))
            .collect()
    }));
    let python = ask(
        SYSTEM_PYTHON,
        all.iter()
            .map(|bytes| question("bytes_repr", &[&hex(bytes)])),
    );
    for (bytes, expected) in all.iter().zip(python) {
        assert_eq!(
            hex(python_repr::bytes_repr(bytes).as_bytes()),
            expected,
            "{bytes:?}"
        );
    }
}

#[test]
fn every_character_that_python_knows_is_shown_or_escaped_as_there() {
    let letters = ask(SYSTEM_PYTHON, [question("printable", &[])]).remove(0);
    for (code_point, letter) in (0..).zip(letters.bytes()) {
        let Some(char) =
            char::from_u32(code_point).filter(|char| !char.is_control() && !"\"\\".contains(*char))
        else {
            continue;
        };
        let text = format!("\"{char}\"");
        let is_escaped = python_repr::repr(scan(&text).unwrap()).contains('\\');
        // A character that this Python does not know may have been assigned since.
        assert!(
            letter == b'U' || is_escaped == (letter == b'E'),
            "U+{code_point:04X}"
        );
    }
}

#[test]
fn merged_globals_equal_an_updated_dict() {
    let mut random = Random(4);
    let cases: Vec<_> = (0..4000)
        .map(|_| {
            let (input, result) = (random.object(1, 8), random.object(1, 8));
            let merged = globals_merge::merge(scan(&input).unwrap(), scan(&result).unwrap());
            (input, result, merged)
        })
        .collect();
    let asked = cases
        .iter()
        .map(|(input, result, merged)| question("merge", &[input, result, merged]));
    for (case, answer) in cases.iter().zip(ask(SYSTEM_PYTHON, asked)) {
        assert_eq!(answer, "same", "{case:?}");
    }
}

#[test]
fn schema_mismatches_are_reported_as_by_jsonschema() {
    let mut random = Random(5);
    let texts: Vec<_> = (0..6000).map(|_| random.payload()).collect();
    let answers = ask(
        test_python(),
        texts.iter().map(|text| question("schema", &[text])),
    );
    for (text, expected) in texts.iter().zip(&answers) {
        let checked = payload_schema::check(scan(text).unwrap());
        let answer = checked.map_or_else(
            |mismatch| hex(mismatch.to_string().as_bytes()),
            |_| "fits".to_owned(),
        );
        assert_eq!(&answer, expected, "{text:?}");
    }
    let fitting = answers.iter().filter(|answer| *answer == "fits").count();
    assert!(
        (200..5000).contains(&fitting),
        "both kinds must be there: {fitting}"
    );
}

/// The answer that `python_json.py` would give to the question `loads`.
fn verdict(text: &str) -> String {
    match scan(text) {
        Ok(value) => format!("ok {}", hex(python_repr::repr(value).as_bytes())),
        Err(error @ JsonError::Syntax { .. }) => format!("syntax {error}"),
        Err(JsonError::IntegerTooLong { .. }) => "integer".to_owned(),
        Err(JsonError::TooDeep { .. }) => "deep".to_owned(),
    }
}

/// Asks `python_json.py` all questions. Returns as many answers.
fn ask(python: impl Into<PathBuf>, questions: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut asked = question("version", &[]);
    asked.extend(questions);
    let count = asked.lines().count() - 1;
    let python: PathBuf = python.into();
    let mut child = Command::new(&python)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/python_json/python_json.py"
        ))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", python.display()));
    let mut stdin = child.stdin.take().unwrap();
    // A thread writes while this one reads: otherwise both sides would wait on full pipes. If the
    // child fails, its status shows it.
    let writer = thread::spawn(move || stdin.write_all(asked.as_bytes()));
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{} failed, see its traceback",
        python.display()
    );
    writer.join().unwrap().unwrap();

    let mut answers: Vec<_> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    let version = answers.remove(0);
    assert!(
        ["3.11", "3.12"].contains(&version.as_str()),
        "{} is {version}, whose json has other messages",
        python.display()
    );
    assert_eq!(answers.len(), count);
    answers
}

/// One line for `python_json.py`, in ASCII.
fn question(name: &str, texts: &[&str]) -> String {
    let mut line = format!("[\"{name}\"");
    for text in texts {
        line.push_str(",\"");
        for unit in text.encode_utf16() {
            match u8::try_from(unit) {
                Ok(byte @ (b' ' | b'!' | b'#'..=b'[' | b']'..=b'~')) => line.push(char::from(byte)),
                _ => write!(line, "\\u{unit:04x}").unwrap(),
            }
        }
        line.push('"');
    }
    line.push_str("]\n");
    line
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every text of up to three pieces, and every beginning of a text that contains every kind of
/// piece.
fn short_texts() -> Vec<String> {
    let visible = r#"" \ u { } [ ] , : 0 1 - . e + a é 😀 "a" NaN Infinity null \u00e9"#;
    let mut pieces: Vec<_> = visible.split(' ').collect();
    pieces.extend([" ", "\n", "\u{feff}", "\u{a0}", "\0"]);
    let mut texts = vec![String::new()];
    let mut longest = texts.clone();
    for _ in 0..3 {
        longest = longest
            .iter()
            .flat_map(|text| pieces.iter().map(move |piece| format!("{text}{piece}")))
            .collect();
        texts.extend_from_slice(&longest);
    }
    let rich =
        r#"{"é\n\ud83d\ude00" : [1, -2.5e-7 , true,false,null,-Infinity,{"😀":[ ]}], "": {}} "#;
    texts.extend(rich.char_indices().map(|(end, _)| rich[..end].to_owned()));
    texts.extend([4300, 4301].map(|digits| format!("[-{}", "7".repeat(digits))));
    texts.push(format!("{}.0", "7".repeat(4301)));
    texts
}
