//! The main request: an execution, as the LMS asks for it.

use crate::http::{Answer, Connection, FORM, MULTIPART, PATH, form, multipart, post};
use serde_json::Value;
use std::net::SocketAddr;

/// One execution.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// The author's code.
    pub code: String,
    /// JSON text, so that a test can write what serde_json can't.
    pub globals: Option<String>,
    /// The name of limits in the configuration.
    pub context: Option<&'static str>,
    /// Whether the request names the library on the path.
    pub python_path: bool,
    /// A `python_lib.zip` that is sent along.
    pub library: Option<Vec<u8>>,
}

impl Run {
    /// A run of this code, without globals.
    #[must_use]
    pub fn new(code: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            ..Self::default()
        }
    }

    /// The run gets these globals, a JSON text.
    #[must_use]
    pub fn globals(mut self, json: impl Into<String>) -> Self {
        self.globals = Some(json.into());
        self
    }

    /// The run has the limits of this name in the configuration.
    #[must_use]
    pub fn context(mut self, context: &'static str) -> Self {
        self.context = Some(context);
        self
    }

    /// The run has a library: the request sends it, and names it on the path.
    #[must_use]
    pub fn library(mut self, zip: Vec<u8>) -> Self {
        self.python_path = true;
        self.library = Some(zip);
        self
    }

    /// The request's payload.
    #[must_use]
    pub fn payload(&self) -> String {
        let path: &[&str] = match self.python_path {
            true => &["python_lib.zip"],
            false => &[],
        };
        format!(
            r#"{{"code": {}, "globals_dict": {}, "python_path": {}, "limit_overrides_context": {}, "slug": "test", "unsafely": false}}"#,
            Value::from(self.code.as_str()),
            self.globals.as_deref().unwrap_or("{}"),
            Value::from(path.to_vec()),
            Value::from(self.context),
        )
    }

    /// Asks over a connection of its own, as the LMS does. Panics unless there is one answer.
    pub fn ask(&self, address: SocketAddr) -> Answer {
        let (content_type, body) = self.body();
        post(address, Some(content_type), body)
    }

    /// Asks over a connection that stays open. Panics unless there is an answer.
    pub fn ask_over(&self, connection: &mut Connection) -> Answer {
        let (content_type, body) = self.body();
        let head = format!(
            "POST {PATH} HTTP/1.1\r\nHost: codejail\r\nContent-Type: {content_type}\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        connection.ask(&head, &body).expect("an answer")
    }

    /// A form; multipart if there is a file.
    fn body(&self) -> (&'static str, Vec<u8>) {
        let payload = self.payload();
        match &self.library {
            None => (FORM, form(&payload).into_bytes()),
            Some(library) => {
                let file = ("python_lib.zip", Some("python_lib.zip"), library.as_slice());
                let parts = [("payload", None, payload.as_bytes()), file];
                (MULTIPART, multipart(&parts))
            }
        }
    }
}
