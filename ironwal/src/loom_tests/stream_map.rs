//! Models L1, L2 and L3: the map of streams.

use crate::{
    stream_map::{Exchange, StreamStateMap, shard_of},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        thread,
    },
};

const KEY: &str = "orders";

/// L1: two who ask for the same key at once get the same state, made once.
///
/// Catches: not looking again under the write lock.
#[test]
fn two_who_ask_at_once_get_one_state() {
    loom::model(|| {
        let map = Arc::new(StreamStateMap::new());
        let made = Arc::new(AtomicU64::new(0));
        let get = |map: &StreamStateMap<u64>, made: &AtomicU64| {
            map.get_or_create(KEY, || made.fetch_add(1, Ordering::Relaxed))
        };
        let thread = {
            let (map, made) = (Arc::clone(&map), Arc::clone(&made));
            thread::spawn(move || get(&map, &made))
        };
        let mine = get(&map, &made);
        let theirs = thread.join().unwrap();
        assert!(Arc::ptr_eq(&mine, &theirs));
        assert_eq!(made.load(Ordering::Relaxed), 1);
        assert_eq!(map.snapshot().len(), 1);
    });
}

/// A stream of which only its place in the map is real. Its lock comes before the map's.
struct Stream {
    slot: Mutex<Slot>,
}

enum Slot {
    /// Not on disk yet: that is the first append's doing.
    Absent,
    Alive,
    /// Deleted: its files are gone, and it touches no file again.
    Dead,
}

struct Deleted;

/// The streams, and the folder of the one whose key is `KEY`.
struct Wal {
    map: StreamStateMap<Stream>,
    /// The entries in the folder, if it is there.
    folder: Mutex<Option<u64>>,
}

impl Wal {
    fn new() -> Arc<Self> {
        Arc::new(Self { map: StreamStateMap::new(), folder: Mutex::new(None) })
    }

    fn stream(&self) -> Arc<Stream> {
        self.map.get_or_create(KEY, || Stream { slot: Mutex::new(Slot::Absent) })
    }

    /// Appends with a handle: a deleted stream's stays dead, also when the key exists again.
    fn append(&self, stream: &Stream) -> Result<(), Deleted> {
        let mut slot = stream.slot.lock();
        match *slot {
            Slot::Dead => return Err(Deleted),
            Slot::Absent => {
                let before = self.folder.lock().replace(0);
                assert_eq!(before, None, "a stream is created where another one lives");
                *slot = Slot::Alive;
            }
            Slot::Alive => {}
        }
        let mut folder = self.folder.lock();
        *folder.as_mut().expect("a stream's folder is there while it is alive") += 1;
        Ok(())
    }

    /// Appends by key: who finds a deleted stream's state takes it out of the map and asks again.
    fn append_by_key(&self) -> Arc<Stream> {
        loop {
            let stream = self.stream();
            match self.append(&stream) {
                Ok(()) => return stream,
                Err(Deleted) => self.remove(&stream),
            }
        }
    }

    /// Deletes the stream: its files first and then its state is dead, and only then may the key be
    /// had anew.
    fn delete(&self) {
        let Some(stream) = self.map.get(KEY) else { return };
        let mut slot = stream.slot.lock();
        if let Slot::Alive = *slot {
            *self.folder.lock() = None;
        }
        *slot = Slot::Dead;
        drop(slot);
        self.remove(&stream);
    }

    /// Takes a dead state out of the map, unless somebody was faster.
    fn remove(&self, stream: &Arc<Stream>) {
        match self.map.remove(KEY, stream) {
            Exchange::Done | Exchange::Stale => {}
        }
    }
}

