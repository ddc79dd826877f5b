//! The record of one request, from its head until its sandbox is gone, and its one line in the log.
//!
//! The answer does not wait for the line. The answer is sent when the run is over. The line is
//! written when the sandbox is gone: only then the service knows how much memory and CPU time the
//! run used. If a record is dropped without an answer, its client has hung up.

use super::answer::Answer;
use super::caller::Caller;
use super::ending::{Bounds, Facts};
use super::finished::{ABANDONED, Asked, Finished, Taken, Unsaid};
use super::payload::{CodeExec, shortened};
use super::refusal_log;
use crate::config::Config;
use crate::execution::Outcome;
use crate::metrics;
use crate::pool::{ReadySandbox, Remains};
use codejail_protocol::job::Limits;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// One request.
#[derive(Debug)]
pub struct Record {
    caller: Caller,
    started: Instant,
    asked: Option<Asked>,
    /// The last sandbox that the request got.
    sandbox: Mutex<Option<Taken>>,
    facts: Option<Facts>,
    cold_imports: String,
    /// None until the request is answered.
    status: Option<&'static str>,
    /// Whether one of its answers was an execution's, and whether that execution succeeded.
    executed: bool,
    succeeded: bool,
}

impl Record {
    /// A request that has just come.
    #[must_use]
    pub fn new(caller: Caller) -> Self {
        Self {
            caller,
            started: Instant::now(),
            asked: None,
            sandbox: Mutex::default(),
            facts: None,
            cold_imports: String::new(),
            status: None,
            executed: false,
            succeeded: false,
        }
    }

    /// Notes the checked payload. `context` is the decoded name that picks the limits.
    pub fn asks(
        &mut self,
        code_exec: &CodeExec<'_>,
        context: Option<&str>,
        limits: Limits,
        config: &Config,
    ) {
        let overrides = context.and_then(|name| config.limit_overrides.get(name));
        self.asked = Some(Asked {
            slug: code_exec.slug.map(shortened),
            context: code_exec.limit_overrides_context.map(shortened),
            known_context: context.filter(|_| overrides.is_some()).map(str::to_owned),
            python_path: code_exec.python_path,
            library: code_exec.python_lib.is_some(),
            bounds: Bounds {
                limits,
                overrides: overrides.copied().unwrap_or_default(),
                reply_bytes_max: config.reply_bytes_max,
            },
        });
    }

    /// The bounds of its run; none before the payload was checked.
    #[must_use]
    pub fn limits(&self) -> Option<Limits> {
        self.asked.as_ref().map(|asked| asked.bounds.limits)
    }

    /// Notes the request's sandbox, and how long the request waited for it.
    pub fn takes(&self, sandbox: &mut ReadySandbox, waited: Duration) {
        metrics::sandbox_taken(waited);
        *self.sandbox.lock() = Some(Taken {
            worker: sandbox.guard.worker().0,
            image: Arc::clone(&sandbox.image),
            ready: sandbox.used,
            waited,
            since: Instant::now(),
            remains: sandbox.remains.take(),
        });
    }

    /// Notes that the run is over. `cold_imports` are those that [`metrics::credible_cold_imports`]
    /// has let through.
    pub fn ran(&mut self, outcome: &Outcome, elapsed: Duration, cold_imports: &[&str]) {
        self.facts = Some(Facts::of(outcome, elapsed));
        self.cold_imports = cold_imports.join(",");
    }

    /// Notes that no sandbox could run the job, which is the service's fault.
    pub fn failed(&mut self, why: &str) {
        let mut facts = Facts::unknown(Duration::ZERO);
        facts.fault = Some(why.to_owned());
        self.facts = Some(facts);
    }

    /// Notes the answer. The last call counts.
    pub fn answered(&mut self, answer: &Answer) {
        self.status = Some(answer.telemetry());
        self.executed |= matches!(answer, Answer::Success(_) | Answer::Failure { .. });
        self.succeeded |= matches!(answer, Answer::Success(_));
        if let Answer::Busy(refused) = answer {
            metrics::refused(refused.reason());
        }
        if let Some((level, said)) = answer.refusal() {
            refusal_log::say(answer.telemetry(), level, &said, &self.caller);
        }
    }

    /// Who asked.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let elapsed = self.started.elapsed();
        let mut taken = self.sandbox.get_mut().take();
        let status = match self.status {
            Some(status) => status,
            None if taken.is_some() => ABANDONED,
            // Nothing was executed, and no client is there to get an answer.
            None => return,
        };
        metrics::request(status, elapsed);
        let Some(asked) = self
            .asked
            .take()
            .filter(|_| self.executed || status == ABANDONED)
        else {
            return;
        };
        let facts = self.facts.take().unwrap_or_else(|| {
            let ran = taken.as_ref().map(|taken| taken.since.elapsed());
            Facts::unknown(ran.unwrap_or_default())
        });
        let remains = taken.as_mut().and_then(|taken| taken.remains.take());
        let finished = Unsaid::new(Finished {
            caller: std::mem::take(&mut self.caller),
            status,
            asked,
            taken,
            facts,
            cold_imports: std::mem::take(&mut self.cold_imports),
            total: elapsed,
            succeeded: self.succeeded,
        });
        match (remains, Handle::try_current()) {
            (Some(remains), Ok(runtime)) => drop(runtime.spawn(async move {
                // This wait has an end: the worker's task sends the remains, or ends and so closes
                // the channel. Its own timeouts bound both.
                let remains = remains.await.unwrap_or_default();
                finished.say(remains);
            })),
            _ => finished.say(Remains::default()),
        }
    }
}
