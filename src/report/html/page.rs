//! The timeline → an HTML page. Pure.

use std::time::Duration;

use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use super::timeline::{Moment, ProcessedObject, Row, Span, State, Timeline};
use crate::diagnostic::Severity;
use crate::error::{Error, Result};
use crate::object::assignment;
use crate::report::text::diagnostic::Style;
use crate::report::text::error;
use crate::report::text::sanitize::sanitize;
use crate::report::text::style::DEFAULT_WIDTH;
use crate::report::text::style::Palette;
use crate::status::Finding;

/// minijinja escapes the values of a template with this extension.
const NAME: &str = "page.html";
const TEMPLATE: &str = include_str!("page.html");
/// A page has no terminal colours.
const PLAIN: Style = Style { palette: Palette::NONE, width: DEFAULT_WIDTH };
/// The number of labelled times on the axis, without the first one.
const TICKS: u32 = 4;

#[derive(Serialize)]
struct Page<'a> {
    command: &'a str,
    parts: &'a [String],
    is_success: bool,
    exit: Option<u8>,
    result: String,
    facts: Vec<(&'static str, String)>,
    ticks: Vec<Tick>,
    rows: Vec<PageRow<'a>>,
    /// The error and the findings, as a terminal shows them.
    problems: Vec<String>,
    objects: Vec<PageObject<'a>>,
    warnings: &'a [(&'static str, String)],
    next: &'a [(String, String)],
}

/// A labelled time on the axis.
#[derive(Serialize)]
struct Tick {
    left: String,
    text: String,
}

#[derive(Serialize)]
struct PageRow<'a> {
    label: &'a str,
    spans: Vec<PageSpan<'a>>,
    marks: Vec<PageMark<'a>>,
}

/// A bar: its place and size in percent of the timeline.
#[derive(Serialize)]
struct PageSpan<'a> {
    class: &'static str,
    left: String,
    width: String,
    text: &'a str,
    took: String,
}

#[derive(Serialize)]
struct PageMark<'a> {
    class: &'static str,
    left: String,
    text: &'a str,
    at: String,
}

#[derive(Serialize)]
struct PageObject<'a> {
    action: &'static str,
    object: &'a str,
    message: &'a str,
    at: String,
}

/// Returns the page.
///
/// # Errors
/// The template is wrong, which a test would show.
pub(super) fn html(timeline: &Timeline) -> Result<String> {
    let page = page(timeline);
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment
        .add_template(NAME, TEMPLATE)
        .and_then(|()| environment.get_template(NAME))
        .and_then(|template| template.render(minijinja::value::Serde(page)))
        .map_err(|error| Error::internal("cannot write the report").caused_by(error))
}

fn page(timeline: &Timeline) -> Page<'_> {
    let (started, took) = timeline.extent();
    let finished = timeline.finished.as_ref();
    let mut facts = Vec::new();
    if let Some(started) = started {
        facts.push(("started", started.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()));
    }
    facts.push(("took", seconds(took)));
    if let Some(finished) = finished {
        facts.extend(finished.revision.map(|revision| ("revision", revision.to_string())));
        facts.extend(finished.url.clone().map(|url| ("url", url)));
        facts.extend(finished.model.clone().map(|model| ("model", model)));
        facts.extend(finished.notes.iter().map(|note| ("note", note.clone())));
    }
    let scale = Scale(took);
    Page {
        command: &timeline.command,
        parts: &timeline.parts,
        is_success: finished.is_some_and(|finished| finished.exit == 0),
        exit: finished.map(|finished| finished.exit),
        result: finished
            .map_or_else(|| "the command did not end".to_owned(), |finished| finished.message.clone()),
        facts,
        ticks: (0..=TICKS).map(|tick| scale.tick(tick)).collect(),
        rows: timeline.rows.iter().map(|row| page_row(row, scale)).collect(),
        problems: problems(timeline),
        objects: timeline.objects.iter().map(page_object).collect(),
        warnings: &timeline.warnings,
        next: finished.map_or(&[][..], |finished| finished.next.as_slice()),
    }
}

/// Returns the error, which has the evidence of the first finding, and the findings.
fn problems(timeline: &Timeline) -> Vec<String> {
    let error = timeline.finished.as_ref().and_then(|finished| finished.error.as_ref());
    let is_new = |finding: &&Finding| !error.is_some_and(|error| shows(error, finding));
    let findings = timeline.findings.iter().filter(is_new);
    let findings = findings.map(|finding| error::finding(finding, Severity::Error, PLAIN));
    let error = error.map(|error| error::render(error, PLAIN));
    error.into_iter().chain(findings).map(|text| sanitize(&assignment::masked(&text)).into_owned()).collect()
}

/// Returns whether an error has the text of a finding: it has all of the first one.
fn shows(error: &Error, finding: &Finding) -> bool {
    let has = |label: &str, text: &str| {
        error.facts().iter().any(|fact| fact.label == label && fact.text.starts_with(text))
    };
    has("object", &finding.object.to_string()) && has("evidence", &finding.message)
}

