//! What the cache keeps, how much, and what it evicts first.

use super::Key;
use bytes::Bytes;
use metrics::{counter, gauge};
use std::collections::{HashMap, HashSet, VecDeque};

/// Most libraries in the cache. Each compilation searches all of them for the one to evict.
const ENTRIES_MAX: usize = 1024;
/// Libraries that are remembered as seen, 32 bytes each. Each execution with an unknown library
/// searches all of them.
const SEEN_MAX: usize = 1024;
/// Compilations of one library that may fail for reasons that are not its own. Three in a row are
/// not chance.
const FAILURES_MAX: u8 = 3;

/// What is known of a library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// Its bytecode.
    Bytecode(Bytes),
    /// It has no bytecode, or could not be compiled. It is not tried again.
    NotCompilable,
    /// The number of compilations that failed for reasons that may pass.
    Failed(u8),
}

/// The result of a compilation.
#[derive(Debug)]
pub enum Compiled {
    /// Its bytecode.
    Bytecode(Bytes),
    /// The library's own fault: it would be the same again.
    NotCompilable,
    /// There was no sandbox, or it was lost, killed or late.
    Failed,
    /// It did not begin: the budget has no time left.
    Postponed,
}

/// A library that is being compiled.
#[derive(Debug)]
pub struct CompileTicket {
    key: Key,
    generation: u64,
}

impl CompileTicket {
    /// The library's name in the log: the first eight digits of its hash.
    pub fn name(&self) -> String {
        let digits = self.key[..4].iter();
        digits.map(|byte| format!("{byte:02x}")).collect()
    }
}

#[derive(Debug)]
struct Entry {
    known: Known,
    /// When it was last used, by the store's clock.
    used: u64,
}

impl Entry {
    fn bytes(&self) -> usize {
        match &self.known {
            Known::Bytecode(bytecode) => bytecode.len(),
            Known::NotCompilable | Known::Failed(_) => 0,
        }
    }
}

/// The entries, and the number of their bytes.
#[derive(Debug)]
pub struct Store {
    bytes_max: usize,
    entries: HashMap<Key, Entry>,
    pending: HashSet<Key>,
    /// The newest is at the end.
    seen: VecDeque<Key>,
    bytes: usize,
    clock: u64,
    /// The result of a compilation that began in an earlier store is not kept.
    generation: u64,
}

