//! The simulated disk keeps what was synced, and loses or tears everything else in some crash.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use ironwal_fuzz::random::SplitMix64;
use ironwal_fuzz::sim_storage::{CrashChoice, SimStorage, SyncFailure};
use ironwal_segment::storage::{OpenMode, Storage, StoragePath};

use crate::conformance::{bytes_of, get, path, put};

mod conforms {
    crate::conformance::conformance_tests!((ironwal_fuzz::sim_storage::SimStorage::new(), ()));
}

const ROOT: StoragePath<'static> = StoragePath::ROOT;

/// What a crash with this choice leaves.
fn left(storage: &SimStorage, choice: CrashChoice) -> BTreeMap<String, Vec<u8>> {
    storage.crash(choice).contents()
}

/// What crashes leave, over all subsets of what is pending and so many seeds.
fn all_left(storage: &SimStorage, seeds: u64) -> Vec<BTreeMap<String, Vec<u8>>> {
    let subsets = CrashChoice::systematic(storage.pending_count(), 1 << 10);
    let choices = subsets.into_iter().chain((0..seeds).map(CrashChoice::Seeded));
    choices.map(|choice| left(storage, choice)).collect()
}

fn sync(storage: &dyn Storage, name: &str) {
    storage.open(path(name), OpenMode::Read).unwrap().sync_data().unwrap();
}

/// A disk with one durable file of these bytes, called `f`.
fn with_durable(bytes: &[u8]) -> SimStorage {
    let storage = SimStorage::new();
    put(&storage, "f", bytes).sync_data().unwrap();
    storage.sync_dir(ROOT).unwrap();
    assert_eq!(storage.pending_count(), 0);
    storage
}

fn files<const N: usize>(expected: [(&str, &[u8]); N]) -> BTreeMap<String, Vec<u8>> {
    expected.into_iter().map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).collect()
}

#[test]
fn a_file_needs_its_own_sync_and_that_of_its_directory() {
    let storage = SimStorage::new();
    put(&storage, "f", b"bytes");
    assert_eq!(left(&storage, CrashChoice::Nothing), files([]));
    assert_eq!(left(&storage, CrashChoice::Everything), files([("f", b"bytes")]));

    let synced_file = storage.kill();
    sync(&synced_file, "f");
    assert_eq!(left(&synced_file, CrashChoice::Nothing), files([]));
    assert_eq!(synced_file.synced_len(path("f")), Some(5));
    assert!(!synced_file.is_name_synced(path("f")));

    let synced_name = storage.kill();
    synced_name.sync_dir(ROOT).unwrap();
    assert_eq!(left(&synced_name, CrashChoice::Nothing), files([("f", b"")]));
    assert_eq!(synced_name.synced_len(path("f")), Some(0));
    assert!(synced_name.is_name_synced(path("f")));

    sync(&synced_name, "f");
    assert!(all_left(&synced_name, 50).iter().all(|left| *left == files([("f", b"bytes")])));
}

#[test]
fn a_directory_needs_the_sync_of_its_parent_and_its_names_one_of_their_own() {
    let storage = SimStorage::new();
    storage.create_dir(path("d")).unwrap();
    put(&storage, "d/f", b"1").sync_data().unwrap();
    storage.sync_dir(path("d")).unwrap();
    assert_eq!(left(&storage, CrashChoice::Nothing), files([]));
    assert!(!storage.is_name_synced(path("d/f")));
    storage.sync_dir(ROOT).unwrap();
    assert_eq!(left(&storage, CrashChoice::Nothing), files([("d/", b""), ("d/f", b"1")]));
    assert!(storage.is_name_synced(path("d/f")));

    put(&storage, "d/g", b"2").sync_data().unwrap();
    storage.sync_dir(ROOT).unwrap();
    assert_eq!(left(&storage, CrashChoice::Nothing), files([("d/", b""), ("d/f", b"1")]));
}

