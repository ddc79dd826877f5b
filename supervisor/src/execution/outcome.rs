//! How a run ended, and its output.

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The run ended: its exit status (negative for a signal) and its output.
    Ended {
        /// 0 to 255, or minus the signal's number.
        status: i32,
        /// Standard output.
        stdout: Captured,
        /// Standard error.
        stderr: Captured,
        /// Libraries that the run had to import cold, as it reported.
        cold_imports: Vec<String>,
    },
    /// Python's `json` refused code or globals, and says why.
    Unloadable(String),
    /// Our fault, before the job's limits were set: the job may go to another sandbox. The text is
    /// for the log.
    Unprepared(String),
    /// Our fault, after the job's limits were set: nothing is known of the run's end. The text is
    /// for the log.
    Lost(String),
}

impl Outcome {
    /// How many bytes of the run's output are kept.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Ended { stdout, stderr, .. } => stdout.bytes.len() + stderr.bytes.len(),
            _ => 0,
        }
    }
}

/// The content of an output stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// The beginning of the stream.
    pub bytes: Vec<u8>,
    /// Whether the stream had more bytes than these.
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
