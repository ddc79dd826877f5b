//! What the spawner has to tell the operator beside its reports.
//!
//! The supervisor puts it into the service's log. Once the supervisor is gone it goes to standard
//! error, where that takes it: a log that is full, closed or stuck ends nothing here and holds
//! nothing up.

use codejail_protocol::spawn::{SAID_BYTES_MAX, SaidLevel, SpawnerReport};
use codejail_transport::PacketSocket;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fmt::Display;
use std::io::{Write, stderr};
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};

/// One for the whole process, since whatever goes wrong anywhere in it is told the same way.
static SOCKET: OnceLock<Arc<PacketSocket>> = OnceLock::new();

/// From now on everything is told over this socket.
pub fn over(socket: &Arc<PacketSocket>) {
    // Called once, at the start.
    let _ = SOCKET.set(Arc::clone(socket));
}

/// Tells what was put right.
pub fn info(event: &str, text: impl Display) {
    say(SaidLevel::Info, event, &text.to_string());
}

/// Tells of something that stays, and that nothing depends on.
pub fn warn(event: &str, text: impl Display) {
    say(SaidLevel::Warning, event, &text.to_string());
}

/// Tells of something that has failed without reason.
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
