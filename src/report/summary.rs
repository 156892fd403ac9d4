//! The result of a command, as one object: `deploy -o json`. Pure.

use schemars::JsonSchema;
use serde::Serialize;

use super::text::error::ErrorObject;
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
    pub objects: Vec<(ObjectId, Action, Option<String>)>,
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
                let is_automatic_rollback = part == "rollback" && self.command != "rollback";
                if !is_automatic_rollback {
                    self.target.clone_from(target);
                }
            }
            Event::Planned { phase, objects } => {
                self.planned.extend(objects.iter().map(|object| (*phase, object.clone())));
            }
            Event::Object { object, action, message, .. } => {
                self.objects.push((object.clone(), *action, message.clone()));
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
        self.objects.iter().filter(|(_, other, _)| *other == action).count()
    }

    /// Formats the number of objects per action: `1 created, 9 unchanged`. Empty if no object was processed.
    #[must_use]
    pub fn counts(&self) -> String {
        super::text::format::counts(&self.objects)
    }

    /// Returns the objects that were planned for this phase and have no result: not sent, or sent without a response.
    #[must_use]
    pub fn unfinished(&self, phase: Phase) -> Vec<&ObjectId> {
        let has_result = |id: &ObjectId| self.objects.iter().any(|(other, ..)| other == id);
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
    object: ObjectRef<'a>,
    action: &'static str,
    message: Option<&'a str>,
}

impl<'a> ObjectOutcome<'a> {
    fn new((object, action, message): &'a (ObjectId, Action, Option<String>)) -> Self {
        Self { object: ObjectRef::new(object), action: action.as_str(), message: message.as_deref() }
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
}
