//! Models L13 and L14: a stream that is closed, or fenced and opened anew.

use super::stream::{Commit, Death, Read, Stream};
use super::{Stop, beside, model};

/// L13: everything that was written is durable when closing has succeeded, also what nobody waits for
/// and while others hold the sync side; appenders are told `Ok` of what is durable, or that the
/// stream is closed.
///
/// Catches: a stream that appends while it closes; one that is closed before its last sync, or
/// without it; a truncation that takes the closing for an error of the group, which swallows the
/// last sync; closing that does not wait for whoever leads.
#[test]
fn closing_makes_durable_what_was_written_whoever_is_in_the_way() {
    model(|| {
        let stream = Stream::new(1);
        let appender = beside(&stream, |stream| {
            let mut written = 0;
            for commit in [Commit::Written, Commit::Durable] {
                match stream.append(commit) {
                    Ok(end) => written = end,
                    Err(stop) => assert_eq!(stop, Stop::Closed),
                }
            }
            written
        });
        let truncater = beside(&stream, |stream| stream.truncate(1).map(drop));
        assert_eq!(stream.close(), Ok(()));
        assert_eq!(stream.append(Commit::Written), Err(Stop::Closed));
        assert_eq!(stream.get(0), Read::Closed);
        let written = appender.join().unwrap();
        stream.disk.assert_durable(written);
        assert!([Ok(()), Err(Stop::Closed)].contains(&truncater.join().unwrap()));
        stream.disk.assert_nothing_lost();
    });
}

/// L14: when a fenced stream is opened anew, nobody who was on his way with the old state is at the files
/// any more, and it never appends again; what it acknowledged is durable.
///
/// Catches: retiring that leaves the write slot open, where nobody looks for a fence; retiring that does
/// not wait for whoever leads.
#[test]
fn what_was_fenced_stays_dead_when_it_is_opened_anew() {
    model(|| {
        let stream = Stream::new(2);
        let appender = beside(&stream, |stream| {
            if let Ok(end) = stream.append(Commit::Durable) {
                stream.disk.assert_durable(end);
            }
            stream.append(Commit::Written)
        });
        stream.break_off();
        stream.retire(Death::Replaced);
        stream.disk.hand_over();
        let late = appender.join().unwrap();
        assert!([Ok(2), Err(Stop::Write), Err(Stop::Replaced)].contains(&late), "{late:?}");
        assert_eq!(stream.append(Commit::Durable), Err(Stop::Replaced));
        assert_eq!(stream.get(0), Read::Replaced);
    });
}
