//! `render`: prints the manifests without a cluster. The same input gives the same bytes on every computer; the input
//! includes the provider of the cluster that `deploy` would choose.

use std::path::PathBuf;

use clap::Args;

use super::missing_secret;
use super::rendering::{joined, rendering};
use super::write;
use crate::command_line::RepeatedFlags;
use crate::diagnostic::Severity;
use crate::flags::Global;
use crate::plan::{self, SecretNaming};
use crate::report::Streams;
use crate::session::cluster_session::{self, Secrets};

/// Print the manifests without a cluster
///
/// In order: read config.toml, build the manifests, print them in the order of applying. The same input gives the same
/// bytes. Secrets are not printed: the manifests name a Secret that you create. With --split, a file of a former render is
/// deleted if its object is the installation's own and is no longer rendered; files of extra manifests, and of another
/// namespace, stay. An extra manifest with a secret in clear text is not printed either, so that nobody applies a mask in
/// its place.
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
        Some(folder) => {
            let written = write::write(folder, &rendering.documents, &plan.set.name)?;
            let secret = missing_secret::commands(&plan);
            let flags = RepeatedFlags::new(global);
            for line in std::iter::once(written).chain(secret.iter().map(|line| flags.insert_into(line))) {
                streams.progress(&format!("{line}\n"));
            }
        }
        None => {
            let _written = streams.out(&joined(&plan, &rendering))?;
        }
    }
    Ok(0)
}