#[test]
fn a_removal_needs_the_sync_of_its_directory() {
    let storage = with_durable(b"1");
    storage.unlink(path("f")).unwrap();
    assert_eq!(left(&storage, CrashChoice::Nothing), files([("f", b"1")]));
    assert_eq!(left(&storage, CrashChoice::Everything), files([]));
    storage.sync_dir(ROOT).unwrap();
    assert_eq!(left(&storage, CrashChoice::Nothing), files([]));

    storage.create_dir(path("d")).unwrap();
    storage.sync_dir(ROOT).unwrap();
    storage.remove_dir(path("d")).unwrap();
    assert_eq!(left(&storage, CrashChoice::Nothing), files([("d/", b"")]));
    storage.sync_dir(ROOT).unwrap();
    assert_eq!(left(&storage, CrashChoice::Nothing), files([]));
}

#[test]
fn a_rename_happens_whole_or_not_at_all() {
    let storage = with_durable(b"old");
    put(&storage, "f.new", b"new").sync_data().unwrap();
    storage.rename(path("f.new"), path("f")).unwrap();
    let outcomes: BTreeSet<_> = all_left(&storage, 200).into_iter().collect();
    let expected = BTreeSet::from([
        files([("f", b"old")]),
        files([("f", b"old"), ("f.new", b"new")]),
        files([("f", b"new")]),
    ]);
    assert_eq!(outcomes, expected);
    storage.sync_dir(ROOT).unwrap();
    assert_eq!(left(&storage, CrashChoice::Nothing), files([("f", b"new")]));
}

#[test]
fn a_file_has_one_name_whichever_renames_are_kept() {
    let storage = with_durable(b"1");
    storage.create_dir(path("d")).unwrap();
    storage.sync_dir(ROOT).unwrap();
    storage.rename(path("f"), path("g")).unwrap();
    storage.rename(path("g"), path("d/h")).unwrap();
    storage.rename(path("d/h"), path("i")).unwrap();
    let mut names = BTreeSet::new();
    for left in all_left(&storage, 200) {
        let mut left: Vec<_> = left.into_keys().filter(|name| name != "d/").collect();
        assert_eq!(left.len(), 1, "{left:?}");
        names.extend(left.pop());
    }
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["d/h", "f", "g", "i"]);
}

#[test]
fn a_rename_between_directories_is_synced_by_either() {
    for synced in ["a", "b"] {
        let storage = SimStorage::new();
        storage.create_dir(path("a")).unwrap();
        storage.create_dir(path("b")).unwrap();
        storage.sync_dir(ROOT).unwrap();
        put(&storage, "a/f", b"1").sync_data().unwrap();
        storage.sync_dir(path("a")).unwrap();
        // What has the new name before, and is not durable, does not come back.
        put(&storage, "b/f", b"2").sync_data().unwrap();
        storage.rename(path("a/f"), path("b/f")).unwrap();
        storage.sync_dir(path(synced)).unwrap();
        let expected = files([("a/", b""), ("b/", b""), ("b/f", b"1")]);
        assert!(all_left(&storage, 100).iter().all(|left| *left == expected), "{synced}");
    }
}

#[test]
fn a_renamed_directory_takes_its_durable_names_along() {
    let storage = SimStorage::new();
    storage.create_dir(path(".new")).unwrap();
    put(&storage, ".new/f", b"1").sync_data().unwrap();
    storage.sync_dir(path(".new")).unwrap();
    storage.rename(path(".new"), path("d")).unwrap();
    assert_eq!(left(&storage, CrashChoice::Only(0)), files([(".new/", b""), (".new/f", b"1")]));
    assert_eq!(left(&storage, CrashChoice::Only(1)), files([("d/", b""), ("d/f", b"1")]));
    storage.sync_dir(ROOT).unwrap();
    assert_eq!(left(&storage, CrashChoice::Nothing), files([("d/", b""), ("d/f", b"1")]));
}

