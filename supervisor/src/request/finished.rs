//! An execution that is over: how it is counted, and its one line in the log. docs/log.md has the line's fields.

use super::caller::Caller;
use super::ending::{Bounds, Facts, classify, words};
use crate::metrics::Done;
use crate::metrics::labels::{End, Limit};
use crate::pool::Remains;
use codejail_protocol::job::Usage;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// `codejail.exec.status` of an execution whose client did not wait for its end.
pub const ABANDONED: &str = "executed.abandoned";

/// What a request's payload asks for.
#[derive(Debug)]
pub struct Asked {
    /// The caller's description of the problem, bounded.
    pub slug: Option<String>,
    /// What picks the limits, bounded.
    pub context: Option<String>,
    /// The same where the configuration names it, so that it may be a label.
    pub known_context: Option<String>,
    /// Whether the library goes on the path.
    pub python_path: bool,
    /// Whether there is one.
    pub library: bool,
    /// What bounds the run.
    pub bounds: Bounds,
}

/// A sandbox that a request was given.
#[derive(Debug)]
pub struct Taken {
    /// Its worker's number.
    pub worker: u64,
    /// What it was forked from.
    pub image: Arc<str>,
    /// What it had used before its job.
    pub ready: Usage,
    /// How long the request waited for it.
    pub waited: Duration,
    /// When that was over.
    pub since: Instant,
    /// What it leaves.
    pub remains: Option<oneshot::Receiver<Remains>>,
}

/// An execution that is over.
#[derive(Debug)]
pub struct Finished {
    /// Who asked.
    pub caller: Caller,
    /// `codejail.exec.status`
    pub status: &'static str,
    /// What for.
    pub asked: Asked,
    /// The sandbox; none if none took the job.
    pub taken: Option<Taken>,
    /// What is known of the run.
    pub facts: Facts,
    /// Libraries that were imported cold, with commas between them.
    pub cold_imports: String,
    /// From head to answer.
    pub total: Duration,
    /// Whether its globals were the answer.
    pub succeeded: bool,
}

/// A line that is still to be written; whatever ends its task, it is written.
#[derive(Debug)]
pub struct Unsaid(Option<Box<Finished>>);

impl Unsaid {
    /// One that is over, and of which the sandbox may not be gone yet.
    #[must_use]
    pub fn new(finished: Finished) -> Self {
        Self(Some(Box::new(finished)))
    }

    /// Counts it and writes its line.
    pub fn say(mut self, remains: Remains) {
        if let Some(finished) = self.0.take() {
            finished.say(remains);
        }
    }
}

impl Drop for Unsaid {
    fn drop(&mut self) {
        if let Some(finished) = self.0.take() {
            finished.say(Remains::default());
        }
    }
}

/// What was made out when the sandbox was gone.
struct Verdict {
    end: End,
    limit: Option<Limit>,
    cpu: Option<Duration>,
    memory_bytes: Option<u64>,
    scratch_bytes: Option<u64>,
}

impl Finished {
    fn say(&self, remains: Remains) {
        let verdict = self.verdict(remains);
        Done {
            end: verdict.end,
            limit: verdict.limit,
            cpu: verdict.cpu,
            memory_bytes: verdict.memory_bytes,
            context: self.asked.known_context.as_deref(),
        }
        .count();
        if tracing::enabled!(target: "codejail::exec", tracing::Level::INFO) {
            let context = self.asked.context.as_deref().map(shown);
            let ended = (verdict.end, verdict.limit);
            let words = words(ended, &self.facts, &self.asked.bounds, context.as_deref());
            self.write(&words, &verdict);
        }
    }

    fn verdict(&self, remains: Remains) -> Verdict {
        let ready = self.taken.as_ref().map(|taken| taken.ready);
        let ready = ready.unwrap_or_default();
        let cpu = remains
            .used
            .map(|used| used.cpu_us.saturating_sub(ready.cpu_us));
        let cpu = cpu.map(Duration::from_micros);
        let (end, limit) = match self.status {
            ABANDONED => (End::Killed, None),
            _ => classify(&self.facts, self.succeeded, &self.asked.bounds, cpu),
        };
        let resident = remains.used.map(|used| used.resident_kib_max);
        let more = resident.map(|resident| resident.saturating_sub(ready.resident_kib_max));
        Verdict {
            end,
            limit,
            cpu,
            memory_bytes: more.map(|kib| kib.saturating_mul(1024)),
            scratch_bytes: remains.scratch_bytes,
        }
    }

    /// The line. A field without a value is left out.
    fn write(&self, words: &str, verdict: &Verdict) {
        let (asked, taken, facts) = (&self.asked, self.taken.as_ref(), &self.facts);
        tracing::info!(
            target: "codejail::exec",
            message = words,
            event = "execution",
            codejail.exec.status = self.status,
            codejail.exec.slug = asked.slug.as_deref(),
            codejail.exec.limit_override = asked.context.as_deref(),
            codejail.exec.python_path_len = u64::from(asked.python_path),
            codejail.exec.files_count = u64::from(asked.library),
            end = verdict.end.name(),
            limit = verdict.limit.map(Limit::name),
            exit_status = facts.status,
            queue_seconds = taken.map(|taken| taken.waited.as_secs_f64()),
            run_seconds = facts.elapsed.as_secs_f64(),
            total_seconds = self.total.as_secs_f64(),
            cpu_seconds = verdict.cpu.map(|cpu| cpu.as_secs_f64()),
            memory_bytes = verdict.memory_bytes,
            scratch_bytes = verdict.scratch_bytes,
            stdout_bytes = facts.stdout.0,
            stdout_cut = facts.stdout.1.then_some(true),
            stderr_bytes = facts.stderr.0,
            stderr_cut = facts.stderr.1.then_some(true),
            worker = taken.map(|taken| taken.worker),
            image = taken.map(|taken| &*taken.image),
            cold_imports = Some(self.cold_imports.as_str()).filter(|said| !said.is_empty()),
            client = self.caller.client.as_deref(),
            request_id = self.caller.request_id,
            traceparent = self.caller.traceparent.as_deref(),
        );
    }
}

/// A context's name as a part of a sentence: in quotes where it could be taken for anything else.
fn shown(context: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":+._/@-".contains(&byte);
    if !context.is_empty() && context.bytes().all(plain) {
        context.to_owned()
    } else {
        format!("{context:?}")
    }
}
