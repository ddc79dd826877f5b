//! The sandboxes of one worker that exist, and what each holds: a uid, a directory, somebody's
//! interest in its end.

use super::shared::Shared;
use codejail_protocol::ScratchName;
use codejail_protocol::control::{Exited, SandboxId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// How long a sandbox that said it is done may stay before it is killed. What it does meanwhile is not
/// its author's run any more, whoever said it.
const LEAVE_MAX: Duration = Duration::from_millis(20);
/// How long a sandbox that was killed may take to be gone. Taking down gigabytes takes some seconds;
/// beyond this the whole worker is taken for hung.
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
    uid: Option<u32>,
    /// Where it is in its life.
    pub state: State,
    /// Takes word of its end to whoever runs it.
    pub exit: oneshot::Sender<Exited>,
    overdue: Option<Instant>,
}

/// All of one worker. A uid is free again when its directory is gone, and not before.
#[derive(Debug)]
pub struct LiveSandboxes {
    shared: Arc<Shared>,
    sandboxes: BTreeMap<SandboxId, Live>,
    next: u64,
    /// None where sandboxes share the worker's.
    free_uids: Option<BTreeSet<u32>>,
    cleaned: mpsc::UnboundedReceiver<Option<u32>>,
    clean: mpsc::UnboundedSender<Option<u32>>,
    cleaning: usize,
}

impl LiveSandboxes {
    /// None yet; `uids` are the first and the last that they may get.
    pub fn new(shared: Arc<Shared>, uids: Option<(u32, u32)>) -> Self {
        let (clean, cleaned) = mpsc::unbounded_channel();
        Self {
            shared,
            sandboxes: BTreeMap::new(),
            next: 0,
            free_uids: uids.map(|(first, last)| (first..=last).collect()),
            cleaned,
            clean,
            cleaning: 0,
        }
    }

    /// Whether one more should be ordered: until there is a spare beside each that may run, and as
    /// long as those on their way out leave room.
    pub fn wants_more(&self) -> bool {
        let config = &self.shared.config;
        let useful = self.sandboxes.values().filter(|live| !live.state.is_over());
        let uids_left = self.free_uids.as_ref().is_none_or(|uids| !uids.is_empty());
        useful.count() < 2 * config.sandboxes_per_worker
            && self.sandboxes.len() + self.cleaning < config.sandboxes_max()
            && uids_left
    }

    /// Adds one that is about to be ordered: its number, its uid.
    pub fn add(
        &mut self,
        dir: ScratchName,
        exit: oneshot::Sender<Exited>,
    ) -> (SandboxId, Option<u32>) {
        let sandbox = SandboxId(self.next);
        self.next += 1;
        let uid = self.free_uids.as_mut().and_then(BTreeSet::pop_first);
        let live = Live {
            dir,
            uid,
            state: State::Preparing,
            exit,
            overdue: None,
        };
        self.sandboxes.insert(sandbox, live);
        (sandbox, uid)
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

    /// Takes one out that is gone, and has its directory removed.
    pub fn remove(&mut self, sandbox: SandboxId) -> Option<(State, oneshot::Sender<Exited>)> {
        let live = self.sandboxes.remove(&sandbox)?;
        self.cleaning += 1;
        let (shared, clean) = (Arc::clone(&self.shared), self.clean.clone());
        tokio::spawn(async move {
            // A uid whose directory stays, or whose spawner is gone, is not given out again.
            let removed = shared
                .spawner
                .clean(live.dir.clone())
                .await
                .unwrap_or(false);
            if removed {
                shared.forget_name(&live.dir);
            }
            let _ = clean.send(live.uid.filter(|_| removed));
        });
        Some((live.state, live.exit))
    }

    /// Waits until one more directory is dealt with.
    pub async fn cleaned(&mut self) {
        // This end keeps the channel open.
        if let Some(uid) = self.cleaned.recv().await {
            self.cleaning -= 1;
            if let Some(uids) = &mut self.free_uids {
                uids.extend(uid);
            }
        }
    }

    /// All are gone with their worker: has every directory removed and waits for that.
    pub async fn remove_all(&mut self) {
        let all: Vec<SandboxId> = self.sandboxes.keys().copied().collect();
        for sandbox in all {
            drop(self.remove(sandbox));
        }
        while self.cleaning > 0 {
            self.cleaned().await;
        }
    }
}
