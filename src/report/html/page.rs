//! The content of a page → HTML. Pure.

use std::time::Duration;

use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use super::scale::{Scale, Tick, seconds};
use crate::error::{Error, Result};
use crate::timeline::{Moment, Row, RowKind, Span, SpanState};

/// minijinja escapes the values of a template with this extension.
const NAME: &str = "page.html";
const TEMPLATE: &str = include_str!("page.html");
/// The maximum number of different states that are listed below a row.
const MAX_STATES: usize = 8;

/// The content of a page. Its texts are clean: on one line, without secrets and without control characters.
#[derive(Debug, Default)]
pub(super) struct PageContent {
    /// The command or the revision.
    pub(super) title: String,
    /// What the title is about, one line each.
    pub(super) parts: Vec<String>,
    pub(super) outcome: PageOutcome,
    /// The outcome in a word: `exit 0`, `good`.
    pub(super) badge: String,
    /// The outcome as a sentence.
    pub(super) result: String,
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) changes: Option<PageChanges>,
    /// What the page cannot show, and why.
    pub(super) notices: Vec<String>,
    /// The error and the findings, as a terminal shows them.
    pub(super) problems: Vec<String>,
    /// The rows of the timeline.
    pub(super) rows: Vec<Row>,
    /// The duration that the width of the timeline stands for.
    pub(super) took: Duration,
    pub(super) comparison: Option<RunComparison>,
    pub(super) objects: Vec<PageObject>,
    pub(super) warnings: Vec<(&'static str, String)>,
    /// Commands to run next, with a label.
    pub(super) next: Vec<(String, String)>,
}

/// Whether the run succeeded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum PageOutcome {
    Success,
    Failure,
    #[default]
    Unknown,
}

/// What differs from an earlier revision.
#[derive(Debug, Serialize)]
pub(super) struct PageChanges {
    /// The compared revision; None for the first one.
    pub(super) against: Option<u64>,
    /// Keys of config.toml, and objects.
    pub(super) names: Vec<String>,
}

/// How long the phases took, beside those of an earlier run.
#[derive(Debug, Serialize)]
pub(super) struct RunComparison {
    /// The earlier run's revision.
    pub(super) revision: u64,
    pub(super) phases: Vec<PhaseTimes>,
}

/// One compared duration.
#[derive(Debug, Serialize)]
pub(super) struct PhaseTimes {
    name: String,
    now: String,
    before: String,
    difference: String,
    now_width: String,
    before_width: String,
}

impl RunComparison {
    /// Compares durations; None: the run did not have this phase.
    pub(super) fn new(revision: u64, phases: Vec<(String, Option<Duration>, Option<Duration>)>) -> Self {
        let longest = phases.iter().flat_map(|(_, now, before)| [*now, *before]).flatten().max();
        let scale = Scale(longest.unwrap_or_default());
        let text = |time: Option<Duration>| time.map_or_else(|| "–".to_owned(), seconds);
        let width = |time: Option<Duration>| scale.percent(time.unwrap_or_default());
        let phase = |(name, now, before)| PhaseTimes {
            name,
            now: text(now),
            before: text(before),
            difference: now.zip(before).map_or_else(String::new, |(now, before)| difference(now, before)),
            now_width: width(now),
            before_width: width(before),
        };
        Self { revision, phases: phases.into_iter().map(phase).collect() }
    }
}

/// Formats a difference of at least a tenth of a second: `+3.2 s`.
fn difference(now: Duration, before: Duration) -> String {
    let (sign, difference) =
        if now >= before { ("+", now.abs_diff(before)) } else { ("−", before.abs_diff(now)) };
    if difference < Duration::from_millis(100) {
        return "same".to_owned();
    }
    format!("{sign}{}", seconds(difference))
}

/// An object that was applied, deleted or kept.
#[derive(Debug, Serialize)]
pub(super) struct PageObject {
    pub(super) action: &'static str,
    pub(super) object: String,
    pub(super) message: String,
    pub(super) at: String,
}

/// The values of the template.
#[derive(Serialize)]
struct Page<'a> {
    title: &'a str,
    parts: &'a [String],
    outcome: PageOutcome,
    badge: &'a str,
    result: &'a str,
    facts: &'a [(&'static str, String)],
    changes: &'a Option<PageChanges>,
    notices: &'a [String],
    problems: &'a [String],
    ticks: Vec<Tick>,
    states: Vec<&'static str>,
    rows: Vec<PageRow<'a>>,
    events: Vec<PageEvent<'a>>,
    comparison: &'a Option<RunComparison>,
    objects: &'a [PageObject],
    warnings: &'a [(&'static str, String)],
    next: &'a [(String, String)],
}

