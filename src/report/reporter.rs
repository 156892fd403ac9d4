//! Receives the events of a command and writes them in every requested form.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::MissedTickBehavior;

use super::evidence_folder::EvidenceFolder;
use super::html::{ReportFile, SharedTimeline};
use super::junit::{self, ConfigCheck, Junit};
use super::progress::bars::Bars;
use super::progress::events_json::EventsJson;
use super::progress::heartbeat::Heartbeat;
use super::progress::lines::{LineOptions, LineProgress};
use super::progress::terminal::TerminalProgress;
use super::streams::{JobLog, Streams, Written};
use super::summary::RunSummary;
use super::text::diagnostic::Style;
use super::text::github;
use super::text::gitlab::Sections;
use crate::catalogue::Id;
use crate::diagnostic::{Diagnostic, Severity};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Receiver};

/// The target of the machine-readable stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventsTarget {
    /// A file. An existing file is truncated.
    File(PathBuf),
    /// stdout, together with the command's own result.
    Stdout,
}

/// The form of the result: `-o`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Output {
    /// Text and tables.
    #[default]
    Human,
    /// JSON, for errors as well.
    Json,
    /// YAML.
    Yaml,
}

/// What the reporter shows to people while a command only reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadingProgress {
    /// Progress as in a command that changes something: the command waits.
    Shown,
    /// Only the warnings.
    EventsOnly,
}

/// Writes the events of a running command.
pub struct Reporter {
    streams: Streams,
    sink: Sink,
    json: Option<(EventsJson, EventsPipe)>,
    junit: Option<(Junit, JunitFile)>,
    evidence: Option<EvidenceFolder>,
    report: Option<ReportFile>,
    timeline: SharedTimeline,
    heartbeat: Heartbeat,
    run_summary: RunSummary,
    /// Whether the run's summary is written for a GitHub workflow. A command that only reads writes its own.
    writes_github_files: bool,
    /// Completes the commands that warnings and findings suggest.
    commands: Box<dyn Fn(&str) -> String + Send>,
    now: Box<dyn Fn() -> Timestamp + Send>,
}

enum Sink {
    Bars { progress: Box<TerminalProgress>, bars: Box<Bars> },
    Lines { lines: Box<LineProgress>, sections: Option<Sections> },
    Warnings,
    Silent,
}

enum EventsPipe {
    File { path: PathBuf, file: File },
    Stdout(Streams),
}

/// How often the live block is redrawn.
const FRAME: Duration = Duration::from_millis(100);
/// How often to check for a due heartbeat, if there is no live block.
const HEARTBEAT_CHECK: Duration = Duration::from_secs(1);

impl Reporter {
    /// Creates a reporter and chooses the form of the progress: bars if they can be drawn, else lines. With `-q` it
    /// writes neither progress nor warnings. With `-o json` it writes lines, because bars would garble the output for
    /// programs.
    ///
    /// # Errors
    /// The events file cannot be created.
    pub fn new(
        streams: Streams,
        events: Option<&EventsTarget>,
        output: Output,
        now: impl Fn() -> Timestamp + Send + 'static,
    ) -> Result<Self> {
        let json = match events {
            None => None,
            Some(target) => Some((EventsJson::default(), EventsPipe::open(target, &streams)?)),
        };
        let settings = &streams.settings;
        let style = Style { palette: settings.err.palette, width: settings.err.width };
        let verbose = settings.verbose > 0;
        let sink = if settings.quiet {
            Sink::Silent
        } else if streams.can_draw() && output == Output::Human {
            Sink::Bars {
                progress: Box::new(TerminalProgress::new(style, verbose)),
                bars: Box::new(Bars::on_stderr()),
            }
        } else {
            let github = settings.github.as_ref().map(|files| files.checkout.clone());
            let lines = Box::new(LineProgress::new(LineOptions { verbose, github, style }));
            Sink::Lines { lines, sections: (settings.log == JobLog::Gitlab).then(Sections::default) }
        };
        let (heartbeat, run_summary) = (Heartbeat::default(), RunSummary::default());
        let writes_github_files = true;
        let now = Box::new(now);
        let (junit, evidence, report) = (None, None, None);
        let commands = Box::new(str::to_owned);
        Ok(Self {
            streams,
            sink,
            json,
            junit,
            evidence,
            report,
            timeline: SharedTimeline::default(),
            heartbeat,
            run_summary,
            writes_github_files,
            commands,
            now,
        })
    }

