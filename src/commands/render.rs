//! `render`: prints the manifests without a cluster. The same input gives the same bytes on every computer.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::diagnostic::Severity;
use crate::error::{Error, Result};
use crate::flags::Global;
use crate::object::{ObjectId, yaml};
use crate::plan::{self, Plan, SecretNaming};
use crate::report::Streams;
use crate::session::cluster_session::{self, Secrets};

/// Print the manifests without a cluster; the same input gives the same bytes
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  handsctl render | kubectl diff --server-side -f -\n  handsctl render --split manifests --include-namespace"
)]
pub struct RenderArgs {
    /// Write one file per object into this folder instead of stdout
    #[arg(long, value_name = "DIR")]
    pub split: Option<PathBuf>,
    /// Also print the namespaces that deploy would create
    #[arg(long)]
    pub include_namespace: bool,
}

/// Runs `render`.
pub(crate) fn run(global: &Global, arguments: &RenderArgs, streams: &Streams) -> anyhow::Result<u8> {
    let loaded = cluster_session::load(global, Secrets::Unneeded)?;
    for warning in loaded.warnings.iter().filter(|warning| warning.severity == Severity::Warning) {
        streams.diagnostic(warning);
    }
    let plan = plan::build(&loaded.settings, SecretNaming::Placeholder, &[])?;
    let documents = documents(&plan, arguments.include_namespace)?;
    match &arguments.split {
        Some(folder) => write_files(folder, &documents)?,
        None => {
            let _written = streams.out(&joined(&plan, &documents))?;
        }
    }
    Ok(0)
}

fn documents(plan: &Plan, with_namespaces: bool) -> Result<Vec<(ObjectId, String)>> {
    let namespaces = plan
        .namespaces
        .iter()
        .filter(|_| with_namespaces)
        .map(|(name, manifest)| Ok((ObjectId::cluster("", "Namespace", name), yaml::write(manifest)?)));
    let members = plan.members.iter().map(|member| Ok((member.id.clone(), yaml::write(&member.manifest)?)));
    namespaces.chain(members).collect()
}

fn joined(plan: &Plan, documents: &[(ObjectId, String)]) -> String {
    let mut text = String::new();
    for (name, source) in &plan.secret_sources {
        let _infallible = writeln!(text, "# not shown: {name}, from {source}");
    }
    for (_, document) in documents {
        let _infallible = writeln!(text, "---\n{}", document.trim_end_matches('\n'));
    }
    text
}

/// Writes one file per object: `deployment.apps-openhands.yaml`. Files of another namespace than the first object's
/// start with the namespace.
fn write_files(folder: &Path, documents: &[(ObjectId, String)]) -> Result<()> {
    let message = |path: &Path| format!("cannot write {}", path.display());
    std::fs::create_dir_all(folder).map_err(|error| Error::io(message(folder), error))?;
    let first_namespace = documents.iter().find_map(|(id, _)| id.namespace.clone());
    for (id, document) in documents {
        let other_namespace =
            id.namespace.iter().filter(|namespace| Some(*namespace) != first_namespace.as_ref());
        let prefix = other_namespace.map(|namespace| namespace.clone() + ".").collect::<String>();
        let path = folder.join(format!("{prefix}{}.yaml", id.to_string().replace('/', "-")));
        std::fs::write(&path, document).map_err(|error| Error::io(message(&path), error))?;
    }
    Ok(())
}
