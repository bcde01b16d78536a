//! Tables that fit the terminal: optional columns are dropped first, then the last column is cut.
//! Without a known width, as in a pipe, the table is complete.

use crate::output::TITLE;
use anstyle::Style;
use std::borrow::Cow;
use std::fmt::Write;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A column. On a narrow terminal, the column with the highest `drop_order` is dropped first; 0 is
/// never dropped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) drop_order: u8,
}

/// A row: its style and one cell per column. The last cell has no limit.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) style: Style,
    pub(crate) cells: Vec<String>,
}

/// The spaces between two columns.
const GAP: usize = 2;
/// The width of the last column below which another column is dropped.
const MIN_LAST: usize = 20;

/// The table with its titles, without a final line break.
pub(crate) fn render(columns: &[Column], lines: &[Line], width: Option<usize>) -> String {
    let width_of = |column: usize| {
        let widest = lines.iter().map(|line| line.cells[column].width()).max().unwrap_or(0);
        widest.max(columns[column].title.width())
    };
    let widths: Vec<usize> = (0..columns.len()).map(width_of).collect();
    let last = columns.len().saturating_sub(1);
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    if let Some(width) = width {
        let wanted = widths[last].min(MIN_LAST);
        let before_last = |shown: &[usize]| {
            shown.iter().filter(|at| **at != last).map(|at| widths[*at] + GAP).sum::<usize>()
        };
        while before_last(&shown) + wanted > width {
            let next = shown.iter().copied().filter(|at| columns[*at].drop_order > 0);
            let Some(next) = next.max_by_key(|at| columns[*at].drop_order) else { break };
            shown.retain(|at| *at != next);
        }
    }
    let mut out = String::new();
    let mut write = |style: Style, cells: &dyn Fn(usize) -> String| {
        let mut line = String::new();
        for at in &shown {
            let cell = cells(*at);
            if *at == last {
                line.push_str(&cell);
            } else {
                let padding = widths[*at].saturating_sub(cell.width()) + GAP;
                let _ = write!(line, "{cell}{:padding$}", "");
            }
        }
        let _ = writeln!(out, "{style}{}{style:#}", truncate(line.trim_end(), width));
    };
    write(TITLE, &|at| columns[at].title.to_owned());
    for line in lines {
        write(line.style, &|at| line.cells[at].clone());
    }
    out.truncate(out.trim_end().len());
    out
}

/// Cuts `text` to `width` columns, with an ellipsis.
pub(crate) fn truncate(text: &str, width: Option<usize>) -> Cow<'_, str> {
    let Some(width) = width.filter(|width| text.width() > *width) else { return Cow::Borrowed(text) };
    let mut taken = 0;
    let fits = |c: &char| {
        taken += c.width().unwrap_or(0);
        taken < width
    };
    let start: String = text.chars().take_while(fits).collect();
    Cow::Owned(format!("{start}…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 3] = [
        Column { title: "KEY", drop_order: 0 },
        Column { title: "SIZE", drop_order: 1 },
        Column { title: "URL", drop_order: 0 },
    ];

    fn table(width: Option<usize>) -> String {
        let row = |cells: [&str; 3]| Line { style: Style::new(), cells: cells.map(str::to_owned).to_vec() };
        let rows = [
            row(["3fa1c0e2", "12K", "https://example.com/a/rather/long/path"]),
            row(["91bb04d7", "3", "https://例え.example/日本語/日本語/日本語"]),
        ];
        anstream::adapter::strip_str(&render(&COLUMNS, &rows, width)).to_string()
    }

    #[test]
    fn every_row_is_one_line_no_wider_than_the_terminal() {
        for width in 12..80 {
            let table = table(Some(width));
            assert_eq!(table.lines().count(), 3, "{width}");
            assert!(table.lines().all(|line| line.width() <= width), "{width}: {table}");
        }
    }

    #[test]
    fn optional_columns_are_dropped_before_the_last_one_is_cut() {
        assert!(table(Some(36)).contains("SIZE") && !table(Some(35)).contains("SIZE"));
        assert!(table(Some(35)).lines().nth(1).unwrap().starts_with("3fa1c0e2  https://example.com/a/"));
    }

    #[test]
    fn table_of_unknown_width_is_complete() {
        assert!(table(None).contains("a/rather/long/path") && table(None).contains("SIZE"));
    }
}
