//! A pipe of a sandbox. After each expensive read the supervisor leaves the pipe alone for a while.

use nix::fcntl::{FcntlArg::F_SETPIPE_SZ, SpliceFFlags, fcntl, splice};
use nix::sys::resource::{UsageWho::RUSAGE_THREAD, getrusage};
use nix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::unix::pipe;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep_until};

/// A read that takes longer is expensive, and only a sandbox can cause it: 8 KiB are normally read
/// in 3 µs, and a megabyte is thrown away in 100 µs.
const DEAR: Duration = Duration::from_micros(500);
/// After an expensive read its pipe is left alone for this many times the duration of the read. So
/// one run takes at most a hundredth of a thread, whatever it does to its pipe.
const REST: u32 = 100;

/// Measures how much of its thread a system call took.
pub struct Meter {
    began: Instant,
    before: Option<Spent>,
}

/// What a thread has used so far: time on a processor, and how often it waited in the kernel. Time
/// in which other threads had the processor does not count: the pipe did not cause it.
struct Spent {
    cpu: Duration,
    waits: i64,
}

impl Spent {
    fn so_far() -> Option<Self> {
        let cpu = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).ok()?.into();
        let waits = getrusage(RUSAGE_THREAD).ok()?.voluntary_context_switches();
        Some(Self { cpu, waits })
    }
}

impl Meter {
    /// Starts measuring now.
    pub fn start() -> Self {
        Self {
            before: Spent::so_far(),
            began: Instant::now(),
        }
    }

    /// The time until now; zero if it is less than [`DEAR`].
    pub fn cost(&self) -> Duration {
        let elapsed = self.began.elapsed();
        if elapsed < DEAR {
            return Duration::ZERO;
        }
        match (&self.before, Spent::so_far()) {
            (Some(before), Some(now)) if now.waits == before.waits => {
                now.cpu.saturating_sub(before.cpu)
            }
            // The thread waited for a lock that the sandbox held, or its use is unknown.
            _ => elapsed,
        }
    }
}

/// The supervisor's end of a pipe into which a sandbox writes.
#[derive(Debug)]
pub struct PacedPipe {
    pipe: pipe::Receiver,
    /// Whether reads are measured.
    measured: bool,
    rest_until: Option<Instant>,
}

impl PacedPipe {
    /// A pipe whose reads are not measured yet.
    pub fn new(pipe: pipe::Receiver) -> Self {
        Self {
            pipe,
            measured: false,
            rest_until: None,
        }
    }

    /// Registers the pipe with the runtime that calls this. From then on the pipe wakes only that
    /// runtime's threads, and each expensive read is followed by a pause.
    ///
    /// # Errors
    /// No room for the registration.
    pub fn settle(self) -> io::Result<Self> {
        let pipe = self.pipe.into_nonblocking_fd()?;
        Ok(Self {
            pipe: pipe::Receiver::from_owned_fd(pipe)?,
            measured: true,
            rest_until: None,
        })
    }

    /// The pipe itself, for operations that are done once.
    pub fn pipe(&self) -> &pipe::Receiver {
        &self.pipe
    }

    /// Reads after the pause, once the pipe has bytes or is at its end. The future may be dropped
    /// at any time.
    pub async fn read(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        self.rested().await;
        poll_fn(|context| {
            let meter = self.meter();
            let mut buffer = ReadBuf::new(chunk);
            let read = Pin::new(&mut self.pipe).poll_read(context, &mut buffer);
            self.rest_after(meter);
            read.map_ok(|()| buffer.filled().len())
        })
        .await
    }

    /// After the pause, once the pipe has bytes, throws away at most `bytes_max` of them without
    /// copying.
    pub async fn discard(&mut self, bytes_max: usize, nowhere: &File) -> io::Result<usize> {
        self.rested().await;
        let flags = SpliceFFlags::SPLICE_F_NONBLOCK;
        loop {
            // An endless flood must leave the thread to other tasks too.
            consume_budget().await;
            self.pipe.readable().await?;
            let meter = self.meter();
            let pipe = &self.pipe;
            let spliced = pipe.try_io(|| Ok(splice(pipe, None, nowhere, None, bytes_max, flags)?));
            self.rest_after(meter);
            match spliced {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
        }
    }

    /// Makes the pipe hold so many bytes; false if the kernel refuses.
    pub fn widen(&mut self, bytes: i32) -> bool {
        let meter = self.meter();
        let widened = fcntl(&self.pipe, F_SETPIPE_SZ(bytes)).is_ok();
        self.rest_after(meter);
        widened
    }

    /// Leaves the pipe alone for at least `pause`.
    pub fn rest(&mut self, pause: Duration) {
        self.rest_until = self.rest_until.max(Some(Instant::now() + pause));
    }

    async fn rested(&self) {
        if let Some(until) = self.rest_until {
            sleep_until(until).await;
        }
    }

    fn meter(&self) -> Option<Meter> {
        self.measured.then(Meter::start)
    }

    fn rest_after(&mut self, meter: Option<Meter>) {
        let cost = meter.map_or(Duration::ZERO, |meter| meter.cost());
        if !cost.is_zero() {
            self.rest(REST * cost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two things count: a call's own work, and its waiting for the holder of the pipe's lock.
    #[test]
    fn work_and_waiting_are_dear_and_little_is_not() {
        let meter = Meter::start();
        assert_eq!(meter.cost(), Duration::ZERO);
        while meter.began.elapsed() < 20 * DEAR {}
        let worked = meter.cost();
        assert!(!worked.is_zero(), "20 times as long as what is dear");
        let meter = Meter::start();
        std::thread::sleep(20 * DEAR);
        assert!(meter.cost() >= 20 * DEAR);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_dear_read_a_pipe_rests_where_it_is_measured() {
        for measured in [false, true] {
            let (reader, _writer) = io::pipe().unwrap();
            let mut pipe = PacedPipe::new(pipe::Receiver::from_owned_fd(reader.into()).unwrap());
            if measured {
                pipe = pipe.settle().unwrap();
            }
            let meter = pipe.meter();
            std::thread::sleep(2 * DEAR);
            // The test's clock does not move by itself.
            let meter = meter.map(|meter| Meter {
                began: meter.began - 2 * DEAR,
                ..meter
            });
            pipe.rest_after(meter);
            let began = Instant::now();
            pipe.rested().await;
            let rested = began.elapsed();
            assert_eq!(rested >= REST * 2 * DEAR, measured, "{rested:?}");
        }
    }
}
