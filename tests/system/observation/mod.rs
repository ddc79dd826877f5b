//! What an operator can see: the log's line for each execution, metrics, and their address.

mod addresses;
mod executions;
mod log;
mod metrics;
mod operating;
mod page;

use codejail_harness::Service;
use codejail_harness::http::{Answer, Connection, FORM, PATH, form, head};
use codejail_harness::wait::{END_MAX, wait_for};
use serde_json::Value;

/// Limits that tests reach, each with a run of its own. The log is in JSON.
pub const SHORT: &str = r#"
reply_bytes_max = 4096
log.format = "json"
[limits]
CPU = 1
REALTIME = 20
VMEM = 536870912
FSIZE = 1000
[limit_overrides.short]
REALTIME = 0.3
"#;

/// The fields of all lines of an event, in a log whose lines are JSON.
pub fn events(service: &Service, id: &str) -> Vec<Value> {
    let log = service.log();
    let lines = log.lines().filter(|line| line.starts_with('{'));
    let lines = lines.map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    lines.filter(|line| line["event"] == id).collect()
}

/// Waits until the log has so many executions. Returns the last one.
pub fn execution(service: &Service, count: usize) -> Value {
    wait_for("a line for each execution", END_MAX, || {
        events(service, "execution").into_iter().nth(count - 1)
    })
}

/// Asks with additional headers, each with its `\r\n`.
pub fn ask_with(service: &Service, payload: &str, headers: &str) -> Answer {
    let body = form(payload);
    let length = body.len();
    let headers = format!("Content-Type: {FORM}\r\nContent-Length: {length}\r\n{headers}");
    let mut connection = Connection::open(service.address).expect("connect");
    let answer = connection.ask(&head("POST", PATH, &headers), body.as_bytes());
    answer.expect("an answer")
}
