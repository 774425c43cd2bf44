//! Model L11: a reader, and whoever removes what it reads.

use super::stream::{Commit, Read, Stream};
use super::{Stop, beside, model};

/// L11: a reader of what is truncated meanwhile gets the entry or is told so, and files are gone when nobody
/// reads them any more.
///
/// Catches: unlinking before the view is told; a view that keeps the segments, or its first entry; a
/// reader who takes a file that is gone for damage.
#[test]
fn a_reader_gets_the_entry_or_that_it_was_truncated() {
    model(|| {
        let stream = Stream::new(1);
        for _ in 0..3 {
            stream.append(Commit::Durable).unwrap();
        }
        let reader = beside(&stream, |stream| {
            let first = stream.get(0);
            let again = stream.get(0);
            assert!(first == again || first == Read::Entry, "{first:?}, then {again:?}");
            first
        });
        assert_eq!(stream.truncate(2), Ok(2));
        assert_eq!(stream.get(1), Read::Truncated);
        let read = reader.join().unwrap();
        assert!([Read::Entry, Read::Truncated].contains(&read), "{read:?}");
        assert!(stream.disk.is_freed(0) && stream.disk.is_freed(1));
        stream.assert_whole(3);
    });
}

/// L11 where the whole stream goes: readers and appenders are told that, and nothing else.
///
/// Catches: removing files before the state is dead; a leader who finds the stream deleted and says
/// that the log is closed; a state that dies without closing its group.
#[test]
fn a_reader_gets_the_entry_or_that_the_stream_was_deleted() {
    model(|| {
        let stream = Stream::new(1);
        stream.append(Commit::Durable).unwrap();
        let reader = beside(&stream, |stream| stream.get(0));
        let appender = beside(&stream, |stream| stream.append(Commit::Durable));
        stream.delete();
        let read = reader.join().unwrap();
        assert!([Read::Entry, Read::Deleted].contains(&read), "{read:?}");
        let appended = appender.join().unwrap();
        assert!([Ok(2), Err(Stop::Deleted)].contains(&appended), "{appended:?}");
        assert_eq!(stream.get(0), Read::Deleted);
        assert_eq!(stream.append(Commit::Written), Err(Stop::Deleted));
        assert!(stream.disk.is_freed(0));
    });
}
