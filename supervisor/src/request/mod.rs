//! One request, five steps that don't call each other: payload, admission, pool, execution, answer.
//!
//! Only this file knows the order.

pub mod admission;
pub mod answer;
mod answer_body;
pub mod caller;
pub mod ending;
pub mod finished;
pub mod payload;
mod payload_log;
pub mod recent;
mod record;
mod refusal_log;

use crate::big_work::{self, Lane};
use crate::config::Config;
use crate::execution::{Attempt, CaptureBounds, Job, Outcome, run_somewhere};
use crate::http::body::{self, BodyBounds, BodyError};
use crate::http::budget::{Full, Held};
use crate::metrics::{self, credible_cold_imports};
use crate::python_json::scan::RawString;
use crate::service::Service;
use admission::{Permit, Refused};
use answer::Answer;
use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use caller::{Caller, REQUEST_ID};
use codejail_protocol::job::Limits;
use payload::{CodeExec, Form, Rejection, shortened};
use record::Record;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Context names whose JSON is longer are not looked up: no operator writes such a name.
const CONTEXT_TEXT_BYTES_MAX: usize = 64 * 1024;

/// POST /api/v0/code-exec
pub async fn handle(State(service): State<Service>, request: Request<Body>) -> Response {
    let config = service.config.get();
    let mut held = Held::of(&service.bodies);
    let (head, body) = request.into_parts();
    let mut record = Record::new(Caller::of(&head));
    let request_id = record.caller().header();
    let request = Request::from_parts(head, body);
    let answer = answer(&service, &config, request, &mut held, &mut record).await;
    record.answered(&answer);
    let (head, body) = big_work::run(Lane::Answer, answer.bytes(), || answer.into_parts()).await;
    let mut response = match body.held(held, config.bodies_bytes_max) {
        Ok(body) => head.map(|()| Body::new(body)),
        Err(Full) => {
            let refusal = Answer::Busy(Refused::NoRoom);
            record.answered(&refusal);
            refusal.into_response()
        }
    };
    if let Some(id) = request_id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// The answer to a request. `held` is the body's part of the budget; the answer's bytes are not
/// counted yet.
async fn answer(
    service: &Service,
    config: &Config,
    request: Request<Body>,
    held: &mut Held,
    record: &mut Record,
) -> Answer {
    if !config.enabled {
        return Answer::Disabled;
    }
    if !service.health.is_safe() {
        return Answer::Unsafe;
    }
    let encoding = match payload::encoding(request.headers()) {
        Ok(encoding) => encoding,
        Err(rejection) => return Answer::Rejected(rejection),
    };
    let (head, body) = request.into_parts();
    let bounds = BodyBounds {
        bytes_max: config.body_bytes_max,
        held_bytes_max: config.bodies_bytes_max,
    };
    let reading = body::read(body, bounds, held, &service.pace);
    let body = match timeout(Duration::from_millis(config.body_timeout_ms), reading).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => return unread(error),
        Err(_) => return Answer::Rejected(Rejection::Slow(config.body_timeout_ms)),
    };
    let form = match big_work::run(Lane::Request, body.len(), || {
        payload::form(encoding, head, body)
    })
    .await
    {
        Ok(form) => form,
        Err(rejection) => return Answer::Rejected(rejection),
    };
    // This can't fail: the form has no more bytes than its body had.
    let _ = held.resize(form.bytes(), config.bodies_bytes_max);
    execute(service, &form, config, record).await
}

fn unread(error: BodyError) -> Answer {
    match error {
        BodyError::NoRoom => Answer::Busy(Refused::NoRoom),
        BodyError::TooLarge(bytes_max) => Answer::Rejected(Rejection::TooLarge(bytes_max)),
        BodyError::Broken(error) => Answer::Rejected(Rejection::Body(error.to_string())),
    }
}

/// Runs what a form asks for, for the commands `check` and `run`.
pub async fn execute_own(service: &Service, form: &Form, config: &Config) -> Answer {
    let mut record = Record::new(Caller::of_service());
    let answer = execute(service, form, config, &mut record).await;
    record.answered(&answer);
    answer
}

