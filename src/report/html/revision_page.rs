//! A kept revision → the content of its page. Pure.

use super::clean::{clean, clean_lines};
use super::page::{PageChanges, PageContent, PageOutcome};
use super::run_page::compared;
use super::scale::seconds;
use crate::phrase;
use crate::timeline::{Row, RowKind, RunRecord};

/// What is known of a kept revision. All texts come from the cluster.
#[derive(Debug)]
pub struct RevisionPage<'a> {
    /// The revision's number.
    pub number: u64,
    /// The installation and the cluster.
    pub target: String,
    /// The result: `good`.
    pub result: &'a str,
    /// Whether its rollout succeeded; None: nobody has seen the end of it.
    pub is_good: Option<bool>,
    /// When it was recorded, who made it, and what else it says about itself, each with a label.
    pub facts: Vec<(&'static str, String)>,
    /// The revision that `changed` compares with.
    pub against: Option<u64>,
    /// What differs: keys of config.toml, then objects. None: the revisions cannot be compared.
    pub changed: Option<Vec<String>>,
    /// The evidence of its failure.
    pub evidence: Option<&'a str>,
    /// Its objects; None: its content is not kept.
    pub objects: Option<Vec<String>>,
    /// The timeline of its run.
    pub record: Option<&'a RunRecord>,
    /// The newest good revision before it that has its timeline.
    pub usual: Option<(u64, &'a RunRecord)>,
}

impl RevisionPage<'_> {
    /// Returns the content of the page.
    pub(super) fn content(&self) -> PageContent {
        let outcome = match self.is_good {
            Some(true) => PageOutcome::Success,
            Some(false) => PageOutcome::Failure,
            None => PageOutcome::Unknown,
        };
        let mut facts: Vec<_> = self.facts.iter().map(|(label, text)| (*label, clean(text))).collect();
        let times = self.record.map(|record| ("took", seconds(record.took)));
        facts.extend(times);
        facts.extend(self.objects.as_ref().map(|objects| ("objects", objects.join(", "))));
        let rows: Vec<Row> = self.record.iter().flat_map(|record| &record.rows).map(cleaned).collect();
        let took = self.record.map(|record| record.took).unwrap_or_default();
        let usual = self.usual.filter(|_| self.record.is_some());
        let changes = self.changed.as_ref().map(|names| PageChanges {
            against: self.against,
            names: names.iter().map(|name| clean(name)).collect(),
        });
        PageContent {
            title: format!("Revision {}", self.number),
            parts: vec![clean(&self.target)],
            outcome,
            badge: self.result.to_owned(),
            result: self.sentence(),
            facts,
            changes,
            notices: self.notices(),
            problems: self.evidence.map(clean_lines).into_iter().collect(),
            comparison: usual.map(|(number, before)| {
                let before = RunRecord { rows: before.rows.iter().map(cleaned).collect(), ..before.clone() };
                compared(&rows, took, number, &before)
            }),
            rows,
            took,
            ..PageContent::default()
        }
    }

    fn sentence(&self) -> String {
        match self.is_good {
            Some(true) => "its rollout succeeded".to_owned(),
            Some(false) => "its rollout failed".to_owned(),
            None => "no run has seen the end of its rollout".to_owned(),
        }
    }

    /// Returns what the revision does not keep.
    fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        match self.record {
            None => notices.push(
                "its times are not kept: an earlier version of handsctl recorded it, or its run did not wait for the rollout"
                    .to_owned(),
            ),
            Some(record) => {
                notices.push(
                    "the timeline ends when the result was recorded; logs and deletions after that are not kept"
                        .to_owned(),
                );
                if record.omitted > 0 {
                    let omitted = phrase::count(record.omitted, "state");
                    notices.push(format!("{omitted}, events or rows had no room in the record"));
                }
            }
        }
        if self.changed.is_none() {
            notices.push(match self.against {
                Some(against) => format!("its content cannot be compared with that of revision {against}"),
                None => "no earlier revision is kept to compare it with".to_owned(),
            });
        }
        if self.record.is_some() && self.usual.is_none() {
            notices.push("no earlier good revision has its times to compare with".to_owned());
        }
        if self.objects.is_none() {
            notices.push("its objects are not kept".to_owned());
        }
        notices
    }
}

/// Returns the row of a record, which anybody may have changed who may change Secrets, with clean texts.
fn cleaned(row: &Row) -> Row {
    let mut row = row.clone();
    row.label = clean(&row.label);
    if let RowKind::Container { pod, workload, image } = &mut row.kind {
        for text in [pod, workload, image] {
            *text = clean(text);
        }
    }
    for span in &mut row.spans {
        span.text = clean(&span.text);
    }
    for mark in &mut row.marks {
        mark.text = clean(&mark.text);
    }
    row
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::Event;
    use crate::report::html::page;
    use crate::report::html::run_timeline::RunTimeline;
    use crate::report::scenario::{self, assert_recorded, timestamp};

    fn revision() -> RevisionPage<'static> {
        RevisionPage {
            number: 4,
            target: "openhands → kind-local-hands / openhands".into(),
            result: "failed",
            is_good: Some(false),
            facts: vec![("by", "octocat".into())],
            against: Some(3),
            changed: Some(vec!["deploy.image".into()]),
            evidence: Some("HC4103: the image does not exist\nAPI_KEY=sk-planted"),
            objects: Some(vec!["deployment.apps/openhands".into()]),
            record: None,
            usual: None,
        }
    }

    fn record() -> RunRecord {
        let mut timeline = RunTimeline::default();
        // The part of the command begins with the command.
        let is_target = |event: &Event| matches!(event, Event::Target { .. });
        for (milliseconds, event) in scenario::deploy().into_iter().filter(|(_, event)| !is_target(event)) {
            timeline.observe(&event, timestamp(milliseconds));
        }
        let text = timeline.record(timestamp(41_200)).to_text().unwrap();
        RunRecord::parse(&text).unwrap()
    }

    #[test]
    fn page_of_a_revision_has_its_timeline_evidence_and_comparison() {
        let record = record();
        let good = RunRecord { took: Duration::from_secs(30), ..record.clone() };
        let revision = RevisionPage { record: Some(&record), usual: Some((2, &good)), ..revision() };
        let page = page::html(&revision.content()).unwrap();
        assert_recorded!("report-revision.html", &page);
        for text in [
            "Revision 4",
            "octocat",
            "deploy.image",
            "HC4103: the image does not exist",
            "bar pulling",
            "mark warning",
            "revision 2",
            "+11.2 s",
        ] {
            assert!(page.contains(text), "{text}: {page}");
        }
        assert!(!page.contains("sk-planted"), "{page}");
    }

    #[test]
    fn page_of_an_older_revision_says_what_is_not_kept() {
        let old = RevisionPage { changed: None, against: None, objects: None, ..revision() };
        let page = page::html(&old.content()).unwrap();
        for text in ["its times are not kept", "no earlier revision is kept", "its objects are not kept"] {
            assert!(page.contains(text), "{text}: {page}");
        }
        assert!(!page.contains("class=\"axis\""), "there is no timeline: {page}");
    }

    #[test]
    fn changed_record_cannot_bring_its_own_markup() {
        let mut record = record();
        for row in &mut record.rows {
            row.label = "</style><script>x</script>\u{1b}[2J".into();
            row.spans.iter_mut().for_each(|span| span.text = "\"><img src=x onerror=y>".into());
        }
        let revision = RevisionPage { record: Some(&record), ..revision() };
        let page = page::html(&revision.content()).unwrap();
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains('\u{1b}'), "{page}");
    }
}
