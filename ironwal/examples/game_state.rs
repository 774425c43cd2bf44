//! A game server that keeps its clients in step, and can be killed.
//!
//! ```text
//! cargo run --release -p ironwal --example game_state [DIR]
//! ```
//!
//! Every match is a stream. Its first entry is a snapshot of the world, and each tick appends what the
//! players did. The log is in [`SyncMode::Async`]: a tick costs a write and no sync, is visible at once,
//! and outlives the process. From time to time there is a checkpoint: a new segment that begins with a
//! new snapshot, durable; then the segments in front of it are removed. So a match takes little room
//! however long it is, and a power cut costs no more than the ticks since the last checkpoint.
//!
//! Clients read the log beside the server: threads, and one that is another process. Each knows the
//! number that it needs next. One that joins late, or is so slow that a checkpoint overtakes it, starts
//! with the last snapshot. The server rings when there is something to read, and hangs up when the match
//! is over; nobody waits by the clock. In the end every client's world has to be the server's.
//!
//! The log is in a temporary directory, or in DIR. A server that was killed there goes on where it was.
#![expect(clippy::print_stdout, reason = "a program that reports to people")]

use std::ffi::OsStr;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Instant;

use ironwal::{Stream, SyncMode, Wal, WalOptions, WalReader};

const MATCH_COUNT: u64 = 8;
const PLAYER_COUNT: usize = 4;
const TICK_COUNT: u32 = 20_500;

/// So many ticks are lost by a power cut, at most.
const CHECKPOINT_TICKS: u32 = 1_000;

/// Clients of this kind join here.
const LATE_TICK: u32 = TICK_COUNT / 2 + 7;

/// The hidden argument that makes this program a client.
const WATCH: &str = "--watch";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Result<()> {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    match args.as_slice() {
        [] => {
            let dir = tempfile::tempdir()?;
            play_all(dir.path())?;
            Ok(dir.close()?)
        }
        [flag, root, key] if flag == WATCH => watch(Path::new(root), key),
        [root] => play_all(Path::new(root)),
        _ => Err("usage: game_state [DIR]".into()),
    }
}

// The game.

/// What everybody has to agree on. Gold depends on the whole path, so a tick that is missing is seen.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct World {
    tick: u32,
    players: [Player; PLAYER_COUNT],
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Player {
    x: u8,
    y: u8,
    gold: u32,
}

/// How the players move in one tick.
type Moves = [u8; 2 * PLAYER_COUNT];

const SNAPSHOT: u8 = b'S';
const TICK: u8 = b'T';

impl World {
    fn step(&mut self, moves: Moves) {
        self.tick += 1;
        for (player, [dx, dy]) in self.players.iter_mut().zip(moves.as_chunks().0) {
            (player.x, player.y) = (player.x.wrapping_add(*dx), player.y.wrapping_add(*dy));
            let is_mine = (player.x ^ player.y).is_multiple_of(7);
            player.gold = player.gold.wrapping_mul(3).wrapping_add(u32::from(is_mine));
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        let mut entry = vec![SNAPSHOT];
        entry.extend(self.tick.to_le_bytes());
        for Player { x, y, gold } in self.players {
            entry.extend([x, y]);
            entry.extend(gold.to_le_bytes());
        }
        entry
    }

    /// Becomes what an entry says; `None` if that does not follow on what is known.
    fn take(&mut self, entry: &[u8]) -> Option<()> {
        let (kind, rest) = entry.split_first()?;
        let (tick, rest) = rest.split_first_chunk()?;
        let tick = u32::from_le_bytes(*tick);
        if *kind == TICK {
            self.step(*rest.first_chunk()?);
            return (self.tick == tick).then_some(());
        }
        let mut world = Self { tick, players: <[Player; PLAYER_COUNT]>::default() };
        for (player, [x, y, gold @ ..]) in world.players.iter_mut().zip(rest.as_chunks::<6>().0) {
            *player = Player { x: *x, y: *y, gold: u32::from_le_bytes(*gold) };
        }
        // Who saw all ticks before the snapshot knows already what it says.
        let is_expected = *kind == SNAPSHOT && (world.tick != self.tick || world == *self);
        *self = world;
        is_expected.then_some(())
    }
}

/// What the players of a match do in a tick: it looks random, and is always the same.
fn moves(number: u64, tick: u32) -> Moves {
    let mut bits = (number << 32 | u64::from(tick)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits.to_le_bytes()
}

// The server.

struct Match<'scope> {
    number: u64,
    stream: Stream,
    world: World,
    bells: Vec<SyncSender<()>>,
    clients: Vec<ScopedJoinHandle<'scope, Result<String>>>,
}

/// What a client does, with the root, the key, and what rings until the match is over; gives its world.
type Follow = fn(&Path, &str, &mut Rings) -> Result<String>;
type Rings = dyn Iterator<Item = ()>;

impl<'scope> Match<'scope> {
    /// Begins a match, or goes on with it where the log ends.
    fn open(wal: &Wal, number: u64) -> Result<Self> {
        let stream = wal.stream(&format!("match/{number}"))?;
        let mut world = World::default();
        if stream.next_seq()? == 0 {
            stream.append(world.snapshot())?;
        }
        for entry in stream.iter(..)? {
            world.take(&entry?.data).ok_or("the log is no match's")?;
        }
        Ok(Self { number, stream, world, bells: Vec::new(), clients: Vec::new() })
    }

