//! Other applications whose sandboxes may be in the namespace.

use crate::catalogue::Id;
use crate::cluster::access::rules::as_rules;
use crate::cluster::app::sandbox_objects::{self, OtherApplications};
use crate::error::Result;
use crate::session::runner::Run;

/// Reports other applications of the namespace, and returns whether an unknown conversation may be theirs. `deleted` is
/// what happens to conversations that are known: `cleared`.
pub(in crate::commands) async fn report(run: &Run<'_>, namespace: &str, deleted: &str) -> Result<bool> {
    let own = run.settings().deploy.name.as_str();
    let message = match sandbox_objects::other_applications(run.api(), namespace, own).await? {
        OtherApplications::None => return Ok(false),
        OtherApplications::Named(names) => {
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            format!(
                "{names} can have sandboxes in namespace {namespace}, too: only conversations that `{own}` knows are {deleted}"
            )
        }
        OtherApplications::Unknown(missing) => format!(
            "whether another application has sandboxes in namespace {namespace} is unknown, so only conversations that \
             `{own}` knows are {deleted}; the account needs the rule {}",
            as_rules(&missing).join("; ")
        ),
    };
    run.events().warn(Id::ForeignObject, message).await;
    Ok(true)
}
