//! A restart that nobody notices: a second service shares the socket of the first one, and when it
//! is up the first one drains.

use super::passed_sockets::socket;
use codejail_harness::http::{self, Answer, Connection, FORM, PATH};
use codejail_harness::{Service, Setup, machine};
use nix::sys::signal::Signal::SIGTERM;
use std::net::{SocketAddr, TcpListener};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Each time one service takes the place of another.
const HANDOVERS: usize = 4;

fn start(listener: &TcpListener) -> Service {
    let service = Service::launch(&Setup {
        overrides: "workers = 2",
        passed: Some((listener, 1)),
        ..Setup::default()
    });
    service.wait_for_event("service_ready");
    service
}

/// Asks over connections of one request each, or over one connection for as long as the service
/// keeps it.
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

fn client(address: SocketAddr, keeps: bool, stop: &AtomicBool, times: &Mutex<Vec<Duration>>) {
    let mut kept = None;
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let asked = Instant::now();
        let answer = ask(address, keeps.then_some(&mut kept), number);
        times.lock().expect("no panic").push(asked.elapsed());
        let right = serde_json::json!({"x": number, "y": 2 * number});
        assert_eq!(answer.success(), right);
    }
}

struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn four_busy_clients_notice_nothing_of_services_that_take_each_other_s_place() {
    let _alone = machine::alone();
    let listener = socket();
    let address = listener.local_addr().expect("an address");
    let (stop, times) = (AtomicBool::new(false), Mutex::default());
    let mut serving = start(&listener);
    thread::scope(|scope| {
        for keeps in [false, true, false, true] {
            let (stop, times) = (&stop, &times);
            scope.spawn(move || client(address, keeps, stop, times));
        }
        let _stop = StopAtEnd(&stop);
        for _ in 0..HANDOVERS {
            let next = start(&listener);
            serving.signal(SIGTERM);
            let status = serving.wait();
            assert_eq!(status.code(), Some(0), "{}", serving.log());
            // Whoever asks from now on asks the next one.
            let asked = times.lock().expect("no panic").len();
            codejail_harness::wait::wait_until("requests", Duration::from_secs(60), || {
                times.lock().expect("no panic").len() > asked + 50
            });
            serving = next;
        }
    });
    let mut times = times.into_inner().expect("no panic");
    times.sort_unstable();
    let [p50, p99, most] = [50, 99, 100].map(|percent| times[(times.len() - 1) * percent / 100]);
    println!(
        "{} requests: p50 {p50:?}, p99 {p99:?}, at most {most:?}",
        times.len()
    );
    // As long as one may wait for a sandbox (the client's own default; the service's here is 30 s).
    assert!(most < Duration::from_secs(3), "{most:?}");
}
