//! Selects the provider and forwards the calls to it.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::cluster_spec::{ClusterSpec, Ports};
use super::cluster_status::{ClusterStatus, Details};
use super::engine::{self, Patience};
use super::environment::Environment;
use super::local_cluster::{
    Condition, DownResult, LocalCluster, LocalProvider, ProviderChoice, RECREATE_HINT, UpOptions,
};
use super::readyz::{self, Readiness};
use super::{kind, kubeconfig, kwok, private_file, state_file};
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::object::running_image::RunningImage;
use crate::settings::handsctl::Provider;

/// Selects the provider. `auto` selects the provider of the existing cluster with this name, else kind if a container
/// engine is usable, else kwok if there is no engine. `recreate`: the existing cluster may be deleted, so a simulated one
/// is chosen like a new one.
///
/// # Errors
/// `HC9003` if the record of the cluster with this name cannot be read; `HC2003` to `HC2005` for `auto` if there is an
/// engine that is not usable: a simulated cluster would hide that.
pub async fn choose(
    environment: &Environment,
    provider: Provider,
    name: &str,
    recreate: bool,
    events: &Events,
) -> Result<ProviderChoice> {
    let local = |maker, reason| Ok(ProviderChoice::Local { provider: maker, reason });
    match provider {
        Provider::Existing => Ok(ProviderChoice::Existing),
        Provider::Kwok => local(LocalProvider::Kwok, None),
        Provider::Kind => local(LocalProvider::Kind, None),
        Provider::Auto => match recorded_provider(environment, name)? {
            Some(LocalProvider::Kwok) if !recreate => {
                match engine::find(environment, Patience::Brief).await {
                    Ok(server) => local(
                        LocalProvider::Kwok,
                        Some(format!(
                            "{} runs, but cluster {name} is simulated, and no container will run; \
                         handsctl cluster up --recreate replaces it, with everything in it, by a real one; then handsctl up",
                            server.client.engine.name()
                        )),
                    ),
                    // The cluster is reused: without an engine there is no other choice.
                    Err(_no_engine) => local(LocalProvider::Kwok, None),
                }
            }
            Some(LocalProvider::Kind) => local(LocalProvider::Kind, None),
            Some(LocalProvider::Kwok) | None => match engine::find(environment, Patience::Told(events)).await
            {
                Ok(_) => local(LocalProvider::Kind, None),
                Err(none) if none.is_present() => Err(kind::no_engine_error(&none)
                    .hint("[cluster] provider = \"kwok\" simulates a cluster, without an engine")),
                Err(none) => local(
                    LocalProvider::Kwok,
                    Some(format!(
                        "no usable container engine ({}): simulated cluster, no container will run; \
                         once an engine runs, handsctl cluster up --recreate creates a real one, and handsctl up deploys to it",
                        none.summary()
                    )),
                ),
            },
        },
    }
}

/// Creates, starts or reuses the cluster. On success its API server is ready and the user's kubeconfig has its context.
///
/// # Errors
/// `HC2001` to `HC2011` if this computer lacks a prerequisite; `HC2020` if the cluster cannot be created or started;
/// `HC2021` if the existing cluster differs and `recreate` is false; `HC2022` if handsctl did not create the cluster
/// with this name.
pub async fn up(
    environment: &Environment,
    provider: LocalProvider,
    desired: &ClusterSpec,
    options: &UpOptions,
    events: &Events,
) -> Result<LocalCluster> {
    environment.ensure_folders()?;
    let name = desired.name.as_str();
    let other = recorded_provider(environment, name)?.filter(|other| *other != provider);
    if let Some(other) = other.filter(|_| !options.recreate) {
        return Err(provider_differs(name, other, provider));
    }
    // The new provider calls it once its checks have passed.
    let delete_other = async || match other {
        Some(LocalProvider::Kind) => {
            kind::delete_replaced(environment, name, options.kubeconfig.as_deref(), events).await
        }
        Some(LocalProvider::Kwok) => kwok::delete_replaced(environment, name, events).await,
        None => Ok(()),
    };
    private_file::folder(&environment.state).map_err(|error| {
        Error::file(format!("cannot create the folder {}", environment.state.display()), error)
    })?;
    match provider {
        LocalProvider::Kind => kind::up(environment, desired, options, delete_other, events).await,
        LocalProvider::Kwok => kwok::up(environment, desired, options, delete_other, events).await,
    }
}

fn provider_differs(name: &str, actual: LocalProvider, desired: LocalProvider) -> Error {
    let message = format!("the local cluster {name} differs from the configuration");
    Error::new(Id::ClusterDiffers, Kind::Differences, message)
        .fact("differs", format!("provider: {}, configured {}", actual.name(), desired.name()))
        .hint(RECREATE_HINT)
        .hint(format!("[cluster] provider = \"{}\", or another [cluster] name", actual.name()))
}

