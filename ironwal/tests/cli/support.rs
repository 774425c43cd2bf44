//! Running the command, and meddling with what it made.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;
use std::time::SystemTime;

use serde_json::Value;

pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// The objects on standard output, one on each line.
    pub(crate) fn objects(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        let Self { code: found, stdout, stderr } = &self;
        let shown = String::from_utf8_lossy(stdout);
        assert_eq!(*found, code, "\n--- stdout\n{shown}\n--- stderr\n{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        self
    }
}

pub(crate) struct Log {
    dir: tempfile::TempDir,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// The directory of the log, which is not there at first.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// A path beside the log.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The command, with the root behind its first argument.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ironwal"));
        command.args(&args[..1]).arg(self.root()).args(&args[1..]);
        command
    }

    pub(crate) fn run(&self, args: &[&str], input: &[u8]) -> Ran {
        run(&mut self.command(args), input)
    }

    pub(crate) fn append(&self, args: &[&str], input: impl AsRef<[u8]>) -> Ran {
        self.run(&[&["append"], args].concat(), input.as_ref())
    }

    pub(crate) fn cat(&self, args: &[&str]) -> Ran {
        self.run(&[&["cat"], args].concat(), b"")
    }

    /// The findings and the summary.
    pub(crate) fn verify(&self, code: i32) -> (Vec<Value>, Value) {
        let mut objects = self.run(&["verify", "--json"], b"").expect(code).objects();
        let summary = objects.pop().unwrap();
        assert_eq!(summary["type"], "summary");
        assert!(objects.iter().all(|finding| finding["type"] == "finding"));
        assert_eq!(summary["findings"], objects.len());
        (objects, summary)
    }

    /// The segments of a stream, in order.
    pub(crate) fn segments(&self, stream: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.root().join(stream)).unwrap();
        let mut paths: Vec<_> = entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "wal"))
            .collect();
        paths.sort();
        paths
    }

    /// Every file below the root with its bytes and the time when it was last changed.
    pub(crate) fn image(&self) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
        let mut image = BTreeMap::new();
        let mut todo = vec![self.root()];
        while let Some(path) = todo.pop() {
            let meta = fs::symlink_metadata(&path).unwrap();
            let bytes = if meta.is_dir() {
                todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                Vec::new()
            } else {
                fs::read(&path).unwrap()
            };
            image.insert(path, (bytes, meta.modified().unwrap()));
        }
        image
    }

    /// A process that appends what it is given, with `--ack`.
    pub(crate) fn writer(&self, args: &[&str]) -> Writer {
        let mut child = self
            .command(&[&["append", "--ack"], args].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Writer { child, stdin, stdout }
    }

    /// Appends lines with a process that is killed when all of them are acknowledged.
    pub(crate) fn append_and_kill(&self, args: &[&str], lines: &[&str]) {
        let mut writer = self.writer(args);
        for line in lines {
            writer.send(line);
            writer.ack().unwrap();
        }
        writer.kill();
    }
}

/// A process that appends, and that is alive.
pub(crate) struct Writer {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Writer {
    pub(crate) fn send(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    pub(crate) fn take_input(&mut self) -> ChildStdin {
        self.stdin.take().unwrap()
    }

    /// The next number that is acknowledged; `None` at the end.
    pub(crate) fn ack(&mut self) -> Option<u64> {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        // One that was killed in the middle of a line has not acknowledged it.
        line.strip_suffix('\n').map(|number| number.parse().unwrap())
    }

    /// Kills it with SIGKILL. Gives what it had acknowledged and nobody had read.
    pub(crate) fn kill(mut self) -> Vec<u64> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::iter::from_fn(|| self.ack()).collect()
    }

    /// Ends its input and waits for it.
    pub(crate) fn finish(mut self) -> Ran {
        drop(self.stdin.take());
        let mut stdout = Vec::new();
        self.stdout.read_to_end(&mut stdout).unwrap();
        Self::ended(self.child, stdout)
    }

    /// Reads no more of what it says, and waits for it.
    pub(crate) fn hang_up(self) -> Ran {
        drop(self.stdout);
        Self::ended(self.child, Vec::new())
    }

    fn ended(child: Child, stdout: Vec<u8>) -> Ran {
        let done = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(done.stderr).unwrap();
        Ran { code: done.status.code().unwrap(), stdout, stderr }
    }
}

pub(crate) fn run(command: &mut Command, input: &[u8]) -> Ran {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // One that ends before it has read all of its input is no concern of ours.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().unwrap()
    });
    let stderr = String::from_utf8(output.stderr).unwrap();
    Ran { code: output.status.code().expect("it was not killed"), stdout: output.stdout, stderr }
}

/// `dump` of a file, wherever it is.
pub(crate) fn dump(path: &Path, args: &[&str]) -> Ran {
    run(Command::new(env!("CARGO_BIN_EXE_ironwal")).arg("dump").arg(path).args(args), b"")
}

/// Where `needle` stands in a file.
#[track_caller]
pub(crate) fn find(path: &Path, needle: &str) -> usize {
    let bytes = fs::read(path).unwrap();
    let at = bytes.windows(needle.len()).position(|window| window == needle.as_bytes());
    at.unwrap_or_else(|| panic!("{needle} is in {}", path.display()))
}

/// Turns the lowest bit of a byte.
pub(crate) fn turn(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Writes over what is at a place.
pub(crate) fn write_at(path: &Path, at: usize, what: &[u8]) {
    let mut bytes = fs::read(path).unwrap();
    bytes.resize(bytes.len().max(at + what.len()), 0);
    bytes[at..at + what.len()].copy_from_slice(what);
    fs::write(path, bytes).unwrap();
}

/// A line for each of these entries.
pub(crate) fn lines(seqs: impl IntoIterator<Item = u64>) -> String {
    let mut lines = String::new();
    for seq in seqs {
        lines.extend(["entry-", &seq.to_string(), ".\n"]);
    }
    lines
}

/// Writes a line for each entry from a number on, until nobody reads them any more.
pub(crate) fn feed(mut input: ChildStdin, from: u64) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for seq in from.. {
            if input.write_all(lines([seq]).as_bytes()).is_err() {
                break;
            }
        }
    })
}
