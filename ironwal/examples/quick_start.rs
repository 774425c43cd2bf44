//! Everything that most programs need of the log, in one page.
//!
//! ```text
//! cargo run --release -p ironwal --example quick_start [DIR]
//! ```
//!
//! The log is in a temporary directory, or in DIR, which is kept: run it there again and it goes on.
#![expect(clippy::print_stdout, reason = "a program that shows people what it does")]

use std::path::PathBuf;

use ironwal::{Wal, WalOptions, WalReader};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let in_passing = tempfile::tempdir()?;
    let root = std::env::args_os().nth(1).map_or(in_passing.path().join("log"), PathBuf::from);

    // A log is a directory. It is made if it is not there; one program writes to it at a time.
    //
    // With these options every append is on the disk when it returns: `SyncMode::Strict`. With
    // `.sync_mode(SyncMode::Async)` it is the operating system's by then and outlives this program, but
    // not a power cut, until `sync()`. `SyncMode::BatchOnly` is in between: batches are durable.
    let wal = Wal::open(&root, WalOptions::new())?;
    println!("The log is in {}, its streams: {:?}", root.display(), wal.streams()?);

    // A stream comes to be with its first append. Its entries are bytes, numbered from 0 on.
    let account = wal.stream("account/4711")?;
    let deposit = account.append("deposit 100")?;
    println!("number {deposit} is durable");

    // What belongs together goes into a batch: after a crash all of it is there or nothing.
    let mut statement = account.batch();
    statement.push("interest 7")?;
    statement.push("tax on interest -2")?;
    let numbers = statement.commit()?;
    println!("numbers {} to {} are durable, both or none", numbers.start, numbers.end - 1);

    // One entry is read by its number; there is none yet behind the last.
    if let Some(entry) = account.get(deposit)? {
        println!("number {deposit} reads {:?}", String::from_utf8_lossy(&entry));
    }
    assert_eq!(account.get(numbers.end)?, None);

    // And a range of them, or all, in order. An iterator sees what was there when it was made.
    for entry in account.iter(deposit..)? {
        let entry = entry?;
        println!("  {}: {}", entry.seq, String::from_utf8_lossy(&entry.data));
    }

    // A reader needs no lock, so it may be another program. It sees what is written from now on, too.
    let beside = WalReader::open(&root)?.stream("account/4711")?;
    println!("a reader sees {} entries", beside.next_seq()?);
    let card_payment = wal.append("account/4711", "card payment -20")?;
    assert_eq!(beside.get(card_payment)?.as_deref(), Some(&b"card payment -20"[..]));
    println!("and now {}", beside.next_seq()?);

    // Closing is not needed for safety. It says whether all went well, and spares the next opening work.
    wal.close()?;
    println!("closed");
    in_passing.close()?;
    Ok(())
}
