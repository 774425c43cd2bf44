//! What each option does, and that they may change from one opening to the next.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ironwal::{CompressionType, Preallocation, ReadStrategy, SyncMode, Wal, WalOptions};

use crate::files;

#[cfg(feature = "lz4")]
#[test]
fn frames_are_compressed_from_the_smallest_size_on_and_where_it_makes_them_smaller() {
    let written = |options: WalOptions, entry: &[u8]| {
        let root = tempfile::tempdir().unwrap();
        let wal = Wal::open(root.path(), options).unwrap();
        wal.append("s", entry).unwrap();
        assert_eq!(wal.get("s", 0).unwrap().unwrap(), entry);
        let counts = wal.stream("s").unwrap().stats().unwrap().counts;
        assert_eq!(counts, wal.stats().counts);
        counts.written_len
    };
    let raw_len = |len: u64| 32 + len.next_multiple_of(8);
    let lz4 = || WalOptions::new().compression(CompressionType::Lz4);
    for (min, len) in [(500, 499), (500, 500), (500, 501), (0, 100), (4096, 4095), (4096, 4096)] {
        let entry = vec![b'a'; usize::try_from(len).unwrap()];
        let written_len = written(lz4().min_compression_size(min), &entry);
        if len < min {
            assert_eq!(written_len, raw_len(len), "{len} bytes, at least {min}");
        } else {
            assert!(written_len < raw_len(len) / 2, "{len} bytes, at least {min}: {written_len}");
        }
    }
    // By default LZ4 from 4 KiB on.
    assert_eq!(written(WalOptions::new(), &[b'a'; 4095]), raw_len(4095));
    assert!(written(WalOptions::new(), &[b'a'; 4096]) < 200);
    assert_eq!(written(lz4().min_compression_size(u64::MAX), &[b'a'; 9000]), raw_len(9000));
    let none = WalOptions::new().compression(CompressionType::None).min_compression_size(0);
    assert_eq!(written(none, &[b'a'; 9000]), raw_len(9000));
    let noise = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23).to_le_bytes();
    let noise: Vec<u8> = (1..800).flat_map(|n| noise(n * n)).collect();
    assert_eq!(written(lz4().min_compression_size(0), &noise), raw_len(noise.len() as u64));
}

/// How long the active segment is, how many blocks of 512 bytes it has, and how far it is used.
fn active(root: &Path) -> (u64, u64, u64) {
    let path = files::segments(&root.join("s")).pop().unwrap();
    let metadata = std::fs::metadata(&path).unwrap();
    (metadata.len(), metadata.blocks(), files::used_len(&path))
}

#[test]
fn space_is_reserved_or_zeroed_or_left_as_the_option_says() {
    let cases = [Preallocation::Reserve, Preallocation::Zeros, Preallocation::Off];
    for preallocation in cases {
        let root = tempfile::tempdir().unwrap();
        let options = WalOptions::new().preallocation(preallocation);
        let options = options.compression(CompressionType::None).max_segment_size(1 << 20);
        let wal = Wal::open(root.path(), options.clone()).unwrap();
        let stream = wal.stream("s").unwrap();
        for n in 1..=20_u8 {
            stream.append(vec![n; 5_000]).unwrap();
        }
        let (len, blocks, used) = active(root.path());
        if preallocation == Preallocation::Off {
            assert!(len - used < 8, "{len} bytes, {used} used");
        } else {
            assert!(len - used > 10_000, "{preallocation:?}: {len} bytes, {used} used");
            assert!(blocks * 512 >= len, "{preallocation:?}: {blocks} blocks for {len} bytes");
        }
        // A sealed one has nothing behind its seal.
        stream.rotate().unwrap();
        let sealed = &files::segments(&root.path().join("s"))[0];
        assert!(files::len(sealed) - files::used_len(sealed) < 8);
        // Space is made ready up to the largest segment, not past it.
        let small = options.clone().max_segment_size(3_000);
        wal.close().unwrap();
        let wal = Wal::open(root.path(), small).unwrap();
        wal.append("s", "x").unwrap();
        assert!(active(root.path()).0 <= 3_000, "{:?}", active(root.path()));
        for n in 0..20 {
            assert_eq!(wal.get("s", n).unwrap().unwrap().len(), 5_000);
        }
    }
}

#[test]
fn a_log_is_read_and_written_with_other_options_at_each_opening() {
    let root = tempfile::tempdir().unwrap();
    let entry = |n: u64| format!("{n} {}", "repeated ".repeat((n % 90) as usize));
    let base = WalOptions::new;
    let runs = [
        base(),
        base().compression(CompressionType::None).preallocation(Preallocation::Zeros),
        base().min_compression_size(0).preallocation(Preallocation::Off).max_segment_size(1_000),
        base().read_strategy(ReadStrategy::StandardIo).sync_mode(SyncMode::Async),
        base().sync_mode(SyncMode::BatchOnly).max_open_segments(1).max_segment_entries(3),
        // Limits are for what is appended: what is there already is read.
        base().max_entry_len(900).max_batch_len(1_700).min_compression_size(64).max_segment_size(1),
        base().max_segment_size(2 << 30).max_segment_entries(u64::from(u32::MAX)),
    ];
    let mut next = 0;
    for (run, options) in runs.iter().cycle().take(2 * runs.len()).enumerate() {
        let wal = Wal::open(root.path(), options.clone()).unwrap();
        let stream = wal.stream("s").unwrap();
        assert_eq!(stream.next_seq().unwrap(), next, "run {run}");
        for n in next..next + 60 {
            assert_eq!(stream.append(entry(n)).unwrap(), n);
        }
        assert_eq!(
            stream.append_batch([entry(next + 60), entry(next + 61)]).unwrap().end,
            next + 62
        );
        next += 62;
        let all: Vec<_> = stream.iter(..).unwrap().map(|found| found.unwrap().data).collect();
        assert_eq!(all.len() as u64, next);
        assert!((0..).zip(&all).all(|(n, found)| *found == entry(n)), "run {run}");
        for n in (0..next).step_by(17) {
            assert_eq!(stream.get(n).unwrap().unwrap(), entry(n), "run {run}");
        }
        if run % 2 == 0 {
            wal.close().unwrap();
        }
        assert!(wal.recovery_reports().iter().all(ironwal::RecoveryReport::is_clean), "run {run}");
    }
}

#[test]
fn segments_end_where_their_limits_say() {
    let root = tempfile::tempdir().unwrap();
    let wal = Wal::open(root.path(), WalOptions::new().max_segment_entries(4)).unwrap();
    for n in 0..10 {
        wal.append("s", format!("{n}")).unwrap();
    }
    let bases: Vec<_> = files::segments(&root.path().join("s"))
        .iter()
        .map(|path| files::name_parts(path).0)
        .collect();
    assert_eq!(bases, [0, 4, 8]);
    let stats = wal.stream("s").unwrap().stats().unwrap();
    assert_eq!((stats.segment_count, stats.next_seq), (3, 10));
    let lens =
        files::segments(&root.path().join("s")).into_iter().map(|path| files::used_len(&path));
    // Without the zeros at their ends, which may be entries' or padding.
    assert!(stats.byte_len.abs_diff(lens.sum()) < 3 * 8, "{stats:?}");
}
