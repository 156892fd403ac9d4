//! What came of a command, as one object: `deploy -o json`. Pure.

use serde::Serialize;

use super::text::error::Position;
use super::text::json_objects::{FindingObject, ObjectRef};
use crate::catalogue::Id;
use crate::diagnostic::Location;
use crate::event::{Action, Event, Finished, Phase};
use crate::object::ObjectId;
use crate::status::Finding;

/// What the events of a command add up to.
#[derive(Debug, Clone, Default)]
pub struct RunSummary {
    /// `deploy`: of several commands in one (`up`) the last.
    pub command: String,
    /// What it worked on.
    pub target: String,
    /// Every object that was meant to be applied, or deleted, in their order.
    pub planned: Vec<(Phase, ObjectId)>,
    /// Every object that was dealt with, in the order of the events.
    pub objects: Vec<(ObjectId, Action, Option<String>)>,
    /// Every finding; of one id on one object the last.
    pub findings: Vec<Finding>,
    /// Every warning, once.
    pub warnings: Vec<Warned>,
    /// What the command said at its end; None when it ended without a word.
    pub finished: Option<Finished>,
}

impl RunSummary {
    /// Adds an event.
    pub(super) fn add(&mut self, event: &Event) {
        match event {
            Event::Started { command } => self.command.clone_from(command),
            Event::Target { command, target } => {
                self.command.clone_from(command);
                self.target.clone_from(target);
            }
            Event::Planned { phase, objects } => {
                self.planned.extend(objects.iter().map(|object| (*phase, object.clone())));
            }
            Event::Object { object, action, message, .. } => {
                self.objects.push((object.clone(), *action, message.clone()));
            }
            Event::Finding(finding) => {
                self.findings.retain(|known| (known.id, &known.object) != (finding.id, &finding.object));
                self.findings.push(finding.as_ref().clone());
            }
            Event::Warning { .. } => self.warnings.extend(Warned::of(event)),
            Event::Finished(finished) => self.finished = Some(finished.clone()),
            _ => {}
        }
    }

    /// Whether an event is a warning that was given before.
    pub(super) fn repeats(&self, event: &Event) -> bool {
        Warned::of(event).is_some_and(|warned| self.warnings.contains(&warned))
    }

    /// How many objects had this done to them.
    #[must_use]
    pub fn count(&self, action: Action) -> usize {
        self.objects.iter().filter(|(_, done, _)| *done == action).count()
    }

    /// `1 created, 9 unchanged`; empty where no object was dealt with.
    #[must_use]
    pub fn counts(&self) -> String {
        super::text::format::counts(&self.objects)
    }

    /// Objects planned for this phase of which nothing is known: not sent, or sent and not answered.
    #[must_use]
    pub fn unanswered(&self, phase: Phase) -> Vec<&ObjectId> {
        let dealt_with = |id: &ObjectId| self.objects.iter().any(|(known, ..)| known == id);
        let planned = self.planned.iter().filter(|(of, id)| *of == phase && !dealt_with(id));
        planned.map(|(_, id)| id).collect()
    }

    /// One object for `-o json`; None when the command ended without [`Event::Finished`].
    #[must_use]
    pub fn summary(&self) -> Option<Summary<'_>> {
        let finished = self.finished.as_ref()?;
        Some(Summary {
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
            objects: self.objects.iter().map(ObjectOutcome::of).collect(),
            findings: self.findings.iter().map(FindingObject::of).collect(),
            warnings: self.warnings.iter().map(WarningObject::of).collect(),
        })
    }
}

/// A warning and the place it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warned {
    /// Its id.
    pub id: Id,
    /// One sentence.
    pub message: String,
    /// The place in the configuration, where there is one.
    pub location: Option<Location>,
}

impl Warned {
    fn of(event: &Event) -> Option<Self> {
        let Event::Warning { id, message, diagnostic } = event else { return None };
        let location = diagnostic.as_ref().and_then(|diagnostic| diagnostic.location.clone());
        Some(Self { id: *id, message: message.clone(), location })
    }
}

/// The object of `-o json`; its fields are the event stream's of the same names.
#[derive(Debug, Serialize)]
pub struct Summary<'a> {
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
}

#[derive(Debug, Serialize)]
struct ObjectOutcome<'a> {
    object: ObjectRef<'a>,
    action: &'static str,
    message: Option<&'a str>,
}

impl<'a> ObjectOutcome<'a> {
    fn of((object, action, message): &'a (ObjectId, Action, Option<String>)) -> Self {
        Self { object: ObjectRef::of(object), action: action.word(), message: message.as_deref() }
    }
}

#[derive(Debug, Serialize)]
struct WarningObject<'a> {
    id: &'static str,
    message: &'a str,
    location: Option<Position<'a>>,
}

impl<'a> WarningObject<'a> {
    fn of(warned: &'a Warned) -> Self {
        let location = warned.location.as_ref().map(Position::of);
        Self { id: warned.id.code(), message: &warned.message, location }
    }
}
