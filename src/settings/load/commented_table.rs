//! A key below a commented header: `#[condenser]` is no header, so the key belongs to the table before it.

use super::schema::{Shape, TableShape};
use crate::diagnostic::Location;

/// Returns the line to uncomment, if an unknown key is below the commented header of a table that has the key.
pub(super) fn header_to_uncomment(schema: &TableShape, key: &str, at: &Location) -> Option<String> {
    let before = at.source.text.get(..at.span.start)?;
    let lines: Vec<&str> = before.lines().map(str::trim).collect();
    for (index, line) in lines.iter().enumerate().rev() {
        if line.starts_with('[') {
            return None;
        }
        let Some(header) = commented_header(line) else { continue };
        if table_at(schema, header)?.keys.contains_key(key) {
            return Some(format!(
                "a key of [{header}]: remove the `#` of its header in line {}, `{line}`",
                index + 1
            ));
        }
        return None;
    }
    None
}

/// Returns the table of `#[condenser]` and `# [condenser]`.
fn commented_header(line: &str) -> Option<&str> {
    let name = line.strip_prefix('#')?.trim_start().strip_prefix('[')?.split(']').next()?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (!name.is_empty() && name.chars().all(is_name)).then_some(name)
}

fn table_at<'a>(schema: &'a TableShape, header: &str) -> Option<&'a TableShape> {
    header.split('.').try_fold(schema, |table, name| table.inner(name).and_then(Shape::as_table))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diagnostic::SourceText;
    use crate::settings::load::schema::schema_shape;

    fn label(text: &str, key: &str) -> Option<String> {
        let schema = schema_shape().expect("the schema");
        let start = text.rfind(key).expect("the key");
        let source = Arc::new(SourceText { name: "config.toml".to_owned(), text: text.to_owned() });
        header_to_uncomment(&schema, key, &Location { source, span: start..start + key.len() })
    }

    #[test]
    fn key_below_commented_header_names_its_line() {
        let text = "[deploy]\n\n# Autoscaling.\n#[deploy.autoscaling]\n#min = 1\nmax = 3\n";
        let expected =
            "a key of [deploy.autoscaling]: remove the `#` of its header in line 4, `#[deploy.autoscaling]`";
        assert_eq!(label(text, "max").as_deref(), Some(expected));
        assert!(label("[security]\n# [condenser]\ntype = \"recent\"", "type").is_some());
    }

    #[test]
    fn other_comments_and_other_tables_name_no_line() {
        for text in [
            "#[condenser]\n[security]\ntype = 1",
            "[security]\n# [an array]\ntype = 1",
            "[security]\n#[llm]\ntype = 1",
            "[security]\n#[no.such.table]\ntype = 1",
            "type = 1",
        ] {
            assert_eq!(label(text, "type"), None, "{text}");
        }
    }
}