/// Runs what a form asks for.
async fn execute(service: &Service, form: &Form, config: &Config, record: &mut Record) -> Answer {
    let code_exec = match big_work::run(Lane::Request, form.bytes(), || form.check()).await {
        Ok(code_exec) => code_exec,
        Err(rejection) => return Answer::Rejected(rejection),
    };
    let context = context(&code_exec);
    record.asks(
        &code_exec,
        context.as_deref(),
        config.limits(context.as_deref()),
        config,
    );
    if code_exec.python_path && code_exec.python_lib.is_none() {
        tracing::warn!(
            event = "library_not_sent",
            slug = code_exec.slug.map(shortened),
            "python_path names python_lib.zip, which was not sent"
        );
        record.failed("python_path names python_lib.zip, which was not sent");
        return Answer::fault(code_exec.globals);
    }
    let waiting = Instant::now();
    match service.admission.admit().await {
        Ok(permit) => {
            let answer = run_admitted(service, &code_exec, config, &permit, waiting, record).await;
            if config.log.payloads {
                payload_log::say(&code_exec, &answer, &record.caller().request_id);
            }
            answer
        }
        Err(refused) => Answer::Busy(refused),
    }
}

/// Pool, execution and answer of a request that may execute; it has waited since `waiting`.
async fn run_admitted(
    service: &Service,
    code_exec: &CodeExec<'_>,
    config: &Config,
    permit: &Permit,
    waiting: Instant,
    record: &mut Record,
) -> Answer {
    let Some(pool) = service.pool.get() else {
        return Answer::Unsafe;
    };
    let library_bytes = code_exec.python_lib.map_or(0, <[u8]>::len);
    let bytecode =
        big_work::run(Lane::Answer, library_bytes, || bytecode(service, code_exec)).await;
    let job = job(
        code_exec,
        bytecode.as_deref(),
        record.limits().unwrap_or_else(|| config.limits(None)),
    );
    let took = &*record;
    let take = || async move {
        let mut sandbox = pool.take().await;
        took.takes(&mut sandbox, waiting.elapsed());
        sandbox
    };
    match run_somewhere(take, job, CaptureBounds::of(config), permit.deadline).await {
        Attempt::Ran(outcome, elapsed) => {
            let outcome = blame(service, outcome, elapsed).await;
            metrics::executed(elapsed);
            let cold = match &outcome {
                Outcome::Ended { cold_imports, .. } => {
                    credible_cold_imports(cold_imports, pool.first_worker())
                }
                _ => Vec::new(),
            };
            metrics::count_cold_imports(&cold);
            record.ran(&outcome, elapsed, &cold);
            let globals = code_exec.globals;
            let bytes = globals.as_str().len() + outcome.bytes();
            let to_run = || Answer::to_run(outcome, globals, config.output_bytes_max);
            big_work::run(Lane::Answer, bytes, to_run).await
        }
        Attempt::TooLate => Answer::Busy(service.admission.waited_too_long()),
        Attempt::NoneCould(error) => {
            tracing::error!(
                event = "job_given_up",
                slug = code_exec.slug.map(shortened),
                error,
                "no sandbox could take the job"
            );
            record.failed(&error);
            Answer::fault(code_exec.globals)
        }
    }
}

/// The outcome of a run. If a signal to the whole service ended the run, the run counts as lost:
/// its author is not to blame.
async fn blame(service: &Service, outcome: Outcome, elapsed: Duration) -> Outcome {
    match outcome {
        Outcome::Ended { status, .. } if service.signals.have_ended(status, elapsed).await => {
            Outcome::Lost(format!(
                "signal {}, which was sent to the whole service, ended it",
                -status
            ))
        }
        outcome => outcome,
    }
}

/// The bytecode of the course's library, if the library goes on the path and its bytecode is known.
fn bytecode(service: &Service, code_exec: &CodeExec<'_>) -> Option<Bytes> {
    let library = code_exec.python_lib.filter(|_| code_exec.python_path)?;
    let pool = service.pool.get()?;
    service
        .libraries
        .bytecode(library, pool, &service.admission)
}

/// The context of the request, which chooses its limits. None if the request has no context, or one
/// that no configuration can contain.
fn context(code_exec: &CodeExec<'_>) -> Option<String> {
    let context = code_exec
        .limit_overrides_context
        .filter(|name| name.as_str().len() <= CONTEXT_TEXT_BYTES_MAX);
    String::from_utf8(context.map(RawString::decode)?.into_owned()).ok()
}

fn job<'a>(code_exec: &CodeExec<'a>, bytecode: Option<&'a [u8]>, limits: Limits) -> Job<'a> {
    Job {
        code: code_exec.code,
        globals: code_exec.globals.as_str(),
        python_lib: code_exec.python_lib,
        bytecode,
        python_path: code_exec.python_path,
        limits,
    }
}
