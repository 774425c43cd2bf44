//! What every [`Storage`] does, one claim of its documentation after the other.
//!
//! Tests of other storages include this file too: the claims stand once.

use std::io;
use std::io::ErrorKind::{
    AlreadyExists, DirectoryNotEmpty, InvalidFilename, InvalidInput, IsADirectory, NotADirectory,
    NotFound, Unsupported, WouldBlock,
};
use std::sync::Arc;
use std::thread;

use ironwal_segment::storage::{
    DirEntry, EntryKind, OpenMode, Storage, StorageFile, StorageLock, StoragePath,
};

/// Makes a test of each claim for the storage that the expression gives, with a guard beside it that
/// lives as long.
macro_rules! conformance_tests {
    ($fresh:expr) => {
        crate::conformance::conformance_tests!($fresh;
            a_new_file_is_empty_and_its_name_is_taken,
            absence_is_not_found,
            only_regular_files_are_opened,
            a_file_is_no_directory_to_look_into,
            the_root_has_no_name_of_its_own,
            too_long_a_name_is_an_error,
            reads_end_where_the_file_ends,
            writes_past_the_end_leave_zeros_between,
            a_handle_to_read_changes_nothing,
            handles_share_the_bytes,
            cut_bytes_are_gone_and_growth_is_zeros,
            allocate_only_ever_grows,
            lengths_beyond_all_limits_are_errors,
            lengths_are_told_of_many_files_at_once,
            a_directory_is_made_once,
            only_empty_directories_are_removed,
            rename_moves_a_file_and_replaces_another,
            rename_of_a_directory_takes_what_is_in_it,
            rename_respects_kinds,
            rename_onto_itself_changes_nothing,
            rename_does_not_make_loops,
            unlink_leaves_handles_and_mappings_valid,
            unlink_leaves_directories_alone,
            list_names_everything_with_its_kind,
            list_refuses_what_is_no_directory,
            syncs_succeed_on_what_exists,
            a_held_lock_would_block,
            a_lock_is_a_file_made_or_found,
            a_mapping_holds_the_first_bytes,
            a_mapping_longer_than_the_file_is_refused,
            a_mapping_outlives_its_handle_and_later_growth,
            display_ends_in_the_names,
            threads_write_side_by_side,
        );
    };
    ($fresh:expr; $($claim:ident,)*) => {
        $(
            #[test]
            fn $claim() {
                let (storage, _guard) = $fresh;
                crate::conformance::$claim(&storage);
            }
        )*
    };
}
pub(crate) use conformance_tests;

const ROOT: StoragePath<'static> = StoragePath::ROOT;
const MODES: [OpenMode; 2] = [OpenMode::Read, OpenMode::ReadWrite];

pub(crate) fn path(name: &str) -> StoragePath<'_> {
    match name.split_once('/') {
        None => StoragePath::new(name),
        Some((dir, name)) => StoragePath::new(dir).join(name),
    }
}

#[track_caller]
pub(crate) fn refused<T>(result: io::Result<T>) -> io::ErrorKind {
    match result {
        Ok(_) => panic!("should have been refused"),
        Err(error) => error.kind(),
    }
}

pub(crate) fn put(storage: &dyn Storage, name: &str, bytes: &[u8]) -> Arc<dyn StorageFile> {
    let file = storage.open(path(name), OpenMode::CreateNew).unwrap();
    assert_eq!(file.write_at(bytes, 0).unwrap(), bytes.len());
    file
}

pub(crate) fn bytes_of(file: &dyn StorageFile) -> Vec<u8> {
    let len = file.file_len().unwrap();
    let mut bytes = vec![0xEE; usize::try_from(len).unwrap() + 1];
    let count = file.read_at(&mut bytes, 0).unwrap();
    assert_eq!(u64::try_from(count).unwrap(), len);
    bytes.truncate(count);
    bytes
}

pub(crate) fn get(storage: &dyn Storage, name: &str) -> Vec<u8> {
    bytes_of(&*storage.open(path(name), OpenMode::Read).unwrap())
}

pub(crate) fn listed(storage: &dyn Storage, dir: StoragePath<'_>) -> Vec<(String, EntryKind)> {
    let named = |DirEntry { name, kind }| (name, kind);
    let mut names: Vec<_> = storage.list(dir).unwrap().into_iter().map(named).collect();
    names.sort_by(|a, b| a.0.cmp(&b.0));
    names
}

