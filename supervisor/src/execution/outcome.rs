//! How a run ended, and what it wrote.

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ended: its exit status (negative for a signal) and what it wrote.
    Ended {
        /// 0 to 255, or minus the signal's number.
        status: i32,
        /// Standard output.
        stdout: Captured,
        /// Standard error.
        stderr: Captured,
        /// Libraries that it says it had to import cold.
        cold_imports: Vec<String>,
    },
    /// Python's `json` refused code or globals, and says why.
    Unloadable(String),
    /// Our fault, before the job's limits were set: another sandbox may do better. For the log.
    Unprepared(String),
    /// Our fault, after the job's limits were set: nothing is known of its end. For the log.
    Lost(String),
}

impl Outcome {
    /// Bytes that the run wrote and that are kept.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Ended { stdout, stderr, .. } => stdout.bytes.len() + stderr.bytes.len(),
            _ => 0,
        }
    }
}

/// What a stream carried.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// Its beginning.
    pub bytes: Vec<u8>,
    /// Whether there was more.
    pub cut: bool,
}

impl Captured {
    /// Adds a chunk, as far as `bytes_max` leaves room.
    pub fn keep(&mut self, chunk: &[u8], bytes_max: usize) {
        let room = bytes_max.saturating_sub(self.bytes.len());
        let kept = chunk.len().min(room);
        self.bytes.extend_from_slice(&chunk[..kept]);
        self.cut |= kept < chunk.len();
    }
}
