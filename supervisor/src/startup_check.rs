//! The safety checks: the original's, and one more. Each new worker must pass its checks in its own
//! sandboxes before it may serve. The service itself has a check too.

use crate::config::{CodeJailLimits, Config};
use crate::execution::{Attempt, CaptureBounds, Job, run_somewhere};
use crate::health::Check;
use crate::pool::Shelf;
use crate::python_json::scan;
use crate::request::answer::Answer;
use codejail_protocol::spawn::WorkerId;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// One probe: its name, its code, and the result that it must have.
struct Probe {
    id: &'static str,
    /// Its name in the original's log.
    name: &'static str,
    code: &'static str,
    expected: Expected,
}

enum Expected {
    /// The run ends well with these globals.
    Globals(&'static str),
    /// The run is denied: its error contains one of these texts.
    Denied(&'static [&'static str]),
}

const PERMISSION: &str = "PermissionError: [Errno 13] Permission denied";
const TOO_MANY: &str = "BlockingIOError: [Errno 11] Resource temporarily unavailable";

const PROBES: &[Probe] = &[
    Probe {
        id: "functionality",
        name: "Basic code execution",
        code: "x = 16\nx = x + 1",
        expected: Expected::Globals(r#"{"x":17}"#),
    },
    Probe {
        id: "disk",
        name: "Block sandbox escape by disk access",
        code: "import os\nret = os.listdir('/')",
        expected: Expected::Denied(&[PERMISSION]),
    },
    // The original does not have this check. A run that can write beside its own `tmp` can change
    // its worker's files, and so the files of all other runs. Where sandboxes share a uid, only
    // Landlock keeps them apart.
    Probe {
        id: "files",
        name: "Block writes beside the run's own files",
        code: "import os\nos.mkdir('beside')",
        expected: Expected::Denied(&[PERMISSION]),
    },
    Probe {
        id: "exec",
        name: "Block sandbox escape by process execution",
        code: "import subprocess\nret = str(subprocess.check_output(['date', '-u', '-d', '@0', '+%Y']))",
        expected: Expected::Denied(&[PERMISSION, TOO_MANY]),
    },
    Probe {
        id: "network",
        name: "Block network access",
        code: "import socket\nwith socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:\n    ret = s.fileno()",
        expected: Expected::Denied(&[PERMISSION]),
    },
];

/// The original's name for the check of the service itself.
const EGRESS: &str = "Block egress from webapp";

/// How many sandboxes the checks of one worker take.
pub const SANDBOXES_TAKEN: u64 = PROBES.len() as u64;

/// How long a probe may take. A sandbox is ready within 10 s, or its worker is given up. No probe
/// computes for long.
const PROBE_MAX: Duration = Duration::from_secs(30);
/// How long to wait for a connection that must be denied. Where it is not denied, it takes
/// milliseconds.
const EGRESS_MAX: Duration = Duration::from_secs(2);

/// Runs every probe in a sandbox from `shelf`, one after the other.
pub async fn of_worker(worker: WorkerId, shelf: &Shelf, config: &Config) -> Vec<Check> {
    let mut checks = Vec::new();
    for probe in PROBES {
        let result = match timeout(PROBE_MAX, probe.run(shelf, config)).await {
            Ok(result) => result,
            Err(_) => Err(format!("not done after {PROBE_MAX:?}")),
        };
        let (id, failure) = (probe.id, result.err());
        match &failure {
            None => tracing::info!(
                event = "startup_check_passed",
                worker = worker.0,
                check = id,
                "Startup check '{}' passed",
                probe.name
            ),
            Some(failure) => {
                tracing::error!(
                    event = "startup_check_failed",
                    worker = worker.0,
                    check = id,
                    "Startup check '{}' failed with: {failure:?}",
                    probe.name
                );
            }
        }
        checks.push(Check { id, failure });
    }
    checks
}

/// The check of the service itself: whether it is kept from the network, if the configuration asks
/// for that.
pub async fn of_service(config: &Config) -> Vec<Check> {
    let Some(target) = &config.egress_check else {
        return Vec::new();
    };
    let id = "egress";
    let failure = match timeout(EGRESS_MAX, TcpStream::connect(target)).await {
        Ok(Ok(_)) => Some(format!(
            "the service could connect to {target}, which egress_check forbids"
        )),
        // Denied: the connection was refused, there was no route or no such name, or nothing
        // answered.
        Ok(Err(_)) | Err(_) => None,
    };
    match &failure {
        None => tracing::info!(
            event = "startup_check_passed",
            check = id,
            target,
            "Startup check '{EGRESS}' passed"
        ),
        Some(failure) => tracing::error!(
            event = "startup_check_failed",
            check = id,
            "Startup check '{EGRESS}' failed with: {failure:?}"
        ),
    }
    vec![Check { id, failure }]
}

impl Probe {
    async fn run(&self, shelf: &Shelf, config: &Config) -> Result<(), String> {
        let answer = self.execute(shelf, config).await?;
        match (&self.expected, answer) {
            (Expected::Globals(globals), Answer::Success(found)) if found == **globals => Ok(()),
            (Expected::Denied(errors), Answer::Failure { emsg, .. })
                if errors.iter().any(|error| emsg.contains(error)) =>
            {
                Ok(())
            }
            (Expected::Globals(globals), answer) => Err(format!(
                "expected an end with the globals {globals}, but {}",
                told(&answer, &config.limits)
            )),
            (Expected::Denied(errors), answer) => Err(format!(
                "expected \"{}\", but {}",
                errors.join("\" or \""),
                told(&answer, &config.limits)
            )),
        }
    }

    /// Executes the code as a request's job, but without admission: only the checks take from this
    /// shelf.
    async fn execute(&self, shelf: &Shelf, config: &Config) -> Result<Answer, String> {
        let code = serde_json::Value::from(self.code).to_string();
        let globals = scan::scan("{}").map_err(|error| error.to_string())?;
        let job = Job {
            code: &code,
            globals: globals.as_str(),
            python_lib: None,
            bytecode: None,
            python_path: false,
            limits: config.limits(None),
        };
        let take = || shelf.take(false);
        let deadline = Instant::now() + PROBE_MAX;
        match run_somewhere(take, job, CaptureBounds::of(config), deadline).await {
            Attempt::Ran(outcome, _) => {
                Ok(Answer::to_run(outcome, globals, config.output_bytes_max))
            }
            Attempt::TooLate => Err(format!("no sandbox was ready in {PROBE_MAX:?}")),
            Attempt::NoneCould(error) => Err(format!("no sandbox could take it: {error}")),
        }
    }
}

/// The result of an own run of the service, for an operator. If a limit ended the run, its key is
/// named.
#[must_use]
pub fn told(answer: &Answer, limits: &CodeJailLimits) -> String {
    match answer {
        Answer::Success(globals) => format!("the code ran to its end, with the globals {globals}"),
        Answer::Failure { emsg, .. } => match limit_behind(emsg, limits) {
            Some(limit) => {
                format!("{limit} is too small for any execution, and ended the code: {emsg}")
            }
            None => format!("the code ended otherwise: {emsg}"),
        },
        Answer::Rejected(rejection) => rejection.to_string(),
        Answer::Busy(refused) => refused.to_string(),
        answer => format!("it was answered {}", answer.telemetry()),
    }
}

/// The key of the limit that ends a run like this, if there is one.
fn limit_behind(emsg: &str, limits: &CodeJailLimits) -> Option<String> {
    if emsg.ends_with("with status code: -9") && limits.REALTIME > 0.0 {
        Some(format!("limits.REALTIME = {}", limits.REALTIME))
    } else if emsg.ends_with("with status code: -24") {
        Some(format!("limits.CPU = {}", limits.CPU))
    } else if limits.VMEM > 0
        && ["MemoryError", "failed to map segment"]
            .iter()
            .any(|part| emsg.contains(part))
    {
        Some(format!("limits.VMEM = {}", limits.VMEM))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_named_where_it_is_the_cause() {
        let limits = CodeJailLimits {
            REALTIME: 0.01,
            VMEM: 1000,
            ..CodeJailLimits::default()
        };
        let told = |emsg: &str| {
            let (globals, emsg) = ("{}".to_owned(), emsg.to_owned());
            told(&Answer::Failure { globals, emsg }, &limits)
        };
        for (emsg, limit) in [
            (
                "stderr: b'' with status code: -9",
                "limits.REALTIME = 0.01 is too small",
            ),
            (
                "stderr: b'' with status code: -24",
                "limits.CPU = 1 is too small",
            ),
            (
                "stderr: b'MemoryError' with status code: 1",
                "limits.VMEM = 1000 is too small",
            ),
            (
                "stderr: b'ValueError' with status code: 1",
                "the code ended otherwise",
            ),
        ] {
            let found = told(emsg);
            assert!(found.starts_with(limit) && found.ends_with(emsg), "{found}");
        }
    }
}
