//! Serves the supervisor: one request or one worker's end at a time, each with its report. The loop
//! never waits for a removal or for processes that take long to end.

use crate::clean::cleaner::Cleaner;
use crate::clean::leftovers;
use crate::error::SpawnerError;
use crate::host::capabilities;
use crate::launch::Launcher;
use crate::policy::{LaunchRequest, Policy, Refusal};
use crate::reaping::{ORPHANS_END_MAX, has_orphan, reap, reap_orphans, wait_for_orphans};
use crate::say;
use crate::workers::{Leaving, Ready, WorkerRecord, Workers};
use codejail_protocol::ScratchName;
use codejail_protocol::spawn::{SpawnerConfig, SpawnerReport, SpawnerRequest, WorkerId};
use codejail_transport::PacketSocket;
use nix::poll::PollTimeout;
use nix::unistd::geteuid;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often this process looks for orphans where no PID namespace ends them.
const ORPHANS_EVERY_MS: u16 = 1000;

/// How often this process looks whether the sandboxes of an ended worker are gone. They are nearly
/// always gone at the first look.
const LEAVING_EVERY_MS: u16 = 20;

/// The configured spawner.
pub struct Service {
    socket: Arc<PacketSocket>,
    scratch_tag: ScratchName,
    uids_per_worker: u32,
    policy: Policy,
    launcher: Launcher,
    cleaner: Cleaner,
    workers: Workers,
}

impl Service {
    /// A service without workers.
    pub fn new(
        socket: Arc<PacketSocket>,
        config: &SpawnerConfig,
        launcher: Launcher,
        cleaner: Cleaner,
    ) -> Self {
        Self {
            socket,
            scratch_tag: config.scratch_tag.clone(),
            uids_per_worker: config.uids_per_worker,
            policy: Policy::new(config, geteuid().is_root(), launcher.has_seats()),
            launcher,
            cleaner,
            workers: Workers::default(),
        }
    }

    /// Serves until the supervisor closes the socket.
    ///
    /// # Errors
    /// A broken conversation, or a system call that fails without a known reason.
    pub fn serve(&mut self) -> Result<(), SpawnerError> {
        self.socket.send(&self.launcher.configured(), &[])?;
        leftovers::remove_in_background(
            self.cleaner.root(),
            self.launcher.cgroup_base(),
            self.scratch_tag.clone(),
        );
        loop {
            let Ready { request, ended } = self.workers.wait(&self.socket, self.wait_max())?;
            reap_orphans(|pid| self.workers.has_process(pid))?;
            for worker in ended {
                self.note_end(worker)?;
            }
            for worker in self.gone() {
                self.report_end(worker)?;
            }
            if request && !self.answer()? {
                return Ok(());
            }
        }
    }

    /// The longest wait. Without PID namespaces this process has to reap the sandboxes of a lost
    /// worker, and no descriptor tells when they end.
    fn wait_max(&self) -> PollTimeout {
        if self.workers.iter().any(|record| record.leaving.is_some()) {
            PollTimeout::from(LEAVING_EVERY_MS)
        } else if self.launcher.has_pid_namespaces() {
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
            SpawnerRequest::Ping => self.socket.send(&SpawnerReport::Pong, &[])?,
            SpawnerRequest::Configure(_) => {
                return Err(SpawnerError::Unexpected(
                    "Launch, Bound, Kill, Clean or Ping",
                ));
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
                // Nothing was made, so there is nothing to remove.
                let error = refusal.to_string();
                return SpawnerReport::LaunchFailed { worker, error };
            }
        };
        match self.launcher.launch(request, descriptors) {
            Ok(launched) => {
                let pid = launched.process.pid.as_raw();
                let record = WorkerRecord {
                    launched,
                    dir,
                    uid,
                    leaving: None,
                };
                self.workers.insert(worker, record);
                SpawnerReport::Launched { worker, pid }
            }
            Err(error) => {
                // Do not remove a directory that was there before: it is somebody else's.
                if !error.is_existing_directory() {
                    self.cleaner.clean_unasked(dir);
                }
                let error = capabilities::told(&error, error.errno());
                SpawnerReport::LaunchFailed { worker, error }
            }
        }
    }

    /// Kills a worker. The worker may have ended already, since its end and the request can cross;
    /// that is no error.
    fn kill(&self, worker: WorkerId) -> Result<(), SpawnerError> {
        match self.workers.get(worker) {
            Some(record) => record
                .launched
                .kill()
                .map_err(|errno| SpawnerError::System("pidfd_send_signal", errno)),
            None => Ok(()),
        }
    }

