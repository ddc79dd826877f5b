//! The sandboxes of one worker that exist, and what each holds: a uid, a directory, somebody's
//! interest in its end.

use super::ready::Remains;
use super::shared::{Seat, Shared};
use crate::spawner_link::Cleaned;
use codejail_protocol::ScratchName;
use codejail_protocol::control::{Exited, SandboxId};
use codejail_protocol::job::Usage;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// How long a sandbox that said it is done may stay before it is killed. What it does meanwhile is
/// not its author's run any more, whoever said it.
const LEAVE_MAX: Duration = Duration::from_millis(20);
/// How long a sandbox that was killed may take to be gone. Taking down gigabytes takes some
/// seconds; beyond this the whole worker is taken for hung.
pub const EXIT_MAX: Duration = Duration::from_secs(10);

/// Where a sandbox is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Ordered, and not locked down yet.
    Preparing,
    /// On the shelf.
    Ready,
    /// Taken.
    Running,
    /// Done, it says; its exit must follow at once.
    Leaving,
    /// Killed; its exit must follow.
    Ending,
}

impl State {
    /// Whether it can answer nobody any more.
    fn is_over(self) -> bool {
        matches!(self, Self::Leaving | Self::Ending)
    }
}

/// One sandbox.
#[derive(Debug)]
pub struct Live {
    dir: ScratchName,
    seat: Seat,
    /// Where it is in its life.
    pub state: State,
    /// Takes word of its end to whoever runs it.
    pub exit: oneshot::Sender<Exited>,
    /// The same of what was left when all of it is gone.
    remains: oneshot::Sender<Remains>,
    /// Whether it is in nobody's place who executes: the service took it for itself.
    beside_clients: bool,
    overdue: Option<Instant>,
}

/// All of one worker. A seat is free again when its directory is gone or empty, and not before.
#[derive(Debug)]
pub struct LiveSandboxes {
    shared: Arc<Shared>,
    /// Given back when the worker is gone.
    names: Vec<ScratchName>,
    sandboxes: BTreeMap<SandboxId, Live>,
    next: u64,
    /// The one that has been free for longest first.
    free_seats: VecDeque<Seat>,
    cleaned: mpsc::UnboundedReceiver<Option<Seat>>,
    clean: mpsc::UnboundedSender<Option<Seat>>,
    cleaning: usize,
}

impl LiveSandboxes {
    /// None yet; as many can be as there are seats.
    /// `home` is their worker's own directory.
    pub fn new(shared: Arc<Shared>, home: ScratchName, seats: Vec<Seat>) -> Self {
        let (clean, cleaned) = mpsc::unbounded_channel();
        let mut live = Self {
            names: vec![home],
            shared,
            sandboxes: BTreeMap::new(),
            next: 0,
            free_seats: seats.into(),
            cleaned,
            clean,
            cleaning: 0,
        };
        live.names.extend(live.seat_names());
        live
    }

    /// Whether one more should be ordered: until there is a spare beside each that may run for a
    /// client, and as long as those on their way out leave room.
    pub fn wants_more(&self) -> bool {
        let useful = self.sandboxes.values();
        let useful = useful.filter(|live| !live.state.is_over() && !live.beside_clients);
        useful.count() < self.shared.current.get().sandboxes_ready() && !self.free_seats.is_empty()
    }

    /// Adds one that is about to be ordered: its number, its directory, its uid. None if no seat is
    /// free.
    pub fn add(
        &mut self,
        exit: oneshot::Sender<Exited>,
        remains: oneshot::Sender<Remains>,
    ) -> io::Result<Option<(SandboxId, ScratchName, Option<u32>)>> {
        let Some(seat) = self.free_seats.pop_front() else {
            return Ok(None);
        };
        let dir = match &seat.dir {
            Some(dir) => dir.clone(),
            None => self.shared.scratch_name()?,
        };
        let sandbox = SandboxId(self.next);
        self.next += 1;
        let (name, uid) = (dir.clone(), seat.uid);
        let live = Live {
            dir,
            seat,
            state: State::Preparing,
            exit,
            remains,
            beside_clients: false,
            overdue: None,
        };
        self.sandboxes.insert(sandbox, live);
        Ok(Some((sandbox, name, uid)))
    }

