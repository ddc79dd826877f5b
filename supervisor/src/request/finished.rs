//! An execution that is over: how it is counted, and its one line in the log. docs/log.md has the
//! line's fields.

use super::caller::Caller;
use super::ending::{Bounds, Facts, classify, words};
use crate::field;
use crate::log::at_once::{AtOnce, Fields, HasFields};
use crate::log::format::Form;
use crate::metrics::Done;
use crate::metrics::labels::{End, Limit};
use crate::pool::Remains;
use codejail_protocol::job::Usage;
use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::oneshot;

/// `codejail.exec.status` of an execution whose client did not wait for its end.
pub const ABANDONED: &str = "executed.abandoned";

/// Executions that are kept for the page: as many as a person looks through. Each takes some 2 KiB
/// and at most 16 KiB, since all texts of a caller are cut to 200 characters.
pub const KEPT_MAX: usize = 100;

/// The last finished executions, the newest first; none where no page shows them.
static KEPT: OnceLock<Mutex<VecDeque<Arc<Over>>>> = OnceLock::new();

/// Keeps finished executions from now on.
pub fn begin_keeping() {
    KEPT.get_or_init(|| Mutex::new(VecDeque::with_capacity(KEPT_MAX)));
}

/// The last executions, the newest first.
#[must_use]
pub fn kept() -> Vec<Arc<Over>> {
    let kept = KEPT.get().map(|kept| kept.lock().iter().cloned().collect());
    kept.unwrap_or_default()
}

/// An execution that is counted and logged.
#[derive(Debug)]
pub struct Over {
    /// All that is known of it.
    pub finished: Finished,
    /// The verdict on those facts.
    pub verdict: Verdict,
    /// When it was over.
    pub at: SystemTime,
}

/// The request that a payload describes.
#[derive(Debug)]
pub struct Asked {
    /// The caller's description of the problem, bounded.
    pub slug: Option<String>,
    /// The name that picks the limits, bounded.
    pub context: Option<String>,
    /// The same name if the configuration has it, so that it may be a label.
    pub known_context: Option<String>,
    /// Whether the library goes on the path.
    pub python_path: bool,
    /// Whether the request has a library.
    pub library: bool,
    /// The bounds of the run.
    pub bounds: Bounds,
}

/// A sandbox that a request was given.
#[derive(Debug)]
pub struct Taken {
    /// Its worker's number.
    pub worker: u64,
    /// The name of its image.
    pub image: Arc<str>,
    /// What it had used before its job.
    pub ready: Usage,
    /// How long the request waited for it.
    pub waited: Duration,
    /// When the request got it.
    pub since: Instant,
    /// Receives what the sandbox used and left.
    pub remains: Option<oneshot::Receiver<Remains>>,
}

/// An execution that is over.
#[derive(Debug)]
pub struct Finished {
    /// Who asked.
    pub caller: Caller,
    /// `codejail.exec.status`
    pub status: &'static str,
    /// The request.
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

/// A line that is still to be written. It is written even if its task ends early.
#[derive(Debug)]
pub struct Unsaid(Option<Box<Finished>>);

impl Unsaid {
    /// The line of a finished execution whose sandbox may not be gone yet.
    #[must_use]
    pub fn new(finished: Finished) -> Self {
        Self(Some(Box::new(finished)))
    }

    /// Counts the execution, writes its line and keeps it for the page.
    pub fn say(mut self, remains: Remains) {
        self.end(remains);
    }

