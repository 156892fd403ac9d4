//! The keys of an application that keeps its settings itself: without the one that encrypts the secrets on its volume,
//! these are lost, so no run replaces it.

use serde_json::Value;

use super::prepare::Preparation;
use crate::catalogue::Id;
use crate::cluster::apply::app_keys;
use crate::error::{Error, Kind, Result};
use crate::object::ObjectId;
use crate::object::kind::{CLAIM, DEPLOYMENT};
use crate::object::pod_spec;
use crate::plan::checks::app_keys::{self as checks, KeyFault, fault};
use crate::plan::inventory::app_keys::{StoredAppKeys, reads_keys};
use crate::plan::inventory::members::Members;
use crate::session::hidden_keys;
use crate::session::runner::Run;

/// Checks before the first write that nobody else has a Secret with the name of the keys that the planned application
/// reads. Their creation finds one that somebody makes later.
///
/// # Errors
/// Exit 7 if the Secret is not of this installation.
pub(super) async fn ensure_unused_name(run: &Run<'_>, prepared: &Preparation) -> Result<()> {
    if mounted_claim(prepared).is_some() && prepared.state.app_keys == StoredAppKeys::Absent {
        app_keys::ensure_unused_name(run.api(), &prepared.state.set).await?;
    }
    Ok(())
}

/// Checks that the keys in the cluster are those of the volume that the planned application mounts.
///
/// # Errors
/// Exit 14 if they are missing, incomplete or others.
pub(super) fn ensure_of_volume(run: &Run<'_>, prepared: &Preparation) -> Result<()> {
    match mounted_claim(prepared) {
        Some(claim) => ensure(run, &prepared.state.app_keys, &claim, &prepared.observed.members),
        None => Ok(()),
    }
}

/// The same before the pods of the deployed application are replaced: a new pod reads the Secret as it is then. Returns its
/// keys; absent ones for an application that reads none.
///
/// # Errors
/// As [`ensure_of_volume`]; exit 7 if the Secret is not of this installation.
pub(crate) async fn ensure_of_restarted(run: &Run<'_>, live: &Members) -> Result<StoredAppKeys> {
    let set = run.session.set();
    let reading = live.iter().find(|(id, object)| is_reading(id, object, &set.name));
    let Some(claim) = reading.and_then(|(_, deployment)| claim_of(deployment, &set.namespace)) else {
        return Ok(StoredAppKeys::Absent);
    };
    let stored = app_keys::read(run.api(), &set).await?;
    ensure(run, &stored, &claim, live)?;
    Ok(stored)
}

fn ensure(run: &Run<'_>, stored: &StoredAppKeys, claim: &ObjectId, live: &Members) -> Result<()> {
    hide(run, stored);
    match fault(stored, live.get(claim)) {
        None => Ok(()),
        Some(fault) => Err(unreadable(run, claim, fault)),
    }
}

/// Hides the keys in every output from now on: the last lines of a failed application, which the run quotes, may have them.
fn hide(run: &Run<'_>, stored: &StoredAppKeys) {
    if let StoredAppKeys::Keys(keys) = stored {
        hidden_keys::hide(run.session, keys);
    }
}

fn unreadable(run: &Run<'_>, claim: &ObjectId, fault: KeyFault) -> Error {
    let secret = app_keys::secret_id(&run.session.set());
    let message = match fault {
        KeyFault::Incomplete => {
            format!("{secret} lacks a key that the application reads, or has an empty one")
        }
        KeyFault::Missing => {
            format!("{secret} does not exist, and its secret-key encrypts the secrets on {claim}")
        }
        KeyFault::Other => format!(
            "{secret} has another secret-key than the one that encrypts the secrets on {claim}: the application \
             could not read them"
        ),
    };
    let name = &run.settings().deploy.name;
    Error::new(Id::EncryptionKeyChanged, Kind::Prerequisite, format!("{message}; nothing was changed"))
        .hint("put the Secret back as it was, with its labels and its type, from your backup of it")
        .hint(format!("an application with a new volume: handsctl deploy --name {name}-2; this one is kept"))
}

/// Returns the error for an application that answers 401 to the key of the Secret.
pub(crate) fn rejected(run: &Run<'_>) -> Error {
    checks::rejected(&app_keys::secret_id(&run.session.set()), Kind::Rollout)
}

/// Stores new keys if the planned application reads keys and there are none.
///
/// # Errors
/// As [`app_keys::create`].
pub(super) async fn store_missing(run: &Run<'_>, prepared: &mut Preparation) -> Result<()> {
    if mounted_claim(prepared).is_some() && prepared.state.app_keys == StoredAppKeys::Absent {
        let keys = app_keys::create(run.api(), &prepared.state.set, run.events()).await?;
        prepared.state.app_keys = StoredAppKeys::Keys(keys);
        hide(run, &prepared.state.app_keys);
    }
    Ok(())
}

/// Records on the claim of the applied application which key encrypts the secrets on its volume, before the application
/// has stored any.
///
/// # Errors
/// The claim cannot be read, or the server rejects the annotation.
pub(super) async fn record_on_volume(run: &Run<'_>, prepared: &Preparation) -> Result<()> {
    let StoredAppKeys::Keys(keys) = &prepared.state.app_keys else { return Ok(()) };
    let Some(claim) = mounted_claim(prepared) else { return Ok(()) };
    app_keys::record_encryption(run.api(), &claim, keys).await
}

/// Returns the claim that the planned application mounts; None if it reads no keys.
pub(super) fn mounted_claim(prepared: &Preparation) -> Option<ObjectId> {
    let (plan, set) = (&prepared.changes.plan, &prepared.state.set);
    let mut members = plan.members.iter();
    let application = members.find(|member| is_reading(&member.id, &member.manifest, &set.name))?;
    claim_of(&application.manifest, &set.namespace)
}

fn is_reading(id: &ObjectId, object: &Value, set: &str) -> bool {
    id.kind == DEPLOYMENT.kind && id.name == set && reads_keys(object)
}

fn claim_of(deployment: &Value, namespace: &str) -> Option<ObjectId> {
    pod_spec::claim_names(deployment).next().map(|name| CLAIM.id(namespace, name))
}