#[derive(Serialize)]
struct PageRow<'a> {
    /// The heading above the row; empty within a group.
    group: &'static str,
    /// The name, split after each slash, where a line may break.
    label: Vec<&'a str>,
    /// The pod of a container.
    pod: &'a str,
    bars: Vec<PageBar<'a>>,
    marks: Vec<PageMark<'a>>,
    states: Vec<PageState<'a>>,
    /// The number of states that are not listed.
    more: usize,
}

/// A bar: its place and size in percent of the timeline.
#[derive(Serialize)]
struct PageBar<'a> {
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
    /// The number of its line among the events.
    number: usize,
}

/// A state with the time of all its bars.
#[derive(Serialize)]
struct PageState<'a> {
    class: &'static str,
    text: &'a str,
    took: String,
    times: usize,
}

/// A mark, as a line of the table.
#[derive(Serialize)]
struct PageEvent<'a> {
    number: usize,
    at: String,
    class: &'static str,
    row: &'a str,
    pod: &'a str,
    text: &'a str,
}

/// Returns the page.
///
/// # Errors
/// The template is wrong, which a test would show.
pub(super) fn html(content: &PageContent) -> Result<String> {
    let page = page(content);
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment
        .add_template(NAME, TEMPLATE)
        .and_then(|()| environment.get_template(NAME))
        .and_then(|template| template.render(minijinja::value::Serde(page)))
        .map_err(|error| Error::internal("cannot write the report").caused_by(error))
}

fn page(content: &PageContent) -> Page<'_> {
    let scale = Scale(content.took);
    let ordered = in_groups(&content.rows);
    let (events, numbers) = events(&ordered);
    let mut group = "";
    let rows = ordered.iter().zip(numbers).map(|((heading, row), numbers)| {
        let is_new = *heading != group;
        group = *heading;
        PageRow { group: if is_new { heading } else { "" }, ..page_row(row, &numbers, scale) }
    });
    Page {
        title: &content.title,
        parts: &content.parts,
        outcome: content.outcome,
        badge: &content.badge,
        result: &content.result,
        facts: &content.facts,
        changes: &content.changes,
        notices: &content.notices,
        problems: &content.problems,
        ticks: scale.ticks(),
        rows: rows.collect(),
        states: states_of(&content.rows),
        events,
        comparison: &content.comparison,
        objects: &content.objects,
        warnings: &content.warnings,
        next: &content.next,
    }
}

/// Returns the rows with their headings: steps, then each object followed by its containers, then other pods.
fn in_groups(rows: &[Row]) -> Vec<(&'static str, &Row)> {
    let steps = rows.iter().filter(|row| row.kind == RowKind::Step);
    let mut ordered: Vec<(&str, &Row)> = steps.map(|row| ("Steps", row)).collect();
    let objects: Vec<&Row> = rows.iter().filter(|row| row.kind == RowKind::Object).collect();
    for object in &objects {
        ordered.push(("Objects", object));
        let containers = rows.iter().filter(|row| workload(row) == Some(&object.label));
        ordered.extend(containers.map(|row| ("Objects", row)));
    }
    let is_other = |row: &&Row| {
        workload(row).is_some_and(|workload| objects.iter().all(|object| object.label != *workload))
    };
    ordered.extend(rows.iter().filter(is_other).map(|row| ("Other pods", row)));
    ordered
}

/// Returns the label of a container's workload; None for other rows.
fn workload(row: &Row) -> Option<&str> {
    match &row.kind {
        RowKind::Container { workload, .. } => Some(workload),
        RowKind::Step | RowKind::Object => None,
    }
}

fn pod(row: &Row) -> &str {
    match &row.kind {
        RowKind::Container { pod, .. } => pod,
        RowKind::Step | RowKind::Object => "",
    }
}

/// Returns the marks of all rows in the order of time, and the number of each mark in each row.
fn events<'a>(rows: &[(&'static str, &'a Row)]) -> (Vec<PageEvent<'a>>, Vec<Vec<usize>>) {
    let marks = rows.iter().enumerate().flat_map(|(index, (_, row))| {
        row.marks.iter().enumerate().map(move |(place, mark)| (index, place, *row, mark))
    });
    let mut marks: Vec<(usize, usize, &Row, &Moment)> = marks.collect();
    marks.sort_by_key(|(_, _, _, mark)| mark.at);
    let mut numbers: Vec<Vec<usize>> = rows.iter().map(|(_, row)| vec![0; row.marks.len()]).collect();
    let mut events = Vec::new();
    for (number, (index, place, row, mark)) in (1..).zip(marks) {
        numbers[index][place] = number;
        let (class, at) = (mark.kind.as_str(), seconds(mark.at));
        events.push(PageEvent { number, at, class, row: &row.label, pod: pod(row), text: &mark.text });
    }
    (events, numbers)
}

