//! Remarks about the configuration in the form of rustc's: file, line, column, the source line, a caret. Pure.

use std::borrow::Cow;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::sanitize::{one_line, sanitize};
use super::style::Palette;
use crate::catalogue::Id;
use crate::diagnostic::{Diagnostic, Location, Severity};

/// What is put in the place of a secret.
const MASK: &str = "…";

/// Ink and room for a rendered text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) paint: Palette,
    /// Columns; longer source lines are cut around the place.
    pub(crate) width: usize,
}

/// A title, and the source line where there is a place; ends with a newline.
pub(crate) fn render(diagnostic: &Diagnostic, look: Style) -> String {
    let (title, snippet) = parts(
        diagnostic.severity,
        diagnostic.id,
        &diagnostic.message,
        diagnostic.location.as_ref().map(|location| SourceSpan {
            location,
            label: &diagnostic.label,
            masked: diagnostic.masked,
        }),
        look,
    );
    let beside = match (&diagnostic.location, diagnostic.label.as_str()) {
        (None, label) if !label.is_empty() => format!("  {}\n", one_line(label)),
        _ => String::new(),
    };
    format!("{title}{beside}{snippet}")
}

/// A place and what stands beside its caret.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SourceSpan<'a> {
    pub(crate) location: &'a Location,
    pub(crate) label: &'a str,
    pub(crate) masked: bool,
}

/// The title line, and the lines that show the place (empty without one).
/// They are apart because an error's facts stand between them.
pub(crate) fn parts(
    severity: Severity,
    id: Id,
    message: &str,
    place: Option<SourceSpan<'_>>,
    look: Style,
) -> (String, String) {
    let level = match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(one_line(message)).id(id.code());
    let shown = place.map(Shown::new);
    let group = match &shown {
        None => annotate_snippets::Group::with_title(title),
        Some(shown) => title.element(
            Snippet::source(shown.text.as_ref())
                .path(shown.name.as_ref())
                .annotation(AnnotationKind::Primary.span(shown.span.clone()).label(shown.label.as_str())),
        ),
    };
    let renderer = if look.paint.colored() { Renderer::styled() } else { Renderer::plain() };
    let mut text = renderer.term_width(look.width).render(&[group]);
    text.push('\n');
    match text.split_once('\n') {
        Some((first, rest)) => (format!("{first}\n"), rest.to_owned()),
        None => (text, String::new()),
    }
}

/// A place, fit to be shown: no secret, no control characters, the span within the text.
struct Shown<'a> {
    name: Cow<'a, str>,
    text: Cow<'a, str>,
    span: Range<usize>,
    label: String,
}

impl<'a> Shown<'a> {
    fn new(place: SourceSpan<'a>) -> Self {
        let source = &place.location.source;
        let span = within(&source.text, &place.location.span);
        let (text, span) = if place.masked { masked(&source.text, span) } else { clean(&source.text, span) };
        Self { name: sanitize(&source.name), text, span, label: one_line(place.label) }
    }
}

/// The span, cut to the text and to whole characters.
fn within(text: &str, span: &Range<usize>) -> Range<usize> {
    let floor = |mut index: usize| {
        index = index.min(text.len());
        while !text.is_char_boundary(index) {
            index -= 1;
        }
        index
    };
    let start = floor(span.start);
    start..floor(span.end).max(start)
}

/// The text with [`MASK`] in place of the span.
fn masked(text: &str, span: Range<usize>) -> (Cow<'_, str>, Range<usize>) {
    let (before, after) = (sanitize(&text[..span.start]), sanitize(&text[span.end..]));
    let range = before.len()..before.len() + MASK.len();
    (Cow::Owned(format!("{before}{MASK}{after}")), range)
}

/// The text without control characters, and where the span is then.
fn clean(text: &str, span: Range<usize>) -> (Cow<'_, str>, Range<usize>) {
    let stripped = sanitize(text);
    if let Cow::Borrowed(_) = stripped {
        return (Cow::Borrowed(text), span);
    }
    let (before, inside, after) =
        (sanitize(&text[..span.start]), sanitize(&text[span.clone()]), sanitize(&text[span.end..]));
    let range = before.len()..before.len() + inside.len();
    (Cow::Owned(format!("{before}{inside}{after}")), range)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::diagnostic::SourceText;
    use crate::report::scenario::assert_recorded;

    const PLAIN: Style = Style { paint: Palette::NONE, width: 80 };

    fn at(text: &str, part: &str) -> Location {
        let start = text.find(part).unwrap();
        let source = SourceText { name: "config.toml".into(), text: text.into() };
        Location { source: Arc::new(source), span: start..start + part.len() }
    }

    fn diagnostic(severity: Severity, id: Id, message: &str, location: Location, label: &str) -> Diagnostic {
        let location = Some(location);
        Diagnostic { id, severity, message: message.into(), location, label: label.into(), masked: false }
    }

    #[test]
    fn like_rustc() {
        let text = "[kubernetes]\n\npvc_storage_sise = \"2Gi\"\n";
        let mistake = diagnostic(
            Severity::Error,
            Id::UnknownKey,
            "unknown key `pvc_storage_sise` in [kubernetes]; the application would crash at start",
            at(text, "pvc_storage_sise"),
            "did you mean `pvc_storage_size`?",
        );
        assert_recorded!("diagnostic", render(&mistake, PLAIN));
    }

    #[test]
    fn a_secret_is_never_shown() {
        let text = "[llm]\nmodel = \"m\"\napi_key = \"sk-very-secret\"\n";
        let place = at(text, "\"sk-very-secret\"");
        let mut remark = diagnostic(
            Severity::Warning,
            Id::LiteralSecret,
            "`[llm] api_key` is written in the file",
            place,
            "moved to a Secret",
        );
        remark.masked = true;
        let shown = render(&remark, PLAIN);
        assert!(!shown.contains("very"), "{shown}");
        assert_recorded!("diagnostic-masked", shown);
    }

    #[test]
    fn a_secret_of_several_lines_is_never_shown() {
        let text = "[llm]\napi_key = \"\"\"sk-first\nsk-second\"\"\"\nmodel = 1\n";
        let mut remark = diagnostic(
            Severity::Warning,
            Id::LiteralSecret,
            "no",
            at(text, "\"\"\"sk-first\nsk-second\"\"\""),
            "",
        );
        remark.masked = true;
        let shown = render(&remark, PLAIN);
        assert!(!shown.contains("sk-"), "{shown}");
    }

    #[test]
    fn a_span_outside_the_text_or_within_a_character_does_not_panic() {
        let text = "a = \"ß\"";
        for span in [0..99, 99..100, 6..6, 5..6] {
            let mut location = at(text, "a");
            location.span = span;
            let mistake = diagnostic(Severity::Error, Id::BadValue, "bad", location, "");
            assert!(render(&mistake, PLAIN).contains("config.toml:1:"));
        }
    }

    #[test]
    fn control_characters_of_the_file_are_not_shown() {
        let text = "# \x1b[2J\na = \"\x1b[31mx\" # \x07\n";
        let mistake =
            diagnostic(Severity::Error, Id::BadValue, "bad \x1b[5m", at(text, "\"\x1b[31mx\""), "\x07here");
        let shown = render(&mistake, PLAIN);
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
        assert!(shown.contains("2 | a = \"x\" #"), "{shown}");
    }
}