    /// Completes the commands that warnings and findings suggest, such as with the flags of the command line.
    #[must_use]
    pub fn with_commands(mut self, complete: impl Fn(&str) -> String + Send + 'static) -> Self {
        self.commands = Box::new(complete);
        self
    }

    /// Writes the result as JUnit XML at the end.
    #[must_use]
    pub fn with_junit(mut self, file: Option<JunitFile>) -> Self {
        self.junit = file.map(|file| (Junit::default(), file));
        self
    }

    /// Writes the evidence of every finding.
    #[must_use]
    pub fn with_evidence(mut self, folder: Option<EvidenceFolder>) -> Self {
        self.evidence = folder;
        self
    }

    /// Writes the run as a page at the end.
    #[must_use]
    pub fn with_report(mut self, file: Option<ReportFile>) -> Self {
        self.report = file;
        self
    }

    /// Fills this timeline while the command runs.
    #[must_use]
    pub fn with_timeline(mut self, timeline: SharedTimeline) -> Self {
        self.timeline = timeline;
        self
    }

    /// Creates the reporter of a command that only reads and writes its result itself.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn for_reading(
        streams: Streams,
        events: Option<&EventsTarget>,
        output: Output,
        progress: ReadingProgress,
        now: impl Fn() -> Timestamp + Send + 'static,
    ) -> Result<Self> {
        let mut reporter = Self::new(streams, events, output, now)?;
        reporter.writes_github_files = false;
        if progress == ReadingProgress::EventsOnly && !reporter.streams.settings.quiet {
            reporter.sink = Sink::Warnings;
        }
        Ok(reporter)
    }

    /// Writes every event until [`Event::Finished`], or until all senders are dropped.
    ///
    /// `Finished` ends the loop even if a sender still exists. Earlier events are written before it and later ones are
    /// discarded, so that it is the last line of the stream.
    pub async fn run(mut self, mut receiver: Receiver) -> RunSummary {
        let period = if matches!(self.sink, Sink::Bars { .. }) { FRAME } else { HEARTBEAT_CHECK };
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut finished = None;
        loop {
            tokio::select! {
                biased;
                event = receiver.recv() => match event {
                    Some(event @ Event::Finished(_)) => {
                        receiver.close();
                        finished = Some(event);
                    }
                    Some(event) => self.event(&event),
                    None => break,
                },
                _ = ticks.tick() => self.tick(),
            }
        }
        if let Some(event) = finished {
            self.event(&event);
        }
        self.end()
    }

    fn event(&mut self, event: &Event) {
        let event = event.map_texts(|text| self.streams.hidden(text)).map_commands(&self.commands);
        if self.run_summary.is_repeated_warning(&event) {
            return;
        }
        let now = (self.now)();
        let event = &self.heartbeat.described(event, now);
        self.heartbeat.observe(event, now);
        self.run_summary.add(event);
        self.write_json(event, now);
        if let Some((junit, _)) = &mut self.junit {
            junit.observe(event, now);
        }
        self.timeline.observe(event, now);
        if let (Some(evidence), Event::Finding(finding)) = (&mut self.evidence, event)
            && let Err(error) = evidence.write(finding)
        {
            self.streams.diagnostic(&warning(Id::EvidenceMissing, &error.with_causes(), None));
        }
        match &mut self.sink {
            Sink::Silent => {}
            Sink::Warnings => {
                if let Event::Warning { id, message, diagnostic } = event {
                    self.streams.diagnostic(&warning(*id, message, diagnostic.as_deref()));
                }
            }
            Sink::Lines { lines, sections } => {
                if let Some(sections) = sections {
                    self.streams.section(&sections.before(event, now));
                }
                self.streams.err(&lines.event(event, now));
            }
            Sink::Bars { progress, bars } => {
                let text = progress.event(event, now);
                if !text.is_empty() {
                    // Permanent text replaces the block if no section is open.
                    if progress.live(&self.heartbeat, now).is_empty() {
                        bars.show(&[]);
                    }
                    bars.write_above(|| self.streams.err(&text));
                }
                bars.show(&progress.live(&self.heartbeat, now));
            }
        }
    }

    fn tick(&mut self) {
        let now = (self.now)();
        if let Some(heartbeat) = self.heartbeat.due(now) {
            self.event(&heartbeat);
        }
        if let Sink::Bars { progress, bars } = &mut self.sink {
            bars.show(&progress.live(&self.heartbeat, now));
        }
    }

    fn write_json(&mut self, event: &Event, now: Timestamp) {
        let Some((json, pipe)) = &mut self.json else { return };
        let lines = json
            .lines(event, now)
            .map(|lines| self.streams.json(&lines))
            .map_err(|error| Error::io(pipe.action(), error.into()));
        match lines.and_then(|lines| pipe.write(&lines)) {
            Ok(Written::Yes) => {}
            Ok(Written::Closed) => self.json = None,
            // The command continues: a full disk must not leave a cluster half deployed.
            Err(error) => {
                self.json = None;
                self.warn(&error);
            }
        }
    }

    fn end(mut self) -> RunSummary {
        if let Sink::Bars { progress, bars } = &mut self.sink {
            bars.show(&[]);
            // Without `Finished` the rows written so far must stay on the screen as well.
            let text = progress.abandon((self.now)());
            self.streams.err(&text);
        }
        if self.writes_github_files
            && let Err(error) = self.write_github_files()
        {
            self.warn(&error);
        }
        if let Some((junit, file)) = self.junit.take()
            && let Err(error) = junit.xml().and_then(|xml| file.write(&xml))
        {
            self.warn(&error);
        }
        if let Some(report) = self.report.take()
            && let Err(error) = report.write_run(&self.timeline)
        {
            self.warn(&error);
        }
        self.run_summary
    }

    fn write_github_files(&self) -> Result<()> {
        if self.streams.settings.github.is_none() {
            return Ok(());
        }
        let Some(summary) = self.run_summary.summary() else { return Ok(()) };
        self.streams.step_summary(&github::step_summary(&self.run_summary, &summary))?;
        self.streams.step_output(&github::outputs(&summary))
    }

    /// Writes a warning about an error of the reporter itself. It does not affect the command's result.
    fn warn(&self, error: &Error) {
        let text = self.streams.warning_text(error);
        match &self.sink {
            Sink::Bars { bars, .. } => bars.write_above(|| self.streams.err(&text)),
            Sink::Lines { .. } | Sink::Warnings | Sink::Silent => self.streams.err(&text),
        }
    }
}

