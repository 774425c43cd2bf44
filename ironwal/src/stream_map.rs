//! A map from stream key to shared stream state, for many threads.
//!
//! Keys are spread over shards, each with a lock of its own. Looking up takes one shard's lock,
//! shared, and allocates nothing. Invariants:
//!
//! - at any moment a key has one state or none, and a state that is in the map stays there until
//!   somebody who holds it replaces or removes that very state: a late caller with an old state
//!   changes nothing;
//! - [`get_or_create`](StreamStateMap::get_or_create) makes one state however many ask at once.
//!
//! Lock order: a shard's lock is the last of all. It is held for a few instructions, never during
//! I/O, never while a stream's lock or another shard's is taken, so it may be taken with any of
//! them held.
//!
//! What it deliberately does not do: it knows nothing of a stream. Whoever deletes a stream marks
//! its state as dead, under that state's own lock, *before* removing it here, and whoever gets a
//! dead state removes it and asks again. [`snapshot`](StreamStateMap::snapshot) is no picture of
//! one moment.

use std::{
    array,
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, Hasher},
};

use crate::sync::{Arc, RwLock, SHARD_COUNT};

const _: () = assert!(SHARD_COUNT.is_power_of_two(), "a shard is chosen by some bits of a hash");

/// The states of all streams that are known, by key.
#[derive(Debug)]
pub(crate) struct StreamStateMap<V> {
    shards: [RwLock<Shard<V>>; SHARD_COUNT],
}

/// What came of an attempt to change what stands under a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exchange {
    /// The state that was named stood there, and is there no more.
    Done,
    /// Another state stood there, or none: nothing was changed.
    Stale,
}

type Shard<V> = HashMap<Box<str>, Arc<V>, BuildHasherDefault<KeyHasher>>;

/// FNV-1a with a finish that mixes: the same in every run, as loom's replays need.
///
/// Plain FNV-1a leaves the high bits of a short key's hash nearly constant, and the hash table
/// lives on these.
#[derive(Debug)]
struct KeyHasher(u64);

impl<V> StreamStateMap<V> {
    /// A map without streams.
    pub(crate) fn new() -> Self {
        Self { shards: array::from_fn(|_| RwLock::new(Shard::default())) }
    }

    /// The state under `key`.
    pub(crate) fn get(&self, key: &str) -> Option<Arc<V>> {
        self.shard(key).read().get(key).cloned()
    }

    /// The state under `key`, which is `make`'s if there was none.
    ///
    /// `make` runs under a shard's lock: it must do no I/O and take no lock.
    pub(crate) fn get_or_create(&self, key: &str, make: impl FnOnce() -> V) -> Arc<V> {
        if let Some(found) = self.get(key) {
            return found;
        }
        let mut shard = self.shard(key).write();
        // Somebody may have been here between the two locks.
        if let Some(found) = shard.get(key) {
            return Arc::clone(found);
        }
        let made = Arc::new(make());
        shard.insert(key.into(), Arc::clone(&made));
        made
    }

    /// Puts `new` in the place of `old`, if that is what stands under `key`.
    #[must_use = "a stale `old` means that `new` is not in the map"]
    pub(crate) fn replace(&self, key: &str, old: &Arc<V>, new: Arc<V>) -> Exchange {
        match self.shard(key).write().get_mut(key) {
            // The caller still holds `old`: no state is dropped under the lock.
            Some(state) if Arc::ptr_eq(state, old) => {
                *state = new;
                Exchange::Done
            }
            Some(_) | None => Exchange::Stale,
        }
    }

    /// Removes `old`, if that is what stands under `key`: what whoever deletes a stream does last.
    pub(crate) fn remove(&self, key: &str, old: &Arc<V>) -> Exchange {
        let mut shard = self.shard(key).write();
        match shard.get(key) {
            Some(state) if Arc::ptr_eq(state, old) => {
                shard.remove(key);
                Exchange::Done
            }
            Some(_) | None => Exchange::Stale,
        }
    }

