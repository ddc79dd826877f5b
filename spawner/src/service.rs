//! Serves the supervisor: one request or one worker's end at a time, each with its report.

use crate::clean::cleaner::Cleaner;
use crate::error::SpawnerError;
use crate::launch::Launcher;
use crate::policy::{LaunchRequest, Policy, Refusal};
use crate::reaping::{reap, reap_orphans, wait_for_orphans};
use crate::workers::{Ready, WorkerRecord, Workers};
use codejail_protocol::ScratchName;
use codejail_protocol::spawn::{SpawnerConfig, SpawnerReport, SpawnerRequest, WorkerId};
use codejail_transport::PacketSocket;
use nix::poll::PollTimeout;
use nix::unistd::geteuid;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// How often this process looks for orphans where no PID namespace ends them.
const ORPHANS_EVERY_MS: u16 = 1000;

/// The spawner once it is configured.
pub struct Service {
    socket: Arc<PacketSocket>,
    scratch_tag: ScratchName,
    policy: Policy,
    launcher: Launcher,
    cleaner: Cleaner,
    workers: Workers,
}

impl Service {
    /// One without a worker.
    pub fn new(
        socket: Arc<PacketSocket>,
        config: &SpawnerConfig,
        launcher: Launcher,
        cleaner: Cleaner,
    ) -> Self {
        Self {
            socket,
            scratch_tag: config.scratch_tag.clone(),
            policy: Policy::new(config, geteuid().is_root(), launcher.has_seats()),
            launcher,
            cleaner,
            workers: Workers::default(),
        }
    }

    /// Serves until the supervisor closes the socket.
    ///
    /// # Errors
    /// A broken conversation, or a system call that fails without reason.
    pub fn serve(&mut self) -> Result<(), SpawnerError> {
        self.socket.send(&self.launcher.configured(), &[])?;
        loop {
            let Ready { request, ended } = self.workers.wait(&self.socket, self.wait_max())?;
            reap_orphans(|pid| self.workers.has_process(pid))?;
            for worker in ended {
                self.report_end(worker)?;
            }
            if request && !self.answer()? {
                return Ok(());
            }
        }
    }

    /// Without PID namespaces this process has to reap the sandboxes of a lost worker, and no
    /// descriptor tells of their end.
    fn wait_max(&self) -> PollTimeout {
        if self.launcher.has_pid_namespaces() {
            PollTimeout::NONE
        } else {
            PollTimeout::from(ORPHANS_EVERY_MS)
        }
    }

    /// Does what the supervisor asks for; false once it has closed the socket.
    fn answer(&mut self) -> Result<bool, SpawnerError> {
        let Some(packet) = self.socket.receive_with_descriptors()? else {
            return Ok(false);
        };
        match packet.message {
            SpawnerRequest::Launch {
                worker,
                dir,
                uid,
                seats,
            } => {
                let request = LaunchRequest {
                    worker,
                    dir,
                    uid,
                    seats,
                };
                let report = self.launch(request, packet.descriptors);
                self.socket.send(&report, &[])?;
            }
            SpawnerRequest::Bound(bounds) => self.launcher.bound(bounds),
            SpawnerRequest::Kill { worker } => self.kill(worker)?,
            SpawnerRequest::Clean { dir } => self.clean(dir)?,
            SpawnerRequest::Configure(_) => {
                return Err(SpawnerError::Unexpected("Launch, Bound, Kill or Clean"));
            }
        }
        Ok(true)
    }

    fn launch(&mut self, request: LaunchRequest, descriptors: Vec<OwnedFd>) -> SpawnerReport {
        let (worker, dir, uid) = (request.worker, request.dir.clone(), request.uid);
        let checked = self.policy.check_launch(&request, &self.workers.live());
        let descriptors = descriptors.try_into();
        let descriptors = descriptors.map_err(|_| Refusal::NumberOfDescriptors);
        let descriptors = match checked.and(descriptors) {
            Ok(descriptors) => descriptors,
            Err(refusal) => {
                // Nothing was made, so nothing of this name is for this process to remove.
                let error = refusal.to_string();
                return SpawnerReport::LaunchFailed { worker, error };
            }
        };
        match self.launcher.launch(request, descriptors) {
            Ok(launched) => {
                let pid = launched.process.pid.as_raw();
                let record = WorkerRecord { launched, dir, uid };
                self.workers.insert(worker, record);
                SpawnerReport::Launched { worker, pid }
            }
            Err(error) => {
                // A directory that was there before is not ours to remove.
                if !error.is_existing_directory() {
                    self.remove_directory(dir);
                }
                let error = error.to_string();
                SpawnerReport::LaunchFailed { worker, error }
            }
        }
    }

    /// A worker that has ended already is no fault: its end and the request may cross.
    fn kill(&self, worker: WorkerId) -> Result<(), SpawnerError> {
        match self.workers.get(worker) {
            Some(record) => record
                .launched
                .kill()
                .map_err(|errno| SpawnerError::System("pidfd_send_signal", errno)),
            None => Ok(()),
        }
    }

    /// Makes a seat or a directory free again. The cleaner reports an empty seat, this function all
    /// else.
    fn clean(&self, dir: ScratchName) -> Result<(), SpawnerError> {
        if let Some(seat) = self.workers.seat(&dir) {
            self.cleaner.empty(dir, seat);
            return Ok(());
        }
        let error = match self.policy.check_name(&dir) {
            Ok(()) => {
                let cleaned = self.cleaner.clean(dir.clone());
                cleaned.err().map(|errno| errno.to_string())
            }
            Err(refusal) => Some(refusal.to_string()),
        };
        let report = SpawnerReport::Cleaned { dir, error };
        Ok(self.socket.send(&report, &[])?)
    }

    fn report_end(&mut self, worker: WorkerId) -> Result<(), SpawnerError> {
        let Some(record) = self.workers.remove(worker) else {
            return Ok(());
        };
        let status = reap(record.launched.process.pid)?;
        self.release(record);
        let report = SpawnerReport::Ended { worker, status };
        Ok(self.socket.send(&report, &[])?)
    }

    /// Gives back what a reaped worker had. Its file systems go with the record, which has their
    /// last descriptors.
    fn release(&self, record: WorkerRecord) {
        if let Some(cgroup) = &record.launched.cgroup {
            // What the worker left ends with it, however the worker ended.
            cgroup.kill();
            cgroup.remove();
        }
        if record.launched.seats.is_none() {
            self.remove_directory(record.dir);
        }
    }

    /// Removes a worker's directory; nobody waits for that.
    fn remove_directory(&self, dir: ScratchName) {
        if let Err(errno) = self.cleaner.clean(dir.clone()) {
            eprintln!("spawner: {dir} stays: {errno}");
        }
    }

    /// The supervisor is gone: no process and no directory of its service stays.
    pub fn end(mut self) {
        for record in self.workers.iter() {
            if let Err(errno) = record.launched.kill() {
                let pid = record.launched.process.pid;
                eprintln!("spawner: killing worker {pid}: {errno}");
            }
        }
        for record in std::mem::take(&mut self.workers).into_records() {
            if let Err(error) = reap(record.launched.process.pid) {
                eprintln!("{error}");
            }
            self.release(record);
        }
        wait_for_orphans();
        self.cleaner.finish(&self.scratch_tag);
        self.launcher.end();
    }
}
