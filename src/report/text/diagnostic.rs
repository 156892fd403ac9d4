//! Diagnostics about the configuration in rustc's form: file, line, column, the source line, a caret. Pure.

use std::borrow::Cow;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::sanitize::{one_line, sanitize};
use super::style::Palette;
use super::wrap::wrapped;
use crate::catalogue::Id;
use crate::diagnostic::{Diagnostic, Location, Severity};

/// The replacement for a secret.
const MASK: &str = "…";

/// The indentation of the further lines of a title.
const TITLE_INDENT: usize = 2;

/// The colours and width of a rendered text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) palette: Palette,
    /// The width in columns. Longer source lines are cut around the span.
    pub(crate) width: usize,
}

/// Renders a title, and the source line if the diagnostic has a location. Ends with a newline.
pub(crate) fn render(diagnostic: &Diagnostic, style: Style) -> String {
    let (title, snippet) = parts(
        diagnostic.severity,
        diagnostic.id,
        &diagnostic.message,
        diagnostic.location.as_ref().map(|location| SourceSpan {
            location,
            label: &diagnostic.label,
            masked: diagnostic.masked,
        }),
        style,
    );
    let label_line = match (&diagnostic.location, diagnostic.label.as_str()) {
        (None, label) if !label.is_empty() => format!("  {}\n", one_line(label)),
        _ => String::new(),
    };
    format!("{title}{label_line}{snippet}")
}

/// A location and the label next to its caret.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SourceSpan<'a> {
    pub(crate) location: &'a Location,
    pub(crate) label: &'a str,
    pub(crate) masked: bool,
}

/// Renders the title line, and the lines of the source span (empty without a span).
/// They are separate because an error's facts are printed between them.
pub(crate) fn parts(
    severity: Severity,
    id: Id,
    message: &str,
    span: Option<SourceSpan<'_>>,
    style: Style,
) -> (String, String) {
    let level = match severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(one_line(message)).id(id.code());
    let snippet = span.map(PrintableSpan::new);
    let label_below = snippet.as_ref().and_then(|snippet| snippet.label_below(style.width));
    let group = match &snippet {
        None => annotate_snippets::Group::with_title(title),
        Some(snippet) => {
            let label = label_below.is_none().then_some(snippet.label.as_str());
            let annotation = AnnotationKind::Primary.span(snippet.span.clone()).label(label);
            title.element(
                Snippet::source(snippet.text.as_ref()).path(snippet.name.as_ref()).annotation(annotation),
            )
        }
    };
    let renderer = if style.palette.colored() { Renderer::styled() } else { Renderer::plain() };
    let mut text = renderer.term_width(style.width).render(&[group]);
    text.push('\n');
    text.extend(label_below);
    match text.split_once('\n') {
        Some((first, rest)) => {
            (format!("{}\n", wrapped(first, 0, TITLE_INDENT, style.width)), rest.to_owned())
        }
        None => (text, String::new()),
    }
}

/// A source span that is safe to print: no secret, no control characters, and the span is within the text.
struct PrintableSpan<'a> {
    name: Cow<'a, str>,
    text: Cow<'a, str>,
    span: Range<usize>,
    label: String,
}

impl<'a> PrintableSpan<'a> {
    fn new(source_span: SourceSpan<'a>) -> Self {
        let source = &source_span.location.source;
        let span = clamped(&source.text, &source_span.location.span);
        let (text, span) =
            if source_span.masked { masked(&source.text, span) } else { sanitized(&source.text, span) };
        let span = first_line(&text, span);
        Self { name: sanitize(&source.name), text, span, label: one_line(source_span.label) }
    }

    /// Returns the label as a line below the source line, `  = label`, if it does not fit beside its caret.
    fn label_below(&self, width: usize) -> Option<String> {
        let before = &self.text[..self.span.start];
        let line = before.lines().count().max(1).to_string();
        let indent = line.len() + 1;
        let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
        let carets = console::measure_text_width(&self.text[begin..self.span.end]);
        // The line number, ` | `, the carets, a space, the label.
        let used = indent + 2 + carets + 1 + console::measure_text_width(&self.label);
        if used <= width || self.label.is_empty() {
            return None;
        }
        let label = wrapped(&self.label, indent + 2, indent + 2, width);
        Some(format!("{:indent$}= {label}\n", ""))
    }
}

