//! What each sync mode says of itself: what is committed, and what is known to be durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use ironwal::{RecoveryReport, SyncMode, Wal, WalOptions};

use crate::hooked::{self, Call, Gate};
use crate::kill_modes::MODES;

fn options(mode: SyncMode) -> WalOptions {
    WalOptions::new().sync_mode(mode)
}

#[test]
fn what_is_durable_when_a_call_returns_is_what_the_mode_says() {
    for mode in MODES {
        let root = tempfile::tempdir().unwrap();
        let wal = Wal::open(root.path(), options(mode)).unwrap();
        let stream = wal.stream("s").unwrap();
        stream.sync().unwrap();
        assert!(!wal.contains("s").unwrap(), "syncing makes no stream");
        let durable = |strict: u64, batch_only: u64, written: u64| {
            let at = MODES.iter().position(|other| *other == mode).unwrap();
            let expected = [strict, batch_only, written][at];
            assert_eq!(stream.durable_seq().unwrap(), expected, "{mode:?}");
            let stats = stream.stats().unwrap();
            assert_eq!((stats.durable_seq, stats.next_seq), (expected, stream.next_seq().unwrap()));
        };
        stream.append("0").unwrap();
        stream.append("1").unwrap();
        durable(2, 0, 0);
        stream.append_batch(["2", "3"]).unwrap();
        durable(4, 4, 0);
        stream.append("4").unwrap();
        durable(5, 4, 0);
        stream.append_batch(["5"]).unwrap();
        durable(6, 6, 0);
        stream.append("6").unwrap();
        stream.append_batch(Vec::<&str>::new()).unwrap();
        durable(7, 6, 0);
        assert_eq!(stream.get(6).unwrap().unwrap(), "6", "what is committed is read");
        stream.sync().unwrap();
        durable(7, 7, 7);
        stream.append("7").unwrap();
        durable(8, 7, 7);
        wal.append("t", "x").unwrap();
        wal.sync().unwrap();
        durable(8, 8, 8);
        assert_eq!(wal.durable_seq("t").unwrap(), 1);
        let sync_count = stream.stats().unwrap().counts.sync_count;
        stream.sync().unwrap();
        wal.sync().unwrap();
        assert_eq!(
            stream.stats().unwrap().counts.sync_count,
            sync_count,
            "there is nothing to sync"
        );
        wal.close().unwrap();
        assert!(stream.sync().unwrap_err().is_closed() && wal.sync().unwrap_err().is_closed());
    }
}

#[test]
fn an_async_log_syncs_nothing_by_itself_within_a_segment() {
    let root = tempfile::tempdir().unwrap();
    let sync_count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sync_count);
    let wal = hooked::open(root.path(), options(SyncMode::Async), move |call, _| {
        if matches!(call, Call::Sync | Call::SyncDir) {
            counter.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    });
    let stream = wal.stream("s").unwrap();
    stream.append("makes the stream").unwrap();
    let made = sync_count.load(Ordering::SeqCst);
    for n in 0..1_000 {
        stream.append(format!("{n}")).unwrap();
        stream.append_batch(["a", "b"]).unwrap();
    }
    assert_eq!(sync_count.load(Ordering::SeqCst), made);
    stream.sync().unwrap();
    assert_eq!(sync_count.load(Ordering::SeqCst), made + 1);
}

