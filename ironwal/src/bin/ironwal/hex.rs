//! Entries in hexadecimal.

use std::fmt::Write as _;

use ironwal::Entry;

use crate::failure::Failure;
use crate::output::{Output, plural};

/// How many bytes stand on a line.
const LINE_LEN: usize = 16;

/// Prints the number and the length of an entry, and its bytes.
pub(crate) fn print(output: &mut Output, entry: &Entry) -> Result<(), Failure> {
    output.line(format_args!("{}: {}", entry.seq, plural(entry.data.len() as u64, "byte")))?;
    let offsets = (0_u64..).step_by(LINE_LEN);
    for (offset, bytes) in offsets.zip(entry.data.chunks(LINE_LEN)) {
        output.line(line(offset, bytes))?;
    }
    Ok(())
}

fn line(offset: u64, bytes: &[u8]) -> String {
    let mut line = format!("  {offset:08x} ");
    for at in 0..LINE_LEN {
        let gap = if at == LINE_LEN / 2 { "  " } else { " " };
        match bytes.get(at) {
            Some(byte) => write!(line, "{gap}{byte:02x}"),
            None => write!(line, "{gap}  "),
        }
        .expect("a string takes all that is written to it");
    }
    line.push_str("  |");
    line.extend(bytes.iter().map(|byte| match byte {
        b' '..=b'~' => char::from(*byte),
        _ => '.',
    }));
    line.push('|');
    line
}
