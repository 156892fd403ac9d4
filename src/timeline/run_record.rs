//! The timeline of a run as a revision keeps it: an annotation of a limited size, and how long the phases took.
//!
//! Whoever may change Secrets may change an annotation, so a record is for people and decides nothing.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::row::{Moment, MomentKind, Row, RowKind, Span, SpanState};

/// The version of the form. A record of a later version is not read.
const VERSION: u8 = 1;
/// The maximum size of a record in bytes. All annotations of an object share 256 KiB, and `history` lists them all.
const MAX_BYTES: usize = 16 * 1024;
/// The maximum length of a text in characters.
const MAX_TEXT: usize = 160;
/// The maximum number of marks of one row.
const MAX_MARKS: usize = 12;
/// The maximum number of states of one row. A container that crash-loops has more.
const MAX_SPANS: usize = 40;
/// The longest time that is believed of a record.
const MAX_TIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The timeline of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunRecord {
    /// When the command started.
    pub started: Option<Timestamp>,
    /// The time from the start until the result was recorded.
    pub took: Duration,
    /// The rows.
    pub rows: Vec<Row>,
    /// The number of rows, states and marks that the record has no room for.
    pub omitted: usize,
}

/// The stored form. Times are milliseconds since the start.
#[derive(Serialize, Deserialize)]
struct StoredRun {
    v: u8,
    #[serde(default)]
    started: Option<Timestamp>,
    took: u64,
    #[serde(default)]
    omitted: usize,
    rows: Vec<StoredRow>,
}

impl StoredRun {
    /// Omits the marks of the least important kind that is left. Returns whether there was one.
    fn omit_marks(&mut self) -> bool {
        let is_finding = |mark: &(u64, String, String)| mark.1 == MomentKind::Finding.as_str();
        let has_others = self.rows.iter().flat_map(|row| &row.marks).any(|mark| !is_finding(mark));
        let mut omitted = 0;
        for row in &mut self.rows {
            let before = row.marks.len();
            row.marks.retain(|mark| has_others && is_finding(mark));
            omitted += before - row.marks.len();
        }
        self.omitted += omitted;
        omitted > 0
    }
}

#[derive(Serialize, Deserialize)]
struct StoredRow {
    label: String,
    /// `step`, `object`, `container`.
    kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pod: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    workload: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    image: String,
    /// The state, its begin, its end, and its text.
    #[serde(default)]
    spans: Vec<(String, u64, u64, String)>,
    /// The time, the kind and the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    marks: Vec<(u64, String, String)>,
}

impl RunRecord {
    /// Returns the annotation's value. What exceeds its size is left out: first marks, findings last, then containers, then objects.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        let mut stored = self.stored();
        loop {
            let text = serde_json::to_string(&stored).ok()?;
            if text.len() <= MAX_BYTES {
                return Some(text);
            }
            if stored.omit_marks() {
                continue;
            }
            // A quarter at a time: an annotation of a thousand containers is serialized a few times only.
            let surplus = stored.rows.len().div_ceil(4);
            for kind in ["container", "object", "step"] {
                let mut left = surplus;
                let before = stored.rows.len();
                let mut rows: Vec<StoredRow> = stored.rows.into_iter().rev().collect();
                rows.retain(|row| {
                    let is_surplus = left > 0 && row.kind == kind;
                    left -= usize::from(is_surplus);
                    !is_surplus
                });
                rows.reverse();
                stored.rows = rows;
                stored.omitted += before - stored.rows.len();
                if stored.rows.len() < before {
                    break;
                }
            }
        }
    }

    /// Reads an annotation. None if it is not a record, or one of a later version.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let stored: StoredRun = serde_json::from_str(text).ok()?;
        if stored.v != VERSION || text.len() > MAX_BYTES {
            return None;
        }
        let rows = stored.rows.into_iter().filter_map(StoredRow::into_row).collect();
        let took = milliseconds(stored.took);
        Some(Self { started: stored.started, took, rows, omitted: stored.omitted })
    }

    /// Returns how long a container was in a state at the longest, in pods of this workload; None if none was.
    #[must_use]
    pub fn time_of_container(&self, workload: &str, container: &str, state: SpanState) -> Option<Duration> {
        let is_same = |row: &&Row| {
            matches!(&row.kind, RowKind::Container { workload: own, .. } if own == workload)
                && row.label == container
        };
        let times = self.rows.iter().filter(is_same).map(|row| row.time_in(state));
        times.max().filter(|time| !time.is_zero())
    }

    /// Returns how long the pull of an image took at the longest; None if no node pulled it. Another tag of the same
    /// repository counts: most of its layers have the same size.
    #[must_use]
    pub fn time_of_pull(&self, image: &str) -> Option<Duration> {
        let is_same = |row: &&Row| matches!(&row.kind, RowKind::Container { image: own, .. } if repository(own) == repository(image));
        let times = self.rows.iter().filter(is_same).map(|row| row.time_in(SpanState::Pulling));
        times.max().filter(|time| !time.is_zero())
    }

    fn stored(&self) -> StoredRun {
        let mut omitted = self.omitted;
        let rows = self.rows.iter().map(|row| {
            omitted += row.spans.len().saturating_sub(MAX_SPANS) + row.marks.len().saturating_sub(MAX_MARKS);
            StoredRow::new(row, self.took)
        });
        let rows = rows.collect();
        StoredRun { v: VERSION, started: self.started, took: number(self.took), omitted, rows }
    }
}