impl Store {
    /// An empty store.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            entries: HashMap::new(),
            pending: HashSet::new(),
            seen: VecDeque::new(),
            bytes: 0,
            clock: 0,
            generation: 0,
        }
    }

    /// A store without bytecode, which remembers only the libraries that were seen. Results of
    /// compilations that run now are not kept in it.
    pub fn successor(&mut self, bytes_max: usize) -> Self {
        let store = Self {
            generation: self.generation + 1,
            seen: std::mem::take(&mut self.seen),
            ..Self::new(bytes_max)
        };
        store.show();
        store
    }

    /// Whether anything is kept.
    pub fn is_on(&self) -> bool {
        self.bytes_max > 0
    }

    /// What is known of a library. It becomes the last one to be evicted.
    pub fn find(&mut self, key: &Key) -> Option<Known> {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.clock;
        Some(entry.known.clone())
    }

    /// Whether a library was seen before; notes it as seen. A library that differs in each request
    /// is never seen twice, so a single request can't cause a compilation.
    pub fn was_seen(&mut self, key: &Key) -> bool {
        if self.seen.contains(key) {
            return true;
        }
        if self.seen.len() >= SEEN_MAX {
            self.seen.pop_front();
        }
        self.seen.push_back(*key);
        false
    }

    /// The right to compile a library. None if it is being compiled, or if `pending_max` libraries
    /// are.
    pub fn ticket(&mut self, key: Key, pending_max: usize) -> Option<CompileTicket> {
        if !self.is_on() || self.pending.len() >= pending_max || !self.pending.insert(key) {
            return None;
        }
        let generation = self.generation;
        Some(CompileTicket { key, generation })
    }

    /// Keeps the result of a compilation; evicts the libraries that have not been used for the
    /// longest time.
    pub fn keep(&mut self, ticket: CompileTicket, compiled: Compiled) {
        if ticket.generation != self.generation {
            return;
        }
        self.pending.remove(&ticket.key);
        let before = self.entries.remove(&ticket.key).map(|entry| entry.known);
        let known = match compiled {
            Compiled::Bytecode(bytecode) if bytecode.len() <= self.bytes_max => {
                Known::Bytecode(bytecode)
            }
            Compiled::Bytecode(_) | Compiled::NotCompilable => Known::NotCompilable,
            Compiled::Failed => match before {
                Some(Known::Failed(times)) if times + 1 >= FAILURES_MAX => Known::NotCompilable,
                Some(Known::Failed(times)) => Known::Failed(times + 1),
                _ => Known::Failed(1),
            },
            Compiled::Postponed => match before {
                Some(known) => known,
                None => return,
            },
        };
        let used = self.clock;
        let entry = Entry { known, used };
        while self.bytes + entry.bytes() > self.bytes_max || self.entries.len() >= ENTRIES_MAX {
            if !self.evict() {
                break;
            }
        }
        self.bytes += entry.bytes();
        self.entries.insert(ticket.key, entry);
        self.show();
    }

    fn evict(&mut self) -> bool {
        let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used);
        let Some(key) = oldest.map(|(key, _)| *key) else {
            return false;
        };
        if let Some(entry) = self.entries.remove(&key) {
            self.bytes -= entry.bytes();
            counter!("codejail_library_cache_evicted_total").increment(1);
        }
        true
    }

    fn show(&self) {
        gauge!("codejail_library_cache_bytes").set(self.bytes as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(store: &mut Store, key: u8, bytes: usize) {
        let ticket = store.ticket([key; 32], 8).unwrap();
        store.keep(ticket, Compiled::Bytecode(Bytes::from(vec![key; bytes])));
    }

    fn has(store: &mut Store, key: u8) -> bool {
        store.find(&[key; 32]).is_some()
    }

    #[test]
    fn what_was_not_asked_for_in_the_longest_time_goes_first() {
        let mut store = Store::new(100);
        put(&mut store, 1, 40);
        put(&mut store, 2, 40);
        assert!(has(&mut store, 1));
        put(&mut store, 3, 40);
        assert!(!has(&mut store, 2) && has(&mut store, 1) && has(&mut store, 3));
        assert_eq!(store.bytes, 80);
        put(&mut store, 4, 100);
        assert_eq!((store.bytes, store.entries.len()), (100, 1));
    }

    #[test]
    fn bytecode_that_does_not_fit_takes_nobodys_place_and_is_not_made_again() {
        let mut store = Store::new(100);
        put(&mut store, 1, 100);
        put(&mut store, 2, 101);
        assert!(has(&mut store, 1));
        assert_eq!(store.find(&[2; 32]), Some(Known::NotCompilable));
    }

    #[test]
    fn a_library_is_ordered_once_and_not_too_many_at_a_time() {
        let mut store = Store::new(100);
        let first = store.ticket([1; 32], 2).unwrap();
        assert!(store.ticket([1; 32], 2).is_none());
        let second = store.ticket([2; 32], 2).unwrap();
        assert!(store.ticket([3; 32], 2).is_none());
        store.keep(first, Compiled::NotCompilable);
        assert_eq!(store.find(&[1; 32]), Some(Known::NotCompilable));
        assert!(store.ticket([3; 32], 2).is_some());
        store.keep(second, Compiled::NotCompilable);
    }

    #[test]
    fn what_was_ordered_before_a_reload_is_not_kept_after_it() {
        let mut store = Store::new(100);
        put(&mut store, 1, 10);
        let ticket = store.ticket([2; 32], 8).unwrap();
        let mut store = store.successor(50);
        assert!(!has(&mut store, 1));
        let again = store.ticket([2; 32], 8).unwrap();
        store.keep(ticket, Compiled::Bytecode(Bytes::from_static(b"old")));
        assert!(!has(&mut store, 2));
        store.keep(again, Compiled::Bytecode(Bytes::from_static(b"new")));
        assert!(has(&mut store, 2));
    }

    #[test]
    fn the_number_of_libraries_is_bounded_too() {
        let mut store = Store::new(1 << 20);
        for number in 0..2 * ENTRIES_MAX {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_le_bytes());
            let ticket = store.ticket(key, 8).unwrap();
            store.keep(ticket, Compiled::NotCompilable);
        }
        assert_eq!(store.entries.len(), ENTRIES_MAX);
    }

    #[test]
    fn a_failure_that_may_pass_is_tried_three_times_and_the_librarys_own_once() {
        let mut store = Store::new(100);
        let mut fail = |compiled| {
            let ticket = store.ticket([1; 32], 8).unwrap();
            store.keep(ticket, compiled);
            store.find(&[1; 32])
        };
        assert_eq!(fail(Compiled::Postponed), None);
        assert_eq!(fail(Compiled::Failed), Some(Known::Failed(1)));
        assert_eq!(fail(Compiled::Postponed), Some(Known::Failed(1)));
        assert_eq!(fail(Compiled::Failed), Some(Known::Failed(2)));
        assert_eq!(fail(Compiled::Failed), Some(Known::NotCompilable));
        let ticket = store.ticket([2; 32], 8).unwrap();
        store.keep(ticket, Compiled::NotCompilable);
        assert_eq!(store.find(&[2; 32]), Some(Known::NotCompilable));
    }

    #[test]
    fn a_library_that_failed_and_then_is_compiled_has_its_bytecode() {
        let mut store = Store::new(100);
        let ticket = store.ticket([1; 32], 8).unwrap();
        store.keep(ticket, Compiled::Failed);
        put(&mut store, 1, 10);
        assert!(matches!(store.find(&[1; 32]), Some(Known::Bytecode(_))));
        assert_eq!((store.bytes, store.entries.len()), (10, 1));
    }

    #[test]
    fn what_was_seen_is_remembered_within_a_bound_and_across_a_reload() {
        let mut store = Store::new(100);
        let key = |number: usize| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&number.to_le_bytes());
            key
        };
        for number in 0..SEEN_MAX {
            assert!(!store.was_seen(&key(number)));
        }
        let mut store = store.successor(100);
        assert!(store.was_seen(&key(0)));
        assert!(!store.was_seen(&key(SEEN_MAX)));
        assert!(
            !store.was_seen(&key(0)),
            "the first to come is the first to go"
        );
        assert_eq!(store.seen.len(), SEEN_MAX);
    }

    #[test]
    fn what_is_off_takes_no_orders() {
        assert!(Store::new(0).ticket([1; 32], 8).is_none());
    }
}
