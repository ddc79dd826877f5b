//! A client's connection. It fails once the client has kept its answers waiting for too long in
//! sum. A bound on each single wait is not enough: a client that takes a byte now and then would
//! hold its place for ever.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// How long a client may keep its answers waiting in sum, and how taking bytes extends that time.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The sum of waits that a client may cause without taking anything.
    pub longest: Duration,
    /// Taking this many bytes earns the client `longest` once more.
    pub bytes: usize,
}

/// A connection whose waits for the client add up.
#[derive(Debug)]
pub struct ClientStream<S> {
    stream: S,
    patience: Patience,
    /// How long the client has kept answers waiting, minus the time that it has earned since. Time
    /// without anything to write does not count.
    waited: Duration,
    /// The current wait: its start, and the timer for its longest end.
    wait: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<S> ClientStream<S> {
    /// A connection whose client has not kept anything waiting yet.
    pub fn new(stream: S, patience: Patience) -> Self {
        Self {
            stream,
            patience,
            waited: Duration::ZERO,
            wait: None,
        }
    }

    /// The client takes nothing now: waits, or fails if that was too long.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let left = self.patience.longest.saturating_sub(self.waited);
        let (_, too_long) = self.wait.get_or_insert_with(|| {
            let now = Instant::now();
            (now, Box::pin(sleep_until(now + left)))
        });
        ready!(too_long.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// The client took so many bytes.
    fn took(&mut self, bytes: usize) {
        if let Some((since, _)) = self.wait.take() {
            self.waited += since.elapsed();
        }
        let Patience {
            longest,
            bytes: each,
        } = self.patience;
        let earned = longest.mul_f64(bytes as f64 / each.max(1) as f64);
        self.waited = self.waited.saturating_sub(earned);
    }

    fn written(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending => self.wait(cx),
            Poll::Ready(Ok(bytes)) => {
                self.took(bytes);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.written(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::sleep;

    const LONGEST: Duration = Duration::from_secs(10);
    const PATIENCE: Patience = Patience {
        longest: LONGEST,
        bytes: 1000,
    };

    /// Writes an answer to a client that takes `bytes` at a time with a pause before each read.
    /// Returns the result, and how long it took.
    async fn answer(length: usize, bytes: usize, pause: Duration) -> (io::Result<()>, Duration) {
        let (service, mut client) = duplex(1);
        let mut service = ClientStream::new(service, PATIENCE);
        let started = Instant::now();
        let client = async {
            let mut piece = vec![0; bytes];
            loop {
                sleep(pause).await;
                if client.read_exact(&mut piece).await.is_err() {
                    return;
                }
            }
        };
        let answer = vec![b'x'; length];
        tokio::select! {
            written = service.write_all(&answer) => (written, started.elapsed()),
            () = client => unreachable!("the service is there"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_trickles_fails_when_its_waits_add_up() {
        let second = Duration::from_secs(1);
        let (written, took) = answer(1000, 1, second).await;
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(took >= LONGEST && took < LONGEST + second, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_fails_as_soon() {
        let (written, took) = answer(1000, 1, 100 * LONGEST).await;
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(took >= LONGEST && took <= LONGEST + Duration::from_millis(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_enough_may_take_long() {
        // The client is twice as fast as it must be.
        let (written, took) = answer(10_000, 200, Duration::from_secs(1)).await;
        written.unwrap();
        assert!(took > 4 * LONGEST, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn time_between_answers_does_not_count() {
        let (service, mut client) = duplex(10);
        let mut service = ClientStream::new(service, PATIENCE);
        for _ in 0..5 {
            service.write_all(b"answer").await.unwrap();
            client.read_exact(&mut [0; 6]).await.unwrap();
            sleep(LONGEST).await;
        }
    }
}
