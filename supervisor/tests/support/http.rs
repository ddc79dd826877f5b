//! A small blocking HTTP client, and the one request that matters: an execution.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Far above every limit that a test sets: a service that answers nothing fails the test.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Parts of a multipart body never hold it.
const BOUNDARY: &str = "boundary-of-the-tests-7d1f";

const URL: &str = "/api/v0/code-exec";

/// An answer, as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        let parsed = serde_json::from_str(&self.body);
        parsed.unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The globals of a run, however it ended.
    pub fn globals(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        self.json()["globals_dict"].take()
    }

    /// The globals of a run that ended well.
    pub fn success(&self) -> Value {
        assert!(self.json().get("emsg").is_none(), "{self:?}");
        self.globals()
    }

    /// What the author reads of a run that did not.
    pub fn emsg(&self) -> String {
        assert!(self.globals().is_object(), "{self:?}");
        match &self.json()["emsg"] {
            Value::String(emsg) => emsg.clone(),
            _ => panic!("it should have failed: {self:?}"),
        }
    }
}

/// One execution, as the LMS asks for it.
#[derive(Debug, Clone, Default)]
pub struct Run {
    pub code: String,
    /// JSON text, so that a test can write what serde_json can't.
    pub globals: Option<String>,
    pub context: Option<&'static str>,
    pub python_path: bool,
    pub library: Option<Vec<u8>>,
}

impl Run {
    pub fn new(code: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            ..Self::default()
        }
    }

    pub fn globals(mut self, json: impl Into<String>) -> Self {
        self.globals = Some(json.into());
        self
    }

    /// Picks limits by their name in the configuration.
    pub fn context(mut self, context: &'static str) -> Self {
        self.context = Some(context);
        self
    }

    /// Names the library on the path, and sends it.
    pub fn library(mut self, zip: Vec<u8>) -> Self {
        self.python_path = true;
        self.library = Some(zip);
        self
    }

    pub fn payload(&self) -> String {
        let path: &[&str] = if self.python_path {
            &["python_lib.zip"]
        } else {
            &[]
        };
        format!(
            r#"{{"code": {}, "globals_dict": {}, "python_path": {}, "limit_overrides_context": {}, "slug": "test", "unsafely": false}}"#,
            Value::from(self.code.as_str()),
            self.globals.as_deref().unwrap_or("{}"),
            Value::from(path.to_vec()),
            Value::from(self.context),
        )
    }

    /// Content type and body: a form, or multipart where there is a file.
    fn body(&self) -> (String, Vec<u8>) {
        let Some(library) = &self.library else {
            let form = format!("payload={}", percent_encoded(&self.payload()));
            return ("application/x-www-form-urlencoded".to_owned(), form.into());
        };
        let mut body = Vec::new();
        let parts = [
            ("name=\"payload\"", self.payload().into_bytes()),
            (
                "name=\"python_lib.zip\"; filename=\"python_lib.zip\"",
                library.clone(),
            ),
        ];
        for (disposition, content) in parts {
            let head =
                format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n");
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(&content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        (content_type, body)
    }
}

/// One connection; the service may be asked over it again and again.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// What has been received beyond the last answer.
    received: Vec<u8>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            received: Vec::new(),
        })
    }

    /// Executes; the connection stays open.
    pub fn run(&mut self, run: &Run) -> Answer {
        let (content_type, body) = run.body();
        let head = format!(
            "POST {URL} HTTP/1.1\r\nHost: codejail\r\nContent-Type: {content_type}\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        self.ask(&head, &body).expect("an answer")
    }

    /// Sends one request and reads its answer.
    pub fn ask(&mut self, head: &str, body: &[u8]) -> std::io::Result<Answer> {
        self.stream.write_all(&[head.as_bytes(), body].concat())?;
        let head_end = loop {
            let found = self
                .received
                .windows(4)
                .position(|four| four == b"\r\n\r\n");
            if let Some(end) = found {
                break end + 4;
            }
            self.receive()?;
        };
        let head = String::from_utf8_lossy(&self.received[..head_end]).into_owned();
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(key, value)| (key.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers.iter().find(|(key, _)| key == "content-length");
        let length: usize = length
            .and_then(|(_, value)| value.parse().ok())
            .expect("a content length");
        while self.received.len() < head_end + length {
            self.receive()?;
        }
        let answer: Vec<u8> = self.received.drain(..head_end + length).collect();
        Ok(Answer {
            status: status
                .and_then(|status| status.parse().ok())
                .expect("a status"),
            headers,
            body: String::from_utf8(answer[head_end..].to_vec()).expect("UTF-8"),
        })
    }

    /// Whether the service says nothing more before it closes; for after `Connection: close`.
    pub fn stays_silent(&mut self) -> bool {
        let mut rest = Vec::new();
        let ended = self.stream.read_to_end(&mut rest).is_ok();
        ended && rest.is_empty() && self.received.is_empty()
    }

    fn receive(&mut self) -> std::io::Result<()> {
        let mut chunk = [0; 65536];
        match self.stream.read(&mut chunk)? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => {
                self.received.extend_from_slice(&chunk[..count]);
                Ok(())
            }
        }
    }
}

/// Executes over a connection of its own, as the LMS does, and makes sure that there is one answer.
pub fn run(address: SocketAddr, run: &Run) -> Answer {
    let (content_type, body) = run.body();
    let head = format!(
        "POST {URL} HTTP/1.1\r\nHost: codejail\r\nConnection: close\r\n\
         Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut connection = Connection::open(address).expect("connect");
    let answer = connection.ask(&head, &body).expect("an answer");
    assert!(connection.stays_silent(), "one answer, not more");
    answer
}

pub fn get(address: SocketAddr, path: &str) -> std::io::Result<Answer> {
    let head = format!("GET {path} HTTP/1.1\r\nHost: codejail\r\nConnection: close\r\n\r\n");
    Connection::open(address)?.ask(&head, b"")
}

pub fn percent_encoded(text: &str) -> String {
    let encoded = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encoded).collect()
}
