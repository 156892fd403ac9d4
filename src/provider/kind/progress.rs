//! Parses the progress lines of kind. Pure.

/// Returns the step that a line of kind's standard error starts: ` • Preparing nodes 📦  ...` → `preparing nodes`.
/// None for lines that end a step and for other lines.
pub(super) fn started_step(line: &str) -> Option<String> {
    let text = line.trim_start().strip_prefix('•')?;
    // The emoji adds no information, and not every terminal can display it.
    let words: Vec<&str> = text.split_whitespace().filter(|word| word.is_ascii() && *word != "...").collect();
    let (first, rest) = words.split_first()?;
    let mut name = first.to_lowercase();
    for word in rest {
        name.push(' ');
        name.push_str(word);
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn started_steps_are_parsed_from_output_without_terminal() {
        for (line, step) in [
            (
                " • Ensuring node image (kindest/node:v1.34.4) 🖼  ...",
                Some("ensuring node image (kindest/node:v1.34.4)"),
            ),
            (" • Preparing nodes 📦 📦  ...", Some("preparing nodes")),
            (" • Starting control-plane 🕹️  ...", Some("starting control-plane")),
            (" • Installing CNI 🔌  ...", Some("installing CNI")),
            (" ✓ Preparing nodes 📦 📦", None),
            ("Creating cluster \"x\" ...", None),
        ] {
            assert_eq!(started_step(line).as_deref(), step, "{line}");
        }
    }
}
