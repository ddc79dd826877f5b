//! A job, and how it is written to a sandbox's standard input.

use codejail_protocol::frame;
use codejail_protocol::job::{JobHeader, Limits};
use std::io::{self, IoSlice};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;

/// A job, still in the request's memory.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// JSON text of the code.
    pub code: &'a str,
    /// JSON text of the input globals.
    pub globals: &'a str,
    /// The library, if the request has one.
    pub python_lib: Option<&'a [u8]>,
    /// The library's bytecode, if the service has it.
    pub bytecode: Option<&'a [u8]>,
    /// Whether the library goes on `sys.path`.
    pub python_path: bool,
    /// The limits of its run.
    pub limits: Limits,
}

/// The header and the blobs, in as few system calls as the pipe allows.
pub async fn send(pipe: &mut pipe::Sender, job: &Job<'_>) -> io::Result<()> {
    let header = JobHeader {
        code_bytes: job.code.len() as u64,
        globals_bytes: job.globals.len() as u64,
        python_lib_bytes: job.python_lib.map(|bytes| bytes.len() as u64),
        bytecode_bytes: job.bytecode.map(|bytes| bytes.len() as u64),
        python_path: job.python_path,
        limits: job.limits,
    };
    let header = frame::encode(&header).map_err(io::Error::other)?;
    let mut parts = [
        IoSlice::new(&header),
        IoSlice::new(job.code.as_bytes()),
        IoSlice::new(job.globals.as_bytes()),
        IoSlice::new(job.python_lib.unwrap_or_default()),
        IoSlice::new(job.bytecode.unwrap_or_default()),
    ];
    let mut remainder = &mut parts[..];
    while remainder.iter().any(|part| !part.is_empty()) {
        let written = pipe.write_vectored(remainder).await?;
        IoSlice::advance_slices(&mut remainder, written);
    }
    Ok(())
}