/// Returns the classes of the states that the rows have, for the key of the colours.
fn states_of(rows: &[Row]) -> Vec<&'static str> {
    let mut states: Vec<SpanState> = rows.iter().flat_map(|row| &row.spans).map(|span| span.state).collect();
    states.sort_unstable();
    states.dedup();
    states.into_iter().map(SpanState::as_str).collect()
}

fn page_row<'a>(row: &'a Row, numbers: &[usize], scale: Scale) -> PageRow<'a> {
    let marks = row.marks.iter().zip(numbers).map(|(mark, number)| PageMark {
        class: mark.kind.as_str(),
        left: scale.percent(mark.at),
        text: &mark.text,
        at: seconds(mark.at),
        number: *number,
    });
    let mut states = states(row, scale);
    let more = states.len().saturating_sub(MAX_STATES);
    states.truncate(MAX_STATES);
    PageRow {
        group: "",
        label: row.label.split_inclusive('/').collect(),
        pod: pod(row),
        bars: row.spans.iter().map(|span| bar(span, scale)).collect(),
        marks: marks.collect(),
        states,
        more,
    }
}

fn bar(span: &Span, scale: Scale) -> PageBar<'_> {
    let took = took(span, scale);
    PageBar {
        class: span.state.as_str(),
        left: scale.percent(span.from),
        width: scale.percent(took),
        text: text(span),
        took: seconds(took),
    }
}

fn took(span: &Span, scale: Scale) -> Duration {
    span.to.unwrap_or(scale.0).saturating_sub(span.from)
}

fn text(span: &Span) -> &str {
    if span.text.is_empty() { span.state.as_str() } else { &span.text }
}

/// Returns each different state once, with the time of all its bars.
fn states(row: &Row, scale: Scale) -> Vec<PageState<'_>> {
    let mut all: Vec<(SpanState, &str, Duration, usize)> = Vec::new();
    for span in &row.spans {
        let (words, took) = (text(span), took(span, scale));
        match all.iter_mut().find(|(state, known, _, _)| *state == span.state && *known == words) {
            Some((_, _, total, times)) => {
                *total += took;
                *times += 1;
            }
            None => all.push((span.state, words, took, 1)),
        }
    }
    let state = |(state, text, took, times): (SpanState, _, _, _)| PageState {
        class: state.as_str(),
        text,
        took: seconds(took),
        times,
    };
    all.into_iter().map(state).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_groups_with_containers_below_their_workload() {
        let container = |pod: &str, workload: &str| {
            let kind =
                RowKind::Container { pod: pod.into(), workload: workload.into(), image: String::new() };
            Row::new(kind, "app".into())
        };
        let object = |label: &str| Row::new(RowKind::Object, label.into());
        let rows = [
            container("pull-1", ""),
            object("a"),
            Row::new(RowKind::Step, "apply".into()),
            object("b"),
            container("a-1", "a"),
        ];
        let ordered = in_groups(&rows);
        let names: Vec<_> =
            ordered.iter().map(|(group, row)| (*group, row.label.as_str(), pod(row))).collect();
        assert_eq!(
            names,
            [
                ("Steps", "apply", ""),
                ("Objects", "a", ""),
                ("Objects", "app", "a-1"),
                ("Objects", "b", ""),
                ("Other pods", "app", "pull-1"),
            ]
        );
    }

    #[test]
    fn repeated_states_are_listed_once_with_their_time() {
        let mut row = Row::new(RowKind::Step, "x".into());
        for at in 0..6 {
            let state = if at % 2 == 0 { SpanState::Starting } else { SpanState::Failed };
            row.change(state, "", Duration::from_secs(at));
        }
        let states = states(&row, Scale(Duration::from_secs(10)));
        let states: Vec<_> = states.iter().map(|it| (it.text, it.took.as_str(), it.times)).collect();
        assert_eq!(
            states,
            [("starting", "3 s", 3), ("failed", "7 s", 3)],
            "the last one lasts until the end"
        );
    }

    #[test]
    fn comparison_shows_the_difference_of_known_times() {
        let second = |it| Some(Duration::from_secs(it));
        let phases = vec![
            ("apply".into(), second(2), second(1)),
            ("rollout".into(), second(20), second(40)),
            ("prune".into(), None, second(1)),
            ("probe".into(), second(1), second(1)),
        ];
        let comparison = RunComparison::new(3, phases);
        let texts: Vec<_> = comparison
            .phases
            .iter()
            .map(|it| (it.now.as_str(), it.before.as_str(), it.difference.as_str(), it.now_width.as_str()))
            .collect();
        assert_eq!(
            texts,
            [
                ("2 s", "1 s", "+1 s", "5.00"),
                ("20 s", "40 s", "−20 s", "50.00"),
                ("–", "1 s", "", "0.00"),
                ("1 s", "1 s", "same", "2.50"),
            ]
        );
    }
}