pub(crate) fn a_new_file_is_empty_and_its_name_is_taken(storage: &dyn Storage) {
    let file = storage.open(path("a"), OpenMode::CreateNew).unwrap();
    assert_eq!(file.file_len().unwrap(), 0);
    assert_eq!(refused(storage.open(path("a"), OpenMode::CreateNew)), AlreadyExists);
    storage.create_dir(path("d")).unwrap();
    assert_eq!(refused(storage.open(path("d"), OpenMode::CreateNew)), AlreadyExists);
    storage.open(path("d/a"), OpenMode::CreateNew).unwrap();
    assert_eq!(refused(storage.open(path("d/a"), OpenMode::CreateNew)), AlreadyExists);
}

pub(crate) fn absence_is_not_found(storage: &dyn Storage) {
    storage.create_dir(path("d")).unwrap();
    put(storage, "here", b"");
    for name in ["a", "d/a", "missing/a"] {
        for mode in MODES {
            assert_eq!(refused(storage.open(path(name), mode)), NotFound, "{name} {mode:?}");
        }
        assert_eq!(refused(storage.unlink(path(name))), NotFound, "{name}");
        assert_eq!(refused(storage.remove_dir(path(name))), NotFound, "{name}");
        assert_eq!(refused(storage.rename(path(name), path("b"))), NotFound, "{name}");
        assert_eq!(refused(storage.list(path(name))), NotFound, "{name}");
        assert_eq!(refused(storage.sync_dir(path(name))), NotFound, "{name}");
    }
    assert_eq!(refused(storage.open(path("missing/a"), OpenMode::CreateNew)), NotFound);
    assert_eq!(refused(storage.create_dir(path("missing/a"))), NotFound);
    assert_eq!(refused(storage.lock(path("missing/a"))), NotFound);
    assert_eq!(refused(storage.rename(path("here"), path("missing/a"))), NotFound);
    assert_eq!(get(storage, "here"), b"");
}

pub(crate) fn only_regular_files_are_opened(storage: &dyn Storage) {
    storage.create_dir(path("d")).unwrap();
    storage.create_dir(path("d/e")).unwrap();
    for name in ["d", "d/e"] {
        for mode in MODES {
            assert_eq!(refused(storage.open(path(name), mode)), InvalidInput, "{name} {mode:?}");
        }
        assert_eq!(refused(storage.lock(path(name))), InvalidInput, "{name}");
    }
}

pub(crate) fn a_file_is_no_directory_to_look_into(storage: &dyn Storage) {
    put(storage, "f", b"kept");
    put(storage, "g", b"kept");
    for mode in [OpenMode::Read, OpenMode::ReadWrite, OpenMode::CreateNew] {
        assert_eq!(refused(storage.open(path("f/a"), mode)), InvalidInput, "{mode:?}");
    }
    assert_eq!(refused(storage.lock(path("f/a"))), InvalidInput);
    assert_eq!(refused(storage.create_dir(path("f/a"))), NotADirectory);
    assert_eq!(refused(storage.remove_dir(path("f/a"))), NotADirectory);
    assert_eq!(refused(storage.unlink(path("f/a"))), NotADirectory);
    assert_eq!(refused(storage.rename(path("g"), path("f/a"))), NotADirectory);
    assert_eq!(refused(storage.rename(path("f"), path("f/a"))), NotADirectory);
    assert_eq!(refused(storage.rename(path("f/a"), path("g"))), NotADirectory);
    assert_eq!(get(storage, "f"), b"kept");
    assert_eq!(get(storage, "g"), b"kept");
}

pub(crate) fn the_root_has_no_name_of_its_own(storage: &dyn Storage) {
    for mode in [OpenMode::Read, OpenMode::ReadWrite, OpenMode::CreateNew] {
        assert_eq!(refused(storage.open(ROOT, mode)), InvalidInput, "{mode:?}");
    }
    assert_eq!(refused(storage.lock(ROOT)), InvalidInput);
    assert_eq!(refused(storage.create_dir(ROOT)), InvalidInput);
    assert_eq!(refused(storage.remove_dir(ROOT)), InvalidInput);
    assert_eq!(refused(storage.unlink(ROOT)), InvalidInput);
    assert_eq!(refused(storage.rename(ROOT, path("a"))), InvalidInput);
    put(storage, "a", b"kept");
    assert_eq!(refused(storage.rename(path("a"), ROOT)), InvalidInput);
    assert_eq!(get(storage, "a"), b"kept");
}

