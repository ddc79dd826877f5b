//! An HTTP client that does as little as possible, so that measurements are those of the service.

use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The longest wait for an answer. The service gives up earlier. The original, which `make bench`
/// also asks, may take some seconds for each of many requests.
const ANSWER_MAX: Duration = Duration::from_secs(120);

/// Largest answer that is read. It is larger than every sensible bound of the service.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Stands between the parts of a body. No part contains it.
const BOUNDARY: &str = "part-of-a-probe-of-codejail";

/// A request, made before it is sent.
#[derive(Debug, Clone)]
pub struct Request {
    what: String,
    content_type: String,
    body: Vec<u8>,
}

impl Request {
    /// Asks for this path.
    pub fn get(path: &str) -> Self {
        Self::new(format!("GET {path}"), "text/plain", Vec::new())
    }

    /// Asks for an execution as the real client does: with a form, or in parts if there is a course
    /// library.
    pub fn execute(payload: &str, library: Option<&[u8]>) -> Self {
        Self::execute_with(payload, library.map(|library| ("python_lib.zip", library)))
    }

    /// Asks for an execution, with a file of any name.
    pub fn execute_with(payload: &str, file: Option<(&str, &[u8])>) -> Self {
        let what = "POST /api/v0/code-exec".to_owned();
        let Some((name, content)) = file else {
            let mut form = form_urlencoded::Serializer::new(String::new());
            let body = form.append_pair("payload", payload).finish().into_bytes();
            return Self::new(what, "application/x-www-form-urlencoded", body);
        };
        let payload_part = part("name=\"payload\"", payload.as_bytes());
        let file = format!("name=\"{name}\"; filename=\"{name}\"");
        let end = format!("--{BOUNDARY}--\r\n").into_bytes();
        let body = [payload_part, part(&file, content), end].concat();
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        Self::new(what, &content_type, body)
    }

    fn new(what: String, content_type: &str, body: Vec<u8>) -> Self {
        Self {
            what,
            content_type: content_type.to_owned(),
            body,
        }
    }
}

/// One client, with one connection at a time.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    host: String,
    keep_alive: bool,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    /// The client connects when it has something to send.
    pub fn new(address: SocketAddr, keep_alive: bool) -> Self {
        Self {
            address,
            host: "localhost".to_owned(),
            keep_alive,
            connection: None,
        }
    }

    /// The service is known by this name.
    pub fn named(mut self, host: String) -> Self {
        self.host = host;
        self
    }

    /// Sends a request. Returns status and body of the answer.
    pub fn ask(&mut self, request: &Request) -> Result<(u16, String)> {
        let (status, body) = self.exchange(&self.bytes_of(request))?;
        Ok((status, String::from_utf8(body)?))
    }

    /// Sends a request and does not wait for the answer. When the connection is dropped, the client
    /// hangs up.
    pub fn leave(&self, request: &Request) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.write_all(&self.bytes_of(request))?;
        Ok(stream)
    }

    /// The bytes of a request, as `exchange` sends them.
    pub fn bytes_of(&self, request: &Request) -> Vec<u8> {
        let connection = if self.keep_alive {
            "keep-alive"
        } else {
            "close"
        };
        let head = format!(
            "{} HTTP/1.1\r\nHost: {}\r\nConnection: {connection}\r\n\
             Content-Type: {}\r\nContent-Length: {}\r\n\r\n",
            request.what,
            self.host,
            request.content_type,
            request.body.len()
        );
        [head.as_bytes(), &request.body].concat()
    }

    /// Sends bytes in one piece, and returns status and body of the answer. With Nagle's algorithm
    /// a second write would wait for the acknowledgement of the first.
    pub fn exchange(&mut self, bytes: &[u8]) -> Result<(u16, Vec<u8>)> {
        let mut stream = match self.connection.take().filter(still_open) {
            Some(stream) => stream,
            None => self.connect()?,
        };
        stream.get_mut().write_all(bytes)?;
        let (status, body, kept) = read_response(&mut stream)?;
        if self.keep_alive && kept {
            self.connection = Some(stream);
        }
        Ok((status, body))
    }

    fn connect(&self) -> Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        Ok(BufReader::new(stream))
    }
}

fn part(disposition: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n");
    [head.as_bytes(), content, b"\r\n"].concat()
}

/// Whether a kept connection is still open: the service may close it after a while without a
/// request.
fn still_open(connection: &BufReader<TcpStream>) -> bool {
    let stream = connection.get_ref();
    let peek = || {
        stream.set_nonblocking(true)?;
        let peeked = stream.peek(&mut [0]);
        stream.set_nonblocking(false)?;
        peeked
    };
    matches!(peek(), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// Status and body of a response with a length, and whether the connection stays open.
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
