//! The snapshots of the installation's volume, which stay after a teardown.

use crate::cluster::volume::snapshot;
use crate::error::{Kind, Result};
use crate::object::ObjectId;
use crate::object::kind::VOLUME_SNAPSHOT;
use crate::object::volume_snapshot::{restore_size, source_claim};
use crate::session::runner::Run;

/// Lists the installation's snapshots in a namespace, each with the reason why it stays. A missing right is only a warning,
/// because the installation is already deleted.
///
/// # Errors
/// The API server does not answer.
pub(super) async fn list(run: &Run<'_>, namespace: &str) -> Result<Vec<(ObjectId, String)>> {
    // Without the API, an account without the right would be warned of nothing.
    if !snapshot::has_api(run.api()).await? {
        return Ok(Vec::new());
    }
    let snapshots = match snapshot::list(run.api(), namespace, &run.session.set().name).await {
        Err(error) if error.kind() == Kind::Forbidden => {
            run.events().warn(error.id(), error.with_causes()).await;
            return Ok(Vec::new());
        }
        snapshots => snapshots?,
    };
    let kept = snapshots.iter().filter_map(|snapshot| {
        let name = snapshot["metadata"]["name"].as_str()?;
        let claim = source_claim(snapshot).unwrap_or("unknown");
        let size = restore_size(snapshot).unwrap_or("size unknown");
        let command = format!("kubectl delete volumesnapshot {name} -n {namespace}");
        let reason = format!("a snapshot of volume claim {claim}, {size}; {command} deletes it");
        Some((VOLUME_SNAPSHOT.id(namespace, name), reason))
    });
    Ok(kept.collect())
}
