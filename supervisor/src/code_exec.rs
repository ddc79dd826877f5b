//! One request, five steps that don't call each other: payload, admission, pool, execution, answer.
//!
//! The only file that knows the order.

use crate::admission::Admission;
use crate::answer::Answer;
use crate::config::Config;
use crate::execution::{self, Bounds, Job, Outcome};
use crate::health::Health;
use crate::library_cache::{self, LibraryCache};
use crate::payload::{self, CodeExec, Form, Rejection};
use crate::pool::Pool;
use crate::reload::Current;
use axum::body::Body;
use axum::extract::State;
use axum::http::Request;
use metrics::{counter, histogram};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{timeout, timeout_at};

/// Sandboxes that a job is offered to. One may have lost its directory to whoever tidies up `/tmp`, or
/// its worker; more in a row is no chance.
pub const ATTEMPTS_MAX: usize = 5;

/// What requests share.
#[derive(Debug, Clone)]
pub struct Service {
    /// The configuration, which a reload changes.
    pub config: Arc<Current>,
    /// Who may execute.
    pub admission: Arc<Admission>,
    /// Ready sandboxes; none until the first worker is warm.
    pub pool: Arc<std::sync::OnceLock<Pool>>,
    /// Whether executing is safe.
    pub health: Arc<Health>,
    /// Bytecode of course libraries.
    pub libraries: Arc<LibraryCache>,
}

/// POST /api/v0/code-exec
pub async fn handle(State(service): State<Service>, request: Request<Body>) -> Answer {
    let started = Instant::now();
    let answer = service.answer(request).await;
    let status = answer.telemetry();
    counter!("codejail_requests_total", "status" => status).increment(1);
    histogram!("codejail_request_seconds", "status" => status)
        .record(started.elapsed().as_secs_f64());
    answer
}

impl Service {
    async fn answer(&self, request: Request<Body>) -> Answer {
        let config = self.config.get();
        if !config.enabled {
            return Answer::Disabled;
        }
        if !self.health.is_safe() {
            return Answer::Unsafe;
        }
        let reading = payload::read_form(request, config.body_bytes_max);
        let form = match timeout(Duration::from_millis(config.body_timeout_ms), reading).await {
            Ok(Ok(form)) => form,
            Ok(Err(rejection)) => return Answer::Rejected(rejection),
            Err(_) => return Answer::Rejected(Rejection::Slow(config.body_timeout_ms)),
        };
        self.execute(&form, &config).await
    }

    /// Runs what a form asks for. The commands `check` and `run` come in here.
    pub async fn execute(&self, form: &Form, config: &Config) -> Answer {
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
        let waited = Instant::now();
        let permit = match self.admission.admit().await {
            Ok(permit) => permit,
            Err(refused) => return Answer::Busy(refused),
        };
        let Some(pool) = self.pool.get() else {
            return Answer::Unsafe;
        };
        let bytecode = match code_exec.python_lib {
            Some(library) if code_exec.python_path => library_cache::bytecode(self, library),
            _ => None,
        };
        let job = job(&code_exec, bytecode.as_deref(), config);
        for _ in 0..ATTEMPTS_MAX {
            let Ok(sandbox) = timeout_at(permit.deadline, pool.take()).await else {
                return Answer::Busy(self.admission.waited_too_long());
            };
            histogram!("codejail_queue_wait_seconds").record(waited.elapsed().as_secs_f64());
            let running = Instant::now();
            let outcome = execution::run(sandbox, job, Bounds::of(config)).await;
            if let Outcome::Unprepared(error) = outcome {
                counter!("codejail_sandbox_failures_total").increment(1);
                tracing::warn!(
                    event = "job_passed_on",
                    error,
                    "a sandbox could not take its job; the job goes to another"
                );
                continue;
            }
            let elapsed = running.elapsed();
            histogram!("codejail_execution_seconds").record(elapsed.as_secs_f64());
            if let Outcome::Ended { cold_imports, .. } = &outcome {
                crate::metrics::count_cold_imports(cold_imports, pool.first_worker());
            }
            let answer = Answer::to_run(outcome, code_exec.globals, config.output_bytes_max);
            log_execution(&code_exec, &answer, elapsed);
            return answer;
        }
        tracing::error!(
            event = "job_given_up",
            slug = slug(&code_exec),
            "no sandbox could take the job"
        );
        Answer::fault(code_exec.globals)
    }
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

/// One event for each execution, with the original's telemetry names: what is no label of a metric, since a
/// caller chooses it.
fn log_execution(code_exec: &CodeExec<'_>, answer: &Answer, elapsed: Duration) {
    tracing::debug!(
        target: "codejail::exec",
        {
            codejail.exec.status = answer.telemetry(),
            codejail.exec.limit_override = short(code_exec.limit_overrides_context.as_deref()),
            codejail.exec.python_path_len = u8::from(code_exec.python_path),
            codejail.exec.files_count = u8::from(code_exec.python_lib.is_some()),
            codejail.exec.slug = slug(code_exec),
            ?elapsed,
        },
        "executed"
    );
}

/// The caller's description of the problem.
fn slug(code_exec: &CodeExec<'_>) -> String {
    short(code_exec.slug.as_deref())
}

/// A caller's text, bounded, for a log line.
fn short(text: Option<&[u8]>) -> String {
    const BYTES_MAX: usize = 200;
    let text = text.unwrap_or_default();
    String::from_utf8_lossy(&text[..text.len().min(BYTES_MAX)]).into_owned()
}
