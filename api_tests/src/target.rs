//! What runs the code of probes: a service over HTTP, or a bare Python (`bare.rs`).

use crate::client::{self, Client};
use crate::probe::{Asked, LOOKS, ProbePlan};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

/// One execution to ask for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The code to run.
    pub code: String,
    /// Its input globals, an object.
    pub globals: Value,
    /// The input globals as JSON text, where they are too many to be kept as a value.
    pub globals_text: Option<String>,
    /// `python_path` of the payload.
    pub python_path: Value,
    /// The name and the content of the file that is sent along.
    pub file: Option<(&'static str, &'static [u8])>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct ProbeReply {
    /// The status of HTTP.
    pub status: u16,
    /// The body as it came.
    pub body: String,
    parsed: Value,
}

impl ProbeReply {
    /// A reply with this status and body. The body need not be JSON.
    #[must_use]
    pub fn new(status: u16, body: String) -> Self {
        let parsed = serde_json::from_str(&body).unwrap_or_default();
        Self {
            status,
            body,
            parsed,
        }
    }

    /// The text that the author reads if the run failed.
    #[must_use]
    pub fn emsg(&self) -> Option<&str> {
        self.parsed.get("emsg")?.as_str()
    }

    /// The body as JSON; null where it is not JSON.
    #[must_use]
    pub fn parsed(&self) -> &Value {
        &self.parsed
    }

    /// The run's globals.
    #[must_use]
    pub fn globals(&self) -> Option<&Value> {
        self.parsed.get("globals_dict")
    }
}

/// What runs the code of probes.
pub trait Target: Sync {
    /// Runs the steps one after the other. If a step leaves a global `kept`, the next step gets it.
    ///
    /// # Errors
    /// There was no answer.
    fn run(&self, steps: &[Request]) -> Result<Vec<ProbeReply>>;

    /// Runs a probe's code. Returns the answers in the order that `Outcome::of` expects.
    ///
    /// # Errors
    /// There was no answer.
    fn run_plan(&self, plan: ProbePlan, prelude: &str, globals: &Value) -> Result<Vec<ProbeReply>> {
        let request = |code: &str| Request {
            code: format!("{prelude}{code}"),
            globals: globals.clone(),
            globals_text: None,
            python_path: json!([]),
            file: None,
        };
        match plan {
            ProbePlan::Once(code) => self.run(&[request(code)]),
            ProbePlan::Asked(asked) => self.run(&[asked.request(globals)?]),
            ProbePlan::Loaded { integers, code } => {
                let scale = globals["scale"].as_f64().unwrap_or(1.0);
                self.run(&[Request {
                    globals_text: Some(many(globals, f64::from(integers) * scale)),
                    ..request(code)
                }])
            }
            ProbePlan::Planted { plant, look } | ProbePlan::Left { plant, look } => {
                let looks = std::iter::repeat_n(request(look), LOOKS);
                let steps: Vec<Request> = std::iter::once(request(plant)).chain(looks).collect();
                self.run(&steps)
            }
            ProbePlan::Beside { victim, attack } => {
                let (victim, attack) = thread::scope(|scope| {
                    let victim = scope.spawn(|| self.run(&[request(victim)]));
                    let attack = self.run(&[request(attack)]);
                    (victim.join(), attack)
                });
                let victim = victim.map_err(|_| anyhow::anyhow!("the victim's thread panicked"))?;
                Ok([victim?, attack?].concat())
            }
        }
    }
}

/// Most integers that fit into a body, urlencoded (`body_bytes_max`).
const INTEGERS_MAX: f64 = 7.5e6;
/// One level more than `SHALLOW_MAX` of `worker/src/execute.rs`, so that the globals must pass
/// through `json_safe`.
const DEEP: usize = 101;

/// This many integers, each with a comma; at most as many as fit into a body.
#[must_use]
pub fn integers_text(count: f64) -> String {
    "1,".repeat(count.clamp(1.0, INTEGERS_MAX) as usize)
}

