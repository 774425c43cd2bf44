//! The storages of this crate, and what strangers may have planted in a real directory.

use std::fs;
use std::io::ErrorKind::{AlreadyExists, InvalidInput, NotADirectory, NotFound, WouldBlock};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use ironwal_segment::storage::{
    EntryKind, MemStorage, OpenMode, StdStorage, Storage as _, StoragePath,
};
use tempfile::TempDir;

use crate::conformance::{bytes_of, get, listed, path, put, refused};

mod mem {
    crate::conformance::conformance_tests!((ironwal_segment::storage::MemStorage::new(), ()));
}

mod std_fs {
    crate::conformance::conformance_tests!(super::fresh());
}

fn fresh() -> (StdStorage, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (StdStorage::open(dir.path()).unwrap(), dir)
}

fn mode_of(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Plants one of each kind that is neither a file nor a directory; all under short names.
fn plant(root: &Path) -> Vec<&'static str> {
    fs::write(root.join("real"), b"kept").unwrap();
    symlink("real", root.join("link-to-file")).unwrap();
    symlink("nowhere", root.join("link-to-nothing")).unwrap();
    symlink("link-to-itself", root.join("link-to-itself")).unwrap();
    StdStorage::create(root.join("real-dir")).unwrap();
    symlink("real-dir", root.join("link-to-dir")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, root.join("fifo"), rustix::fs::Mode::RWXU).unwrap();
    drop(UnixListener::bind(root.join("socket")).unwrap());
    vec!["link-to-file", "link-to-nothing", "link-to-itself", "link-to-dir", "fifo", "socket"]
}

#[test]
fn what_is_planted_as_a_file_is_refused_without_waiting_or_following() {
    let (storage, dir) = fresh();
    for name in plant(dir.path()) {
        for mode in [OpenMode::Read, OpenMode::ReadWrite] {
            assert_eq!(refused(storage.open(path(name), mode)), InvalidInput, "{name} {mode:?}");
        }
        assert_eq!(refused(storage.open(path(name), OpenMode::CreateNew)), AlreadyExists, "{name}");
        let names = ["real".to_owned(), name.to_owned()];
        assert_eq!(refused(storage.file_lens(StoragePath::ROOT, &names)), InvalidInput, "{name}");
        assert_eq!(refused(storage.lock(path(name))), InvalidInput, "{name}");
        assert_eq!(refused(storage.create_dir(path(name))), AlreadyExists, "{name}");
    }
    assert!(!dir.path().join("nowhere").exists());
    assert_eq!(get(&storage, "real"), b"kept");
}

#[test]
fn what_is_planted_as_a_directory_is_refused_without_following() {
    let (storage, dir) = fresh();
    let names = plant(dir.path());
    fs::write(dir.path().join("real-dir/f"), b"kept").unwrap();
    for name in names {
        let inside = path(name).join("f");
        for mode in [OpenMode::Read, OpenMode::ReadWrite, OpenMode::CreateNew] {
            assert_eq!(refused(storage.open(inside, mode)), InvalidInput, "{name} {mode:?}");
        }
        let lens = storage.file_lens(path(name), &["f".to_owned()]);
        assert_eq!(refused(lens), InvalidInput, "{name}");
        assert_eq!(refused(storage.lock(inside)), InvalidInput, "{name}");
        assert_eq!(refused(storage.unlink(inside)), NotADirectory, "{name}");
        assert_eq!(refused(storage.create_dir(inside)), NotADirectory, "{name}");
        assert_eq!(refused(storage.remove_dir(inside)), NotADirectory, "{name}");
        assert_eq!(refused(storage.rename(inside, path("x"))), NotADirectory, "{name}");
        assert_eq!(refused(storage.rename(path("real"), inside)), NotADirectory, "{name}");
        assert_eq!(refused(storage.list(path(name))), NotADirectory, "{name}");
        assert_eq!(refused(storage.sync_dir(path(name))), NotADirectory, "{name}");
        assert_eq!(refused(storage.remove_dir(path(name))), NotADirectory, "{name}");
    }
    assert_eq!(listed(&storage, path("real-dir")), [("f".to_owned(), EntryKind::File)]);
    assert_eq!(get(&storage, "real-dir/f"), b"kept");
}

