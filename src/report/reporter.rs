//! Takes the events of a command and writes them in every form that was asked for.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::MissedTickBehavior;

use super::progress::bars::Bars;
use super::progress::events_json::EventsJson;
use super::progress::heartbeat::Heartbeat;
use super::progress::lines::{LineOptions, LineProgress};
use super::progress::terminal::TerminalProgress;
use super::streams::{Streams, Written};
use super::summary::RunSummary;
use super::text::diagnostic::Style;
use super::text::github;
use crate::error::{Error, Result};
use crate::event::{Event, Receiver};

/// Where the machine-readable stream goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventsTarget {
    /// A new file; an old one of that name is emptied.
    File(PathBuf),
    /// stdout, beside the command's own result.
    Stdout,
}

/// The form of the result: `-o`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Output {
    /// Text and tables.
    #[default]
    Human,
    /// JSON, errors too.
    Json,
    /// YAML.
    Yaml,
}

/// Writes what happens while a command runs.
pub struct Reporter {
    streams: Streams,
    screen: Sink,
    json: Option<(EventsJson, EventsPipe)>,
    waiting: Heartbeat,
    reported: RunSummary,
    now: Box<dyn Fn() -> Timestamp + Send>,
}

enum Sink {
    Bars { human: Box<TerminalProgress>, bars: Box<Bars> },
    Lines(Box<LineProgress>),
    Silent,
}

enum EventsPipe {
    File { path: PathBuf, file: File },
    Stdout(Streams),
}

/// How often a block is drawn anew.
const FRAME: Duration = Duration::from_millis(100);
/// How often it is asked whether a heartbeat is due, where there is nothing to draw.
const LOOK_UP: Duration = Duration::from_secs(1);

impl Reporter {
    /// Chooses the form of the progress: bars where they can be drawn, else lines, nothing with `-q`
    /// (warnings neither); bars would garble what a program reads along with `-o json`.
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
        let setting = &streams.setting;
        let look = Style { paint: setting.err.paint, width: setting.err.width };
        let verbose = setting.verbose > 0;
        let screen = if setting.quiet {
            Sink::Silent
        } else if streams.can_draw() && output == Output::Human {
            Sink::Bars {
                human: Box::new(TerminalProgress::new(look, verbose)),
                bars: Box::new(Bars::on_stderr()),
            }
        } else {
            let options = LineOptions { verbose, github: setting.github.is_some(), look };
            Sink::Lines(Box::new(LineProgress::new(options)))
        };
        let (waiting, reported) = (Heartbeat::default(), RunSummary::default());
        Ok(Self { streams, screen, json, waiting, reported, now: Box::new(now) })
    }

    /// Writes every event until [`Event::Finished`], or until nobody can send any more.
    ///
    /// `Finished` ends it even where a sender is still alive: what was sent before is written before it,
    /// what comes later is refused, so that it is the last line of the stream.
    pub async fn run(mut self, mut receiver: Receiver) -> RunSummary {
        let period = if matches!(self.screen, Sink::Bars { .. }) { FRAME } else { LOOK_UP };
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
        if self.reported.repeats(event) {
            return;
        }
        let now = (self.now)();
        self.waiting.observe(event, now);
        self.reported.add(event);
        self.write_json(event, now);
        match &mut self.screen {
            Sink::Silent => {}
            Sink::Lines(line) => self.streams.err(&line.event(event, now)),
            Sink::Bars { human, bars } => {
                let text = human.event(event, now);
                if !text.is_empty() {
                    // What stays takes the place of the block.
                    if human.live(&self.waiting, now).is_empty() {
                        bars.show(&[]);
                    }
                    bars.above(|| self.streams.err(&text));
                }
                bars.show(&human.live(&self.waiting, now));
            }
        }
    }

    fn tick(&mut self) {
        let now = (self.now)();
        if let Some(heartbeat) = self.waiting.due(now) {
            self.event(&heartbeat);
        }
        if let Sink::Bars { human, bars } = &mut self.screen {
            bars.show(&human.live(&self.waiting, now));
        }
    }

    fn write_json(&mut self, event: &Event, now: Timestamp) {
        let Some((json, pipe)) = &mut self.json else { return };
        let lines = json.lines(event, now).map_err(|error| Error::io(pipe.action(), error.into()));
        match lines.and_then(|lines| pipe.write(&lines)) {
            Ok(Written::Yes) => {}
            Ok(Written::Closed) => self.json = None,
            // The work goes on: a full disk here is no reason to leave a cluster half deployed.
            Err(error) => {
                self.json = None;
                self.remark(&error);
            }
        }
    }

    fn end(mut self) -> RunSummary {
        if let Sink::Bars { human, bars } = &mut self.screen {
            bars.show(&[]);
            // Without `Finished` the rows so far stay on the screen all the same.
            let rest = human.abandon((self.now)());
            self.streams.err(&rest);
        }
        if let Err(error) = self.write_github_files() {
            self.remark(&error);
        }
        self.reported
    }

    fn write_github_files(&self) -> Result<()> {
        let Some(files) = &self.streams.setting.github else { return Ok(()) };
        let Some(summary) = self.reported.summary() else { return Ok(()) };
        if let Some(path) = &files.step_summary {
            append(path, &github::step_summary(&self.reported, &summary))?;
        }
        if let Some(path) = &files.output {
            append(path, &github::outputs(&summary))?;
        }
        Ok(())
    }

    /// Something of the reporter's own that went wrong; the command's result does not depend on it.
    fn remark(&self, error: &Error) {
        let text = self.streams.warning_text(error);
        match &self.screen {
            Sink::Bars { bars, .. } => bars.above(|| self.streams.err(&text)),
            Sink::Lines(_) | Sink::Silent => self.streams.err(&text),
        }
    }
}

