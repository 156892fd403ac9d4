//! What a deploy would change, for people and for programs.
//!
//! # Schema
//!
//! `-o json` and `-o yaml` print one object. Fields are added, never renamed or left out:
//!
//! ```text
//! v          1
//! context    the kubeconfig's context
//! namespace  the application's
//! name       the set's
//! different  whether a deploy would change something
//! counts     { created, changed, deleted, kept, unchanged, unknown }
//! objects    all but the unchanged ones, in the order of sending:
//!   object     { group, kind, namespace, name }
//!   action     created | changed | deleted | kept | unknown
//!   data_loss  whether data would be deleted
//!   why        of what is kept: why; else null
//!   verified   whether the API server was asked and took it
//!   unverified why not; null where it was, or where there is nothing to ask
//!   effects    what follows: { type, message }; type is restarts | nothing-serves | scales | recreate |
//!              claim-grows | claim-shrinks | clients | stops | refused | dying | name-not-final
//!   hunks      { path, before, after, hidden, cause, manager, since }
//!     before, after  the values; null where there is none, or where they are hidden
//!     hidden         of a secret: new | changed | same | removed; else null
//!     cause          you | drift | server
//!     manager, since of drift: who, and when (RFC 3339); else null
//!   refused    { id, exit, message, causes } where a deploy would fail here; else null
//! ```

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};

use super::diagnostic::Style;
use super::format;
use super::json_objects::ObjectRef;
use super::sanitize::{one_line, sanitize};
use crate::error::{Error, Result};
use crate::object::{ObjectId, yaml};
use crate::phrase;
use crate::plan::diff::{
    Change, ChangeCause, Compared, DiffOutcome, Difference, Effect, FieldChange, Hidden,
};
use crate::report::reporter::Output;
use crate::report::streams::{Streams, Written};

/// Lines around a changed one.
const CONTEXT: usize = 2;
/// Two values stand on one line up to this many columns.
const ONE_LINE: usize = 100;

/// A comparison that is ready to be shown.
#[derive(Debug, Clone, Copy)]
pub struct DiffReport<'a> {
    /// The kubeconfig's context.
    pub context: &'a str,
    /// The application's namespace.
    pub namespace: &'a str,
    /// The set's name.
    pub name: &'a str,
    /// Every object.
    pub compared: &'a [Compared],
    /// The time on the server's clock.
    pub now: Timestamp,
}

impl Streams {
    /// Writes a comparison to stdout; that there is no difference is said on stderr.
    ///
    /// # Errors
    /// The stream fails.
    pub fn diff(&self, report: &DiffReport<'_>, output: Output) -> Result<Written> {
        let written = match output {
            Output::Human => {
                let side = self.setting.out;
                self.out(&text(report, Style { paint: side.paint, width: side.width })?)?
            }
            output => self.value(&value(report), output)?,
        };
        let is_equal = report.compared.iter().all(|one| one.refused.is_none() && !is_different(one));
        if is_equal && !self.setting.quiet {
            let words = match counts(report).unchanged {
                1 => "1 object is as it should be".to_owned(),
                count => format!("{count} objects are as they should be"),
            };
            self.err(&format!("no differences: {words}\n"));
        }
        Ok(written)
    }
}

fn is_different(compared: &Compared) -> bool {
    compared.difference.outcome.is_difference()
}

/// How many objects of each outcome there are.
#[derive(Debug, Default, Serialize)]
struct DiffCounts {
    created: usize,
    changed: usize,
    deleted: usize,
    kept: usize,
    unchanged: usize,
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
            DiffOutcome::Unchanged => &mut counts.unchanged,
            DiffOutcome::Unknown => &mut counts.unknown,
        } += 1;
    }
    counts
}

fn text(report: &DiffReport<'_>, look: Style) -> Result<String> {
    let shown = report.compared.iter().filter(|one| one.difference.outcome != DiffOutcome::Unchanged);
    let mut text = String::new();
    for compared in shown {
        text += &object(report, compared, look)?;
    }
    text += &unverified(report);
    let DiffCounts { created, changed, deleted, unknown, .. } = counts(report);
    if created + changed + deleted + unknown > 0 {
        let unknown = if unknown == 0 { String::new() } else { format!(", {unknown} unknown") };
        text += &format!("{changed} to change, {created} to create, {deleted} to delete{unknown}\n");
    }
    Ok(text)
}

