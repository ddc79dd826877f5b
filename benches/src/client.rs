//! An HTTP client that does as little as a client can, so that what is measured is the service.

use crate::workload::{Answer, Workload};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Longest wait for an answer: 50 runs of the original at once take some seconds each.
const ANSWER_MAX: Duration = Duration::from_secs(120);

/// Largest answer that is read: above what any workload gives back.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Between the parts of a body; nothing that is sent has it inside.
const BOUNDARY: &str = "part-of-a-benchmark-of-codejail";

/// A request as bytes, made before the clock runs.
#[derive(Debug, Clone)]
pub struct Request {
    content_type: String,
    body: Vec<u8>,
}

impl Request {
    /// As the real client sends it: a form, or parts where a library goes along.
    pub fn of(workload: &Workload) -> Self {
        let path = workload.library.as_ref().map(|_| ["python_lib.zip"]);
        let payload = json!({
            "code": workload.code,
            "globals_dict": workload.globals,
            "python_path": path,
            "limit_overrides_context": null,
            "slug": null,
            "unsafely": false,
        })
        .to_string();
        match &workload.library {
            None => Self {
                content_type: "application/x-www-form-urlencoded".to_owned(),
                body: form_urlencoded::Serializer::new(String::new())
                    .append_pair("payload", &payload)
                    .finish()
                    .into_bytes(),
            },
            Some(library) => Self {
                content_type: format!("multipart/form-data; boundary={BOUNDARY}"),
                body: [
                    part("name=\"payload\"", payload.as_bytes()),
                    part(
                        "name=\"python_lib.zip\"; filename=\"python_lib.zip\"",
                        library,
                    ),
                    format!("--{BOUNDARY}--\r\n").into_bytes(),
                ]
                .concat(),
            },
        }
    }
}

fn part(disposition: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n");
    [head.as_bytes(), content, b"\r\n"].concat()
}

/// One client, with one connection at a time.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    keep_alive: bool,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    /// Connects when it first has something to send.
    pub fn new(address: SocketAddr, keep_alive: bool) -> Self {
        Self {
            address,
            keep_alive,
            connection: None,
        }
    }

    /// Posts a request: how long until the answer was read whole, and its body. All but 200 is an error.
    pub fn execute(&mut self, request: &Request) -> Result<(Duration, Vec<u8>)> {
        let bytes = self.bytes_of(request);
        let started = Instant::now();
        let (status, body) = self.exchange(&bytes)?;
        let elapsed = started.elapsed();
        ensure!(
            status == 200,
            "{status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok((elapsed, body))
    }

    /// Posts a request and leaves it alone: dropping the connection is hanging up.
    pub fn send(&self, request: &Request) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.write_all(&self.bytes_of(request))?;
        Ok(stream)
    }

    /// In one piece: two writes would wait for each other's acknowledgement where Nagle's algorithm is on.
    fn bytes_of(&self, request: &Request) -> Vec<u8> {
        let connection = if self.keep_alive {
            "keep-alive"
        } else {
            "close"
        };
        let head = format!(
            "POST /api/v0/code-exec HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\
             Content-Type: {}\r\nContent-Length: {}\r\n\r\n",
            request.content_type,
            request.body.len()
        );
        [head.as_bytes(), &request.body].concat()
    }

    fn exchange(&mut self, bytes: &[u8]) -> Result<(u16, Vec<u8>)> {
        let mut stream = match self.connection.take().filter(still_open) {
            Some(stream) => stream,
            None => connect(self.address)?,
        };
        stream.get_mut().write_all(bytes)?;
        let (status, body, kept) = read_response(&mut stream)?;
        if self.keep_alive && kept {
            self.connection = Some(stream);
        }
        Ok((status, body))
    }
}

/// Status and body of a path, once.
pub fn get(address: SocketAddr, path: &str) -> Result<(u16, Vec<u8>)> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    Client::new(address, false).exchange(request.as_bytes())
}

/// What an answer's body says.
pub fn answer(body: &[u8]) -> Result<Answer> {
    let mut body: Value = serde_json::from_slice(body)?;
    Ok(match body.get("emsg") {
        Some(emsg) => Answer::Failure(emsg.as_str().context("emsg")?.replace("\\n", "\n")),
        None => Answer::Globals(body["globals_dict"].take()),
    })
}

/// Whether the service has not closed a connection that was kept: it may after a while without a request.
fn still_open(connection: &BufReader<TcpStream>) -> bool {
    let stream = connection.get_ref();
    let peek = || {
        stream.set_nonblocking(true)?;
        let peeked = stream.peek(&mut [0]);
        stream.set_nonblocking(false)?;
        peeked
    };
    matches!(peek(), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

fn connect(address: SocketAddr) -> Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    Ok(BufReader::new(stream))
}

/// Status and body of a response with a length, and whether the connection stays.
fn read_response(stream: &mut BufReader<TcpStream>) -> Result<(u16, Vec<u8>, bool)> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.with_context(|| format!("no HTTP status: {:?}", line.trim_end()))?;
    let (mut length, mut kept) = (None, true);
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let header = line.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = Some(value.trim().parse::<usize>()?);
        }
        kept &= header != "connection: close";
    }
    let length = length.context("an answer without a length")?;
    ensure!(length <= ANSWER_BYTES_MAX, "an answer of {length} bytes");
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((status, body, kept))
}
