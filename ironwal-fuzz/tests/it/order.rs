//! What readers see, and in which order, while a commit is held in its sync.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use ironwal::{Environment, SyncMode, Wal, WalOptions};
use ironwal_format::names::SEGMENT_SUFFIX;
use ironwal_fuzz::faults::Op;
use ironwal_fuzz::hooked::HookedStorage;
use ironwal_fuzz::sim_storage::{SimStorage, SyncFailure};
use ironwal_segment::storage::{MemStorage, Storage};

/// A log whose next sync of a segment, once armed, is held until it is released.
struct Held {
    wal: Wal,
    armed: Arc<AtomicBool>,
    reached: mpsc::Receiver<()>,
    release: mpsc::SyncSender<()>,
}

/// Lets the held sync go on, also when a test fails meanwhile.
struct Release<'a>(&'a mpsc::SyncSender<()>);

impl Drop for Release<'_> {
    fn drop(&mut self) {
        self.0.send(()).unwrap();
    }
}

fn held(mode: SyncMode) -> Held {
    let armed = Arc::new(AtomicBool::new(false));
    let (tell, reached) = mpsc::sync_channel(1);
    let (release, released) = mpsc::sync_channel(1);
    let released = Mutex::new(released);
    let storage = {
        let armed = Arc::clone(&armed);
        let inner: Arc<dyn Storage> = Arc::new(MemStorage::new());
        HookedStorage::new(inner, move |op, path| {
            let is_segment = path.ends_with(SEGMENT_SUFFIX);
            if op == Op::SyncData && is_segment && armed.swap(false, Ordering::SeqCst) {
                tell.send(()).unwrap();
                released.lock().unwrap().recv().unwrap();
            }
            Ok(())
        })
    };
    let options = WalOptions::new().sync_mode(mode);
    let wal = Wal::open_in(Environment::new(Arc::new(storage)), options).unwrap();
    wal.append("s", "zero").unwrap();
    Held { wal, armed, reached, release }
}

impl Held {
    /// Runs `first` until it is held in its sync, then `meanwhile`, and lets it go on.
    fn beside<R>(&self, first: impl FnOnce(&Wal) + Send, meanwhile: impl FnOnce(&Wal) -> R) -> R {
        self.armed.store(true, Ordering::SeqCst);
        thread::scope(|scope| {
            let wal = &self.wal;
            let running = scope.spawn(move || first(wal));
            self.reached.recv().unwrap();
            let release = Release(&self.release);
            let result = meanwhile(&self.wal);
            drop(release);
            running.join().unwrap();
            result
        })
    }
}

#[test]
fn what_a_sync_publishes_is_never_older_than_what_readers_saw() {
    let held = held(SyncMode::Async);
    held.beside(
        |wal| wal.sync().unwrap(),
        |wal| {
            for seq in 1..50 {
                assert_eq!(wal.append("s", [7; 200]).unwrap(), seq);
                assert_eq!(wal.next_seq("s").unwrap(), seq + 1);
            }
        },
    );
    assert_eq!(held.wal.next_seq("s").unwrap(), 50, "the sync was begun with one");
    assert_eq!(held.wal.durable_seq("s").unwrap(), 1);
    assert_eq!(held.wal.iter("s", ..).unwrap().count(), 50);
}

#[test]
fn a_rotation_beside_a_commit_is_seen_when_it_is_done() {
    for mode in [SyncMode::Strict, SyncMode::BatchOnly, SyncMode::Async] {
        let held = held(mode);
        let stream = held.wal.stream("s").unwrap();
        let rotating = held.beside(
            |wal| {
                wal.append_batch("s", ["one", "two"]).unwrap();
                wal.sync().unwrap();
            },
            |_| {
                let stream = stream.clone();
                let before = stream.stats().unwrap().counts;
                let rotating = thread::spawn(move || stream.rotate().unwrap());
                // It may be waiting for the commit, or not be there yet: both end the same.
                assert_eq!(before.append_count, 2);
                rotating
            },
        );
        assert_eq!(rotating.join().unwrap(), 3, "{mode:?}");
        assert_eq!(stream.stats().unwrap().segment_count, 2, "{mode:?}");
        assert_eq!(stream.truncate_before(3).unwrap(), 3, "{mode:?}");
        assert_eq!(stream.append("three").unwrap(), 3);
    }
}