/// L2: between delete and append by key no handle of the deleted stream appends, no two streams
/// share a folder, and what was recreated stays in the map.
///
/// Catches: removing the state from the map before it is dead; letting it be dead before its files
/// are gone; appending without looking whether it is dead; removing whatever stands under the key
/// instead of the state that died.
#[test]
fn a_deleted_stream_never_appends_and_a_recreated_one_is_new() {
    loom::model(|| {
        let wal = Wal::new();
        let old = wal.append_by_key();
        let deleter = {
            let wal = Arc::clone(&wal);
            thread::spawn(move || wal.delete())
        };
        let appender = {
            let wal = Arc::clone(&wal);
            thread::spawn(move || wal.append_by_key())
        };
        // A handle from before.
        let late = wal.append(&old);
        deleter.join().unwrap();
        let appended_to = appender.join().unwrap();

        assert!(wal.append(&old).is_err(), "the handle of a deleted stream appends");
        let folder = *wal.folder.lock();
        let now = wal.map.get(KEY);
        if Arc::ptr_eq(&appended_to, &old) {
            // Everything was before the delete.
            assert_eq!(folder, None);
            assert!(now.is_none());
        } else {
            // The new stream has the one entry that was appended to it, and is what the key stands
            // for.
            assert_eq!(folder, Some(1));
            assert!(Arc::ptr_eq(&now.unwrap(), &appended_to));
        }
        drop(late);
    });
}

/// L2 where a state is replaced (reset, rollback): of two who replace the same state one succeeds,
/// and the map has the winner's.
///
/// Catches: replacing whatever stands under the key.
#[test]
fn of_two_who_replace_a_state_one_succeeds() {
    loom::model(|| {
        let map = Arc::new(StreamStateMap::new());
        let old = map.get_or_create(KEY, || 0);
        let replace = |map: &StreamStateMap<u64>, old: &Arc<u64>, value: u64| {
            let new = Arc::new(value);
            (map.replace(KEY, old, Arc::clone(&new)), new)
        };
        let thread = {
            let (map, old) = (Arc::clone(&map), Arc::clone(&old));
            thread::spawn(move || replace(&map, &old, 1))
        };
        let mine = replace(&map, &old, 2);
        let theirs = thread.join().unwrap();
        let winner = match (mine, theirs) {
            ((Exchange::Done, winner), (Exchange::Stale, _))
            | ((Exchange::Stale, _), (Exchange::Done, winner)) => winner,
            (mine, theirs) => panic!("one succeeds, not {mine:?} and {theirs:?}"),
        };
        assert!(Arc::ptr_eq(&map.get(KEY).unwrap(), &winner));
    });
}

/// L3: a lister who locks each stream that it was given, and one who changes the map with a stream
/// locked, never wait for each other; and what was there all the time is listed.
///
/// Catches: listing that locks streams under a shard's lock.
#[test]
fn listing_and_changing_one_shard_never_wait_for_each_other() {
    let (first, second) = two_keys_of_one_shard();
    loom::model(move || {
        let map = Arc::new(StreamStateMap::new());
        let kept = map.get_or_create(first, || Mutex::new(1_u64));
        let changer = {
            let map = Arc::clone(&map);
            thread::spawn(move || {
                let state = map.get_or_create(first, || Mutex::new(0));
                let mut value = state.lock();
                let other = map.get_or_create(second, || Mutex::new(10));
                *value += 1;
                assert_eq!(map.remove(second, &other), Exchange::Done);
            })
        };
        let listed = map.snapshot();
        assert!(listed.iter().any(|state| Arc::ptr_eq(state, &kept)));
        for state in &listed {
            assert!([1, 2, 10].contains(&*state.lock()));
        }
        changer.join().unwrap();
        assert_eq!(*kept.lock(), 2);
        assert_eq!(map.snapshot().len(), 1);
    });
}

fn two_keys_of_one_shard() -> (&'static str, &'static str) {
    let mut keys = ["a", "b", "c"].into_iter();
    let first = keys.next().expect("there are three keys");
    let second = keys
        .find(|key| shard_of(key) == shard_of(first))
        .expect("of three keys two share one of two shards");
    (first, second)
}