#[test]
fn what_is_planted_is_listed_as_other_and_its_name_can_be_removed() {
    let (storage, dir) = fresh();
    for name in plant(dir.path()) {
        let entries = listed(&storage, StoragePath::ROOT);
        assert!(entries.contains(&(name.to_owned(), EntryKind::Other)), "{name}");
        storage.unlink(path(name)).unwrap();
    }
    let left = [("real".to_owned(), EntryKind::File), ("real-dir".to_owned(), EntryKind::Dir)];
    assert_eq!(listed(&storage, StoragePath::ROOT), left);
}

#[test]
fn a_name_that_is_not_utf8_is_listed_with_replacements() {
    use std::os::unix::ffi::OsStrExt as _;
    let (storage, dir) = fresh();
    let name = std::ffi::OsStr::from_bytes(b"bad-\xFF");
    if fs::write(dir.path().join(name), b"").is_ok() {
        let entries = listed(&storage, StoragePath::ROOT);
        assert_eq!(entries, [("bad-\u{FFFD}".to_owned(), EntryKind::File)]);
    }
}

#[test]
fn files_get_mode_0600_and_directories_0700() {
    let (storage, dir) = fresh();
    storage.create_dir(path("d")).unwrap();
    put(&storage, "d/f", b"");
    drop(storage.lock(path("lock")).unwrap());
    assert_eq!(mode_of(&dir.path().join("d")), 0o700);
    assert_eq!(mode_of(&dir.path().join("d/f")), 0o600);
    assert_eq!(mode_of(&dir.path().join("lock")), 0o600);
    StdStorage::create(dir.path().join("x/y")).unwrap();
    assert_eq!(mode_of(&dir.path().join("x")), 0o700);
    assert_eq!(mode_of(&dir.path().join("x/y")), 0o700);
}

#[test]
fn open_needs_a_directory_and_create_makes_one() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("a/b/c");
    assert_eq!(refused(StdStorage::open(&root)), NotFound);
    let storage = StdStorage::create(&root).unwrap();
    put(&storage, "f", b"1");
    let storage = StdStorage::create(&root).unwrap();
    assert_eq!(get(&storage, "f"), b"1");
    assert_eq!(storage.display(path("d/f")), root.join("d/f"));

    let file = root.join("f");
    assert_eq!(refused(StdStorage::open(&file)), NotADirectory);
    assert_eq!(refused(StdStorage::create(&file)), NotADirectory);
    assert_eq!(refused(StdStorage::create(file.join("below"))), NotADirectory);
    assert_eq!(refused(StdStorage::create("")), NotFound);

    let link = dir.path().join("link");
    symlink(&root, &link).unwrap();
    assert_eq!(get(&StdStorage::open(&link).unwrap(), "f"), b"1");
    assert_eq!(get(&StdStorage::create(&link).unwrap(), "f"), b"1");
    let dangling = dir.path().join("dangling");
    symlink("nowhere", &dangling).unwrap();
    assert_eq!(refused(StdStorage::create(&dangling)), NotFound);
}

#[test]
fn a_storage_stays_in_its_directory_when_that_is_renamed() {
    let dir = tempfile::tempdir().unwrap();
    let storage = StdStorage::create(dir.path().join("old")).unwrap();
    put(&storage, "f", b"1");
    rustix::fs::rename(dir.path().join("old"), dir.path().join("new")).unwrap();
    assert_eq!(get(&storage, "f"), b"1");
    put(&storage, "g", b"2");
    assert!(dir.path().join("new/g").exists());
}

#[test]
fn a_lock_holds_between_two_storages_of_one_directory() {
    let (storage, dir) = fresh();
    let other = StdStorage::open(dir.path()).unwrap();
    let held = storage.lock(path(".lock")).unwrap();
    assert_eq!(refused(other.lock(path(".lock"))), WouldBlock);
    drop(storage);
    assert_eq!(refused(other.lock(path(".lock"))), WouldBlock, "the lock outlives its storage");
    drop(held);
    other.lock(path(".lock")).unwrap();
}

