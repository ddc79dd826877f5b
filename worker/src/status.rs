//! The sandbox's end of its status pipe.

use crate::report::cut;
use codejail_protocol::frame;
use codejail_protocol::job::SandboxReport;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

/// The pipe. The author's code can reach it too. So what the supervisor reads from it is only a
/// claim, and the supervisor treats it as one.
#[derive(Debug)]
pub struct Status(File);

impl Status {
    /// Takes the descriptor that `descriptors::place` has put in place.
    pub fn new(pipe: OwnedFd) -> Self {
        Self(pipe.into())
    }

    /// Sends one report. If it does not fit into a frame, it goes with shorter texts. If the
    /// supervisor is gone, or the code has closed the pipe, nobody can be told. The process ends
    /// all the same, and its exit says enough.
    pub fn report(&mut self, report: &SandboxReport) {
        let frame = frame::encode(report).or_else(|_| frame::encode(&shortened(report)));
        if let Ok(frame) = frame {
            let _ = self.0.write_all(&frame);
        }
    }
}

fn shortened(report: &SandboxReport) -> SandboxReport {
    match report.clone() {
        SandboxReport::PrepareFailed { error } => {
            SandboxReport::PrepareFailed { error: cut(&error) }
        }
        SandboxReport::Unloadable { message } => SandboxReport::Unloadable {
            message: cut(&message),
        },
        SandboxReport::Finished { status, .. } => SandboxReport::Finished {
            status,
            cold_imports: Vec::new(),
        },
        fits => fits,
    }
}