/// Returns the diagnostic of a warning; one without a location has none.
fn warning(id: Id, message: &str, diagnostic: Option<&Diagnostic>) -> Diagnostic {
    diagnostic.cloned().unwrap_or_else(|| Diagnostic {
        id,
        severity: Severity::Warning,
        message: message.to_owned(),
        location: None,
        label: String::new(),
        masked: false,
    })
}

/// The file of `--junit`.
pub struct JunitFile {
    path: PathBuf,
    file: File,
}

impl JunitFile {
    /// Creates the file, before the command has changed anything. An existing file is truncated.
    ///
    /// # Errors
    /// Exit 2 if the file cannot be created.
    pub fn create(path: PathBuf) -> Result<Self> {
        let action = || format!("cannot create the JUnit file {}", path.display());
        let file = File::create(&path)
            .map_err(|error| Error::io(action(), error).replace_kind(Id::Usage, Kind::Usage))?;
        Ok(Self { path, file })
    }

    fn write(mut self, xml: &str) -> Result<()> {
        let written = self.file.write_all(xml.as_bytes());
        written.map_err(|error| Error::io(format!("cannot write {}", self.path.display()), error))
    }
}

impl Streams {
    /// Writes the diagnostics of a configuration as JUnit XML.
    ///
    /// # Errors
    /// Writing fails.
    pub fn junit_of_configuration(&self, file: JunitFile, check: &ConfigCheck<'_>) -> Result<()> {
        let diagnostics: Vec<Diagnostic> =
            check.diagnostics.iter().map(|it| it.map_texts(|text| self.hidden(text))).collect();
        let summary = self.hidden(check.summary);
        let check = ConfigCheck { summary: &summary, diagnostics: &diagnostics, ..*check };
        file.write(&junit::of_configuration(&check)?)
    }
}

