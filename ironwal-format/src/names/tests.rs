//! Tests of the names: every short key, every form of a name.

use std::{
    collections::{BTreeSet, HashSet},
    string::ToString as _,
};

use proptest::prelude::*;

use super::*;

fn name_of(key: &str) -> String {
    StreamKey::new(key).unwrap().dir_name()
}

/// Every UTF-8 string of one or two bytes.
fn all_keys_of_two_bytes_at_most() -> impl Iterator<Item = String> {
    let two = (0..=u16::MAX).map(|n| n.to_le_bytes().to_vec());
    let one = (0..=u8::MAX).map(|n| [n].to_vec());
    one.chain(two).filter_map(|bytes| String::from_utf8(bytes).ok())
}

/// A map is asked with the text alone: that compares and hashes as the key does.
#[test]
fn a_key_is_found_by_its_text() {
    let texts = ["b", "a/1", "A", "a", "\u{e4}"];
    let key = |text: &&str| StreamKey::new(text).unwrap();
    let hashed: HashSet<_> = texts.iter().map(key).collect();
    let ordered: BTreeSet<_> = texts.iter().map(key).collect();
    for text in texts {
        assert_eq!(hashed.get(text).map(StreamKey::as_str), Some(text));
        assert_eq!(ordered.get(text).map(StreamKey::as_str), Some(text));
    }
    assert!(!hashed.contains("B") && !ordered.contains("B"));
}

#[test]
fn names_are_as_the_format_says() {
    for (key, name) in [
        ("user_1", "user_1"),
        ("user/1", "user%2F1"),
        ("User", "!user"),
        (".", "%2E"),
        ("..", "%2E%2E"),
        ("...", "%2E.%2E"),
        (".a", "%2Ea"),
        ("a.", "a%2E"),
        ("a.b..c", "a.b..c"),
        ("%41!a", "%2541%21a"),
        ("segments.idx", "segments.idx"),
        ("\0 \u{e4}\u{1f600}", "%00%20%C3%A4%F0%9F%98%80"),
    ] {
        assert_eq!(name_of(key), name);
        assert_eq!(RootName::of(name), RootName::Stream(StreamKey::new(key).unwrap()));
    }
}

#[test]
fn every_short_key_comes_back_and_no_two_names_differ_in_case_alone() {
    let mut folded = HashSet::new();
    for key in all_keys_of_two_bytes_at_most() {
        let key = StreamKey::new(&key).unwrap();
        let name = key.dir_name();
        assert_eq!(StreamKey::decode_dir_name(&name), Ok(key));
        assert!(!name.starts_with('.') && !name.ends_with('.'));
        assert!(folded.insert(name.to_ascii_lowercase()), "{name}");
    }
    assert_eq!(folded.len(), 128 + 128 * 128 + 1920);
}

/// Names of up to four bytes cover every form that a symbol can have.
#[test]
fn every_short_name_is_canonical_or_refused() {
    let alphabet = b"az09-_.!%AFGZ2E~\x7f/";
    let names = (0..alphabet.len().pow(4)).map(|mut n| {
        let mut name = String::new();
        while n > 0 {
            name.push(char::from(alphabet[n % alphabet.len()]));
            n /= alphabet.len();
        }
        name
    });
    for name in names {
        if let Ok(key) = StreamKey::decode_dir_name(&name) {
            assert_eq!(key.dir_name(), name);
        }
    }
}

#[test]
fn names_that_no_key_has_are_refused() {
    use DirNameError as E;
    for (name, error) in [
        ("", E::Empty),
        ("user%2f1", E::Malformed { at: 4 }),
        ("%61", E::NotCanonical { at: 0 }),
        ("a%2Eb", E::NotCanonical { at: 1 }),
        ("%41", E::NotCanonical { at: 0 }),
        (".", E::NotCanonical { at: 0 }),
        ("..", E::NotCanonical { at: 0 }),
        ("a.", E::NotCanonical { at: 1 }),
        ("!1", E::Malformed { at: 0 }),
        ("a!", E::Malformed { at: 1 }),
        ("!A", E::Malformed { at: 0 }),
        ("abc%", E::Malformed { at: 3 }),
        ("abc%4", E::Malformed { at: 3 }),
        ("User", E::Malformed { at: 0 }),
        ("user/1", E::Malformed { at: 4 }),
        ("\u{e4}", E::Malformed { at: 0 }),
        ("ab%C3", E::NotUtf8 { valid_up_to: 2 }),
    ] {
        assert_eq!(StreamKey::decode_dir_name(name), Err(error), "{name:?}");
        assert_eq!(RootName::of(name), RootName::Foreign);
    }
    let dots = ".".repeat(240);
    assert_eq!(StreamKey::decode_dir_name(&dots), Err(E::NotCanonical { at: 0 }));
    let long = "a".repeat(241);
    assert_eq!(StreamKey::decode_dir_name(&long), Err(E::TooLong { len: 241 }));
}

