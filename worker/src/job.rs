//! Reads one job from standard input: the header, then the blobs that the header announces, to the
//! end of the pipe. It does not look at their content.

use crate::layers::{LayerError, descriptors};
use crate::sandbox::Sandbox;
use codejail_protocol::frame::{self, PREFIX_BYTES};
use codejail_protocol::job::JobHeader;
use nix::errno::Errno;
use nix::unistd::read;

/// A job as it came in.
pub struct ReceivedJob {
    /// Which blobs follow, and the limits.
    pub header: JobHeader,
    /// The JSON text of the code.
    pub code: Vec<u8>,
    /// The JSON text of the input globals.
    pub globals: Vec<u8>,
    /// `python_lib.zip`, where one was sent.
    pub python_lib: Option<Vec<u8>>,
    /// The library's bytecode, where the service has it.
    pub bytecode: Option<Vec<u8>>,
}

/// Why a job could not be read.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The pipe failed.
    #[error("job pipe: {0}")]
    Read(#[from] Errno),
    /// The bytes are not a header.
    #[error("job pipe: {0}")]
    Frame(#[from] frame::FrameError),
    /// The header and the bytes after it don't agree, or exceed their bound.
    #[error("job pipe: it ended inside a job, or went on after one")]
    Length,
    /// The kernel would not start the timer of the job's wall-clock limit.
    #[error("the job's clock: {0}")]
    Clock(LayerError),
}

/// Reads the job. The clock starts as soon as the job's limits are known. If the clock can't start,
/// the job is not read.
pub fn read_job(sandbox: &mut Sandbox) -> Result<ReceivedJob, JobError> {
    let mut prefix = [0; PREFIX_BYTES];
    read_exactly(&mut prefix)?;
    let mut body = vec![0; frame::body_length(prefix)?];
    read_exactly(&mut body)?;
    let header: JobHeader = frame::decode(&body)?;
    header.blobs_bytes().ok_or(JobError::Length)?;
    sandbox
        .start_clock(&header.limits)
        .map_err(JobError::Clock)?;
    let job = ReceivedJob {
        header,
        code: read_blob(header.code_bytes)?,
        globals: read_blob(header.globals_bytes)?,
        python_lib: header.python_lib_bytes.map(read_blob).transpose()?,
        bytecode: header.bytecode_bytes.map(read_blob).transpose()?,
    };
    // Reads the end of the pipe: the code must find its standard input at end of file, as it does
    // after the original's `json.load`.
    match read(descriptors::job_input(), &mut [0])? {
        0 => Ok(job),
        _ => Err(JobError::Length),
    }
}

fn read_blob(length: u64) -> Result<Vec<u8>, JobError> {
    let mut blob = vec![0; usize::try_from(length).map_err(|_| JobError::Length)?];
    read_exactly(&mut blob)?;
    Ok(blob)
}

fn read_exactly(mut buffer: &mut [u8]) -> Result<(), JobError> {
    while !buffer.is_empty() {
        match read(descriptors::job_input(), buffer)? {
            0 => return Err(JobError::Length),
            count => buffer = &mut buffer[count..],
        }
    }
    Ok(())
}
