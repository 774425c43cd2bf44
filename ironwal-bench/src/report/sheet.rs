//! Text, tables and plots, told once and written twice: as Markdown and as a page.

use std::fmt::{self, Write as _};
use std::path::Path;

use super::page::{escaped, head};
use crate::contender::Result;

/// What is told.
#[derive(Debug)]
pub(crate) struct Sheet {
    title: String,
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Heading(String),
    Text(String),
    Table { head: Vec<String>, rows: Vec<Vec<String>> },
    Plot { file: String, title: String },
}

impl Sheet {
    /// An empty one.
    pub(crate) fn new(title: &str) -> Self {
        Self { title: title.to_owned(), parts: Vec::new() }
    }

    /// What follows is about something else.
    pub(crate) fn heading(&mut self, text: &str) {
        self.parts.push(Part::Heading(text.to_owned()));
    }

    /// A paragraph.
    pub(crate) fn text(&mut self, text: impl Into<String>) {
        self.parts.push(Part::Text(text.into()));
    }

    /// A table; its first column has names, the others numbers.
    pub(crate) fn table(&mut self, head: Vec<String>, rows: Vec<Vec<String>>) {
        self.parts.push(Part::Table { head, rows });
    }

    /// A plot that was written beside the sheet.
    pub(crate) fn plot(&mut self, file: &str, title: &str) {
        self.parts.push(Part::Plot { file: file.to_owned(), title: title.to_owned() });
    }

    /// Writes it as `name.md` and `name.html`.
    pub(crate) fn write(&self, dir: &Path, name: &str) -> Result<()> {
        std::fs::write(dir.join(format!("{name}.md")), self.markdown()?)?;
        Ok(std::fs::write(dir.join(format!("{name}.html")), self.page()?)?)
    }

    fn markdown(&self) -> std::result::Result<String, fmt::Error> {
        let mut text = format!("# {}\n", self.title);
        for part in &self.parts {
            text.push('\n');
            match part {
                Part::Heading(heading) => writeln!(text, "## {heading}")?,
                Part::Text(words) => writeln!(text, "{words}")?,
                Part::Plot { file, title } => writeln!(text, "![{title}]({file})")?,
                Part::Table { head, rows } => {
                    writeln!(text, "| {} |", head.join(" | "))?;
                    let rule: Vec<_> = head.iter().skip(1).map(|_| " ---: |").collect();
                    writeln!(text, "| --- |{}", rule.concat())?;
                    for row in rows {
                        writeln!(text, "| {} |", row.join(" | "))?;
                    }
                }
            }
        }
        Ok(text)
    }

    fn page(&self) -> std::result::Result<String, fmt::Error> {
        let mut text = head(&self.title);
        for part in &self.parts {
            match part {
                Part::Heading(heading) => write!(text, "<h2>{}</h2>", escaped(heading))?,
                Part::Text(words) => write!(text, "<p>{}</p>", escaped(words))?,
                Part::Plot { file, title } => {
                    write!(text, "<img src=\"{file}\" alt=\"{}\">", escaped(title))?;
                }
                Part::Table { head, rows } => {
                    let cells = |cells: &[String], tag: &str| {
                        let cells = cells.iter().map(|cell| format!("<{tag}>{}", escaped(cell)));
                        format!("<tr>{}</tr>", cells.collect::<String>())
                    };
                    let rows: String = rows.iter().map(|row| cells(row, "td")).collect();
                    write!(text, "<table>{}{rows}</table>", cells(head, "th"))?;
                }
            }
        }
        text.push_str("</html>\n");
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_say_the_same() {
        let mut sheet = Sheet::new("A & B");
        sheet.text("Words.");
        sheet.table(
            vec!["what".into(), "how much".into()],
            vec![vec!["this".into(), "1 < 2".into()]],
        );
        sheet.plot("a.svg", "lines");
        let markdown = "# A & B\n\nWords.\n\n| what | how much |\n| --- | ---: |\n| this | 1 < 2 |\n\n\
                        ![lines](a.svg)\n";
        assert_eq!(sheet.markdown().unwrap(), markdown);
        let page = sheet.page().unwrap();
        assert!(page.contains("<h1>A &amp; B</h1><p>Words.</p><table>"), "{page}");
        assert!(page.contains("<tr><td>this<td>1 &lt; 2</tr></table><img src=\"a.svg\""), "{page}");
    }
}
