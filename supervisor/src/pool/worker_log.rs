//! What a worker prints while it warms up, into the service's log.

use codejail_protocol::spawn::WorkerId;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::pipe;

/// Lines that a worker may print before the rest is dropped.
const LOG_LINES_MAX: usize = 200;
/// Longest such line.
const LOG_LINE_BYTES_MAX: u64 = 4096;

/// Logs what a worker prints while it warms up, within bounds. Nothing prints there later.
pub async fn log_lines(worker: WorkerId, pipe: pipe::Receiver) {
    let mut reader = BufReader::new(pipe);
    for _ in 0..LOG_LINES_MAX {
        let mut line = Vec::new();
        match (&mut reader)
            .take(LOG_LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
            .await
        {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let line = String::from_utf8_lossy(&line);
                tracing::info!(
                    event = "worker_spoke",
                    worker = worker.0,
                    line = line.trim_end(),
                    "worker says"
                );
            }
        }
    }
    // The rest is read and dropped: otherwise the worker would block on a full pipe.
    let _ = tokio::io::copy(&mut reader, &mut tokio::io::sink()).await;
}
