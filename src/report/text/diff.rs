//! The differences that a deploy would apply, for people, for programs and for a comment on a pull request.
//!
//! # Schema
//!
//! `-o json` and `-o yaml` print one object. Fields may be added, and are never renamed or omitted:
//!
//! ```text
//! v          1
//! context    the kubeconfig context
//! namespace  the application's namespace
//! name       the set's name
//! different  whether a deploy would change something
//! counts     { created, changed, deleted, kept, reused, unchanged, not_compared, unknown }
//! objects    all objects except unchanged ones to which nobody added a field, in the order of applying:
//!   object     { group, kind, namespace, name }
//!   action     created | changed | deleted | kept | reused | unchanged | not-compared | unknown
//!   data_loss  whether data would be deleted
//!   why        the reason why an object is kept or was not compared; for a reused object, the name of the object that
//!              the pod uses now; else null
//!   verified   whether the API server accepted a dry run
//!   unverified the reason why not; null if it did, or if there is nothing to verify
//!   effects    consequences of the change: { type, message }; type is adopted | restarts | nothing-serves | scales |
//!              recreate | claim-grows | claim-shrinks | clients | stops | dying | held | name-not-final
//!   hunks      { path, before, after, order, hidden, cause, manager, since }
//!     before, after  the values; null without a value, or if they are hidden
//!     order          whether only the order of a list changes; before and after are then the keys of its items
//!     hidden         for a secret: new | changed | same | removed; else null
//!     cause          you | drift | server
//!     manager, since for drift: the field manager, and its time (RFC 3339); else null
//!   additions  the fields that others added and a deploy keeps: { path, value, manager, since }; value is null if it is
//!              hidden. They are not a difference
//!   refused    { id, exit, message, causes } if a deploy would fail at this object; else null
//! ```

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::diagnostic::Style;
use super::format;
use super::json_objects::ObjectRef;
use super::markdown::{self, Block, Document};
use super::sanitize::{one_line, sanitize};
use super::style::Palette;
use super::wrap::{wrapped, wrapped_row};
use crate::error::{Error, Result};
use crate::object::{ObjectId, yaml};
use crate::phrase;
use crate::plan::diff::{
    Addition, ChangeCause, Compared, DiffOutcome, Difference, Effect, FieldChange, FieldManager, Hidden,
    ValueChange,
};
use crate::report::reporter::Output;
use crate::report::streams::{Streams, Written};
use crate::report::versioned::VERSION;

/// Markdown has no colour, and no width.
const PLAIN: Style = Style { palette: Palette::NONE, width: usize::MAX };
/// Number of lines of context around a changed line.
const CONTEXT: usize = 2;
/// The indent of further lines of an object's head.
const DETAIL_INDENT: usize = 4;
/// The maximum width in columns of a line with both values.
const MAX_LINE_WIDTH: usize = 100;

/// What was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiffBasis {
    /// The cluster and the objects after a run: each difference has a cause.
    Cluster,
    /// Two recorded revisions.
    Revisions,
}

/// A comparison of a set, ready to print.
#[derive(Debug, Clone, Copy)]
pub struct DiffReport<'a> {
    /// The kubeconfig context.
    pub context: &'a str,
    /// The application's namespace.
    pub namespace: &'a str,
    /// The set's name.
    pub name: &'a str,
    /// What was compared.
    pub basis: DiffBasis,
    /// All objects.
    pub compared: &'a [Compared],
    /// The current time on the server's clock.
    pub now: Timestamp,
}

impl Streams {
    /// Writes a comparison to stdout, and a message to stderr if there are no differences.
    ///
    /// # Errors
    /// Writing fails.
    pub fn diff(&self, report: &DiffReport<'_>, output: Output) -> Result<Written> {
        let written = match output {
            Output::Human => {
                let stdout = self.settings.out;
                self.text(&text(report, Style { palette: stdout.palette, width: stdout.width })?)?
            }
            output => self.value(&value(report), output)?,
        };
        let is_equal = report.compared.iter().all(|it| it.deploy_error.is_none() && !is_different(it));
        if is_equal && !self.settings.quiet {
            self.err(&format!("no differences: {}\n", equal_summary(report)));
        }
        Ok(written)
    }
}

impl Streams {
    /// Writes a comparison to stdout as Markdown, for a comment on a pull request.
    ///
    /// # Errors
    /// Writing fails.
    pub fn diff_markdown(&self, report: &DiffReport<'_>) -> Result<Written> {
        let masked = document(report)?.map_texts(|text| self.hidden(text));
        // In a workflow its texts must not be commands for the runner.
        self.text(&markdown::render(&masked, markdown::MAX_COMMENT))
    }

