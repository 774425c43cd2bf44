//! How a script is read.

use std::fmt;
use std::str::{FromStr, SplitWhitespace};

use super::print::{LZ4, MODES, POLICIES, READS, SPACES};
use super::refusal::REFUSALS;
use super::{End, Generation, Mishap, Script};
use crate::faults::Repeat;
use crate::sim_storage::CrashChoice;
use crate::world::{Call, Setup};

/// What is wrong with a script, and in which line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParseError {
    line: usize,
    what: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for ParseError {}

/// Words of a line; what is wrong with them is told without the number of the line.
type Words<'a> = SplitWhitespace<'a>;
type Parsed<T> = Result<T, String>;

impl FromStr for Script {
    type Err = ParseError;

    /// Reads what printing gives; empty lines and those that begin with `#` say nothing.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut generations = Vec::new();
        let mut open: Option<Generation> = None;
        for (at, line) in text.lines().enumerate() {
            let told = |what| ParseError { line: at + 1, what };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut words = line.split_whitespace();
            let verb = words.next().unwrap_or_default();
            match (verb, open.as_mut()) {
                ("with", None) => {
                    let setup = setup(words).map_err(told)?;
                    open = Some(Generation {
                        setup,
                        calls: Vec::new(),
                        cut: None,
                        faults: Vec::new(),
                        end: End::Close,
                    });
                    continue;
                }
                (_, None) => return Err(told("a generation begins by `with`".to_owned())),
                ("cut", Some(generation)) => {
                    generation.cut = Some(number(&mut words).map_err(told)?);
                }
                ("fault", Some(generation)) => {
                    generation.faults.push(mishap(&mut words).map_err(told)?);
                }
                ("end", Some(generation)) => {
                    generation.end = end(&mut words).map_err(told)?;
                    generations.extend(open.take());
                }
                (verb, Some(generation)) => {
                    generation.calls.push(call(verb, &mut words).map_err(told)?);
                }
            }
            if let Some(word) = words.next() {
                return Err(told(format!("`{word}` says nothing here")));
            }
        }
        if open.is_some() {
            let line = text.lines().count();
            return Err(ParseError { line, what: "a generation is closed by `end`".to_owned() });
        }
        Ok(Script { generations })
    }
}

fn word<'a>(words: &mut Words<'a>) -> Parsed<&'a str> {
    words.next().ok_or_else(|| "a word is missing".to_owned())
}

fn number<T: FromStr>(words: &mut Words<'_>) -> Parsed<T> {
    read(word(words)?)
}

fn read<T: FromStr>(word: &str) -> Parsed<T> {
    word.parse().ok().ok_or_else(|| format!("`{word}` is no number that fits"))
}

fn one_of<T: Copy>(words: &[(&str, T)], wanted: &str) -> Parsed<T> {
    let found = words.iter().find(|(word, _)| *word == wanted);
    found.map(|(_, value)| *value).ok_or_else(|| format!("`{wanted}` is none of them"))
}

fn setup(words: Words<'_>) -> Parsed<Setup> {
    let mut setup = Setup::DEFAULT;
    for word in words {
        let (name, value) = word.split_once('=').ok_or_else(|| format!("`{word}` is no option"))?;
        match name {
            "mode" => setup.mode = one_of(&MODES, value)?,
            "size" => setup.max_segment_size = read(value)?,
            "entries" => setup.max_segment_entries = read(value)?,
            "open" => setup.max_open_segments = read(value)?,
            "reads" => setup.reads = one_of(&READS, value)?,
            "lz4" => setup.compression = one_of(&LZ4, value)?,
            "space" => setup.space = one_of(&SPACES, value)?,
            "damage" => setup.policy = one_of(&POLICIES, value)?,
            _ => return Err(format!("there is no option `{name}`")),
        }
    }
    Ok(setup)
}

fn call(verb: &str, words: &mut Words<'_>) -> Parsed<Call> {
    Ok(match verb {
        "append" => Call::Append { stream: number(words)?, len: number(words)? },
        "batch" => {
            let stream = number(words)?;
            Call::Batch { stream, lens: words.map(read).collect::<Parsed<_>>()? }
        }
        "get" => Call::Get { stream: number(words)?, at: number(words)? },
        "iterate" => Call::Iterate { stream: number(words)?, from: number(words)? },
        "close" => Call::Close,
        "drop" => Call::Drop,
        "reopen" => Call::Reopen { stream: number(words)? },
        "sync" => Call::Sync { stream: number(words)? },
        "sync-all" => Call::SyncAll,
        "rotate" => Call::Rotate { stream: number(words)? },
        "truncate" => Call::Truncate { stream: number(words)?, at: number(words)? },
        "delete" => Call::Delete { stream: number(words)? },
        "visit" => Call::Visit { stream: number(words)? },
        "reconfigure" => Call::Reconfigure(setup(std::mem::replace(words, "".split_whitespace()))?),
        _ => return Err(format!("`{verb}` is nothing that can be done")),
    })
}

