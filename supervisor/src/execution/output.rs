//! One output stream of a sandbox: what is kept of it, and how the rest is thrown away.

use super::Captured;
use super::paced::{Meter, PacedPipe};
use std::fs::File;
use std::io;
use std::sync::LazyLock;
use std::time::Duration;
use tokio::net::unix::pipe;

/// Bytes read at a time. Most answers are shorter. With larger buffers, such as 64 KiB for all that
/// a pipe holds, the allocator gives the memory back to the kernel after each execution, and gets
/// it again by page faults.
const CHUNK_BYTES: usize = 8 * 1024;
/// Bytes that the pipe of a flood can hold, and bytes that are thrown away at a time. This is the
/// kernel's own bound for a pipe (pipe(7)).
const FLOOD_BYTES: i32 = 1 << 20;
/// Pause between two reads from a flood in such a pipe. Without the pause the reads would keep a
/// core busy. The flood still flows at some 400 MB a second.
const FLOOD_EVERY: Duration = Duration::from_millis(1);

/// `/dev/null`, where a flood goes. If it can't be opened, floods are read instead.
static NOWHERE: LazyLock<io::Result<File>> =
    LazyLock::new(|| File::options().write(true).open("/dev/null"));

/// The longest time that a thread reads the rest of a stream. The rest of an honest run, of a
/// megabyte at most, takes 1 ms.
const REST_MAX: Duration = Duration::from_millis(20);

/// An output stream, and its beginning.
#[derive(Debug)]
pub struct Output {
    /// None once the stream is at its end.
    stream: Option<PacedPipe>,
    captured: Captured,
    bytes_max: usize,
    chunk: Vec<u8>,
    /// Whether the stream is a flood in a pipe of [`FLOOD_BYTES`].
    wide: bool,
}

impl Output {
    /// A stream of which nothing was read yet, and of which `bytes_max` bytes will be kept.
    pub fn new(stream: pipe::Receiver, bytes_max: usize) -> Self {
        Self {
            stream: Some(PacedPipe::new(stream)),
            captured: Captured::default(),
            bytes_max,
            chunk: vec![0; CHUNK_BYTES],
            wide: false,
        }
    }

    /// Moves to the threads that call this: see [`PacedPipe::settle`].
    pub fn settle(&mut self) -> io::Result<()> {
        self.stream = self.stream.take().map(PacedPipe::settle).transpose()?;
        Ok(())
    }

    /// Takes some of the next bytes; never returns once the stream is at its end. The future may be
    /// dropped at any time without losing bytes.
    pub async fn take_some(&mut self) {
        let Some(stream) = &mut self.stream else {
            return std::future::pending().await;
        };
        let taken = match &*NOWHERE {
            Ok(nowhere) if self.captured.cut => stream.discard(FLOOD_BYTES as usize, nowhere).await,
            _ => stream.read(&mut self.chunk).await,
        };
        match taken {
            Ok(0) | Err(_) => self.stream = None,
            Ok(_) if self.captured.cut => {
                if self.wide {
                    stream.rest(FLOOD_EVERY);
                }
            }
            Ok(count) => {
                self.captured.keep(&self.chunk[..count], self.bytes_max);
                self.wide = self.captured.cut && stream.widen(FLOOD_BYTES);
            }
        }
    }

    /// Takes the bytes that the stream holds now. Bytes that come later were written after the
    /// run's end.
    pub fn take_rest(&mut self) {
        self.take_rest_within(REST_MAX);
    }

    fn take_rest_within(&mut self, cost_max: Duration) {
        let Some(stream) = &self.stream else { return };
        let meter = Meter::start();
        // These reads bypass the runtime, which may not know yet that there is something to read. A
        // flood is cut: we read what is kept and one chunk more, to know that there was more. A
        // dear stream is cut, too, but only if there is more: on a busy machine one chunk may take
        // as long.
        let mut is_dear = false;
        while !self.captured.cut
            && let Ok(count @ 1..) = nix::unistd::read(stream.pipe(), &mut self.chunk)
        {
            self.captured.keep(&self.chunk[..count], self.bytes_max);
            self.captured.cut |= is_dear;
            is_dear = meter.cost() >= cost_max;
        }
    }

    /// The kept bytes, and the stream.
    pub fn into_parts(self) -> (Captured, Option<PacedPipe>) {
        (self.captured, self.stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use tokio::time::timeout;

    fn output(bytes_max: usize) -> (Output, io::PipeWriter) {
        let (reader, writer) = io::pipe().unwrap();
        let stream = pipe::Receiver::from_owned_fd(reader.into()).unwrap();
        (Output::new(stream, bytes_max), writer)
    }

    #[tokio::test]
    async fn of_a_flood_the_beginning_is_kept_and_the_rest_is_taken() {
        const FLOOD: usize = 1 << 20;
        let (mut output, mut writer) = output(10);
        let flood = std::thread::spawn(move || writer.write_all(&[b'x'; FLOOD]));
        while output.stream.is_some() {
            output.take_some().await;
        }
        flood.join().unwrap().unwrap();
        let (captured, _) = output.into_parts();
        assert_eq!((captured.bytes.len(), captured.cut), (10, true));
    }

    #[tokio::test]
    async fn a_short_rest_that_was_dear_is_whole_and_a_long_one_is_cut() {
        for (length, cut) in [(6375, false), (3 * CHUNK_BYTES, true)] {
            let (mut output, mut writer) = output(1 << 20);
            writer.write_all(&vec![b'x'; length]).unwrap();
            output.take_rest_within(Duration::ZERO);
            let (captured, _) = output.into_parts();
            assert_eq!(captured.cut, cut, "{length}");
            assert_eq!(captured.bytes.len(), length.min(2 * CHUNK_BYTES));
        }
    }

    #[tokio::test]
    async fn a_stream_that_is_cut_is_still_waited_for() {
        let (mut output, mut writer) = output(1);
        writer.write_all(b"xx").unwrap();
        output.take_some().await;
        let short = Duration::from_millis(20);
        assert!(timeout(short, output.take_some()).await.is_err());
        writer.write_all(b"x").unwrap();
        output.take_some().await;
        drop(writer);
        output.take_some().await;
        assert!(output.stream.is_none());
    }
}
