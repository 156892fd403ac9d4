//! The fault of the ServiceAccount that `[deploy].service_account` names. Pure.

use serde_json::Value;

use crate::catalogue::Id;
use crate::error::{Error, Kind};
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
    /// The account of this run may not read it.
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
pub fn state_of(live: Option<&Value>) -> AccountState {
    if live.is_some() { AccountState::Usable } else { AccountState::Missing }
}

/// Returns the error for a ServiceAccount that the pod cannot use: exit 14, with the commands of an administrator.
/// `None` if it is usable, and if that is unknown: the server also checks it, in the dry run of the pod.
#[must_use]
pub fn fault(settings: &Settings, account: &ObjectId, state: AccountState) -> Option<Error> {
    let (name, namespace) = (&account.name, settings.deploy.namespace.as_str());
    let message = match state {
        AccountState::Usable | AccountState::Unknown => return None,
        AccountState::Missing => {
            format!("{account} does not exist in namespace {namespace}; nothing was changed")
        }
        AccountState::Pruned => {
            let own =
                format!("{account} is the set's own, and is deleted once [deploy].service_account is set");
            let error = error(settings, format!("{own}; nothing was changed"));
            return Some(error.hint("name another one, which an administrator creates"));
        }
    };
    let runtime = settings.runtime_namespace();
    Some(
        error(settings, message)
            .hint(format!("an administrator creates it: kubectl create serviceaccount {name} -n {namespace}"))
            .hint(format!(
                "its rights: kubectl create role {name} -n {runtime} --verb=get,create,delete \
                 --resource=pods,services,persistentvolumeclaims,ingresses.networking.k8s.io"
            ))
            .hint(format!(
                "their binding: kubectl create rolebinding {name} -n {runtime} --role={name} \
                 --serviceaccount={namespace}:{name}"
            )),
    )
}

fn error(settings: &Settings, message: String) -> Error {
    Error::new(Id::ServiceAccountMissing, Kind::Prerequisite, message)
        .at_config(settings.locate("deploy.service_account"))
}