/// Deletes the cluster, its files and its context. `kubeconfig` is the file to remove the context from if the cluster's
/// record does not list one.
///
/// # Errors
/// `HC2023` if handsctl did not create the cluster with this name.
pub async fn down(
    environment: &Environment,
    provider: Provider,
    name: &str,
    kubeconfig: Option<&Path>,
    events: &Events,
) -> Result<DownResult> {
    environment.ensure_folders()?;
    let provider = provider_for(environment, provider, name)?;
    let result = delete(environment, provider, name, kubeconfig, events).await?;
    remove_failure_log(environment, name)?;
    Ok(result)
}

/// Removes the log of an earlier failure: nothing of the cluster is left then.
fn remove_failure_log(environment: &Environment, name: &str) -> Result<()> {
    let file = state_file::failure_log(&environment.state, name);
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::file(format!("cannot remove {}", file.display()), error))
        }
        _ => Ok(()),
    }
}

async fn delete(
    environment: &Environment,
    provider: LocalProvider,
    name: &str,
    kubeconfig: Option<&Path>,
    events: &Events,
) -> Result<DownResult> {
    match provider {
        LocalProvider::Kind => kind::down(environment, name, kubeconfig, events).await,
        LocalProvider::Kwok => kwok::down(environment, name, kubeconfig, events).await,
    }
}

/// Returns the status of the cluster, without a request to its API server.
///
/// # Errors
/// `HC9003` if the record of the cluster cannot be read.
pub async fn status(environment: &Environment, provider: Provider, name: &str) -> Result<ClusterStatus> {
    read_status(environment, provider, name, Patience::Brief).await
}

async fn read_status(
    environment: &Environment,
    provider: Provider,
    name: &str,
    patience: Patience<'_>,
) -> Result<ClusterStatus> {
    environment.ensure_folders()?;
    let provider = provider_for(environment, provider, name)?;
    let (condition, reason, kubeconfig, details) = match provider {
        LocalProvider::Kind => {
            let status = kind::status(environment, name, patience).await?;
            (status.condition, status.reason, status.kubeconfig, Details::Kind(status.details))
        }
        LocalProvider::Kwok => {
            let (condition, kubeconfig, details) = kwok::status(environment, name)?;
            (condition, None, kubeconfig, Details::Kwok(details))
        }
    };
    let (name, context) = (name.to_owned(), provider.context(name));
    let merged = state_file::merged_files(&environment.state, &name);
    Ok(ClusterStatus { name, context, condition, reason, kubeconfig, merged, details })
}

/// How long `cluster status` waits for the API server.
const STATUS_LIMIT: Duration = Duration::from_secs(4);

/// Returns the status of the cluster. If its parts are running, requests `/readyz` of its API server once.
///
/// # Errors
/// `HC9003` if the record or the kubeconfig of the cluster cannot be read.
pub async fn live_status(environment: &Environment, provider: Provider, name: &str) -> Result<ClusterStatus> {
    let mut status = read_status(environment, provider, name, Patience::Silent).await?;
    if status.condition != Condition::Running {
        return Ok(status);
    }
    let client = readyz::client(&status.kubeconfig).await?;
    let (condition, reason) = match readyz::readiness(&client, STATUS_LIMIT).await {
        Readiness::Ready => (Condition::Running, None),
        Readiness::NotReady(checks) if checks.is_empty() => (Condition::Starting, None),
        Readiness::NotReady(checks) => {
            (Condition::Starting, Some(format!("{} not ready", checks.join(", "))))
        }
        Readiness::Silent(cause) => (Condition::Unresponsive, Some(innermost(cause.as_ref()))),
    };
    (status.condition, status.reason) = (condition, reason);
    Ok(status)
}

/// Returns the innermost cause, which is the operating system's or the time limit's.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Returns the context of the cluster that handsctl created with this name. Cheap: reads one file.
pub fn recorded_context(environment: &Environment, name: &str) -> Result<Option<String>> {
    Ok(recorded_provider(environment, name)?.map(|provider| provider.context(name)))
}