/// Why the server's word is missing, each reason once.
fn unverified(report: &DiffReport<'_>) -> String {
    let mut reasons: Vec<(&str, Vec<&ObjectId>)> = Vec::new();
    // What the server said instead stands at its object.
    let silent = |one: &&Compared| {
        one.refused.is_none() && !one.difference.effects.iter().any(|it| matches!(it, Effect::Refused(_)))
    };
    for difference in report.compared.iter().filter(silent).map(|compared| &compared.difference) {
        let Some(why) = difference.unverified.as_deref() else { continue };
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, ids)) => ids.push(&difference.id),
            None => reasons.push((why, vec![&difference.id])),
        }
    }
    format::lines(reasons.into_iter().map(|(why, ids)| {
        let of = match ids.as_slice() {
            [id] => named(id, report.namespace),
            ids => format!("{} objects", ids.len()),
        };
        format!("not verified by the server: {}: {}", one_line(&of), one_line(why))
    }))
}

fn object(report: &DiffReport<'_>, compared: &Compared, look: Style) -> Result<String> {
    let difference = &compared.difference;
    let causes = causes(difference);
    let mut effects = difference.effects.iter().map(ToString::to_string);
    let what = match &difference.outcome {
        DiffOutcome::Created if difference.unverified.is_some() => look.paint.good("created, not verified"),
        DiffOutcome::Created => look.paint.good("created"),
        DiffOutcome::Changed => {
            look.paint.remark(&effects.next().map_or("changed".to_owned(), |it| one_line(&it)))
        }
        DiffOutcome::Deleted { data_loss: false } => look.paint.bad("deleted, no longer configured"),
        DiffOutcome::Deleted { data_loss: true } => look.paint.bad("deleted, and its data with it"),
        DiffOutcome::Kept(why) => format!("kept: {}", one_line(why)),
        DiffOutcome::Unchanged | DiffOutcome::Unknown => difference.outcome.word().to_owned(),
    };
    let name = look.paint.strong(&one_line(&named(&difference.id, report.namespace)));
    let mut text = line(&[name, what, look.paint.faint(&because_of(&causes, difference, report.now))]);
    for effect in effects {
        text += &format!("  {}\n", look.paint.remark(&one_line(&effect)));
    }
    if let Some(error) = &compared.refused {
        text += &format!("  {}\n", look.paint.bad(&format!("refused: {}", one_line(&cause_of(error)))));
    }
    for hunk in &difference.fields {
        let cause = (causes.len() > 1).then(|| self::cause(&hunk.cause, difference, report.now));
        text += &self::hunk(hunk, cause.as_deref(), look)?;
    }
    Ok(text)
}

/// Who caused it, each once.
fn causes(difference: &Difference) -> Vec<&ChangeCause> {
    let ours = matches!(difference.outcome, DiffOutcome::Created | DiffOutcome::Deleted { .. });
    let mut causes: Vec<&ChangeCause> = ours.then_some(&ChangeCause::You).into_iter().collect();
    for cause in difference.fields.iter().map(|hunk| &hunk.cause) {
        if !causes.contains(&cause) {
            causes.push(cause);
        }
    }
    causes
}

/// One cause in full; of several the names, because each hunk says the rest.
fn because_of(causes: &[&ChangeCause], difference: &Difference, now: Timestamp) -> String {
    if let [one] = causes {
        return cause(one, difference, now);
    }
    let name = |cause: &&ChangeCause| match cause {
        ChangeCause::Drift(manager) => format!("drift: {}", one_line(&manager.name)),
        ChangeCause::You | ChangeCause::Server => self::cause(cause, difference, now),
    };
    causes.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn line(parts: &[String]) -> String {
    let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    parts.join("   ") + "\n"
}

/// The first cause says it best: the message of the error repeats the object.
fn cause_of(error: &Error) -> String {
    error.causes().into_iter().next().unwrap_or_else(|| error.message().to_owned())
}

/// With its namespace where that is not the application's.
fn named(id: &ObjectId, home: &str) -> String {
    match id.namespace.as_deref().filter(|namespace| *namespace != home) {
        Some(namespace) => format!("{id} in namespace {namespace}"),
        None => id.to_string(),
    }
}

fn cause(cause: &ChangeCause, difference: &Difference, now: Timestamp) -> String {
    match cause {
        ChangeCause::You => "you".to_owned(),
        ChangeCause::Server => "the server".to_owned(),
        ChangeCause::Drift(manager) => {
            let since =
                manager.since.map_or_else(String::new, |since| format!(", {} ago", phrase::age(since, now)));
            let fate = if stops(difference) { "" } else { ", will be put back" };
            format!("drift: {}{since}{fate}", one_line(&manager.name))
        }
    }
}

fn stops(difference: &Difference) -> bool {
    difference.effects.iter().any(|effect| matches!(effect, Effect::Stops { .. }))
}

fn hunk(hunk: &FieldChange, cause: Option<&str>, look: Style) -> Result<String> {
    let path = one_line(&hunk.path.to_string());
    let cause = look.paint.faint(cause.unwrap_or_default());
    match &hunk.change {
        Change::Hidden(hidden) => Ok(line(&[format!("  {path}"), in_words(*hidden).to_owned(), cause])),
        Change::Values { before: Some(before), after: Some(after) } => {
            let (Some(before), Some(after)) = (scalar(before), scalar(after)) else {
                return Ok(
                    line(&[format!("  {path}"), cause]) + &lines_of(&shown(before)?, &shown(after)?, look)
                );
            };
            let width = path.len() + before.len() + after.len() + 8;
            if width <= ONE_LINE.min(look.width) {
                let change = format!("{} → {}", look.paint.removed(&before), look.paint.added(&after));
                return Ok(line(&[format!("  {path}"), change, cause]));
            }
            Ok(line(&[format!("  {path}"), cause]) + &lines_of(&before, &after, look))
        }
        Change::Values { before, after } => {
            let text = |side: &Option<Value>| side.as_ref().map_or(Ok(String::new()), shown);
            Ok(line(&[format!("  {path}"), cause]) + &lines_of(&text(before)?, &text(after)?, look))
        }
    }
}

const fn in_words(hidden: Hidden) -> &'static str {
    match hidden {
        Hidden::New => "(new value, hidden)",
        Hidden::Changed => "(changed, hidden)",
        Hidden::Same => "(the same, hidden)",
        Hidden::Removed => "(removed, hidden)",
    }
}