    fn end(&mut self, remains: Remains) {
        if let Some(finished) = self.0.take() {
            let verdict = finished.say(remains);
            keep(*finished, verdict);
        }
    }
}

impl Drop for Unsaid {
    fn drop(&mut self) {
        self.end(Remains::default());
    }
}

fn keep(finished: Finished, verdict: Verdict) {
    let Some(kept) = KEPT.get() else { return };
    let over = Arc::new(Over {
        finished,
        verdict,
        at: SystemTime::now(),
    });
    let mut kept = kept.lock();
    let oldest = (kept.len() == KEPT_MAX).then(|| kept.pop_back());
    kept.push_front(over);
    drop(kept);
    // The oldest entry is dropped after the lock was released.
    drop(oldest);
}

/// The verdict on an execution, made once the sandbox was gone.
#[derive(Debug)]
pub struct Verdict {
    /// How it ended.
    pub end: End,
    /// The limit that it ran into.
    pub limit: Option<Limit>,
    /// CPU time of the run.
    pub cpu: Option<Duration>,
    /// Most memory beyond the ready sandbox's.
    pub memory_bytes: Option<u64>,
    /// Bytes that were in its directory.
    pub scratch_bytes: Option<u64>,
}

impl Finished {
    fn say(&self, remains: Remains) -> Verdict {
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
            tracing::info!(
                target: "codejail::exec",
                message = &*self.words(&verdict),
                at_once = ?AtOnce(&Line { finished: self, verdict: &verdict }),
            );
        }
        verdict
    }

    /// Its end as a sentence.
    #[must_use]
    pub fn words(&self, verdict: &Verdict) -> Cow<'static, str> {
        let context = self.asked.context.as_deref().map(shown);
        let ended = (verdict.end, verdict.limit);
        words(ended, &self.facts, &self.asked.bounds, context.as_deref())
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
}

/// The fields of an execution's line.
struct Line<'a> {
    finished: &'a Finished,
    verdict: &'a Verdict,
}

impl HasFields for Line<'_> {
    fn write(&self, to: &mut Fields<impl Form>) {
        let (finished, verdict) = (self.finished, self.verdict);
        let Finished { asked, facts, .. } = finished;
        let (taken, caller) = (finished.taken.as_ref(), &finished.caller);
        to.word(field!("event"), "execution");
        to.word(field!("codejail.exec.status"), finished.status);
        to.text(field!("codejail.exec.slug"), asked.slug.as_deref());
        to.text(
            field!("codejail.exec.limit_override"),
            asked.context.as_deref(),
        );
        to.number(
            field!("codejail.exec.python_path_len"),
            u64::from(asked.python_path),
        );
        to.number(
            field!("codejail.exec.files_count"),
            u64::from(asked.library),
        );
        to.word(field!("end"), verdict.end.name());
        to.word(field!("limit"), verdict.limit.map(Limit::name));
        to.signed(field!("exit_status"), facts.status);
        to.seconds(field!("queue_seconds"), taken.map(|taken| taken.waited));
        to.seconds(field!("run_seconds"), facts.elapsed);
        to.seconds(field!("total_seconds"), finished.total);
        to.seconds(field!("cpu_seconds"), verdict.cpu);
        to.number(field!("memory_bytes"), verdict.memory_bytes);
        to.number(field!("scratch_bytes"), verdict.scratch_bytes);
        to.number(field!("stdout_bytes"), facts.stdout.0 as u64);
        to.if_true(field!("stdout_cut"), facts.stdout.1);
        to.number(field!("stderr_bytes"), facts.stderr.0 as u64);
        to.if_true(field!("stderr_cut"), facts.stderr.1);
        to.number(field!("worker"), taken.map(|taken| taken.worker));
        to.text(field!("image"), taken.map(|taken| &*taken.image));
        let cold_imports = Some(finished.cold_imports.as_str());
        to.text(
            field!("cold_imports"),
            cold_imports.filter(|said| !said.is_empty()),
        );
        to.text(field!("client"), caller.client.as_deref());
        to.text(field!("request_id"), caller.request_id.as_str());
        to.text(field!("traceparent"), caller.traceparent.as_deref());
    }
}

/// A context's name in a sentence: quoted if it could be mistaken for something else.
fn shown(context: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":+._/@-".contains(&byte);
    if !context.is_empty() && context.bytes().all(plain) {
        context.to_owned()
    } else {
        format!("{context:?}")
    }
}
