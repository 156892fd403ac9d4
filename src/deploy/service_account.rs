//! Reads the ServiceAccount that `[deploy].service_account` names, before the first write.

use super::prepare::Preparation;
use crate::catalogue::Id;
use crate::cluster::client::api::Api;
use crate::error::{Error, Kind, Result};
use crate::object::ObjectId;
use crate::object::kind::SERVICE_ACCOUNT;
use crate::plan::PlanOrigin;
use crate::plan::checks::service_account::{self, AccountState};
use crate::session::runner::Run;
use crate::settings::Settings;

/// Checks that the pods of a changed configuration can use the named ServiceAccount.
///
/// # Errors
/// Exit 14 if it does not exist, or if this run would delete it.
pub(super) async fn ensure_usable(run: &Run<'_>, prepared: &Preparation) -> Result<()> {
    let settings = run.settings();
    let changes = &prepared.changes;
    let Some(account) = service_account::named(settings) else { return Ok(()) };
    if changes.is_empty() || changes.plan.origin != PlanOrigin::Configuration {
        return Ok(());
    }
    let is_planned = changes.plan.members.iter().any(|member| member.id == account);
    let state = if is_planned {
        AccountState::Usable
    } else if prepared.observed.members.contains_key(&account) {
        AccountState::Pruned
    } else {
        read(run.api(), settings.deploy.namespace.as_str(), &account).await?
    };
    fault(settings, &account, state).map_or(Ok(()), Err)
}

/// Returns the error for a ServiceAccount that the pod cannot use, with the commands of an administrator.
fn fault(settings: &Settings, account: &ObjectId, state: AccountState) -> Option<Error> {
    let namespace = settings.deploy.namespace.as_str();
    let error = |message: String| {
        Error::new(Id::ServiceAccountMissing, Kind::Prerequisite, message)
            .at_config(settings.locate("deploy.service_account"))
    };
    match state {
        AccountState::Usable | AccountState::Unknown => None,
        AccountState::Missing => {
            let message = format!("{account} does not exist in namespace {namespace}; nothing was changed");
            let commands =
                service_account::creating_commands(&account.name, namespace, settings.runtime_namespace());
            let labels = ["an administrator creates it", "its rights", "their binding"];
            let hints = labels.iter().zip(commands);
            Some(
                hints.fold(error(message), |error, (label, command)| {
                    error.hint(format!("{label}: {command}"))
                }),
            )
        }
        AccountState::Pruned => {
            let own = format!(
                "{account} is the installation's own, and is deleted once [deploy].service_account is set"
            );
            Some(
                error(format!("{own}; nothing was changed"))
                    .hint("name another one, which an administrator creates"),
            )
        }
    }
}

async fn read(api: &Api, namespace: &str, account: &ObjectId) -> Result<AccountState> {
    match api.get_opt(&SERVICE_ACCOUNT.in_namespace(namespace), &account.name).await {
        Ok(live) => Ok(service_account::state_of(live.as_ref())),
        Err(error) if error.code() == Some(403) => Ok(AccountState::Unknown),
        Err(error) => Err(error.into_error(&format!("cannot read {account} in namespace {namespace}"))),
    }
}
