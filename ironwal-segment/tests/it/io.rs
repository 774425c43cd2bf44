//! The loops above the storage, driven call by call.

use std::collections::VecDeque;
use std::io;
use std::io::ErrorKind::{
    Interrupted, Other, PermissionDenied, StorageFull, WouldBlock, WriteZero,
};
use std::sync::Mutex;

use bytes::Bytes;
use ironwal_segment::io::{read_up_to, write_all};
use ironwal_segment::storage::StorageFile;

use crate::conformance::refused;

/// A file that moves as many bytes per call as it is told, or fails; after the script it moves all.
#[derive(Debug, Default)]
struct Scripted {
    script: Mutex<VecDeque<Result<usize, io::ErrorKind>>>,
    for_ever: Option<io::ErrorKind>,
    bytes: Mutex<Vec<u8>>,
    calls: Mutex<Vec<(u64, usize)>>,
}

impl Scripted {
    fn new(script: &[Result<usize, io::ErrorKind>], bytes: &[u8]) -> Self {
        Scripted {
            script: Mutex::new(script.iter().copied().collect()),
            bytes: Mutex::new(bytes.to_vec()),
            ..Scripted::default()
        }
    }

    fn next_count(&self, offset: u64, len: usize) -> io::Result<usize> {
        self.calls.lock().unwrap().push((offset, len));
        if let Some(kind) = self.for_ever {
            return Err(kind.into());
        }
        let next = self.script.lock().unwrap().pop_front();
        match next {
            None => Ok(len),
            Some(Ok(count)) => Ok(count.min(len)),
            Some(Err(kind)) => Err(kind.into()),
        }
    }

    fn calls(&self) -> Vec<(u64, usize)> {
        self.calls.lock().unwrap().clone()
    }
}

impl StorageFile for Scripted {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = self.next_count(offset, buf.len())?;
        let bytes = self.bytes.lock().unwrap();
        let source = &bytes[usize::try_from(offset).unwrap().min(bytes.len())..];
        let count = count.min(source.len());
        buf[..count].copy_from_slice(&source[..count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let count = self.next_count(offset, bytes.len())?;
        let offset = usize::try_from(offset).unwrap();
        let mut file = self.bytes.lock().unwrap();
        file.truncate(offset);
        file.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn file_len(&self) -> io::Result<u64> {
        Err(Other.into())
    }

    fn set_len(&self, _len: u64) -> io::Result<()> {
        Err(Other.into())
    }

    fn allocate(&self, _len: u64) -> io::Result<()> {
        Err(Other.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(Other.into())
    }

    fn map(&self, _len: u64) -> io::Result<Bytes> {
        Err(Other.into())
    }
}

#[test]
fn short_and_interrupted_reads_go_on_where_they_stopped() {
    let file = Scripted::new(&[Ok(1), Err(Interrupted), Ok(3), Err(WouldBlock)], b"0123456789");
    let mut buf = [0; 6];
    assert_eq!(read_up_to(&file, &mut buf, 2).unwrap(), 6);
    assert_eq!(&buf, b"234567");
    assert_eq!(file.calls(), [(2, 6), (3, 5), (3, 5), (6, 2), (6, 2)]);
}

#[test]
fn a_read_ends_at_the_end_of_the_file() {
    let file = Scripted::new(&[Ok(2)], b"01234");
    let mut buf = [b'-'; 8];
    assert_eq!(read_up_to(&file, &mut buf, 1).unwrap(), 4);
    assert_eq!(&buf, b"1234----");
    assert_eq!(read_up_to(&file, &mut buf, 5).unwrap(), 0);
    assert_eq!(read_up_to(&file, &mut [], 0).unwrap(), 0);
}

#[test]
fn a_read_that_fails_otherwise_is_an_error_at_once() {
    let file = Scripted::new(&[Ok(1), Err(PermissionDenied)], b"01234");
    assert_eq!(refused(read_up_to(&file, &mut [0; 4], 0)), PermissionDenied);
    assert_eq!(file.calls().len(), 2);
}

#[test]
fn short_and_interrupted_writes_go_on_where_they_stopped() {
    let script = [Err(Interrupted), Ok(4), Ok(1), Err(WouldBlock), Err(Interrupted)];
    let file = Scripted::new(&script, b"");
    write_all(&file, b"0123456789", 0).unwrap();
    assert_eq!(*file.bytes.lock().unwrap(), b"0123456789");
    assert_eq!(file.calls(), [(0, 10), (0, 10), (4, 6), (5, 5), (5, 5), (5, 5)]);
}

#[test]
fn a_write_of_nothing_makes_no_call() {
    let file = Scripted::new(&[Err(StorageFull)], b"");
    write_all(&file, b"", 7).unwrap();
    assert_eq!(file.calls(), []);
}

#[test]
fn a_write_that_takes_no_byte_is_write_zero() {
    let file = Scripted::new(&[Ok(2), Ok(0)], b"");
    assert_eq!(refused(write_all(&file, b"0123", 0)), WriteZero);
    assert_eq!(*file.bytes.lock().unwrap(), b"01");
}

#[test]
fn a_write_that_fails_otherwise_is_an_error_at_once() {
    let file = Scripted::new(&[Ok(1), Err(StorageFull)], b"");
    assert_eq!(refused(write_all(&file, b"0123", 0)), StorageFull);
    assert_eq!(file.calls().len(), 2);
}

#[test]
fn what_is_interrupted_for_ever_ends_as_an_error() {
    for kind in [Interrupted, WouldBlock] {
        let file = Scripted { for_ever: Some(kind), ..Scripted::default() };
        assert_eq!(refused(write_all(&file, b"0", 0)), kind);
        assert_eq!(refused(read_up_to(&file, &mut [0], 0)), kind);
        assert!(file.calls().len() < 10_000);
    }
}