#[test]
fn choices_number_the_operations_in_the_order_of_their_calls() {
    let storage = with_durable(b"----");
    let file = storage.open(path("f"), OpenMode::ReadWrite).unwrap();
    file.write_at(b"a", 0).unwrap();
    put(&storage, "g", b"");
    file.write_at(b"b", 1).unwrap();
    file.write_at(b"c", 2).unwrap();
    assert_eq!(storage.pending_count(), 4);
    assert_eq!(storage.describe_pending().len(), 4);
    let only_f = |bytes: &[u8]| files([("f", bytes)]);
    let both = |bytes: &[u8]| files([("f", bytes), ("g", b"")]);
    assert_eq!(left(&storage, CrashChoice::Nothing), only_f(b"----"));
    assert_eq!(left(&storage, CrashChoice::Only(0)), only_f(b"a---"));
    assert_eq!(left(&storage, CrashChoice::Only(1)), both(b"----"));
    assert_eq!(left(&storage, CrashChoice::AllBut(2)), both(b"a-c-"));
    assert_eq!(left(&storage, CrashChoice::Prefix(3)), both(b"ab--"));
    assert_eq!(left(&storage, CrashChoice::Subset(0b1101)), only_f(b"abc-"));
    assert_eq!(left(&storage, CrashChoice::Everything), both(b"abc-"));
}

#[test]
fn systematic_choices_are_all_subsets_or_the_telling_ones() {
    let subsets = CrashChoice::systematic(3, 8);
    assert_eq!(subsets, (0..8).map(CrashChoice::Subset).collect::<Vec<_>>());
    assert_eq!(CrashChoice::systematic(0, 1 << 10), [CrashChoice::Subset(0)]);
    for count in [11, 64, 200] {
        let choices = CrashChoice::systematic(count, 1 << 10);
        assert!(
            choices.contains(&CrashChoice::Nothing) && choices.contains(&CrashChoice::Everything)
        );
        for unit in 0..count {
            assert!(choices.contains(&CrashChoice::Only(unit)));
            assert!(choices.contains(&CrashChoice::AllBut(unit)));
        }
        // A prefix of 0 or 1 or of all but one is named otherwise.
        for prefix in 2..count - 1 {
            assert!(choices.contains(&CrashChoice::Prefix(prefix)));
        }
    }
}

#[test]
fn what_nothing_leads_to_is_not_pending() {
    let storage = SimStorage::new();
    let file = put(&storage, "f", b"1");
    storage.unlink(path("f")).unwrap();
    assert_eq!(storage.pending_count(), 3);
    storage.sync_dir(ROOT).unwrap();
    file.write_at(b"2", 1).unwrap();
    assert_eq!(storage.pending_count(), 0);
    assert_eq!(bytes_of(&*file), b"12");

    storage.create_dir(path("d")).unwrap();
    put(&storage, "d/f", b"1");
    storage.unlink(path("d/f")).unwrap();
    storage.remove_dir(path("d")).unwrap();
    assert_eq!(storage.pending_count(), 5);
    storage.sync_dir(ROOT).unwrap();
    assert_eq!(storage.pending_count(), 0);
}

#[test]
fn a_crash_leaves_the_disk_that_it_was_asked_of_as_it_is() {
    let storage = with_durable(b"1");
    let file = put(&storage, "g", b"2");
    let before = (storage.contents(), storage.describe_pending(), storage.operation_count());
    for left in all_left(&storage, 20) {
        assert!(left.contains_key("f"));
    }
    let crashed = storage.crash(CrashChoice::Everything);
    crashed.unlink(path("f")).unwrap();
    put(&crashed, "h", b"3");
    let after = (storage.contents(), storage.describe_pending(), storage.operation_count());
    assert_eq!(before, after);
    file.write_at(b"22", 0).unwrap();
    assert_eq!(get(&crashed, "g"), b"2");
}

#[test]
fn all_that_a_crash_leaves_is_durable() {
    let storage = SimStorage::new();
    put(&storage, "f", &[1; 2000]);
    for seed in 0..20 {
        let crashed = storage.crash(CrashChoice::Seeded(seed));
        assert_eq!(crashed.pending_count(), 0);
        assert_eq!(left(&crashed, CrashChoice::Nothing), crashed.contents());
    }
}