    fn step(&mut self) -> Result<()> {
        let moves = moves(self.number, self.world.tick);
        self.world.step(moves);
        let mut entry = vec![TICK];
        entry.extend(self.world.tick.to_le_bytes());
        entry.extend(moves);
        self.stream.append(entry)?;
        if self.world.tick.is_multiple_of(CHECKPOINT_TICKS) {
            self.checkpoint()?;
        }
        // One that is ringing already needs no second ring. A client that failed says so in the end.
        self.bells.retain(|bell| bell.try_send(()) != Err(TrySendError::Disconnected(())));
        Ok(())
    }

    /// Replaces the past by a snapshot. Killed anywhere in here, the log begins with a snapshot, the old
    /// one or the new one, and all that came after it is there.
    fn checkpoint(&self) -> Result<()> {
        self.stream.rotate()?;
        let snapshot = self.stream.append(self.world.snapshot())?;
        self.stream.sync()?;
        let first = self.stream.truncate_before(snapshot)?;
        if first == snapshot { Ok(()) } else { Err("the log does not begin with it".into()) }
    }

    /// Lets one more client follow.
    fn join<'env>(&mut self, scope: &'scope Scope<'scope, 'env>, root: &'env Path, follow: Follow) {
        let (bell, rings) = sync_channel(1);
        let key = self.stream.key().to_owned();
        self.bells.push(bell);
        self.clients.push(scope.spawn(move || follow(root, &key, &mut rings.into_iter())));
    }
}

// The clients.

/// Follows a match until the rings end; gives the world as it is then.
fn follow(root: &Path, key: &str, rings: &mut Rings) -> Result<String> {
    let stream = WalReader::open(root)?.stream(key)?;
    let (mut world, mut next) = (World::default(), stream.first_seq()?);
    loop {
        let ring = rings.next();
        for entry in stream.iter(next..)? {
            match entry {
                Ok(entry) => {
                    let wrong = || format!("{key}: number {} does not follow", entry.seq);
                    world.take(&entry.data).ok_or_else(wrong)?;
                    next = entry.seq + 1;
                }
                // A checkpoint has overtaken us; what comes next is its snapshot.
                Err(error) if error.is_truncated() => {}
                Err(error) => return Err(error.into()),
            }
        }
        if ring.is_none() {
            return Ok(format!("{world:?}"));
        }
    }
}

/// The other process: its standard input rings.
fn watch(root: &Path, key: &OsStr) -> Result<()> {
    let key = key.to_str().ok_or("no key")?;
    let mut rings = io::stdin().lock().lines().map_while(|line| line.ok().map(drop));
    print!("{}", follow(root, key, &mut rings)?);
    Ok(())
}

/// Lets another process follow, and gives what it has in the end.
fn follow_elsewhere(root: &Path, key: &str, rings: &mut Rings) -> Result<String> {
    let mut child = Command::new(std::env::current_exe()?)
        .args([OsStr::new(WATCH), root.as_os_str(), OsStr::new(key)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut pipe = child.stdin.take().ok_or("the client has no pipe")?;
    for () in rings {
        writeln!(pipe)?;
    }
    drop(pipe);
    Ok(String::from_utf8(child.wait_with_output()?.stdout)?)
}

// All together.

fn play_all(root: &Path) -> Result<()> {
    let wal = Wal::open(root, WalOptions::new().sync_mode(SyncMode::Async))?;
    println!("{MATCH_COUNT} matches of {TICK_COUNT} ticks in {}", root.display());
    // If the server fails the matches are dropped, their bells with them, and the clients end.
    thread::scope(|scope| {
        let mut matches = Vec::new();
        for number in 0..MATCH_COUNT {
            let mut game = Match::open(&wal, number)?;
            game.join(scope, root, follow);
            matches.push(game);
        }
        if let Some(game) = matches.first_mut() {
            game.join(scope, root, follow_elsewhere);
        }
        let begun = Instant::now();
        for tick in 1..=TICK_COUNT {
            for game in matches.iter_mut().filter(|game| game.world.tick < tick) {
                game.step()?;
            }
            if tick == LATE_TICK {
                for game in &mut matches {
                    game.join(scope, root, follow);
                }
            }
        }
        let (elapsed, counts) = (begun.elapsed(), wal.stats().counts);
        let each_second = u128::from(counts.append_count) * 1000 / elapsed.as_millis().max(1);
        println!("  appended  {} entries in {elapsed:.2?}, {each_second}/s", counts.entry_count);
        println!("  synced    {} times", counts.sync_count);
        println!("  written   {} bytes", counts.written_len);
        finish(&wal, matches)
    })?;
    Ok(wal.close()?)
}

/// Hangs up, compares every client's world with the server's, and deletes the matches.
fn finish(wal: &Wal, matches: Vec<Match<'_>>) -> Result<()> {
    let (mut segment_count, mut byte_len, mut client_count) = (0, 0, 0);
    for Match { stream, world, bells, clients, .. } in matches {
        let stats = stream.stats()?;
        segment_count += stats.segment_count;
        byte_len += stats.byte_len;
        drop(bells);
        for client in clients {
            let seen = client.join().unwrap_or(Err("a client panicked".into()))?;
            if seen != format!("{world:?}") {
                return Err(format!("a client has {seen}, the server {world:?}").into());
            }
            client_count += 1;
        }
        wal.delete_stream(stream.key())?;
    }
    println!("  left      {segment_count} segments, {byte_len} bytes");
    println!("  deleted   all matches, {:?} are left", wal.streams()?);
    println!("  clients   {client_count}, one of them another process");
    println!("Every client has the server's world.");
    Ok(())
}