/// Clamps the span to the text and to character boundaries.
fn clamped(text: &str, span: &Range<usize>) -> Range<usize> {
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

/// Ends the span at the end of its first line: a table of ten lines needs no bracket around all of them.
fn first_line(text: &str, span: Range<usize>) -> Range<usize> {
    let line = text[span.clone()].lines().next().map_or(0, |line| line.trim_end().len());
    if line == 0 { span } else { span.start..span.start + line }
}

/// Replaces the span with [`MASK`]. Returns the text and the new span.
fn masked(text: &str, span: Range<usize>) -> (Cow<'_, str>, Range<usize>) {
    let (before, after) = (sanitize(&text[..span.start]), sanitize(&text[span.end..]));
    let range = before.len()..before.len() + MASK.len();
    (Cow::Owned(format!("{before}{MASK}{after}")), range)
}

/// Removes control characters. Returns the text and the new span.
fn sanitized(text: &str, span: Range<usize>) -> (Cow<'_, str>, Range<usize>) {
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

    const PLAIN: Style = Style { palette: Palette::NONE, width: 80 };

    fn location(text: &str, part: &str) -> Location {
        let start = text.find(part).unwrap();
        let source = SourceText { name: "config.toml".into(), text: text.into() };
        Location { source: Arc::new(source), span: start..start + part.len() }
    }

    #[test]
    fn value_of_several_lines_is_shown_by_its_first() {
        let text = "[deploy]\nreplicas = [\n  1,\n  2,\n]\nhost = \"a\"\n";
        let at = location(text, "[\n  1,\n  2,\n]");
        let shown = render(&diagnostic(Severity::Error, Id::WrongType, "wrong", at, "a number"), PLAIN);
        assert!(shown.contains("2 | replicas = [\n") && shown.contains("^ a number"), "{shown}");
        assert!(!shown.contains("  1,"), "{shown}");
    }

    fn diagnostic(severity: Severity, id: Id, message: &str, location: Location, label: &str) -> Diagnostic {
        let location = Some(location);
        Diagnostic { id, severity, message: message.into(), location, label: label.into(), masked: false }
    }

    #[test]
    fn diagnostic_has_form_of_rustc() {
        let text = "[kubernetes]\n\npvc_storage_sise = \"2Gi\"\n";
        let error = diagnostic(
            Severity::Error,
            Id::UnknownKey,
            "unknown key `pvc_storage_sise` in [kubernetes]; the application would crash at start",
            location(text, "pvc_storage_sise"),
            "did you mean `pvc_storage_size`?",
        );
        assert_recorded!("diagnostic", render(&error, PLAIN));
    }

    #[test]
    fn masked_secret_is_not_printed() {
        let text = "[llm]\nmodel = \"m\"\napi_key = \"sk-very-secret\"\n";
        let secret = location(text, "\"sk-very-secret\"");
        let mut warning = diagnostic(
            Severity::Warning,
            Id::LiteralSecret,
            "`[llm] api_key` is written in the file",
            secret,
            "moved to a Secret",
        );
        warning.masked = true;
        let rendered = render(&warning, PLAIN);
        assert!(!rendered.contains("very"), "{rendered}");
        assert_recorded!("diagnostic-masked", rendered);
    }

    #[test]
    fn masked_secret_of_several_lines_is_not_printed() {
        let text = "[llm]\napi_key = \"\"\"sk-first\nsk-second\"\"\"\nmodel = 1\n";
        let mut warning = diagnostic(
            Severity::Warning,
            Id::LiteralSecret,
            "no",
            location(text, "\"\"\"sk-first\nsk-second\"\"\""),
            "",
        );
        warning.masked = true;
        let rendered = render(&warning, PLAIN);
        assert!(!rendered.contains("sk-"), "{rendered}");
    }

    #[test]
    fn invalid_span_does_not_panic() {
        let text = "a = \"ß\"";
        for span in [0..99, 99..100, 6..6, 5..6] {
            let mut invalid = location(text, "a");
            invalid.span = span;
            let error = diagnostic(Severity::Error, Id::BadValue, "bad", invalid, "");
            assert!(render(&error, PLAIN).contains("config.toml:1:"));
        }
    }

    #[test]
    fn label_that_does_not_fit_beside_its_caret_stands_below() {
        let text = "\ndeploy.image=\"docker.all-hands.dev/all-hands-ai/openhands:0.58\"";
        let at = location(text, "\"docker.all-hands.dev/all-hands-ai/openhands:0.58\"");
        let shown = |label: &str, width| {
            let style = Style { width, ..PLAIN };
            render(&diagnostic(Severity::Error, Id::BadValue, "bad", at.clone(), label), style)
        };
        assert!(
            shown("[deploy].image", 82).ends_with("^^ [deploy].image\n"),
            "{}",
            shown("[deploy].image", 82)
        );
        assert!(
            shown("[deploy].image", 81).ends_with("^^\n  = [deploy].image\n"),
            "{}",
            shown("[deploy].image", 81)
        );
        let long =
            shown("set [deploy].version, as in 0.59, or use a tag such as 0.59-dev, of this repository", 80);
        assert!(long.ends_with("^^\n  = set [deploy].version, as in 0.59, or use a tag such as 0.59-dev, of this\n    repository\n"), "{long}");
    }

    #[test]
    fn control_characters_of_file_are_removed() {
        let text = "# \x1b[2J\na = \"\x1b[31mx\" # \x07\n";
        let error = diagnostic(
            Severity::Error,
            Id::BadValue,
            "bad \x1b[5m",
            location(text, "\"\x1b[31mx\""),
            "\x07here",
        );
        let rendered = render(&error, PLAIN);
        assert!(!rendered.chars().any(|c| c.is_control() && c != '\n'), "{rendered:?}");
        assert!(rendered.contains("2 | a = \"x\" #"), "{rendered}");
    }
}
