//! `status -w`: shows the status again after each change, until Ctrl-C.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep, sleep_until};

use super::judge::{Drift, read_judged};
use super::output::value;
use super::print::{describe_verdict, text};
use super::read::StatusReport;
use super::wait;
use crate::command_line::RepeatedFlags;
use crate::error::{Error, Result};
use crate::event::{Events, Finished};
use crate::report::{Output, Screen, Streams, Written};
use crate::session::cluster_session::Session;
use crate::status::MetricHistory;

/// How often the metrics are measured and the application is probed without a change of an object.
const MEASURE: Duration = Duration::from_secs(5);
/// How long one reading may take: a server that is gone is said, and asked again.
const READING: Duration = Duration::from_secs(15);

/// Shows the first report, and each that differs, until Ctrl-C or until nobody reads stdout.
///
/// # Errors
/// Standard output cannot be written.
pub(super) async fn follow(
    mut session: Session,
    drift: Drift,
    first: StatusReport,
    mut view: View<'_>,
    events: &Events,
) -> Result<Finished> {
    let (mut components, mut findings) = (BTreeMap::new(), BTreeSet::new());
    let mut closed = pin!(view.streams.out_closed());
    let mut read = Ok(first);
    loop {
        let read_at = Instant::now();
        if let Ok(report) = &mut read {
            report.map_hints(|hint| view.flags.insert_into(hint));
            wait::report_components(report, &mut components, events).await;
            wait::report_findings(report, &mut findings, events).await;
        }
        if view.show(&session, &read)? == Written::Closed {
            return Ok(Finished::default());
        }
        tokio::select! {
            () = changed(&mut read) => sleep_until(read_at + wait::SETTLE).await,
            () = sleep(MEASURE) => {}
            () = &mut closed => return Ok(Finished::default()),
        }
        session.connection.api = session.connection.api.for_reading_until(Instant::now() + READING);
        read = read_judged(&session, drift).await;
    }
}

/// Waits for a change of an object; pending if the last reading failed.
async fn changed(read: &mut Result<StatusReport>) {
    match read {
        Ok(report) => wait::changed(&mut report.watches).await,
        Err(_) => std::future::pending().await,
    }
}

/// What shows the reports.
pub(super) struct View<'a> {
    output: Output,
    flags: RepeatedFlags,
    streams: &'a Streams,
    screen: Option<Screen>,
    history: MetricHistory,
    /// The last screen of a report.
    last: String,
    facts: BTreeMap<String, String>,
}

impl<'a> View<'a> {
    pub(super) fn new(output: Output, flags: RepeatedFlags, streams: &'a Streams) -> Self {
        let screen = if output == Output::Human { Screen::on_stdout(streams) } else { None };
        let (history, last, facts) = Default::default();
        Self { output, flags, streams, screen, history, last, facts }
    }

    fn show(&mut self, session: &Session, read: &Result<StatusReport>) -> Result<Written> {
        if let Ok(report) = read {
            self.history.add(&report.metrics);
        }
        if let Some(screen) = &mut self.screen {
            let unread = match read {
                Ok(report) => {
                    let text = text(session, report, &self.history, self.streams);
                    self.last = self.flags.insert_into(&text);
                    String::new()
                }
                Err(error) => format!("\nnot read again: {}\n", unread_text(error)),
            };
            return screen.show(&format!("{}{unread}", self.last));
        }
        let changes = changes(&mut self.facts, facts(read));
        if changes.is_empty() {
            return Ok(Written::Yes);
        }
        match (self.output, read) {
            (Output::Json | Output::Yaml, Ok(report)) => {
                self.streams.next_result(&value(session, report), self.output)
            }
            (Output::Json | Output::Yaml, Err(error)) => {
                self.streams.err(&format!("not read: {}\n", unread_text(error)));
                Ok(Written::Yes)
            }
            (Output::Human, _) => {
                let now = session.connection.api.clock().now();
                self.streams.text(&self.flags.insert_into(&lines(&changes, now)))
            }
        }
    }
}

fn unread_text(error: &Error) -> String {
    error.with_causes()
}

