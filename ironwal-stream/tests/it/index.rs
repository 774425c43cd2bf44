//! The index against the segments: it is never the only copy of anything.

use ironwal_format::index::IndexRecord;
use ironwal_format::names::INDEX_FILE;
use ironwal_stream::{Admission, IndexFinding, OpenStream};

use crate::support::{World, entry, sync};

fn fill(stream: &mut OpenStream, count: usize) {
    let mut mark = stream.write.written_mark();
    for n in 0..count {
        let mut frame = entry(n % 90);
        if stream.write.admission(&frame, mark) == Admission::AfterSync {
            mark = sync(stream);
        }
        stream.write.append(&mut frame, mark, || 0).unwrap();
        mark = sync(stream);
    }
}

#[test]
fn an_index_rebuilt_from_the_segments_equals_the_index() {
    let world = World::new(500);
    let mut stream = world.create();
    fill(&mut stream, 60);
    let floor = stream.write.floor();
    stream.sync.write_floor(floor).unwrap();
    drop(stream);
    let kept = world.index();
    assert!(kept.records.len() > 10, "{} records", kept.records.len());
    assert_eq!(kept.records.last(), Some(&IndexRecord::Floor(floor)));
    world.remove(INDEX_FILE);
    let (stream, report) = world.open();
    assert_eq!(report.index, IndexFinding::Missing);
    assert_eq!(world.index(), kept);
    drop(stream);
    let (_, again) = world.open();
    assert!(again.is_clean(), "{again:?}");
    assert_eq!(world.index(), kept);
}

/// Twice the same floor is one record.
#[test]
fn a_floor_is_written_once() {
    let world = World::new(500);
    let mut stream = world.create();
    fill(&mut stream, 3);
    let floor = stream.write.floor();
    stream.sync.write_floor(floor).unwrap();
    let len = world.read(INDEX_FILE).len();
    stream.sync.write_floor(floor).unwrap();
    assert_eq!(world.read(INDEX_FILE).len(), len);
}