    /// Where one is in its life, if it still is.
    pub fn state(&self, sandbox: SandboxId) -> Option<State> {
        self.sandboxes.get(&sandbox).map(|live| live.state)
    }

    /// Moves one on. One that is ending stays so, and must be gone soon.
    pub fn set_state(&mut self, sandbox: SandboxId, state: State) {
        let Some(live) = self.sandboxes.get_mut(&sandbox) else {
            return;
        };
        if live.state != State::Ending {
            live.state = state;
            live.overdue = match state {
                State::Leaving => Some(Instant::now() + LEAVE_MAX),
                State::Ending => Some(Instant::now() + EXIT_MAX),
                State::Preparing | State::Ready | State::Running => None,
            };
        }
    }

    /// One was taken for the service itself; the spare that a client would miss is made anew.
    pub fn set_beside_clients(&mut self, sandbox: SandboxId) {
        if let Some(live) = self.sandboxes.get_mut(&sandbox) {
            live.beside_clients = true;
        }
    }

    /// The first that should be gone by now.
    pub fn first_overdue(&self, now: Instant) -> Option<(SandboxId, State)> {
        self.sandboxes
            .iter()
            .find(|(_, live)| live.overdue.is_some_and(|overdue| overdue <= now))
            .map(|(sandbox, live)| (*sandbox, live.state))
    }

    /// When the first of those that are leaving or ending must be gone.
    pub fn overdue(&self) -> Option<Instant> {
        self.sandboxes
            .values()
            .filter_map(|live| live.overdue)
            .min()
    }

    /// Whether none is left that could still answer somebody.
    pub fn drained(&self) -> bool {
        let mut sandboxes = self.sandboxes.values();
        sandboxes.all(|live| live.state.is_over())
    }

    /// Takes one out that is gone, and has its directory removed. `used` is what it used, as far as
    /// its worker could tell.
    pub fn remove(
        &mut self,
        sandbox: SandboxId,
        used: Option<Usage>,
    ) -> Option<(State, oneshot::Sender<Exited>)> {
        let live = self.sandboxes.remove(&sandbox)?;
        self.cleaning += 1;
        let (shared, clean) = (Arc::clone(&self.shared), self.clean.clone());
        tokio::spawn(async move {
            // A seat whose directory stays, or whose spawner is gone, is not given out again.
            let cleaned = shared.spawner.clean(live.dir.clone()).await;
            let Cleaned { removed, bytes } = cleaned.unwrap_or_default();
            // Most often nobody asks: it ran nothing for a client.
            let _ = live.remains.send(Remains {
                used,
                scratch_bytes: bytes,
            });
            if removed && live.seat.dir.is_none() {
                shared.forget_name(&live.dir);
            }
            let _ = clean.send(Some(live.seat).filter(|_| removed));
        });
        Some((live.state, live.exit))
    }

    /// Whether every seat is lost, since what was in it can't be removed.
    pub fn no_seat_left(&self) -> bool {
        self.sandboxes.is_empty() && self.free_seats.is_empty() && self.cleaning == 0
    }

    /// Waits until one more directory is dealt with.
    pub async fn cleaned(&mut self) {
        // This end keeps the channel open.
        if let Some(seat) = self.cleaned.recv().await {
            self.cleaning -= 1;
            self.free_seats.extend(seat);
        }
    }

    /// All are gone with their worker: has every directory removed and waits for that.
    pub async fn remove_all(&mut self) {
        let all: Vec<SandboxId> = self.sandboxes.keys().copied().collect();
        for sandbox in all {
            drop(self.remove(sandbox, None));
        }
        while self.cleaning > 0 {
            self.cleaned().await;
        }
    }

    /// The seats' directories, where these are there as long as their worker.
    pub fn seat_names(&self) -> Vec<ScratchName> {
        let seats = self.free_seats.iter();
        seats.filter_map(|seat| seat.dir.clone()).collect()
    }
}

impl Drop for LiveSandboxes {
    fn drop(&mut self) {
        for name in &self.names {
            self.shared.forget_name(name);
        }
    }
}
