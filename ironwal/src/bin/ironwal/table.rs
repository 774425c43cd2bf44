//! Tables for people: numbers to the right, words to the left.

use std::fmt::Write as _;

use crate::failure::Failure;
use crate::output::Output;

/// What a column is called, and where its cells stand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    name: &'static str,
    side: Side,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Side {
    Left,
    Right,
}

impl Column {
    /// A column of words.
    pub(crate) const fn left(name: &'static str) -> Self {
        Self { name, side: Side::Left }
    }

    /// A column of numbers.
    pub(crate) const fn right(name: &'static str) -> Self {
        Self { name, side: Side::Right }
    }
}

/// The widths of columns, for rows that are printed as they come.
#[derive(Clone, Debug)]
pub(crate) struct Layout<'a, const N: usize> {
    columns: &'a [Column; N],
    widths: [usize; N],
}

impl<'a, const N: usize> Layout<'a, N> {
    /// Columns that are wide enough for their names and for these widths.
    pub(crate) fn new(columns: &'a [Column; N], mut widths: [usize; N]) -> Self {
        for (width, column) in widths.iter_mut().zip(columns) {
            *width = column.name.len().max(*width);
        }
        Self { columns, widths }
    }

    /// The line with the names of the columns.
    pub(crate) fn head(&self) -> String {
        self.row(&self.columns.map(|column| column.name))
    }

    /// The line of a row.
    pub(crate) fn row(&self, cells: &[impl AsRef<str>; N]) -> String {
        let mut line = String::new();
        for ((cell, width), column) in cells.iter().zip(self.widths).zip(self.columns) {
            let (cell, gap) = (cell.as_ref(), if line.is_empty() { "" } else { "  " });
            match column.side {
                Side::Left => write!(line, "{gap}{cell:width$}"),
                Side::Right => write!(line, "{gap}{cell:>width$}"),
            }
            .expect("a string takes all that is written to it");
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// Prints a table; nothing where there is no row.
pub(crate) fn print<const N: usize>(
    output: &mut Output,
    columns: &[Column; N],
    rows: &[[String; N]],
) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let layout = Layout::new(columns, widths);
    output.line(layout.head())?;
    rows.iter().try_for_each(|row| output.line(layout.row(row)))
}
