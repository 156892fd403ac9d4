//! The result of a command, as one object: `deploy -o json`. Pure.

use schemars::JsonSchema;
use serde::Serialize;

use super::text::error::ErrorObject;
use super::text::format;
use super::text::json_objects::{FindingObject, ObjectRef, Position};
use super::versioned::VERSION;
use crate::catalogue::Id;
use crate::diagnostic::Location;
use crate::event::{Action, Event, Finished, Phase};
use crate::object::ObjectId;
use crate::status::Finding;

/// The result of a command, collected from its events.
#[derive(Debug, Clone, Default)]
pub struct RunSummary {
    /// The command of the command line: `deploy`, `up`.
    pub command: String,
    /// The part that began last, at first the command: `up` has the parts `cluster` and `deploy`.
    pub part: String,
    /// The installation and the cluster. An automatic rollback is a part that has the same ones.
    pub target: String,
    /// Every object that was planned to be applied or deleted, in order.
    pub planned: Vec<(Phase, ObjectId)>,
    /// Every object that was processed, with its action and reason, in the order of the events.
    pub objects: Vec<ObjectResult>,
    /// Every finding. Of several findings with one id and object, only the last.
    pub findings: Vec<Finding>,
    /// Every warning, without duplicates.
    pub warnings: Vec<ReportedWarning>,
    /// The last event. None if the command ended without [`Event::Finished`].
    pub finished: Option<Finished>,
}

impl RunSummary {
    /// Adds an event.
    pub(super) fn add(&mut self, event: &Event) {
        match event {
            Event::Started { command } => {
                self.command.clone_from(command);
                self.part.clone_from(command);
            }
            Event::Target { command: part, target } => {
                self.part.clone_from(part);
                if !self.is_automatic_rollback(part) {
                    self.target.clone_from(target);
                }
            }
            Event::Planned { phase, objects } => {
                self.planned.extend(objects.iter().map(|object| (*phase, object.clone())));
            }
            Event::Object { object, action, message, .. } => {
                let (part, object, message) = (self.part.clone(), object.clone(), message.clone());
                self.objects.push(ObjectResult { part, object, action: *action, message });
            }
            Event::Finding(finding) => {
                self.findings.retain(|other| (other.id, &other.object) != (finding.id, &finding.object));
                self.findings.push(finding.as_ref().clone());
            }
            Event::Warning { .. } => self.warnings.extend(ReportedWarning::from_event(event)),
            Event::Finished(finished) => self.finished = Some(finished.clone()),
            _ => {}
        }
    }

    /// Returns whether an event is a warning that was reported before.
    pub(super) fn is_repeated_warning(&self, event: &Event) -> bool {
        ReportedWarning::from_event(event).is_some_and(|warned| self.warnings.contains(&warned))
    }

    /// Returns the number of objects with this action.
    #[must_use]
    pub fn count(&self, action: Action) -> usize {
        self.objects.iter().filter(|result| result.action == action).count()
    }

    /// Formats the number of objects per action: `1 created, 9 unchanged`, and then those of an automatic rollback. Empty
    /// if no object was processed.
    #[must_use]
    pub fn counts(&self) -> String {
        let (command, rollback) = (self.counts_of_command(), self.counts_of_rollback());
        if rollback.is_empty() { command } else { format!("{command}; rolled back: {rollback}") }
    }

    /// Formats the number of objects per action without those of an automatic rollback.
    pub(super) fn counts_of_command(&self) -> String {
        self.counts_of(|part| !self.is_automatic_rollback(part))
    }

    /// Formats the number of objects per action of an automatic rollback. Empty without one.
    pub(super) fn counts_of_rollback(&self) -> String {
        self.counts_of(|part| self.is_automatic_rollback(part))
    }

    fn counts_of(&self, is_counted: impl Fn(&str) -> bool) -> String {
        let counted = self.objects.iter().filter(|result| is_counted(&result.part));
        format::counts(counted.map(|result| result.action))
    }

    fn is_automatic_rollback(&self, part: &str) -> bool {
        part == "rollback" && self.command != "rollback"
    }

    /// Returns the objects that were planned for this phase and have no result: not sent, or sent without a response.
    #[must_use]
    pub fn unfinished(&self, phase: Phase) -> Vec<&ObjectId> {
        let has_result = |id: &ObjectId| self.objects.iter().any(|result| result.object == *id);
        let planned =
            self.planned.iter().filter(|(planned_phase, id)| *planned_phase == phase && !has_result(id));
        planned.map(|(_, id)| id).collect()
    }

    /// Returns the object for `-o json`. None if the command ended without [`Event::Finished`].
    #[must_use]
    pub fn summary(&self) -> Option<Summary<'_>> {
        let finished = self.finished.as_ref()?;
        Some(Summary {
            v: VERSION,
            command: &self.command,
            target: &self.target,
            exit: finished.exit,
            id: finished.id.map(Id::code),
            message: &finished.message,
            revision: finished.revision,
            url: finished.url.as_deref(),
            sandboxes: finished.sandboxes,
            model: finished.model.as_deref(),
            notes: &finished.notes,
            objects: self.objects.iter().map(ObjectOutcome::new).collect(),
            findings: self.findings.iter().map(FindingObject::new).collect(),
            warnings: self.warnings.iter().map(WarningObject::new).collect(),
            error: finished.error.as_deref().map(ErrorObject::new),
        })
    }
}