#[test]
fn sectors_are_old_or_new_or_torn_and_nothing_else_changes() {
    let storage = with_durable(&[b'a'; 4096]);
    let file = storage.open(path("f"), OpenMode::ReadWrite).unwrap();
    file.write_at(&[b'b'; 2200], 300).unwrap();
    file.write_at(&[b'c'; 200], 1000).unwrap();
    let (mut torn, mut by_byte, mut mixed) = (0, 0, 0);
    let mut seen = BTreeSet::new();
    for seed in 0..1000 {
        let bytes = get(&storage.crash(CrashChoice::Seeded(seed)), "f");
        assert_eq!(bytes.len(), 4096);
        for (place, &byte) in bytes.iter().enumerate() {
            let possible = match place {
                1000..1200 => &b"abc"[..],
                300..2500 => b"ab",
                _ => b"a",
            };
            assert!(possible.contains(&byte), "{byte} at {place}, seed {seed}");
        }
        // A whole sector that one write covered: how often does it change from byte to byte?
        let sector = &bytes[1536..2048];
        let changes = sector.windows(2).filter(|pair| pair[0] != pair[1]).count();
        torn += usize::from(changes == 1 && sector[0] == b'b');
        by_byte += usize::from(changes > 1);
        mixed += usize::from(bytes[600] != bytes[1600]);
        seen.insert((bytes[600], bytes[1100], bytes[1600]));
    }
    assert!(torn > 50, "{torn}");
    assert!((20..100).contains(&by_byte), "{by_byte}");
    assert!(mixed > 100, "{mixed}");
    // Of the places, the first and the third have two versions and the second has three.
    assert_eq!(seen.len(), 12, "{seen:?}");
}

