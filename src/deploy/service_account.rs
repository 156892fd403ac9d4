//! Reads the ServiceAccount that `[deploy].service_account` names, before the first write.

use super::prepare::Preparation;
use crate::cluster::client::api::Api;
use crate::error::Result;
use crate::object::ObjectId;
use crate::object::kind::SERVICE_ACCOUNT;
use crate::plan::PlanOrigin;
use crate::plan::checks::service_account::{self, AccountState};
use crate::session::runner::Run;

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
    service_account::fault(settings, &account, state).map_or(Ok(()), Err)
}

async fn read(api: &Api, namespace: &str, account: &ObjectId) -> Result<AccountState> {
    match api.get_opt(&SERVICE_ACCOUNT.in_namespace(namespace), &account.name).await {
        Ok(live) => Ok(service_account::state_of(live.as_ref())),
        Err(error) if error.code() == Some(403) => Ok(AccountState::Unknown),
        Err(error) => Err(error.into_error(&format!("cannot read {account} in namespace {namespace}"))),
    }
}
