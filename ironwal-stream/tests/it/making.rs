//! The making and the removal of a stream, call by call.

use ironwal_format::names::{INDEX_FILE, segment_file_name};
use ironwal_format::{Ordinal, SequenceNumber};
use ironwal_segment::storage::{OpenMode, Storage, StoragePath};
use ironwal_stream::{Deleted, delete, holds_ours, remove_remains};

use crate::support::World;
use crate::traced::Traced;

const ENOTDIR: i32 = 20;
const EACCES: i32 = 13;
const TRASH: &str = ".trash-00000000000000000000000000000001";

fn trash() -> [u8; 16] {
    1_u128.to_le_bytes()
}

fn make_file(storage: &dyn Storage, path: StoragePath<'_>) {
    let file = storage.open(path, OpenMode::CreateNew).unwrap();
    ironwal_segment::io::write_all(&*file, b"x", 0).unwrap();
}

fn names(storage: &dyn Storage, dir: StoragePath<'_>) -> Vec<String> {
    storage.list(dir).unwrap().into_iter().map(|entry| entry.name).collect()
}

const MADE: [&str; 10] = [
    "create_dir .new-s",
    "create .new-s/0",
    "write .new-s/0",
    "sync .new-s/0",
    "create .new-s/segments.idx",
    "write .new-s/segments.idx",
    "sync .new-s/segments.idx",
    "sync_dir .new-s",
    "rename s",
    "sync_dir ",
];

/// In this order: a crash leaves nothing, or an empty stream.
#[test]
fn a_stream_is_made_beside_its_place_and_moved_there_when_it_is_durable() {
    let traced = Traced::new();
    let world = World::on(traced.storage(), 500);
    drop(world.create());
    assert_eq!(traced.changes(), MADE);
    let (stream, _) = world.open();
    assert_eq!(stream.write.next(), SequenceNumber::ZERO);
}

#[test]
fn what_an_interrupted_making_left_is_removed_first() {
    let traced = Traced::new();
    let world = World::on(traced.storage(), 500);
    traced.refuse("rename s", EACCES);
    world.try_create().expect_err("it cannot be moved into its place");
    traced.grant();
    traced.changes();
    drop(world.create());
    let removed = ["unlink .new-s/0", "unlink .new-s/segments.idx", "remove_dir .new-s"];
    let expected: Vec<_> = removed.into_iter().chain(MADE).collect();
    assert_eq!(traced.changes(), expected);
    assert_eq!(names(&traced, StoragePath::ROOT), ["s"]);
}

/// Each step is durable before the next one that needs it, and what fails is told.
#[test]
fn no_failure_in_making_a_stream_is_passed_over() {
    for call in MADE {
        let traced = Traced::new();
        let world = World::on(traced.storage(), 500);
        traced.refuse(call, EACCES);
        world.try_create().expect_err(call);
        traced.grant();
        match call {
            // It is there, and empty.
            "sync_dir " => assert_eq!(world.open().0.write.next(), SequenceNumber::ZERO),
            _ => drop(world.create()),
        }
    }
}

#[test]
fn a_stream_is_renamed_durably_before_its_files_are_removed() {
    let traced = Traced::new();
    let world = World::on(traced.storage(), 500);
    drop(world.create());
    traced.changes();
    assert_eq!(delete(&traced, &world.key, trash()).unwrap(), Deleted::Yes);
    let unlinked = ["0", INDEX_FILE].map(|name| format!("unlink {TRASH}/{name}"));
    let [first, second] = unlinked;
    let renamed = format!("rename {TRASH}");
    let removed = format!("remove_dir {TRASH}");
    let expected = [renamed, "sync_dir ".to_owned(), first, second, removed];
    assert_eq!(traced.changes(), expected);
    assert!(names(&traced, StoragePath::ROOT).is_empty());

    assert_eq!(delete(&traced, &world.key, trash()).unwrap(), Deleted::Absent);
    assert_eq!(traced.changes(), ["sync_dir "], "the deletion before may not have come to it");

    for call in expected.iter().map(String::as_str).chain(["list s", &format!("list {TRASH}")]) {
        drop(world.create());
        traced.refuse(call, EACCES);
        delete(&traced, &world.key, trash()).expect_err(call);
        traced.grant();
        if call.starts_with("rename") || call == "list s" {
            assert_eq!(delete(&traced, &world.key, trash()).unwrap(), Deleted::Yes);
        } else {
            assert_eq!(delete(&traced, &world.key, trash()).unwrap(), Deleted::Absent);
            remove_remains(&traced, TRASH).unwrap();
        }
        assert!(names(&traced, StoragePath::ROOT).is_empty(), "{call}");
    }
}

/// Also where it has the name of one of our files, and is a directory.
#[test]
fn what_is_not_ours_stays_when_a_stream_is_deleted() {
    let traced = Traced::new();
    let world = World::on(traced.storage(), 500);
    drop(world.create());
    let dir = StoragePath::new("s");
    make_file(&traced, dir.join("notes.txt"));
    let lookalike = segment_file_name(SequenceNumber::new(7), Ordinal::new(7));
    traced.create_dir(dir.join(&lookalike)).unwrap();
    assert_eq!(delete(&traced, &world.key, trash()).unwrap(), Deleted::Yes);
    assert_eq!(names(&traced, StoragePath::new(TRASH)), [lookalike, "notes.txt".to_owned()]);
    assert_eq!(names(&traced, StoragePath::ROOT), [TRASH]);
    remove_remains(&traced, TRASH).unwrap();
    remove_remains(&traced, "nothing of that name").unwrap();
}

#[test]
fn a_directory_is_a_streams_if_it_holds_anything_of_ours() {
    let traced = Traced::new();
    let dir = StoragePath::new("s");
    assert!(!holds_ours(&traced, dir).unwrap(), "there is none");
    make_file(&traced, dir);
    assert!(!holds_ours(&traced, dir).unwrap(), "it is a file");
    traced.unlink(dir).unwrap();
    traced.create_dir(dir).unwrap();
    make_file(&traced, dir.join("notes.txt"));
    assert!(!holds_ours(&traced, dir).unwrap(), "it is somebody's");
    make_file(&traced, dir.join(INDEX_FILE));
    assert!(holds_ours(&traced, dir).unwrap());
    traced.refuse("list s", EACCES);
    holds_ours(&traced, dir).expect_err("nobody knows");
    traced.refuse("list s", ENOTDIR);
    assert!(!holds_ours(&traced, dir).unwrap());
}