/// A value of one line; None for what has several.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.is_empty() => Some("\"\"".to_owned()),
        Value::String(text) => (!text.contains('\n')).then(|| one_line(text)),
        Value::Array(_) | Value::Object(_) => None,
        value => Some(value.to_string()),
    }
}

/// A value as lines: a text as it is, the rest as YAML.
fn shown(value: &Value) -> Result<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        value => scalar(value).map_or_else(|| yaml::write(value), Ok)?,
    };
    Ok(sanitize(&text).trim_end_matches('\n').to_owned())
}

/// Both texts line by line, with what stands around the lines that differ.
fn lines_of(before: &str, after: &str, look: Style) -> String {
    let diff = TextDiff::from_lines(before, after);
    let mut text = String::new();
    for (number, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if number > 0 {
            text += "    ⋮\n";
        }
        for change in group.iter().flat_map(|operation| diff.iter_changes(operation)) {
            let line = change.value().trim_end_matches('\n');
            text += &match change.tag() {
                ChangeTag::Delete => look.paint.removed(format!("-   {line}").trim_end()),
                ChangeTag::Insert => look.paint.added(format!("+   {line}").trim_end()),
                ChangeTag::Equal => format!("    {line}").trim_end().to_owned(),
            };
            text.push('\n');
        }
    }
    text
}

fn value(report: &DiffReport<'_>) -> Value {
    let shown = report.compared.iter().filter(|one| one.difference.outcome != DiffOutcome::Unchanged);
    json!({
        "v": 1,
        "context": report.context,
        "namespace": report.namespace,
        "name": report.name,
        "different": report.compared.iter().any(is_different),
        "counts": counts(report),
        "objects": shown.map(object_value).collect::<Vec<_>>(),
    })
}

fn object_value(compared: &Compared) -> Value {
    let Compared { difference, refused } = compared;
    let asked = matches!(difference.outcome, DiffOutcome::Created | DiffOutcome::Changed);
    let taken = difference.unverified.is_none() && !stops(difference);
    json!({
        "object": ObjectRef::of(&difference.id),
        "action": difference.outcome.word(),
        "data_loss": difference.outcome == DiffOutcome::Deleted { data_loss: true },
        "why": match &difference.outcome { DiffOutcome::Kept(why) => Some(why), _ => None },
        "verified": asked && taken,
        "unverified": difference.unverified,
        "effects": difference.effects.iter()
            .map(|effect| json!({ "type": effect.word(), "message": effect.to_string() })).collect::<Vec<_>>(),
        "hunks": difference.fields.iter().map(hunk_value).collect::<Vec<_>>(),
        "refused": refused.as_ref().map(|error| json!({
            "id": error.id().code(), "exit": error.kind().exit_code(), "message": error.message(), "causes": error.causes(),
        })),
    })
}

