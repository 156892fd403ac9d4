//! Changes the number of replicas of the application's Deployment, and leaves every other field as it was applied.

use serde_json::{Value, json};

use super::applied::Applied;
use crate::catalogue::Id;
use crate::cluster::client::api::Api;
use crate::cluster::client::request::ApplyOptions;
use crate::error::{Error, Kind, Result};
use crate::event::Action;
use crate::object::ObjectId;
use crate::object::kind::DEPLOYMENT;
use crate::object::managed_fields;

/// A Deployment as handsctl has applied it.
#[derive(Debug, Clone)]
pub struct ScaledDeployment {
    id: ObjectId,
    manifest: Value,
}

impl ScaledDeployment {
    /// Reads what handsctl applied from the live Deployment. Applied again with another number of replicas, handsctl owns
    /// the same fields as before, so the next deploy has nothing to change back.
    ///
    /// # Errors
    /// Exit 7 if another tool applied it.
    pub fn new(live: &Value) -> Result<Self> {
        let id = ObjectId::from_object(live);
        let (Some(id), Some(manifest)) = (id, managed_fields::applied_manifest(live)) else {
            let message = "cannot stop the application: another tool has applied its Deployment";
            return Err(Error::new(Id::ForeignObject, Kind::Ownership, message)
                .hint("stop it with that tool, and run the command again"));
        };
        Ok(Self { id, manifest })
    }

    /// Sets the number of replicas.
    ///
    /// # Errors
    /// The server rejects the change.
    pub async fn scale(&self, api: &Api, replicas: u64) -> Result<Applied> {
        let mut manifest = self.manifest.clone();
        manifest["spec"]["replicas"] = json!(replicas);
        let options = ApplyOptions { dry_run: false, force: true };
        let deployments = DEPLOYMENT.collection(self.id.namespace.as_deref());
        let response = api
            .apply(&deployments, &manifest, options)
            .await
            .map_err(|error| error.into_error(&format!("cannot scale {} to {replicas}", self.id)))?;
        Ok(Applied { id: self.id.clone(), action: Action::Configured, object: Some(response.body) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::scripted::scripted;

    fn live(manager: &str) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": "oh", "namespace": "n", "uid": "u", "managedFields": [
                { "manager": manager, "operation": "Apply", "apiVersion": "apps/v1", "fieldsV1": {
                    "f:spec": { "f:replicas": {}, "f:paused": {} } } },
            ] },
            "spec": { "replicas": 1, "paused": false, "theirs": "x" },
        })
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_number_of_replicas_changes() {
        let (api, mut server) = scripted();
        let deployment = ScaledDeployment::new(&live("handsctl")).unwrap();
        let (applied, ()) = tokio::join!(deployment.scale(&api, 0), async {
            let exchange = server.expect("PATCH /apis/apps/v1/namespaces/n/deployments/oh").await;
            let body = exchange.body.clone();
            assert_eq!(body["spec"], json!({ "replicas": 0, "paused": false }));
            assert_eq!(body["metadata"], json!({ "name": "oh", "namespace": "n", "uid": "u" }));
            exchange.ok(&body);
        });
        assert_eq!(applied.unwrap().id.to_string(), "deployment.apps/oh");
    }

    #[test]
    fn deployment_of_another_tool_is_not_stopped() {
        let error = ScaledDeployment::new(&live("argocd")).unwrap_err();
        assert_eq!((error.id(), error.kind()), (Id::ForeignObject, Kind::Ownership));
    }
}
