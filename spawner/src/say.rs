//! Messages from the spawner to the operator, beside its reports to the supervisor.
//!
//! The supervisor puts these messages into the service's log. Once the supervisor is gone they go
//! to standard error. If standard error is full, closed or stuck, the message is lost; the spawner
//! neither fails nor waits.

use codejail_protocol::spawn::{SAID_BYTES_MAX, SaidLevel, SpawnerReport};
use codejail_transport::PacketSocket;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fmt::Display;
use std::io::{Write, stderr};
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};

/// One socket for the whole process, so that every part of it can report.
static SOCKET: OnceLock<Arc<PacketSocket>> = OnceLock::new();

/// From now on all messages go over this socket.
pub fn over(socket: &Arc<PacketSocket>) {
    // Called once, at the start.
    let _ = SOCKET.set(Arc::clone(socket));
}

/// Reports that the spawner put something right.
pub fn info(event: &str, text: impl Display) {
    say(SaidLevel::Info, event, &text.to_string());
}

/// Reports something that stays behind, though nothing depends on it.
pub fn warn(event: &str, text: impl Display) {
    say(SaidLevel::Warning, event, &text.to_string());
}

/// Reports a failure without a known reason.
pub fn error(event: &str, text: impl Display) {
    say(SaidLevel::Error, event, &text.to_string());
}

fn say(level: SaidLevel, event: &str, text: &str) {
    let text = &text[..text.floor_char_boundary(SAID_BYTES_MAX)];
    let report = SpawnerReport::Said {
        level,
        event: event.to_owned(),
        text: text.to_owned(),
    };
    let sent = SOCKET.get().map(|socket| socket.send(&report, &[]));
    if !matches!(sent, Some(Ok(()))) {
        write_line(&format!("spawner: {text}\n"));
    }
}

/// Writes to standard error, unless that would have to wait or fails.
fn write_line(line: &str) {
    let stderr = stderr();
    let mut polled = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    if poll(&mut polled, PollTimeout::ZERO) == Ok(1) {
        let _ = stderr.lock().write_all(line.as_bytes());
    }
}