/// Readers see entries in order, and a batch only when it is durable.
#[test]
fn a_single_append_behind_a_batch_in_batch_only_waits_for_it_and_is_durable_with_it() {
    let root = tempfile::tempdir().unwrap();
    let gates: [Arc<Gate>; 3] = Default::default();
    let [armed, syncing, go_on] = &gates;
    let hook = gates.clone();
    let wal = hooked::open(root.path(), options(SyncMode::BatchOnly), move |call, path| {
        let [armed, syncing, go_on] = &hook;
        if call == Call::Sync && path.contains("s/") && armed.is_open() {
            syncing.open();
            go_on.pass();
        }
        Ok(())
    });
    let stream = wal.stream("s").unwrap();
    stream.append("0").unwrap();
    armed.open();
    thread::scope(|scope| {
        let batch = scope.spawn(|| stream.append_batch(["1", "2"]).unwrap());
        syncing.pass();
        assert_eq!(stream.next_seq().unwrap(), 1, "the batch is not committed");
        assert_eq!(stream.get(1).unwrap(), None);
        assert_eq!(stream.get(0).unwrap().unwrap(), "0", "readers do not wait");
        let single = scope.spawn(|| stream.append("3").unwrap());
        // It is written, and waits.
        while stream.stats().unwrap().counts.append_count < 3 {
            thread::yield_now();
        }
        assert_eq!(stream.next_seq().unwrap(), 1);
        assert!(!single.is_finished());
        go_on.open();
        assert_eq!((batch.join().unwrap(), single.join().unwrap()), (1..3, 3));
        assert_eq!(stream.durable_seq().unwrap(), 4);
    });
}

#[test]
fn closing_or_dropping_an_async_log_leaves_nothing_to_repair() {
    for (mode, is_closed) in MODES.into_iter().flat_map(|mode| [(mode, true), (mode, false)]) {
        let root = tempfile::tempdir().unwrap();
        let wal = Wal::open(root.path(), options(mode).max_segment_size(2_000)).unwrap();
        for n in 0..100 {
            wal.append(&format!("s{}", n % 5), format!("entry {n}")).unwrap();
        }
        wal.append_batch("s0", vec!["a"; 50]).unwrap();
        if is_closed {
            wal.close().unwrap();
        }
        drop(wal);
        let wal = Wal::open(root.path(), options(mode)).unwrap();
        let reports = wal.recover_all().unwrap();
        assert_eq!(reports.len(), 5);
        let is_untouched = |report: &RecoveryReport| report.is_clean() && report.rewritten_len == 0;
        assert!(reports.iter().all(is_untouched), "{mode:?} {is_closed}: {reports:?}");
        assert_eq!(wal.next_seq("s0").unwrap(), 70);
        assert_eq!(wal.durable_seq("s0").unwrap(), 70);
    }
}

/// Nobody was told of the failure: it happened when the file of an idle stream was closed.
#[test]
fn syncing_a_log_does_not_say_ok_of_a_stream_whose_sync_failed_in_the_background() {
    let root = tempfile::tempdir().unwrap();
    let is_armed = Arc::new(AtomicBool::new(false));
    let armed = Arc::clone(&is_armed);
    let options = options(SyncMode::Async).max_open_segments(1);
    let wal = hooked::open(root.path(), options, move |call, path| {
        let fails = call == Call::Sync && path.contains("idle/") && armed.load(Ordering::SeqCst);
        if fails { Err(std::io::ErrorKind::Other.into()) } else { Ok(()) }
    });
    wal.append("idle", "0").unwrap();
    wal.append("idle", "1").unwrap();
    is_armed.store(true, Ordering::SeqCst);
    // The file of the idle stream is closed for this.
    for n in 0..4 {
        wal.append(&format!("busy {n}"), "x").unwrap();
    }
    assert!(wal.durable_seq("idle").unwrap() < 2, "it is not durable");
    let error = wal.sync().expect_err("not everything is durable");
    assert!(error.is_fenced() && error.stream() == Some("idle"), "{error}");
    assert!(wal.stream("idle").unwrap().sync().unwrap_err().is_fenced());
    assert!(wal.append("idle", "2").unwrap_err().is_fenced());
    is_armed.store(false, Ordering::SeqCst);
    assert_eq!(wal.reopen("idle").unwrap().next_seq, 2);
    wal.sync().unwrap();
    assert_eq!(wal.append("idle", "2").unwrap(), 2);
}