impl EventsPipe {
    fn open(target: &EventsTarget, streams: &Streams) -> Result<Self> {
        match target {
            EventsTarget::Stdout => Ok(Self::Stdout(streams.clone())),
            EventsTarget::File(path) => {
                let file = File::create(path).map_err(|error| {
                    let action = format!("cannot create the events file {}", path.display());
                    Error::io(action, error).replace_kind(Id::Usage, Kind::Usage)
                })?;
                Ok(Self::File { path: path.clone(), file })
            }
        }
    }

    fn action(&self) -> String {
        match self {
            Self::File { path, .. } => format!("cannot write events to {}", path.display()),
            Self::Stdout(_) => "cannot write events to standard output".to_owned(),
        }
    }

    fn write(&mut self, lines: &str) -> Result<Written> {
        match self {
            Self::Stdout(streams) => streams.out(lines),
            Self::File { file, .. } => match file.write_all(lines.as_bytes()) {
                Ok(()) => Ok(Written::Yes),
                Err(error) => Err(Error::io(self.action(), error)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Action, Events, Finished, Phase, Progress};
    use crate::report::scenario::{self, assert_recorded, timestamp};
    use crate::report::schemas::summary_schema;
    use crate::report::schemas::tests::assert_matches;
    use crate::report::streams::GithubFiles;
    use crate::report::streams::tests::{captured, settings};

    async fn run(streams: Streams, target: Option<EventsTarget>, events: Vec<Event>) -> RunSummary {
        let (sender, receiver) = Events::channel();
        let reporter = Reporter::new(streams, target.as_ref(), Output::Human, || timestamp(0)).unwrap();
        let send = async {
            for event in events {
                sender.send(event).await;
            }
            // `sender` outlives this block, so only `Finished` can end the reporter.
        };
        tokio::join!(reporter.run(receiver), send).0
    }

    fn events() -> Vec<Event> {
        scenario::deploy().into_iter().map(|(_, event)| event).collect()
    }

    #[tokio::test]
    async fn finished_is_last_line_of_stream() {
        let (streams, out, _) = captured(settings());
        let mut events = events();
        events.push(scenario::wire());
        let run_summary = run(streams, Some(EventsTarget::Stdout), events).await;
        assert!(out.text().lines().last().unwrap().contains(r#""type":"finished""#), "{}", out.text());
        assert_eq!((run_summary.count(Action::Created), run_summary.count(Action::Unchanged)), (1, 1));
        let value = serde_json::to_value(run_summary.summary()).unwrap();
        assert_matches(&summary_schema(), &value);
        assert_recorded!("summary.json", serde_json::to_string_pretty(&run_summary.summary()).unwrap());
    }

    #[tokio::test]
    async fn quiet_writes_only_event_stream() {
        let mut quiet = settings();
        quiet.quiet = true;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let (streams, out, err) = captured(quiet);
        run(streams, Some(EventsTarget::File(path.clone())), events()).await;
        assert_eq!((out.text().as_str(), err.text().as_str()), ("", ""));
        assert!(std::fs::read_to_string(path).unwrap().lines().count() > 20);
    }

    #[tokio::test]
    async fn github_workflow_gets_summary_and_outputs() {
        let folder = tempfile::tempdir().unwrap();
        let (summary, output) = (folder.path().join("summary"), folder.path().join("output"));
        let mut github = settings();
        let files = GithubFiles {
            step_summary: Some(summary.clone()),
            output: Some(output.clone()),
            ..GithubFiles::default()
        };
        github.github = Some(files);
        run(captured(github).0, None, events()).await;
        assert_eq!(std::fs::read_to_string(output).unwrap(), "url=http://localhost/\nrevision=4\n");
        assert_recorded!("step-summary.md", std::fs::read_to_string(summary).unwrap());
    }

    #[tokio::test]
    async fn gitlab_job_has_a_section_for_each_phase() {
        let mut gitlab = settings();
        gitlab.log = JobLog::Gitlab;
        let (streams, _, err) = captured(gitlab);
        run(streams, None, events()).await;
        let text = err.text();
        let marks = |mark: &str| text.matches(&format!("\u{1b}[0Ksection_{mark}:")).count();
        assert!(marks("start") >= 4 && marks("start") == marks("end"), "{text}");
        let last_end = text.rfind("section_end:").unwrap();
        assert!(text[last_end..].contains("done      OpenHands is ready"), "the result is outside: {text}");
    }

    #[test]
    fn heartbeat_is_written_in_every_form() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicI64, Ordering};

        let clock = Arc::new(AtomicI64::new(0));
        let now = {
            let clock = Arc::clone(&clock);
            move || timestamp(clock.load(Ordering::Relaxed))
        };
        let (streams, out, err) = captured(settings());
        let mut reporter = Reporter::new(streams, Some(&EventsTarget::Stdout), Output::Human, now).unwrap();
        reporter.event(&scenario::step(Phase::Cluster, "assets", Progress::Started, "building etcd"));
        for second in 1..=61 {
            clock.store(second * 1000, Ordering::Relaxed);
            reporter.tick();
        }
        let lines = "00:00.00 cluster   assets: building etcd\n\
                     00:30.00 waiting   assets: building etcd 30 s\n\
                     01:00.00 waiting   assets: building etcd 1 m\n";
        assert_eq!(err.text(), lines);
        assert_eq!(out.text().matches(r#""type":"waiting""#).count(), 2);
    }

    #[tokio::test]
    async fn repeated_warning_is_written_once() {
        let (streams, out, err) = captured(settings());
        let events = vec![
            scenario::literal_secret(),
            scenario::literal_secret(),
            Event::Finished(Finished::default()),
        ];
        let run_summary = run(streams, Some(EventsTarget::Stdout), events).await;
        assert_eq!((run_summary.warnings.len(), out.text().lines().count()), (1, 2));
        assert_eq!(err.text().matches("warning[HC0213]").count(), 1);
    }

    #[tokio::test]
    async fn full_disk_warns_once_and_command_continues() {
        let (streams, _, err) = captured(settings());
        let run_summary = run(streams, Some(EventsTarget::File("/dev/full".into())), events()).await;
        assert!(run_summary.finished.is_some());
        assert_eq!(err.text().matches("cannot write events to /dev/full").count(), 1);
        assert!(err.text().contains("done      OpenHands is ready"));
    }

    #[test]
    fn events_file_in_missing_folder_is_error() {
        let target = EventsTarget::File("/no/such/folder/events".into());
        let reporter = Reporter::new(captured(settings()).0, Some(&target), Output::Human, || timestamp(0));
        let error = reporter.err().unwrap();
        assert_eq!(error.message(), "cannot create the events file /no/such/folder/events");
        assert_eq!(error.kind(), Kind::Usage);
    }
}