/// `globals` with two lists added: this many integers (at most as many as fit into a body), and a
/// list that is nested [`DEEP`] times.
fn many(globals: &Value, integers: f64) -> String {
    let (opening, closing) = ("[".repeat(DEEP), "]".repeat(DEEP));
    let list = integers_text(integers);
    let globals = globals.to_string();
    // `globals` is an object with at least one member, so this is its text without the `{`.
    let others = &globals[1..];
    format!("{{\"deep\":{opening}{closing},\"list\":[{list}1],{others}")
}

impl Asked {
    fn request(self, globals: &Value) -> Result<Request> {
        Ok(Request {
            code: self.code.to_owned(),
            globals: match self.globals {
                "" => globals.clone(),
                own => serde_json::from_str(own)?,
            },
            globals_text: None,
            python_path: serde_json::from_str(self.python_path)?,
            file: self.file.map(|name| (name, COURSE_LIBRARY)),
        })
    }
}

/// A zip archive with `course_lib.py`: `def double(n): return 2 * n`. The file is not compressed,
/// and its date is in 1980.
const COURSE_LIBRARY: &[u8] = b"PK\x03\x04\x14\0\0\0\0\0\0\0!\0#\xdfE\x16\x1c\0\0\0\x1c\0\0\0\x0d\0\0\0\
    course_lib.pydef double(n): return 2 * n\n\
    PK\x01\x02\x14\0\x14\0\0\0\0\0\0\0!\0#\xdfE\x16\x1c\0\0\0\x1c\0\0\0\x0d\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0course_lib.py\
    PK\x05\x06\0\0\0\0\x01\0\x01\0;\0\0\0G\0\0\0\0\0";

/// A running service.
#[derive(Debug, Clone)]
pub struct Service {
    address: SocketAddr,
    host: String,
}

/// For how long a request is repeated that the service refuses because it is busy (503).
const PATIENCE: Duration = Duration::from_secs(20);
/// How long to wait between two tries. The service's `Retry-After` says one second too.
const PAUSE: Duration = Duration::from_secs(1);

impl Service {
    /// The service at this address, with the name for the `Host` header.
    #[must_use]
    pub fn new(address: SocketAddr, host: String) -> Self {
        Self { address, host }
    }

    /// The status of `/health/`.
    ///
    /// # Errors
    /// Nobody answers at this address.
    pub fn answers(&self) -> Result<u16> {
        Ok(self.client().ask(&client::Request::get("/health/"))?.0)
    }

    /// A client of the service. Like the LMS, it makes a connection for each request.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.address, false).named(self.host.clone())
    }

    fn execute(&self, request: &Request) -> Result<ProbeReply> {
        let globals = request.globals_text.clone();
        let globals = globals.unwrap_or_else(|| request.globals.to_string());
        let payload = format!(
            "{{\"code\":{},\"python_path\":{},\"slug\":\"codejail-api-tests\",\"globals_dict\":{globals}}}",
            Value::from(request.code.as_str()),
            request.python_path,
        );
        let execution = client::Request::execute_with(&payload, request.file);
        let started = Instant::now();
        loop {
            let (status, body) = self.client().ask(&execution)?;
            if status != 503 || started.elapsed() > PATIENCE {
                return Ok(ProbeReply::new(status, body));
            }
            thread::sleep(PAUSE);
        }
    }
}

impl Target for Service {
    fn run(&self, steps: &[Request]) -> Result<Vec<ProbeReply>> {
        let mut answers: Vec<ProbeReply> = Vec::new();
        for step in steps {
            let mut step = step.clone();
            let kept = answers
                .last()
                .and_then(|answer| answer.globals()?.get("kept"));
            if let Some(kept) = kept {
                step.globals["kept"] = kept.clone();
            }
            let number = answers.len() + 1;
            let answer = self.execute(&step);
            answers.push(answer.with_context(|| format!("execution {number}"))?);
        }
        Ok(answers)
    }
}
