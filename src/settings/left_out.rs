//! Keys of the user's config.toml that the application's config.toml does not get: empty ones, and those that the
//! application does not support yet and would answer by ignoring the whole table.

use super::app_version::AppVersion;
use super::load::schema::{Key, Shape, TableShape, UnknownKeyEffect};
use super::load::tree::{Data, Table};

/// What a key means that is newer than the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewerKey {
    /// The application uses the rest of the table.
    Ignored,
    /// The application crashes at start.
    Crash,
    /// handsctl leaves the table out; the application would only log a warning.
    TableLeftOut,
    /// handsctl leaves the key out; the application would ignore the whole table.
    LeftOut,
    /// The key is handsctl's own.
    Rejected,
}

/// Returns what a newer key means in a table that treats unknown keys so. `depth`: 1 for a table of the file.
pub(crate) fn effect(consequence: UnknownKeyEffect, depth: usize) -> NewerKey {
    match consequence {
        UnknownKeyEffect::KeyIgnored | UnknownKeyEffect::KeyDropped => NewerKey::Ignored,
        UnknownKeyEffect::Crash => NewerKey::Crash,
        UnknownKeyEffect::SectionIgnored => NewerKey::LeftOut,
        UnknownKeyEffect::Handsctl if depth == 1 => NewerKey::TableLeftOut,
        UnknownKeyEffect::Handsctl => NewerKey::Rejected,
    }
}

/// Returns how the application treats unknown keys of a table inside another one.
pub(crate) fn consequence_in(shape: &TableShape, outer: UnknownKeyEffect) -> UnknownKeyEffect {
    if shape.unknown_key_effect == UnknownKeyEffect::Handsctl { outer } else { shape.unknown_key_effect }
}

/// Whether a release such as `0.56` is later than the application's version.
pub(crate) fn is_newer(since: &str, version: AppVersion) -> bool {
    let numbers: Vec<u32> = since.split('.').filter_map(|part| part.parse().ok()).collect();
    matches!(numbers[..], [major, minor] if !version.is_at_least(major, minor))
}

/// Removes the keys that are newer than the application.
pub(super) fn remove_newer(shape: &TableShape, table: &mut Table, version: AppVersion) {
    newer_in(shape, UnknownKeyEffect::Handsctl, table, version, 1);
}

fn newer_in(
    shape: &TableShape,
    outer: UnknownKeyEffect,
    table: &mut Table,
    version: AppVersion,
    depth: usize,
) {
    let consequence = consequence_in(shape, outer);
    let is_left_out = matches!(effect(consequence, depth), NewerKey::LeftOut | NewerKey::TableLeftOut);
    table.retain(|name, entry| {
        let since = shape.keys.get(name).and_then(|key| key.since.as_deref());
        if is_left_out && since.is_some_and(|since| is_newer(since, version)) {
            return false;
        }
        if let (Some(inner), Data::Table(under)) =
            (shape.inner(name).and_then(Shape::as_table), &mut entry.node.data)
        {
            newer_in(inner, consequence, under, version, depth + 1);
        }
        true
    });
}

/// Removes the keys whose empty text means that they are not set, so that their defaults apply.
pub(super) fn remove_empty(shape: &TableShape, table: &mut Table) {
    table.retain(|name, entry| {
        let key = shape.keys.get(name);
        if entry.node.data.as_text() == Some("") && key.is_some_and(Key::is_unset_by_empty_text) {
            return false;
        }
        if let (Some(Shape::Table(inner)), Data::Table(under)) = (shape.inner(name), &mut entry.node.data) {
            remove_empty(inner, under);
        }
        true
    });
}
