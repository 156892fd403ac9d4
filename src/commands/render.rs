//! `render`: prints the manifests without a cluster. The same input gives the same bytes on every computer; the input
//! includes the provider of the cluster that `deploy` would choose.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use crate::diagnostic::Severity;
use crate::error::{Error, Result};
use crate::flags::Global;
use crate::object::kind::Wave;
use crate::object::{ObjectId, labels, literal_secret, yaml};
use crate::plan::desired::Member;
use crate::plan::{self, Plan, SecretNaming};
use crate::report::Streams;
use crate::session::cluster_session::{self, Secrets};

/// Print the manifests without a cluster
///
/// In order: read config.toml, build the manifests, print them in the order of applying. The same input gives the same
/// bytes. Secrets are not printed: the manifests name a Secret that you create. An extra manifest with a secret in clear
/// text is not printed either, so that nobody applies a mask in its place.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl render | kubectl diff --server-side --field-manager=handsctl -f -\n  handsctl render --split manifests --include-namespace"
)]
pub struct RenderArgs {
    /// Write one file per object into this folder instead of stdout; the names sort in the order of applying
    #[arg(long, value_name = "DIR")]
    pub split: Option<PathBuf>,
    /// Also print the namespaces that deploy would create
    #[arg(long)]
    pub include_namespace: bool,
}

/// Runs `render`.
pub(crate) fn run(global: &Global, arguments: &RenderArgs, streams: &Streams) -> anyhow::Result<u8> {
    let loaded = cluster_session::load(global, Secrets::Unread, streams)?;
    for warning in loaded.warnings.iter().filter(|warning| warning.severity == Severity::Warning) {
        streams.diagnostic(warning);
    }
    let settings = cluster_session::for_chosen_cluster(global, loaded.settings)?;
    let plan = plan::build(&settings, SecretNaming::Placeholder, &[])?;
    let rendering = rendering(&plan, arguments.include_namespace)?;
    for line in &rendering.left_out {
        streams.err(&format!("{line}\n"));
    }
    match &arguments.split {
        Some(folder) => write_files(folder, &rendering.documents)?,
        None => {
            let _written = streams.out(&joined(&plan, &rendering))?;
        }
    }
    Ok(0)
}

/// One object as text.
struct Document {
    id: ObjectId,
    wave: Wave,
    text: String,
}

/// What is printed of a plan.
struct Rendering {
    documents: Vec<Document>,
    /// The members that are not printed, with the reasons.
    left_out: Vec<String>,
}

fn rendering(plan: &Plan, with_namespaces: bool) -> Result<Rendering> {
    let namespaces = plan.namespaces.iter().filter(|_| with_namespaces).map(|(name, manifest)| {
        let text = yaml::write(&without_creator(manifest))?;
        Ok(Document { id: ObjectId::cluster("", "Namespace", name), wave: Wave::Foundation, text })
    });
    let mut documents = namespaces.collect::<Result<Vec<_>>>()?;
    let mut left_out = Vec::new();
    for member in &plan.members {
        if let Some(reason) = not_shown(member) {
            left_out.push(reason);
        } else {
            let text = yaml::write(&member.manifest)?;
            documents.push(Document { id: member.id.clone(), wave: member.kind.wave, text });
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

fn joined(plan: &Plan, rendering: &Rendering) -> String {
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

/// Writes one file per object: `20-deployment.apps-openhands.yaml`. `kubectl apply -f DIR` reads the files in the order
/// of their names, so each begins with the number of its wave. Names of another namespace than the first object's
/// have the namespace next.
fn write_files(folder: &Path, documents: &[Document]) -> Result<()> {
    let message = |path: &Path| format!("cannot write {}", path.display());
    std::fs::create_dir_all(folder).map_err(|error| Error::file(message(folder), error))?;
    let first_namespace = documents.iter().find_map(|document| document.id.namespace.clone());
    for Document { id, wave, text } in documents {
        let number = match wave {
            Wave::Foundation => "00",
            Wave::Configuration => "10",
            Wave::Workload => "20",
        };
        let other_namespace =
            id.namespace.iter().filter(|namespace| Some(*namespace) != first_namespace.as_ref());
        let prefix = other_namespace.map(|namespace| namespace.clone() + ".").collect::<String>();
        let path = folder.join(format!("{number}-{prefix}{}.yaml", id.to_string().replace('/', "-")));
        std::fs::write(&path, text).map_err(|error| Error::file(message(&path), error))?;
    }
    Ok(())
}
