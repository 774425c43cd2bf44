//! Two threads at certain places at once, and reads that go wrong on the way.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;

use ironwal::{Environment, Outcome, Wal, WalOptions};
use ironwal_format::names::SEGMENT_SUFFIX;
use ironwal_fuzz::faults::Op;
use ironwal_fuzz::hooked::HookedStorage;
use ironwal_fuzz::sim_storage::{CrashChoice, SimStorage, SyncFailure};
use ironwal_segment::storage::{MemStorage, OpenMode, Storage, StoragePath};

thread_local! {
    /// Whether this thread is the one whose write fails.
    static FAILING: Cell<bool> = const { Cell::new(false) };
}

fn open(storage: Arc<dyn Storage>) -> Wal {
    Wal::open_in(Environment::new(storage), WalOptions::new()).unwrap()
}

/// A log of one stream with an entry, and what holds a commit in its sync.
struct Held {
    wal: Wal,
    armed: Arc<AtomicBool>,
    reached: mpsc::Receiver<()>,
    release: Arc<Barrier>,
}

/// The first sync of a segment by another thread than the failing one is held, once armed; of the
/// failing thread each write fails, and its later calls are told to `undo`.
fn held(
    inner: Arc<dyn Storage>,
    undo: impl Fn(Op) -> io::Result<()> + Send + Sync + 'static,
) -> Held {
    let (armed, release) = (Arc::new(AtomicBool::new(false)), Arc::new(Barrier::new(2)));
    let (tell, reached) = mpsc::sync_channel(1);
    let storage = {
        let (armed, release) = (Arc::clone(&armed), Arc::clone(&release));
        HookedStorage::new(inner, move |op, path| {
            if !path.ends_with(SEGMENT_SUFFIX) || !armed.load(Ordering::SeqCst) {
                return Ok(());
            }
            if FAILING.get() {
                let refused = || Err(io::ErrorKind::StorageFull.into());
                return if op == Op::Write { refused() } else { undo(op) };
            }
            if op == Op::SyncData && armed.swap(false, Ordering::SeqCst) {
                tell.send(()).unwrap();
                release.wait();
            }
            Ok(())
        })
    };
    let wal = open(Arc::new(storage));
    wal.append("s", "zero").unwrap();
    Held { wal, armed, reached, release }
}

/// A failed sync is told once for each open file. The one that undoes a failed write may be told what
/// the sync of a commit should have been told, which then returns success for data that is lost.
#[test]
fn a_commit_beside_a_failed_undoing_is_never_acknowledged_and_lost() {
    for failure in [SyncFailure::KeepCache, SyncFailure::DropCache] {
        let sim = SimStorage::new();
        let disk = sim.clone();
        let undo = move |op| {
            if op == Op::SyncData {
                disk.fail_sync_at(disk.sync_count(), failure);
            }
            Ok(())
        };
        let Held { wal, armed, reached, release } = held(Arc::new(sim.clone()), undo);
        armed.store(true, Ordering::SeqCst);
        let leader = thread::spawn({
            let wal = wal.clone();
            move || wal.append("s", "one")
        });
        reached.recv().unwrap();
        armed.store(true, Ordering::SeqCst);
        FAILING.set(true);
        let broken = wal.append("s", "two").unwrap_err();
        FAILING.set(false);
        armed.store(false, Ordering::SeqCst);
        assert_eq!(broken.outcome(), Outcome::Unknown, "{broken}");
        release.wait();
        let acknowledged = leader.join().unwrap();
        let after = open(Arc::new(sim.crash(CrashChoice::Nothing)));
        if acknowledged.is_ok() {
            assert_eq!(after.next_seq("s").unwrap(), 2, "{failure:?}: acknowledged and lost");
        } else {
            assert!(wal.append("s", "three").unwrap_err().is_fenced());
        }
    }
}