#[test]
fn a_key_is_as_long_as_its_name_may_be() {
    assert_eq!(StreamKey::new(""), Err(KeyError::Empty));
    assert_eq!(name_of(&"a".repeat(240)).len(), 240);
    assert_eq!(name_of(&"A".repeat(120)).len(), 240);
    assert_eq!(name_of(&"\u{e4}".repeat(40)).len(), 240);
    for (key, encoded_len) in
        [("a".repeat(241), 241), ("a".repeat(400), 400), ("/".repeat(81), 243)]
    {
        let error = StreamKey::new(&key).unwrap_err();
        assert_eq!(error, KeyError::TooLong { encoded_len });
        assert!(error.to_string().contains("more than 240"));
    }
}

#[test]
fn a_key_is_shown_escaped() {
    let key = StreamKey::new("a\n\u{1b}[31m\u{202e}\"").unwrap();
    assert_eq!(key.to_string(), "a\\n\\u{1b}[31m\\u{202e}\\\"");
    assert_eq!(format!("{key:?}"), "StreamKey(\"a\\n\\u{1b}[31m\\u{202e}\\\"\")");
}

#[test]
fn what_begins_with_a_dot_is_the_logs_own_or_foreign() {
    assert_eq!(RootName::of(LOCK_FILE), RootName::Lock);
    assert_eq!(RootName::of(".new-0f"), RootName::New);
    assert_eq!(RootName::of(".trash-0f"), RootName::Trash);
    for name in [".new-", ".trash-", ".lock2", ".", "..", ".DS_Store", "", "lost+found"] {
        assert_eq!(RootName::of(name), RootName::Foreign);
    }
}

#[test]
fn only_the_exact_names_in_a_stream_are_ours() {
    assert_eq!(StreamFileName::of(INDEX_FILE), StreamFileName::Index);
    assert_eq!(StreamFileName::of(INDEX_TEMP_FILE), StreamFileName::IndexTemp);
    let (base, ordinal) = (SequenceNumber::new(16384), Ordinal::new(1));
    let segment = segment_file_name(base, ordinal);
    assert_eq!(segment, "00000000000000016384-0000000001.wal");
    assert_eq!(StreamFileName::of(&segment), StreamFileName::Segment { base, ordinal });
    for (n, suffix) in [(0, ".torn"), (1, ".torn.1"), (u32::MAX, ".torn.4294967295")] {
        let name = torn_file_name(base, ordinal, n);
        assert_eq!(name, segment.clone() + suffix);
        assert_eq!(StreamFileName::of(&name), StreamFileName::Torn { base, ordinal, n });
    }
    for suffix in [".torn.0", ".torn.01", ".torn.", ".torn.4294967296", ".torn.+1", ".torn1"] {
        assert_eq!(StreamFileName::of(&(segment.clone() + suffix)), StreamFileName::Foreign);
    }
    for name in [
        "",
        ".wal",
        "0000000000000016384-0000000001.wal",
        "00000000000000016384-000000001.wal",
        "+0000000000000016384-0000000001.wal",
        "00000000000000016384-+000000001.wal",
        "18446744073709551616-0000000001.wal",
        "00000000000000016384-4294967296.wal",
        "00000000000000016384-0000000001.WAL",
        "00000000000000016384-0000000001.wal ",
        "00000000000000016384-0000000001.wal.torn.torn",
        "0000000000000000000\u{661}-0000000001.wal",
    ] {
        assert_eq!(StreamFileName::of(name), StreamFileName::Foreign, "{name}");
    }
}

proptest! {
    #[test]
    fn every_key_comes_back(key in any::<String>()) {
        if let Ok(key) = StreamKey::new(&key) {
            prop_assert_eq!(StreamKey::decode_dir_name(&key.dir_name()), Ok(key));
        }
    }

    #[test]
    fn every_segment_name_comes_back(base: u64, ordinal: u32, n: u32) {
        let (base, ordinal) = (SequenceNumber::new(base), Ordinal::new(ordinal));
        let segment = StreamFileName::of(&segment_file_name(base, ordinal));
        prop_assert_eq!(segment, StreamFileName::Segment { base, ordinal });
        let torn = StreamFileName::of(&torn_file_name(base, ordinal, n));
        prop_assert_eq!(torn, StreamFileName::Torn { base, ordinal, n });
    }

    #[test]
    fn any_name_is_only_ever_what_it_would_be_made_as(name in "[a-z0-9.!%A-F-]{0,12}|\\PC*") {
        if let RootName::Stream(key) = RootName::of(&name) {
            prop_assert_eq!(key.dir_name(), name);
        }
    }
}