impl StoredRow {
    /// Stores a row. `now` ends a state that lasts.
    fn new(row: &Row, now: Duration) -> Self {
        let (kind, pod, workload, image) = match &row.kind {
            RowKind::Step => ("step", "", "", ""),
            RowKind::Object => ("object", "", "", ""),
            RowKind::Container { pod, workload, image } => {
                ("container", pod.as_str(), workload.as_str(), image.as_str())
            }
        };
        let span = |span: &Span| {
            let to = span.to.unwrap_or(now);
            (span.state.as_str().to_owned(), number(span.from), number(to), shortened(&span.text))
        };
        let mark = |mark: &Moment| (number(mark.at), mark.kind.as_str().to_owned(), shortened(&mark.text));
        Self {
            label: shortened(&row.label),
            kind: kind.to_owned(),
            pod: shortened(pod),
            workload: shortened(workload),
            image: shortened(image),
            // The end of a row says more than its begin.
            spans: row.spans.iter().skip(row.spans.len().saturating_sub(MAX_SPANS)).map(span).collect(),
            marks: row.marks.iter().skip(row.marks.len().saturating_sub(MAX_MARKS)).map(mark).collect(),
        }
    }

    /// Restores the row; None if it is of a kind that this version does not know.
    fn into_row(self) -> Option<Row> {
        let kind = match self.kind.as_str() {
            "step" => RowKind::Step,
            "object" => RowKind::Object,
            "container" => RowKind::Container { pod: self.pod, workload: self.workload, image: self.image },
            _ => return None,
        };
        let span = |(state, from, to, text): (String, u64, u64, String)| {
            let (state, from) = (SpanState::parse(&state)?, milliseconds(from));
            Some(Span { state, text, from, to: Some(milliseconds(to).max(from)) })
        };
        let mark = |(at, kind, text): (u64, String, String)| Moment {
            at: milliseconds(at),
            kind: MomentKind::parse(&kind),
            text,
        };
        let spans = self.spans.into_iter().filter_map(span).collect();
        Some(Row { kind, label: self.label, spans, marks: self.marks.into_iter().map(mark).collect() })
    }
}

/// Returns an image without its tag and digest. A colon before the last slash belongs to a port.
fn repository(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= MAX_TEXT {
        return text.to_owned();
    }
    text.chars().take(MAX_TEXT - 1).chain(['…']).collect()
}