pub(crate) fn too_long_a_name_is_an_error(storage: &dyn Storage) {
    let longest = "n".repeat(255);
    put(storage, &longest, b"1");
    assert_eq!(get(storage, &longest), b"1");
    let longer = "n".repeat(256);
    assert_eq!(refused(storage.open(path(&longer), OpenMode::CreateNew)), InvalidFilename);
    assert_eq!(refused(storage.open(path(&longer), OpenMode::Read)), InvalidFilename);
    assert_eq!(refused(storage.create_dir(path(&longer))), InvalidFilename);
    assert_eq!(refused(storage.rename(path(&longest), path(&longer))), InvalidFilename);
    assert_eq!(get(storage, &longest), b"1");
}

pub(crate) fn reads_end_where_the_file_ends(storage: &dyn Storage) {
    let file = put(storage, "a", b"0123456789");
    let mut buf = [b'-'; 4];
    assert_eq!(file.read_at(&mut buf, 3).unwrap(), 4);
    assert_eq!(&buf, b"3456");
    assert_eq!(file.read_at(&mut buf, 8).unwrap(), 2);
    assert_eq!(&buf, b"8956");
    assert_eq!(file.read_at(&mut buf, 10).unwrap(), 0);
    assert_eq!(file.read_at(&mut buf, 1 << 40).unwrap(), 0);
    assert_eq!(file.read_at(&mut [], 3).unwrap(), 0);
    assert_eq!(&buf, b"8956");
}

pub(crate) fn writes_past_the_end_leave_zeros_between(storage: &dyn Storage) {
    let file = put(storage, "a", b"ab");
    assert_eq!(file.write_at(b"cd", 5).unwrap(), 2);
    assert_eq!(bytes_of(&*file), b"ab\0\0\0cd");
    assert_eq!(file.write_at(b"xyz", 1).unwrap(), 3);
    assert_eq!(bytes_of(&*file), b"axyz\0cd");
    assert_eq!(file.write_at(b"", 100).unwrap(), 0);
    assert_eq!(file.file_len().unwrap(), 7);
}

pub(crate) fn a_handle_to_read_changes_nothing(storage: &dyn Storage) {
    put(storage, "a", b"kept");
    let file = storage.open(path("a"), OpenMode::Read).unwrap();
    assert!(file.write_at(b"new", 0).is_err());
    assert!(file.set_len(1).is_err());
    assert!(file.allocate(100).is_err());
    file.sync_data().unwrap();
    assert_eq!(bytes_of(&*file), b"kept");
}

pub(crate) fn handles_share_the_bytes(storage: &dyn Storage) {
    let first = put(storage, "a", b"one");
    let second = storage.open(path("a"), OpenMode::ReadWrite).unwrap();
    let reader = storage.open(path("a"), OpenMode::Read).unwrap();
    second.write_at(b"two", 3).unwrap();
    first.write_at(b"ONE", 0).unwrap();
    for file in [first, second, reader] {
        assert_eq!(bytes_of(&*file), b"ONEtwo");
    }
}

pub(crate) fn cut_bytes_are_gone_and_growth_is_zeros(storage: &dyn Storage) {
    let file = put(storage, "a", b"0123456789");
    file.set_len(4).unwrap();
    assert_eq!(bytes_of(&*file), b"0123");
    file.set_len(8).unwrap();
    assert_eq!(bytes_of(&*file), b"0123\0\0\0\0");
    file.set_len(0).unwrap();
    assert_eq!(bytes_of(&*file), b"");
    file.write_at(b"x", 2).unwrap();
    assert_eq!(bytes_of(&*file), b"\0\0x");
}

