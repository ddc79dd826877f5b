//! A connection over which a test sends any bytes.

use crate::http::{ANSWER_MAX, FORM, PATH, form, head};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

/// An open connection. An error panics, unless a method says otherwise.
#[derive(Debug)]
pub struct Wire(TcpStream);

impl Wire {
    /// Connects.
    #[must_use]
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connect");
        stream
            .set_read_timeout(Some(ANSWER_MAX))
            .expect("a timeout");
        stream.set_nodelay(true).expect("nodelay");
        Self(stream)
    }

    /// Sends these bytes.
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).expect("write");
    }

    /// Sends these bytes. Returns whether that worked, since the service may have closed the
    /// connection.
    pub fn try_say(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).is_ok()
    }

    /// Waits until the service closes the connection. Returns whether no answer came before.
    pub fn is_cut_off(&mut self) -> bool {
        let mut read = Vec::new();
        // If a connection is closed while bytes are unread, it is reset.
        let _ = self.0.read_to_end(&mut read);
        read.is_empty()
    }

    /// Asks for an execution and does not wait for the answer.
    pub fn post_payload(&mut self, payload: &str) {
        let body = form(payload);
        let headers = format!("Content-Type: {FORM}\r\nContent-Length: {}\r\n", body.len());
        self.say(head("POST", PATH, &headers) + &body);
    }

    /// Reads until this text has come. Returns everything that has come.
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

    /// Everything that comes until the service closes the connection.
    pub fn rest(&mut self) -> String {
        let mut read = Vec::new();
        self.0.read_to_end(&mut read).expect("read");
        String::from_utf8_lossy(&read).into_owned()
    }

    /// Closes both directions.
    pub fn hang_up(self) {
        // It may be closed already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}
