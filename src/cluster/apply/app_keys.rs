//! Stores the keys of an application that keeps its settings itself, and what was done with them.

use serde_json::{Value, json};

use super::inventory;
use crate::catalogue::Id;
use crate::cluster::client::api::Api;
use crate::error::{Error, Kind, Result};
use crate::event::{Action, Events, Phase};
use crate::object::ObjectId;
use crate::object::kind::{CLAIM, SECRET};
use crate::object::labels;
use crate::plan::inventory::app_keys::{AppKeys, StoredAppKeys, TYPE, is_of_set, stored};
use crate::plan::inventory::apply_set::ApplySet;
use crate::plan::inventory::given_settings::GivenSettings;
use crate::plan::manifests::values;

/// Generates the keys and stores them in a Secret of their own.
///
/// # Errors
/// Exit 7 if a Secret of that name exists; the server rejects it; this computer returns no random numbers.
pub async fn create(api: &Api, set: &ApplySet, events: &Events) -> Result<AppKeys> {
    let keys = AppKeys::generate(inventory::fill_random)?;
    let (id, manifest) = (secret_id(set), keys.manifest(set));
    inventory::create_secret(api, id, &manifest, || foreign_error(set), events).await?;
    Ok(keys)
}

/// Replaces the key of the application's API by a new one; the pods that start afterwards accept both.
///
/// # Errors
/// As [`store_api_keys`]; this computer returns no random numbers.
pub async fn rotate(api: &Api, set: &ApplySet, keys: AppKeys, events: &Events) -> Result<AppKeys> {
    let rotated = keys.rotated(inventory::fill_random)?;
    store_api_keys(api, set, &rotated, events).await?;
    Ok(rotated)
}

/// Stores the keys of the application's API in its Secret.
///
/// # Errors
/// The server rejects the change, such as that of an immutable Secret.
pub async fn store_api_keys(api: &Api, set: &ApplySet, keys: &AppKeys, events: &Events) -> Result<()> {
    let id = secret_id(set);
    let secrets = SECRET.in_namespace(&set.namespace);
    let patched = api.merge_patch(&secrets, &id.name, &keys.patch_of_api_keys()).await;
    patched.map_err(|error| error.into_error(&format!("cannot patch {id}")))?;
    events.object(Phase::Apply, id, Action::Configured, None).await;
    Ok(())
}

/// Returns the id of the Secret with the keys.
#[must_use]
pub fn secret_id(set: &ApplySet) -> ObjectId {
    SECRET.id(&set.namespace, &values::app_keys_name(&set.name))
}

/// Reads the keys of a deployed application.
///
/// # Errors
/// The account may not read the Secret. Exit 7 if it is not of this installation.
pub async fn read(api: &Api, set: &ApplySet) -> Result<StoredAppKeys> {
    let id = secret_id(set);
    let secret = api.get_opt(&SECRET.in_namespace(&set.namespace), &id.name).await;
    let secret = secret.map_err(|error| error.into_error(&format!("cannot get {id}")))?;
    match secret {
        None => Ok(StoredAppKeys::Absent),
        Some(secret) if is_of_set(&secret, set) => Ok(stored(set, &[secret])),
        Some(_) => Err(foreign_error(set)),
    }
}

/// Checks that no Secret of another has the name of the keys. Without the right to read it, its creation tells.
///
/// # Errors
/// Exit 7 if there is one.
pub async fn ensure_unused_name(api: &Api, set: &ApplySet) -> Result<()> {
    match api.get_opt(&SECRET.in_namespace(&set.namespace), &secret_id(set).name).await {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(foreign_error(set)),
        Err(error) if error.code() == Some(403) => Ok(()),
        Err(error) => Err(error.into_error(&format!("cannot get {}", secret_id(set)))),
    }
}

fn foreign_error(set: &ApplySet) -> Error {
    let id = secret_id(set);
    let message = format!("{id} in namespace {} does not hold the keys of this installation", set.namespace);
    Error::new(Id::ForeignObject, Kind::Ownership, message)
        .hint(format!(
            "if it was restored from a backup: it needs the type {TYPE} and the label {}={}",
            labels::INSTANCE,
            set.name
        ))
        .hint("otherwise choose another name with --name or [deploy].name")
}

/// Records on a claim which key encrypts the secrets on its volume. Writes nothing if it says so already.
///
/// # Errors
/// The claim cannot be read, or the server rejects the annotation.
pub async fn record_encryption(api: &Api, claim: &ObjectId, keys: &AppKeys) -> Result<()> {
    let live = get_claim(api, claim).await?;
    if live["metadata"]["annotations"][labels::ENCRYPTED_BY] == keys.fingerprint().as_str() {
        return Ok(());
    }
    annotate(api, claim, json!({ labels::ENCRYPTED_BY: keys.fingerprint() })).await
}

/// Returns which settings the application on a claim's volume got.
///
/// # Errors
/// The claim cannot be read.
pub async fn given_settings(api: &Api, claim: &ObjectId) -> Result<GivenSettings> {
    Ok(GivenSettings::of_claim(&get_claim(api, claim).await?))
}

/// Records which settings the application on a claim's volume got.
///
/// # Errors
/// The server rejects the annotations.
pub async fn record_given_settings(api: &Api, claim: &ObjectId, given: &GivenSettings) -> Result<()> {
    annotate(api, claim, given.annotations()).await
}

async fn get_claim(api: &Api, claim: &ObjectId) -> Result<Value> {
    let claims = CLAIM.in_namespace(claim.namespace.as_deref().unwrap_or_default());
    let live = api.get_opt(&claims, &claim.name).await;
    Ok(live.map_err(|error| error.into_error(&format!("cannot get {claim}")))?.unwrap_or_default())
}

async fn annotate(api: &Api, claim: &ObjectId, annotations: Value) -> Result<()> {
    let claims = CLAIM.in_namespace(claim.namespace.as_deref().unwrap_or_default());
    let patch = json!({ "metadata": { "annotations": annotations } });
    let patched = api.merge_patch(&claims, &claim.name, &patch).await;
    patched.map(drop).map_err(|error| error.into_error(&format!("cannot annotate {claim}")))
}