/// A failed sync of the root may have been that of many names, and is told to one stream only.
#[test]
fn after_a_failed_sync_of_the_root_no_stream_is_made_until_the_log_is_opened_anew() {
    for failure in [SyncFailure::KeepCache, SyncFailure::DropCache] {
        let sim = SimStorage::new();
        let wal = open(Arc::new(sim.clone()));
        wal.append("before", "zero").unwrap();
        // The first segment, the index, the new directory, the root.
        sim.fail_sync_at(sim.sync_count() + 3, failure);
        for key in ["a", "b", "a"] {
            let error = wal.append(key, "lost?").unwrap_err();
            assert_eq!(error.outcome(), Outcome::NotWritten, "{failure:?}: {error}");
        }
        assert_eq!(wal.append("before", "one").unwrap(), 1);
        let crashed = open(Arc::new(sim.crash(CrashChoice::Nothing)));
        assert_eq!(crashed.next_seq("before").unwrap(), 2);
        drop(wal);
        let wal = open(Arc::new(sim));
        assert_eq!(wal.append("c", "made").unwrap(), 0);
    }
}

/// A closed log lets the next writer in: nothing of this one may be under way then.
#[test]
fn close_waits_for_a_commit_also_when_the_stream_is_fenced_meanwhile() {
    let undo = |op| if op == Op::SetLen { Err(io::Error::other("no")) } else { Ok(()) };
    let Held { wal, armed, reached, release } = held(Arc::new(MemStorage::new()), undo);
    armed.store(true, Ordering::SeqCst);
    let answered = Arc::new(AtomicBool::new(false));
    let leader = thread::spawn({
        let (wal, answered) = (wal.clone(), Arc::clone(&answered));
        move || {
            let appended = wal.append("s", "one");
            answered.store(true, Ordering::SeqCst);
            appended
        }
    });
    reached.recv().unwrap();
    armed.store(true, Ordering::SeqCst);
    FAILING.set(true);
    assert!(wal.append("s", "two").unwrap_err().is_fenced());
    FAILING.set(false);
    armed.store(false, Ordering::SeqCst);
    let closer = thread::spawn({
        let wal = wal.clone();
        move || wal.close()
    });
    // Closing has begun when calls are refused; it is given every chance to end too early.
    while !wal.streams().is_err_and(|error| error.is_closed()) {
        thread::yield_now();
    }
    (0..1000).for_each(|_| thread::yield_now());
    assert!(!closer.is_finished(), "closed while a commit is in its sync");
    assert!(!answered.load(Ordering::SeqCst));
    release.wait();
    closer.join().unwrap().unwrap();
    drop(leader.join().unwrap());
}

/// Recovery writes again what it verified: a read that goes wrong on the way must not reach the disk.
#[test]
fn a_read_that_goes_wrong_in_recovery_destroys_nothing() {
    const COUNT: u64 = 3;
    let mut failures = 0;
    for wrong in 0..12 {
        let storage = Arc::new(MemStorage::new());
        let wal = open(Arc::<MemStorage>::clone(&storage));
        for n in 0..COUNT {
            wal.append("s", format!("entry {n}")).unwrap();
        }
        let killed = copy_of_stream(&*storage);
        let reads = AtomicUsize::new(0);
        let hooked = HookedStorage::new(Arc::<MemStorage>::clone(&killed), |_, _| Ok(()));
        let hooked = hooked.with_reads(move |path, bytes| {
            let is_wrong = || reads.fetch_add(1, Ordering::SeqCst) == wrong;
            if path.ends_with(SEGMENT_SUFFIX) && is_wrong() {
                // In the last entry, for which nothing vouches.
                if let Some(at) = bytes.windows(7).position(|found| found == b"entry 2") {
                    bytes[at] ^= 1;
                }
            }
        });
        let unlucky = open(Arc::new(hooked));
        failures += usize::from(!unlucky.next_seq("s").is_ok_and(|next| next == COUNT));
        drop(unlucky);
        // What the unlucky one believed to be torn is dead, but was not changed: only its scan may
        // have ended the log early.
        let segments = killed.list(StoragePath::new("s")).unwrap().len();
        let wal = open(Arc::<MemStorage>::clone(&killed));
        if segments == 2 {
            assert_eq!(wal.next_seq("s").unwrap(), COUNT, "wrong read {wrong}");
            assert_eq!(wal.get("s", 2).unwrap().unwrap(), "entry 2");
        }
        let bytes = read(&*killed, "00000000000000000000-0000000000.wal");
        assert!(bytes.windows(7).any(|found| found == b"entry 2"), "wrong read {wrong}");
    }
    assert!(failures > 0, "no read went wrong");
}

