//! The timeline of a run → the content of its page. Pure.

use std::time::Duration;

use super::clean::{clean, clean_lines};
use super::page::{PageChanges, PageContent, PageObject, PageOutcome, RunComparison};
use super::run_timeline::{ProcessedObject, RunTimeline};
use super::scale::seconds;
use crate::diagnostic::Severity;
use crate::error::Error;
use crate::event::RunChanges;
use crate::phrase;
use crate::report::text::diagnostic::Style;
use crate::report::text::error;
use crate::report::text::style::{DEFAULT_WIDTH, Palette};
use crate::status::Finding;
use crate::timeline::{Row, RowKind, RunRecord, SpanState};

/// A page has no terminal colours.
const PLAIN: Style = Style { palette: Palette::NONE, width: DEFAULT_WIDTH };

/// Returns the content of a run's page.
pub(super) fn content(timeline: &RunTimeline) -> PageContent {
    let (started, took) = timeline.extent();
    let finished = timeline.finished.as_ref();
    let changes = timeline.changes.as_ref();
    let mut facts: Vec<(&'static str, String)> = Vec::new();
    if let Some(started) = started {
        facts.push(("started", phrase::date_and_time(started)));
    }
    facts.push(("took", seconds(took)));
    facts.extend(changes.map(author_facts).unwrap_or_default());
    if let Some(finished) = finished {
        facts.extend(finished.revision.map(|revision| ("revision", revision.to_string())));
        facts.extend(finished.url.clone().map(|url| ("url", url)));
        facts.extend(finished.model.clone().map(|model| ("model", model)));
        facts.extend(finished.notes.iter().map(|note| ("remark", note.clone())));
    }
    let outcome = match finished.map(|finished| finished.exit) {
        Some(0) => PageOutcome::Success,
        Some(_) => PageOutcome::Failure,
        None => PageOutcome::Unknown,
    };
    let usual = changes.and_then(|changes| changes.usual.as_ref());
    PageContent {
        title: format!("handsctl {}", timeline.command),
        parts: timeline.parts.iter().map(|part| clean(part)).collect(),
        outcome,
        badge: finished.map_or_else(String::new, |finished| format!("exit {}", finished.exit)),
        result: finished
            .map_or_else(|| "the command did not end".to_owned(), |finished| clean(&finished.message)),
        facts: facts.into_iter().map(|(label, text)| (label, clean(&text))).collect(),
        changes: changes.and_then(page_changes),
        notices: notices(timeline),
        problems: problems(timeline),
        rows: timeline.rows.clone(),
        took,
        comparison: usual.map(|(revision, record)| compared(&timeline.rows, took, *revision, record)),
        objects: timeline.objects.iter().map(page_object).collect(),
        warnings: timeline.warnings.iter().map(|(code, text)| (*code, clean(text))).collect(),
        next: finished.map(|finished| finished.next.clone()).unwrap_or_default(),
    }
}

fn author_facts(changes: &RunChanges) -> Vec<(&'static str, String)> {
    let RunChanges { by, commit, run_url, note, .. } = changes;
    let optional = [("commit", commit), ("pipeline", run_url), ("note", note)];
    let optional = optional.into_iter().filter_map(|(label, text)| Some((label, text.clone()?)));
    [("by", by.clone())].into_iter().chain(optional).collect()
}

fn page_changes(changes: &RunChanges) -> Option<PageChanges> {
    let names = changes.changed.clone()?;
    Some(PageChanges { against: changes.against, names: names.iter().map(|name| clean(name)).collect() })
}

fn notices(timeline: &RunTimeline) -> Vec<String> {
    let mut notices = Vec::new();
    if timeline.omitted > 0 {
        let omitted = phrase::count(timeline.omitted, "change");
        notices.push(format!("{omitted} of further objects and containers are left out of the timeline"));
    }
    let changes = timeline.changes.as_ref();
    if let Some(against) = changes.filter(|it| it.changed.is_none()).and_then(|changes| changes.against) {
        notices.push(format!("revision {against} has no content to compare with"));
    }
    let is_later = changes.is_some_and(|changes| changes.against.is_some());
    if is_later && changes.is_some_and(|changes| changes.usual.is_none()) {
        notices
            .push("no kept good revision has its times, so there is nothing to compare them with".to_owned());
    }
    notices
}

/// Returns the error, which has the evidence of the first finding, and the findings.
fn problems(timeline: &RunTimeline) -> Vec<String> {
    let error = timeline.finished.as_ref().and_then(|finished| finished.error.as_ref());
    let is_new = |finding: &&Finding| !error.is_some_and(|error| shows(error, finding));
    let findings = timeline.findings.iter().filter(is_new);
    let findings = findings.map(|finding| error::finding(finding, Severity::Error, PLAIN));
    let error = error.map(|error| error::render(error, PLAIN));
    error.into_iter().chain(findings).map(|text| clean_lines(&text)).collect()
}

/// Returns whether an error has the text of a finding: it has all of the first one.
fn shows(error: &Error, finding: &Finding) -> bool {
    let has = |label: &str, text: &str| {
        error.facts().iter().any(|fact| fact.label == label && fact.text.starts_with(text))
    };
    has("object", &finding.object.to_string()) && has("evidence", &finding.message)
}

fn page_object(object: &ProcessedObject) -> PageObject {
    PageObject {
        action: object.action,
        object: object.object.clone(),
        message: clean(&object.message),
        at: seconds(object.at),
    }
}

/// Compares how long the steps took, and how long the containers pulled and started at the longest, with an earlier run.
pub(super) fn compared(rows: &[Row], took: Duration, revision: u64, before: &RunRecord) -> RunComparison {
    let step = |rows: &[Row], name: &str| {
        let row = rows.iter().find(|row| row.kind == RowKind::Step && row.label == name);
        row.map(Row::time)
    };
    let mut phases = Vec::new();
    for name in labels(rows, &before.rows, |row| row.kind == RowKind::Step) {
        let times = (step(rows, &name), step(&before.rows, &name));
        phases.push((name, times.0, times.1));
    }
    let is_container = |row: &Row| matches!(row.kind, RowKind::Container { .. });
    for name in labels(rows, &before.rows, is_container) {
        for (state, what) in [(SpanState::Pulling, "pull of the image"), (SpanState::Starting, "start")] {
            let longest = |rows: &[Row]| {
                let containers = rows.iter().filter(|row| is_container(row) && row.label == name);
                containers.map(|row| row.time_in(state)).max().filter(|time| !time.is_zero())
            };
            let (now, then) = (longest(rows), longest(&before.rows));
            if now.is_some() || then.is_some() {
                phases.push((format!("{name}: {what}"), now, then));
            }
        }
    }
    phases.push(("whole run".to_owned(), Some(took), Some(before.took)));
    RunComparison::new(revision, phases)
}

/// Returns the labels of the rows of both runs, each once, in the order of this run.
fn labels(rows: &[Row], before: &[Row], belongs: impl Fn(&Row) -> bool) -> Vec<String> {
    let mut labels: Vec<String> = Vec::new();
    for row in rows.iter().chain(before).filter(|row| belongs(row)) {
        if !labels.contains(&row.label) {
            labels.push(row.label.clone());
        }
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Id;
    use crate::error::Kind;
    use crate::event::{Event, Finished, Phase, Progress};
    use crate::report::html::page;
    use crate::report::scenario::{self, Scenario, assert_recorded, timestamp};

    fn page_of(scenario: Scenario) -> String {
        let mut timeline = RunTimeline::default();
        for (milliseconds, event) in scenario {
            timeline.observe(&event, timestamp(milliseconds));
        }
        page::html(&content(&timeline)).unwrap()
    }

    #[test]
    fn page_shows_a_successful_deploy() {
        assert_recorded!("report.html", page_of(scenario::deploy()));
    }

    #[test]
    fn page_shows_a_failed_deploy() {
        let mut scenario = scenario::up_with_a_bad_image();
        let finding = scenario::image_missing();
        let error = Error::new(finding.id, Kind::Rollout, finding.id.title())
            .fact("object", format!("{}, container openhands", finding.object))
            .fact("evidence", finding.message.clone())
            .hint("handsctl explain HC4103");
        let failed = Event::Finished(Finished::of_error(&error));
        scenario.pop();
        scenario.push((26_501, failed));
        assert_recorded!("report-failed.html", page_of(scenario));
    }

    #[test]
    fn page_is_complete_in_itself_and_escapes_what_the_cluster_says() {
        let mut scenario = scenario::up_with_a_bad_image();
        let hostile = "<script>alert('0/1')</script>";
        let script = scenario::step(Phase::Track, "rollout", Progress::Failed, hostile);
        scenario.insert(8, (26_400, script));
        scenario.insert(8, (26_300, scenario::kubernetes_event(hostile, true, hostile, 1)));
        scenario.insert(8, (26_300, scenario::container(SpanState::Failed, hostile, 0, None)));
        let changes = RunChanges {
            changed: Some(vec![hostile.into()]),
            by: hostile.into(),
            note: Some(hostile.into()),
            usual: Some((
                1,
                RunRecord { rows: vec![Row::new(RowKind::Step, hostile.into())], ..RunRecord::default() },
            )),
            ..RunChanges::default()
        };
        scenario.insert(5, (24_001, Event::Changes(Box::new(changes))));
        let page = page_of(scenario);
        assert!(page.contains("HC4103") && page.contains("exit 9"), "{page}");
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
        for outside in ["http://", "https://", "src=", "@import", "url(", "\u{1b}"] {
            assert!(!page.contains(outside), "{outside}: {page}");
        }
    }

    #[test]
    fn secrets_in_texts_of_the_cluster_are_masked() {
        let mut scenario = scenario::up_with_a_bad_image();
        let text = "dial: API_KEY=planted \u{1b}[2J";
        scenario.insert(
            8,
            (26_300, Event::Warning { id: Id::NotReady, message: text.to_owned(), diagnostic: None }),
        );
        let failed =
            Finished { message: text.to_owned(), notes: vec![text.to_owned()], ..Finished::default() };
        scenario.pop();
        scenario.push((26_501, Event::Finished(failed)));
        let page = page_of(scenario);
        assert!(page.contains("dial: API_KEY=") && !page.contains("planted"), "{page}");
        assert!(!page.contains('\u{1b}'), "{page}");
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
        let mut timeline = RunTimeline::default();
        timeline.findings = vec![first, other];
        assert_eq!(problems(&timeline).len(), 2);
        timeline.finished = Some(Finished::of_error(&error));
        let problems = problems(&timeline);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("first: not found") && problems[1].contains("other: not found"));
    }

    #[test]
    fn page_says_what_it_cannot_compare() {
        let notices_of = |changes: RunChanges| {
            let mut timeline = RunTimeline::default();
            timeline.changes = Some(changes);
            notices(&timeline)
        };
        assert_eq!(notices_of(RunChanges::default()), Vec::<String>::new(), "the first deploy");
        let later = RunChanges { against: Some(3), changed: None, ..RunChanges::default() };
        let notices = notices_of(later).join("\n");
        assert!(notices.contains("revision 3 has no content"), "{notices}");
        assert!(notices.contains("no kept good revision has its times"), "{notices}");
    }
}
