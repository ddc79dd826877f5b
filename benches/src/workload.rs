//! The workloads: code to execute, and what the answer must be.

use anyhow::{Context, Result, bail, ensure};
use codejail_api_tests::client::Request;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::process::{Command, Stdio};

/// One piece of code with its globals.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Its name in tables.
    pub name: String,
    /// The code, with the client's prolog where the client sends it.
    pub code: String,
    /// The input globals.
    pub globals: Value,
    /// The `python_lib.zip` that is sent along.
    pub library: Option<Vec<u8>>,
    expected: Expected,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Expected {
    /// These globals must be in the answer, among others.
    Globals(Map<String, Value>),
    /// The run must fail, with this as the last line of standard error.
    Failure(String),
}

/// The result of an execution.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// The run came to its end: all globals.
    Globals(Value),
    /// The run failed: the text that says why.
    Failure(String),
}

impl Reply {
    /// Reads the body of an answer.
    pub fn of(body: &[u8]) -> Result<Self> {
        let mut body: Value = serde_json::from_slice(body)?;
        Ok(match body.get("emsg") {
            Some(emsg) => Self::Failure(emsg.as_str().context("emsg")?.replace("\\n", "\n")),
            None => Self::Globals(body["globals_dict"].take()),
        })
    }
}

/// The scripts that the original starts Python with.
#[derive(Debug, Clone, Deserialize)]
pub struct Scripts {
    /// The script without a library on the path.
    pub plain: String,
    /// The script with `python_lib.zip` on the path.
    pub with_library: String,
}

/// All workloads, and what contenders need for them.
#[derive(Debug, Clone)]
pub struct Suite {
    /// The workloads, in the order of the tables.
    pub workloads: Vec<Workload>,
    /// The course library's bytes.
    pub library: Vec<u8>,
    /// The scripts for a bare Python.
    pub scripts: Scripts,
}

#[derive(Deserialize)]
struct Described {
    workloads: Vec<DescribedWorkload>,
    library: String,
    scripts: Scripts,
}

#[derive(Deserialize)]
struct DescribedWorkload {
    name: String,
    code: String,
    globals: Value,
    library: bool,
    expected: Expected,
}

impl Workload {
    /// A workload that is made here: code, globals, and globals that must be in the answer.
    pub fn new(name: &str, code: &str, globals: Value, expected: Value) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            code: code.to_owned(),
            globals,
            library: None,
            expected: serde_json::from_value(expected)?,
        })
    }

    /// `x = 1 + 1`.
    pub fn trivial() -> Result<Self> {
        Self::new("trivial", "x = 1 + 1", json!({}), json!({ "x": 2 }))
    }

    /// The request, as the real client sends it.
    pub fn request(&self) -> Request {
        let payload = json!({
            "code": self.code,
            "globals_dict": self.globals,
            "python_path": self.library.as_ref().map(|_| ["python_lib.zip"]),
            "limit_overrides_context": null,
            "slug": null,
            "unsafely": false,
        });
        Request::execute(&payload.to_string(), self.library.as_deref())
    }

    /// Checks an answer.
    ///
    /// # Errors
    /// The answer is wrong: a benchmark of wrong answers measures nothing.
    pub fn check(&self, answer: &Reply) -> Result<()> {
        match (&self.expected, answer) {
            (Expected::Globals(expected), Reply::Globals(globals)) => {
                for (name, value) in expected {
                    ensure!(
                        &globals[name] == value,
                        "{}: a wrong answer, {name} = {}",
                        self.name,
                        globals[name]
                    );
                }
                for (name, value) in self.globals.as_object().into_iter().flatten() {
                    ensure!(&globals[name] == value, "{}: {name} got lost", self.name);
                }
                Ok(())
            }
            (Expected::Failure(line), Reply::Failure(text)) => {
                ensure!(text.contains(line), "{}: failed with {text}", self.name);
                Ok(())
            }
            (_, answer) => bail!("{}: answered {answer:?}", self.name),
        }
    }

    /// From now on, the whole answer must be this one, which a fresh interpreter gave.
    pub fn must_answer(&mut self, answer: Reply) -> Result<()> {
        self.check(&answer)?;
        if let Reply::Globals(Value::Object(globals)) = answer {
            self.expected = Expected::Globals(globals);
        }
        Ok(())
    }
}

impl Suite {
    /// Makes the workloads of `benches/python/workloads.py`. `python` has the real client and the
    /// original.
    pub fn load(python: &Path) -> Result<Self> {
        let output = Command::new(python)
            .arg("benches/python/workloads.py")
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| python.display().to_string())?;
        ensure!(output.status.success(), "workloads.py: {}", output.status);
        let described: Described = serde_json::from_slice(&output.stdout)?;
        let library = unhex(&described.library).context("the library")?;
        let workloads = described.workloads.into_iter().map(|workload| Workload {
            name: workload.name,
            code: workload.code,
            globals: workload.globals,
            library: workload.library.then(|| library.clone()),
            expected: workload.expected,
        });
        Ok(Self {
            workloads: workloads.collect(),
            library,
            scripts: described.scripts,
        })
    }

    /// The workload of this name.
    pub fn workload(&self, name: &str) -> Result<&Workload> {
        let found = self.workloads.iter().find(|workload| workload.name == name);
        found.with_context(|| format!("no workload {name:?}"))
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}