    /// All states, shard by shard: what was there all the time of the call is in it, what came or
    /// went meanwhile may be.
    pub(crate) fn snapshot(&self) -> Vec<Arc<V>> {
        let mut states = Vec::new();
        for shard in &self.shards {
            states.extend(shard.read().values().cloned());
        }
        states
    }

    fn shard(&self, key: &str) -> &RwLock<Shard<V>> {
        self.shards.get(shard_of(key)).expect("the remainder is less than the number of shards")
    }
}

/// The number of the shard that `key` is in.
///
/// From the middle of the hash: the table in the shard uses its low bits and its highest seven.
pub(crate) fn shard_of(key: &str) -> usize {
    let hash = BuildHasherDefault::<KeyHasher>::default().hash_one(key);
    let [_, _, _, _, low, high, _, _] = hash.to_le_bytes();
    usize::from(u16::from_le_bytes([low, high])) % SHARD_COUNT
}

impl Default for KeyHasher {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        let folded = (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        folded ^ (folded >> 29)
    }
}

#[cfg(all(test, not(ironwal_loom)))]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::sync::{
        atomic::{AtomicUsize, Ordering},
        thread,
    };

    #[test]
    fn many_who_ask_at_once_get_one_state_that_was_made_once() {
        let map = StreamStateMap::new();
        let made = AtomicUsize::new(0);
        let get = |key: &str| map.get_or_create(key, || made.fetch_add(1, Ordering::Relaxed));
        let keys: Vec<String> = (0..100).map(|number| format!("stream-{number}")).collect();
        let seen: Vec<Vec<_>> = thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| keys.iter().map(|key| get(key)).collect())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(made.load(Ordering::Relaxed), keys.len());
        for states in &seen {
            assert!(states.iter().zip(&seen[0]).all(|(state, first)| Arc::ptr_eq(state, first)));
        }
        let distinct: HashSet<usize> = map.snapshot().iter().map(|state| **state).collect();
        assert_eq!(distinct.len(), keys.len());
    }

    #[test]
    fn only_the_very_state_that_is_named_is_replaced_or_removed() {
        let map = StreamStateMap::new();
        let first = map.get_or_create("a", || 1);
        let equal = Arc::new(1);
        assert_eq!(map.replace("a", &equal, Arc::new(2)), Exchange::Stale);
        assert_eq!(map.remove("a", &equal), Exchange::Stale);
        assert_eq!(map.remove("b", &first), Exchange::Stale);
        assert!(Arc::ptr_eq(&map.get("a").unwrap(), &first));

        let second = Arc::new(2);
        assert_eq!(map.replace("a", &first, Arc::clone(&second)), Exchange::Done);
        assert_eq!(map.remove("a", &first), Exchange::Stale);
        assert!(Arc::ptr_eq(&map.get("a").unwrap(), &second));
        assert_eq!(map.remove("a", &second), Exchange::Done);
        assert_eq!(map.get("a"), None);
        assert!(map.snapshot().is_empty());
        assert!(!Arc::ptr_eq(&map.get_or_create("a", || 1), &first));
    }

    #[test]
    fn a_maker_that_panics_leaves_the_map_as_it_was() {
        let map = StreamStateMap::<u8>::new();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            map.get_or_create("a", || std::panic::resume_unwind(Box::new("made nothing")))
        }));
        assert!(caught.is_err());
        assert_eq!(map.get("a"), None);
        assert_eq!(*map.get_or_create("a", || 7), 7);
    }

    /// Bounds are generous: no shard more than three times as full as the mean, and short keys
    /// differ in the seven high bits by which the table tells them apart.
    #[test]
    fn keys_spread_over_shards_and_over_the_bits_that_the_table_uses() {
        let mut counts = [0_usize; SHARD_COUNT];
        let mut tags = HashSet::new();
        for number in 0..6_400 {
            counts[shard_of(&format!("tenant/{number}"))] += 1;
        }
        for letter in 'a'..='z' {
            let key = letter.to_string();
            tags.insert(BuildHasherDefault::<KeyHasher>::default().hash_one(key.as_str()) >> 57);
        }
        assert!(counts.iter().all(|&count| (30..=300).contains(&count)), "{counts:?}");
        assert!(tags.len() >= 13, "{tags:?}");
    }
}
