//! A pipe of a sandbox, and the rest that it is given after each read that was dear.

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

/// What takes less is none of a sandbox's doing: 8 KiB are read in 3 µs, and a megabyte is thrown
/// away in 100 µs.
const DEAR: Duration = Duration::from_micros(500);
/// For so many times the time that a read took its pipe is left alone. One run takes a hundredth of
/// a thread, whatever it does to its pipe.
const REST: u32 = 100;

/// What a system call took of its thread.
pub struct Meter {
    began: Instant,
    before: Option<Spent>,
}

/// What a thread has spent so far: time on a processor, and how often it waited in the kernel. That
/// others took the processor from it is no fault of a pipe.
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
    /// Starts now.
    pub fn start() -> Self {
        Self {
            before: Spent::so_far(),
            began: Instant::now(),
        }
    }

    /// What it took until now: nothing, if that is little.
    pub fn cost(&self) -> Duration {
        let elapsed = self.began.elapsed();
        if elapsed < DEAR {
            return Duration::ZERO;
        }
        match (&self.before, Spent::so_far()) {
            (Some(before), Some(now)) if now.waits == before.waits => {
                now.cpu.saturating_sub(before.cpu)
            }
            // It waited for a lock that the sandbox had; or nothing is known.
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
    /// It is not measured yet.
    pub fn new(pipe: pipe::Receiver) -> Self {
        Self {
            pipe,
            measured: false,
            rest_until: None,
        }
    }

    /// Registers it with the runtime that calls this, whose threads alone are woken by it from then
    /// on; there dear reads are followed by a rest.
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

    /// The pipe itself: for what is done once.
    pub fn pipe(&self) -> &pipe::Receiver {
        &self.pipe
    }

    /// Reads once it has rested and there is something, or the end. May be dropped at any time.
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

    /// Throws away at most so many bytes, once it has rested and there is something, without
    /// copying them.
    pub async fn discard(&mut self, bytes_max: usize, nowhere: &File) -> io::Result<usize> {
        self.rested().await;
        let flags = SpliceFFlags::SPLICE_F_NONBLOCK;
        loop {
            // A flood that never ebbs must leave the thread to others, too.
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

    /// Makes it hold so many bytes; whether it does.
    pub fn widen(&mut self, bytes: i32) -> bool {
        let meter = self.meter();
        let widened = fcntl(&self.pipe, F_SETPIPE_SZ(bytes)).is_ok();
        self.rest_after(meter);
        widened
    }

    /// Leaves it alone for so long at least.
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

    /// What counts is a call's own work, and its waiting for whoever holds the pipe.
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
            // The test's clock stands still.
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