#[test]
fn lengths_grow_with_the_data_or_without_it_or_not_at_all() {
    let storage = with_durable(b"a");
    let file = storage.open(path("f"), OpenMode::ReadWrite).unwrap();
    file.write_at(&[b'b'; 1023], 1).unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..300 {
        let bytes = get(&storage.crash(CrashChoice::Seeded(seed)), "f");
        assert_eq!(bytes[0], b'a');
        assert!(bytes[1..].iter().all(|byte| b"\0b".contains(byte)));
        seen.insert((bytes.len(), bytes.get(1023).copied()));
    }
    let expected = [(1, None), (1024, Some(0)), (1024, Some(b'b'))];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_cut_that_was_not_synced_may_not_have_happened() {
    let storage = with_durable(b"0123456789");
    let file = storage.open(path("f"), OpenMode::ReadWrite).unwrap();
    file.set_len(4).unwrap();
    assert_eq!(left(&storage, CrashChoice::Nothing), files([("f", b"0123456789")]));
    file.write_at(b"ab", 6).unwrap();
    let images: BTreeSet<_> = all_left(&storage, 300).into_iter().collect();
    for image in &images {
        let bytes = &image["f"];
        assert!([4, 8, 10].contains(&bytes.len()), "{bytes:?}");
        assert_eq!(bytes[..4], b"0123"[..]);
    }
    assert!(images.contains(&files([("f", b"0123\0\0ab")])));
    file.sync_data().unwrap();
    assert!(all_left(&storage, 50).iter().all(|left| *left == files([("f", b"0123\0\0ab")])));
}

#[test]
fn the_same_seed_leaves_the_same() {
    let storage = with_durable(&[b'a'; 5000]);
    let file = storage.open(path("f"), OpenMode::ReadWrite).unwrap();
    file.write_at(&[b'b'; 5000], 100).unwrap();
    for i in 0..10 {
        put(&storage, &format!("g{i}"), &[i; 700]);
    }
    let mut different = BTreeSet::new();
    for seed in 0..40 {
        let left_once = left(&storage, CrashChoice::Seeded(seed));
        assert_eq!(left_once, left(&storage, CrashChoice::Seeded(seed)));
        different.insert(left_once);
    }
    assert!(different.len() > 35, "{}", different.len());
}

#[test]
fn a_failed_sync_that_keeps_the_cache_leaves_bytes_that_only_a_new_write_saves() {
    let storage = with_durable(b"old.....");
    let file = storage.open(path("f"), OpenMode::ReadWrite).unwrap();
    storage.fail_sync_at(storage.sync_count(), SyncFailure::KeepCache);
    file.write_at(b"new", 0).unwrap();
    assert!(file.sync_data().is_err());
    assert_eq!(bytes_of(&*file), b"new.....");
    file.sync_data().unwrap();
    storage.sync_dir(ROOT).unwrap();
    assert_eq!(left(&storage, CrashChoice::Nothing), files([("f", b"old.....")]));
    assert_eq!(left(&storage, CrashChoice::Everything), files([("f", b"new.....")]));
    assert_eq!(bytes_of(&*file), b"new.....");

    // The machine runs on, the process does not: the next one sees what is not on the disk.
    let reopened = storage.kill();
    assert_eq!(get(&reopened, "f"), b"new.....");
    sync(&reopened, "f");
    assert_eq!(left(&reopened, CrashChoice::Nothing), files([("f", b"old.....")]));

    let rewritten = reopened.open(path("f"), OpenMode::ReadWrite).unwrap();
    rewritten.write_at(b"new", 0).unwrap();
    rewritten.sync_data().unwrap();
    assert!(all_left(&reopened, 50).iter().all(|left| *left == files([("f", b"new.....")])));
}

#[test]
fn what_a_failed_sync_lost_does_not_come_up_over_what_is_durable() {
    let storage = with_durable(b"........");
    let file = storage.open(path("f"), OpenMode::ReadWrite).unwrap();
    storage.fail_sync_at(storage.sync_count(), SyncFailure::KeepCache);
    file.write_at(b"lost12", 0).unwrap();
    assert!(file.sync_data().is_err());
    file.write_at(b"AB", 2).unwrap();
    file.sync_data().unwrap();
    for left in all_left(&storage, 100) {
        let bytes = &left["f"];
        assert_eq!(bytes[2..4], b"AB"[..]);
        assert_eq!(bytes[6..], b".."[..]);
    }
    assert_eq!(left(&storage, CrashChoice::Nothing), files([("f", b"..AB....")]));
    assert_eq!(left(&storage, CrashChoice::Everything), files([("f", b"loAB12..")]));
    file.set_len(1).unwrap();
    file.sync_data().unwrap();
    file.set_len(8).unwrap();
    file.sync_data().unwrap();
    for left in all_left(&storage, 100) {
        assert_eq!(left["f"][1..], [0; 7]);
    }
}

#[test]
fn reserved_space_is_durable_after_a_sync_that_lost_what_was_written_there() {
    let storage = with_durable(b"");
    let file = storage.open(path("f"), OpenMode::ReadWrite).unwrap();
    storage.fail_sync_at(storage.sync_count(), SyncFailure::KeepCache);
    file.allocate(6).unwrap();
    file.write_at(b"ab", 1).unwrap();
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    assert_eq!(storage.synced_len(path("f")), Some(6));
    assert_eq!(left(&storage, CrashChoice::Nothing), files([("f", &[0; 6])]));
    assert_eq!(left(&storage, CrashChoice::Everything), files([("f", b"\0ab\0\0\0")]));
}

#[test]
fn a_failed_sync_that_drops_the_cache_shows_the_old_bytes_at_the_new_length() {
    let storage = with_durable(b"old");
    let file = storage.open(path("f"), OpenMode::ReadWrite).unwrap();
    storage.fail_sync_at(storage.sync_count(), SyncFailure::DropCache);
    file.write_at(b"newer", 0).unwrap();
    assert!(file.sync_data().is_err());
    assert_eq!(bytes_of(&*file), b"old\0\0");
    assert_eq!(left(&storage, CrashChoice::Nothing), files([("f", b"old")]));
    file.sync_data().unwrap();
    assert!(all_left(&storage, 20).iter().all(|left| *left == files([("f", b"old\0\0")])));
}

#[test]
fn a_failed_sync_of_a_directory_leaves_names_in_doubt_or_takes_them_back() {
    let prepare = |failure| {
        let storage = with_durable(b"1");
        put(&storage, "g", b"").sync_data().unwrap();
        storage.unlink(path("f")).unwrap();
        storage.fail_sync_at(storage.sync_count(), failure);
        assert!(storage.sync_dir(ROOT).is_err());
        storage
    };
    let kept = prepare(SyncFailure::KeepCache);
    assert_eq!(kept.contents(), files([("g", b"")]));
    kept.sync_dir(ROOT).unwrap();
    assert_eq!(left(&kept, CrashChoice::Nothing), files([("f", b"1")]));
    assert_eq!(left(&kept, CrashChoice::Everything), files([("g", b"")]));
    put(&kept, "f", b"2").sync_data().unwrap();
    kept.sync_dir(ROOT).unwrap();
    assert!(all_left(&kept, 50).iter().all(|left| left["f"] == b"2"));

    let dropped = prepare(SyncFailure::DropCache);
    assert_eq!(dropped.contents(), files([("f", b"1")]));
    dropped.sync_dir(ROOT).unwrap();
    assert!(all_left(&dropped, 20).iter().all(|left| *left == files([("f", b"1")])));
}

/// A few calls of every kind, as far as they get.
fn script(storage: &SimStorage) -> io::Result<()> {
    let held = storage.lock(path(".lock"))?;
    storage.create_dir(path(".new"))?;
    let file = storage.open(path(".new/f"), OpenMode::CreateNew)?;
    file.allocate(2000)?;
    file.write_at(&[7; 1500], 0)?;
    file.sync_data()?;
    storage.sync_dir(path(".new"))?;
    storage.rename(path(".new"), path("d"))?;
    storage.sync_dir(ROOT)?;
    file.read_at(&mut [0; 10], 0)?;
    file.file_len()?;
    file.map(10)?;
    storage.list(ROOT)?;
    file.set_len(1500)?;
    file.sync_data()?;
    file.sync_data()?;
    storage.unlink(path("d/f"))?;
    storage.remove_dir(path("d"))?;
    drop(held);
    Ok(())
}

#[test]
fn from_the_power_cut_on_every_call_fails_and_changes_nothing() {
    let whole = SimStorage::new();
    script(&whole).unwrap();
    let count = whole.operation_count();
    assert_eq!(count, 18);
    for operation in 0..count {
        let storage = SimStorage::new();
        storage.crash_at(operation);
        assert!(script(&storage).is_err());
        assert_eq!(storage.operation_count(), operation + 1);
        let before = (storage.contents(), storage.describe_pending());
        assert!(storage.list(ROOT).is_err());
        assert!(storage.create_dir(path("x")).is_err());
        assert!(storage.sync_dir(ROOT).is_err());
        assert_eq!((storage.contents(), storage.describe_pending()), before);
        assert!(storage.crash(CrashChoice::Everything).list(ROOT).is_ok());
    }
    let storage = SimStorage::new();
    storage.crash_at(count);
    script(&storage).unwrap();
    assert!(storage.list(ROOT).is_err());
}

#[test]
fn crash_points_are_where_the_disk_is_another_one() {
    let whole = SimStorage::new();
    script(&whole).unwrap();
    let points = whole.crash_points();
    assert_eq!(points, [0, 1, 2, 3, 4, 5, 6, 7, 8, 13, 14, 16, 17, 18]);
    let state_at = |operation| {
        let storage = SimStorage::new();
        storage.crash_at(operation);
        assert_eq!(script(&storage).is_ok(), operation == whole.operation_count());
        let durable = left(&storage, CrashChoice::Nothing);
        (durable, storage.contents(), storage.describe_pending())
    };
    let mut states: Vec<_> = (0..=whole.operation_count()).map(state_at).collect();
    states.dedup();
    let at_points: Vec<_> = points.into_iter().map(state_at).collect();
    assert_eq!(states, at_points);
}

#[test]
fn a_killed_process_leaves_the_cache_and_no_lock() {
    let storage = with_durable(b"1");
    let held = storage.lock(path("l")).unwrap();
    storage.open(path("f"), OpenMode::ReadWrite).unwrap().write_at(b"2", 0).unwrap();
    storage.crash_at(0);
    let next = storage.kill();
    assert_eq!(next.contents(), storage.contents());
    assert_eq!(next.describe_pending(), storage.describe_pending());
    assert_eq!((next.operation_count(), next.sync_count()), (0, 0));
    drop(next.lock(path("l")).unwrap());
    sync(&next, "f");
    assert_eq!(left(&next, CrashChoice::Nothing)["f"], b"2");
    assert_eq!(left(&storage, CrashChoice::Nothing)["f"], b"1");
    drop(held);
}

#[test]
fn a_mapping_stays_as_it_was_made() {
    let storage = with_durable(b"0123");
    let file = storage.open(path("f"), OpenMode::ReadWrite).unwrap();
    let mapping = file.map(4).unwrap();
    file.write_at(b"abcd", 0).unwrap();
    assert_eq!(mapping, b"0123".as_slice());
    assert_eq!(file.map(4).unwrap(), b"abcd".as_slice());
}

/// Random calls, with a second account of what is in the files: what is synced is in every crash, and what
/// is not is what the calls said or what was there before.
#[test]
fn what_is_synced_survives_every_crash_of_random_runs() {
    for seed in 0..300 {
        let mut random = SplitMix64::new(seed);
        let storage = SimStorage::new();
        // By name: the bytes, and those that must survive.
        let mut model: BTreeMap<String, (Vec<u8>, Option<Vec<u8>>)> = BTreeMap::new();
        let mut are_names_synced = true;
        for step in 0..40_u8 {
            let name = format!("f{}", random.below(3));
            match random.below(8) {
                0 | 1 => {
                    let exists = model.contains_key(&name);
                    let file = storage.open(path(&name), OpenMode::CreateNew);
                    assert_eq!(file.is_err(), exists);
                    model.entry(name).or_default();
                    are_names_synced &= exists;
                }
                2..=4 => {
                    let Some((bytes, synced)) = model.get_mut(&name) else { continue };
                    let file = storage.open(path(&name), OpenMode::ReadWrite).unwrap();
                    let start = random.below(bytes.len() + 1);
                    let len = 1 + random.below(900);
                    file.write_at(&vec![step; len], start.try_into().unwrap()).unwrap();
                    bytes.resize(bytes.len().max(start + len), 0);
                    bytes[start..start + len].fill(step);
                    *synced = None;
                }
                5 | 6 => {
                    let Some((bytes, synced)) = model.get_mut(&name) else { continue };
                    sync(&storage, &name);
                    *synced = Some(bytes.clone());
                }
                _ => {
                    storage.sync_dir(ROOT).unwrap();
                    are_names_synced = true;
                }
            }
        }
        let cached = model.iter().map(|(name, (bytes, _))| (name.clone(), bytes.clone())).collect();
        assert_eq!(storage.contents(), cached);
        assert_eq!(left(&storage, CrashChoice::Everything), cached);
        let mut choices = CrashChoice::systematic(storage.pending_count(), 1 << 5);
        choices.extend((0..20).map(CrashChoice::Seeded));
        for choice in choices {
            let left = left(&storage, choice);
            for (name, (_, synced)) in &model {
                let Some(synced) = synced else { continue };
                match left.get(name) {
                    Some(bytes) => assert_eq!(bytes, synced, "{name}, seed {seed}, {choice:?}"),
                    None => assert!(!are_names_synced, "{name}, seed {seed}, {choice:?}"),
                }
            }
        }
        for name in model.keys() {
            sync(&storage, name);
        }
        storage.sync_dir(ROOT).unwrap();
        assert_eq!(storage.pending_count(), 0);
        assert_eq!(left(&storage, CrashChoice::Nothing), cached);
    }
}
