//! What the spawner refuses, even if the supervisor is hostile: pure functions over plain data.
//!
//! A supervisor under an attacker's control can ask for anything. The spawner refuses a worker that
//! is root, a uid outside of the configured range, a uid that another worker has, and a directory
//! of another service.

use codejail_protocol::ScratchName;
use codejail_protocol::spawn::{SpawnerConfig, WorkerId};
use std::ops::Range;

/// Most workers that live at once: four times what a configuration may ask for (256). Each worker
/// may have a successor that warms up beside it while earlier workers still end.
pub const LIVE_WORKERS_MAX: usize = 1024;

/// Why a request is refused; the supervisor gets this text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The spawner is root, and the worker would be too.
    #[error("refused: a worker as root")]
    Root,
    /// The configured range does not hold this uid.
    #[error("refused: a uid outside the configured range")]
    ForeignUid,
    /// The uid is one of a worker's sandboxes.
    #[error("refused: a uid that is not the first of a worker's")]
    SandboxUid,
    /// Two workers could reach each other's processes and files.
    #[error("refused: a uid that another worker has")]
    UidInUse,
    /// The second worker would take the first one's place in the spawner's table: nobody would kill
    /// the first, and its uid would count as free.
    #[error("refused: the number of a worker that runs")]
    NumberInUse,
    /// There are [`LIVE_WORKERS_MAX`] workers already.
    #[error("refused: more than {LIVE_WORKERS_MAX} workers")]
    TooManyWorkers,
    /// A worker must have fewer seats than uids, and at least one seat where sandboxes have seats.
    #[error("refused: a number of seats that no worker has")]
    NumberOfSeats,
    /// Other services may have directories below the same root.
    #[error("refused: a name without this service's tag")]
    ForeignName,
    /// A worker gets exactly two descriptors: its control socket and the pipe for its log.
    #[error("refused: other than two descriptors")]
    NumberOfDescriptors,
}

/// A worker that the supervisor asks for.
#[derive(Debug, Clone)]
pub struct LaunchRequest {
    /// Its number.
    pub worker: WorkerId,
    /// Its directory.
    pub dir: ScratchName,
    /// Its user; none where the spawner is not root.
    pub uid: Option<u32>,
    /// Its sandboxes' directories, where they have file systems of their own.
    pub seats: Vec<ScratchName>,
}

/// What the spawner knows of a worker that is not reaped yet.
#[derive(Debug, Clone, Copy)]
pub struct LiveWorker {
    /// Its number.
    pub worker: WorkerId,
    /// Its user.
    pub uid: Option<u32>,
}

/// The facts on which the decisions depend. They do not change while the service runs.
#[derive(Debug)]
pub struct Policy {
    tag: ScratchName,
    uids: Range<u32>,
    uids_per_worker: u32,
    is_root: bool,
    has_seats: bool,
}

impl Policy {
    /// `is_root`: whether the spawner is; `has_seats`: whether sandboxes have seats on this host.
    pub fn new(config: &SpawnerConfig, is_root: bool, has_seats: bool) -> Self {
        Self {
            tag: config.scratch_tag.clone(),
            uids: config.uid_base..config.uid_base.saturating_add(config.uid_count),
            uids_per_worker: config.uids_per_worker,
            is_root,
            has_seats,
        }
    }

    /// Whether this worker may be launched beside those that live.
    ///
    /// # Errors
    /// The first rule that the request breaks.
    pub fn check_launch(
        &self,
        request: &LaunchRequest,
        live: &[LiveWorker],
    ) -> Result<(), Refusal> {
        self.check_uid(request.uid, live)?;
        if live.iter().any(|other| other.worker == request.worker) {
            return Err(Refusal::NumberInUse);
        }
        if live.len() >= LIVE_WORKERS_MAX {
            return Err(Refusal::TooManyWorkers);
        }
        let seats = &request.seats;
        let too_many = seats.len() >= self.uids_per_worker as usize;
        if too_many || (seats.is_empty() && self.has_seats) {
            return Err(Refusal::NumberOfSeats);
        }
        let mut names = seats.iter().chain([&request.dir]);
        names.try_for_each(|name| self.check_name(name))
    }

    /// If the service is root, each worker gets a part of the range. The first uid of the part is
    /// the worker's, the others are its sandboxes'.
    fn check_uid(&self, uid: Option<u32>, live: &[LiveWorker]) -> Result<(), Refusal> {
        let Some(uid) = uid else {
            return match self.is_root {
                true => Err(Refusal::Root),
                false => Ok(()),
            };
        };
        if !self.uids.contains(&uid) {
            return Err(Refusal::ForeignUid);
        }
        let part = self.uids_per_worker;
        let is_first = part != 0 && (uid - self.uids.start).is_multiple_of(part);
        if !is_first || self.uids.end - uid < part {
            return Err(Refusal::SandboxUid);
        }
        if live.iter().any(|other| other.uid == Some(uid)) {
            return Err(Refusal::UidInUse);
        }
        Ok(())
    }

