//! Entry bytes are for their readers only.

use ironwal::{Entry, ReadStrategy, ReaderOptions, Wal, WalOptions, WalReader};

/// `Debug` of everything that may hold entries, in every state that they come in. A mapping reaches
/// behind the end of a file whose reserved space was cut off: looking there would be the end.
#[test]
fn nothing_shows_entry_bytes_to_people() {
    const SECRET: &str = "SESAME-OPEN";
    let shown = |what: &dyn std::fmt::Debug| {
        let text = format!("{what:?}{what:#?}");
        let numbers = format!("{:?}", SECRET.as_bytes());
        let numbers = numbers.trim_matches(['[', ']']);
        assert!(!text.contains(SECRET) && !text.contains("SESAME"), "{text}");
        assert!(!text.contains(numbers), "{text}");
        assert!(text.len() < 100_000, "{} characters", text.len());
    };
    for strategy in [ReadStrategy::Mmap, ReadStrategy::StandardIo] {
        let dir = tempfile::tempdir().unwrap();
        let wal = Wal::open(dir.path(), WalOptions::new().read_strategy(strategy)).unwrap();
        let stream = wal.stream("s").unwrap();
        stream.append(SECRET).unwrap();
        stream.append_batch(vec![SECRET; 1000]).unwrap();
        assert_eq!(stream.get(0).unwrap().unwrap(), SECRET);
        let mut iter = stream.iter(..).unwrap();
        let entries: Vec<Entry> = iter.by_ref().take(3).map(Result::unwrap).collect();
        let mut batch = stream.batch();
        batch.push(SECRET).unwrap();
        let options = ReaderOptions::new().read_strategy(strategy);
        let reader = WalReader::open_with(dir.path(), options).unwrap();
        let follower = reader.stream("s").unwrap();
        let mut followed = follower.iter(..).unwrap();
        followed.next().unwrap().unwrap();
        for _ in 0..2 {
            let all: [&dyn std::fmt::Debug; 8] =
                [&wal, &stream, &iter, &entries, &batch, &reader, &follower, &followed];
            all.into_iter().for_each(shown);
            // The reserved space is cut off below what is mapped.
            stream.rotate().unwrap();
        }
    }
}

#[test]
fn a_closed_log_holds_nothing_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let wal = Wal::open(dir.path(), WalOptions::new()).unwrap();
    for key in ["a", "b", "c"] {
        wal.append(key, "entry").unwrap();
        wal.get(key, 0).unwrap().unwrap();
    }
    let stats = wal.stats();
    assert_eq!((stats.open_segment_count, stats.mapped_segment_count), (3, 3));
    wal.close().unwrap();
    let stats = wal.stats();
    assert_eq!((stats.open_segment_count, stats.mapped_segment_count), (0, 0));
    assert_eq!(stats.counts.entry_count, 3);
}
