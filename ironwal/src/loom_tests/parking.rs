//! Model L12: closing the file of an idle stream that is idle no more.

use super::stream::{Commit, Read, Stream};
use super::{Stop, beside, model};

/// L12: the file is closed only when it is synced, what is written through one handle is synced
/// through it, and at rest the budget counts the stream if that holds its file.
///
/// Catches: closing the file without looking once more, in the slot, whether something was written
/// meanwhile; closing it without a sync; saying that it was closed where it was not; counting a file
/// that is opened again never, or each time it is used.
#[test]
fn no_handle_with_unsynced_bytes_is_closed() {
    model(|| {
        let stream = Stream::new(2);
        let budget = beside(&stream, |stream| {
            stream.release();
            stream.release();
        });
        assert_eq!(stream.append(Commit::Written), Ok(1));
        let end = stream.append(Commit::Durable).unwrap();
        stream.disk.assert_durable(end);
        budget.join().unwrap();
        stream.assert_counted_right();
        stream.assert_whole(2);
    });
}

/// L12 with a rotation between the two, which holds two files, and with a reader, who may be led to the
/// file that is closed.
///
/// Catches: as the model before; a leader who publishes after his sync what others may have gone
/// beyond.
#[test]
fn a_rotation_is_synced_before_its_files_are_closed() {
    model(|| {
        let stream = Stream::new(1);
        stream.append(Commit::Written).unwrap();
        let budget = beside(&stream, Stream::release);
        let reader = beside(&stream, |stream| assert_eq!(stream.get(0), Read::Entry));
        stream.append(Commit::Written).unwrap();
        assert_eq!(stream.sync(), Ok(()));
        budget.join().unwrap();
        reader.join().unwrap();
        stream.disk.assert_durable(2);
        stream.assert_counted_right();
        stream.assert_whole(2);
    });
}

/// L12 where the stream is fenced: its file is let go of, and nobody opens it again.
///
/// Catches: a leader who looks only after the sync whether the stream was fenced: to sync what will
/// count for nothing it opens the file again, uncounted.
#[test]
fn the_file_of_a_fenced_stream_stays_closed() {
    model(|| {
        let stream = Stream::new(2);
        stream.append(Commit::Written).unwrap();
        let budget = beside(&stream, Stream::release);
        let other = beside(&stream, |stream| {
            if let Err(stop) = stream.sync() {
                assert_eq!(stop, Stop::Write);
            }
        });
        stream.break_off();
        budget.join().unwrap();
        other.join().unwrap();
        stream.assert_counted_right();
    });
}
