//! Batches that are collected, and reads of many entries at once.

use ironwal::{ErrorKind, Outcome, ReadStrategy, Wal, WalOptions};

use crate::files;

#[test]
fn a_collected_batch_is_appended_as_one_and_nothing_of_it_before() {
    let root = tempfile::tempdir().unwrap();
    let wal = Wal::open(root.path(), WalOptions::new()).unwrap();
    let stream = wal.stream("s").unwrap();
    let mut batch = stream.batch();
    assert!(batch.is_empty() && batch.byte_len() == 0);
    for entry in ["a", "", "ccc"] {
        batch.push(entry).unwrap();
    }
    assert_eq!((batch.len(), batch.byte_len()), (3, 4));
    assert!(!wal.contains("s").unwrap());
    let again = batch.clone();
    drop(batch.clone());
    assert_eq!(batch.commit().unwrap(), 0..3);
    assert_eq!(stream.append("between").unwrap(), 3);
    assert_eq!(again.commit().unwrap(), 4..7);
    assert_eq!(stream.batch().commit().unwrap(), 7..7, "an empty one writes nothing");
    assert_eq!(stream.stats().unwrap().counts.append_count, 3);
    assert_eq!(stream.stats().unwrap().counts.entry_count, 7);
    let found: Vec<_> = stream.iter(..).unwrap().map(|entry| entry.unwrap().data).collect();
    assert_eq!(found, ["a", "", "ccc", "between", "a", "", "ccc"]);
}

#[test]
fn an_entry_that_a_batch_has_no_room_for_is_refused_and_the_batch_is_as_before() {
    let root = tempfile::tempdir().unwrap();
    let options = WalOptions::new().max_entry_len(10).max_batch_len(25);
    let wal = Wal::open(root.path(), options).unwrap();
    let mut batch = wal.stream("s").unwrap().batch();
    batch.push([1; 10]).unwrap();
    batch.push([2; 10]).unwrap();
    for too_large in [vec![3; 11], vec![3; 6]] {
        let error = batch.push(too_large).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::TooLarge(_)), "{error}");
        assert_eq!((error.outcome(), error.stream()), (Outcome::NotWritten, Some("s")));
        assert_eq!((batch.len(), batch.byte_len()), (2, 20));
    }
    batch.push([3; 5]).unwrap();
    batch.push([]).unwrap();
    assert_eq!(batch.commit().unwrap(), 0..4);
    let found = wal.stream("s").unwrap().get_many([2, 0, 3]).unwrap();
    assert_eq!(found, [Some(vec![3; 5].into()), Some(vec![1; 10].into()), Some(Vec::new().into())]);
}

#[test]
fn a_batch_has_at_most_2_to_the_24_entries() {
    let root = tempfile::tempdir().unwrap();
    let wal = Wal::open(root.path(), WalOptions::new()).unwrap();
    let mut batch = wal.stream("s").unwrap().batch();
    for _ in 0..1 << 24 {
        batch.push([]).unwrap();
    }
    assert!(matches!(batch.push([]).unwrap_err().kind(), ErrorKind::TooLarge(_)));
    assert_eq!(batch.len(), 1 << 24);
    assert_eq!(batch.commit().unwrap(), 0..1 << 24);
    assert_eq!(wal.get("s", (1 << 24) - 1).unwrap().unwrap(), "");
    assert_eq!(wal.append("s", "on").unwrap(), 1 << 24);
}

#[test]
fn a_batch_of_a_log_that_is_closed_or_a_stream_that_is_deleted_says_so() {
    let root = tempfile::tempdir().unwrap();
    let wal = Wal::open(root.path(), WalOptions::new()).unwrap();
    let mut batch = wal.stream("s").unwrap().batch();
    batch.push("x").unwrap();
    assert_eq!(batch.clone().commit().unwrap(), 0..1);
    wal.delete_stream("s").unwrap();
    assert!(batch.clone().commit().unwrap_err().is_deleted());
    wal.close().unwrap();
    assert!(batch.clone().commit().is_err());
    assert!(wal.get("s", 0).unwrap_err().is_closed());
}

#[test]
fn many_are_read_in_the_order_in_which_they_are_asked_for_and_none_for_those_to_come() {
    for strategy in [ReadStrategy::Mmap, ReadStrategy::StandardIo] {
        let root = tempfile::tempdir().unwrap();
        let options = WalOptions::new().read_strategy(strategy).max_segment_size(300);
        let wal = Wal::open(root.path(), options).unwrap();
        let stream = wal.stream("s").unwrap();
        assert_eq!(stream.get_many([]).unwrap(), Vec::<Option<bytes::Bytes>>::new());
        assert_eq!(stream.get_many([0, 5]).unwrap(), [None, None], "absent");
        for n in 0..10_u64 {
            let entries: Vec<_> = (n * 5..n * 5 + 4).map(|seq| seq.to_string()).collect();
            stream.append_batch(entries).unwrap();
            stream.append((n * 5 + 4).to_string()).unwrap();
        }
        let check = |seqs: Vec<u64>| {
            let found = stream.get_many(seqs.clone()).unwrap();
            assert_eq!(found.len(), seqs.len());
            for (seq, found) in seqs.iter().zip(found) {
                let expected = (*seq < 50).then(|| seq.to_string().into());
                assert_eq!(found, expected, "{seqs:?}");
            }
        };
        check((0..50).collect());
        check((0..60).rev().collect());
        check(vec![7, 7, 8, 7, 5, 6, 9, 9, 49, 50, 49, 0, u64::MAX, 3, 3]);
        check((0..200).map(|n| n * 37 % 55).collect());
        let first = stream.truncate_before(20).unwrap();
        assert!(first > 5);
        check((first..52).collect());
        for seqs in [vec![first - 1], vec![first, first - 1, first], vec![60, 0]] {
            assert!(stream.get_many(seqs).unwrap_err().is_truncated());
        }
    }
}

/// The first that cannot be read is told.
#[test]
fn of_many_that_are_read_one_that_is_damaged_is_the_error() {
    let root = tempfile::tempdir().unwrap();
    let wal = Wal::open(root.path(), WalOptions::new()).unwrap();
    let stream = wal.stream("s").unwrap();
    for entry in ["intact", "to be rotten", "intact too"] {
        stream.append(entry).unwrap();
    }
    let path = &files::segments(&root.path().join("s"))[0];
    let mut bytes = files::read(path);
    let at = bytes.windows(6).position(|window| window == b"rotten").unwrap();
    bytes[at] ^= 1;
    files::write(path, &bytes);
    assert!(stream.get_many([0, 2]).unwrap().iter().all(Option::is_some));
    assert!(stream.get_many([0, 1, 2]).unwrap_err().is_damage());
}