    /// Appends a comparison to the summary of a GitHub workflow's step.
    pub fn diff_step_summary(&self, report: &DiffReport<'_>) {
        if self.settings.github.is_none() {
            return;
        }
        let write = || {
            let masked = document(report)?.map_texts(|text| self.hidden(text));
            self.step_summary(&markdown::render(&masked, markdown::MAX_SUMMARY))
        };
        if let Err(error) = write() {
            self.err(&self.warning_text(&error));
        }
    }
}

fn is_different(compared: &Compared) -> bool {
    compared.difference.outcome.is_difference()
}

/// Summarizes a comparison without differences.
fn equal_summary(report: &DiffReport<'_>) -> String {
    let counts = counts(report);
    let verb =
        |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    let mut text = verb(counts.unchanged, "object is up to date", "objects are up to date");
    if counts.not_compared > 0 {
        text += &format!(", {}", verb(counts.not_compared, "was not compared", "were not compared"));
    }
    let additions: usize = report.compared.iter().map(|it| it.difference.additions.len()).sum();
    if additions > 0 {
        text += &format!("; others added {}", phrase::count(additions, "field"));
    }
    text
}

/// The number of objects of each outcome.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct DiffCounts {
    created: usize,
    changed: usize,
    deleted: usize,
    kept: usize,
    reused: usize,
    unchanged: usize,
    not_compared: usize,
    unknown: usize,
}

fn counts(report: &DiffReport<'_>) -> DiffCounts {
    let mut counts = DiffCounts::default();
    for compared in report.compared {
        *match compared.difference.outcome {
            DiffOutcome::Created => &mut counts.created,
            DiffOutcome::Changed => &mut counts.changed,
            DiffOutcome::Deleted { .. } => &mut counts.deleted,
            DiffOutcome::Kept(_) => &mut counts.kept,
            DiffOutcome::Reused(_) => &mut counts.reused,
            DiffOutcome::Unchanged => &mut counts.unchanged,
            DiffOutcome::NotCompared(_) => &mut counts.not_compared,
            DiffOutcome::Unknown => &mut counts.unknown,
        } += 1;
    }
    counts
}

pub(super) fn text(report: &DiffReport<'_>, style: Style) -> Result<String> {
    let is_listed = |it: &&Compared| {
        !matches!(it.difference.outcome, DiffOutcome::Unchanged | DiffOutcome::NotCompared(_))
    };
    let mut text = String::new();
    for compared in report.compared.iter().filter(is_listed) {
        text += &object(report, compared, style)?;
    }
    text += &additions(report, style)?;
    text += &unverified(report);
    text += &not_compared(report);
    Ok(text + &summary(report))
}

/// Returns the last line: the number of objects per outcome.
fn summary(report: &DiffReport<'_>) -> String {
    let DiffCounts { created, changed, deleted, unknown, .. } = counts(report);
    if created + changed + deleted + unknown == 0 {
        return String::new();
    }
    let unknown = if unknown == 0 { String::new() } else { format!(", {unknown} unknown") };
    match report.basis {
        DiffBasis::Cluster => {
            format!("{changed} to change, {created} to create, {deleted} to delete{unknown}\n")
        }
        DiffBasis::Revisions => format!("{changed} changed, {created} added, {deleted} removed\n"),
    }
}

/// Returns the comparison for Markdown: a summary, and a block for each object.
fn document(report: &DiffReport<'_>) -> Result<Document> {
    let is_listed = |it: &&Compared| {
        !matches!(it.difference.outcome, DiffOutcome::Unchanged | DiffOutcome::NotCompared(_))
    };
    let listed: Vec<&Compared> = report.compared.iter().filter(is_listed).collect();
    let DiffCounts { created, changed, deleted, unknown, .. } = counts(report);
    let refused = report.compared.iter().filter(|it| it.deploy_error.is_some()).count();
    let summary = match created + changed + deleted + unknown {
        0 => format!("no differences: {}", equal_summary(report)),
        _ => format!("{changed} to change, {created} to create, {deleted} to delete"),
    };
    let extra = [(unknown, "unknown"), (refused, "refused by the server")];
    let extra = extra.iter().filter(|(count, _)| *count > 0);
    let summary = extra.fold(summary, |text, (count, what)| format!("{text}, {count} {what}"));
    let notes = unverified(report) + &not_compared(report);
    Ok(Document {
        title: format!("handsctl diff: {summary}"),
        target: format!("{} in {} / {}", report.name, report.context, report.namespace),
        notes: notes.lines().map(str::to_owned).collect(),
        blocks: listed.into_iter().map(|compared| block(report, compared)).collect::<Result<_>>()?,
    })
}