fn end(words: &mut Words<'_>) -> Parsed<End> {
    Ok(match word(words)? {
        "close" => End::Close,
        "drop" => End::Drop,
        "kill" => End::Kill,
        "crash" => End::Crash(choice(words)?),
        "close-then-crash" => End::CloseThenCrash(choice(words)?),
        other => return Err(format!("`{other}` is no end")),
    })
}

fn choice(words: &mut Words<'_>) -> Parsed<CrashChoice> {
    Ok(match word(words)? {
        "nothing" => CrashChoice::Nothing,
        "everything" => CrashChoice::Everything,
        "only" => CrashChoice::Only(number(words)?),
        "all-but" => CrashChoice::AllBut(number(words)?),
        "prefix" => CrashChoice::Prefix(number(words)?),
        "subset" => CrashChoice::Subset(number(words)?),
        "seeded" => CrashChoice::Seeded(number(words)?),
        other => return Err(format!("`{other}` is no choice of a crash")),
    })
}

fn mishap(words: &mut Words<'_>) -> Parsed<Mishap> {
    let kind = word(words)?;
    let mut number_after = |before: &str| match word(words)? {
        found if found == before => number(words),
        found => Err(format!("`{found}` stands where `{before}` should")),
    };
    Ok(match kind {
        "full-after" => Mishap::FullAfter { len: number(words)? },
        "read-only" => Mishap::ReadOnly { from: number_after("from")? },
        "lies" => Mishap::Lies { from: number_after("from")? },
        "quota" => Mishap::Quota { at: number_after("at")? },
        "torn-write" => Mishap::TornWrite { at: number_after("at")? },
        "almost-write" => Mishap::AlmostWrite { at: number_after("at")? },
        "sync-keeps" => Mishap::SyncKeeps { at: number_after("at")? },
        "root-keeps" => Mishap::RootKeeps { at: number_after("at")? },
        "sync-drops" => Mishap::SyncDrops { at: number_after("at")? },
        "interrupted" => Mishap::Interrupted { at: number_after("at")?, repeat: repeat(words)? },
        "short" => Mishap::Short { at: number_after("at")?, repeat: repeat(words)? },
        other => {
            let refusal = one_of(&REFUSALS, other)?;
            Mishap::Refused { refusal, at: number_after("at")?, repeat: repeat(words)? }
        }
    })
}

fn repeat(words: &mut Words<'_>) -> Parsed<Repeat> {
    Ok(match word(words)? {
        "once" => Repeat::Once,
        "forever" => Repeat::ForEver,
        "times" => Repeat::Times(number(words)?),
        "every" => match number(words)? {
            0 => return Err("no call is each 0-th".to_owned()),
            step => Repeat::Every(step),
        },
        other => return Err(format!("`{other}` is no number of times")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Size;

    #[test]
    fn what_is_printed_is_read_back() {
        for seed in 0..500 {
            for script in [Script::seeded(seed, Size::Long), Script::troubled(seed)] {
                assert_eq!(script.to_string().parse(), Ok(script));
            }
        }
    }

    #[test]
    fn what_is_no_script_is_refused_with_its_line() {
        let cases = [
            ("append 0 1", "line 1: a generation begins by `with`"),
            ("with\n# words\n\nappend 0", "line 4: a word is missing"),
            ("with\nappend 0 x\nend kill", "line 2: `x` is no number that fits"),
            ("with\nappend 0 1 2\nend kill", "line 2: `2` says nothing here"),
            ("with\nfly 0", "line 2: `fly` is nothing that can be done"),
            ("with mode=fast", "line 1: `fast` is none of them"),
            ("with\nend crash", "line 2: a word is missing"),
            ("with\nclose\n", "line 2: a generation is closed by `end`"),
        ];
        for (text, told) in cases {
            let error = text.parse::<Script>().map_err(|error| error.to_string());
            assert_eq!(error, Err(told.to_owned()), "{text}");
        }
    }
}