/// Not a test by itself: what [`a_lock_holds_between_processes`] runs as the other process.
#[test]
fn other_process() {
    let Some(root) = std::env::var_os("IRONWAL_TEST_LOCKED_ROOT") else { return };
    let storage = StdStorage::open(root).unwrap();
    assert_eq!(refused(storage.lock(path(".lock"))), WouldBlock);
}

/// Not a test by itself: what [`a_directory_is_synced_without_a_free_handle`] runs as another process,
/// because a limit holds for a whole process.
#[test]
fn process_without_handles() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let Some(root) = std::env::var_os("IRONWAL_TEST_HANDLES_ROOT") else { return };
    let storage = StdStorage::open(root).unwrap();
    storage.create_dir(path("stream")).unwrap();
    let file = storage.open(path("stream").join("file"), OpenMode::CreateNew).unwrap();
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, rustix::process::Rlimit { current: Some(3), ..before }).unwrap();
    let opened = storage.open(path("stream").join("file"), OpenMode::Read);
    let synced = storage.sync_dir(path("stream"));
    setrlimit(Resource::Nofile, before).unwrap();
    assert_eq!(opened.unwrap_err().raw_os_error(), Some(24));
    synced.unwrap();
    file.sync_data().unwrap();
}

#[test]
fn a_directory_is_synced_without_a_free_handle() {
    let (_storage, dir) = fresh();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "storage::process_without_handles"]);
    command.env("IRONWAL_TEST_HANDLES_ROOT", dir.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
}

#[test]
fn a_lock_holds_between_processes() {
    let (storage, dir) = fresh();
    let other_process = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "storage::other_process"]);
        command.env("IRONWAL_TEST_LOCKED_ROOT", dir.path());
        command.output().unwrap()
    };
    let held = storage.lock(path(".lock")).unwrap();
    let output = other_process();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
    drop(held);
    assert!(!other_process().status.success(), "without a holder the other process gets the lock");
}

/// A child that a thread starts holds a copy of the handle until it runs its own program.
#[test]
fn a_lock_is_free_once_dropped_while_processes_are_started() {
    let (storage, _dir) = fresh();
    std::thread::scope(|scope| {
        let starter = scope.spawn(|| {
            for _ in 0..50 {
                assert!(Command::new("true").status().unwrap().success());
            }
        });
        while !starter.is_finished() {
            drop(storage.lock(path(".lock")).unwrap());
        }
    });
}

#[test]
fn a_mapping_of_a_real_file_shares_what_is_written_later() {
    let (storage, _dir) = fresh();
    let file = put(&storage, "a", &[0; 100]);
    let mapping = file.map(100).unwrap();
    file.write_at(b"later", 10).unwrap();
    assert_eq!(mapping.slice(10..15), b"later".as_slice());
    storage.unlink(path("a")).unwrap();
    drop(file);
    assert_eq!(mapping.slice(10..15), b"later".as_slice());
}

#[test]
fn allocate_reserves_blocks() {
    let (storage, dir) = fresh();
    let file = put(&storage, "a", b"");
    if file.allocate(1 << 20).is_ok() {
        let metadata = fs::metadata(dir.path().join("a")).unwrap();
        assert_eq!(metadata.len(), 1 << 20);
        assert!(metadata.blocks() * 512 >= 1 << 20, "{} blocks", metadata.blocks());
    }
}

#[test]
fn clones_in_memory_share_files_and_locks() {
    let storage = MemStorage::new();
    let clone = storage.clone();
    let file = put(&storage, "a", b"1");
    assert_eq!(get(&clone, "a"), b"1");
    let held = clone.lock(path("l")).unwrap();
    assert_eq!(refused(storage.lock(path("l"))), WouldBlock);
    drop(clone);
    assert_eq!(refused(storage.lock(path("l"))), WouldBlock);
    drop(held);
    drop(storage);
    assert_eq!(bytes_of(&*file), b"1");
}
