//! A lock on the machine. Tests run side by side; a test that measures, or that uses the whole
//! machine, runs alone.

use std::cell::Cell;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

/// The holders of the machine.
#[derive(Debug)]
struct Holders {
    /// Services that run beside others.
    beside: usize,
    /// The test that runs alone.
    alone: Option<ThreadId>,
    /// Tests that wait to run alone; meanwhile no other test begins.
    waiting: usize,
}

static HOLDERS: Mutex<Holders> = Mutex::new(Holders {
    beside: 0,
    alone: None,
    waiting: 0,
});
static CHANGED: Condvar = Condvar::new();

thread_local! {
    /// Services that this thread has started: a test that has one gets another without waiting.
    static OWN: Cell<usize> = const { Cell::new(0) };
}

fn holders() -> MutexGuard<'static, Holders> {
    HOLDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// While this value lives, no service of another test of this process runs.
#[derive(Debug)]
#[must_use]
pub struct Alone(());

/// Waits until no other test has a service, and keeps it so. For tests that compare times, or that
/// keep every core busy. Must be called before the test starts a service.
pub fn alone() -> Alone {
    let mut holders = holders();
    holders.waiting += 1;
    while holders.beside > 0 || holders.alone.is_some() {
        holders = CHANGED
            .wait(holders)
            .unwrap_or_else(PoisonError::into_inner);
    }
    holders.waiting -= 1;
    holders.alone = Some(thread::current().id());
    Alone(())
}

impl Drop for Alone {
    fn drop(&mut self) {
        holders().alone = None;
        CHANGED.notify_all();
    }
}

/// Each service holds a value of this type as long as it runs.
#[derive(Debug)]
pub(crate) struct Beside(());

/// Waits until no other test runs alone.
pub(crate) fn beside() -> Beside {
    let own_thread = thread::current().id();
    let mut holders = holders();
    loop {
        let free = match holders.alone {
            Some(thread) => thread == own_thread,
            None => holders.waiting == 0 || OWN.get() > 0,
        };
        if free {
            break;
        }
        holders = CHANGED
            .wait(holders)
            .unwrap_or_else(PoisonError::into_inner);
    }
    holders.beside += 1;
    OWN.set(OWN.get() + 1);
    Beside(())
}

impl Drop for Beside {
    fn drop(&mut self) {
        // A value that another thread drops does not change the number of the thread that made it.
        OWN.set(OWN.get().saturating_sub(1));
        holders().beside -= 1;
        CHANGED.notify_all();
    }
}
