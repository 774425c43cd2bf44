//! Any text as the key of a stream, as a name in a directory, and two texts beside each other.

use ironwal_format::StreamKey;
use ironwal_format::names::{
    KeyError, MAX_DIR_NAME_LEN, RootName, StreamFileName, segment_file_name, torn_file_name,
};

/// Two texts with a byte of ones between them.
pub fn run(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0xFF).map(String::from_utf8_lossy);
    let first = parts.next().unwrap_or_default();
    let second = parts.next().unwrap_or_default();
    let names = [check_key(&first), check_key(&second)];
    if let [Some(one), Some(other)] = names
        && first != second
    {
        // Also on file systems that fold case, or cut dots and spaces off.
        let folded = |name: &str| name.trim_end_matches(['.', ' ']).to_lowercase();
        assert_ne!(folded(&one), folded(&other), "{first:?} and {second:?} have one name");
    }
    check_name(&first);
    check_name(&second);
}

/// The name of a key, which is one name of ours in the root.
fn check_key(text: &str) -> Option<String> {
    let key = match StreamKey::new(text) {
        Ok(key) => key,
        Err(KeyError::Empty) => {
            assert_eq!(text, "");
            return None;
        }
        Err(error) => {
            assert!(text.len() * 3 > MAX_DIR_NAME_LEN, "{text:?}: {error}");
            return None;
        }
    };
    assert_eq!(key.as_str(), text);
    let name = key.dir_name();
    assert!((1..=MAX_DIR_NAME_LEN).contains(&name.len()), "{name:?}");
    assert!(!name.starts_with('.') && !name.ends_with('.'), "{name:?}");
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"/\\:*?\"<>|".contains(&byte);
    assert!(name.bytes().all(|byte| is_plain(byte) && !byte.is_ascii_uppercase() || is_hex(byte)));
    assert_eq!(StreamKey::decode_dir_name(&name).as_ref(), Ok(&key), "{name:?}");
    assert_eq!(RootName::of(&name), RootName::Stream(key.clone()));
    // It misleads no terminal.
    assert!(!key.to_string().chars().any(char::is_control));
    Some(name)
}

const fn is_hex(byte: u8) -> bool {
    matches!(byte, b'A'..=b'F')
}

/// A name stands for at most one thing, whose name it is.
fn check_name(name: &str) {
    if let Ok(key) = StreamKey::decode_dir_name(name) {
        assert_eq!(key.dir_name(), name);
        assert_eq!(StreamKey::new(key.as_str()).as_ref(), Ok(&key));
    }
    match RootName::of(name) {
        RootName::Stream(key) => assert_eq!(key.dir_name(), name),
        RootName::New | RootName::Trash | RootName::Lock => assert!(name.starts_with('.')),
        RootName::Foreign => {}
    }
    match StreamFileName::of(name) {
        StreamFileName::Segment { base, ordinal } => {
            assert_eq!(segment_file_name(base, ordinal), name);
        }
        StreamFileName::Torn { base, ordinal, n } => {
            assert_eq!(torn_file_name(base, ordinal, n), name);
        }
        StreamFileName::Index | StreamFileName::IndexTemp | StreamFileName::Foreign => {}
    }
}
