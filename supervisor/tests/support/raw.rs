//! Requests as they go over the wire, for tests that need other ones than the LMS sends.

use super::http::{Answer, Connection, percent_encoded};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

pub const FORM: &str = "application/x-www-form-urlencoded";
pub const MULTIPART: &str = "multipart/form-data; boundary=XYZ";
pub const PATH: &str = "/api/v0/code-exec";

/// One part of a multipart body: its form field name, its filename where it is a file, its content.
pub type Part<'a> = (&'a str, Option<&'a str>, &'a [u8]);

/// A form with one payload.
pub fn form(payload: &str) -> String {
    format!("payload={}", percent_encoded(payload))
}

/// A body of `MULTIPART`'s type.
pub fn multipart(parts: &[Part<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, filename, content) in parts {
        let filename = filename.map(|name| format!("; filename=\"{name}\""));
        let filename = filename.unwrap_or_default();
        let head =
            format!("--XYZ\r\nContent-Disposition: form-data; name=\"{name}\"{filename}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--XYZ--\r\n");
    body
}

/// The head of a request. Headers end with `\r\n` each.
pub fn head(method: &str, path: &str, headers: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: codejail\r\nConnection: close\r\n{headers}\r\n")
}

/// Asks for an execution, with or without a content type.
pub fn post(address: SocketAddr, content_type: Option<&str>, body: impl AsRef<[u8]>) -> Answer {
    let body = body.as_ref();
    let content_type = content_type.map(|value| format!("Content-Type: {value}\r\n"));
    let headers = format!(
        "{}Content-Length: {}\r\n",
        content_type.unwrap_or_default(),
        body.len()
    );
    let mut connection = Connection::open(address).expect("connect");
    let answer = connection.ask(&head("POST", PATH, &headers), body);
    let answer = answer.expect("an answer");
    assert!(connection.stays_silent(), "one answer, not more");
    answer
}

/// Asks for an execution of this payload, as a form.
pub fn post_payload(address: SocketAddr, payload: &str) -> Answer {
    post(address, Some(FORM), form(payload))
}

/// A connection that does with the bytes what a test wants.
#[derive(Debug)]
pub struct Wire(TcpStream);

impl Wire {
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connect");
        let longest = Some(Duration::from_secs(60));
        stream.set_read_timeout(longest).expect("a timeout");
        stream.set_nodelay(true).expect("nodelay");
        Self(stream)
    }

    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).expect("write");
    }

    /// Whether it could be said: a service may have closed.
    pub fn try_say(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).is_ok()
    }

    /// Whether the service has closed, or does, without an answer.
    pub fn is_cut_off(&mut self) -> bool {
        let mut read = Vec::new();
        // One that is closed with something unread is reset.
        let _ = self.0.read_to_end(&mut read);
        read.is_empty()
    }

    /// Asks for an execution and does not wait for the answer.
    pub fn post_payload(&mut self, payload: &str) {
        let body = form(payload);
        let headers = format!("Content-Type: {FORM}\r\nContent-Length: {}\r\n", body.len());
        self.say(head("POST", PATH, &headers) + &body);
    }

    /// Reads until this text has come.
    pub fn wait_for(&mut self, text: &str) -> String {
        let mut read = Vec::new();
        let mut byte = [0];
        while !read.ends_with(text.as_bytes()) {
            let count = self.0.read(&mut byte).expect("read");
            assert_ne!(count, 0, "{:?}", String::from_utf8_lossy(&read));
            read.push(byte[0]);
        }
        String::from_utf8_lossy(&read).into_owned()
    }

    /// All that comes until the service closes.
    pub fn rest(&mut self) -> String {
        let mut read = Vec::new();
        self.0.read_to_end(&mut read).expect("read");
        String::from_utf8_lossy(&read).into_owned()
    }

    pub fn hang_up(self) {
        // It may be closed already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}