/// Returns an object for Markdown. Its lines have the form of a unified diff, which GitHub and GitLab colour.
fn block(report: &DiffReport<'_>, compared: &Compared) -> Result<Block> {
    let difference = &compared.difference;
    let causes = causes(report.basis, difference);
    let mut lines = String::new();
    for effect in &difference.effects {
        lines += &format!("! {}\n", one_line(&effect.to_string()));
    }
    if let Some(error) = &compared.deploy_error {
        lines += &format!("! would fail: {}\n", one_line(&first_cause(error)));
    }
    for field in &difference.fields {
        let cause = (causes.len() > 1).then(|| cause_text(&field.cause, difference, report.now));
        lines += &unified(field, cause.as_deref())?;
    }
    let action = match &difference.outcome {
        DiffOutcome::Deleted { data_loss: true } => "deleted, including its data".to_owned(),
        DiffOutcome::Kept(why) => format!("kept: {}", one_line(why)),
        DiffOutcome::Reused(predecessor) => format!("exists already, replaces {}", one_line(predecessor)),
        outcome => outcome.as_str().to_owned(),
    };
    let causes = causes_text(&causes, difference, report.now);
    Ok(Block {
        name: one_line(&display_name(&difference.id, report.namespace)),
        remarks: [action, causes].into_iter().filter(|text| !text.is_empty()).collect(),
        lines,
    })
}

/// Formats a field as in a unified diff.
fn unified(field: &FieldChange, cause: Option<&str>) -> Result<String> {
    let path = one_line(&field.path.to_string());
    let head = |what: &str| match cause {
        Some(cause) => format!("@@ {path}{what} @@ {cause}\n"),
        None => format!("@@ {path}{what} @@\n"),
    };
    let text = |value: &Option<Value>| value.as_ref().map_or(Ok(String::new()), multi_line);
    Ok(match &field.change {
        ValueChange::Hidden(hidden) => head("") + &format!("! {}\n", hidden_text(*hidden)),
        ValueChange::Order { before, after } => {
            let names = |names: &[String]| one_line(&names.join(", "));
            head(" (order)") + &line_diff(&names(before), &names(after), PLAIN)
        }
        ValueChange::Values { before, after } => head("") + &line_diff(&text(before)?, &text(after)?, PLAIN),
    })
}

/// Lists the reasons why objects were not verified by the server, each reason once.
fn unverified(report: &DiffReport<'_>) -> String {
    // An object that the server rejected has the reason in its own line.
    let is_not_rejected = |compared: &&Compared| compared.deploy_error.is_none();
    let differences = report.compared.iter().filter(is_not_rejected).map(|compared| &compared.difference);
    let reasons = differences.filter_map(|it| Some((&it.id, it.unverified.as_deref()?)));
    by_reason("not verified by the server", reasons, report)
}

/// Lists the reasons why objects were not compared, each reason once.
fn not_compared(report: &DiffReport<'_>) -> String {
    let reasons = report.compared.iter().filter_map(|compared| match &compared.difference.outcome {
        DiffOutcome::NotCompared(why) => Some((&compared.difference.id, why.as_str())),
        _ => None,
    });
    by_reason("not compared", reasons, report)
}

/// Writes one line for each reason, with the object or the number of objects.
fn by_reason<'a>(
    what: &str,
    objects: impl Iterator<Item = (&'a ObjectId, &'a str)>,
    report: &DiffReport<'_>,
) -> String {
    let mut reasons: Vec<(&str, Vec<&ObjectId>)> = Vec::new();
    for (id, why) in objects {
        match reasons.iter_mut().find(|(other, _)| *other == why) {
            Some((_, ids)) => ids.push(id),
            None => reasons.push((why, vec![id])),
        }
    }
    format::lines(reasons.into_iter().map(|(why, ids)| {
        let objects = match ids.as_slice() {
            [id] => display_name(id, report.namespace),
            ids => format!("{} objects", ids.len()),
        };
        format!("{what}: {}: {}", one_line(&objects), one_line(why))
    }))
}

/// Lists the fields that others added, by object.
fn additions(report: &DiffReport<'_>, style: Style) -> Result<String> {
    let mut text = String::new();
    for Difference { id, additions, .. } in report.compared.iter().map(|compared| &compared.difference) {
        if additions.is_empty() {
            continue;
        }
        let name = style.palette.bold(&one_line(&display_name(id, report.namespace)));
        text += &line(&[name, "fields of others, which deploy keeps".to_owned()]);
        for one in additions {
            text += &addition(one, report.now, style)?;
        }
    }
    Ok(text)
}

fn addition(addition: &Addition, now: Timestamp, style: Style) -> Result<String> {
    let path = format!("  {}", one_line(&addition.path.to_string()));
    let manager = style.palette.dim(&manager_text(&addition.manager, now));
    let Some(value) = &addition.value else {
        return Ok(line(&[path, "(hidden)".to_owned(), manager]));
    };
    if let Some(value) = single_line(value).filter(|value| value.len() <= MAX_LINE_WIDTH.min(style.width)) {
        return Ok(line(&[path, value, manager]));
    }
    let lines = multi_line(value)?;
    Ok(line(&[path, manager]) + &format::lines(lines.lines().map(|line| format!("    {line}"))))
}

