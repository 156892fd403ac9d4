//! Tables like kubectl's: headers in capitals, two spaces between columns, no lines, no truncation. Pure.

use comfy_table::{ContentArrangement, Table, presets};

use super::format;
use super::sanitize::one_line;

/// Renders a table. Ends with a newline. Cells may contain text from the cluster, so line breaks and control characters
/// are removed. An empty cell is printed as `-`, so that programs can count columns.
///
/// ```
/// let rows = [vec!["openhands".to_owned(), "1/1".to_owned()], vec!["x".to_owned(), String::new()]];
/// assert_eq!(handsctl::report::table(&["name", "ready"], &rows), "NAME       READY\nopenhands  1/1\nx          -\n");
/// ```
#[must_use]
pub fn table(headers: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headers.iter().map(|header| header.to_uppercase()));
    table.add_rows(rows.iter().map(|row| row.iter().map(|text| cell(text))));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    format::lines(table.lines().map(|line| line.trim_end().to_owned()))
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
            table(&["name", "text", "end"], &rows),
            "NAME    TEXT  END\n日本    a b   x\nlonger  -     y\n"
        );
    }

    #[test]
    fn long_cell_is_neither_cut_nor_wrapped() {
        let long = "x".repeat(300);
        assert_eq!(table(&["a"], &[vec![long.clone()]]), format!("A\n{long}\n"));
    }
}
