//! The making of a stream.

use std::io;
use std::sync::Arc;

use ironwal_format::names::{INDEX_FILE, NEW_PREFIX, StreamKey};
use ironwal_format::seal::SparseTable;
use ironwal_format::{Ordinal, SequenceNumber, StreamId};
use ironwal_segment::storage::{Storage, StoragePath};
use ironwal_segment::{IoOp, SegmentName, SegmentWriter, StreamDir};

use crate::delete::remove_remains;
use crate::error::Error;
use crate::index_file::{IndexWriter, write_new};
use crate::options::StreamOptions;
use crate::recover::OpenStream;
use crate::sync_side::SyncSide;
use crate::view::{ActiveSegment, StreamView};
use crate::write_side::WriteSide;

/// How many names are tried for the directory that a stream is made in.
const MAX_NEW_NAMES: u32 = 100;

/// Makes an empty stream, durable with its name when this returns.
///
/// 1. Remove what an interrupted creation left behind: nobody was told of it.
/// 2. Make a directory with a name of its own, in it the first segment with its header, then the
///    index; sync each. A crash leaves a directory that counts for nothing.
/// 3. Sync the directory. The same.
/// 4. Rename it into place. A crash leaves that directory, or an empty stream.
/// 5. Sync the root. A crash leaves an empty stream.
///
/// So the index vouches for the header of the first segment.
///
/// # Errors
///
/// Those of the operating system. No entry was written; an empty stream may be there.
pub fn create(
    storage: &Arc<dyn Storage>,
    key: &StreamKey,
    id: StreamId,
    options: StreamOptions,
    now: u64,
) -> Result<OpenStream, Error> {
    let dir_name = key.dir_name();
    let new_name = make_dir(&**storage, &dir_name)?;
    let new_path = StoragePath::new(&new_name);
    let failed = |op| {
        let path = storage.display(new_path);
        move |source| Error::io(path, op, source)
    };
    let new_dir = StreamDir::new(Arc::clone(storage), &new_name, key.clone(), id);
    let name = SegmentName { base: SequenceNumber::ZERO, ordinal: Ordinal::ZERO };
    let file = new_dir.create_segment(name, now)?;
    file.sync_data()
        .map_err(|source| Error::io(new_dir.display(&name.file_name()), IoOp::Sync, source))?;
    let index_len = write_new(&new_dir, INDEX_FILE, &[])?;
    new_dir.sync()?;
    storage.rename(new_path, StoragePath::new(&dir_name)).map_err(failed(IoOp::Rename))?;
    sync_root(&**storage)?;

    let dir = Arc::new(StreamDir::new(Arc::clone(storage), &dir_name, key.clone(), id));
    let writer = SegmentWriter::new(&dir, name, options.max_segment_len, options.preallocation);
    let active = ActiveSegment {
        name,
        file: Some(Arc::clone(&file)),
        table: SparseTable::default(),
        len: dir.header_len(),
    };
    let view = StreamView {
        dir: Arc::clone(&dir),
        first: SequenceNumber::ZERO,
        next: SequenceNumber::ZERO,
        proven: SequenceNumber::ZERO,
        closed: Vec::new(),
        active: Some(active),
        missing: Vec::new(),
    };
    let index = IndexWriter::new(Arc::clone(&dir), index_len, &[]);
    let write = WriteSide::new(Arc::clone(&dir), options, SequenceNumber::ZERO, writer, file);
    Ok(OpenStream { write, sync: SyncSide::new(dir, index), view })
}

/// Makes the directory that a stream is made in, where nothing of an interrupted creation is left; gives its
/// name. One that holds what is not ours stays as it is, and another name is taken.
fn make_dir(storage: &dyn Storage, dir_name: &str) -> Result<String, Error> {
    let mut name = format!("{NEW_PREFIX}{dir_name}");
    let mut tries = 1..MAX_NEW_NAMES;
    loop {
        remove_remains(storage, &name)?;
        let path = StoragePath::new(&name);
        match (storage.create_dir(path), tries.next()) {
            (Ok(()), _) => return Ok(name),
            (Err(error), Some(number)) if error.kind() == io::ErrorKind::AlreadyExists => {
                // No key has a `+` in its name.
                name = format!("{NEW_PREFIX}{dir_name}+{number}");
            }
            (Err(error), _) => {
                return Err(Error::io(storage.display(path), IoOp::CreateDir, error));
            }
        }
    }
}

/// Makes the names in the root durable.
pub(crate) fn sync_root(storage: &dyn Storage) -> Result<(), Error> {
    storage
        .sync_dir(StoragePath::ROOT)
        .map_err(|source| Error::io(storage.display(StoragePath::ROOT), IoOp::SyncDir, source))
}
