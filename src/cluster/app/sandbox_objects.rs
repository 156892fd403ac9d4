//! Lists and deletes the objects of conversations.

use std::collections::BTreeSet;

use futures::StreamExt as _;
use kube::api::{DeleteParams, ListParams};
use serde_json::Value;

use super::sandbox_pods::UNREAD_OF_PODS;
use crate::cluster::access::rules::Permission;
use crate::cluster::client::api::{Api, ApiError, ObjectList};
use crate::cluster::client::in_flight::IN_FLIGHT;
use crate::cluster::client::request::if_same_object;
use crate::error::{Error, Result};
use crate::object::kind::{CLAIM, DEPLOYMENT, INGRESS, KindInfo, POD, ROLE_BINDING, SERVICE};
use crate::object::{ObjectId, labels};
use crate::phrase;
use crate::status::sandbox::{self, ConversationPart, GarbageObject, SandboxObjects};

/// The objects in the sandboxes' namespace.
#[derive(Debug, Default)]
pub struct SandboxListing {
    /// The objects.
    pub objects: SandboxObjects,
    /// The permissions without which some were not listed.
    pub missing: BTreeSet<Permission>,
}

/// Lists the objects with one request for each kind, whatever their number. Pods come last: the application creates a
/// sandbox's pod before its Services, so a listed Service without a listed pod has none.
///
/// # Errors
/// Fails if the server is unreachable. A missing right is no error.
pub async fn list(api: &Api, namespace: &str) -> Result<SandboxListing> {
    let params = ListParams::default();
    let collection = |kind: KindInfo| kind.in_namespace(namespace);
    let (services, ingresses, claims) = (collection(SERVICE), collection(INGRESS), collection(CLAIM));
    let (services, ingresses, claims) = tokio::join!(
        api.list_names(&services, &params),
        api.list_names(&ingresses, &params),
        api.list_without(&claims, &params, &["managedFields"]),
    );
    let pods = api.list_without(&collection(POD), &params, UNREAD_OF_PODS).await;
    let mut missing = BTreeSet::new();
    let mut allowed = |kind: KindInfo, list: std::result::Result<ObjectList, ApiError>| match list {
        Ok(list) => Ok(Some(list.items)),
        Err(error) if error.code() == Some(403) => {
            missing.insert(Permission::new(namespace, kind, "list"));
            Ok(None)
        }
        Err(error) => Err(error.into_error(&format!("cannot list {} in namespace {namespace}", kind.plural))),
    };
    let objects = SandboxObjects {
        services: allowed(SERVICE, services)?,
        ingresses: allowed(INGRESS, ingresses)?,
        claims: allowed(CLAIM, claims)?,
        pods: allowed(POD, pods)?,
    };
    Ok(SandboxListing { objects, missing })
}

/// The other applications that may have conversations in a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OtherApplications {
    /// None that handsctl deployed.
    None,
    /// The installations of these names.
    Named(BTreeSet<String>),
    /// Unknown, without these permissions.
    Unknown(BTreeSet<Permission>),
}

/// Finds the other installations of handsctl that create sandboxes in the namespace: they have a RoleBinding there, or
/// run there under an account of their own.
///
/// # Errors
/// Fails if the server is unreachable.
pub async fn other_applications(api: &Api, namespace: &str, own: &str) -> Result<OtherApplications> {
    let params = ListParams::default().labels(labels::MANAGED_BY_HANDSCTL);
    let (mut named, mut missing) = (BTreeSet::new(), BTreeSet::new());
    for kind in [ROLE_BINDING, DEPLOYMENT] {
        match api.list_metadata(&kind.in_namespace(namespace), &params).await {
            Ok(list) => {
                let instances =
                    list.items.iter().filter_map(|it| it["metadata"]["labels"][labels::INSTANCE].as_str());
                named.extend(instances.filter(|name| *name != own).map(str::to_owned));
            }
            Err(error) if error.code() == Some(403) => {
                missing.insert(Permission::new(namespace, kind, "list"));
            }
            Err(error) => {
                let action = format!("cannot list {} in namespace {namespace}", kind.plural);
                return Err(error.into_error(&action));
            }
        }
    }
    Ok(match (named.is_empty(), missing.is_empty()) {
        (false, _) => OtherApplications::Named(named),
        (true, false) => OtherApplications::Unknown(missing),
        (true, true) => OtherApplications::None,
    })
}

/// Returns the object's id.
#[must_use]
pub fn id_of(part: ConversationPart, namespace: &str, object: &Value) -> ObjectId {
    part.kind().id(namespace, object["metadata"]["name"].as_str().unwrap_or_default())
}