pub(crate) fn allocate_only_ever_grows(storage: &dyn Storage) {
    let file = put(storage, "a", b"0123");
    match file.allocate(10) {
        Ok(()) => assert_eq!(bytes_of(&*file), b"0123\0\0\0\0\0\0"),
        Err(error) => {
            assert_eq!(error.kind(), Unsupported);
            assert_eq!(bytes_of(&*file), b"0123");
            return;
        }
    }
    for len in [0, 4, 9, 10] {
        file.allocate(len).unwrap();
        assert_eq!(bytes_of(&*file), b"0123\0\0\0\0\0\0", "{len}");
    }
    file.write_at(b"456", 4).unwrap();
    file.allocate(12).unwrap();
    assert_eq!(bytes_of(&*file), b"0123456\0\0\0\0\0");
}

pub(crate) fn lengths_beyond_all_limits_are_errors(storage: &dyn Storage) {
    let file = put(storage, "a", b"kept");
    for len in [1 << 62, u64::MAX - 1, u64::MAX] {
        assert!(file.write_at(b"x", len).is_err(), "{len}");
        assert!(file.set_len(len).is_err(), "{len}");
        assert!(file.allocate(len).is_err(), "{len}");
        assert_eq!(refused(file.map(len)), InvalidInput, "{len}");
    }
    assert_eq!(bytes_of(&*file), b"kept");
}

pub(crate) fn lengths_are_told_of_many_files_at_once(storage: &dyn Storage) {
    storage.create_dir(path("d")).unwrap();
    storage.create_dir(path("d/e")).unwrap();
    put(storage, "d/long", b"0123456789");
    put(storage, "d/empty", b"");
    put(storage, "f", b"kept");
    let lens = |dir, names: &[&str]| {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        storage.file_lens(dir, &names)
    };
    let dir = path("d");
    assert_eq!(lens(dir, &["long", "empty", "long"]).unwrap(), [10, 0, 10]);
    assert_eq!(lens(StoragePath::ROOT, &["f"]).unwrap(), [4]);
    assert!(lens(dir, &[]).unwrap().is_empty());
    assert_eq!(refused(lens(dir, &["long", "absent"])), NotFound);
    assert_eq!(refused(lens(path("absent"), &["long"])), NotFound);
    assert_eq!(refused(lens(dir, &["long", "e"])), InvalidInput);
    assert_eq!(refused(lens(path("f"), &["long"])), InvalidInput);
}

pub(crate) fn a_directory_is_made_once(storage: &dyn Storage) {
    storage.create_dir(path("d")).unwrap();
    assert_eq!(refused(storage.create_dir(path("d"))), AlreadyExists);
    put(storage, "f", b"");
    assert_eq!(refused(storage.create_dir(path("f"))), AlreadyExists);
    assert_eq!(listed(storage, path("d")), []);
}

pub(crate) fn only_empty_directories_are_removed(storage: &dyn Storage) {
    storage.create_dir(path("d")).unwrap();
    put(storage, "d/f", b"kept");
    assert_eq!(refused(storage.remove_dir(path("d"))), DirectoryNotEmpty);
    assert_eq!(refused(storage.remove_dir(path("d/f"))), NotADirectory);
    assert_eq!(get(storage, "d/f"), b"kept");
    storage.unlink(path("d/f")).unwrap();
    storage.remove_dir(path("d")).unwrap();
    assert_eq!(refused(storage.list(path("d"))), NotFound);
}

pub(crate) fn rename_moves_a_file_and_replaces_another(storage: &dyn Storage) {
    storage.create_dir(path("d")).unwrap();
    let moved = put(storage, "a", b"new");
    let replaced = put(storage, "d/b", b"old");
    storage.rename(path("a"), path("d/b")).unwrap();
    assert_eq!(refused(storage.open(path("a"), OpenMode::Read)), NotFound);
    assert_eq!(get(storage, "d/b"), b"new");
    assert_eq!(bytes_of(&*replaced), b"old");
    moved.write_at(b"NEW", 0).unwrap();
    assert_eq!(get(storage, "d/b"), b"NEW");
    storage.rename(path("d/b"), path("d/c")).unwrap();
    assert_eq!(listed(storage, path("d")), [("c".to_owned(), EntryKind::File)]);
}

