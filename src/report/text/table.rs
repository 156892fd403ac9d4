//! Tables like kubectl's: headers in capitals, two spaces between columns, no lines, no truncation. Pure.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};

use super::format;
use super::sanitize::one_line;
use super::style::DEFAULT_WIDTH;

/// The spaces between two columns.
const PADDING: u16 = 2;

/// Renders a table. Ends with a newline. Cells may contain text from the cluster, so line breaks and control characters
/// are removed. An empty cell is printed as `-`, so that programs can count columns.
///
/// A row that exceeds the width of a terminal continues below its own columns; words stay whole. A stream that is not a
/// terminal has a line per row.
///
/// ```
/// let rows = [vec!["openhands".to_owned(), "1/1".to_owned()], vec!["x".to_owned(), String::new()]];
/// assert_eq!(handsctl::report::table(&["name", "ready"], &rows, 140), "NAME       READY\nopenhands  1/1\nx          -\n");
/// ```
#[must_use]
pub fn table(headers: &[&str], rows: &[Vec<String>], width: usize) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if let Ok(width) = u16::try_from(width)
        && usize::from(width) < DEFAULT_WIDTH
    {
        // The padding behind the last column does not count.
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width + PADDING);
    }
    table.set_header(headers.iter().map(|header| header.to_uppercase()));
    table.add_rows(rows.iter().map(|row| row.iter().map(|text| cell(text))));
    for (index, column) in table.column_iter_mut().enumerate() {
        let cells = rows.iter().filter_map(|row| row.get(index)).map(String::as_str);
        let longest = cells.chain(headers.get(index).copied()).map(longest_word).max().unwrap_or_default();
        column.set_padding((0, PADDING));
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(longest + PADDING)));
    }
    format::lines(table.lines().map(|line| line.trim_end().to_owned()))
}

/// Returns the width of the longest word: no column is narrower.
fn longest_word(text: &str) -> u16 {
    let longest = text.split_whitespace().map(console::measure_text_width).max();
    u16::try_from(longest.unwrap_or_default()).unwrap_or(u16::MAX - PADDING)
}

fn cell(text: &str) -> String {
    let line = one_line(text);
    if line.is_empty() { "-".to_owned() } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_visible_width() {
        let rows = [
            vec!["日本".to_owned(), "a\x1b[31m\nb".to_owned(), "x".to_owned()],
            vec!["longer".to_owned(), String::new(), "y".to_owned()],
        ];
        assert_eq!(
            table(&["name", "text", "end"], &rows, DEFAULT_WIDTH),
            "NAME    TEXT  END\n日本    a b   x\nlonger  -     y\n"
        );
    }

    #[test]
    fn long_cell_is_neither_cut_nor_wrapped() {
        let long = "x".repeat(300);
        for width in [40, DEFAULT_WIDTH, usize::MAX] {
            assert_eq!(table(&["a"], &[vec![long.clone()]], width), format!("A\n{long}\n"));
        }
    }

    #[test]
    fn row_that_is_wider_than_the_terminal_continues_below_its_columns() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [row(["3", "kubernetes.memory, deploy.node_selector", "HC4301"]), row(["1", "", ""])];
        let narrow = table(&["revision", "changed", "note"], &rows, 40);
        assert_eq!(
            narrow,
            "REVISION  CHANGED                 NOTE\n\
             3         kubernetes.memory,      HC4301\n\
             \u{20}         deploy.node_selector\n\
             1         -                       -\n"
        );
        assert_eq!(table(&["revision", "changed", "note"], &rows, 80).lines().count(), 3);
    }
}