fn object(report: &DiffReport<'_>, compared: &Compared, style: Style) -> Result<String> {
    let difference = &compared.difference;
    let causes = causes(report.basis, difference);
    let mut effects = difference.effects.iter().map(ToString::to_string);
    let action = match &difference.outcome {
        DiffOutcome::Created if difference.unverified.is_some() => {
            style.palette.success("created, not verified")
        }
        DiffOutcome::Created => style.palette.success(word(report.basis, "created", "added")),
        DiffOutcome::Changed => {
            style.palette.warning(&effects.next().map_or("changed".to_owned(), |it| one_line(&it)))
        }
        DiffOutcome::Deleted { data_loss: false } => {
            style.palette.failure(word(report.basis, "deleted, no longer configured", "removed"))
        }
        DiffOutcome::Deleted { data_loss: true } => style.palette.failure("deleted, including its data"),
        DiffOutcome::Kept(why) => format!("kept: {}", one_line(why)),
        DiffOutcome::Reused(predecessor) => {
            style.palette.warning(&format!("exists already, replaces {}", one_line(predecessor)))
        }
        DiffOutcome::Unchanged | DiffOutcome::NotCompared(_) | DiffOutcome::Unknown => {
            difference.outcome.as_str().to_owned()
        }
    };
    let name = style.palette.bold(&one_line(&display_name(&difference.id, report.namespace)));
    let head = line(&[name, action, style.palette.dim(&causes_text(&causes, difference, report.now))]);
    let mut text = wrapped_row(head.trim_end(), DETAIL_INDENT, style.width) + "\n";
    for effect in effects {
        let effect = wrapped(&one_line(&effect), 2, DETAIL_INDENT, style.width);
        text += &format!("  {}\n", style.palette.warning(&effect));
    }
    if let Some(error) = &compared.deploy_error {
        let failure = format!("would fail: {}", one_line(&first_cause(error)));
        let failure = wrapped(&failure, 2, DETAIL_INDENT, style.width);
        text += &format!("  {}\n", style.palette.failure(&failure));
    }
    for hunk in &difference.fields {
        let cause = (causes.len() > 1).then(|| cause_text(&hunk.cause, difference, report.now));
        text += &self::hunk(hunk, cause.as_deref(), style)?;
    }
    Ok(text)
}

const fn word<'a>(basis: DiffBasis, in_cluster: &'a str, between_revisions: &'a str) -> &'a str {
    match basis {
        DiffBasis::Cluster => in_cluster,
        DiffBasis::Revisions => between_revisions,
    }
}

/// Returns the causes of a difference, each once; none between two revisions.
fn causes(basis: DiffBasis, difference: &Difference) -> Vec<&ChangeCause> {
    if basis == DiffBasis::Revisions {
        return Vec::new();
    }
    let is_ours = matches!(difference.outcome, DiffOutcome::Created | DiffOutcome::Deleted { .. });
    let mut causes: Vec<&ChangeCause> = is_ours.then_some(&ChangeCause::You).into_iter().collect();
    for cause in difference.fields.iter().map(|hunk| &hunk.cause) {
        if !causes.contains(&cause) {
            causes.push(cause);
        }
    }
    causes
}

