//! What kind says it is doing, in words for a line of our own. Pure.

/// The step that a line of kind's standard error begins: ` • Preparing nodes 📦  ...` → `preparing nodes`. Lines that end
/// a step, or are no step, are none.
pub(super) fn begun(line: &str) -> Option<String> {
    let text = line.trim_start().strip_prefix('•')?;
    // The picture behind it says nothing more, and not every terminal has it.
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
    fn steps_as_kind_prints_them_without_a_terminal() {
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
            assert_eq!(begun(line).as_deref(), step, "{line}");
        }
    }
}
