//! A small bank, and the proof that it loses nothing when it is killed.
//!
//! ```text
//! cargo run --release -p ironwal --example ledger [DIR]
//! ```
//!
//! Every account is a stream, every posting an entry. A child process runs the bank: several clerks
//! post at the same time, and each posting is acknowledged to the parent as soon as the append has
//! returned. In the middle of that the parent kills the child with SIGKILL, opens the log itself,
//! replays every account and compares it with the acknowledgements: none may be missing, none may be
//! there twice, and the money has to be right. Then the next child goes on where the last one ended.
//!
//! What may be there beyond the acknowledgements is what each clerk was just doing when the kill came:
//! written, but the acknowledgement did not leave the process. That is counted, must be whole, and from
//! then on must stay.
//!
//! The log is in a temporary directory, or in DIR, which is kept: run it there again and it goes on.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports to people")]

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use ironwal::{RecoveryReport, Wal, WalOptions};

const ACCOUNT_COUNT: u64 = 2_000;

/// Half of all operations go to these accounts, so that clerks meet and segments fill up.
const BUSY_ACCOUNT_COUNT: u64 = 20;

const CLERK_COUNT: u64 = 8;

const ROUND_COUNT: usize = 3;

/// A child is killed after so many acknowledgements, or after so long.
const ROUND_ACK_COUNT: usize = 25_000;
const ROUND_TIME: Duration = Duration::from_secs(8);

/// The hidden argument that makes this program the child.
const RUN_THE_BANK: &str = "--run-the-bank";

const SIGKILL: i32 = 9;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let done = match args.as_slice() {
        [] => kill_and_prove_in_passing(),
        [flag, root, first] if flag == RUN_THE_BANK => run_the_bank(Path::new(root), first),
        [root] => kill_and_prove(Path::new(root)),
        _ => Err("usage: ledger [DIR]".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("ledger: {error}");
            let mut source = error.source();
            while let Some(error) = source {
                eprint!(": {error}");
                source = error.source();
            }
            eprintln!();
            ExitCode::FAILURE
        }
    }
}

/// Small segments, so that there are many, and fewer open files than accounts.
fn options() -> WalOptions {
    WalOptions::new().max_segment_size(8 << 10).max_open_segments(256)
}

// What is posted: a function of the operation's number alone, so that whoever finds a posting can tell
// whether it is what was posted, acknowledged or not.

/// What a clerk does in one go: one posting, or the three of a statement, which belong together.
struct Operation {
    account: u64,
    postings: Vec<Posting>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Posting {
    id: PostingId,
    part_count: u64,
    /// In cents.
    amount: i64,
    text: &'static str,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct PostingId {
    operation: u64,
    part: u64,
}

impl Operation {
    fn new(number: u64) -> Self {
        let dice = mix(number);
        let account_count = if dice.is_multiple_of(2) { ACCOUNT_COUNT } else { BUSY_ACCOUNT_COUNT };
        let cents = i64::from(u16::from_le_bytes([dice.to_le_bytes()[6], dice.to_le_bytes()[7]]));
        let parts: &[(i64, &'static str)] = match (dice >> 8) % 16 {
            0 => &[(cents, "interest"), (-cents / 4, "tax on interest"), (-450, "yearly fee")],
            1..=6 => &[(3 * cents, "salary")],
            7..=10 => &[(-2 * cents, "rent")],
            _ => &[(-cents, "card payment")],
        };
        let (operation, part_count) = (number, parts.len() as u64);
        let postings = (1..).zip(parts).map(|(part, &(amount, text))| {
            let id = PostingId { operation, part };
            Posting { id, part_count, amount, text }
        });
        Self { account: (dice >> 16) % account_count, postings: postings.collect() }
    }
}

impl Posting {
    /// The posting whose bytes these are, if it is one of this account.
    fn read(account: u64, entry: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(entry).ok()?;
        let (operation, rest) = text.split_once('.')?;
        let (part, _) = rest.split_once('/')?;
        let part: usize = part.parse().ok()?;
        let operation = Operation::new(operation.parse().ok()?);
        let posting = *operation.postings.get(part.checked_sub(1)?)?;
        (operation.account == account && posting.to_string() == text).then_some(posting)
    }
}

/// The entry in the log: `ironwal cat` shows a statement of the account.
impl fmt::Display for Posting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id: PostingId { operation, part }, part_count, amount, text } = self;
        write!(f, "{operation}.{part}/{part_count} {} {text}", Money(*amount))
    }
}