/// Returns whether an API server is that of a cluster of simulated nodes that handsctl created, whatever its context is
/// called. Cheap: reads two files for each cluster.
///
/// # Errors
/// `HC9003` if the folder of the clusters or a cluster's kubeconfig cannot be read.
pub fn is_recorded_simulation(environment: &Environment, server: &str) -> Result<bool> {
    // kwok's API servers listen on loopback only (`kwok/start.rs`).
    if environment.without_home.is_some() || !server.starts_with("https://127.") {
        return Ok(false);
    }
    for name in state_file::names(&environment.state)? {
        // An unreadable record is reported by the commands on its own cluster.
        if !matches!(recorded_provider(environment, &name), Ok(Some(LocalProvider::Kwok))) {
            continue;
        }
        let recorded = kubeconfig::server(&kwok::own_kubeconfig(environment, &name))?;
        if recorded.is_some_and(|recorded| is_same_server(&recorded, server)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether two addresses are the same: one may end with a slash.
#[must_use]
pub fn is_same_server(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

/// Returns the address of the API server of the cluster that handsctl created with this name; None: there is no record,
/// or the cluster's own kubeconfig is lost. Cheap: reads two files.
///
/// # Errors
/// `HC9003` if the record or the cluster's kubeconfig cannot be read.
pub fn recorded_server(environment: &Environment, name: &str) -> Result<Option<String>> {
    let Some(provider) = recorded_provider(environment, name)? else { return Ok(None) };
    let kubeconfig = match provider {
        LocalProvider::Kind => kind::own_kubeconfig(environment, name),
        LocalProvider::Kwok => kwok::own_kubeconfig(environment, name),
    };
    kubeconfig::server(&kubeconfig)
}

/// Lists the differences of the cluster that handsctl created with this name from its desired state, each as
/// `workers: 0, configured 2`; empty if there is no record. Cheap: reads one file.
///
/// # Errors
/// `HC9003` if the record cannot be read.
pub fn recorded_differences(environment: &Environment, desired: &ClusterSpec) -> Result<Vec<String>> {
    match recorded_provider(environment, &desired.name)? {
        Some(LocalProvider::Kind) => kind::recorded_differences(environment, desired),
        Some(LocalProvider::Kwok) => kwok::recorded_differences(environment, desired),
        None => Ok(Vec::new()),
    }
}

/// Returns the ports that forward to the ingress controller, if handsctl created a kind cluster with this name.
#[must_use]
pub fn recorded_ports(environment: &Environment, name: &str) -> Option<Ports> {
    if environment.without_home.is_some() {
        return None;
    }
    kind::recorded_ports(environment, name)
}

/// Returns the name of the kind cluster of a context: kind names its contexts `kind-NAME`.
#[must_use]
pub fn kind_cluster(context: &str) -> Option<&str> {
    context.strip_prefix("kind-").filter(|name| !name.is_empty())
}

/// Checks this computer as the host of a kind cluster, and changes nothing.
///
/// # Errors
/// `HC9003` if a file of this computer cannot be read.
pub async fn inspect_host(
    environment: &Environment,
    desired: &ClusterSpec,
    kubeconfig: Option<&Path>,
) -> Result<kind::HostReport> {
    let options = UpOptions { recreate: false, kubeconfig: kubeconfig.map(Path::to_path_buf) };
    kind::inspect_host(environment, desired, &options).await
}

/// Loads images from this computer's container engine onto the nodes of a kind cluster, no matter who created it.
///
/// # Errors
/// `HC2001` to `HC2005` if no engine is usable; `HC2012` if the engine lacks required images; `HC2013` if it runs no
/// node of the cluster; `HC2014` if an image could not be loaded.
pub async fn load_images(
    environment: &Environment,
    cluster: &str,
    images: &[String],
    require: kind::Require,
    events: &Events,
) -> Result<Vec<kind::LoadedImage>> {
    environment.ensure_folders()?;
    kind::load(environment, cluster, images, require, events).await
}

/// Returns the nodes of a kind cluster whose container runtime has an image of this name; empty if the engine does not
/// respond. Queries the runtimes because a kubelet reports a new image up to a minute later.
pub async fn nodes_with_image(environment: &Environment, cluster: &str, image: &str) -> Vec<String> {
    kind::nodes_with(environment, cluster, image).await
}

/// Returns the running images of a kind cluster's pods that were replaced on their node by another image of the same
/// name, as after `image load` of a rebuilt image; empty if the engine does not respond.
pub async fn replaced_images<'a>(
    environment: &Environment,
    running: &'a [RunningImage],
) -> Vec<&'a RunningImage> {
    kind::replaced(environment, running).await
}

/// Returns the provider of the cluster with this name; None: handsctl created none.
fn recorded_provider(environment: &Environment, name: &str) -> Result<Option<LocalProvider>> {
    if environment.without_home.is_some() {
        return Ok(None);
    }
    state_file::provider(&state_file::clusters(&environment.state).join(name))
}

/// Returns the recorded provider of the cluster, else the configured one. A record of another version of handsctl names
/// its provider, too, and the files beside an unreadable one tell it.
///
/// # Errors
/// `HC9003` if the record is unreadable, and neither the files nor the configuration name the provider: the files of a cluster
/// must not be deleted while its nodes run.
fn provider_for(environment: &Environment, provider: Provider, name: &str) -> Result<LocalProvider> {
    let own = state_file::clusters(&environment.state).join(name);
    match (state_file::provider(&own), provider) {
        (Ok(Some(recorded)), _) => Ok(recorded),
        (Ok(None), Provider::Kind) => Ok(LocalProvider::Kind),
        (Ok(None), _) => Ok(LocalProvider::Kwok),
        (Err(error), configured) => match (state_file::likely_provider(&own), configured) {
            (Some(recorded), _) => Ok(recorded),
            (None, Provider::Kind) => Ok(LocalProvider::Kind),
            (None, Provider::Kwok) => Ok(LocalProvider::Kwok),
            (None, Provider::Auto | Provider::Existing) => {
                Err(error.hint("[cluster] provider = \"kind\" or \"kwok\" names the provider of the cluster"))
            }
        },
    }
}
