//! One stream of IronWal: a directory of segments and its index.
//!
//! An open stream comes in two exclusive halves, so that a frame can be placed while another thread
//! syncs: the [`WriteSide`] places frames and rotates, the [`SyncSide`] makes durable what was
//! placed. Values go between them: [`SyncWork`] one way, [`SyncedMark`] the other. What readers may
//! see is a [`StreamView`], which grows by the [`ViewChange`] of each commit.
//!
//! There is no lock here, no thread and no clock. The order of disk operations is decided and
//! documented here: at [`create`](fn@create), [`open`], [`WriteSide::append`] and [`SyncSide::sync`].
#![forbid(unsafe_code)]

mod create;
mod delete;
mod error;
mod follow;
mod gather;
mod index_file;
mod judge;
mod layout;
mod options;
mod recover;
mod report;
mod sync_side;
mod view;
mod write_side;

pub use create::create;
pub use delete::{Deleted, delete, holds_ours, remove_remains};
pub use error::{Error, ErrorKind, IoOp};
pub use follow::{Followed, KnownEnd, follow};
pub use ironwal_segment::{Frame, Preallocation, SegmentBytes, SegmentName, StreamDir};
pub use options::{CorruptionPolicy, StreamOptions};
pub use recover::{OpenStream, Opened, inspect, open};
pub use report::{DamageReport, IndexFinding, StreamReport};
pub use sync_side::{FloorRoom, SyncSide, Synced, TruncateError, Truncation};
pub use view::{
    ActiveSegment, ClosedSegment, Cursor, CursorItem, Evenness, MissingEntries, ReadSegment,
    RotatedView, SegmentMap, StreamView, ViewChange,
};
pub use write_side::{Admission, AppendError, SyncWork, SyncedMark, WriteSide};
