//! What goes to standard output and to standard error.

use std::fmt::{self, Display, Write as _};
use std::io::{self, BufWriter, StdoutLock, Write};

use serde_json::Value;

use crate::failure::Failure;

/// How much is gathered before it is written.
const BUFFER_LEN: usize = 64 << 10;

/// For whom the output is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs: one object a line.
    Json,
}

/// Standard output, buffered. When nobody reads it any more the rest is dropped without an error.
#[derive(Debug)]
pub(crate) struct Output {
    inner: BufWriter<StdoutLock<'static>>,
    reader: Reader,
}

/// Whoever reads standard output.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reader {
    There,
    Gone,
}

impl Output {
    pub(crate) fn new() -> Self {
        let inner = BufWriter::with_capacity(BUFFER_LEN, io::stdout().lock());
        Self { inner, reader: Reader::There }
    }

    /// Whether anyone reads this, as far as is known.
    pub(crate) const fn reader(&self) -> Reader {
        self.reader
    }

    /// Writes bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.write(|inner| inner.write_all(bytes))
    }

    /// Writes a line of bytes.
    pub(crate) fn byte_line(&mut self, line: &[u8]) -> Result<(), Failure> {
        self.write(|inner| inner.write_all(line).and_then(|()| inner.write_all(b"\n")))
    }

    /// Writes a line.
    pub(crate) fn line(&mut self, line: impl Display) -> Result<(), Failure> {
        self.write(|inner| writeln!(inner, "{line}"))
    }

    /// Hands everything to whoever reads it.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.write(BufWriter::flush)
    }

    fn write(
        &mut self,
        write: impl FnOnce(&mut BufWriter<StdoutLock<'static>>) -> io::Result<()>,
    ) -> Result<(), Failure> {
        if self.reader == Reader::Gone {
            return Ok(());
        }
        match write(&mut self.inner) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.reader = Reader::Gone;
                Ok(())
            }
            written => written.map_err(|source| {
                let what = format!("cannot write to standard output: {source}");
                Failure::error(format!("{what}; make room for it, or send it elsewhere"))
            }),
        }
    }
}

/// Says something on standard error.
pub(crate) fn tell(sentence: impl Display) {
    // If that cannot be written to either, nobody is left to tell.
    drop(writeln!(io::stderr().lock(), "ironwal: {sentence}"));
}

/// An object on one line, with its members in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Object {
    members: String,
}

impl Object {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a member.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        let comma = if self.members.is_empty() { "" } else { "," };
        write!(self.members, "{comma}{}:{}", Value::from(name), value.into())
            .expect("a string takes all that is written to it");
        self
    }
}

impl Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.members)
    }
}

/// So many of these.
pub(crate) fn plural(count: u64, name: &str) -> String {
    if count == 1 {
        return format!("1 {name}");
    }
    match name.strip_suffix('y') {
        Some(stem) => format!("{count} {stem}ies"),
        None => format!("{count} {name}s"),
    }
}
