//! The objects of a plan as text: what is printed, and what is left out. Pure.

use std::fmt::Write as _;

use serde_json::Value;

use crate::error::Result;
use crate::object::kind::Wave;
use crate::object::{ObjectId, labels, literal_secret, yaml};
use crate::plan::Plan;
use crate::plan::desired::Member;

/// One object as text.
pub(super) struct RenderedObject {
    pub(super) id: ObjectId,
    pub(super) wave: Wave,
    pub(super) text: String,
}

/// What is printed of a plan.
pub(super) struct Rendering {
    pub(super) documents: Vec<RenderedObject>,
    /// The members that are not printed, with the reasons.
    pub(super) left_out: Vec<String>,
}

/// Renders the members of a plan.
///
/// # Errors
/// A manifest cannot be written as YAML.
pub(super) fn rendering(plan: &Plan, with_namespaces: bool) -> Result<Rendering> {
    let namespaces = plan.namespaces.iter().filter(|_| with_namespaces).map(|(name, manifest)| {
        let text = yaml::write(&without_creator(manifest))?;
        Ok(RenderedObject { id: ObjectId::cluster("", "Namespace", name), wave: Wave::Foundation, text })
    });
    let mut documents = namespaces.collect::<Result<Vec<_>>>()?;
    let mut left_out = Vec::new();
    for member in &plan.members {
        if let Some(reason) = not_shown(member) {
            left_out.push(reason);
        } else {
            let text = yaml::write(&member.manifest)?;
            documents.push(RenderedObject { id: member.id.clone(), wave: member.kind.wave, text });
        }
    }
    Ok(Rendering { documents, left_out })
}

/// Returns why a member is left out: a mask in the place of its secret would be applied as if it were the value.
fn not_shown(member: &Member) -> Option<String> {
    let secrets = literal_secret::of_manifest(&member.manifest);
    let first = secrets.first()?;
    Some(format!("not shown: {}, which has a secret in clear text: {}", member.id, first.field))
}

/// Removes the annotation with the creator: whoever applies the printed namespace creates it, and `teardown` must not
/// delete it.
fn without_creator(namespace: &Value) -> Value {
    let mut namespace = namespace.clone();
    if let Some(metadata) = namespace.get_mut("metadata").and_then(Value::as_object_mut) {
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(labels::CREATED_BY);
        }
        metadata
            .retain(|key, value| key != "annotations" || value.as_object().is_none_or(|map| !map.is_empty()));
    }
    namespace
}

/// Returns all objects as one text, after a comment for each one that is not shown.
pub(super) fn joined(plan: &Plan, rendering: &Rendering) -> String {
    let mut text = String::new();
    for (name, source) in &plan.secret_sources {
        let _infallible = writeln!(text, "# not shown: {name}, from {source}");
    }
    for line in &rendering.left_out {
        let _infallible = writeln!(text, "# {line}");
    }
    for document in &rendering.documents {
        let _infallible = writeln!(text, "---\n{}", document.text.trim_end_matches('\n'));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::golden;
    use crate::plan::{SecretNaming, build};
    use crate::settings::edition;
    use crate::settings::tests::settings_of;

    /// A reviewer of a template sees in the difference of the file what changes on the cluster.
    #[test]
    fn each_edition_has_its_recorded_set() {
        let sets = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sets");
        for edition in edition::ALL {
            let text = format!(
                "[llm]\nmodel = \"openai/gpt-4o\"\n[deploy]\nedition = \"{}\"\nhost = \"openhands.example\"\n",
                edition.name
            );
            let plan = build(&settings_of(&text), SecretNaming::Placeholder, &[]).unwrap();
            let rendered = joined(&plan, &rendering(&plan, true).unwrap());
            // A release changes the version in the inventory, and nothing else.
            let rendered = rendered.replace(env!("CARGO_PKG_VERSION"), "VERSION");
            golden::assert_matches(&sets.join(edition.name).with_extension("yaml"), &rendered);
        }
    }
}
