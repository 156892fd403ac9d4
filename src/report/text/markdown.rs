//! Markdown for GitHub and GitLab: a summary with collapsed blocks, and cells of tables. Text of a cluster cannot end its
//! cell, its fence or its block, and mentions nobody. Pure.

use std::fmt::Write as _;

use super::sanitize::{one_line, sanitize};

/// The maximum length of a comment in bytes: GitHub accepts 65,536 characters.
pub(crate) const MAX_COMMENT: usize = 60_000;
/// The maximum length of a step summary in bytes: GitHub accepts 1 MiB for all steps of a job together.
pub(crate) const MAX_SUMMARY: usize = 500_000;

/// A title, and blocks that are collapsed at first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) title: String,
    /// What the document is about.
    pub(crate) target: String,
    /// One line each, below the blocks.
    pub(crate) notes: Vec<String>,
    pub(crate) blocks: Vec<Block>,
}

/// One object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// The object's name. One line.
    pub(crate) name: String,
    /// What happens to it, and why. One line each.
    pub(crate) remarks: Vec<String>,
    /// The lines of a unified diff; empty if there is nothing to show.
    pub(crate) lines: String,
}

impl Document {
    /// Returns the document with each of its texts changed, such as to mask secrets.
    pub(crate) fn map_texts(&self, change: impl Fn(&str) -> String) -> Self {
        let all = |texts: &[String]| texts.iter().map(|text| change(text)).collect();
        let blocks = self.blocks.iter().map(|block| Block {
            name: change(&block.name),
            remarks: all(&block.remarks),
            lines: change(&block.lines),
        });
        Self {
            title: change(&self.title),
            target: change(&self.target),
            notes: all(&self.notes),
            blocks: blocks.collect(),
        }
    }
}

/// Renders the document. Blocks that would make it longer than `max` bytes are left out, and counted.
pub(crate) fn render(document: &Document, max: usize) -> String {
    let mut text = format!("### {}\n\n{}\n\n", cell(&document.title), code(&document.target));
    let mut left_out = 0;
    for block in &document.blocks {
        let block = self::block(block);
        if text.len() + block.len() > max {
            left_out += 1;
        } else {
            text.push_str(&block);
        }
    }
    if left_out > 0 {
        let _infallible =
            writeln!(text, "{left_out} more are not shown here: this text would be too long.\n");
    }
    for note in &document.notes {
        let _infallible = writeln!(text, "- {}", code(note));
    }
    text.trim_end().to_owned() + "\n"
}

fn block(block: &Block) -> String {
    let remarks = block.remarks.iter().map(|remark| code(remark));
    let summary = std::iter::once(code(&block.name)).chain(remarks).collect::<Vec<_>>().join(" ");
    if block.lines.is_empty() {
        return format!("- {summary}\n\n");
    }
    let lines = sanitize(&block.lines);
    let fence = fence(&lines);
    let lines = lines.trim_end();
    format!("<details><summary>{summary}</summary>\n\n{fence}diff\n{lines}\n{fence}\n\n</details>\n\n")
}

/// Returns a fence that no line of the text ends: longer than its longest run of backticks.
fn fence(text: &str) -> String {
    let longest = text.split(|character| character != '`').map(str::len).max().unwrap_or_default();
    "`".repeat(longest.max(2) + 1)
}

/// Formats text as code in HTML, which is the same inside and outside of a block: it has no markup and mentions nobody.
fn code(text: &str) -> String {
    format!("<code>{}</code>", literal(text))
}

/// Escapes text for HTML in a line of Markdown.
fn literal(text: &str) -> String {
    one_line(text).chars().fold(String::new(), |mut escaped, character| {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // Markdown is read inside of inline HTML.
            '\\' | '`' | '*' | '_' | '[' | ']' | '~' | '$' => {
                let _infallible = write!(escaped, "&#{};", u32::from(character));
            }
            character => escaped.push(character),
        }
        escaped
    })
}

/// Escapes text for a cell of a table or a heading.
pub(crate) fn cell(text: &str) -> String {
    let line = one_line(text).replace('&', "&amp;").replace('<', "&lt;");
    line.chars().fold(String::new(), |mut escaped, character| {
        if matches!(character, '\\' | '|' | '`' | '*' | '_' | '[' | ']') {
            escaped.push('\\');
        }
        escaped.push(character);
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(lines: &str, name: &str) -> Document {
        let block = Block { name: name.into(), remarks: vec!["changed".into()], lines: lines.into() };
        Document {
            title: "handsctl diff: 1 to change".into(),
            target: "oh in ctx / ns".into(),
            notes: Vec::new(),
            blocks: vec![block],
        }
    }

    #[test]
    fn cell_is_escaped() {
        assert_eq!(cell("a | <b>\n`c`"), "a \\| &lt;b> \\`c\\`");
    }

    #[test]
    fn hostile_text_ends_neither_fence_nor_block() {
        let lines = "-   ````\n+   ```\n+   </details>\n";
        let text = render(&document(lines, "pod/<b>@team</b>\n\n`x`</summary>"), MAX_COMMENT);
        assert!(text.contains("\n`````diff\n") && text.contains("\n`````\n\n</details>"), "{text}");
        let summary = text.lines().find(|line| line.starts_with("<details>")).unwrap();
        assert_eq!(
            summary,
            "<details><summary><code>pod/&lt;b&gt;@team&lt;/b&gt; &#96;x&#96;&lt;/summary&gt;</code> \
             <code>changed</code></summary>"
        );
        assert_eq!(text.matches("<details>").count(), 1);
    }

    #[test]
    fn long_document_leaves_out_blocks_and_says_so() {
        let mut long = document(&"+   x\n".repeat(100), "a");
        long.blocks.push(Block { lines: String::new(), ..long.blocks[0].clone() });
        let text = render(&long, 300);
        assert!(text.len() < 400 && text.contains("1 more are not shown here"), "{text}");
        assert!(text.contains("- <code>a</code> <code>changed</code>"), "the short one fits: {text}");
    }

    #[test]
    fn texts_are_masked_everywhere() {
        let mut secret = document("+   sk-planted\n", "sk-planted");
        secret.notes.push("sk-planted".into());
        let text = render(&secret.map_texts(|text| text.replace("sk-planted", "x")), MAX_COMMENT);
        assert!(!text.contains("planted"), "{text}");
    }
}
