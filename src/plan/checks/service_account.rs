//! The ServiceAccount that `[deploy].service_account` names, and the commands that create it. Pure.

use serde_json::Value;

use crate::object::ObjectId;
use crate::object::kind::SERVICE_ACCOUNT;
use crate::settings::Settings;

/// The named ServiceAccount, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountState {
    /// It exists, and this run keeps it.
    Usable,
    /// It does not exist.
    Missing,
    /// It is the set's own of an earlier configuration, which this run deletes.
    Pruned,
    /// The account of this run may not read it. The server checks it, too, in the dry run of the pod.
    Unknown,
}

/// Returns the identity of the ServiceAccount that the configuration names; `None` if the set has its own.
#[must_use]
pub fn named(settings: &Settings) -> Option<ObjectId> {
    let name = settings.deploy.service_account.as_ref()?;
    Some(SERVICE_ACCOUNT.id(settings.deploy.namespace.as_str(), name.as_str()))
}

/// Returns the state of a ServiceAccount that this run does not create, from the live object.
#[must_use]
pub const fn state_of(live: Option<&Value>) -> AccountState {
    if live.is_some() { AccountState::Usable } else { AccountState::Missing }
}

/// Returns the commands with which an administrator creates the ServiceAccount, the Role of the application in the
/// sandboxes' namespace, and their binding.
#[must_use]
pub fn creating_commands(name: &str, namespace: &str, runtime: &str) -> [String; 3] {
    [
        format!("kubectl create serviceaccount {name} -n {namespace}"),
        format!(
            "kubectl create role {name} -n {runtime} --verb=get,create,delete \
             --resource=pods,services,persistentvolumeclaims,ingresses.networking.k8s.io"
        ),
        format!(
            "kubectl create rolebinding {name} -n {runtime} --role={name} --serviceaccount={namespace}:{name}"
        ),
    ]
}
