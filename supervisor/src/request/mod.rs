//! One request, five steps that don't call each other: payload, admission, pool, execution, answer.
//!
//! The only file that knows the order.

pub mod admission;
pub mod answer;
mod exec_log;
pub mod payload;

use crate::config::Config;
use crate::execution::{Attempt, CaptureBounds, Job, Outcome, run_somewhere};
use crate::metrics::count_cold_imports;
use crate::service::Service;
use admission::Permit;
use answer::Answer;
use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use bytes::Bytes;
use exec_log::{log_execution, slug};
use metrics::{counter, histogram};
use payload::{CodeExec, Form, Rejection};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// POST /api/v0/code-exec
pub async fn handle(State(service): State<Service>, request: Request<Body>) -> Answer {
    let started = Instant::now();
    let answer = answer(&service, request).await;
    let status = answer.telemetry();
    counter!("codejail_requests_total", "status" => status).increment(1);
    histogram!("codejail_request_seconds", "status" => status)
        .record(started.elapsed().as_secs_f64());
    answer
}

async fn answer(service: &Service, request: Request<Body>) -> Answer {
    let config = service.config.get();
    if !config.enabled {
        return Answer::Disabled;
    }
    if !service.health.is_safe() {
        return Answer::Unsafe;
    }
    let reading = payload::read_form(request, config.body_bytes_max);
    let form = match timeout(Duration::from_millis(config.body_timeout_ms), reading).await {
        Ok(Ok(form)) => form,
        Ok(Err(rejection)) => return Answer::Rejected(rejection),
        Err(_) => return Answer::Rejected(Rejection::Slow(config.body_timeout_ms)),
    };
    execute(service, &form, &config).await
}

/// Runs what a form asks for. The commands `check` and `run` come in here.
pub async fn execute(service: &Service, form: &Form, config: &Config) -> Answer {
    let code_exec = match form.check() {
        Ok(code_exec) => code_exec,
        Err(rejection) => return Answer::Rejected(rejection),
    };
    if code_exec.python_path && code_exec.python_lib.is_none() {
        tracing::warn!(
            event = "library_not_sent",
            slug = slug(&code_exec),
            "python_path names python_lib.zip, which was not sent"
        );
        return Answer::fault(code_exec.globals);
    }
    let waiting = Instant::now();
    match service.admission.admit().await {
        Ok(permit) => run_admitted(service, &code_exec, config, &permit, waiting).await,
        Err(refused) => Answer::Busy(refused),
    }
}

/// Pool, execution and answer of a request that may execute; it has been `waiting` since then.
async fn run_admitted(
    service: &Service,
    code_exec: &CodeExec<'_>,
    config: &Config,
    permit: &Permit,
    waiting: Instant,
) -> Answer {
    let Some(pool) = service.pool.get() else {
        return Answer::Unsafe;
    };
    let bytecode = bytecode(service, code_exec);
    let job = job(code_exec, bytecode.as_deref(), config);
    let take = || async move {
        let sandbox = pool.take().await;
        histogram!("codejail_queue_wait_seconds").record(waiting.elapsed().as_secs_f64());
        sandbox
    };
    match run_somewhere(take, job, CaptureBounds::of(config), permit.deadline).await {
        Attempt::Ran(outcome, elapsed) => {
            let outcome = blame(service, outcome, elapsed).await;
            histogram!("codejail_execution_seconds").record(elapsed.as_secs_f64());
            if let Outcome::Ended { cold_imports, .. } = &outcome {
                count_cold_imports(cold_imports, pool.first_worker());
            }
            let answer = Answer::to_run(outcome, code_exec.globals, config.output_bytes_max);
            log_execution(code_exec, &answer, elapsed);
            answer
        }
        Attempt::TooLate => Answer::Busy(service.admission.waited_too_long()),
        Attempt::NoneCould(error) => {
            tracing::error!(
                event = "job_given_up",
                slug = slug(code_exec),
                error,
                "no sandbox could take the job"
            );
            Answer::fault(code_exec.globals)
        }
    }
}

/// What a run came to, unless it was ended by a signal that the whole service was sent: then it is lost.
async fn blame(service: &Service, outcome: Outcome, elapsed: Duration) -> Outcome {
    match outcome {
        Outcome::Ended { status, .. } if service.signals.have_ended(status, elapsed).await => {
            Outcome::Lost(format!(
                "signal {} ended it, which the whole service was sent",
                -status
            ))
        }
        outcome => outcome,
    }
}

/// The bytecode of the course's library, where it comes on the path and is known.
fn bytecode(service: &Service, code_exec: &CodeExec<'_>) -> Option<Bytes> {
    let library = code_exec.python_lib.filter(|_| code_exec.python_path)?;
    let pool = service.pool.get()?;
    service
        .libraries
        .bytecode(library, pool, &service.admission)
}

fn job<'a>(code_exec: &CodeExec<'a>, bytecode: Option<&'a [u8]>, config: &Config) -> Job<'a> {
    let context = code_exec.limit_overrides_context.as_deref();
    Job {
        code: code_exec.code,
        globals: code_exec.globals.as_str(),
        python_lib: code_exec.python_lib,
        bytecode,
        python_path: code_exec.python_path,
        limits: config.limits(context.and_then(|name| str::from_utf8(name).ok())),
    }
}
