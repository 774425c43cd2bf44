//! The read-only handle of one stream, which follows what its writer does.

use std::ops::RangeBounds;

use bytes::Bytes;
use ironwal_format::names::StreamKey;
use ironwal_format::{SequenceNumber, StreamId};
use ironwal_stream::Followed;

use super::{Shared, Visibility};
use crate::error::{Error, ErrorKind, Result};
use crate::iter::{Iter, Origin};
use crate::report::RecoveryReport;
use crate::stream::{bounds, snapshot};
use crate::sync::{FileArc, Mutex};
use crate::verify::{Progress, Verification, verify};
use crate::view::{Found, Located, View};

/// A read-only handle of one stream, also of one that does not exist yet.
///
/// It knows what was there when it last looked. [`next_seq`](Self::next_seq), [`first_seq`](Self::first_seq)
/// and [`iter`](Self::iter) look again, and so does a [`get`](Self::get) at or behind the known end: what
/// was appended meanwhile is read from there on, not from the start. So a log is followed by a loop that
/// iterates from where the last iterator ended:
///
/// ```
/// # use ironwal::{Wal, WalOptions, WalReader};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let root = tempfile::tempdir()?;
/// # let wal = Wal::open(root.path(), WalOptions::new())?;
/// # wal.append("account/4711", "deposit 100")?;
/// let reader = WalReader::open(root.path())?;
/// let account = reader.stream("account/4711")?;
/// let mut next = account.first_seq()?;
/// # for _ in 0..2 {
/// for entry in account.iter(next..)? {
///     next = entry?.seq + 1;
/// }
/// // ... wait for a moment, and go on
/// # }
/// # assert_eq!(next, 1);
/// # Ok(())
/// # }
/// ```
///
/// Who keeps `next` for a later run compares it with [`next_seq`](Self::next_seq) before going on. Where
/// it is larger, a power cut has undone entries that were read with [`Visibility::Valid`], damage was
/// given up, or the stream was deleted and made anew: its numbers mean other entries then, and an
/// iterator that starts behind the end is empty without an error. Where other entries have reached `next`
/// meanwhile, no number tells.
///
/// It is cheap to clone; clones share what they know. A truncation is seen when it looks, or when a file
/// turns out to be gone; so is the deletion of the stream, after which it reads as empty, or as the stream
/// that was made anew with its key.
#[derive(Clone, Debug)]
pub struct StreamReader(FileArc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: FileArc<Shared>,
    key: StreamKey,
    /// Held while it looks, so that clones do not look at the same time.
    known: Mutex<Known>,
}

/// What is known of the stream.
#[derive(Debug)]
enum Known {
    /// Nothing yet.
    Nothing,
    /// There is no such stream.
    Absent,
    /// This is how it was; it can be followed from there.
    Followed(Box<View>),
    /// This is how it was; nothing but a new look tells what became of it.
    Seen(Box<View>),
    /// Not even reading is possible.
    Unreadable(Error),
}

impl StreamReader {
    pub(super) fn new(shared: FileArc<Shared>, key: StreamKey) -> Self {
        Self(FileArc::new(Inner { shared, key, known: Mutex::new(Known::Nothing) }))
    }

    /// The key of the stream.
    pub fn key(&self) -> &str {
        self.0.key.as_str()
    }

    /// Reads one entry; `None` if it is not there yet, or there is no such stream.
    ///
    /// # Errors
    ///
    /// As [`Stream::get`](crate::Stream::get).
    pub fn get(&self, seq: u64) -> Result<Option<Bytes>> {
        let seq = SequenceNumber::new(seq);
        match self.find(seq)? {
            Some(found) => found.into_entry(self.key(), seq).map(Some),
            None => Ok(None),
        }
    }

    /// Reads entries in the order in which they are asked for, `None` for each that is not there yet. Of
    /// entries of one batch that are asked for one behind the other, the batch is read once.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get), for the first entry that cannot be read.
    pub fn get_many(&self, seqs: impl IntoIterator<Item = u64>) -> Result<Vec<Option<Bytes>>> {
        crate::stream::get_many(self.key(), seqs, |seq| self.find(seq))
    }

    /// The entries of a range, in order, as they are now: what is written later is not among them. There
    /// are none if there is no such stream.
    ///
    /// If the range starts before the first entry that there is, the first item is the error
    /// [`ErrorKind::Truncated`].
    ///
    /// # Errors
    ///
    /// What the operating system says, and damage if nothing of the stream can be read. What is wrong
    /// with entries is an item of the iterator.
    pub fn iter(&self, range: impl RangeBounds<u64>) -> Result<Iter> {
        let (start, end) = bounds(&range);
        let reading = &self.0.shared.reading;
        let iter = self.looking(|view| snapshot(self.key(), reading, view, (start, end)))?;
        let origin: FileArc<Inner> = FileArc::clone(&self.0);
        Ok(iter.with_origin(origin))
    }

    /// The number of the first entry; 0 if there is no such stream.
    ///
    /// # Errors
    ///
    /// As [`iter`](Self::iter).
    pub fn first_seq(&self) -> Result<u64> {
        self.looking(|view| view.map_or(0, |view| view.first().get()))
    }

    /// One past the last entry; 0 if there is no such stream.
    ///
    /// # Errors
    ///
    /// As [`iter`](Self::iter).
    pub fn next_seq(&self) -> Result<u64> {
        self.looking(|view| view.map_or(0, |view| view.next().get()))
    }

    /// What an opening of the stream for writing would find; `None` if there is no such stream. All that
    /// the index does not vouch for is read for it.
    ///
    /// A last segment that it would set aside is told by the name that it has. Segments that the index
    /// vouches for are not read: that is for [`verify`](Self::verify).
    ///
    /// # Errors
    ///
    /// What the operating system says. Damage is told in the report.
    pub fn report(&self) -> Result<Option<RecoveryReport>> {
        let looked = super::look::look(&self.0.shared.environment.storage, &self.0.key)?;
        Ok(looked.map(|look| RecoveryReport::new(look.report)))
    }