impl EventsPipe {
    fn open(target: &EventsTarget, streams: &Streams) -> Result<Self> {
        match target {
            EventsTarget::Stdout => Ok(Self::Stdout(streams.clone())),
            EventsTarget::File(path) => {
                let file = File::create(path).map_err(|error| {
                    Error::io(format!("cannot create the events file {}", path.display()), error)
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

fn append(path: &std::path::Path, text: &str) -> Result<()> {
    let write = || File::options().append(true).create(true).open(path)?.write_all(text.as_bytes());
    write().map_err(|error| Error::io(format!("cannot append to {}", path.display()), error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Action, Events, Finished, Phase, Progress};
    use crate::report::scenario::{self, assert_recorded, moment};
    use crate::report::streams::GithubFiles;
    use crate::report::streams::tests::{captured, setting};

    async fn run(streams: Streams, target: Option<EventsTarget>, events: Vec<Event>) -> RunSummary {
        let (sender, receiver) = Events::channel();
        let reporter = Reporter::new(streams, target.as_ref(), Output::Human, || moment(0)).unwrap();
        let send = async {
            for event in events {
                sender.send(event).await;
            }
            // `sender` outlives this block: only `Finished` can end the reporter.
        };
        tokio::join!(reporter.run(receiver), send).0
    }

    fn events() -> Vec<Event> {
        scenario::deploy().into_iter().map(|(_, event)| event).collect()
    }

    #[tokio::test]
    async fn finished_ends_it_and_is_the_last_line() {
        let (streams, out, _) = captured(setting());
        let mut events = events();
        events.push(scenario::wire());
        let reported = run(streams, Some(EventsTarget::Stdout), events).await;
        assert!(out.text().lines().last().unwrap().contains(r#""type":"finished""#), "{}", out.text());
        assert_eq!((reported.count(Action::Created), reported.count(Action::Unchanged)), (1, 1));
        assert_recorded!("summary.json", serde_json::to_string_pretty(&reported.summary()).unwrap());
    }

    #[tokio::test]
    async fn quiet_says_nothing_but_the_stream_goes_on() {
        let mut quiet = setting();
        quiet.quiet = true;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let (streams, out, err) = captured(quiet);
        run(streams, Some(EventsTarget::File(path.clone())), events()).await;
        assert_eq!((out.text().as_str(), err.text().as_str()), ("", ""));
        assert!(std::fs::read_to_string(path).unwrap().lines().count() > 20);
    }

    #[tokio::test]
    async fn a_github_workflow_gets_its_summary_and_outputs() {
        let folder = tempfile::tempdir().unwrap();
        let (summary, output) = (folder.path().join("summary"), folder.path().join("output"));
        let mut github = setting();
        let files = GithubFiles { step_summary: Some(summary.clone()), output: Some(output.clone()) };
        github.github = Some(files);
        run(captured(github).0, None, events()).await;
        assert_eq!(std::fs::read_to_string(output).unwrap(), "url=http://localhost/\nrevision=4\n");
        assert_recorded!("step-summary.md", std::fs::read_to_string(summary).unwrap());
    }

    #[test]
    fn silence_is_broken_by_a_heartbeat_in_every_form() {
        use std::sync::Arc;
        use std::sync::atomic::{AtomicI64, Ordering};

        let clock = Arc::new(AtomicI64::new(0));
        let now = {
            let clock = Arc::clone(&clock);
            move || moment(clock.load(Ordering::Relaxed))
        };
        let (streams, out, err) = captured(setting());
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
    async fn a_warning_is_given_once() {
        let (streams, out, err) = captured(setting());
        let events = vec![
            scenario::literal_secret(),
            scenario::literal_secret(),
            Event::Finished(Finished::default()),
        ];
        let reported = run(streams, Some(EventsTarget::Stdout), events).await;
        assert_eq!((reported.warnings.len(), out.text().lines().count()), (1, 2));
        assert_eq!(err.text().matches("warning[HC0213]").count(), 1);
    }

    #[tokio::test]
    async fn a_full_disk_is_told_once_and_stops_nothing() {
        let (streams, _, err) = captured(setting());
        let reported = run(streams, Some(EventsTarget::File("/dev/full".into())), events()).await;
        assert!(reported.finished.is_some());
        assert_eq!(err.text().matches("cannot write events to /dev/full").count(), 1);
        assert!(err.text().contains("done      OpenHands is ready"));
    }

    #[test]
    fn an_events_file_that_cannot_be_made_is_an_error() {
        let target = EventsTarget::File("/nowhere/at/all".into());
        let reporter = Reporter::new(captured(setting()).0, Some(&target), Output::Human, || moment(0));
        assert_eq!(reporter.err().unwrap().message(), "cannot create the events file /nowhere/at/all");
    }
}
