//! Namespaces: read before the first write, created if they are missing, never changed.

use kube::api::ListParams;
use serde_json::Value;

use crate::catalogue::Id;
use crate::cluster::client::api::{Api, ApiError};
use crate::error::{Error, Kind, Result};
use crate::event::{Action, Events, Phase};
use crate::object::kind::NAMESPACE;
use crate::object::{ObjectId, deletion};
use crate::plan::Plan;

/// The state of a namespace.
#[derive(Debug, Clone, PartialEq)]
pub enum NamespaceState {
    /// It exists.
    Present(Value),
    /// It does not exist.
    Absent,
    /// The account is not allowed to read it.
    Unknown,
}

/// Gets a namespace.
///
/// # Errors
/// Exit 8 if it is being deleted: objects applied into it would be rejected, or deleted with it.
pub async fn get(api: &Api, name: &str) -> Result<NamespaceState> {
    match get_even_terminating(api, name).await? {
        NamespaceState::Present(namespace) if namespace["status"]["phase"] == "Terminating" => {
            Err(terminating(name, &namespace))
        }
        state => Ok(state),
    }
}

/// Gets a namespace, even one that is being deleted.
///
/// # Errors
/// Fails if the server is unreachable or responds with an error other than forbidden.
pub async fn get_even_terminating(api: &Api, name: &str) -> Result<NamespaceState> {
    match api.get_opt(&NAMESPACE.collection(None), name).await {
        Ok(Some(namespace)) => Ok(NamespaceState::Present(namespace)),
        Ok(None) => Ok(NamespaceState::Absent),
        Err(ApiError::Status(status))
            if status.code == 403 && !status.message.contains("system:anonymous") =>
        {
            Ok(NamespaceState::Unknown)
        }
        Err(error) => Err(error.into_error(&format!("cannot read namespace {name}"))),
    }
}

/// Returns the names of all namespaces; none if the account may not list them. For an explanation only.
pub(crate) async fn names(api: &Api) -> Vec<String> {
    let Ok(list) = api.list(&NAMESPACE.collection(None), &ListParams::default()).await else {
        return Vec::new();
    };
    let names = list.items.iter().filter_map(|item| item["metadata"]["name"].as_str());
    names.map(str::to_owned).collect()
}

/// Returns the error for a namespace that is being deleted, with what holds it.
pub(crate) fn terminating(name: &str, namespace: &Value) -> Error {
    let since = namespace["metadata"]["deletionTimestamp"]
        .as_str()
        .map_or_else(String::new, |since| format!(" since {since}"));
    let mut error = Error::new(
        Id::NamespaceTerminating,
        Kind::Rejected,
        format!("namespace {name} has been terminating{since}"),
    );
    for blocker in deletion::namespace_blockers(namespace) {
        error = error.fact("evidence", blocker);
    }
    error
        .state("nothing was changed")
        .hint("wait until it is gone, then run the command again, or choose another with -n")
}

/// Creates the missing namespaces. Never changes an existing one.
///
/// # Errors
/// Exit 6 if the account is not allowed to create a missing one.
pub async fn create_missing(api: &Api, plan: &Plan, missing: &[String], events: &Events) -> Result<()> {
    for name in missing {
        let Some(manifest) = plan.namespaces.get(name) else { continue };
        let action = match api.create(&NAMESPACE.collection(None), manifest).await {
            Ok(_) => Action::Created,
            Err(error) if error.code() == Some(409) => continue,
            Err(error) if error.code() == Some(403) => return Err(missing_namespace(name)),
            Err(error) => return Err(error.into_error(&format!("cannot create namespace {name}"))),
        };
        events.object(Phase::Apply, ObjectId::cluster("", "Namespace", name), action, None).await;
    }
    Ok(())
}

/// Returns the error for a missing namespace that the account is not allowed to create.
#[must_use]
pub fn missing_namespace(name: &str) -> Error {
    Error::new(
        Id::NamespaceMissing,
        Kind::Forbidden,
        format!("namespace {name} does not exist and this account is not allowed to create it"),
    )
    .hint(format!("an administrator can create it: kubectl create namespace {name}"))
}
