//! A client that does as little as a client can, so that what is measured is the service.

use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for an answer; the service itself gives up before.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Largest answer that is read: above any bound of the service that makes sense for its clients.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Between the parts of a body; nothing that is sent has it inside.
const BOUNDARY: &str = "part-of-a-probe-of-codejail";

const FORM: &str = "application/x-www-form-urlencoded";

/// One client, with one connection at a time.
pub struct Client {
    address: SocketAddr,
    host: String,
    keep_alive: bool,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    /// Connects when it first has something to send.
    pub fn new(address: SocketAddr, keep_alive: bool) -> Self {
        Self {
            address,
            host: "localhost".to_owned(),
            keep_alive,
            connection: None,
        }
    }

    /// With the name by which the service is known.
    pub fn named(mut self, host: String) -> Self {
        self.host = host;
        self
    }

    /// Posts a payload and returns the body of the answer, which must be a 200.
    pub fn execute(&mut self, payload: &str) -> Result<String> {
        let (status, body) = self.request("POST /api/v0/code-exec", FORM, &form(payload))?;
        ensure!(status == 200, "{status}: {body}");
        Ok(body)
    }

    /// Posts a payload: status and body of the answer.
    pub fn post(mut self, payload: &str) -> Result<(u16, String)> {
        self.request("POST /api/v0/code-exec", FORM, &form(payload))
    }

    /// Posts a payload and a course's library: status and body of the answer.
    pub fn post_with_library(mut self, payload: &str, library: &[u8]) -> Result<(u16, String)> {
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        let payload_part = part("name=\"payload\"", payload.as_bytes());
        let file = "name=\"python_lib.zip\"; filename=\"python_lib.zip\"";
        let end = format!("--{BOUNDARY}--\r\n").into_bytes();
        let body = [payload_part, part(file, library), end].concat();
        self.request("POST /api/v0/code-exec", &content_type, &body)
    }

    /// Status and body of a path.
    pub fn get(mut self, path: &str) -> Result<(u16, String)> {
        self.request(&format!("GET {path}"), FORM, b"")
    }

    fn request(&mut self, what: &str, content_type: &str, body: &[u8]) -> Result<(u16, String)> {
        let connection = if self.keep_alive {
            "keep-alive"
        } else {
            "close"
        };
        let head = format!(
            "{what} HTTP/1.1\r\nHost: {}\r\nConnection: {connection}\r\n\
             Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        let mut stream = match self.connection.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        // One write: two would wait for each other's acknowledgement where Nagle's algorithm is on.
        stream
            .get_mut()
            .write_all(&[head.as_bytes(), body].concat())?;
        let answer = read_response(&mut stream)?;
        if self.keep_alive {
            self.connection = Some(stream);
        }
        Ok(answer)
    }

    fn connect(&self) -> Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        Ok(BufReader::new(stream))
    }
}

fn form(payload: &str) -> Vec<u8> {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", payload)
        .finish()
        .into_bytes()
}

fn part(disposition: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n");
    [head.as_bytes(), content, b"\r\n"].concat()
}

/// Status and body of a response with a length.
fn read_response(stream: &mut BufReader<TcpStream>) -> Result<(u16, String)> {
    let mut status = String::new();
    stream.read_line(&mut status)?;
    let code = status.split(' ').nth(1).and_then(|code| code.parse().ok());
    let code = code.with_context(|| format!("no HTTP status: {:?}", status.trim_end()))?;
    let mut length = None;
    loop {
        let mut header = String::new();
        stream.read_line(&mut header)?;
        let header = header.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = Some(value.trim().parse::<usize>()?);
        }
    }
    let length = length.context("an answer without a length")?;
    ensure!(length <= ANSWER_BYTES_MAX, "an answer of {length} bytes");
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((code, String::from_utf8(body)?))
}