/// Formats one cause in full. Of several causes only the names, because each hunk has its cause in full.
fn causes_text(causes: &[&ChangeCause], difference: &Difference, now: Timestamp) -> String {
    if let [cause] = causes {
        return cause_text(cause, difference, now);
    }
    let name = |cause: &&ChangeCause| match cause {
        ChangeCause::Drift(manager) => format!("drift: {}", one_line(&manager.name)),
        ChangeCause::You | ChangeCause::Server => cause_text(cause, difference, now),
    };
    causes.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn line(parts: &[String]) -> String {
    let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    parts.join("   ") + "\n"
}

/// Returns the first cause of an error. The error's own message would only repeat the object.
fn first_cause(error: &Error) -> String {
    error.causes().into_iter().next().unwrap_or_else(|| error.message().to_owned())
}

/// Formats an object's id, with its namespace if that is not the application's.
fn display_name(id: &ObjectId, app_namespace: &str) -> String {
    if id.namespace.as_deref() == Some(app_namespace) { id.to_string() } else { id.with_namespace() }
}

fn cause_text(cause: &ChangeCause, difference: &Difference, now: Timestamp) -> String {
    match cause {
        ChangeCause::You => "you".to_owned(),
        ChangeCause::Server => "the server".to_owned(),
        ChangeCause::Drift(manager) => {
            let consequence = if is_blocked(difference) { "" } else { ", will be reverted" };
            format!("drift: {}{consequence}", manager_text(manager, now))
        }
    }
}

fn manager_text(manager: &FieldManager, now: Timestamp) -> String {
    let since = manager.since.map_or_else(String::new, |since| format!(", {} ago", phrase::age(since, now)));
    format!("{}{since}", one_line(&manager.name))
}

fn is_blocked(difference: &Difference) -> bool {
    difference.effects.iter().any(|effect| matches!(effect, Effect::Stops { .. }))
}

fn hunk(hunk: &FieldChange, cause: Option<&str>, style: Style) -> Result<String> {
    let path = one_line(&hunk.path.to_string());
    let cause = style.palette.dim(cause.unwrap_or_default());
    match &hunk.change {
        ValueChange::Hidden(hidden) => {
            Ok(line(&[format!("  {path}"), hidden_text(*hidden).to_owned(), cause]))
        }
        ValueChange::Order { before, after } => {
            let names = |names: &[String]| one_line(&names.join(", "));
            Ok(both_values(&format!("{path} (order)"), &names(before), &names(after), cause, style))
        }
        ValueChange::Values { before: Some(before), after: Some(after) } => {
            match (single_line(before), single_line(after)) {
                (Some(before), Some(after)) => Ok(both_values(&path, &before, &after, cause, style)),
                _ => Ok(line(&[format!("  {path}"), cause])
                    + &line_diff(&multi_line(before)?, &multi_line(after)?, style)),
            }
        }
        ValueChange::Values { before, after } => {
            let text = |value: &Option<Value>| value.as_ref().map_or(Ok(String::new()), multi_line);
            Ok(line(&[format!("  {path}"), cause]) + &line_diff(&text(before)?, &text(after)?, style))
        }
    }
}

/// Formats two values of one line each: side by side if they fit, else one below the other.
fn both_values(path: &str, before: &str, after: &str, cause: String, style: Style) -> String {
    let width = path.len() + before.len() + after.len() + 8;
    if width <= MAX_LINE_WIDTH.min(style.width) {
        let change = format!("{} → {}", style.palette.removed(before), style.palette.added(after));
        return line(&[format!("  {path}"), change, cause]);
    }
    line(&[format!("  {path}"), cause]) + &line_diff(before, after, style)
}

const fn hidden_text(hidden: Hidden) -> &'static str {
    match hidden {
        Hidden::New => "(new value, hidden)",
        Hidden::Changed => "(changed, hidden)",
        Hidden::Same => "(unchanged, hidden)",
        Hidden::Removed => "(removed, hidden)",
    }
}

/// Formats a value on one line. None if it has several lines.
fn single_line(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.is_empty() => Some("\"\"".to_owned()),
        Value::String(text) => (!text.contains('\n')).then(|| one_line(text)),
        Value::Array(_) | Value::Object(_) => None,
        value => Some(value.to_string()),
    }
}

/// Formats a value as lines: a text unchanged, other values as YAML.
fn multi_line(value: &Value) -> Result<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        value => single_line(value).map_or_else(|| yaml::write(value), Ok)?,
    };
    Ok(sanitize(&text).into_owned())
}

/// Compares two texts line by line, with lines of context around each change.
fn line_diff(before: &str, after: &str, style: Style) -> String {
    // Without their line breaks: the last line may have none, and is the same line all the same.
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    if old == new {
        return "    (only the line break at the end)\n".to_owned();
    }
    let diff = TextDiff::from_slices(&old, &new);
    let mut text = String::new();
    for (number, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if number > 0 {
            text += "    ⋮\n";
        }
        for change in group.iter().flat_map(|operation| diff.iter_changes(operation)) {
            let line = change.value();
            text += &match change.tag() {
                ChangeTag::Delete => style.palette.removed(format!("-   {line}").trim_end()),
                ChangeTag::Insert => style.palette.added(format!("+   {line}").trim_end()),
                ChangeTag::Equal => format!("    {line}").trim_end().to_owned(),
            };
            text.push('\n');
        }
    }
    text
}

/// The result of `diff`.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct DiffObject<'a> {
    /// The version of the schema.
    v: u8,
    context: &'a str,
    namespace: &'a str,
    name: &'a str,
    /// Whether a deploy would change something.
    different: bool,
    counts: DiffCounts,
    objects: Vec<ObjectDiff<'a>>,
}

/// One object of a comparison.
#[derive(Debug, Serialize, JsonSchema)]
struct ObjectDiff<'a> {
    object: ObjectRef<'a>,
    action: &'static str,
    data_loss: bool,
    why: Option<&'a str>,
    verified: bool,
    unverified: Option<&'a str>,
    effects: Vec<EffectObject>,
    hunks: Vec<HunkObject<'a>>,
    additions: Vec<AdditionObject<'a>>,
    refused: Option<RefusalObject<'a>>,
}

/// A consequence of a change.
#[derive(Debug, Serialize, JsonSchema)]
struct EffectObject {
    r#type: &'static str,
    message: String,
}

/// A changed field.
#[derive(Debug, Serialize, JsonSchema)]
struct HunkObject<'a> {
    path: String,
    before: Option<Value>,
    after: Option<Value>,
    order: bool,
    hidden: Option<&'static str>,
    cause: &'static str,
    manager: Option<&'a str>,
    since: Option<String>,
}

