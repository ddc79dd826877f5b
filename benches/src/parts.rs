//! The service's parts that need no other process, one closure each. Criterion measures their time,
//! and callgrind counts their instructions. A closure panics if its part gives a wrong result.

use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use codejail::config::{Config, LimitOverrides};
use codejail::execution::{Captured, Outcome};
use codejail::http::body::{self, BodyBounds};
use codejail::http::budget::Held;
use codejail::http::pace::Pace;
use codejail::pool::Remains;
use codejail::python_json::scan::{RawString, scan};
use codejail::python_json::{
    merge as globals_merge, repr as python_repr, schema as payload_schema,
};
use codejail::request::answer::Answer;
use codejail::request::caller::Caller;
use codejail::request::ending::{Bounds, Facts};
use codejail::request::finished::{self, Asked, Finished, Taken, Unsaid};
use codejail::request::payload::{self, Form};
use codejail::{log, metrics};
use codejail_protocol::control::SandboxId;
use codejail_protocol::control::{WorkerReport, WorkerRequest};
use codejail_protocol::frame;
use codejail_protocol::job::{JobHeader, Limits, SandboxReport, Usage};
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::{Arc, Once};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// One part. It can run as often as wanted.
pub struct Part {
    /// Its name in tables and bounds.
    pub name: &'static str,
    /// Runs it once.
    pub run: Box<dyn FnMut()>,
}

/// A bound of the service's configuration. No part comes near it.
const BYTES_MAX: usize = 32 << 20;

/// All parts.
pub fn all() -> Vec<Part> {
    let mut parts = of_a_request();
    parts.extend(of_an_answer());
    parts.extend(of_frames());
    parts.push(of_the_log());
    parts
}

/// What one execution that ends well costs for the log, the metrics and the page: from the head of
/// the request to a line that goes nowhere and a place among the last executions.
fn of_the_log() -> Part {
    static BEGIN: Once = Once::new();
    let request = Request::builder().body(()).expect("a request");
    let (head, ()) = request.into_parts();
    let slug = scan(r#""the problem""#).expect("JSON").as_string();
    // The service has both before the request comes, and copies them for each request.
    let (bounds, image) = (bounds(), Arc::from("3.11.2-0a1b2c"));
    part("tell of 100 executions", move || {
        // A hundred times, because the start of log and metrics takes some ten million
        // instructions, and that number varies.
        BEGIN.call_once(begin_to_tell);
        for _ in 0..100 {
            tell(&head, slug, bounds, &image);
        }
    })
}

fn tell(head: &Parts, slug: Option<RawString<'_>>, bounds: Bounds, image: &Arc<str>) {
    let caller = Caller::of(head);
    let id = caller.header();
    let elapsed = Duration::from_micros(1234);
    metrics::sandbox_taken(elapsed);
    metrics::executed(elapsed);
    metrics::request("executed.success", elapsed);
    let mut facts = Facts::unknown(elapsed);
    facts.status = Some(0);
    facts.stdout.0 = 10;
    let finished = Finished {
        caller,
        status: "executed.success",
        asked: Asked {
            slug: slug.map(payload::shortened),
            context: None,
            known_context: None,
            python_path: false,
            library: false,
            bounds,
        },
        taken: Some(taken(Arc::clone(image))),
        facts,
        cold_imports: String::new(),
        total: elapsed,
        succeeded: true,
    };
    Unsaid::new(finished).say(Remains {
        used: Some(Usage {
            cpu_us: 3456,
            resident_kib_max: 40_000,
        }),
        scratch_bytes: Some(4096),
    });
    black_box(id);
}

/// Starts a log that goes nowhere and the metrics, and keeps executions for the page.
fn begin_to_tell() {
    finished::begin_keeping();
    log::start_into("info", false, std::io::sink);
    metrics::install().expect("the first recorder of this process");
}

fn bounds() -> Bounds {
    Bounds {
        limits: Config::default().limits(None),
        overrides: LimitOverrides::default(),
        reply_bytes_max: BYTES_MAX,
    }
}

fn taken(image: Arc<str>) -> Taken {
    Taken {
        worker: 7,
        image,
        ready: Usage {
            cpu_us: 1234,
            resident_kib_max: 30_000,
        },
        waited: Duration::from_micros(5),
        since: Instant::now(),
        remains: None,
    }
}

fn part(name: &'static str, run: impl FnMut() + 'static) -> Part {
    Part {
        name,
        run: Box::new(run),
    }
}

/// Code like that of the smallest real request: a prolog and a few lines, some 4 kB.
fn code() -> String {
    let line = "answer = round(random.uniform(0.1, 0.4) * g, 2)  # in \"m/s\" \\ 'SI'\n";
    line.repeat(56)
}

/// A JSON object with a table, of about this size.
fn globals(bytes: usize) -> String {
    let row = r#"[17, 0.25, -1.5e-3, "some words \u00e9 and \"more\"", true, null, {"key": []}]"#;
    let rows = vec![row; bytes / row.len() + 1].join(", ");
    format!(r#"{{"seed": 723, "data": [{rows}]}}"#)
}

fn payload(globals: &str) -> String {
    let code = serde_json::Value::from(code());
    format!(
        r#"{{"code": {code}, "globals_dict": {globals}, "python_path": ["python_lib.zip"], "limit_overrides_context": "course-v1:a+b+c", "slug": null, "unsafely": false}}"#
    )
}

fn of_a_request() -> Vec<Part> {
    let small = payload(&globals(100));
    let large = payload(&globals(100_000));
    let form: String = form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", &small)
        .finish();
    let multipart = format!(
        "--b\r\nContent-Disposition: form-data; name=\"payload\"\r\n\r\n{small}\r\n--b\r\n\
         Content-Disposition: form-data; name=\"python_lib.zip\"; filename=\"python_lib.zip\"\r\n\r\n{}\r\n--b--\r\n",
        "zip ".repeat(35_000)
    );
    let checked = Form::of_payload(small.clone());
    let scanned = small.clone();
    let broken = small.replace("null", "[17, 'a', 5e3]");
    let mismatch = small.replace(
        "\"slug\": null",
        "\"slug\": [17, \"a\", 5e3, {\"b\": null}]",
    );
    vec![
        part("read a form of 4 kB", move || {
            read("application/x-www-form-urlencoded", &form);
        }),
        part("read parts with a library of 140 kB", move || {
            read("multipart/form-data; boundary=b", &multipart);
        }),
        part("scan a payload of 4 kB", move || {
            black_box(scan(black_box(&scanned)).expect("JSON"));
        }),
        part("scan a payload of 100 kB", move || {
            black_box(scan(black_box(&large)).expect("JSON"));
        }),
        part("say where a payload is broken", move || {
            black_box(scan(black_box(&broken)).expect_err("no JSON").to_string());
        }),
        part("check a payload of 4 kB", move || {
            black_box(checked.check().expect("a job").code);
        }),
        part("say what a payload's shape lacks", move || {
            let payload = scan(&mismatch).expect("JSON");
            let error = payload_schema::check(payload).expect_err("a mismatch");
            black_box(error.to_string());
        }),
    ]
}

fn read(content_type: &str, body: &str) {
    let request = Request::builder()
        .header("content-type", content_type)
        .body(Body::from(body.to_owned()))
        .expect("a request");
    let (head, body) = request.into_parts();
    let bounds = BodyBounds {
        bytes_max: BYTES_MAX,
        held_bytes_max: BYTES_MAX,
    };
    let (mut held, pace) = (Held::of(&Arc::default()), Pace::default());
    let body = at_once(body::read(body, bounds, &mut held, &pace)).expect("a body");
    let encoding = payload::encoding(&head.headers).expect("an encoding");
    let form = payload::form(encoding, head, body).expect("a form");
    black_box(form.check().expect("a job").code);
}

/// The result of a future that has nothing to wait for.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a body that is there whole made the reader wait"),
    }
}

