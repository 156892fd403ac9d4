//! Namespaces: read before anything is sent, created where they are missing, never changed.

use serde_json::Value;

use crate::catalogue::Id;
use crate::cluster::client::api::{Api, ApiError};
use crate::error::{Error, Kind, Result};
use crate::event::{Action, Events, Phase};
use crate::object::ObjectId;
use crate::object::kind::NAMESPACE;
use crate::plan::Plan;

/// What is known of a namespace.
#[derive(Debug, Clone, PartialEq)]
pub enum NamespaceState {
    /// It is there.
    Present(Value),
    /// It is not there.
    Absent,
    /// The account may not look.
    Unknown,
}

/// Looks at a namespace.
///
/// # Errors
/// Exit 8 where it is being deleted: objects sent into it would be refused or deleted with it.
pub async fn get(api: &Api, name: &str) -> Result<NamespaceState> {
    match get_even_terminating(api, name).await? {
        NamespaceState::Present(namespace) if namespace["status"]["phase"] == "Terminating" => {
            Err(terminating(name, &namespace))
        }
        presence => Ok(presence),
    }
}

/// Looks at a namespace that may also be on its way out.
///
/// # Errors
/// Where there is no answer.
pub async fn get_even_terminating(api: &Api, name: &str) -> Result<NamespaceState> {
    match api.get_opt(&NAMESPACE.collection(None), name).await {
        Ok(Some(namespace)) => Ok(NamespaceState::Present(namespace)),
        Ok(None) => Ok(NamespaceState::Absent),
        Err(ApiError::Status(status))
            if status.code == 403 && !status.message.contains("system:anonymous") =>
        {
            Ok(NamespaceState::Unknown)
        }
        Err(fault) => Err(fault.into_error(&format!("cannot look at namespace {name}"))),
    }
}

fn terminating(name: &str, namespace: &Value) -> Error {
    let since = namespace["metadata"]["deletionTimestamp"].as_str().unwrap_or("some time");
    let mut error = Error::new(
        Id::NamespaceTerminating,
        Kind::Rejected,
        format!("namespace {name} is being deleted since {since}; nothing was changed"),
    );
    let conditions = namespace["status"]["conditions"].as_array();
    for condition in conditions.into_iter().flatten().filter(|condition| condition["status"] == "True") {
        if let Some(message) = condition["message"].as_str() {
            error = error.fact("evidence", message);
        }
    }
    error.hint("wait until it is gone and run the command again, or choose another with -n")
}

/// Makes the namespaces that are missing. A namespace that exists is never changed.
///
/// # Errors
/// Exit 6 where one is missing and may not be made.
pub async fn create_missing(api: &Api, plan: &Plan, missing: &[String], events: &Events) -> Result<()> {
    for name in missing {
        let Some(manifest) = plan.namespaces.get(name) else { continue };
        let action = match api.create(&NAMESPACE.collection(None), manifest).await {
            Ok(_) => Action::Created,
            Err(fault) if fault.code() == Some(409) => continue,
            Err(fault) if fault.code() == Some(403) => return Err(missing_namespace(name)),
            Err(fault) => return Err(fault.into_error(&format!("cannot create namespace {name}"))),
        };
        events.object(Phase::Apply, ObjectId::cluster("", "Namespace", name), action, None).await;
    }
    Ok(())
}

/// The error for a namespace that is not there and may not be made.
#[must_use]
pub fn missing_namespace(name: &str) -> Error {
    Error::new(
        Id::NamespaceMissing,
        Kind::Forbidden,
        format!("namespace {name} does not exist and this account may not create it"),
    )
    .hint(format!("an administrator creates it: kubectl create namespace {name}"))
}