pub(crate) fn rename_of_a_directory_takes_what_is_in_it(storage: &dyn Storage) {
    storage.create_dir(path("d")).unwrap();
    let file = put(storage, "d/f", b"1");
    storage.create_dir(path("empty")).unwrap();
    storage.rename(path("d"), path("empty")).unwrap();
    assert_eq!(listed(storage, ROOT), [("empty".to_owned(), EntryKind::Dir)]);
    file.write_at(b"2", 1).unwrap();
    assert_eq!(get(storage, "empty/f"), b"12");
}

pub(crate) fn rename_respects_kinds(storage: &dyn Storage) {
    storage.create_dir(path("d")).unwrap();
    storage.create_dir(path("full")).unwrap();
    put(storage, "full/f", b"kept");
    put(storage, "f", b"kept");
    let before = listed(storage, ROOT);
    assert_eq!(refused(storage.rename(path("d"), path("full"))), DirectoryNotEmpty);
    assert_eq!(refused(storage.rename(path("d"), path("f"))), NotADirectory);
    assert_eq!(refused(storage.rename(path("f"), path("d"))), IsADirectory);
    assert_eq!(refused(storage.rename(path("f"), path("full"))), IsADirectory);
    assert_eq!(listed(storage, ROOT), before);
    assert_eq!(get(storage, "full/f"), b"kept");
}

pub(crate) fn rename_onto_itself_changes_nothing(storage: &dyn Storage) {
    storage.create_dir(path("d")).unwrap();
    put(storage, "d/f", b"kept");
    storage.rename(path("d/f"), path("d/f")).unwrap();
    storage.rename(path("d"), path("d")).unwrap();
    assert_eq!(get(storage, "d/f"), b"kept");
    assert_eq!(refused(storage.rename(path("a"), path("a"))), NotFound);
}

pub(crate) fn rename_does_not_make_loops(storage: &dyn Storage) {
    storage.create_dir(path("d")).unwrap();
    storage.create_dir(path("d/e")).unwrap();
    put(storage, "d/f", b"kept");
    assert_eq!(refused(storage.rename(path("d"), path("d/new"))), InvalidInput);
    assert_eq!(refused(storage.rename(path("d"), path("d/e"))), InvalidInput);
    assert_eq!(refused(storage.rename(path("d"), path("d/f"))), InvalidInput);
    assert_eq!(refused(storage.rename(path("d/f"), path("d"))), DirectoryNotEmpty);
    assert_eq!(refused(storage.rename(path("d/e"), path("d"))), DirectoryNotEmpty);
    assert_eq!(get(storage, "d/f"), b"kept");
}

pub(crate) fn unlink_leaves_handles_and_mappings_valid(storage: &dyn Storage) {
    let file = put(storage, "a", b"old bytes");
    let mapping = file.map(9).unwrap();
    storage.unlink(path("a")).unwrap();
    assert_eq!(listed(storage, ROOT), []);
    put(storage, "a", b"new");
    assert_eq!(bytes_of(&*file), b"old bytes");
    file.write_at(b"!", 9).unwrap();
    file.sync_data().unwrap();
    assert_eq!(bytes_of(&*file), b"old bytes!");
    drop(file);
    assert_eq!(mapping, b"old bytes".as_slice());
    assert_eq!(get(storage, "a"), b"new");
}

pub(crate) fn unlink_leaves_directories_alone(storage: &dyn Storage) {
    storage.create_dir(path("d")).unwrap();
    assert_eq!(refused(storage.unlink(path("d"))), IsADirectory);
    assert_eq!(listed(storage, path("d")), []);
}

pub(crate) fn list_names_everything_with_its_kind(storage: &dyn Storage) {
    assert_eq!(listed(storage, ROOT), []);
    storage.create_dir(path("d")).unwrap();
    put(storage, ".hidden", b"");
    for i in 0..300 {
        put(storage, &format!("d/{i:03}"), b"");
    }
    assert_eq!(
        listed(storage, ROOT),
        [(".hidden".to_owned(), EntryKind::File), ("d".to_owned(), EntryKind::Dir)]
    );
    let names = listed(storage, path("d"));
    let expected: Vec<_> = (0..300).map(|i| (format!("{i:03}"), EntryKind::File)).collect();
    assert_eq!(names, expected);
    assert_eq!(listed(storage, path("d")), expected, "a second listing begins at the front");
}

