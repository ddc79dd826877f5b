//! The supervisor's own memory: where nobody scrapes its metrics it does not grow with what it has
//! done.

use codejail_harness::http::{Connection, PATH};
use codejail_harness::{Run, Service};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// Connections that are kept, each with a client of its own.
const CLIENTS: usize = 4;
/// Requests that a client sends before it reads the answers.
const BATCH: usize = 100;
const FIFTHS: usize = 5;
/// What the last four fifths may add. A leak of 16 bytes for each request would add ten times as
/// much in the long form.
const GROWTH_MAX_KIB: u64 = 2 * 1024;

/// A leak of 16 bytes for each request would add 3 MB after the first fifth.
#[test]
fn memory_does_not_grow_with_requests_where_nobody_scrapes() {
    assert_memory_stays(250_000, 1000);
}

#[test]
#[ignore = "minutes: make soak"]
fn memory_does_not_grow_with_a_million_requests_where_nobody_scrapes() {
    assert_memory_stays(1_000_000, 50_000);
}

/// Sends so many requests to this address.
type Client = fn(SocketAddr, usize);

fn assert_memory_stays(refused: usize, executions: usize) {
    let service = Service::start("workers = 2");
    let parts: [(&str, usize, Client); 2] = [
        ("refused requests", refused, refuse),
        ("executions", executions, execute),
    ];
    for (what, count, client) in parts {
        let started = Instant::now();
        let each = count / FIFTHS / CLIENTS;
        let resident_kib: Vec<u64> = (0..FIFTHS)
            .map(|_| {
                thread::scope(|scope| {
                    for _ in 0..CLIENTS {
                        scope.spawn(|| client(service.address, each));
                    }
                });
                resident_kib(service.pid())
            })
            .collect();
        let took = started.elapsed();
        println!("{count} {what} in {took:?}: RSS in KiB after each fifth: {resident_kib:?}");
        assert!(
            resident_kib[FIFTHS - 1] <= resident_kib[0] + GROWTH_MAX_KIB,
            "{what}: {resident_kib:?}"
        );
    }
}

/// Sends this many requests without a payload.
fn refuse(address: SocketAddr, count: usize) {
    let stream = TcpStream::connect(address).expect("connect");
    let longest = Some(Duration::from_secs(60));
    stream.set_read_timeout(longest).expect("a timeout");
    let mut answers = BufReader::new(stream.try_clone().expect("a clone"));
    let mut stream = stream;
    let request = format!("POST {PATH} HTTP/1.1\r\nHost: codejail\r\nContent-Length: 0\r\n\r\n");
    let requests = request.repeat(BATCH);
    for _ in 0..count / BATCH {
        stream.write_all(requests.as_bytes()).expect("write");
        for _ in 0..BATCH {
            read_refusal(&mut answers);
        }
    }
}

fn read_refusal(answers: &mut impl BufRead) {
    let mut line = String::new();
    let mut next = || {
        line.clear();
        answers.read_line(&mut line).expect("read");
        line.clone()
    };
    let status = next();
    assert!(status.starts_with("HTTP/1.1 400"), "{status}");
    let mut length = None;
    loop {
        let header = next();
        match header.strip_prefix("content-length: ") {
            Some(value) => length = value.trim().parse().ok(),
            None if header == "\r\n" => break,
            None => {}
        }
    }
    let mut body = vec![0; length.expect("a length")];
    answers.read_exact(&mut body).expect("read");
}

/// Executes this often.
fn execute(address: SocketAddr, count: usize) {
    let mut connection = Connection::open(address).expect("connect");
    for _ in 0..count {
        Run::new("x = 1").ask_over(&mut connection).success();
    }
}

fn resident_kib(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    let number = number.expect("VmRSS");
    number.parse().expect("a number")
}
