//! A client that does as little as a client can, so that what is measured is the service.

use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest wait for an answer; the service itself gives up before.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// One client, with one connection at a time.
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

    /// Posts a payload and returns the body of the answer, which must be a 200.
    pub fn execute(&mut self, payload: &str) -> Result<String> {
        let body: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("payload", payload)
            .finish();
        let connection = if self.keep_alive {
            "keep-alive"
        } else {
            "close"
        };
        let request = format!(
            "POST /api/v0/code-exec HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = match self.connection.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        stream.get_mut().write_all(request.as_bytes())?;
        let (status, body) = read_response(&mut stream)?;
        ensure!(status.contains(" 200 "), "{}: {body}", status.trim_end());
        if self.keep_alive {
            self.connection = Some(stream);
        }
        Ok(body)
    }

    fn connect(&self) -> Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        Ok(BufReader::new(stream))
    }
}

/// Status line and body of a response with a length.
fn read_response(stream: &mut BufReader<TcpStream>) -> Result<(String, String)> {
    let mut status = String::new();
    stream.read_line(&mut status)?;
    let mut length = None;
    loop {
        let mut header = String::new();
        stream.read_line(&mut header)?;
        let header = header.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = Some(value.trim().parse()?);
        }
    }
    let mut body = vec![0; length.context("an answer without a length")?];
    stream.read_exact(&mut body)?;
    Ok((status, String::from_utf8(body)?))
}
