//! The log's one line for each execution: how it ended, by which limit, and what it used.

use super::{SHORT, ask_with, events, execution};
use codejail_harness::http::{Connection, FORM, PATH, form, head, post_payload};
use codejail_harness::wait::{END_MAX, wait_for, wait_until};
use codejail_harness::{Run, Service};
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpStream;

/// Code, its context, and what the line must say: the end, the limit, the sentence.
type Case = (
    &'static str,
    Option<&'static str>,
    &'static str,
    Option<&'static str>,
    &'static str,
);

const CASES: [Case; 11] = [
    ("x = 1", None, "success", None, "executed: succeeded"),
    (
        "1 / 0",
        None,
        "exception",
        None,
        "failed: an exception that the code did not catch",
    ),
    (
        "import sys; sys.exit(3)",
        None,
        "exit",
        None,
        "failed: it left with status 3",
    ),
    (
        "import os; os._exit(0)",
        None,
        "exit",
        None,
        "failed: it left without a result",
    ),
    (
        "while True: pass",
        None,
        "cpu",
        Some("CPU"),
        "killed: CPU limit of 1 s",
    ),
    (
        "import time; time.sleep(60)",
        Some("short"),
        "wall",
        Some("REALTIME"),
        "killed: REALTIME limit of 0.3 s, context short",
    ),
    (
        "x = bytearray(2 ** 30)",
        None,
        "memory",
        Some("VMEM"),
        "failed: VMEM limit of 512 MiB",
    ),
    (
        "with open('tmp/f', 'wb') as f: f.write(bytes(2000))",
        None,
        "exception",
        Some("FSIZE"),
        "failed: FSIZE limit of 1000 bytes",
    ),
    (
        "x = 'x' * 10000",
        None,
        "output",
        Some("reply_bytes_max"),
        "failed: result longer than reply_bytes_max = 4096",
    ),
    (
        "import os; os.write(1, b'noise')",
        None,
        "output",
        None,
        "failed: standard output holds something else than a result",
    ),
    (
        "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        None,
        "killed",
        None,
        "killed: signal 11 (SIGSEGV)",
    ),
];

#[test]
fn each_end_is_told_in_words_and_counted_with_the_limit_that_was_hit() {
    let service = Service::start(SHORT);
    for (place, (code, context, end, limit, words)) in CASES.into_iter().enumerate() {
        let mut run = Run::new(code);
        run.context = context;
        service.run(&run);
        let line = execution(&service, place + 1);
        assert_eq!(line["message"], words, "{code}: {line}");
        assert_eq!(line["end"], end, "{code}: {line}");
        assert_eq!(line["limit"].as_str(), limit, "{code}: {line}");
        let succeeded = end == "success";
        let status = if succeeded {
            "executed.success"
        } else {
            "executed.error"
        };
        assert_eq!(line["codejail.exec.status"], status, "{code}");
        assert_eq!(
            line["codejail.exec.limit_override"].as_str(),
            context,
            "{code}"
        );
    }
    let metrics = service.get("/metrics").body;
    for line in [
        "codejail_executions_total{end=\"success\"} 1",
        "codejail_executions_total{end=\"exception\"} 2",
        "codejail_executions_total{end=\"exit\"} 2",
        "codejail_executions_total{end=\"output\"} 2",
        "codejail_executions_total{end=\"wall\"} 1",
        "codejail_executions_total{end=\"fault\"} 0",
        "codejail_limit_hits_total{limit=\"CPU\"} 1",
        "codejail_limit_hits_total{limit=\"FSIZE\"} 1",
        "codejail_limit_hits_total{limit=\"NPROC\"} 0",
    ] {
        assert!(
            metrics.lines().any(|found| found == line),
            "{line}:\n{metrics}"
        );
    }
}

#[test]
fn a_line_tells_what_the_run_used_beyond_its_ready_sandbox() {
    let service = Service::start(SHORT);
    service.execute("x = 1").success();
    let small = execution(&service, 1);
    let code = "kept = bytearray(64 << 20)\nwhile __import__('time').process_time() < 0.3: pass\n\
                open('tmp/f', 'wb').write(bytes(900)); del kept";
    service.execute(code).success();
    let large = execution(&service, 2);
    let number = |line: &Value, field: &str| {
        line[field]
            .as_f64()
            .unwrap_or_else(|| panic!("{field}: {line}"))
    };
    let mib = |line: &Value| number(line, "memory_bytes") / f64::from(1 << 20);
    assert!(mib(&small) < 16.0, "{small}");
    assert!((64.0..80.0).contains(&mib(&large)), "{large}");
    assert!(number(&large, "cpu_seconds") > 0.2, "{large}");
    assert!(number(&small, "cpu_seconds") < 0.2, "{small}");
    assert!(
        number(&large, "run_seconds") <= number(&large, "total_seconds"),
        "{large}"
    );
    if codejail_harness::root::is_root() {
        assert!(
            number(&large, "scratch_bytes") > number(&small, "scratch_bytes"),
            "{large}"
        );
    }
}