fn page_row(row: &Row, scale: Scale) -> PageRow<'_> {
    PageRow {
        label: &row.label,
        spans: row.spans.iter().map(|span| page_span(span, scale)).collect(),
        marks: row.marks.iter().map(|mark| page_mark(mark, scale)).collect(),
    }
}

fn page_span(span: &Span, scale: Scale) -> PageSpan<'_> {
    let took = span.to.unwrap_or(scale.0).saturating_sub(span.from);
    let class = match span.state {
        State::Pending => "pending",
        State::Done => "done",
        State::Skipped => "skipped",
        State::Failed => "failed",
    };
    PageSpan {
        class,
        left: scale.percent(span.from),
        width: scale.percent(took),
        text: if span.text.is_empty() { class } else { &span.text },
        took: seconds(took),
    }
}

fn page_mark(mark: &Moment, scale: Scale) -> PageMark<'_> {
    let class = if mark.is_problem { "problem" } else { "event" };
    PageMark { class, left: scale.percent(mark.at), text: &mark.text, at: seconds(mark.at) }
}

fn page_object(object: &ProcessedObject) -> PageObject<'_> {
    PageObject {
        action: object.action,
        object: &object.object,
        message: &object.message,
        at: seconds(object.at),
    }
}

/// The duration that the width of the timeline stands for.
#[derive(Clone, Copy)]
struct Scale(Duration);

impl Scale {
    /// Returns a duration in percent of the whole, with two digits after the point.
    fn percent(self, part: Duration) -> String {
        let whole = self.0.as_millis().max(1);
        let hundredths = (part.as_millis() * 10_000 / whole).min(10_000);
        format!("{}.{:02}", hundredths / 100, hundredths % 100)
    }

    fn tick(self, tick: u32) -> Tick {
        let at = self.0 * tick / TICKS;
        Tick { left: self.percent(at), text: seconds(at) }
    }
}

/// Formats a duration: `46 ms`, `41.2 s`, `1 m 12 s`.
fn seconds(duration: Duration) -> String {
    let tenths = duration.as_millis() / 100;
    match tenths {
        0..10 => format!("{} ms", duration.as_millis()),
        10..600 => format!("{}.{} s", tenths / 10, tenths % 10),
        _ => format!("{} m {} s", tenths / 600, tenths % 600 / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::event::Finished;
    use crate::report::scenario::{self, Scenario, assert_recorded, timestamp};

    fn page_of(scenario: Scenario) -> String {
        let mut timeline = Timeline::default();
        for (milliseconds, event) in scenario {
            timeline.observe(&event, timestamp(milliseconds));
        }
        html(&timeline).unwrap()
    }

    #[test]
    fn page_shows_a_successful_deploy() {
        assert_recorded!("report.html", page_of(scenario::deploy()));
    }

    #[test]
    fn page_is_complete_in_itself_and_escapes_what_the_cluster_says() {
        let mut scenario = scenario::up_with_a_bad_image();
        let script = scenario::step(
            crate::event::Phase::Track,
            "rollout",
            crate::event::Progress::Failed,
            "<script>alert('0/1')</script>",
        );
        scenario.insert(8, (26_400, script));
        let page = page_of(scenario);
        assert!(page.contains("HC4103") && page.contains("exit 9"), "{page}");
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
        for outside in ["http://", "https://", "src=", "@import", "\u{1b}"] {
            assert!(!page.contains(outside), "{outside}: {page}");
        }
    }

    /// The error of a failed rollout has all of its first finding.
    #[test]
    fn first_finding_is_shown_once_as_the_error() {
        let [first, other] = ["first: not found", "other: not found"]
            .map(|message| Finding { message: message.to_owned(), ..scenario::image_missing() });
        let error = Error::new(first.id, Kind::Rollout, first.id.title())
            .fact("object", format!("{}, container openhands", first.object))
            .fact("evidence", first.message.clone())
            .fact("also", other.message.clone());
        let mut timeline = Timeline::default();
        timeline.findings = vec![first, other];
        assert_eq!(problems(&timeline).len(), 2);
        timeline.finished = Some(Finished::of_error(&error));
        let problems = problems(&timeline);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("first: not found") && problems[1].contains("other: not found"));
    }

    #[test]
    fn bars_are_placed_in_proportion() {
        let scale = Scale(Duration::from_secs(40));
        assert_eq!(scale.percent(Duration::from_secs(10)), "25.00");
        assert_eq!(scale.percent(Duration::from_secs(50)), "100.00");
        assert_eq!(Scale(Duration::ZERO).percent(Duration::ZERO), "0.00");
        assert_eq!(seconds(Duration::from_millis(46)), "46 ms");
        assert_eq!(
            (seconds(Duration::from_millis(59_950)), seconds(Duration::from_secs(72))),
            ("59.9 s".into(), "1 m 12 s".into())
        );
    }
}