fn stream_key(account: u64) -> String {
    format!("account-{account:04}")
}

/// A number that looks random, the same for the same number: the finalizer of `SplitMix64`.
fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

// The child.

/// Lets the clerks work until somebody kills this process.
fn run_the_bank(root: &Path, first_operation: &OsStr) -> Result<()> {
    let first = first_operation.to_str().ok_or("no number")?.parse()?;
    let wal = Wal::open(root, options())?;
    let (next, stopped) = (AtomicU64::new(first), AtomicBool::new(false));
    let clerk = || {
        while !stopped.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = post(&wal, &Operation::new(number)) {
                stopped.store(true, Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let clerks: Vec<_> = (0..CLERK_COUNT).map(|_| scope.spawn(clerk)).collect();
        clerks.into_iter().try_for_each(|clerk| clerk.join().unwrap_or(Err("panicked".into())))
    })
}

/// Posts, and acknowledges what was posted.
fn post(wal: &Wal, operation: &Operation) -> Result<()> {
    let key = stream_key(operation.account);
    let first_seq = match operation.postings.as_slice() {
        [posting] => wal.append(&key, posting.to_string())?,
        // One after the other would be fine for the log, but not for the bank: a crash between two of
        // them would leave interest without its tax.
        postings => wal.append_batch(&key, postings.iter().map(Posting::to_string))?.start,
    };
    // Here, and not a moment before, the postings are durable: the customer may be told.
    let mut acks = Vec::new();
    for (seq, posting) in (first_seq..).zip(&operation.postings) {
        let PostingId { operation: number, part } = posting.id;
        writeln!(acks, "{} {seq} {number} {part} {}", operation.account, posting.amount)?;
    }
    io::stdout().write_all(&acks)?;
    Ok(())
}

// The parent.

/// What the log has to hold: everything that was acknowledged, and everything that was found before.
#[derive(Default)]
struct Books {
    accounts: BTreeMap<u64, Account>,
    next_operation: u64,
}

#[derive(Default)]
struct Account {
    postings: BTreeMap<u64, PostingId>,
    balance: i64,
}

struct Ack {
    account: u64,
    seq: u64,
    id: PostingId,
    amount: i64,
}

impl Ack {
    fn read(line: &str) -> Result<Self> {
        let fields: Vec<&str> = line.split(' ').collect();
        let [account, seq, operation, part, amount] = *fields.as_slice() else {
            return Err(format!("an acknowledgement reads {line:?}").into());
        };
        let id = PostingId { operation: operation.parse()?, part: part.parse()? };
        Ok(Self { account: account.parse()?, seq: seq.parse()?, id, amount: amount.parse()? })
    }
}

impl Books {
    fn enter(&mut self, ack: &Ack) {
        let account = self.accounts.entry(ack.account).or_default();
        account.postings.insert(ack.seq, ack.id);
        account.balance += ack.amount;
        // The clerks may have taken numbers past this one, and lost them.
        self.next_operation = self.next_operation.max(ack.id.operation + CLERK_COUNT);
    }

    fn posting_count(&self) -> usize {
        self.accounts.values().map(|account| account.postings.len()).sum()
    }

    fn balance(&self) -> i64 {
        self.accounts.values().map(|account| account.balance).sum()
    }
}

fn kill_and_prove_in_passing() -> Result<()> {
    let dir = tempfile::tempdir()?;
    kill_and_prove(dir.path())?;
    println!("Removing the files: give a directory to keep them.");
    dir.close()?;
    Ok(())
}

fn kill_and_prove(root: &Path) -> Result<()> {
    refuse_what_is_no_ledger(root)?;
    println!("A bank in {}", root.display());
    println!("{ACCOUNT_COUNT} accounts, {CLERK_COUNT} clerks, {ROUND_COUNT} kills");
    let mut books = Books::default();
    let earlier = replay(&Wal::open(root, options())?, &mut books)?;
    if earlier.posting_count > 0 {
        println!("It goes on after {} postings of earlier runs.", grouped(&earlier.posting_count));
    }
    for round in 1..=ROUND_COUNT {
        println!("\nRound {round}");
        run_and_kill(root, &mut books)?;
        recover_and_prove(root, &mut books)?;
    }
    let sizes = Sizes::of(root)?;
    println!("\nOn disk");
    println!(
        "  postings   {}, {} bytes",
        grouped(&books.posting_count()),
        grouped(&sizes.entry_len)
    );
    println!("  segments   {} in {} accounts", grouped(&sizes.segment_count), sizes.stream_count);
    println!("  files      {} bytes", grouped(&sizes.file_len));
    println!("\nProved: after {ROUND_COUNT} kills every acknowledged posting is there, once.");
    Ok(())
}

/// Starts the bank, takes its acknowledgements, and kills it at work.
fn run_and_kill(root: &Path, books: &mut Books) -> Result<()> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(RUN_THE_BANK)
        .arg(root)
        .arg(books.next_operation.to_string())
        .stdout(Stdio::piped())
        .spawn()?;
    let acks = read_acks(&mut child)?;
    let begun = Instant::now();
    let mut ack_count = 0;
    while ack_count < ROUND_ACK_COUNT {
        let left = ROUND_TIME.saturating_sub(begun.elapsed());
        // Time is up, or the child has ended by itself.
        let Ok(ack) = acks.recv_timeout(left) else { break };
        books.enter(&ack?);
        ack_count += 1;
    }
    child.kill()?;
    let elapsed = begun.elapsed();
    // What was acknowledged before the kill is still on its way, and counts.
    for ack in acks {
        books.enter(&ack?);
        ack_count += 1;
    }
    let status = child.wait()?;
    if status.signal() != Some(SIGKILL) {
        return Err(format!("the bank was not killed at work, it ended by itself: {status}").into());
    }
    println!("  posted     {}", rate(ack_count, "acknowledged postings", elapsed));
    println!("  killed     with SIGKILL");
    Ok(())
}

