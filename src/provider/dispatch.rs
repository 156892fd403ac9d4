//! Which provider is meant, and the calls to it.

use std::path::Path;

use super::cluster_spec::{ClusterSpec, Ports};
use super::cluster_status::{ClusterStatus, Details};
use super::environment::Environment;
use super::local_cluster::{DownResult, LocalCluster, LocalProvider, ProviderChoice, UpOptions};
use super::{engine, kind, kwok, state_file};
use crate::catalogue::Id;
use crate::error::{Error, Kind, Result};
use crate::event::Events;
use crate::settings::handsctl::Provider;

/// Decides what makes the cluster. `auto`: what made the one of this name, else kind where a container engine answers,
/// else kwok.
///
/// # Errors
/// Where the record of the cluster of this name cannot be read.
pub async fn choose(environment: &Environment, provider: Provider, name: &str) -> Result<ProviderChoice> {
    let local = |maker, reason| Ok(ProviderChoice::Local { maker, reason });
    match provider {
        Provider::Existing => Ok(ProviderChoice::Existing),
        Provider::Kwok => local(LocalProvider::Kwok, None),
        Provider::Kind => local(LocalProvider::Kind, None),
        Provider::Auto => match made_by(environment, name)? {
            Some(maker) => local(maker, None),
            None => match engine::find(environment).await {
                Ok(_) => local(LocalProvider::Kind, None),
                Err(none) => local(
                    LocalProvider::Kwok,
                    Some(format!("no container engine answers ({})", none.summary())),
                ),
            },
        },
    }
}

/// Makes, starts or leaves the cluster; afterwards its API server is ready and the user's kubeconfig has its context.
///
/// # Errors
/// `HC2001` to `HC2009`, `HC2010`, `HC2011` for what is missing on this computer; `HC2020` where it cannot be made or
/// started; `HC2021` where it differs and `recreate` is not asked for; `HC2022` where a cluster of this name is somebody
/// else's.
pub async fn up(
    environment: &Environment,
    maker: LocalProvider,
    wanted: &ClusterSpec,
    options: &UpOptions,
    events: &Events,
) -> Result<LocalCluster> {
    if let Some(other) = made_by(environment, &wanted.name)?.filter(|other| *other != maker) {
        if !options.recreate {
            return Err(other_maker(&wanted.name, other, maker));
        }
        delete(environment, other, &wanted.name, options.kubeconfig.as_deref(), events).await?;
    }
    match maker {
        LocalProvider::Kind => kind::up(environment, wanted, options, events).await,
        LocalProvider::Kwok => kwok::up(environment, wanted, options, events).await,
    }
}

fn other_maker(name: &str, other: LocalProvider, wanted: LocalProvider) -> Error {
    let message = format!("the local cluster {name} differs from what is wanted");
    Error::new(Id::ClusterDiffers, Kind::Differences, message)
        .fact("differs", format!("provider: {}, wanted {}", other.word(), wanted.word()))
        .hint("handsctl cluster up --recreate")
        .hint(format!("[cluster] provider = \"{}\", or another [cluster] name", other.word()))
}

/// Ends the cluster and removes its files and its context. `kubeconfig` is where the context is looked for when the
/// cluster does not know.
///
/// # Errors
/// `HC2023` where the cluster of this name was not made by handsctl.
pub async fn down(
    environment: &Environment,
    provider: Provider,
    name: &str,
    kubeconfig: Option<&Path>,
    events: &Events,
) -> Result<DownResult> {
    delete(environment, maker_of(environment, provider, name), name, kubeconfig, events).await
}

async fn delete(
    environment: &Environment,
    maker: LocalProvider,
    name: &str,
    kubeconfig: Option<&Path>,
    events: &Events,
) -> Result<DownResult> {
    match maker {
        LocalProvider::Kind => kind::down(environment, name, kubeconfig, events).await,
        LocalProvider::Kwok => kwok::down(environment, name, kubeconfig, events).await,
    }
}

/// How the cluster is, without changing anything or asking its API server.
///
/// # Errors
/// Where its record cannot be read.
pub async fn status(environment: &Environment, provider: Provider, name: &str) -> Result<ClusterStatus> {
    let maker = maker_of(environment, provider, name);
    let (condition, reason, kubeconfig, details) = match maker {
        LocalProvider::Kind => {
            let found = kind::status(environment, name).await?;
            (found.condition, found.reason, found.kubeconfig, Details::Kind(found.details))
        }
        LocalProvider::Kwok => {
            let (condition, kubeconfig, details) = kwok::status(environment, name)?;
            (condition, None, kubeconfig, Details::Kwok(details))
        }
    };
    let (name, context) = (name.to_owned(), maker.context(name));
    Ok(ClusterStatus { name, context, condition, reason, kubeconfig, details })
}

/// The context of the cluster that handsctl made under this name. Cheap: one look at a file.
pub fn made_context(environment: &Environment, name: &str) -> Result<Option<String>> {
    Ok(made_by(environment, name)?.map(|maker| maker.context(name)))
}

/// Where the ingress of the cluster that handsctl made under this name is reached, if its nodes are containers.
#[must_use]
pub fn made_ports(environment: &Environment, name: &str) -> Option<Ports> {
    kind::made_ports(environment, name)
}

/// The kind cluster that a context leads to: `kind-NAME` is kind's own name for it.
#[must_use]
pub fn kind_cluster(context: &str) -> Option<&str> {
    context.strip_prefix("kind-").filter(|name| !name.is_empty())
}

/// Brings images of this computer's container engine to the nodes of a kind cluster, whoever made it.
///
/// # Errors
/// `HC2001` to `HC2005` where no engine can be used; `HC2012` where the engine lacks images that it has to have; `HC2013` where it
/// has no node of the cluster; `HC2014` where the image did not get there.
pub async fn load_images(
    environment: &Environment,
    cluster: &str,
    images: &[String],
    needed: kind::Require,
    events: &Events,
) -> Result<Vec<kind::LoadedImage>> {
    kind::load(environment, cluster, images, needed, events).await
}

/// The nodes of a kind cluster that have an image of this name, by what their own runtime says: a kubelet says it up to
/// a minute later. None of them where the engine cannot be asked.
pub async fn nodes_with_image(environment: &Environment, cluster: &str, image: &str) -> Vec<String> {
    kind::nodes_with(environment, cluster, image).await
}

/// What made the cluster of this name; None where handsctl made none.
fn made_by(environment: &Environment, name: &str) -> Result<Option<LocalProvider>> {
    state_file::maker(&state_file::clusters(&environment.state).join(name))
}

/// What made the cluster of this name, also where its record is broken, or would make it.
fn maker_of(environment: &Environment, provider: Provider, name: &str) -> LocalProvider {
    match (made_by(environment, name), provider) {
        (Ok(Some(maker)), _) => maker,
        (_, Provider::Kind) => LocalProvider::Kind,
        _ => LocalProvider::Kwok,
    }
}
