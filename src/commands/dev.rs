//! `dev`: a command of this computer as if it ran in the pod of profile `dev`.

use super::session::{self, Session};
use crate::catalogue::Id;
use crate::cli::{DevArgs, Global};
use crate::error::{Error, Kind, Result};
use crate::object::kind::DEPLOYMENT;
use crate::plan::manifests::values::DEV_TARGET;
use crate::provider::Environment;
use crate::provider::mirrord::{self, Target};

/// Runs `dev`.
pub(super) async fn run(global: &Global, arguments: &DevArgs) -> anyhow::Result<u8> {
    let loaded = session::load_without_secrets(global)?;
    let session = Session::to_read(global, loaded).await?;
    session.server_version().await?;
    deployed(&session).await?;
    let target = Target {
        target: format!("deployment/{DEV_TARGET}"),
        namespace: session.settings.deploy.namespace.to_string(),
        context: session.connection.choice.context.clone(),
        kubeconfig: global.kubeconfig.clone(),
    };
    Ok(mirrord::exec(&Environment::read()?, &target, &arguments.command).await?)
}

/// # Errors
/// Exit 12 where there is no pod to run in.
async fn deployed(session: &Session) -> Result<()> {
    let namespace = &session.settings.deploy.namespace;
    let path = format!("{}/{DEV_TARGET}", DEPLOYMENT.path(Some(namespace.as_str())));
    let found = session.connection.api.find(&path).await;
    let found =
        found.map_err(|fault| session.explain(fault.explain(&format!("cannot look for {DEV_TARGET}"))))?;
    if found.is_some() {
        return Ok(());
    }
    let message = format!("there is no deployment/{DEV_TARGET} in namespace {namespace}");
    Err(Error::new(Id::NothingDeployed, Kind::Down, message)
        .hint("handsctl deploy makes it, with [deploy] profile = \"dev\""))
}
