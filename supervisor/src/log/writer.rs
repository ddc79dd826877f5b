//! Writes lines to standard error. A line that can't be written is lost and counted. It never ends
//! the service, and never holds it up for long.

use crate::metrics;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

/// How long a line waits for a reader that takes nothing. After a line has waited in vain, no line
/// waits until the reader takes something again.
const READER_MAX_MS: u8 = 100;
/// Bytes that are written at a time: `PIPE_BUF`. If a pipe polls as writable, it has room for so
/// many (pipe(7)).
const PIECE_BYTES: usize = 4096;

/// Writes each line whole, or counts it as lost.
pub struct LogWriter<W>(pub W);

impl<W: Write + AsFd> Write for LogWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if write_line(&mut self.0, line).is_err() {
            metrics::count_lost_log_line();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_line(out: &mut (impl Write + AsFd), line: &[u8]) -> io::Result<()> {
    static STUCK: AtomicBool = AtomicBool::new(false);
    for piece in line.chunks(PIECE_BYTES) {
        let wait_ms = if STUCK.load(Ordering::Relaxed) {
            0
        } else {
            READER_MAX_MS
        };
        let is_stuck = !is_writable(out, wait_ms)?;
        STUCK.store(is_stuck, Ordering::Relaxed);
        if is_stuck {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        out.write_all(piece)?;
    }
    Ok(())
}

/// Whether a write would not block. If the reader is gone, a write does not block but returns the
/// error.
fn is_writable(out: &impl AsFd, wait_ms: u8) -> io::Result<bool> {
    loop {
        let mut writable = [PollFd::new(out.as_fd(), PollFlags::POLLOUT)];
        match poll(&mut writable, PollTimeout::from(wait_ms)) {
            // A signal of the service interrupted the wait: wait again.
            Err(Errno::EINTR) => {}
            polled => return Ok(polled? > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read;

    #[test]
    fn a_line_that_can_be_written_is() {
        let (mut reader, writer) = io::pipe().unwrap();
        let line = [b'x'; 3 * PIECE_BYTES];
        LogWriter(writer).write_all(&line).unwrap();
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert_eq!(read, line);
    }

    #[test]
    fn a_line_that_cannot_be_written_is_counted_and_no_error() {
        let before = metrics::lost_log_lines();
        let full = File::options().write(true).open("/dev/full").unwrap();
        LogWriter(full).write_all(b"line\n").unwrap();
        let (reader, closed) = io::pipe().unwrap();
        drop(reader);
        LogWriter(closed).write_all(b"line\n").unwrap();
        // The reader takes nothing: the part that fits is written, the rest is lost.
        let (_reader, stuck) = io::pipe().unwrap();
        LogWriter(stuck).write_all(&[b'x'; 1 << 20]).unwrap();
        assert_eq!(metrics::lost_log_lines(), before + 3);
    }
}