fn number(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn milliseconds(number: u64) -> Duration {
    Duration::from_millis(number).min(MAX_TIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(state: SpanState, from: u64, to: u64, text: &str) -> Span {
        let (from, to) = (Duration::from_millis(from), Some(Duration::from_millis(to)));
        Span { state, text: text.to_owned(), from, to }
    }

    fn container(pod: &str, spans: Vec<Span>) -> Row {
        let (workload, image) = ("deployment.apps/oh".to_owned(), "ghcr.io:443/acme/oh:1".to_owned());
        let kind = RowKind::Container { pod: pod.to_owned(), workload, image };
        Row { spans, ..Row::new(kind, "app".to_owned()) }
    }

    fn record() -> RunRecord {
        let step = Row {
            spans: vec![span(SpanState::Done, 0, 106, "4 objects")],
            marks: vec![Moment {
                at: Duration::from_millis(7),
                kind: MomentKind::Finding,
                text: "m".to_owned(),
            }],
            ..Row::new(RowKind::Step, "preflight".to_owned())
        };
        let pulls = [38_200, 12_000].map(|time| {
            container(
                "p",
                vec![span(SpanState::Pulling, 0, time, ""), span(SpanState::Ready, time, time, "")],
            )
        });
        let rows = [step].into_iter().chain(pulls).collect();
        RunRecord {
            started: "2026-01-02T03:04:05Z".parse().ok(),
            took: Duration::from_secs(41),
            rows,
            omitted: 0,
        }
    }

    #[test]
    fn record_is_read_as_it_was_written() {
        let record = record();
        assert_eq!(RunRecord::parse(&record.to_text().unwrap()), Some(record));
    }

    #[test]
    fn findings_are_the_last_marks_to_be_left_out() {
        let mut record = record();
        let event =
            |at| Moment { at: Duration::from_millis(at), kind: MomentKind::Event, text: "x".repeat(150) };
        let finding = record.rows[0].marks.clone();
        record.rows.extend(
            (0..40).map(|_| Row { marks: (0..8).map(event).collect(), ..container("p", Vec::new()) }),
        );
        let read = RunRecord::parse(&record.to_text().unwrap()).unwrap();
        assert_eq!(read.rows[0].marks, finding);
        assert!(read.rows.iter().skip(1).all(|row| row.marks.is_empty()));
        assert_eq!(read.omitted, 320);
    }

    #[test]
    fn longest_time_of_a_container_is_the_usual_one() {
        let record = record();
        let workload = "deployment.apps/oh";
        let time =
            |name: &str, state| record.time_of_container(workload, name, state).map(|it| it.as_millis());
        assert_eq!(time("app", SpanState::Pulling), Some(38_200));
        assert_eq!(time("app", SpanState::Ready), None, "it took no time");
        assert_eq!(time("other", SpanState::Pulling), None);
        assert_eq!(record.time_of_pull("ghcr.io:443/acme/oh:2").map(|time| time.as_millis()), Some(38_200));
        assert_eq!(
            record.time_of_pull("ghcr.io:443/acme/oh@sha256:1").map(|it| it.as_millis()),
            Some(38_200)
        );
        assert_eq!(record.time_of_pull("ghcr.io:443/acme/other:1"), None);
    }

    #[test]
    fn record_of_a_later_version_or_another_program_is_not_read() {
        let text = record().to_text().unwrap();
        assert!(RunRecord::parse(&text.replace("\"v\":1", "\"v\":2")).is_none());
        for other in ["", "{}", "[]", "null", "{\"v\":1}", &"x".repeat(100_000)] {
            assert!(RunRecord::parse(other).is_none(), "{other}");
        }
        // Fields, states and kinds of rows that this version does not know are left out.
        let newer = text.replace("\"v\":1", "\"v\":1,\"new\":[]").replace("\"pulling\"", "\"napping\"");
        let newer = RunRecord::parse(&newer.replace("\"step\"", "\"comet\"")).unwrap();
        assert_eq!((newer.rows.len(), newer.rows[0].spans.len()), (2, 1));
        // A time beyond reason is cut.
        let endless = RunRecord::parse(&text.replace("41000", "18446744073709551615")).unwrap();
        assert_eq!(endless.took, MAX_TIME);
    }

    #[test]
    fn large_record_keeps_the_steps_and_counts_the_rest() {
        let mut large = record();
        let text = "é".repeat(500);
        for index in 0..2000 {
            let mut row = container(&format!("pod-{index}"), vec![span(SpanState::Ready, 0, 1, &text)]);
            row.marks.push(Moment { at: Duration::ZERO, kind: MomentKind::Event, text: text.clone() });
            large.rows.push(row);
        }
        let stored = large.to_text().unwrap();
        assert!(stored.len() <= MAX_BYTES, "{}", stored.len());
        let read = RunRecord::parse(&stored).unwrap();
        assert_eq!(read.rows[0].label, "preflight");
        assert_eq!(read.rows.len() + read.omitted, large.rows.len() + 2001, "with the marks");
        assert!(read.rows.len() > 10, "{}", read.rows.len());
        // Many steps with the longest texts.
        let step = Row::new(RowKind::Step, text);
        let steps = RunRecord { rows: vec![step; 300], ..RunRecord::default() };
        assert!(steps.to_text().unwrap().len() <= MAX_BYTES);
    }

    #[test]
    fn crash_loop_keeps_its_last_states() {
        let states = (0..100).map(|at| span(SpanState::Failed, at, at + 1, &at.to_string())).collect();
        let record = RunRecord { rows: vec![container("p", states)], ..RunRecord::default() };
        let read = RunRecord::parse(&record.to_text().unwrap()).unwrap();
        assert_eq!((read.rows[0].spans.len(), read.rows[0].spans[0].text.as_str()), (40, "60"));
        assert_eq!(read.omitted, 60);
    }
}
