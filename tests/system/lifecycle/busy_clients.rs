//! Four clients that ask while something happens to the service. Each request must have its right
//! answer.

use codejail_harness::http::{self, Answer, Connection, FORM, PATH};
use codejail_harness::wait::{START_MAX, wait_until};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What the clients have seen so far.
#[derive(Default)]
pub struct Busy {
    stop: AtomicBool,
    times: Mutex<Vec<Duration>>,
}

impl Busy {
    /// Waits until the clients have had so many more answers.
    pub fn wait_for_answers(&self, count: usize) {
        let answered = || self.times.lock().expect("no panic").len();
        let before = answered();
        wait_until("answers", START_MAX, || answered() >= before + count);
    }

    fn client(&self, address: SocketAddr, keeps: bool) {
        let mut kept = None;
        let mut number = 0;
        while !self.stop.load(Ordering::Relaxed) {
            number += 1;
            let asked = Instant::now();
            let answer = ask(address, keeps.then_some(&mut kept), number);
            self.times.lock().expect("no panic").push(asked.elapsed());
            let right = serde_json::json!({"x": number, "y": 2 * number});
            assert_eq!(answer.success(), right);
        }
    }
}

/// The clients end when this is dropped, also after a panic.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Four clients ask while `act` does something, two of them over connections that they keep. Prints
/// how long they waited. None may wait as long as `longest`.
pub fn notice_nothing_while(address: SocketAddr, longest: Duration, act: impl FnOnce(&Busy)) {
    let busy = Busy::default();
    thread::scope(|scope| {
        for keeps in [false, true, false, true] {
            let busy = &busy;
            scope.spawn(move || busy.client(address, keeps));
        }
        let _stop = StopAtEnd(&busy.stop);
        act(&busy);
    });
    let mut times = busy.times.into_inner().expect("no panic");
    times.sort_unstable();
    let [p50, p99, most] = [50, 99, 100].map(|percent| times[(times.len() - 1) * percent / 100]);
    println!(
        "{} requests: p50 {p50:?}, p99 {p99:?}, at most {most:?}",
        times.len()
    );
    assert!(most < longest, "{most:?}");
}

/// Asks over connections of one request each, or over one connection as long as the service keeps
/// it.
fn ask(address: SocketAddr, kept: Option<&mut Option<Connection>>, number: usize) -> Answer {
    let payload = format!(r#"{{"code": "y = x + {number}", "globals_dict": {{"x": {number}}}}}"#);
    let body = http::form(&payload);
    let headers = format!("Content-Type: {FORM}\r\nContent-Length: {}\r\n", body.len());
    let open = || Connection::open(address).expect("a connection");
    let Some(kept) = kept else {
        let head = http::head("POST", PATH, &headers);
        return open().ask(&head, body.as_bytes()).expect("an answer");
    };
    let mut connection = kept.take().unwrap_or_else(open);
    let head = format!("POST {PATH} HTTP/1.1\r\nHost: codejail\r\n{headers}\r\n");
    let answer = connection.ask(&head, body.as_bytes()).expect("an answer");
    if answer.header("connection") != Some("close") {
        *kept = Some(connection);
    }
    answer
}
