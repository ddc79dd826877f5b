//! A well-behaved client (the victim), and a client that asks for `/livez`: what they see while
//! something else happens.

use crate::client::{Client, Request};
use crate::target::Service;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The victim asks for this again and again. The code uses a thread, a pipe, a file with a lock and
/// a module from the disk, as an author's code does. Another run could use up each of these.
const CODE: &str = "import colorsys, fcntl, os, threading
sums = []
thread = threading.Thread(target=lambda: sums.append(sum(values)))
thread.start()
thread.join()
reads, writes = os.pipe()
os.write(writes, b'x' * 4096)
with open('tmp/file', 'w') as file: fcntl.lockf(file, fcntl.LOCK_EX)
answer = [sums[0], len(os.read(reads, 8192)), colorsys.rgb_to_yiq(0, 0, 0)]
values = len(values)
del sums, reads, writes
";
/// Its input: the numbers up to this one.
const VALUES: u32 = 2000;
/// The slug of the victim's requests.
pub const SLUG: &str = "codejail-api-tests-victim";
/// The globals of a right answer.
pub const RIGHT: &str = r#"{"answer": [1999000, 4096, [0.0, 0.0, 0.0]], "values": 2000}"#;

/// The pause between two requests of a client, so that the client itself does not take a core.
const PAUSE: Duration = Duration::from_millis(3);
/// The interval of a client that does not wait for an answer before its next question. A slow
/// answer counts for all questions that this client would have asked meanwhile: two seconds without
/// an answer are more than one slow answer.
const INTERVAL: Duration = Duration::from_millis(20);
/// How many wrong answers are kept to be shown.
const SHOWN_MAX: usize = 3;

/// What one client saw.
#[derive(Debug, Default, Clone)]
pub struct Samples {
    /// The time of each answer, or of an answer that would have been asked for, in microseconds,
    /// shortest first.
    pub micros: Vec<u64>,
    /// The number of answers.
    pub answers: usize,
    /// The number of wrong answers.
    pub wrong: usize,
    /// The first wrong answers.
    pub shown: Vec<String>,
}

impl Samples {
    fn note(&mut self, took: Duration, right: Result<(), String>) {
        // A wrong answer counts with its time, too: a failure must not look faster than a slow
        // answer.
        self.answers += 1;
        let mut waited = took;
        loop {
            self.micros
                .push(u64::try_from(waited.as_micros()).unwrap_or(u64::MAX));
            match waited.checked_sub(INTERVAL) {
                Some(rest) if !rest.is_zero() => waited = rest,
                _ => break,
            }
        }
        if let Err(wrong) = right {
            self.wrong += 1;
            if self.shown.len() < SHOWN_MAX {
                self.shown.push(wrong);
            }
        }
    }

    /// So many percent of the answers took at most this time; zero if there are none.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.micros.len() * percent).div_ceil(100).max(1);
        Duration::from_micros(self.micros.get(rank - 1).copied().unwrap_or_default())
    }
}

/// What both clients saw.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    /// The victim.
    pub victim: Samples,
    /// The client that asks for `/livez`.
    pub livez: Samples,
}

/// Both clients ask while `meanwhile` runs. Returns its result, and what they saw.
pub fn watch<T>(service: &Service, meanwhile: impl FnOnce() -> T) -> (T, Seen) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let victim = scope.spawn(|| ask(service, &execution(), is_right, &over));
        let livez = scope.spawn(|| ask(service, &Request::get("/livez"), is_well, &over));
        let result = meanwhile();
        over.store(true, Ordering::Relaxed);
        let seen = Seen {
            victim: victim
                .join()
                .unwrap_or_else(|e| std::panic::resume_unwind(e)),
            livez: livez
                .join()
                .unwrap_or_else(|e| std::panic::resume_unwind(e)),
        };
        (result, seen)
    })
}

type Check = fn(u16, &str) -> Result<(), String>;

fn ask(service: &Service, request: &Request, check: Check, over: &AtomicBool) -> Samples {
    let mut client: Client = service.client();
    let mut samples = Samples::default();
    while !over.load(Ordering::Relaxed) {
        let started = Instant::now();
        let answer = client.ask(request);
        let took = started.elapsed();
        let right = match answer {
            Ok((status, body)) => check(status, &body),
            Err(error) => Err(format!("{error:#}")),
        };
        samples.note(took, right);
        thread::sleep(PAUSE);
    }
    samples.micros.sort_unstable();
    samples
}

fn execution() -> Request {
    let values: Vec<u32> = (0..VALUES).collect();
    let payload = json!({ "code": CODE, "globals_dict": { "values": values }, "slug": SLUG });
    Request::execute(&payload.to_string(), None)
}

fn is_right(status: u16, body: &str) -> Result<(), String> {
    let parsed: Value = serde_json::from_str(body).unwrap_or_default();
    let right: Value = serde_json::from_str(RIGHT).unwrap_or_default();
    if status == 200 && parsed.get("emsg").is_none() && parsed["globals_dict"] == right {
        return Ok(());
    }
    // The message for the author says more than the globals, which come first.
    let said = parsed.get("emsg").and_then(Value::as_str).unwrap_or(body);
    let from = said.char_indices().rev().nth(299).map_or(0, |(at, _)| at);
    let shown = &said[from..];
    Err(format!("{status}: {shown}"))
}

fn is_well(status: u16, _: &str) -> Result<(), String> {
    match status {
        200 => Ok(()),
        other => Err(format!("/livez: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let of = |micros: Vec<u64>| Samples {
            micros,
            ..Samples::default()
        };
        assert_eq!(of((1..=200).collect()).percentile(99).as_micros(), 198);
        assert_eq!(of((1..=10).collect()).percentile(99).as_micros(), 10);
        assert_eq!(of(vec![7]).percentile(99).as_micros(), 7);
        assert_eq!(of(vec![]).percentile(99), Duration::ZERO);
    }

    #[test]
    fn a_stall_counts_for_all_who_would_have_waited() {
        let mut samples = Samples::default();
        samples.note(Duration::from_millis(100), Ok(()));
        samples.note(Duration::from_millis(3), Err("no".to_owned()));
        assert_eq!(
            samples.micros,
            [100_000, 80_000, 60_000, 40_000, 20_000, 3000]
        );
        assert_eq!((samples.answers, samples.wrong), (2, 1));
    }

    #[test]
    fn only_the_whole_answer_is_right() {
        let body = format!("{{\"globals_dict\": {RIGHT}}}");
        assert_eq!(is_right(200, &body), Ok(()));
        assert!(is_right(503, &body).is_err());
        assert!(is_right(200, "{\"globals_dict\": {}}").is_err());
        let failed = format!("{{\"globals_dict\": {RIGHT}, \"emsg\": \"\"}}");
        assert!(is_right(200, &failed).is_err());
    }
}
