//! Services that answer what a test wants.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// Serves as long as the test runs, one request for each connection. The answer is what `says`
/// gives for the request's first line and body, with status 200. Returns its address.
pub fn service(says: impl Fn(&str, &str) -> String + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("an address");
    let says = Arc::new(says);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let says = Arc::clone(&says);
            thread::spawn(move || answer(stream, &*says));
        }
    });
    address
}

fn answer(mut stream: TcpStream, says: &dyn Fn(&str, &str) -> String) {
    let mut reader = BufReader::new(stream.try_clone().expect("clone"));
    let mut what = String::new();
    reader.read_line(&mut what).expect("a line");
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
        if let Some((_, count)) = line.split_once("Content-Length: ") {
            length = count.trim().parse().expect("a number");
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    let body = says(&what, &String::from_utf8_lossy(&body));
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    // The client may be gone.
    let _ = stream.write_all(&[head.as_bytes(), body.as_bytes()].concat());
}
