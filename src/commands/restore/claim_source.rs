//! The claim that is made from a snapshot, so that the next deploy has nothing to change.

use serde_json::Value;

use crate::catalogue::Id;
use crate::cluster::client::api::Api;
use crate::cluster::client::request::ApplyOptions;
use crate::error::{Error, Kind, Result};
use crate::object::kind::CLAIM;
use crate::object::managed_fields;
use crate::plan::changes::new_manifest;
use crate::plan::inventory::apply_set::PART_OF;
use crate::plan::manifests::volume_snapshot::{restored_claim, restored_fields, without_uid};
use crate::plan::{self, SecretNaming};
use crate::session::runner::Run;

/// Returns the claim as handsctl has applied it. If it does not exist, or an interrupted restore has only begun to create
/// it: as the configuration has it.
///
/// # Errors
/// Exit 7 if another tool has applied it; exit 2 if it names its volume; exit 14 if neither the cluster nor the
/// configuration has it.
pub(super) fn applied(run: &Run<'_>, name: &str, live: Option<&Value>) -> Result<Value> {
    let set = run.session.set();
    let is_begun = |live: &Value| live["metadata"]["labels"][PART_OF] == set.id();
    let applied = match live {
        Some(live) => match managed_fields::applied_manifest(live) {
            None if !is_begun(live) => {
                let message = format!("volume claim {name} is not of this installation; nothing was changed");
                return Err(Error::new(Id::ForeignObject, Kind::Ownership, message).hint(
                    "create a volume claim from the snapshot, and name it in [deploy].existing_claim",
                ));
            }
            applied => applied,
        },
        None => None,
    };
    let applied = match applied {
        Some(applied) => applied,
        None => planned(run, name)?.ok_or_else(|| {
            let message = format!("volume claim {name} does not exist");
            Error::new(Id::ClaimMissing, Kind::Prerequisite, message).hint("handsctl deploy creates it")
        })?,
    };
    match applied["spec"]["volumeName"].as_str() {
        None => Ok(applied),
        Some(volume) => {
            let message = format!(
                "volume claim {name} names persistentvolume/{volume}, so nothing else can be its volume"
            );
            Err(Error::new(Id::SnapshotUnusable, Kind::Usage, message)
                .hint("without [deploy].volume, the storage class makes the volume"))
        }
    }
}

/// Returns the claim of the configuration.
fn planned(run: &Run<'_>, name: &str) -> Result<Option<Value>> {
    let plan = plan::build(run.settings(), SecretNaming::Placeholder, &[])?;
    let id = CLAIM.id(&plan.set.namespace, name);
    let member = plan.members.iter().find(|member| member.id == id);
    Ok(member.map(|member| new_manifest(member, &plan.set)))
}

/// Creates the claim. Another field manager than that of a deploy owns the source and nothing else: a deploy would remove
/// what it owns and does not apply, and the source of a claim is immutable.
///
/// # Errors
/// The server rejects the claim.
pub(super) async fn create_from_snapshot(api: &Api, applied: &Value, snapshot: &str) -> Result<()> {
    let namespace = applied["metadata"]["namespace"].as_str().unwrap_or_default();
    let name = applied["metadata"]["name"].as_str().unwrap_or_default();
    let claims = CLAIM.in_namespace(namespace);
    let action = format!("cannot create volume claim {name} from volume snapshot {snapshot}");
    let created = api.apply_as_restore(&claims, &restored_claim(applied, snapshot)).await;
    created.map_err(|error| error.into_error(&action))?;
    let options = ApplyOptions { dry_run: false, force: true };
    let owned = api.apply(&claims, &without_uid(applied), options).await;
    owned.map_err(|error| error.into_error(&action))?;
    let released = api.apply_as_restore(&claims, &restored_fields(applied, snapshot)).await;
    released.map(drop).map_err(|error| error.into_error(&action))
}