fn hunk_value(hunk: &FieldChange) -> Value {
    let (before, after, hidden) = match &hunk.change {
        Change::Values { before, after } => (before.clone(), after.clone(), None),
        Change::Hidden(hidden) => (None, None, Some(hidden.word())),
    };
    let (cause, manager) = match &hunk.cause {
        ChangeCause::You => ("you", None),
        ChangeCause::Drift(manager) => ("drift", Some(manager)),
        ChangeCause::Server => ("server", None),
    };
    json!({
        "path": hunk.path.to_string(), "before": before, "after": after, "hidden": hidden, "cause": cause,
        "manager": manager.map(|manager| &manager.name),
        "since": manager.and_then(|manager| manager.since).map(|since| since.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Id;
    use crate::error::Kind;
    use crate::object::kind::{
        CLAIM, CONFIG_MAP, DEPLOYMENT, INGRESS, KindInfo, NETWORK_POLICY, SECRET, SERVICE,
    };
    use crate::plan::diff::{Mask, compare};
    use crate::report::scenario::assert_recorded;
    use crate::report::streams::tests::{captured, setting};
    use crate::report::text::style::Palette;

    const NOW: Timestamp = Timestamp::constant(1_767_236_400, 0); // 2026-01-01T03:00:00Z

    fn changed(kind: KindInfo, asked: &Value, live: &Value) -> Difference {
        compare::changed(&kind.id("hands", "oh"), asked, live, None, &Mask::default())
    }

    /// One object of each sort.
    fn everything() -> Vec<Compared> {
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
        let refused = Error::new(Id::QuotaRefused, Kind::Rejected, "cannot dry-run networkpolicy")
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
            changed(CLAIM, &size("2Gi"), &size("5Gi")).with_effect(Effect::Refused("no\nway".into())).into(),
            deployment.with_effect(stops).into(),
            changed(INGRESS, &host("localhost"), &ingress).into(),
            Compared {
                difference: Difference::new(NETWORK_POLICY.id("boxes", "oh"), DiffOutcome::Created)
                    .unverified("refused"),
                refused: Some(refused),
            },
            Difference::new(SERVICE.id("hands", "old"), DiffOutcome::Deleted { data_loss: false }).into(),
            Difference::new(CLAIM.id("hands", "older"), DiffOutcome::Deleted { data_loss: true }).into(),
            Difference::new(CLAIM.id("hands", "oldest"), DiffOutcome::Kept("5Gi of data".into())).into(),
            Difference::new(SERVICE.id("hands", "oh"), DiffOutcome::Unchanged).into(),
        ]
    }

    fn report(compared: &[Compared]) -> DiffReport<'_> {
        DiffReport { context: "kind-local-hands", namespace: "hands", name: "oh", compared, now: NOW }
    }

    #[test]
    fn every_sort_of_difference_for_people() {
        let compared = everything();
        let look = Style { paint: Palette::NONE, width: 140 };
        assert_recorded!("diff", text(&report(&compared), look).unwrap());
    }

    #[test]
    fn every_sort_of_difference_for_programs() {
        let compared = everything();
        assert_recorded!("diff.json", serde_json::to_string_pretty(&value(&report(&compared))).unwrap());
    }

    #[test]
    fn on_a_narrow_terminal_no_two_values_share_a_line() {
        let compared = everything();
        let narrow = text(&report(&compared), Style { paint: Palette::NONE, width: 30 }).unwrap();
        assert!(narrow.contains("  spec.rules[0].host\n-   localhsot\n+   localhost\n"), "{narrow}");
    }

    #[test]
    fn colour_says_what_the_signs_say() {
        let compared = everything();
        let colored = text(&report(&compared), Style { paint: Palette::new(true), width: 140 }).unwrap();
        assert!(
            colored.contains("\u{1b}[31m-   c = 1\u{1b}[0m\n\u{1b}[32m+   c = 2\u{1b}[0m\n"),
            "{colored}"
        );
    }

    #[test]
    fn that_nothing_differs_is_said_on_stderr_unless_it_is_to_be_quiet() {
        let unchanged = [Difference::new(SERVICE.id("hands", "oh"), DiffOutcome::Unchanged).into()];
        let (streams, out, err) = captured(setting());
        assert_eq!(streams.diff(&report(&unchanged), Output::Human).unwrap(), Written::Yes);
        assert_eq!(
            (out.text().as_str(), err.text().as_str()),
            ("", "no differences: 1 object is as it should be\n")
        );
        let (streams, _, err) =
            captured(crate::report::streams::TerminalSettings { quiet: true, ..setting() });
        assert_eq!(streams.diff(&report(&unchanged), Output::Human).unwrap(), Written::Yes);
        assert_eq!(err.text(), "");
    }
}
