//! The places of workers. Each place has a range of uids, and no two living processes of different
//! workers share a place.

use parking_lot::Mutex;
use std::sync::Arc;

/// The slots that no worker has.
#[derive(Debug)]
pub struct Slots(Mutex<Vec<usize>>);

/// One slot, to be held as long as a process of its worker may live. Dropping the value gives the
/// slot back.
#[derive(Debug)]
pub struct Slot {
    number: usize,
    slots: Arc<Slots>,
}

impl Slots {
    /// The slots from 0 to `count`, all of them free.
    pub fn new(count: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new((0..count).rev().collect())))
    }

    /// Takes a free slot; none if every slot belongs to a worker. A worker that was killed and has
    /// not ended still has its slot.
    pub fn take(self: &Arc<Self>) -> Option<Slot> {
        let number = self.0.lock().pop()?;
        let slots = Arc::clone(self);
        Some(Slot { number, slots })
    }
}

impl Slot {
    /// Its number, from 0 on.
    pub fn number(&self) -> usize {
        self.number
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.0.lock().push(self.number);
    }
}
