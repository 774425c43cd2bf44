//! What is not as it should be in the directory of a stream, and is no damage to its bytes.

use ironwal_format::StreamKey;
use ironwal_format::index::MAX_INDEX_LEN;
use ironwal_format::names::INDEX_FILE;
use ironwal_segment::storage::{OpenMode, StoragePath};
use ironwal_stream::{Deleted, ErrorKind, IndexFinding, delete};

use crate::support::{World, entry, sync};

fn filled(count: usize) -> World {
    let world = World::new(500);
    let mut stream = world.create();
    let mut mark = stream.write.written_mark();
    for _ in 0..count {
        stream.write.append(&mut entry(90), mark, || 0).unwrap();
        mark = sync(&mut stream);
    }
    world
}

#[test]
fn where_there_is_no_stream_none_is_deleted_and_nothing_is_changed() {
    let world = filled(1);
    let root = || world.storage.list(StoragePath::ROOT).unwrap().len();
    let before = root();
    let absent = StreamKey::new("another").unwrap();
    assert_eq!(delete(&*world.storage, &absent, [1; 16]).unwrap(), Deleted::Absent);
    assert_eq!(root(), before);
    assert_eq!(delete(&*world.storage, &world.key, [1; 16]).unwrap(), Deleted::Yes);
    assert_eq!(root(), before - 1);
    assert_eq!(delete(&*world.storage, &world.key, [1; 16]).unwrap(), Deleted::Absent);
}

/// Also where it is the last, whose header is looked at before all others.
#[test]
fn a_directory_that_has_the_name_of_a_segment_is_refused_as_not_ours() {
    let count = filled(12).segment_names().len();
    assert!(count > 2, "{count} segments");
    for at in 0..count {
        let world = filled(12);
        let name = world.segment_names().remove(at);
        world.remove(&name);
        world.storage.create_dir(StoragePath::new("s").join(&name)).unwrap();
        for _ in 0..2 {
            let report = world.refused();
            let told = report.damage.iter().find(|damage| damage.error.path().ends_with(&name));
            let kind = told.map(|damage| damage.error.kind());
            assert!(matches!(kind, Some(ErrorKind::NotOurs)), "{name}: {report:#?}");
            assert_eq!(world.segment_names().len(), count);
        }
    }
}

/// It is not read, whatever is in it, and made again from the segments.
#[test]
fn an_index_that_is_too_long_is_wrong_and_is_replaced() {
    let world = filled(12);
    drop(world.open());
    let kept = world.read(INDEX_FILE);
    let path = StoragePath::new("s").join(INDEX_FILE);
    let file = world.storage.open(path, OpenMode::ReadWrite).unwrap();
    file.set_len(MAX_INDEX_LEN + 1).unwrap();
    let (stream, report) = world.open();
    assert_eq!((report.index, stream.write.next().get()), (IndexFinding::Wrong, 12));
    assert!(report.damage.is_empty(), "{report:#?}");
    assert_eq!(world.read(INDEX_FILE), kept);
}

/// What a power cut may leave of a stream whose making had come as far as its name, and of a file that somebody
/// else had put into it by then.
#[test]
fn what_is_not_ours_where_a_stream_was_being_made_stays_and_does_not_keep_it_from_being_made() {
    let world = World::new(500);
    let put = |path: StoragePath<'_>| drop(world.storage.open(path, OpenMode::CreateNew).unwrap());
    world.storage.create_dir(StoragePath::new(".new-s")).unwrap();
    put(StoragePath::new(".new-s").join("notes"));
    put(StoragePath::new(".new-s+1"));
    for trash in 1..3 {
        drop(world.create());
        drop(world.open());
        assert_eq!(delete(&*world.storage, &world.key, [trash; 16]).unwrap(), Deleted::Yes);
    }
    let names = |path| {
        let found = world.storage.list(path).unwrap();
        let mut names: Vec<_> = found.into_iter().map(|entry| entry.name).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(StoragePath::ROOT), [".new-s", ".new-s+1"]);
    assert_eq!(names(StoragePath::new(".new-s")), ["notes"]);
}
