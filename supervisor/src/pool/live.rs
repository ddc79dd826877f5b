//! The living sandboxes of one worker. Each holds a uid, a directory, and the channels that tell
//! others of its end.

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

/// How long a sandbox may live after it reported `Finished`; then it is killed. Anything that it
/// does in this time is no longer part of the run, even if hostile code sent the report.
const LEAVE_MAX: Duration = Duration::from_millis(20);
/// How long a killed sandbox may take to be gone. The kernel needs some seconds to free gigabytes.
/// After this time the whole worker counts as hung.
pub const EXIT_MAX: Duration = Duration::from_secs(10);

/// The state of a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Ordered, and not locked down yet.
    Preparing,
    /// On the shelf.
    Ready,
    /// Taken.
    Running,
    /// It reported that it is done; its exit must follow at once.
    Leaving,
    /// Killed; its exit must follow.
    Ending,
}

impl State {
    /// Whether the sandbox can no longer answer a request.
    fn is_over(self) -> bool {
        matches!(self, Self::Leaving | Self::Ending)
    }
}

/// One sandbox.
#[derive(Debug)]
pub struct Live {
    dir: ScratchName,
    seat: Seat,
    /// Its state.
    pub state: State,
    /// Tells the sandbox's taker how it ended.
    pub exit: oneshot::Sender<Exited>,
    /// Tells the sandbox's taker what it used and left, once all of it is gone.
    remains: oneshot::Sender<Remains>,
    /// Whether the service took the sandbox for itself, so that clients lack one.
    beside_clients: bool,
    overdue: Option<Instant>,
}

/// All sandboxes of one worker. A seat is free again only when its directory is gone or empty.
#[derive(Debug)]
pub struct LiveSandboxes {
    shared: Arc<Shared>,
    /// Names that are given back when the worker is gone.
    names: Vec<ScratchName>,
    sandboxes: BTreeMap<SandboxId, Live>,
    next: u64,
    /// The seat that has been free for longest comes first.
    free_seats: VecDeque<Seat>,
    cleaned: mpsc::UnboundedReceiver<Option<Seat>>,
    clean: mpsc::UnboundedSender<Option<Seat>>,
    cleaning: usize,
}

impl LiveSandboxes {
    /// No sandbox yet; there can be as many as there are seats. `home` is their worker's own
    /// directory.
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

    /// Whether one more sandbox should be ordered: while spares are missing beside the sandboxes
    /// that may run for clients, and sandboxes on their way out leave room.
    pub fn wants_more(&self) -> bool {
        let useful = self.sandboxes.values();
        let useful = useful.filter(|live| !live.state.is_over() && !live.beside_clients);
        useful.count() < self.shared.current.get().sandboxes_ready() && !self.free_seats.is_empty()
    }

    /// Adds a sandbox that is about to be ordered. Returns its number, directory and uid; none if
    /// no seat is free.
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

    /// The state of a sandbox; none if it is gone.
    pub fn state(&self, sandbox: SandboxId) -> Option<State> {
        self.sandboxes.get(&sandbox).map(|live| live.state)
    }

    /// Sets a sandbox's state. A sandbox that is ending stays in that state, and must be gone soon.
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

    /// Notes that the service took a sandbox for itself, so that a spare for clients is made in its
    /// place.
    pub fn set_beside_clients(&mut self, sandbox: SandboxId) {
        if let Some(live) = self.sandboxes.get_mut(&sandbox) {
            live.beside_clients = true;
        }
    }

    /// The first sandbox that should be gone by now.
    pub fn first_overdue(&self, now: Instant) -> Option<(SandboxId, State)> {
        self.sandboxes
            .iter()
            .find(|(_, live)| live.overdue.is_some_and(|overdue| overdue <= now))
            .map(|(sandbox, live)| (*sandbox, live.state))
    }

    /// When the first leaving or ending sandbox must be gone.
    pub fn overdue(&self) -> Option<Instant> {
        self.sandboxes
            .values()
            .filter_map(|live| live.overdue)
            .min()
    }

    /// Whether no sandbox is left that could still answer a request.
    pub fn drained(&self) -> bool {
        let mut sandboxes = self.sandboxes.values();
        sandboxes.all(|live| live.state.is_over())
    }

    /// Removes an exited sandbox and has its directory cleaned. `used` is what the sandbox used, if
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
            // If the directory stays or the spawner is gone, the seat is not used again.
            let cleaned = shared.spawner.clean(live.dir.clone()).await;
            let Cleaned { removed, bytes } = cleaned.unwrap_or_default();
            // Often nobody listens, since the sandbox ran nothing for a client.
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

    /// Whether every seat is lost because its content can't be removed.
    pub fn no_seat_left(&self) -> bool {
        self.sandboxes.is_empty() && self.free_seats.is_empty() && self.cleaning == 0
    }

    /// Waits for the next directory to be cleaned.
    pub async fn cleaned(&mut self) {
        // This end keeps the channel open.
        if let Some(seat) = self.cleaned.recv().await {
            self.cleaning -= 1;
            self.free_seats.extend(seat);
        }
    }

    /// All sandboxes are gone with their worker: has every directory removed and waits for that.
    pub async fn remove_all(&mut self) {
        let all: Vec<SandboxId> = self.sandboxes.keys().copied().collect();
        for sandbox in all {
            drop(self.remove(sandbox, None));
        }
        while self.cleaning > 0 {
            self.cleaned().await;
        }
    }

    /// The seats' directories, if they exist as long as their worker.
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