    /// Reads and checks every byte of the stream that counts; `None` if there is no such stream.
    ///
    /// # Errors
    ///
    /// As [`report`](Self::report).
    pub fn verify(&self) -> Result<Option<Verification>> {
        self.verify_with(&mut |_| ())
    }

    /// As [`verify`](Self::verify), and calls `show` with how far it is: before the first byte is read,
    /// and at each frame.
    ///
    /// ```
    /// # use ironwal::{Wal, WalOptions, WalReader};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let root = tempfile::tempdir()?;
    /// # let wal = Wal::open(root.path(), WalOptions::new())?;
    /// # wal.append("s", "entry")?;
    /// let reader = WalReader::open(root.path())?;
    /// let mut last = None;
    /// reader.stream("s")?.verify_with(&mut |progress| last = Some(progress))?;
    /// assert!(last.is_some_and(|progress| progress.read_len == progress.byte_len));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`report`](Self::report).
    pub fn verify_with(&self, show: &mut dyn FnMut(Progress)) -> Result<Option<Verification>> {
        let storage = &self.0.shared.environment.storage;
        let looked = super::look::look(storage, &self.0.key)?;
        looked.map(|look| verify(&**storage, look, show)).transpose()
    }

    /// The frame that holds an entry. What is known is looked at first.
    fn find(&self, seq: SequenceNumber) -> Result<Option<Found>> {
        let reading = &self.0.shared.reading;
        let located = match self.0.locate(seq) {
            Some(located) => located,
            None => self.looking(|view| view.map_or(Located::Beyond, |view| view.locate(seq)))?,
        };
        let found = located.find(reading, self.key(), seq);
        reading.settle();
        match found {
            // Truncated, or deleted and perhaps made anew, since it was looked at; or damaged: then that
            // is what is said again.
            Err(error) if error.is_absence() || error.is_foreign() || self.0.is_news(&error) => {
                let located =
                    self.looking(|view| view.map_or(Located::Beyond, |view| view.locate(seq)))?;
                located.find(reading, self.key(), seq)
            }
            found => found,
        }
    }

    fn looking<R>(&self, read: impl FnOnce(Option<&View>) -> R) -> Result<R> {
        self.0.looking(read)
    }
}

impl Inner {
    /// Where an entry is, if that is known to be before the known end.
    fn locate(&self, seq: SequenceNumber) -> Option<Located> {
        match &*self.known.lock() {
            Known::Followed(view) | Known::Seen(view) if seq < view.next() => {
                Some(view.locate(seq))
            }
            Known::Followed(_)
            | Known::Seen(_)
            | Known::Nothing
            | Known::Absent
            | Known::Unreadable(_) => None,
        }
    }

    /// Whether this is damage of what was whole when it was looked at.
    fn is_news(&self, error: &Error) -> bool {
        error.is_damage() && matches!(&*self.known.lock(), Known::Followed(_))
    }

    /// Looks again, and runs `read` on what is there.
    fn looking<R>(&self, read: impl FnOnce(Option<&View>) -> R) -> Result<R> {
        let mut known = self.known.lock();
        let followed = match &mut *known {
            Known::Followed(view) => self.follow(view)?,
            Known::Nothing | Known::Absent | Known::Seen(_) | Known::Unreadable(_) => {
                Outlook::Unknown
            }
        };
        if let Outlook::Unknown = followed {
            // An error leaves nothing known.
            *known = Known::Nothing;
            *known = self.look()?;
        }
        match &*known {
            Known::Followed(view) | Known::Seen(view) => Ok(read(Some(view))),
            Known::Nothing | Known::Absent => Ok(read(None)),
            Known::Unreadable(error) => Err(error.clone()),
        }
    }

    /// Follows what was appended.
    fn follow(&self, view: &mut View) -> Result<Outlook> {
        let Some(end) = view.known_end() else { return Ok(Outlook::Unknown) };
        let followed = ironwal_stream::follow(view.dir(), end);
        Ok(match followed.map_err(|error| Error::below(self.key.as_str(), &error))? {
            Followed::Changed => Outlook::Unknown,
            Followed::Grown(changes) => {
                for change in changes {
                    view.apply(change);
                }
                // Who only looks holds no file open.
                view.park();
                Outlook::Known
            }
        })
    }

    /// Looks at the whole.
    fn look(&self) -> Result<Known> {
        let Some(look) = super::look::look(&self.shared.environment.storage, &self.key)? else {
            return Ok(Known::Absent);
        };
        let is_whole = look.report.damage.is_empty();
        let Some(mut view) = look.view else {
            let damage = look.report.damage.first();
            let damage = damage.expect("a stream is unreadable for damage");
            return Ok(Known::Unreadable(Error::below(self.key.as_str(), &damage.error)));
        };
        Ok(match self.shared.visibility {
            Visibility::Valid if is_whole => Known::Followed(Box::new(View::new(view))),
            Visibility::Valid => Known::Seen(Box::new(View::new(view))),
            Visibility::Proven => {
                view.next = view.next.min(view.proven);
                Known::Seen(Box::new(View::new(view)))
            }
        })
    }
}

/// Whether following told what became of the stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outlook {
    Known,
    Unknown,
}

impl Origin for Inner {
    fn first_now(&self, life: StreamId) -> Result<SequenceNumber> {
        let first =
            self.looking(|view| view.filter(|view| view.dir().id() == life).map(View::first));
        first?.ok_or_else(|| Error::of(self.key.as_str(), ErrorKind::Deleted))
    }
}
