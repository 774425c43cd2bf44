//! How a command ends, and the sentence that says why and what to do.

use std::error::Error as _;
use std::fmt::{self, Display};
use std::io;
use std::path::Path;
use std::process::ExitCode;

use ironwal::{Error, ErrorKind};

/// How a command ends. Of several the last in this order counts.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Code {
    Fine = 0,
    Error = 1,
    Usage = 2,
    Damage = 3,
    Locked = 4,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// Why a command stopped, in one sentence that says what to do.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    sentence: String,
}

impl Failure {
    pub(crate) fn new(code: Code, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into() }
    }

    /// One that is neither damage nor a lock nor a matter of usage.
    pub(crate) fn error(sentence: impl Into<String>) -> Self {
        Self::new(Code::Error, sentence)
    }

    /// That there is no such stream.
    pub(crate) fn absent(root: &Path, stream: &str) -> Self {
        let (stream, root) = (stream.escape_debug(), root.display());
        Self::error(format!(
            "there is no stream {stream} in {root}: `ironwal ls {root}` names those that there are"
        ))
    }

    /// What the operating system said when something was done to a file or a directory.
    pub(crate) fn machine(did: &str, path: &Path, source: &io::Error) -> Self {
        let (path, advice) = (path.display(), machine_advice(Some(source.kind())));
        Self::error(format!("cannot {did} {path}: {source}; {advice}"))
    }

    pub(crate) const fn code(&self) -> Code {
        self.code
    }

    /// Adds what else is to be known.
    #[must_use]
    pub(crate) fn and(mut self, more: impl Display) -> Self {
        self.sentence = format!("{}; {more}", self.sentence);
        self
    }

    /// Lets the command end no better than with `code`.
    #[must_use]
    pub(crate) fn at_least(mut self, code: Code) -> Self {
        self.code = self.code.max(code);
        self
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = code_of(&error);
        if code == Code::Locked {
            let lock = error.path().unwrap_or(Path::new(""));
            let root = lock.parent().unwrap_or(lock).display();
            return Self::new(
                code,
                format!(
                    "another process is writing to {root}: stop it, or use one of the other \
                     commands, which need no lock"
                ),
            );
        }
        Self::new(code, format!("{}; {}", describe(&error), advice(&error)))
    }
}

/// How a command ends that stops with this error.
fn code_of(error: &Error) -> Code {
    if error.is_locked() {
        return Code::Locked;
    }
    if is_loss(error) {
        return Code::Damage;
    }
    let is_usage =
        matches!(error.kind(), ErrorKind::InvalidKey(_) | ErrorKind::InvalidOption { .. });
    if is_usage { Code::Usage } else { Code::Error }
}

/// Whether something is damaged, missing, foreign, or of a newer version.
pub(crate) fn is_loss(error: &Error) -> bool {
    error.is_damage() || error.is_foreign()
}

/// The error and its causes, without what to do.
pub(crate) fn describe(error: &Error) -> String {
    fold(error.to_string(), error.source())
}

/// What is wrong, without where: for a line that says that already.
pub(crate) fn reason(error: &Error) -> String {
    if let ErrorKind::Damaged { reason, .. } = error.kind() {
        return fold(reason.to_string(), reason.source());
    }
    fold(error.kind().to_string(), error.kind().source())
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    fold(error.to_string(), error.source())
}

fn fold(mut text: String, mut source: Option<&(dyn std::error::Error + 'static)>) -> String {
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // One that says only what its cause says adds nothing.
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// What to do about an error.
fn advice(error: &Error) -> &'static str {
    match error.kind() {
        ErrorKind::InvalidKey(_) => "give another key",
        ErrorKind::InvalidOption { .. } => "give another value",
        ErrorKind::TooLarge(_) => "split it, or make batches smaller",
        ErrorKind::Truncated { .. } => "start there, with --from",
        ErrorKind::SyncFailed(_) | ErrorKind::Fenced(_) => {
            "check the disk, then look with cat what is there before you append anything again"
        }
        ErrorKind::MissingFeature { .. } => "use an ironwal that was built with this feature",
        ErrorKind::NewerVersion => "use a newer version of ironwal",
        ErrorKind::Exhausted => "go on in another stream",
        ErrorKind::Damaged { .. }
        | ErrorKind::MissingSegment
        | ErrorKind::Foreign
        | ErrorKind::NotOurs => {
            "run `ironwal verify` to see all that is wrong, and put the file back from a copy"
        }
        ErrorKind::Locked | ErrorKind::Closed | ErrorKind::Io { .. } | _ => {
            machine_advice(error.io_error().map(io::Error::kind))
        }
    }
}

/// What to do about what the operating system said.
const fn machine_advice(kind: Option<io::ErrorKind>) -> &'static str {
    match kind {
        Some(io::ErrorKind::NotFound) => "check the path",
        Some(io::ErrorKind::NotADirectory) => "move it away, or give the directory of a log",
        Some(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
            "check whose it is, and who may read and write there"
        }
        Some(
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge,
        ) => "make room, and append the rest again",
        Some(_) | None => "check the disk and the log of the system",
    }
}