/// What a run did with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectResult {
    /// The part of the command: `deploy`, or the automatic `rollback` after it.
    pub part: String,
    /// The object.
    pub object: ObjectId,
    /// What was done with it.
    pub action: Action,
    /// The reason.
    pub message: Option<String>,
}

/// A warning and its location in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedWarning {
    /// The warning's id.
    pub id: Id,
    /// One sentence.
    pub message: String,
    /// The location in the configuration, if it has one.
    pub location: Option<Location>,
}

impl ReportedWarning {
    fn from_event(event: &Event) -> Option<Self> {
        let Event::Warning { id, message, diagnostic } = event else { return None };
        let location = diagnostic.as_ref().and_then(|diagnostic| diagnostic.location.clone());
        Some(Self { id: *id, message: message.clone(), location })
    }
}

/// The object for `-o json`. Its fields are documented with the event stream's fields of the same names.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Summary<'a> {
    /// The version of the schema. A version may get additional fields.
    v: u8,
    pub(super) command: &'a str,
    pub(super) target: &'a str,
    pub(super) exit: u8,
    pub(super) id: Option<&'static str>,
    pub(super) message: &'a str,
    pub(super) revision: Option<u64>,
    pub(super) url: Option<&'a str>,
    sandboxes: Option<u64>,
    model: Option<&'a str>,
    notes: &'a [String],
    objects: Vec<ObjectOutcome<'a>>,
    findings: Vec<FindingObject<'a>>,
    warnings: Vec<WarningObject<'a>>,
    error: Option<ErrorObject<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ObjectOutcome<'a> {
    /// The part of the command that processed the object: `deploy` also in `up`; `rollback` for the automatic rollback, in
    /// which the objects are processed again.
    part: &'a str,
    object: ObjectRef<'a>,
    action: &'static str,
    message: Option<&'a str>,
}

impl<'a> ObjectOutcome<'a> {
    fn new(result: &'a ObjectResult) -> Self {
        let ObjectResult { part, object, action, message } = result;
        Self { part, object: ObjectRef::new(object), action: action.as_str(), message: message.as_deref() }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
struct WarningObject<'a> {
    id: &'static str,
    message: &'a str,
    location: Option<Position<'a>>,
}

impl<'a> WarningObject<'a> {
    fn new(warned: &'a ReportedWarning) -> Self {
        let location = warned.location.as_ref().map(Position::new);
        Self { id: warned.id.code(), message: &warned.message, location }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_events(events: &[(&str, Option<&str>)]) -> RunSummary {
        let mut summary = RunSummary::default();
        for (command, target) in events {
            let command = (*command).to_owned();
            summary.add(&match target {
                None => Event::Started { command },
                Some(target) => Event::Target { command, target: (*target).to_owned() },
            });
        }
        summary
    }

    #[test]
    fn automatic_rollback_keeps_command_and_target() {
        let deploy = of_events(&[
            ("deploy", None),
            ("deploy", Some("oh → c / n")),
            ("rollback", Some("to revision 1, because it failed")),
        ]);
        let titles = |summary: &RunSummary| (summary.command.clone(), summary.target.clone());
        assert_eq!(titles(&deploy), ("deploy".to_owned(), "oh → c / n".to_owned()));
        let rollback = of_events(&[("rollback", None), ("rollback", Some("oh → c / n"))]);
        assert_eq!(titles(&rollback), ("rollback".to_owned(), "oh → c / n".to_owned()));
        let up = of_events(&[("up", None), ("cluster", Some("kwok")), ("deploy", Some("oh → c / n"))]);
        assert_eq!((titles(&up).0.as_str(), up.part.as_str()), ("up", "deploy"));
    }

    #[test]
    fn objects_of_an_automatic_rollback_are_told_from_the_deploys() {
        let apply = |summary: &mut RunSummary, action| {
            let object = ObjectId::namespaced("", "Service", "n", "oh");
            summary.add(&Event::Object {
                phase: Phase::Apply,
                object,
                action,
                message: None,
                dry_run: false,
            });
        };
        let mut run = of_events(&[("deploy", None), ("deploy", Some("oh → c / n"))]);
        apply(&mut run, Action::Created);
        assert_eq!((run.counts_of_command().as_str(), run.counts_of_rollback().as_str()), ("1 created", ""));
        run.add(&Event::Target { command: "rollback".to_owned(), target: "to revision 1".to_owned() });
        assert_eq!(run.counts(), "1 created", "the rollback has not processed an object yet");
        apply(&mut run, Action::Configured);
        assert_eq!(
            (run.counts_of_command(), run.counts_of_rollback()),
            ("1 created".into(), "1 configured".into())
        );
        assert_eq!(run.counts(), "1 created; rolled back: 1 configured");
        run.add(&Event::Finished(Finished::default()));
        let value = serde_json::to_value(run.summary().unwrap()).unwrap();
        assert_eq!(
            (&value["objects"][0]["part"], &value["objects"][1]["part"]),
            (&"deploy".into(), &"rollback".into())
        );
        let mut rollback = of_events(&[("rollback", None), ("rollback", Some("oh → c / n"))]);
        apply(&mut rollback, Action::Configured);
        assert_eq!(rollback.counts_of_command(), "1 configured", "it is the command itself");
    }
}