/// A field that others added and a deploy keeps.
#[derive(Debug, Serialize, JsonSchema)]
struct AdditionObject<'a> {
    path: String,
    value: Option<&'a Value>,
    manager: &'a str,
    since: Option<String>,
}

/// The reason why a deploy would fail at this object.
#[derive(Debug, Serialize, JsonSchema)]
struct RefusalObject<'a> {
    id: &'static str,
    exit: u8,
    message: &'a str,
    causes: Vec<String>,
}

pub(super) fn value<'a>(report: &DiffReport<'a>) -> DiffObject<'a> {
    let is_listed = |it: &&Compared| {
        it.difference.outcome != DiffOutcome::Unchanged || !it.difference.additions.is_empty()
    };
    DiffObject {
        v: VERSION,
        context: report.context,
        namespace: report.namespace,
        name: report.name,
        different: report.compared.iter().any(is_different),
        counts: counts(report),
        objects: report.compared.iter().filter(is_listed).map(object_value).collect(),
    }
}

fn object_value(compared: &Compared) -> ObjectDiff<'_> {
    let Compared { difference, deploy_error: refused } = compared;
    let is_sent = matches!(difference.outcome, DiffOutcome::Created | DiffOutcome::Changed);
    let is_accepted = difference.unverified.is_none() && !is_blocked(difference);
    let effect = |effect: &Effect| EffectObject { r#type: effect.as_str(), message: effect.to_string() };
    ObjectDiff {
        object: ObjectRef::new(&difference.id),
        action: difference.outcome.as_str(),
        data_loss: difference.outcome == DiffOutcome::Deleted { data_loss: true },
        why: why(&difference.outcome),
        verified: is_sent && is_accepted,
        unverified: difference.unverified.as_deref(),
        effects: difference.effects.iter().map(effect).collect(),
        hunks: difference.fields.iter().map(hunk_value).collect(),
        additions: difference.additions.iter().map(addition_value).collect(),
        refused: refused.as_ref().map(|error| RefusalObject {
            id: error.id().code(),
            exit: error.kind().exit_code(),
            message: error.message(),
            causes: error.causes(),
        }),
    }
}

fn why(outcome: &DiffOutcome) -> Option<&str> {
    match outcome {
        DiffOutcome::Kept(why) | DiffOutcome::NotCompared(why) | DiffOutcome::Reused(why) => Some(why),
        _ => None,
    }
}

fn addition_value(addition: &Addition) -> AdditionObject<'_> {
    AdditionObject {
        path: addition.path.to_string(),
        value: addition.value.as_ref(),
        manager: &addition.manager.name,
        since: addition.manager.since.map(|since| since.to_string()),
    }
}