fn of_an_answer() -> Vec<Part> {
    let input = r#"{"seed": 723, "anonymous_student_id": "5afe5d9bb03796557ee2614f5c9611fb"}"#;
    let output =
        r#"{"seed": 723, "x": 2, "hint": "$a = g(\\sin30^\\circ)$", "options": [1.5, 2.5]}"#;
    let (large, larger) = (globals(100_000), globals(100_001));
    let traceback = "Traceback (most recent call last):\n  File \"/tmp/codejail-abcdefgh/jailed_code\", line 27, in \
                     <module>\n    exec(code, g_dict)\nValueError: 'no' \"root\" near \u{e9}\n"
        .repeat(8);
    let value = globals(1_000);
    let failed = traceback.clone();
    vec![
        part("answer a run that ended well", move || {
            answer(0, output, "", input);
        }),
        part("answer a run that failed", move || {
            answer(1, "", &failed, input);
        }),
        part("merge globals of 100 kB", move || {
            let (input, result) = (scan(&large).expect("JSON"), scan(&larger).expect("JSON"));
            black_box(globals_merge::merge(input, result));
        }),
        part("repr of a traceback's bytes", move || {
            black_box(python_repr::bytes_repr(black_box(traceback.as_bytes())));
        }),
        part("repr of a value of 1 kB", move || {
            black_box(python_repr::repr(scan(&value).expect("JSON")));
        }),
    ]
}

fn answer(status: i32, stdout: &str, stderr: &str, input: &str) {
    let captured = |text: &str| Captured {
        bytes: text.as_bytes().to_vec(),
        cut: false,
    };
    let outcome = Outcome::Ended {
        status,
        stdout: captured(stdout),
        stderr: captured(stderr),
        cold_imports: Vec::new(),
    };
    let answer = Answer::to_run(outcome, scan(input).expect("JSON"), BYTES_MAX);
    assert_eq!(matches!(answer, Answer::Success(_)), status == 0);
    black_box(answer.into_response());
}

fn of_frames() -> Vec<Part> {
    let header = JobHeader {
        code_bytes: 3_700,
        globals_bytes: 80,
        python_lib_bytes: Some(140_000),
        bytecode_bytes: None,
        python_path: true,
        limits: Limits {
            cpu_s: 1,
            realtime_ms: 1_000,
            vmem_bytes: 0,
            fsize_bytes: 0,
            nproc: 15,
        },
    };
    let finished = SandboxReport::Finished {
        status: 0,
        cold_imports: Vec::new(),
    };
    let report = frame::encode(&finished).expect("a frame");
    let order = frame::encode(&WorkerRequest::Kill {
        sandbox: SandboxId(7),
    })
    .expect("a frame");
    vec![
        part("build a job's frame", move || {
            black_box(frame::encode(black_box(&header)).expect("a frame"));
        }),
        part("read a sandbox's report", move || {
            black_box(frame::decode_packet::<SandboxReport>(black_box(&report)).expect("a report"));
        }),
        part("read an order to a worker", move || {
            black_box(frame::decode_packet::<WorkerRequest>(black_box(&order)).expect("an order"));
        }),
        part("refuse what is no report", move || {
            let garbage = [8, 0, 0, 0, 255, 255, 255, 255, 1, 2, 3, 4];
            black_box(
                frame::decode_packet::<WorkerReport>(black_box(&garbage)).expect_err("garbage"),
            );
        }),
    ]
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_part_does_what_it_should() {
        for mut part in super::all() {
            (part.run)();
        }
    }
}