/// In `BatchOnly` a single append that follows a batch is not shown before the batch is durable.
#[test]
fn nothing_is_shown_in_front_of_a_batch_that_is_not_durable() {
    let held = held(SyncMode::BatchOnly);
    let single = held.beside(
        |wal| assert_eq!(wal.append_batch("s", ["one", "two"]).unwrap(), 1..3),
        |wal| {
            let wal = wal.clone();
            let (written, was_written) = mpsc::sync_channel(0);
            let single = thread::spawn({
                let wal = wal.clone();
                move || {
                    written.send(()).unwrap();
                    wal.append("s", "three").unwrap()
                }
            });
            was_written.recv().unwrap();
            for _ in 0..1000 {
                assert_eq!(wal.next_seq("s").unwrap(), 1);
                assert_eq!(wal.get("s", 1).unwrap(), None);
                thread::yield_now();
            }
            single
        },
    );
    assert_eq!(single.join().unwrap(), 3);
    assert_eq!(held.wal.next_seq("s").unwrap(), 4);
    assert_eq!(held.wal.append("s", "four").unwrap(), 4);
    assert_eq!(held.wal.durable_seq("s").unwrap(), 4, "the next single append waits for nothing");
}

/// What a close has to sync is synced, also where a truncation holds the sync side when it begins.
#[test]
fn a_truncation_beside_a_close_does_not_take_its_last_sync_away() {
    for _ in 0..200 {
        let inner: Arc<dyn Storage> = Arc::new(MemStorage::new());
        let options = WalOptions::new().sync_mode(SyncMode::Async).max_segment_entries(2);
        let open = || Wal::open_in(Environment::new(Arc::clone(&inner)), options.clone()).unwrap();
        let wal = open();
        for seq in 0..9 {
            assert_eq!(wal.append("s", "entry").unwrap(), seq);
        }
        let stream = wal.stream("s").unwrap();
        thread::scope(|scope| {
            scope.spawn(|| drop(stream.truncate_before(5)));
            wal.close().unwrap();
        });
        let reports = open().recover_all().unwrap();
        assert!(reports[0].is_clean() && reports[0].rewritten_len == 0, "{reports:?}");
        assert_eq!(reports[0].next_seq, 9);
    }
}

/// Rotations among appends: nothing is left out of what readers see.
#[test]
fn what_is_acknowledged_is_read_however_many_threads_rotate() {
    for round in 0..12 {
        let inner: Arc<dyn Storage> = Arc::new(MemStorage::new());
        let storage = HookedStorage::new(inner, |op, _| {
            if op == Op::SyncData {
                thread::yield_now();
            }
            Ok(())
        });
        let wal = Wal::open_in(Environment::new(Arc::new(storage)), WalOptions::new()).unwrap();
        let stream = wal.stream("s").unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for n in 0..50_u64 {
                        let seq = stream.append(n.to_le_bytes()).unwrap();
                        let read = stream.get(seq).unwrap().unwrap();
                        assert_eq!(read, &n.to_le_bytes()[..], "round {round}, entry {seq}");
                    }
                });
            }
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        stream.rotate().unwrap();
                    }
                });
            }
        });
        assert_eq!(stream.iter(..).unwrap().flatten().count(), 200, "round {round}");
    }
}

/// A deletion whose sync failed may be undone by a crash: nobody is told that there is no such stream.
#[test]
fn a_deletion_that_failed_is_not_called_done_when_it_is_tried_again() {
    let disk = SimStorage::new();
    let wal = Wal::open_in(Environment::new(Arc::new(disk.clone())), WalOptions::new()).unwrap();
    wal.append("s", "zero").unwrap();
    disk.fail_sync_at(disk.sync_count(), SyncFailure::KeepCache);
    for _ in 0..2 {
        assert!(wal.delete_stream("s").unwrap_err().io_error().is_some());
    }
}

/// What is deleted needs no sync: a sync of the log that waits for it is not failed by that.
#[test]
fn a_sync_of_the_log_does_not_fail_because_a_stream_is_deleted_meanwhile() {
    let held = held(SyncMode::Async);
    held.wal.append("other", "entry").unwrap();
    let (syncing, deleting) = held.beside(
        |wal| wal.stream("s").unwrap().sync().unwrap(),
        |wal| {
            // Behind the sync that is held, so the sync of the log waits for another.
            wal.append("s", "one").unwrap();
            let (first, second) = (wal.clone(), wal.clone());
            let syncing = thread::spawn(move || first.sync());
            // Each is to stand where it waits; where one is late, the test shows less.
            thread::sleep(Duration::from_millis(100));
            let deleting = thread::spawn(move || second.delete_stream("s"));
            thread::sleep(Duration::from_millis(100));
            (syncing, deleting)
        },
    );
    assert!(deleting.join().unwrap().unwrap());
    syncing.join().unwrap().unwrap();
    assert_eq!(held.wal.durable_seq("other").unwrap(), 1);
}
