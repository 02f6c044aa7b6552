//! Tables without lines, which stay readable on a narrow terminal: names are never broken, a remark that
//! has no room beside its row goes below it, and where not even the names fit, each row is a paragraph.

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use crate::ui::{DIM, PLAIN, paint};
use crate::wrap::wrap;

/// Between columns.
const GAP: usize = 2;

/// Less room than this for the remark, and it goes below.
const REMARK: usize = 24;

/// Text with its style.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: PLAIN }
    }

    pub fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// A table; its last column holds remarks.
pub struct Table {
    titles: Vec<&'static str>,
    right: Vec<bool>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Columns by title; a title that starts with `>` is aligned to the right.
    pub fn new(titles: &[&'static str]) -> Self {
        let right = titles.iter().map(|title| title.starts_with('>')).collect();
        let titles = titles.iter().map(|title| title.trim_start_matches('>')).collect();
        Self { titles, right, rows: Vec::new() }
    }

    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        debug_assert_eq!(N, self.titles.len());
        self.rows.push(cells.into());
    }

    /// The same without a column that would say the same everywhere.
    pub fn without(mut self, title: &str) -> Self {
        if let Some(column) = self.titles.iter().position(|known| *known == title) {
            self.titles.remove(column);
            self.right.remove(column);
            for row in &mut self.rows {
                row.remove(column);
            }
        }
        self
    }

    /// The whole table, two columns in; nothing at all without a row.
    pub fn render(&self, width: Option<usize>) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let last = self.titles.len().saturating_sub(1);
        let widths: Vec<usize> = (0..last)
            .map(|column| {
                let cells = self.rows.iter().map(|row| row[column].text.width());
                cells.chain([self.titles[column].width()]).max().unwrap_or(0)
            })
            .collect();
        let fixed: usize = widths.iter().map(|width| width + GAP).sum::<usize>() + GAP;
        if let Some(width) = width
            && fixed > width + GAP
        {
            return self.paragraphs(width);
        }
        let titles: Vec<Cell> = self.titles.iter().map(|title| Cell::styled(*title, DIM)).collect();
        let room = width.map(|width| width.saturating_sub(fixed));
        let below = room.is_some_and(|room| room < REMARK);
        let mut out = String::new();
        for (index, row) in std::iter::once(&titles).chain(&self.rows).enumerate() {
            let mut line = " ".repeat(GAP);
            for column in 0..last {
                let cell = &row[column];
                let pad = " ".repeat(widths[column].saturating_sub(cell.text.width()));
                let text = paint(cell.style, &cell.text);
                let padded = if self.right[column] { pad + &text } else { text + &pad };
                line.push_str(&padded);
                line.push_str(&" ".repeat(GAP));
            }
            let remark = &row[last];
            if below {
                out.push_str(line.trim_end());
                out.push('\n');
                let indent = 3 * GAP;
                // The title of a column that is below everything says nothing.
                if index > 0 {
                    push_wrapped(&mut out, remark, indent, width.map(|width| width.saturating_sub(indent)));
                }
            } else {
                out.push_str(&line);
                let mut lines = wrap(&remark.text, room).into_iter();
                out.push_str(&paint(remark.style, &lines.next().unwrap_or_default()));
                trim_end(&mut out);
                out.push('\n');
                for line in lines {
                    out.push_str(&" ".repeat(fixed));
                    out.push_str(&paint(remark.style, &line));
                    out.push('\n');
                }
            }
        }
        out
    }
}

impl Table {
    /// A row each: its name on a line, the other columns below it with their titles, then the remark.
    fn paragraphs(&self, width: usize) -> String {
        let last = self.titles.len().saturating_sub(1);
        let mut out = String::new();
        for row in &self.rows {
            out.push_str(&" ".repeat(GAP));
            out.push_str(&paint(row[0].style, &row[0].text));
            out.push('\n');
            let told = (1..last).filter(|column| !row[*column].text.is_empty());
            let told: Vec<String> = told
                .map(|column| format!("{} {}", self.titles[column].to_lowercase(), row[column].text))
                .collect();
            let room = Some(width.saturating_sub(3 * GAP));
            push_wrapped(&mut out, &Cell::new(told.join(" · ")), 3 * GAP, room);
            push_wrapped(&mut out, &row[last], 3 * GAP, room);
        }
        out
    }
}

fn push_wrapped(out: &mut String, cell: &Cell, indent: usize, width: Option<usize>) {
    for line in wrap(&cell.text, width).into_iter().filter(|line| !line.is_empty()) {
        out.push_str(&" ".repeat(indent));
        out.push_str(&paint(cell.style, &line));
        out.push('\n');
    }
}

fn trim_end(text: &mut String) {
    text.truncate(text.trim_end_matches(' ').len());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["SERVICE", "RUNNING", ">SECURITY", "NOTE"]);
        let cells = |cells: [&str; 4]| cells.map(Cell::from);
        table.row(cells(["shop", "3/3", "9", ""]));
        table.row(cells([
            "database-of-orders",
            "1/1",
            "7",
            "volume kept; old version may not read newer data",
        ]));
        table
    }

    fn render(table: &Table, width: Option<usize>) -> String {
        anstream::adapter::strip_str(&table.render(width)).to_string()
    }

    #[test]
    fn a_pipe_gets_one_line_a_row() {
        assert_eq!(
            render(&table(), None),
            "  SERVICE             RUNNING  SECURITY  NOTE\n  \
             shop                3/3             9\n  \
             database-of-orders  1/1             7  volume kept; old version may not read newer data\n"
        );
    }

    #[test]
    fn a_remark_wraps_in_its_column_where_there_is_room() {
        assert_eq!(
            render(&table(), Some(70)),
            "  SERVICE             RUNNING  SECURITY  NOTE\n  \
             shop                3/3             9\n  \
             database-of-orders  1/1             7  volume kept; old version may\n  \
             \x20                                      not read newer data\n"
        );
    }

    #[test]
    fn a_narrow_terminal_puts_remarks_below_and_breaks_no_name() {
        let text = render(&table(), Some(60));
        assert_eq!(
            text,
            "  SERVICE             RUNNING  SECURITY\n  \
             shop                3/3             9\n  \
             database-of-orders  1/1             7\n      \
             volume kept; old version may not read newer data\n"
        );
        assert!(text.lines().all(|line| line.width() <= 60));
    }

    #[test]
    fn where_the_names_do_not_fit_each_row_is_a_paragraph() {
        assert_eq!(
            render(&table(), Some(30)),
            "  shop\n      running 3/3 · security 9\n  database-of-orders\n      running 1/1 · security 7\n      \
             volume kept; old version\n      may not read newer data\n"
        );
    }

    #[test]
    fn wide_characters_take_two_columns() {
        let mut table = Table::new(&["NAME", "STATE", "NOTE"]);
        table.row(["日本".into(), "up".into(), "".into()]);
        table.row(["abcd".into(), "up".into(), "".into()]);
        let text = render(&table, None);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], "  日本  up");
        assert_eq!(lines[2], "  abcd  up");
    }
}