pub(crate) fn list_refuses_what_is_no_directory(storage: &dyn Storage) {
    put(storage, "f", b"");
    storage.create_dir(path("d")).unwrap();
    put(storage, "d/f", b"");
    for name in ["f", "d/f", "f/a"] {
        assert_eq!(refused(storage.list(path(name))), NotADirectory, "{name}");
        assert_eq!(refused(storage.sync_dir(path(name))), NotADirectory, "{name}");
    }
}

pub(crate) fn syncs_succeed_on_what_exists(storage: &dyn Storage) {
    storage.create_dir(path("d")).unwrap();
    let file = put(storage, "d/f", b"1");
    file.sync_data().unwrap();
    storage.sync_dir(path("d")).unwrap();
    storage.sync_dir(ROOT).unwrap();
    assert_eq!(bytes_of(&*file), b"1");
}

pub(crate) fn a_held_lock_would_block(storage: &dyn Storage) {
    let held = storage.lock(path("a")).unwrap();
    assert_eq!(refused(storage.lock(path("a"))), WouldBlock);
    let other = storage.lock(path("b")).unwrap();
    drop(held);
    let again: Box<dyn StorageLock> = storage.lock(path("a")).unwrap();
    assert_eq!(refused(storage.lock(path("a"))), WouldBlock);
    assert_eq!(refused(storage.lock(path("b"))), WouldBlock);
    drop((again, other));
    storage.lock(path("b")).unwrap();
}

pub(crate) fn a_lock_is_a_file_made_or_found(storage: &dyn Storage) {
    drop(storage.lock(path("made")).unwrap());
    assert_eq!(get(storage, "made"), b"");
    put(storage, "found", b"kept");
    let held = storage.lock(path("found")).unwrap();
    assert_eq!(get(storage, "found"), b"kept");
    drop(held);
    assert_eq!(listed(storage, ROOT).len(), 2);
}

pub(crate) fn a_mapping_holds_the_first_bytes(storage: &dyn Storage) {
    put(storage, "a", b"0123456789");
    let file = storage.open(path("a"), OpenMode::Read).unwrap();
    for len in 0..=10_u8 {
        let mapping = file.map(u64::from(len)).unwrap();
        assert_eq!(mapping, b"0123456789"[..usize::from(len)]);
    }
}

pub(crate) fn a_mapping_longer_than_the_file_is_refused(storage: &dyn Storage) {
    let file = put(storage, "a", b"0123456789");
    assert_eq!(refused(file.map(11)), InvalidInput);
    let empty = put(storage, "b", b"");
    assert_eq!(empty.map(0).unwrap().len(), 0);
    assert_eq!(refused(empty.map(1)), InvalidInput);
}

pub(crate) fn a_mapping_outlives_its_handle_and_later_growth(storage: &dyn Storage) {
    let file = put(storage, "a", b"01234");
    let mapping = file.map(5).unwrap();
    let part = mapping.slice(1..3);
    file.write_at(b"56789", 5).unwrap();
    storage.rename(path("a"), path("b")).unwrap();
    drop(file);
    assert_eq!(mapping, b"01234".as_slice());
    drop(mapping);
    assert_eq!(part, b"12".as_slice());
}

pub(crate) fn display_ends_in_the_names(storage: &dyn Storage) {
    assert!(storage.display(path("d/f")).ends_with("d/f"));
    assert!(storage.display(path("d/f")).starts_with(storage.display(ROOT)));
    assert!(!format!("{storage:?}").is_empty());
}

pub(crate) fn threads_write_side_by_side(storage: &dyn Storage) {
    let file = put(storage, "a", b"");
    thread::scope(|scope| {
        for id in 0..4_u8 {
            let file = &file;
            scope.spawn(move || {
                for i in 0..64_u64 {
                    let offset = (i * 4 + u64::from(id)) * 8;
                    assert_eq!(file.write_at(&[b'a' + id; 8], offset).unwrap(), 8);
                    file.sync_data().unwrap();
                }
            });
        }
    });
    let expected: Vec<u8> = (0..64).flat_map(|_| b"abcd").flat_map(|&letter| [letter; 8]).collect();
    assert_eq!(bytes_of(&*file), expected);
}