    /// Makes a seat or a directory free again. The cleaner reports that.
    fn clean(&self, dir: ScratchName) -> Result<(), SpawnerError> {
        if let Some(seat) = self.workers.seat(&dir) {
            return Ok(self.cleaner.empty(dir, seat)?);
        }
        match self.policy.check_name(&dir) {
            Ok(()) => Ok(self.cleaner.clean(dir)?),
            Err(refusal) => {
                let error = Some(refusal.to_string());
                let bytes = None;
                let report = SpawnerReport::Cleaned { dir, error, bytes };
                Ok(self.socket.send(&report, &[])?)
            }
        }
    }

    /// Reaps a worker that has ended, and kills the processes that it has left.
    fn note_end(&mut self, worker: WorkerId) -> Result<(), SpawnerError> {
        let Some(record) = self.workers.get_mut(worker) else {
            return Ok(());
        };
        let status = reap(record.launched.process.pid)?;
        record.leaving = Some(Leaving {
            status,
            since: Instant::now(),
            told: false,
        });
        if let Some(cgroup) = &record.launched.cgroup {
            // Kill all processes that the worker left, however the worker ended.
            cgroup.kill();
        }
        Ok(())
    }

    /// Workers that have ended and whose sandboxes have all ended too. Their uids are free.
    fn gone(&mut self) -> Vec<WorkerId> {
        let orphaned = !self.launcher.has_pid_namespaces();
        let uids_per_worker = self.uids_per_worker;
        let running = self.workers.running_processes();
        let mut gone = Vec::new();
        for (worker, record) in self.workers.leaving() {
            let uids = record
                .uid
                .map(|uid| uid..uid.saturating_add(uids_per_worker));
            let stays = match &record.launched.cgroup {
                Some(cgroup) => !cgroup.is_empty(),
                None => orphaned && has_orphan(uids.as_ref(), |pid| running.contains(&pid)),
            };
            if !stays {
                gone.push(worker);
            } else if let Some(leaving) = &mut record.leaving
                && !leaving.told
                && leaving.since.elapsed() > ORPHANS_END_MAX
            {
                leaving.told = true;
                let text = format!("worker {} has ended, and its processes have not", worker.0);
                say::warn("orphans_stay", text);
            }
        }
        gone
    }

    fn report_end(&mut self, worker: WorkerId) -> Result<(), SpawnerError> {
        let Some(record) = self.workers.remove(worker) else {
            return Ok(());
        };
        let Some(Leaving { status, .. }) = record.leaving else {
            return Ok(());
        };
        self.release(record);
        let report = SpawnerReport::Ended { worker, status };
        Ok(self.socket.send(&report, &[])?)
    }

    /// Frees what a worker had that is gone. The record holds the last descriptors of its file
    /// systems, so they end when the record is dropped.
    fn release(&self, record: WorkerRecord) {
        if let Some(cgroup) = &record.launched.cgroup {
            cgroup.remove();
        }
        if record.launched.seats.is_none() {
            self.cleaner.clean_unasked(record.dir);
        }
    }

    /// The supervisor is gone: ends every process and removes every directory of the service.
    pub fn end(mut self) {
        for record in self.workers.iter() {
            if let Err(errno) = record.launched.kill() {
                let pid = record.launched.process.pid;
                say::error("kill_failed", format!("killing worker {pid}: {errno}"));
            }
        }
        for worker in self.workers.running() {
            if let Err(error) = self.note_end(worker) {
                say::error("reap_failed", error);
                self.workers.remove(worker);
            }
        }
        let deadline = Instant::now() + ORPHANS_END_MAX;
        loop {
            for worker in self.gone() {
                let record = self.workers.remove(worker);
                record.into_iter().for_each(|record| self.release(record));
            }
            if self.workers.iter().next().is_none() || Instant::now() >= deadline {
                break;
            }
            // No descriptor tells when these processes end.
            let _ = reap_orphans(|_| false);
            std::thread::sleep(Duration::from_millis(LEAVING_EVERY_MS.into()));
        }
        for record in std::mem::take(&mut self.workers).into_records() {
            self.release(record);
        }
        wait_for_orphans();
        self.cleaner.finish(&self.scratch_tag);
        self.launcher.end();
    }
}
