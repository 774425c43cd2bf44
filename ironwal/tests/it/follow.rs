//! A reader that follows what a writer does, beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use ironwal::{
    Error, ErrorKind, ReadStrategy, ReaderOptions, StreamReader, SyncMode, Visibility, Wal,
    WalOptions, WalReader,
};

use crate::files;

const STRATEGIES: [ReadStrategy; 2] = [ReadStrategy::Mmap, ReadStrategy::StandardIo];

fn small_segments() -> WalOptions {
    WalOptions::new().max_segment_size(1_500).sync_mode(SyncMode::Async)
}

fn entry(seq: u64) -> Vec<u8> {
    seq.to_le_bytes().repeat(1 + usize::try_from(seq % 40).unwrap())
}

fn append(wal: &Wal, range: std::ops::Range<u64>) {
    for seq in range {
        assert_eq!(wal.append("s", entry(seq)).unwrap(), seq);
    }
}

fn reader(root: &std::path::Path, strategy: ReadStrategy) -> StreamReader {
    let options = ReaderOptions::new().read_strategy(strategy);
    WalReader::open_with(root, options).unwrap().stream("s").unwrap()
}

/// The same numbers, other bytes.
fn stream_of_another_life(wal: &Wal) {
    for seq in 0..3 {
        assert_eq!(wal.append("s", [9; 9]).unwrap(), seq);
    }
}

fn check_all(reader: &StreamReader, range: std::ops::Range<u64>) {
    let read: Vec<_> = reader.iter(..).unwrap().map(Result::unwrap).collect();
    assert!(read.iter().map(|entry| entry.seq).eq(range.clone()), "{range:?}");
    assert!(read.iter().all(|read| read.data == entry(read.seq)));
    for seq in range.clone() {
        assert_eq!(reader.get(seq).unwrap().unwrap(), entry(seq));
    }
    assert_eq!(reader.get(range.end).unwrap(), None);
}

#[test]
fn it_sees_appends_rotations_truncations_and_deletions_happen() {
    for strategy in STRATEGIES {
        let dir = tempfile::tempdir().unwrap();
        let wal = Wal::open(dir.path(), small_segments()).unwrap();
        let stream = wal.stream("s").unwrap();
        let reader = reader(dir.path(), strategy);
        assert_eq!((reader.first_seq().unwrap(), reader.next_seq().unwrap()), (0, 0));
        assert_eq!(reader.get(0).unwrap(), None);
        let mut next = 0;
        for count in [1, 1, 3, 40, 1, 200, 2] {
            append(&wal, next..next + count);
            next += count;
            assert_eq!(reader.next_seq().unwrap(), next);
            assert_eq!(reader.get(next - 1).unwrap().unwrap(), entry(next - 1));
            check_all(&reader, 0..next);
        }
        assert!(stream.stats().unwrap().segment_count > 10);

        stream.rotate().unwrap();
        check_all(&reader, 0..next);
        let held = reader.get(0).unwrap().unwrap();
        let mut overtaken = reader.iter(..).unwrap();
        assert_eq!(overtaken.next().unwrap().unwrap().seq, 0);
        let first = stream.truncate_before(100).unwrap();
        assert!(first > 50 && first <= 100);
        assert_eq!(held, entry(0));
        let rest: Vec<_> = overtaken.collect();
        let signs = rest.iter().filter(|item| item.is_err()).count();
        let seqs: Vec<_> = rest.iter().flatten().map(|entry| entry.seq).collect();
        assert!(seqs.is_sorted() && seqs.ends_with(&[next - 1]), "{seqs:?}");
        let gaps = seqs.windows(2).filter(|pair| pair[0] + 1 < pair[1]).count();
        assert_eq!(gaps, signs, "entries are passed over with a sign only");
        assert_eq!(reader.first_seq().unwrap(), first);
        let gone = reader.get(first - 1).unwrap_err();
        assert!(matches!(gone.kind(), ErrorKind::Truncated { first_seq } if *first_seq == first));
        check_all(&reader, first..next);
        append(&wal, next..next + 5);
        check_all(&reader, first..next + 5);

        assert!(wal.delete_stream("s").unwrap());
        assert_eq!((reader.first_seq().unwrap(), reader.next_seq().unwrap()), (0, 0));
        assert_eq!(reader.iter(..).unwrap().count(), 0);
        // The same names, another stream.
        append(&wal, 0..3);
        check_all(&reader, 0..3);
        let mut overtaken = reader.iter(..).unwrap();
        assert!(wal.delete_stream("s").unwrap());
        stream_of_another_life(&wal);
        let told: Vec<_> = overtaken.by_ref().filter_map(Result::err).collect();
        assert!(told.iter().all(Error::is_deleted) && told.len() <= 1, "{told:?}");
        // Look-ups alone, of entries that were known of the other: they may still be mapped, and are
        // right then, or they are those of the stream that there is.
        for seq in 0..3 {
            let read = reader.get(seq).unwrap().unwrap();
            assert!(read == entry(seq) || read == [9; 9][..], "{read:?}");
        }
        assert_eq!(reader.next_seq().unwrap(), 3);
        assert_eq!(reader.get(0).unwrap().unwrap(), &[9; 9][..]);
        assert!(wal.delete_stream("s").unwrap());
        append(&wal, 0..2);
        check_all(&reader, 0..2);
        wal.close().unwrap();
        check_all(&reader, 0..2);
    }
}

