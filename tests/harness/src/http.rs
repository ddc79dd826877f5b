//! A small blocking HTTP client. Requests are texts, so that a test can send requests that no real
//! client would.

use serde_json::Value;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The timeout is far above every limit that a test sets. If the service does not answer, the test
/// fails.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Where executions are asked for.
pub const PATH: &str = "/api/v0/code-exec";
/// The content type of [`form`].
pub const FORM: &str = "application/x-www-form-urlencoded";
/// The content type of [`multipart`].
pub const MULTIPART: &str = "multipart/form-data; boundary=XYZ";

/// One part of a multipart body: its form field name, its filename where it is a file, its content.
pub type Part<'a> = (&'a str, Option<&'a str>, &'a [u8]);

/// An answer, as it came.
#[derive(Debug)]
pub struct Answer {
    /// The status of HTTP.
    pub status: u16,
    /// The headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: String,
}

impl Answer {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body. Panics unless it is JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let parsed = serde_json::from_str(&self.body);
        parsed.unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The globals of a run, however it ended. Panics unless it was executed.
    #[must_use]
    pub fn globals(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        self.json()["globals_dict"].take()
    }

    /// The globals of a run that ended well. Panics if it did not.
    #[track_caller]
    pub fn success(&self) -> Value {
        assert!(self.json().get("emsg").is_none(), "{self:?}");
        self.globals()
    }

    /// The message that the author of a failed run reads. Panics if the run did not fail.
    #[must_use]
    #[track_caller]
    pub fn emsg(&self) -> String {
        assert!(self.globals().is_object(), "{self:?}");
        match &self.json()["emsg"] {
            Value::String(emsg) => emsg.clone(),
            _ => panic!("it should have failed: {self:?}"),
        }
    }
}

/// One connection, over which the service can be asked several times.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// Bytes that came after the last answer.
    received: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody accepts the connection.
    pub fn open(address: SocketAddr) -> Result<Self> {
        Self::over(TcpStream::connect(address)?)
    }

    /// Uses a connection that is open already.
    ///
    /// # Errors
    /// The system refuses an option of its socket.
    pub fn over(stream: TcpStream) -> Result<Self> {
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            received: Vec::new(),
        })
    }

    /// Sends one request and reads its answer.
    ///
    /// # Errors
    /// The connection breaks, or the bytes that come are no answer with a length.
    pub fn ask(&mut self, head: &str, body: &[u8]) -> Result<Answer> {
        self.stream.write_all(&[head.as_bytes(), body].concat())?;
        let head_end = loop {
            let mut windows = self.received.windows(4);
            if let Some(end) = windows.position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            self.receive()?;
        };
        let (status, headers) = read_head(&self.received[..head_end])?;
        let length = headers.iter().find(|(key, _)| key == "content-length");
        let length: Option<usize> = length.and_then(|(_, value)| value.parse().ok());
        let length = length.ok_or_else(|| no_answer("no length"))?;
        while self.received.len() < head_end + length {
            self.receive()?;
        }
        let answer: Vec<u8> = self.received.drain(..head_end + length).collect();
        let body = String::from_utf8(answer[head_end..].to_vec());
        Ok(Answer {
            status,
            headers,
            body: body.map_err(|_| no_answer("its body is not UTF-8"))?,
        })
    }

    /// Whether the service closes the connection without sending more, as it must after
    /// `Connection: close`.
    pub fn stays_silent(&mut self) -> bool {
        let mut rest = Vec::new();
        let ended = self.stream.read_to_end(&mut rest).is_ok();
        ended && rest.is_empty() && self.received.is_empty()
    }

    fn receive(&mut self) -> Result<()> {
        let mut chunk = [0; 65536];
        match self.stream.read(&mut chunk)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            count => {
                self.received.extend_from_slice(&chunk[..count]);
                Ok(())
            }
        }
    }
}

fn no_answer(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

fn read_head(head: &[u8]) -> Result<(u16, Vec<(String, String)>)> {
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status = status.and_then(|status| status.parse().ok());
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(key, value)| (key.to_ascii_lowercase(), value.to_owned()));
    Ok((
        status.ok_or_else(|| no_answer("no status"))?,
        headers.collect(),
    ))
}

/// Asks for a path.
///
/// # Errors
/// There is no answer.
pub fn get(address: SocketAddr, path: &str) -> Result<Answer> {
    Connection::open(address)?.ask(&head("GET", path, ""), b"")
}

/// Asks for an execution, with or without a content type. Panics unless there is one answer.
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

/// Asks for an execution of this payload, in a form.
pub fn post_payload(address: SocketAddr, payload: &str) -> Answer {
    post(address, Some(FORM), form(payload))
}

/// The head of a request. The service closes the connection after its answer. Each header ends with
/// `\r\n`.
#[must_use]
pub fn head(method: &str, path: &str, headers: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: codejail\r\nConnection: close\r\n{headers}\r\n")
}

/// A form that holds one payload.
#[must_use]
pub fn form(payload: &str) -> String {
    let encoded = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    let encoded: String = payload.bytes().map(encoded).collect();
    format!("payload={encoded}")
}

/// A body that has the type [`MULTIPART`].
#[must_use]
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