#[test]
fn a_client_that_hangs_up_leaves_a_line_too() {
    let service = Service::start(SHORT);
    let body =
        form(r#"{"code": "import time; time.sleep(60)", "globals_dict": {}, "slug": "left"}"#);
    let length = body.len();
    let headers = format!("Content-Type: {FORM}\r\nContent-Length: {length}\r\n");
    let mut client = TcpStream::connect(service.address).expect("connect");
    client
        .write_all(head("POST", PATH, &headers).as_bytes())
        .expect("write");
    client.write_all(body.as_bytes()).expect("write");
    wait_until("its run", END_MAX, || {
        service.metric("codejail_sandboxes_busy") == 1
    });
    wait_until("its sandbox", END_MAX, || {
        service.metric("codejail_queue_wait_seconds_count") == 1
    });
    drop(client);
    let line = execution(&service, 1);
    assert_eq!(line["message"], "killed: its client hung up");
    assert_eq!(line["codejail.exec.status"], "executed.abandoned");
    assert_eq!(line["codejail.exec.slug"], "left");
    service.assert_works();
}

#[test]
fn an_execution_that_ends_while_the_service_drains_has_its_line() {
    let mut service = Service::start(SHORT);
    let mut connection = Connection::open(service.address).expect("connect");
    let client = std::thread::spawn(move || {
        Run::new("import time; time.sleep(1)").ask_over(&mut connection)
    });
    wait_until("its run", END_MAX, || {
        service.metric("codejail_sandboxes_busy") == 1
    });
    service.signal(nix::sys::signal::Signal::SIGTERM);
    client.join().expect("no panic").success();
    service.wait();
    assert_eq!(execution(&service, 1)["end"], "success");
    let drained = &events(&service, "service_draining")[0];
    assert_eq!(
        (&drained["executions"], &drained["waiting"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(events(&service, "service_ended").len(), 1);
}

#[test]
fn a_request_is_found_by_its_id_which_its_answer_carries() {
    let service = Service::start(SHORT);
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let payload = r#"{"code": "x = 1", "globals_dict": {}}"#;
    let headers = format!("X-Request-ID: lms-17 \"\\end\r\ntraceparent: {trace}\r\n");
    let answer = ask_with(&service, payload, &headers);
    assert_eq!(answer.header("x-request-id"), Some("lms-17end"));
    let line = execution(&service, 1);
    assert_eq!(line["request_id"], "lms-17end");
    assert_eq!(line["traceparent"], trace);
    assert!(
        line["client"]
            .as_str()
            .is_some_and(|client| client.starts_with("127.0.0.1:")),
        "{line}"
    );
    // A request without an id gets one, and so does a request that is refused.
    let answer = post_payload(service.address, "{");
    let id = answer.header("x-request-id").expect("an id").to_owned();
    wait_for("its line", END_MAX, || {
        let refused = events(&service, "request_refused");
        refused.into_iter().find(|line| line["request_id"] == id)
    });
}

#[test]
fn the_log_holds_nothing_of_a_payload_unless_it_is_told_to() {
    let secret = "correct horse battery staple";
    let ask = |service: &Service| {
        let run = Run::new(format!("x = {secret:?}; raise ValueError(x)"));
        let _ = service
            .run(&run.globals(format!(r#"{{"y": {secret:?}}}"#)))
            .emsg();
        let wrong = format!(r#"{{"code": "x", "globals_dict": [{secret:?}]}}"#);
        assert!(post_payload(service.address, &wrong).body.contains(secret));
        post_payload(service.address, &format!(r#"{{"{secret}": }}"#));
        execution(service, 1);
    };
    let service = Service::start(SHORT);
    ask(&service);
    assert!(!service.log().contains(secret), "{}", service.log());
    assert!(events(&service, "payloads_logged").is_empty());
    let service = Service::start(&format!("log.payloads = true\n{SHORT}"));
    assert_eq!(events(&service, "payloads_logged")[0]["level"], "WARN");
    ask(&service);
    let payload = &events(&service, "execution_payload")[0];
    for field in ["code", "globals", "emsg"] {
        assert!(
            payload[field]
                .as_str()
                .is_some_and(|text| text.contains(secret)),
            "{payload}"
        );
    }
}