/// A frame at the live end that is not whole yet, at each of its cuts.
#[test]
fn what_is_cut_at_the_live_end_is_not_there_yet() {
    let dir = tempfile::tempdir().unwrap();
    let wal = Wal::open(dir.path(), WalOptions::new().sync_mode(SyncMode::Async)).unwrap();
    append(&wal, 0..3);
    let path = files::segments(&dir.path().join("s")).pop().unwrap();
    let before = wal.stream("s").unwrap().stats().unwrap().byte_len;
    wal.append_batch("s", [entry(3), entry(4)]).unwrap();
    let after = wal.stream("s").unwrap().stats().unwrap().byte_len;
    // The writer lives on, idle: a close would prove what it wrote.
    let whole = files::read(&path);
    for cut in before..=after {
        let cut = usize::try_from(cut).unwrap();
        let mut bytes = whole.clone();
        bytes[cut..].fill(0);
        files::write(&path, &whole[..usize::try_from(before).unwrap()]);
        let reader = reader(dir.path(), ReadStrategy::Mmap);
        assert_eq!(reader.next_seq().unwrap(), 3);
        files::write(&path, &bytes);
        let tail_is_zero = whole[cut..usize::try_from(after).unwrap()].iter().all(|b| *b == 0);
        let expected = if tail_is_zero { 5 } else { 3 };
        assert_eq!(reader.next_seq().unwrap(), expected, "cut at {cut}");
        assert_eq!(reader.iter(..).unwrap().filter(Result::is_err).count(), 0);
        files::write(&path, &whole);
        check_all(&reader, 0..5);
    }
}

#[test]
fn only_what_is_proven_is_shown_on_request() {
    for strategy in STRATEGIES {
        let dir = tempfile::tempdir().unwrap();
        let wal = Wal::open(dir.path(), WalOptions::new().sync_mode(SyncMode::Async)).unwrap();
        let stream = wal.stream("s").unwrap();
        let options = ReaderOptions::new().read_strategy(strategy).visibility(Visibility::Proven);
        let proven = WalReader::open_with(dir.path(), options).unwrap().stream("s").unwrap();
        append(&wal, 0..5);
        assert_eq!(proven.next_seq().unwrap(), 0, "nothing was synced");
        stream.sync().unwrap();
        append(&wal, 5..6);
        assert_eq!(proven.next_seq().unwrap(), 5, "the frame behind the sync tells of it");
        check_all(&proven, 0..5);
        append(&wal, 6..9);
        assert_eq!(proven.next_seq().unwrap(), 5);
        stream.rotate().unwrap();
        assert_eq!(proven.next_seq().unwrap(), 9, "the record of the sealed segment");
        append(&wal, 9..12);
        assert_eq!(proven.next_seq().unwrap(), 9);
        wal.close().unwrap();
        assert_eq!(proven.next_seq().unwrap(), 12, "the floor of the close");
        check_all(&proven, 0..12);
    }
}

/// Eight readers beside a writer that appends, rotates and truncates.
#[test]
fn each_entry_is_seen_once_and_none_is_passed_over_without_a_sign() {
    for strategy in STRATEGIES {
        let dir = tempfile::tempdir().unwrap();
        let wal = Wal::open(dir.path(), small_segments()).unwrap();
        let stream = wal.stream("s").unwrap();
        append(&wal, 0..1);
        let acked = Arc::new(AtomicU64::new(1));
        let done = Arc::new(AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..4 {
                let (acked, done) = (Arc::clone(&acked), Arc::clone(&done));
                let reader = reader(dir.path(), strategy);
                scope.spawn(move || {
                    let mut next = 0;
                    loop {
                        let was_done = done.load(Ordering::Acquire);
                        let floor = acked.load(Ordering::Acquire);
                        for item in reader.iter(next..).unwrap() {
                            match item {
                                Ok(read) => {
                                    assert_eq!(read.seq, next);
                                    assert_eq!(read.data, entry(read.seq));
                                    next += 1;
                                }
                                Err(error) => {
                                    let ErrorKind::Truncated { first_seq } = error.kind() else {
                                        panic!("{error}")
                                    };
                                    assert!(*first_seq > next, "{error} at {next}");
                                    next = *first_seq;
                                }
                            }
                        }
                        assert!(next >= floor, "acknowledged before the look, and not seen");
                        if was_done {
                            break;
                        }
                    }
                    assert_eq!(next, acked.load(Ordering::Acquire));
                });
            }
            for seq in 1..4_000 {
                assert_eq!(stream.append(entry(seq)).unwrap(), seq);
                acked.store(seq + 1, Ordering::Release);
                if seq % 500 == 0 {
                    stream.truncate_before(seq - 300).unwrap();
                }
            }
            done.store(true, Ordering::Release);
        });
    }
}
