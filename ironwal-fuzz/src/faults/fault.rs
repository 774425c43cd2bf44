//! One thing that goes wrong: what, and in which calls.

use std::io;

/// A kind of call.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Op {
    /// `open` of an existing file.
    Open,
    /// `open` with `OpenMode::CreateNew`.
    Create,
    /// `read_at`.
    Read,
    /// `write_at`.
    Write,
    /// `file_len`.
    FileLen,
    /// `set_len`.
    SetLen,
    /// `allocate`.
    Allocate,
    /// `sync_data`.
    SyncData,
    /// `map`.
    Map,
    /// `sync_dir`.
    SyncDir,
    /// `rename`.
    Rename,
    /// `unlink`.
    Unlink,
    /// `list`.
    List,
    /// `create_dir`.
    CreateDir,
    /// `remove_dir`.
    RemoveDir,
    /// `lock`.
    Lock,
}

impl Op {
    /// Every kind of call.
    pub const ALL: [Op; 16] = [
        Op::Open,
        Op::Create,
        Op::Read,
        Op::Write,
        Op::FileLen,
        Op::SetLen,
        Op::Allocate,
        Op::SyncData,
        Op::Map,
        Op::SyncDir,
        Op::Rename,
        Op::Unlink,
        Op::List,
        Op::CreateDir,
        Op::RemoveDir,
        Op::Lock,
    ];

    /// The calls that change a file or a directory, or make a change durable.
    pub const CHANGING: [Op; 10] = [
        Op::Create,
        Op::Write,
        Op::SetLen,
        Op::Allocate,
        Op::SyncData,
        Op::SyncDir,
        Op::Rename,
        Op::Unlink,
        Op::CreateDir,
        Op::RemoveDir,
    ];

    fn moves_bytes(self) -> bool {
        matches!(self, Op::Read | Op::Write)
    }

    fn syncs(self) -> bool {
        matches!(self, Op::SyncData | Op::SyncDir)
    }
}

/// What goes wrong, in which calls. Without more it is the first call of any kind, once.
#[derive(Clone, Debug)]
pub struct Fault {
    pub(super) effect: Effect,
    ops: Vec<Op>,
    pub(super) name_part: String,
    first: u64,
    repeat: Repeat,
    seen_count: u64,
    pub(super) name: &'static str,
}

/// Which of the calls that a [`Fault`] is about fail, from the first on that does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Repeat {
    /// That one.
    Once,
    /// So many in a row.
    Times(u64),
    /// Every one.
    ForEver,
    /// That one and then each so many-th.
    Every(u64),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Effect {
    Kind(io::ErrorKind),
    Errno(i32),
    /// Half of the bytes are read or written.
    Short,
    /// Half of the bytes are written; the next write fails like this.
    ShortThen(io::ErrorKind),
    /// All bytes but the last are written; the next write fails like this.
    NearlyThen(io::ErrorKind),
    /// The sync returns success and is not passed on.
    Forget,
}

impl Fault {
    fn new(effect: Effect, ops: &[Op]) -> Self {
        Fault {
            effect,
            ops: ops.to_vec(),
            name_part: String::new(),
            first: 0,
            repeat: Repeat::Once,
            seen_count: 0,
            name: "",
        }
    }

    /// A call fails with this kind of error and is not passed on.
    #[must_use]
    pub fn error(kind: io::ErrorKind) -> Self {
        Self::new(Effect::Kind(kind), &Op::ALL)
    }

    /// A call fails with this error number of the operating system and is not passed on.
    #[must_use]
    pub fn errno(number: i32) -> Self {
        Self::new(Effect::Errno(number), &Op::ALL)
    }

    /// A read or write of two bytes or more moves only the first half of them; one of fewer is left
    /// as it is.
    #[must_use]
    pub fn short() -> Self {
        Self::new(Effect::Short, &[Op::Read, Op::Write])
    }

    /// A write of two bytes or more writes only the first half, and the next write of a file whose
    /// path fits fails with this kind of error.
    #[must_use]
    pub fn short_write_then(kind: io::ErrorKind) -> Self {
        Self::new(Effect::ShortThen(kind), &[Op::Write])
    }

    /// As [`short_write_then`](Self::short_write_then), but all bytes but the last are written: where that
    /// one is padding, nothing is missing.
    #[must_use]
    pub fn nearly_whole_write_then(kind: io::ErrorKind) -> Self {
        Self::new(Effect::NearlyThen(kind), &[Op::Write])
    }

    /// A sync of a file or directory returns success and is not passed on: a disk that lies.
    #[must_use]
    pub fn forgotten_sync() -> Self {
        Self::new(Effect::Forget, &[Op::SyncData, Op::SyncDir])
    }

    /// Only calls of this kind count.
    ///
    /// # Panics
    ///
    /// If calls of this kind cannot go wrong in this way.
    #[must_use]
    pub fn on(self, op: Op) -> Self {
        self.on_any(&[op])
    }

    /// Only calls of these kinds count.
    ///
    /// # Panics
    ///
    /// If calls of one of these kinds cannot go wrong in this way.
    #[must_use]
    pub fn on_any(mut self, ops: &[Op]) -> Self {
        for &op in ops {
            let fits = match self.effect {
                Effect::Kind(_) | Effect::Errno(_) => true,
                Effect::Short => op.moves_bytes(),
                Effect::ShortThen(_) | Effect::NearlyThen(_) => op == Op::Write,
                Effect::Forget => op.syncs(),
            };
            assert!(fits, "{op:?} cannot go wrong in this way");
        }
        self.ops = ops.to_vec();
        self
    }

    /// Only calls on paths, `name` or `name/name`, that this is a part of count. A handle counts by the
    /// path that it was opened at, a rename by either.
    #[must_use]
    pub fn at_path_with(mut self, part: &str) -> Self {
        part.clone_into(&mut self.name_part);
        self
    }

    /// The first call that goes wrong is that with this number among those that count; from 0, and
    /// from when the fault was added.
    #[must_use]
    pub fn nth(mut self, number: u64) -> Self {
        self.first = number;
        self
    }

    /// Under this name it is counted how often calls went wrong: [`Faults::fired`](super::Faults::fired).
    #[must_use]
    pub fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// From the first on, these calls go wrong.
    ///
    /// # Panics
    ///
    /// If it is each 0-th.
    #[must_use]
    pub fn repeated(mut self, repeat: Repeat) -> Self {
        assert!(repeat != Repeat::Every(0), "no call is each 0-th");
        self.repeat = repeat;
        self
    }

    /// Counts the call if it fits, and says whether it goes wrong.
    pub(super) fn meets(&mut self, op: Op, paths: &[&str]) -> bool {
        let fits =
            self.ops.contains(&op) && paths.iter().any(|path| path.contains(&self.name_part));
        if !fits {
            return false;
        }
        let number = self.seen_count;
        self.seen_count += 1;
        match (number.checked_sub(self.first), self.repeat) {
            (None, _) => false,
            (Some(past), Repeat::Once) => past == 0,
            (Some(past), Repeat::Times(count)) => past < count,
            (Some(_), Repeat::ForEver) => true,
            (Some(past), Repeat::Every(step)) => past % step == 0,
        }
    }
}

/// The error that an effect is; those that are none let the call pass.
pub(super) fn refuse(effect: Effect) -> io::Result<()> {
    match effect {
        Effect::Kind(kind) => Err(kind.into()),
        Effect::Errno(number) => Err(io::Error::from_raw_os_error(number)),
        Effect::Short | Effect::ShortThen(_) | Effect::NearlyThen(_) | Effect::Forget => Ok(()),
    }
}