fn read(storage: &dyn Storage, name: &str) -> Vec<u8> {
    let file = storage.open(StoragePath::new("s").join(name), OpenMode::Read).unwrap();
    let mut bytes = vec![0; usize::try_from(file.file_len().unwrap()).unwrap()];
    ironwal_segment::io::read_up_to(&*file, &mut bytes, 0).unwrap();
    bytes
}

/// The files of the stream as a killed process leaves them.
fn copy_of_stream(storage: &dyn Storage) -> Arc<MemStorage> {
    let copy = Arc::new(MemStorage::new());
    let dir = StoragePath::new("s");
    copy.create_dir(dir).unwrap();
    for entry in storage.list(dir).unwrap() {
        let file = copy.open(dir.join(&entry.name), OpenMode::CreateNew).unwrap();
        ironwal_segment::io::write_all(&*file, &read(storage, &entry.name), 0).unwrap();
    }
    copy
}

/// What becomes of a stream that owes entries while the log is about to sync it.
#[derive(Clone, Copy, Debug)]
enum Meanwhile {
    /// It is reopened, which fails.
    Reopened,
    /// The log is closed, and the last sync of the stream fails.
    Closed,
}

/// Which streams a sync of the log has to look at is asked one after the other: what happens to the others
/// meanwhile must not hide what they owe.
#[test]
fn a_sync_of_the_log_never_passes_over_what_owes_entries() {
    for meanwhile in [Meanwhile::Reopened, Meanwhile::Closed] {
        // Which of the two is asked first depends on their keys.
        for letter in (b'a'..=b'z').step_by(2) {
            let blocker = &*char::from(letter).to_string();
            let sim = SimStorage::new();
            let (failing, armed) =
                (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
            let release = Arc::new(Barrier::new(2));
            let (tell, reached) = mpsc::sync_channel(1);
            let storage = {
                let (failing, armed) = (Arc::clone(&failing), Arc::clone(&armed));
                let release = Arc::clone(&release);
                HookedStorage::new(Arc::new(sim.clone()), move |op, path| {
                    // Also by the name under which it was made.
                    let is_owing = path.contains("owing/");
                    let is_hit = op == Op::SyncData || op == Op::Open;
                    if is_owing && is_hit && failing.load(Ordering::SeqCst) {
                        return Err(io::Error::other("failing"));
                    }
                    if !is_owing && op == Op::Write && armed.swap(false, Ordering::SeqCst) {
                        // The stream is locked for the write, and so is whoever asks it anything.
                        tell.send(()).unwrap();
                        release.wait();
                    }
                    Ok(())
                })
            };
            let options = WalOptions::new().sync_mode(ironwal::SyncMode::Async);
            let wal = Wal::open_in(Environment::new(Arc::new(storage)), options).unwrap();
            wal.append(blocker, "made").unwrap();
            // Of a stream that owes nothing it is asked under its lock.
            wal.stream(blocker).unwrap().sync().unwrap();
            wal.append("owing", "acknowledged").unwrap();
            failing.store(true, Ordering::SeqCst);
            if let Meanwhile::Reopened = meanwhile {
                assert!(wal.stream("owing").unwrap().sync().is_err());
            }
            armed.store(true, Ordering::SeqCst);
            thread::scope(|scope| {
                let writer = scope.spawn(|| wal.append(blocker, "slow"));
                reached.recv().unwrap();
                let syncer = scope.spawn(|| wal.sync());
                // Time to come as far as it can; with less this test shows less, and never fails for that.
                thread::sleep(std::time::Duration::from_millis(100));
                let closer = match meanwhile {
                    Meanwhile::Reopened => {
                        assert!(wal.reopen("owing").is_err());
                        failing.store(false, Ordering::SeqCst);
                        None
                    }
                    Meanwhile::Closed => {
                        let closer = scope.spawn(|| wal.close());
                        thread::sleep(std::time::Duration::from_millis(100));
                        Some(closer)
                    }
                };
                release.wait();
                writer.join().unwrap().unwrap();
                let synced = syncer.join().unwrap();
                assert!(closer.is_none_or(|closer| closer.join().unwrap().is_err()));
                let after = open(Arc::new(sim.crash(CrashChoice::Nothing)));
                let left = after.next_seq("owing").unwrap();
                assert!(
                    synced.is_err() || left == 1,
                    "{meanwhile:?} beside {blocker}: synced, and {left} entries are left"
                );
            });
        }
    }
}
