//! A look at the cluster before anything is planned or changed.

use std::collections::BTreeMap;

use futures::future::{join_all, try_join_all};
use serde_json::Value;

use super::api::{Api, Fault};
use super::ground::{self, Presence};
use crate::catalogue::Id;
use crate::error::Result;
use crate::event::Events;
use crate::plan::SecretKey;
use crate::plan::apply_set::ApplySet;
use crate::plan::kind::SECRET;

/// What was seen.
#[derive(Debug)]
pub struct Survey {
    /// Namespaces of the set.
    pub namespaces: BTreeMap<String, Presence>,
    /// The set's parent.
    pub parent: Option<Value>,
    /// The key of the set's secret names, and whether it is stored already; None where no Secret is needed.
    pub key: Option<(SecretKey, bool)>,
    /// resourceVersion of each referenced Secret that may be read.
    pub secret_versions: BTreeMap<String, String>,
}

impl Survey {
    /// Namespaces that have to be made. Where the account may not look, the server will tell.
    #[must_use]
    pub fn missing_namespaces(&self) -> Vec<String> {
        let absent = self.namespaces.iter().filter(|(_, presence)| **presence == Presence::Absent);
        absent.map(|(name, _)| name.clone()).collect()
    }
}

/// Looks at everything that does not depend on the plan, all at the same time.
///
/// # Errors
/// A namespace that is being deleted, a parent of somebody else's, a key that cannot be read.
pub async fn survey(
    api: &Api,
    set: &ApplySet,
    wants_key: bool,
    references: &[&str],
    events: &Events,
) -> Result<Survey> {
    let namespaces = async {
        let looks = set
            .namespaces()
            .into_iter()
            .map(|name| async move { Ok((name.to_owned(), ground::look(api, name).await?)) });
        Ok(try_join_all(looks).await?.into_iter().collect())
    };
    let key = async { if wants_key { ground::key(api, set).await.map(Some) } else { Ok(None) } };
    let (namespaces, parent, key, secret_versions) =
        tokio::join!(namespaces, ground::parent(api, set), key, versions_of(api, set, references, events));
    Ok(Survey { namespaces: namespaces?, parent: parent?, key: key?, secret_versions })
}

async fn versions_of(api: &Api, set: &ApplySet, names: &[&str], events: &Events) -> BTreeMap<String, String> {
    let reads = names.iter().map(|name| async move {
        let path = format!("{}/{name}", SECRET.path(Some(&set.namespace)));
        match api.find(&path).await {
            Ok(Some(secret)) => {
                Some(((*name).to_owned(), secret["metadata"]["resourceVersion"].as_str()?.to_owned()))
            }
            Ok(None) => {
                let message = format!(
                    "secret/{name} in namespace {} does not exist; the pod will wait for it",
                    set.namespace
                );
                events.warn(Id::MissingReference, message).await;
                None
            }
            Err(fault) => {
                let why = unreadable(&fault);
                let message = format!(
                    "secret/{name} cannot be read ({why}): when it changes the pod is not rolled by itself"
                );
                events.warn(Id::Forbidden, message).await;
                None
            }
        }
    });
    join_all(reads).await.into_iter().flatten().collect()
}

fn unreadable(fault: &Fault) -> String {
    match fault {
        Fault::Refused(status) => status.message.clone(),
        Fault::Lost(error) => error.to_string(),
        Fault::TimedOut(limit) => format!("no answer within {} s", limit.as_secs()),
    }
}