/// Deletes these objects, which are grouped by conversation: several conversations at once, and each in order until one of
/// its objects fails. Calls `on_deleted` after each deletion. Returns the number of deleted objects.
///
/// # Errors
/// The first error, which names the others.
pub async fn delete_all(
    api: &Api,
    namespace: &str,
    objects: &[GarbageObject<'_>],
    on_deleted: impl AsyncFn(&GarbageObject<'_>),
) -> Result<usize> {
    let by_conversation = objects.chunk_by(|one, next| one.conversation == next.conversation);
    let outcomes: Vec<(usize, Option<Error>)> = futures::stream::iter(by_conversation)
        .map(|objects| delete_one(api, namespace, objects, &on_deleted))
        .buffered(IN_FLIGHT)
        .collect()
        .await;
    let deleted = outcomes.iter().map(|(deleted, _)| deleted).sum();
    let errors = outcomes.into_iter().filter_map(|(_, error)| error);
    match errors.reduce(|first, other| first.fact("also", other.message().to_owned())) {
        None => Ok(deleted),
        Some(error) => Err(error.state(format!("{} deleted", phrase::count(deleted, "object")))),
    }
}

/// Deletes the objects of one conversation in order, until one fails.
async fn delete_one(
    api: &Api,
    namespace: &str,
    objects: &[GarbageObject<'_>],
    on_deleted: &impl AsyncFn(&GarbageObject<'_>),
) -> (usize, Option<Error>) {
    let mut deleted = 0;
    for object in objects {
        match delete(api, namespace, object).await {
            Ok(true) => {
                deleted += 1;
                on_deleted(object).await;
            }
            Ok(false) => {}
            Err(error) => return (deleted, Some(error)),
        }
    }
    (deleted, None)
}

/// Deletes an object that was listed, and no other of its name; false if it is gone already.
///
/// # Errors
/// Fails if the server is unreachable or rejects the request.
async fn delete(api: &Api, namespace: &str, garbage: &GarbageObject<'_>) -> Result<bool> {
    let id = id_of(garbage.part, namespace, garbage.object);
    let same = if_same_object(garbage.object);
    // The kubelet has nothing to stop in a pod that has ended, so that its name is free at once.
    let has_ended = garbage.part == ConversationPart::Pod && sandbox::has_ended(garbage.object);
    let params: DeleteParams = if has_ended { same.grace_period(0) } else { same };
    let deleted = api.delete_same(&garbage.part.kind().in_namespace(namespace), &id.name, &params).await;
    deleted.map_err(|error| error.into_error(&format!("cannot delete {id}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::access::rules::as_rules;
    use crate::cluster::scripted::scripted;

    const CORE: &str = "GET /api/v1/namespaces/n/";

    #[tokio::test(start_paused = true)]
    async fn forbidden_kinds_are_named_and_the_rest_is_listed() {
        let (api, mut server) = scripted();
        let script = async {
            for _ in 0..3 {
                let exchange = server.next().await;
                if exchange.call.ends_with("services") {
                    let message = "services is forbidden: User \"a\" cannot list resource \"services\"";
                    exchange.status(403, "Forbidden", message);
                } else {
                    exchange.list("9", &[]);
                }
            }
            let pod = json!({ "metadata": { "name": "p" } });
            server.expect(&format!("{CORE}pods")).await.list("9", std::slice::from_ref(&pod));
        };
        let (listing, ()) = tokio::join!(list(&api, "n"), script);
        let listing = listing.unwrap();
        assert_eq!(listing.objects.services, None);
        assert_eq!(listing.objects.pods.unwrap().len(), 1);
        let rules = as_rules(&listing.missing);
        assert_eq!(rules, [r#"{apiGroups: [""], resources: ["services"], verbs: ["list"]}  in namespace n"#]);
    }

    #[tokio::test(start_paused = true)]
    async fn installation_with_a_binding_is_another_application() {
        let (api, mut server) = scripted();
        let of = |name: &str| json!({ "metadata": { "labels": { "app.kubernetes.io/instance": name } } });
        let script = async {
            server.next().await.list("9", &[of("own"), of("second")]);
            server.next().await.list("9", &[of("own")]);
            server.next().await.list("9", &[of("own")]);
            server.next().await.list("9", &[]);
            server.next().await.status(403, "Forbidden", "rolebindings is forbidden");
            server.next().await.list("9", &[]);
        };
        let finding = async {
            let named = other_applications(&api, "n", "own").await.unwrap();
            assert_eq!(named, OtherApplications::Named(BTreeSet::from(["second".to_owned()])));
            assert_eq!(other_applications(&api, "n", "own").await.unwrap(), OtherApplications::None);
            let unknown = other_applications(&api, "n", "own").await.unwrap();
            assert!(matches!(unknown, OtherApplications::Unknown(missing) if missing.len() == 1));
        };
        tokio::join!(finding, script);
    }
}