/// The acknowledgements of the child, until it is dead and the last one was read.
fn read_acks(child: &mut Child) -> Result<Receiver<Result<Ack>>> {
    let mut pipe = BufReader::new(child.stdout.take().ok_or("the child has no pipe")?);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        loop {
            let mut line = String::new();
            let ack = match pipe.read_line(&mut line) {
                Ok(_) => match line.strip_suffix('\n') {
                    Some(line) => Ack::read(line),
                    // The end, or half of a line: that acknowledgement did not arrive.
                    None => return,
                },
                Err(error) => Err(error.into()),
            };
            if sender.send(ack).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

/// Opens the log of the dead bank, and compares all of it with the books.
fn recover_and_prove(root: &Path, books: &mut Books) -> Result<()> {
    let begun = Instant::now();
    let wal = Wal::open(root, options())?;
    let reports = wal.recover_all()?;
    print_recovery(&reports, begun.elapsed());

    let (acked_count, acked_balance) = (books.posting_count(), books.balance());
    let begun = Instant::now();
    let found = replay(&wal, books)?;
    println!("  replayed   {}", rate(found.posting_count, "postings", begun.elapsed()));
    println!("  proved     {} acknowledged, all there, none twice", grouped(&acked_count));
    println!("  unacked    {} found, whole, of operations cut off by the kill", found.new_count);
    println!(
        "  money      {} acknowledged and {} found make {}: the balance of all accounts",
        Money(acked_balance),
        Money(found.new_balance),
        Money(found.balance),
    );
    if found.new_operation_count > CLERK_COUNT {
        return Err("more was found than the clerks can have been doing when the kill came".into());
    }
    wal.close()?;
    Ok(())
}

fn print_recovery(reports: &[RecoveryReport], elapsed: Duration) {
    let is_torn = |report: &&RecoveryReport| report.torn.is_some();
    let torn_count = reports.iter().filter(is_torn).count();
    let rewritten_len: u64 = reports.iter().map(|report| report.rewritten_len).sum();
    println!("  recovered  {}", rate(reports.len(), "accounts", elapsed));
    println!(
        "             {torn_count} torn, {} bytes that nothing proved durable written again",
        grouped(&rewritten_len)
    );
    for report in reports.iter().filter(is_torn).take(3) {
        if let Some(torn) = &report.torn {
            let RecoveryReport { stream, next_seq, .. } = report;
            let (offset, rest_len) = (torn.offset, torn.rest_len);
            println!(
                "             {stream} ends before number {next_seq}, torn at byte {offset}, \
                 {rest_len} bytes behind it",
            );
        }
    }
    for damage in reports.iter().flat_map(|report| &report.damage) {
        println!("             {}", damage.error);
    }
}

/// What a replay of all accounts found.
#[derive(Default)]
struct Found {
    posting_count: usize,
    balance: i64,
    /// What the books did not know of.
    new_count: usize,
    new_operation_count: u64,
    new_balance: i64,
}

/// Reads every account from its first posting to its last, compares it with the books, and enters what
/// they do not know of.
///
/// An error says what is wrong: a posting that is missing, altered, there twice, or not whole.
fn replay(wal: &Wal, books: &mut Books) -> Result<Found> {
    let mut found = Found::default();
    let mut ids = HashSet::new();
    for account in 0..ACCOUNT_COUNT {
        let key = stream_key(account);
        let mut balance = 0;
        let mut open_parts = 0..0;
        for (seq, entry) in (0..).zip(wal.iter(&key, ..)?) {
            let entry = entry?;
            let wrong = |what| Err(format!("{key}: number {}: {what}", entry.seq).into());
            if entry.seq != seq {
                return wrong("the number does not follow on the one before");
            }
            let Some(posting) = Posting::read(account, &entry.data) else {
                return wrong("no posting of this account");
            };
            if !ids.insert(posting.id) {
                return wrong("a posting that is there twice");
            }
            let PostingId { operation, part } = posting.id;
            if open_parts.is_empty() {
                open_parts = 1..posting.part_count + 1;
            }
            if open_parts.next() != Some(part) {
                return wrong("a part of a statement stands where it does not belong");
            }
            let known = books.accounts.get(&account).and_then(|book| book.postings.get(&seq));
            if known.is_none() {
                let Posting { id, amount, .. } = posting;
                books.enter(&Ack { account, seq, id, amount });
                found.new_count += 1;
                found.new_operation_count += u64::from(part == posting.part_count);
                found.new_balance += posting.amount;
            } else if known != Some(&posting.id) {
                return wrong("another posting than was acknowledged");
            }
            found.posting_count += 1;
            balance += posting.amount;
            books.next_operation = books.next_operation.max(operation + CLERK_COUNT);
        }
        if !open_parts.is_empty() {
            return Err(format!("{key}: the last statement is not whole").into());
        }
        prove_nothing_is_missing(wal, &key, balance, books.accounts.get(&account))?;
        found.balance += balance;
    }
    Ok(found)
}

fn prove_nothing_is_missing(
    wal: &Wal,
    key: &str,
    balance: i64,
    book: Option<&Account>,
) -> Result<()> {
    let Some(book) = book else { return Ok(()) };
    let next_seq = wal.next_seq(key)?;
    if let Some((seq, _)) = book.postings.range(next_seq..).next() {
        return Err(format!("{key}: number {seq}: acknowledged, and it is not there").into());
    }
    if balance != book.balance {
        let (found, expected) = (Money(balance), Money(book.balance));
        return Err(format!("{key}: the balance is {found}, it has to be {expected}").into());
    }
    Ok(())
}

// What is on disk, and how it is printed.

#[derive(Default)]
struct Sizes {
    stream_count: usize,
    segment_count: usize,
    file_len: u64,
    entry_len: usize,
}

impl Sizes {
    #[expect(clippy::disallowed_methods, reason = "looks at the files from outside")]
    fn of(root: &Path) -> Result<Self> {
        let mut sizes = Self::default();
        let wal = Wal::open(root, options())?;
        for key in wal.streams()? {
            sizes.stream_count += 1;
            for entry in wal.iter(&key, ..)? {
                sizes.entry_len += entry?.data.len();
            }
            for file in std::fs::read_dir(root.join(&key))? {
                let file = file?;
                let is_segment = file.path().extension() == Some(OsStr::new("wal"));
                sizes.segment_count += usize::from(is_segment);
                sizes.file_len += file.metadata()?.len();
            }
        }
        Ok(sizes)
    }
}

/// Nobody wants a bank between his letters.
#[expect(clippy::disallowed_methods, reason = "looks at the files from outside")]
fn refuse_what_is_no_ledger(root: &Path) -> Result<()> {
    if !root.try_exists()? {
        return Ok(());
    }
    for entry in std::fs::read_dir(root)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with("account-") && !name.starts_with(".new-") && name != ".lock" {
            let root = root.display();
            return Err(format!("{root} holds {name}, which is no ledger's: choose another").into());
        }
    }
    Ok(())
}

/// An amount in cents.
struct Money(i64);

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let cents = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", cents / 100, cents % 100)
    }
}

fn rate(count: usize, what: &str, elapsed: Duration) -> String {
    let millis = elapsed.as_millis().max(1);
    let each_second = count as u128 * 1000 / millis;
    let (count, each_second) = (grouped(&count), grouped(&each_second));
    format!(
        "{count} {what} in {}.{:02} s, {each_second} a second",
        millis / 1000,
        millis % 1000 / 10
    )
}

/// A number with its digits in groups of three.
fn grouped(number: &impl ToString) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