/// Returns what a report says, by subject, without values that change from reading to reading.
fn facts(read: &Result<StatusReport>) -> BTreeMap<String, String> {
    let report = match read {
        Ok(report) => report,
        Err(error) => return BTreeMap::from([("cluster".to_owned(), unread_text(error))]),
    };
    let (word, reasons) = describe_verdict(&report.health.verdict);
    let kinds: Vec<String> = reasons.iter().map(|reason| without_values(reason)).collect();
    let separator = if kinds.is_empty() { "" } else { ": " };
    let mut facts =
        BTreeMap::from([("verdict".to_owned(), format!("{word}{separator}{}", kinds.join(", ")))]);
    if let Some(revision) = &report.revision {
        let text = format!("{} ({}) by {}", revision.number, revision.result.as_str(), revision.author());
        facts.insert("revision".to_owned(), text);
    }
    for component in &report.health.components {
        let restarts = crate::phrase::count(component.restarts, "restart");
        let text = format!("{}, {}, {restarts}", without_values(&component.message), component.image);
        facts.insert(component.id.to_string(), text);
    }
    for claim in &report.health.claims {
        facts.insert(claim.id.to_string(), claim.message.clone());
    }
    for endpoints in &report.health.endpoints {
        let text = format!("{}/{} pods", endpoints.ready, endpoints.all);
        facts.insert(format!("service/{}", endpoints.service), text);
    }
    for metric in report.metrics.iter().filter(|metric| metric.is_exceeded()) {
        facts.insert(metric.name.to_owned(), "beyond its threshold".to_owned());
    }
    if let Some(sandboxes) = &report.sandboxes {
        facts.insert("sandboxes".to_owned(), sandboxes.counts().unwrap_or_else(|| "none".to_owned()));
    }
    if let Some(holder) = &report.running {
        facts.insert("running".to_owned(), without_values(holder));
    }
    for finding in report.findings.iter().chain(&report.notes) {
        let subject = format!("{} {}", finding.id.code(), finding.object);
        facts.insert(subject, format!("{}: {}", finding.id.title(), without_values(&finding.message)));
    }
    facts
}

/// Replaces the numbers of a text that grow while nothing changes: `pulling image 12 s`, `memory 91 %`.
fn without_values(text: &str) -> String {
    const UNITS: [&str; 7] = ["%", "ms", "s", "m", "h", "d", "times"];
    let words: Vec<&str> = text.split(' ').collect();
    let is_number = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
    let has_unit = |index: usize| {
        words.get(index + 1).is_some_and(|unit| UNITS.contains(&unit.trim_end_matches([',', ':', ')'])))
    };
    let kept = words.iter().enumerate().map(
        |(index, word)| {
            if is_number(word) && has_unit(index) { "…" } else { word }
        },
    );
    kept.collect::<Vec<_>>().join(" ")
}

/// Stores the new facts and returns those that differ. A subject that is gone has none.
fn changes(
    known: &mut BTreeMap<String, String>,
    new: BTreeMap<String, String>,
) -> Vec<(String, Option<String>)> {
    let mut changes: Vec<(String, Option<String>)> = new
        .iter()
        .filter(|(subject, text)| known.get(*subject) != Some(text))
        .map(|(subject, text)| (subject.clone(), Some(text.clone())))
        .collect();
    changes
        .extend(known.keys().filter(|subject| !new.contains_key(*subject)).map(|gone| (gone.clone(), None)));
    // The verdict comes first, and its causes after it.
    changes.sort_by_key(|(subject, _)| subject != "verdict");
    *known = new;
    changes
}

fn lines(changes: &[(String, Option<String>)], now: Timestamp) -> String {
    let time = crate::phrase::date_and_time(now);
    let line = |(subject, text): &(String, Option<String>)| match text {
        Some(text) => format!("{time}  {subject}  {text}\n"),
        None => format!("{time}  {subject}  no longer\n"),
    };
    changes.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(facts: &[(&str, &str)]) -> BTreeMap<String, String> {
        facts.iter().map(|(subject, text)| ((*subject).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn only_changes_are_lines_and_the_verdict_is_the_first() {
        let mut known = BTreeMap::new();
        let first = changes(&mut known, map(&[("deployment/oh", "1/1"), ("verdict", "healthy")]));
        assert_eq!(
            first.iter().map(|(subject, _)| subject.as_str()).collect::<Vec<_>>(),
            ["verdict", "deployment/oh"]
        );
        assert_eq!(changes(&mut known, map(&[("deployment/oh", "1/1"), ("verdict", "healthy")])), []);
        let gone = changes(&mut known, map(&[("verdict", "healthy")]));
        assert_eq!(gone, [("deployment/oh".to_owned(), None)]);
        let now: Timestamp = "2026-11-29T18:00:00Z".parse().unwrap();
        assert!(lines(&gone, now).ends_with("  deployment/oh  no longer\n"), "{}", lines(&gone, now));
    }

    #[test]
    fn growing_numbers_are_no_change() {
        assert_eq!(
            without_values("0/1: pulling image 12 s of about 60 s"),
            "0/1: pulling image … s of about … s"
        );
        assert_eq!(without_values("memory 91 %, more than 85 %"), "memory … %, more than … %");
        assert_eq!(without_values("2 replicas are missing"), "2 replicas are missing");
    }
}
