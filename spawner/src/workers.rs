//! The workers that were launched and are not gone yet, and the wait for a worker's end or a
//! request.
//!
//! A worker runs, leaves and is gone. While it leaves, its process has ended and is reaped, but its
//! sandboxes may take seconds more to end. When they have ended the worker is gone.

use crate::error::SpawnerError;
use crate::launch::Launched;
use crate::policy::LiveWorker;
use codejail_protocol::ScratchName;
use codejail_protocol::spawn::WorkerId;
use codejail_transport::PacketSocket;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

/// A worker that was launched and is not gone yet.
#[derive(Debug)]
pub struct WorkerRecord {
    /// Its process, seats and cgroup.
    pub launched: Launched,
    /// Its directory.
    pub dir: ScratchName,
    /// Its user.
    pub uid: Option<u32>,
    /// How its process has ended, once the worker leaves.
    pub leaving: Option<Leaving>,
}

/// A worker that has ended and is reaped.
#[derive(Debug, Clone, Copy)]
pub struct Leaving {
    /// Its exit status, or the negative number of the signal that ended it.
    pub status: i32,
    /// When it was reaped.
    pub since: Instant,
    /// Whether the operator was told that its end takes long.
    pub told: bool,
}

/// All workers; the policy bounds their number.
#[derive(Debug, Default)]
pub struct Workers(BTreeMap<WorkerId, WorkerRecord>);

/// The result of a wait.
#[derive(Debug)]
pub struct Ready {
    /// Whether the supervisor has sent something or is gone.
    pub request: bool,
    /// Workers that have ended.
    pub ended: Vec<WorkerId>,
}

impl Workers {
    /// Notes a worker. The policy makes sure that no other worker has its number.
    pub fn insert(&mut self, worker: WorkerId, record: WorkerRecord) {
        self.0.insert(worker, record);
    }

    /// Forgets a worker that is gone.
    pub fn remove(&mut self, worker: WorkerId) -> Option<WorkerRecord> {
        self.0.remove(&worker)
    }

    /// The worker of this number.
    pub fn get(&self, worker: WorkerId) -> Option<&WorkerRecord> {
        self.0.get(&worker)
    }

    /// All workers, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &WorkerRecord> {
        self.0.values()
    }

    /// The worker of this number, for changes.
    pub fn get_mut(&mut self, worker: WorkerId) -> Option<&mut WorkerRecord> {
        self.0.get_mut(&worker)
    }

    /// The numbers of the workers that run.
    pub fn running(&self) -> Vec<WorkerId> {
        let running = self.0.iter().filter(|(_, record)| record.leaving.is_none());
        running.map(|(worker, _)| *worker).collect()
    }

    /// The processes of the workers that run.
    pub fn running_processes(&self) -> Vec<Pid> {
        let running = self.iter().filter(|record| record.leaving.is_none());
        running.map(|record| record.launched.process.pid).collect()
    }

    /// Forgets all workers and returns their records.
    pub fn into_records(self) -> impl Iterator<Item = WorkerRecord> {
        self.0.into_values()
    }

    /// The workers that leave.
    pub fn leaving(&mut self) -> impl Iterator<Item = (WorkerId, &mut WorkerRecord)> {
        let leaving = self
            .0
            .iter_mut()
            .filter(|(_, record)| record.leaving.is_some());
        leaving.map(|(worker, record)| (*worker, record))
    }

    /// The workers as the policy sees them.
    pub fn live(&self) -> Vec<LiveWorker> {
        let workers = self.0.iter();
        workers
            .map(|(&worker, record)| LiveWorker {
                worker,
                uid: record.uid,
            })
            .collect()
    }

    /// Whether this process is a worker that runs.
    pub fn has_process(&self, pid: Pid) -> bool {
        // The pid of a worker that leaves may already belong to another process.
        self.running_processes().contains(&pid)
    }

    /// The seat of this name, whichever worker has it.
    pub fn seat(&self, name: &ScratchName) -> Option<Arc<OwnedFd>> {
        self.iter()
            .find_map(|record| record.launched.seats.as_ref()?.find(name))
    }

    /// Waits until a worker ends, something comes over `socket`, a signal arrives, or the time is
    /// over.
    ///
    /// # Errors
    /// poll(2) fails, for which there is no known reason.
    pub fn wait(&self, socket: &PacketSocket, timeout: PollTimeout) -> Result<Ready, SpawnerError> {
        let running = self.0.iter().filter(|(_, record)| record.leaving.is_none());
        let processes = running
            .clone()
            .map(|(_, record)| record.launched.process.pidfd.as_fd());
        let mut polled: Vec<PollFd<'_>> = [socket.as_fd()]
            .into_iter()
            .chain(processes)
            .map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN))
            .collect();
        match poll(&mut polled, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(SpawnerError::System("poll", errno)),
        }
        let mut ready = polled
            .iter()
            .map(|polled| polled.revents().is_some_and(|events| !events.is_empty()));
        Ok(Ready {
            request: ready.next() == Some(true),
            ended: running
                .zip(ready)
                .filter_map(|((worker, _), ended)| ended.then_some(*worker))
                .collect(),
        })
    }
}
