//! Takes events, and writes a line for each.

use super::format;
use std::cell::RefCell;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{self, FormatTime};
use tracing_subscriber::layer::Context;

/// Largest buffer that is kept for the next line, in bytes.
const KEPT_BYTES_MAX: usize = 64 * 1024;
/// `2026-11-28T02:38:26`
const SECOND_BYTES: usize = 19;

/// Writes a line for each event into a writer that `writer` makes, in the form that counts at the
/// time.
pub struct Lines<F> {
    pub json: &'static AtomicBool,
    pub writer: F,
}

/// What each thread keeps for its lines.
#[derive(Default)]
struct Desk {
    line: String,
    /// The second of the time in `shown`. So the date is computed once for each second.
    second: Option<u64>,
    shown: String,
}

thread_local! {
    static DESK: RefCell<Desk> = RefCell::default();
}

impl<S: Subscriber, W: Write, F: Fn() -> W + 'static> Layer<S> for Lines<F> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        DESK.with(|desk| match desk.try_borrow_mut() {
            Ok(mut desk) => self.write(&mut desk, event),
            // This event came while a value of another event was being written.
            Err(_) => self.write(&mut Desk::default(), event),
        });
    }
}

impl<W: Write, F: Fn() -> W> Lines<F> {
    fn write(&self, desk: &mut Desk, event: &Event<'_>) {
        desk.tell_time();
        desk.line.clear();
        match self.json.load(Ordering::Relaxed) {
            true => format::json(&mut desk.line, &desk.shown, event),
            false => format::text(&mut desk.line, &desk.shown, event),
        }
        // The writer counts the lines that it loses.
        let _ = (self.writer)().write_all(desk.line.as_bytes());
        desk.line.shrink_to(KEPT_BYTES_MAX);
    }
}

impl Desk {
    /// Sets the time to now, to the microsecond.
    fn tell_time(&mut self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default();
        if self.second != Some(now.as_secs()) {
            let mut text = String::new();
            let _ = time::SystemTime.format_time(&mut Writer::new(&mut text));
            // If the next second has begun meanwhile, this one line shows a second too early.
            self.shown = text;
            self.second = Some(now.as_secs());
        }
        self.shown.truncate(SECOND_BYTES);
        self.shown.push('.');
        format::six_digits(&mut self.shown, now.subsec_micros());
        self.shown.push('Z');
    }
}
