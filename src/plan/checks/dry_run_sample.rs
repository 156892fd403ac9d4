//! Chooses the changes that the API server checks before the first write. Pure.

use std::collections::BTreeMap;

use crate::object::ObjectId;
use crate::object::kind::KindInfo;
use crate::plan::Member;
use crate::plan::changes::Change;

/// How many new objects of one kind in one namespace are checked. Quotas, webhooks, policies and missing rights reject
/// the others in the same way; a mistake in one of the others is found when it is applied.
const SAMPLE: usize = 10;

/// New members of one kind in one namespace that are not checked, unless their names are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeyondSample<'a> {
    /// Their kind.
    pub kind: KindInfo,
    /// Their namespace.
    pub namespace: Option<&'a str>,
    /// The members.
    pub members: Vec<&'a ObjectId>,
}

/// Returns the new members beyond the sample of their kind and namespace.
#[must_use]
pub fn beyond_sample<'a>(to_send: impl Iterator<Item = (&'a Member, &'a Change)>) -> Vec<BeyondSample<'a>> {
    let mut groups: BTreeMap<(&str, &str, Option<&str>), BeyondSample<'a>> = BTreeMap::new();
    for (member, _) in to_send.filter(|(_, change)| **change == Change::Create) {
        let namespace = member.id.namespace.as_deref();
        let key = (member.kind.group, member.kind.kind, namespace);
        let group = groups.entry(key).or_insert_with(|| BeyondSample {
            kind: member.kind,
            namespace,
            members: Vec::new(),
        });
        group.members.push(&member.id);
    }
    let groups = groups.into_values().map(|mut group| {
        group.members.drain(..SAMPLE.min(group.members.len()));
        group
    });
    groups.filter(|group| !group.members.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::object::kind::{CONFIG_MAP, SERVICE};

    #[test]
    fn ten_new_objects_of_a_kind_and_namespace_are_checked() {
        let member = |kind: KindInfo, namespace: &str, name: &str| Member {
            id: kind.id(namespace, name),
            kind,
            manifest: json!({}),
        };
        let mut members: Vec<Member> =
            (0..12).map(|index| member(CONFIG_MAP, "a", &format!("c{index:02}"))).collect();
        members.extend((0..10).map(|index| member(CONFIG_MAP, "b", &format!("d{index:02}"))));
        members.extend([member(SERVICE, "a", "s"), member(CONFIG_MAP, "a", "updated")]);
        let mut states = vec![Change::Create; 23];
        states.push(Change::Update(json!({})));
        let beyond = beyond_sample(members.iter().zip(&states));
        let names: Vec<&str> =
            beyond.iter().flat_map(|group| &group.members).map(|id| id.name.as_str()).collect();
        assert_eq!(names, ["c10", "c11"]);
        assert_eq!((beyond[0].kind, beyond[0].namespace), (CONFIG_MAP, Some("a")));
    }
}