fn hunk_value(hunk: &FieldChange) -> HunkObject<'_> {
    let names = |names: &[String]| Some(Value::from(names));
    let (before, after, hidden) = match &hunk.change {
        ValueChange::Values { before, after } => (before.clone(), after.clone(), None),
        ValueChange::Order { before, after } => (names(before), names(after), None),
        ValueChange::Hidden(hidden) => (None, None, Some(hidden.as_str())),
    };
    let (cause, manager) = match &hunk.cause {
        ChangeCause::You => ("you", None),
        ChangeCause::Drift(manager) => ("drift", Some(manager)),
        ChangeCause::Server => ("server", None),
    };
    HunkObject {
        path: hunk.path.to_string(),
        before,
        after,
        order: matches!(hunk.change, ValueChange::Order { .. }),
        hidden,
        cause,
        manager: manager.map(|manager| manager.name.as_str()),
        since: manager.and_then(|manager| manager.since).map(|since| since.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalogue::Id;
    use crate::error::Kind;
    use crate::object::Mask;
    use crate::object::kind::{
        CLAIM, CONFIG_MAP, DEPLOYMENT, INGRESS, KindInfo, NETWORK_POLICY, ROLE, SECRET, SERVICE,
    };
    use crate::plan::diff::{FieldPointer, additions, compare};
    use crate::report::scenario::assert_recorded;
    use crate::report::schemas::diff_schema;
    use crate::report::schemas::tests::assert_matches;
    use crate::report::streams::tests::{captured, settings};
    use crate::report::text::style::Palette;

    const NOW: Timestamp = Timestamp::constant(1_767_236_400, 0); // 2026-01-01T03:00:00Z

    fn changed(kind: KindInfo, applied: &Value, live: &Value) -> Difference {
        compare::changed(&kind.id("hands", "oh"), applied, live, None, &Mask::default())
    }

    /// Returns one object of each outcome.
    fn all_outcomes() -> Vec<Compared> {
        let container = |image: &str, env: &Value| {
            json!({ "spec": { "strategy": { "type": "Recreate" }, "template": { "spec": {
                "containers": [{ "name": "oh", "image": image, "env": env }],
            } } } })
        };
        let image = "docker.example.org/a/name/that/is/rather/long/for/one/line/openhands";
        let env = json!([{ "name": "A", "value": "1" }]);
        let live = container(&format!("{image}:1"), &json!([]));
        let mut live_with_owner = live.clone();
        live_with_owner["metadata"] = json!({ "managedFields": [{
            "manager": "kubectl-set", "time": "2026-01-01T00:00:00Z",
            "fieldsV1": { "f:spec": { "f:template": { "f:spec": { "f:containers": {
                "k:{\"name\":\"oh\"}": { ".": {}, "f:image": {} },
            } } } } },
        }] });
        let stops = Effect::Stops { manager: "kubectl-set".into(), field: ".spec.x".into() };
        let deployment = changed(DEPLOYMENT, &container(&format!("{image}:2"), &env), &live_with_owner);
        let host = |host: &str| json!({ "spec": { "rules": [{ "host": host }] } });
        let mut ingress = host("localhsot");
        ingress["metadata"] = json!({ "managedFields": [{
            "manager": "kubectl-edit", "time": "2026-01-01T00:00:00Z", "fieldsV1": { "f:spec": { "f:rules": {} } },
        }] });
        let size = |size: &str| json!({ "spec": { "resources": { "requests": { "storage": size } } } });
        let config = |text: &str| json!({ "kind": "ConfigMap", "data": { "config.toml": text } });
        let secret = json!({ "kind": "Secret", "data": { "LLM_API_KEY": "c2VjcmV0" } });
        let refused = Error::new(Id::QuotaRejected, Kind::Rejected, "cannot dry-run networkpolicy")
            .caused_by("exceeded quota: \u{1b}[31mq");
        let created = |kind: KindInfo, name: &str, object: &Value, before: Option<&Value>| {
            compare::created(&kind.id("hands", name), object, None, before, &Mask::default())
        };
        let (before, after) = ("[a]\na = 1\nb = 1\nc = 1\nd = 1\n", "[a]\na = 1\nb = 1\nc = 2\nd = 1\n\n");
        vec![
            created(SECRET, "oh-env-1", &secret, None).with_effect(Effect::NameNotFinal).into(),
            created(CONFIG_MAP, "oh-config-1", &config(after), Some(&config(before)))
                .unverified("no namespace")
                .into(),
            Compared {
                difference: changed(CLAIM, &size("2Gi"), &size("5Gi")).unverified("rejected"),
                deploy_error: Some(
                    Error::new(Id::Rejected, Kind::Rejected, "cannot dry-run the volume")
                        .caused_by("no\nway"),
                ),
            },
            deployment.with_effect(stops).into(),
            changed(INGRESS, &host("localhost"), &ingress).into(),
            Compared {
                difference: Difference::new(NETWORK_POLICY.id("boxes", "oh"), DiffOutcome::Created)
                    .unverified("refused"),
                deploy_error: Some(refused),
            },
            Difference::new(SERVICE.id("hands", "old"), DiffOutcome::Deleted { data_loss: false }).into(),
            Difference::new(CLAIM.id("hands", "older"), DiffOutcome::Deleted { data_loss: true }).into(),
            Difference::new(
                CLAIM.id("hands", "oldest"),
                DiffOutcome::Kept("a volume of 5Gi with its data".into()),
            )
            .into(),
            reused().into(),
            Difference::new(
                ROLE.id("hands", "oh"),
                DiffOutcome::NotCompared("no right to list roles".into()),
            )
            .into(),
            with_additions(SERVICE.id("hands", "oh")).into(),
        ]
    }

    /// Returns a ConfigMap of an earlier revision, which differs in one line before the last one.
    fn reused() -> Difference {
        let config = |name: &str, text: &str| json!({ "kind": "ConfigMap", "metadata": { "name": name }, "data": { "config.toml": text } });
        let before = config("oh-config-3", "confirmation_mode = true\nimage = \"a\"\nmode = 1\n");
        let after = config("oh-config-2", "image = \"a\"\n");
        compare::reused(&CONFIG_MAP.id("hands", "oh-config-2"), &after, &before, &Mask::default())
    }

    /// Returns an unchanged Service to which others added fields.
    fn with_additions(id: ObjectId) -> Difference {
        let live = json!({
            "metadata": { "annotations": { "team": "a" }, "managedFields": [{
                "manager": "kubectl-edit", "operation": "Update", "time": "2026-01-01T00:00:00Z", "fieldsV1": {
                    "f:metadata": { "f:annotations": { "f:team": {} } },
                    "f:spec": { "f:ports": { "k:{\"port\":81,\"protocol\":\"TCP\"}": { ".": {}, "f:port": {} } } },
                },
            }] },
            "spec": { "ports": [{ "port": 80, "protocol": "TCP" }, { "port": 81, "protocol": "TCP" }] },
        });
        let manifest = json!({ "spec": { "ports": [{ "port": 80 }] } });
        let additions = additions(&id, &manifest, &live, &Mask::default());
        Difference { additions, ..Difference::new(id, DiffOutcome::Unchanged) }
    }

    #[test]
    fn equal_last_line_is_no_change() {
        let style = Style { palette: Palette::NONE, width: 140 };
        assert_eq!(
            line_diff("a = 1\nlast = 1", "b = 1\nlast = 1\n", style),
            "-   a = 1\n+   b = 1\n    last = 1\n"
        );
        assert_eq!(line_diff("a\nb\nc\n", "a\nb\n", style), "    a\n    b\n-   c\n");
        assert_eq!(line_diff("a\n", "a", style), "    (only the line break at the end)\n");
    }

    #[test]
    fn changed_order_is_one_line_of_names() {
        let order = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let change = ValueChange::Order { before: order(&["A", "B"]), after: order(&["B", "A"]) };
        let change = FieldChange { path: FieldPointer::default(), change, cause: ChangeCause::Server };
        let style = Style { palette: Palette::NONE, width: 140 };
        assert_eq!(hunk(&change, None, style).unwrap(), "   (order)   A, B → B, A\n");
        assert!(hunk_value(&change).order);
    }

    fn report(compared: &[Compared]) -> DiffReport<'_> {
        DiffReport {
            context: "kind-local-hands",
            namespace: "hands",
            name: "oh",
            basis: DiffBasis::Cluster,
            compared,
            now: NOW,
        }
    }

    #[test]
    fn text_of_every_outcome_is_as_recorded() {
        let compared = all_outcomes();
        let style = Style { palette: Palette::NONE, width: 140 };
        assert_recorded!("diff", text(&report(&compared), style).unwrap());
    }

    #[test]
    fn json_of_every_outcome_is_as_recorded() {
        let compared = all_outcomes();
        assert_recorded!("diff.json", serde_json::to_string_pretty(&value(&report(&compared))).unwrap());
    }

    #[test]
    fn json_of_every_outcome_matches_the_schema() {
        let compared = all_outcomes();
        let value = serde_json::to_value(value(&report(&compared))).unwrap();
        assert_matches(&diff_schema(), &value);
    }

    #[test]
    fn markdown_of_every_outcome_is_as_recorded_and_masked() {
        let compared = all_outcomes();
        let (streams, out, _) = captured(settings());
        let mut secrets = Mask::default();
        secrets.add("localhsot");
        streams.hide(secrets);
        let _written = streams.diff_markdown(&report(&compared)).unwrap();
        assert!(!out.text().contains("localhsot"), "{}", out.text());
        assert_recorded!("diff.md", out.text());
    }

    #[test]
    fn narrow_terminal_has_one_value_per_line() {
        let compared = all_outcomes();
        let narrow = text(&report(&compared), Style { palette: Palette::NONE, width: 30 }).unwrap();
        assert!(narrow.contains("  spec.rules[0].host\n-   localhsot\n+   localhost\n"), "{narrow}");
        assert!(narrow.contains("\n  would fail: exceeded quota:\n    "), "{narrow}");
    }

    #[test]
    fn colours_match_diff_signs() {
        let compared = all_outcomes();
        let colored = text(&report(&compared), Style { palette: Palette::new(true), width: 140 }).unwrap();
        assert!(
            colored.contains("\u{1b}[31m-   c = 1\u{1b}[0m\n\u{1b}[32m+   c = 2\u{1b}[0m\n"),
            "{colored}"
        );
    }

    #[test]
    fn no_differences_is_reported_on_stderr_unless_quiet() {
        let unchanged = [Difference::new(SERVICE.id("hands", "oh"), DiffOutcome::Unchanged).into()];
        let (streams, out, err) = captured(settings());
        assert_eq!(streams.diff(&report(&unchanged), Output::Human).unwrap(), Written::Yes);
        assert_eq!(
            (out.text().as_str(), err.text().as_str()),
            ("", "no differences: 1 object is up to date\n")
        );
        let (streams, _, err) =
            captured(crate::report::streams::TerminalSettings { quiet: true, ..settings() });
        assert_eq!(streams.diff(&report(&unchanged), Output::Human).unwrap(), Written::Yes);
        assert_eq!(err.text(), "");
    }

    #[test]
    fn summary_counts_what_was_not_compared_and_added() {
        let compared = [
            with_additions(SERVICE.id("hands", "oh")).into(),
            Difference::new(ROLE.id("hands", "oh"), DiffOutcome::NotCompared("no right".into())).into(),
        ];
        let (streams, out, err) = captured(settings());
        assert_eq!(streams.diff(&report(&compared), Output::Human).unwrap(), Written::Yes);
        assert_eq!(
            err.text(),
            "no differences: 1 object is up to date, 1 was not compared; others added 2 fields\n"
        );
        assert!(out.text().contains("not compared: role.rbac.authorization.k8s.io/oh: no right\n"));
    }
}