    /// Checks that a directory of this name is this service's.
    ///
    /// # Errors
    /// It is not.
    pub fn check_name(&self, name: &ScratchName) -> Result<(), Refusal> {
        match name.same_tag(&self.tag) {
            true => Ok(()),
            false => Err(Refusal::ForeignName),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u32 = 100_000;

    fn name(tag: u8, number: u8) -> ScratchName {
        ScratchName::from_random([tag, tag, tag, tag, 0, 0, 0, number])
    }

    /// The policy of a spawner that is root, with three workers of ten uids each.
    fn policy() -> Policy {
        Policy {
            tag: name(1, 0),
            uids: BASE..BASE + 30,
            uids_per_worker: 10,
            is_root: true,
            has_seats: true,
        }
    }

    fn request(worker: u64, uid: Option<u32>) -> LaunchRequest {
        LaunchRequest {
            worker: WorkerId(worker),
            dir: name(1, 1),
            uid,
            seats: vec![name(1, 2)],
        }
    }

    fn live(worker: u64, uid: Option<u32>) -> LiveWorker {
        let worker = WorkerId(worker);
        LiveWorker { worker, uid }
    }

    #[test]
    fn the_first_uid_of_each_part_is_a_workers() {
        let others = [live(1, Some(BASE + 20))];
        for uid in [BASE, BASE + 10] {
            let request = request(2, Some(uid));
            assert_eq!(policy().check_launch(&request, &others), Ok(()), "{uid}");
        }
    }

    #[test]
    fn no_worker_is_root() {
        let check = |uid| policy().check_launch(&request(1, uid), &[]);
        assert_eq!(check(None), Err(Refusal::Root));
        assert_eq!(check(Some(0)), Err(Refusal::ForeignUid));
    }

    #[test]
    fn a_spawner_that_is_not_root_gives_no_worker_a_user() {
        let policy = Policy {
            is_root: false,
            ..policy()
        };
        let others = [live(1, None)];
        assert_eq!(policy.check_launch(&request(2, None), &others), Ok(()));
    }

    #[test]
    fn no_worker_has_a_uid_outside_the_range() {
        for uid in [BASE - 1, BASE + 30, u32::MAX] {
            let refused = policy().check_launch(&request(1, Some(uid)), &[]);
            assert_eq!(refused, Err(Refusal::ForeignUid), "{uid}");
        }
    }

    #[test]
    fn no_worker_has_a_sandboxs_uid() {
        for uid in [BASE + 1, BASE + 9, BASE + 29] {
            let refused = policy().check_launch(&request(1, Some(uid)), &[]);
            assert_eq!(refused, Err(Refusal::SandboxUid), "{uid}");
        }
    }

    #[test]
    fn the_last_part_of_the_range_must_be_whole() {
        let policy = Policy {
            uids: BASE..BASE + 29,
            ..policy()
        };
        let refused = policy.check_launch(&request(1, Some(BASE + 20)), &[]);
        assert_eq!(refused, Err(Refusal::SandboxUid));
    }

    #[test]
    fn a_configuration_without_uids_for_workers_lets_none_start() {
        let policy = Policy {
            uids_per_worker: 0,
            ..policy()
        };
        let refused = policy.check_launch(&request(1, Some(BASE)), &[]);
        assert_eq!(refused, Err(Refusal::SandboxUid));
    }

    #[test]
    fn no_two_workers_share_a_uid_or_a_number() {
        let others = [live(1, Some(BASE))];
        let check = |worker, uid| policy().check_launch(&request(worker, Some(uid)), &others);
        assert_eq!(check(2, BASE), Err(Refusal::UidInUse));
        assert_eq!(check(1, BASE + 10), Err(Refusal::NumberInUse));
    }

    #[test]
    fn the_number_of_workers_is_bounded() {
        let mut others: Vec<_> = (1..LIVE_WORKERS_MAX as u64)
            .map(|w| live(w, None))
            .collect();
        let request = request(0, Some(BASE));
        assert_eq!(policy().check_launch(&request, &others), Ok(()));
        others.push(live(LIVE_WORKERS_MAX as u64, None));
        let refused = policy().check_launch(&request, &others);
        assert_eq!(refused, Err(Refusal::TooManyWorkers));
        let text = Refusal::TooManyWorkers.to_string();
        assert_eq!(text, "refused: more than 1024 workers");
    }

    #[test]
    fn a_worker_has_fewer_seats_than_uids_and_at_least_one() {
        for (count, allowed) in [(0, false), (1, true), (9, true), (10, false)] {
            let mut request = request(1, Some(BASE));
            request.seats = (0..count).map(|number| name(1, number)).collect();
            let checked = policy().check_launch(&request, &[]);
            let expected = if allowed {
                Ok(())
            } else {
                Err(Refusal::NumberOfSeats)
            };
            assert_eq!(checked, expected, "{count}");
        }
        let policy = Policy {
            has_seats: false,
            ..policy()
        };
        let mut request = request(1, Some(BASE));
        request.seats.clear();
        assert_eq!(policy.check_launch(&request, &[]), Ok(()));
    }

    #[test]
    fn every_name_is_this_services() {
        let mut foreign_home = request(1, Some(BASE));
        foreign_home.dir = name(2, 1);
        let mut foreign_seat = request(1, Some(BASE));
        foreign_seat.seats.push(name(2, 3));
        for request in [foreign_home, foreign_seat] {
            let refused = policy().check_launch(&request, &[]);
            assert_eq!(refused, Err(Refusal::ForeignName));
        }
        assert_eq!(policy().check_name(&name(1, 36)), Ok(()));
        assert_eq!(policy().check_name(&name(2, 0)), Err(Refusal::ForeignName));
    }
}
