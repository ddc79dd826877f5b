//! The original's safety checks, run through a real sandbox before anything may be executed.

use crate::answer::Answer;
use crate::code_exec::Service;
use crate::health::Check;
use crate::payload::Form;
use metrics::gauge;
use std::time::{Duration, Instant};

/// One probe: its name, its code, and what must come of it.
struct Probe {
    id: &'static str,
    code: &'static str,
    expected: Expected,
}

enum Expected {
    /// It ends well with these globals.
    Globals(&'static str),
    /// It is denied: one of these is in its error.
    Denied(&'static [&'static str]),
}

const PERMISSION: &str = "PermissionError: [Errno 13] Permission denied";
const TOO_MANY: &str = "BlockingIOError: [Errno 11] Resource temporarily unavailable";

const PROBES: &[Probe] = &[
    Probe {
        id: "functionality",
        code: "x = 16\nx = x + 1",
        expected: Expected::Globals(r#"{"x":17}"#),
    },
    Probe {
        id: "disk",
        code: "import os\nret = os.listdir('/')",
        expected: Expected::Denied(&[PERMISSION]),
    },
    Probe {
        id: "exec",
        code: "import subprocess\nret = str(subprocess.check_output(['date', '-u', '-d', '@0', '+%Y']))",
        expected: Expected::Denied(&[PERMISSION, TOO_MANY]),
    },
    Probe {
        id: "network",
        code: "import socket\nwith socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:\n    ret = s.fileno()",
        expected: Expected::Denied(&[PERMISSION]),
    },
];

/// How long a probe may wait for a sandbox: as long as a worker may take to warm up.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs every probe, one after the other.
pub async fn run(service: &Service) -> Vec<Check> {
    let mut checks = Vec::new();
    for probe in PROBES {
        let failure = probe.run(service).await.err();
        match &failure {
            None => tracing::info!(check = probe.id, "startup check passed"),
            Some(failure) => tracing::error!(check = probe.id, failure, "startup check failed"),
        }
        gauge!("codejail_startup_check", "id" => probe.id).set(u8::from(failure.is_none()));
        checks.push(Check {
            id: probe.id,
            failure,
        });
    }
    checks
}

impl Probe {
    async fn run(&self, service: &Service) -> Result<(), String> {
        let payload = serde_json::json!({ "code": self.code, "globals_dict": {} }).to_string();
        let answer = patiently(service, &Form::of_payload(payload)).await;
        match (&self.expected, answer) {
            (Expected::Globals(globals), Answer::Success(found)) if found == **globals => Ok(()),
            (Expected::Denied(errors), Answer::Failure { emsg, .. })
                if errors.iter().any(|error| emsg.contains(error)) =>
            {
                Ok(())
            }
            (Expected::Globals(globals), answer) => {
                Err(format!("expected {globals}, got {answer:?}"))
            }
            (Expected::Denied(errors), answer) => {
                Err(format!("expected one of {errors:?}, got {answer:?}"))
            }
        }
    }
}

/// A machine that is busy while the service starts may have no sandbox ready in a request's time; that
/// says nothing about safety.
async fn patiently(service: &Service, form: &Form) -> Answer {
    let started = Instant::now();
    loop {
        let answer = service.execute(form).await;
        if !matches!(answer, Answer::Busy(_)) || started.elapsed() > PATIENCE {
            return answer;
        }
    }
}
