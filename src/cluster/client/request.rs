//! Requests to the API server, built with kube's own types. Pure.

use http::{Method, Request};
use kube::api::{
    DeleteParams, GetParams, ListParams, LogParams, Patch, PatchParams, PostParams, Preconditions,
    WatchParams,
};
use kube::core::request::{Error, Request as Builder};
use serde_json::Value;

use crate::object::kind::Collection;
use crate::object::{labels, yaml};

/// A request with a buffered body, so that it can be sent more than once.
pub(crate) type ApiRequest = Request<Vec<u8>>;

/// The options of a server-side apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ApplyOptions {
    /// The server checks the request and stores nothing.
    pub dry_run: bool,
    /// Fields of other managers are taken over.
    pub force: bool,
}

/// Describes a request for people: `list secrets in namespace n`, `apply deployments/oh in namespace n`, `get /version`.
pub(crate) fn describe(request: &ApiRequest) -> String {
    let path = request.uri().path();
    let query = request.uri().query().unwrap_or_default();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let resource = match parts.as_slice() {
        ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
        _ => &[],
    };
    let (namespace, resource) = match resource {
        ["namespaces", namespace, resource @ ..] if !resource.is_empty() => (Some(*namespace), resource),
        resource => (None, resource),
    };
    let is_collection = resource.len() == 1;
    let verb = match *request.method() {
        Method::GET if query.contains("watch=true") => "watch",
        Method::GET if is_collection => "list",
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH if request.headers().get(http::header::CONTENT_TYPE).is_some_and(is_apply) => "apply",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => request.method().as_str(),
    };
    let dry_run = if query.contains("dryRun=All") { " as a dry run" } else { "" };
    match (resource, namespace) {
        ([], _) => format!("{verb} {path}"),
        (resource, None) => format!("{verb} {}{dry_run}", resource.join("/")),
        (resource, Some(namespace)) => {
            format!("{verb} {} in namespace {namespace}{dry_run}", resource.join("/"))
        }
    }
}

fn is_apply(content_type: &http::HeaderValue) -> bool {
    content_type.as_bytes().starts_with(b"application/apply-patch")
}

/// Whether the request changes something in the cluster: not a read, a review or a dry run.
pub(crate) fn is_write(request: &ApiRequest) -> bool {
    let uri = request.uri();
    let stores_nothing = uri.query().is_some_and(|query| query.contains("dryRun=All"))
        || uri.path().starts_with("/apis/authorization.k8s.io/");
    request.method() != Method::GET && !stores_nothing
}

/// Deletes only this object, not one that was recreated with the same name.
#[must_use]
pub fn if_same_object(object: &Value) -> DeleteParams {
    let uid = object["metadata"]["uid"].as_str().map(str::to_owned);
    DeleteParams::default().preconditions(Preconditions { uid, resource_version: None })
}

/// Deletes only this object, and only if it has not changed since it was read.
#[must_use]
pub fn if_unchanged(object: &Value) -> DeleteParams {
    let field = |name: &str| object["metadata"][name].as_str().map(str::to_owned);
    let (uid, resource_version) = (field("uid"), field("resourceVersion"));
    DeleteParams::default().preconditions(Preconditions { uid, resource_version })
}

fn builder(collection: &Collection) -> Builder {
    Builder::new(collection.path())
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// GET of a path outside of collections: `/version`, a group's resources.
pub(crate) fn get_path(path: &str) -> Result<ApiRequest, Error> {
    Request::get(path).body(Vec::new()).map_err(Error::BuildRequest)
}

pub(crate) fn get(collection: &Collection, name: &str) -> Result<ApiRequest, Error> {
    builder(collection).get(name, &GetParams::default())
}

pub(crate) fn list(collection: &Collection, params: &ListParams) -> Result<ApiRequest, Error> {
    builder(collection).list(params)
}

/// A list of the objects' metadata only.
pub(crate) fn list_metadata(collection: &Collection, params: &ListParams) -> Result<ApiRequest, Error> {
    builder(collection).list_metadata(params)
}

pub(crate) fn watch(
    collection: &Collection,
    params: &WatchParams,
    resource_version: &str,
) -> Result<ApiRequest, Error> {
    builder(collection).watch(params, resource_version)
}

/// The log of a pod.
pub(crate) fn log(pods: &Collection, pod: &str, params: &LogParams) -> Result<ApiRequest, Error> {
    builder(pods).logs(pod, params)
}

/// POST of an object, with our field manager. An unknown field is an error.
pub(crate) fn create(collection: &Collection, object: &Value, dry_run: bool) -> Result<ApiRequest, Error> {
    let params = PostParams { dry_run, field_manager: Some(labels::MANAGER.to_owned()) };
    strict(builder(collection).create(&params, json(object))?)
}

/// POST of a review, which the server evaluates and does not store.
pub(crate) fn review(collection: &Collection, review: &Value) -> Result<ApiRequest, Error> {
    builder(collection).create(&PostParams::default(), json(review))
}

/// PATCH as server-side apply (<https://kubernetes.io/docs/reference/using-api/server-side-apply/>). An unknown field
/// is an error.
pub(crate) fn apply(
    collection: &Collection,
    object: &Value,
    options: ApplyOptions,
) -> Result<ApiRequest, Error> {
    let ApplyOptions { dry_run, force } = options;
    let params = PatchParams { dry_run, force, ..PatchParams::apply(labels::MANAGER) };
    apply_with(collection, object, &params)
}

/// Server-side apply with the field manager of `restart`, because no deploy owns its annotation. It forces conflicts,
/// such as with an earlier restart by kubectl.
pub(crate) fn apply_as_restart(collection: &Collection, object: &Value) -> Result<ApiRequest, Error> {
    apply_as(collection, object, "restart")
}

/// Server-side apply with the field manager of `restore`, because no deploy owns the source of a claim.
pub(crate) fn apply_as_restore(collection: &Collection, object: &Value) -> Result<ApiRequest, Error> {
    apply_as(collection, object, "restore")
}

/// Server-side apply by force with a field manager of this command's own.
fn apply_as(collection: &Collection, object: &Value, command: &str) -> Result<ApiRequest, Error> {
    let manager = format!("{}-{command}", labels::MANAGER);
    apply_with(collection, object, &PatchParams::apply(&manager).force())
}

fn apply_with(collection: &Collection, object: &Value, params: &PatchParams) -> Result<ApiRequest, Error> {
    let params = params.clone().validation_strict();
    let request = builder(collection).patch(name(object), &params, &Patch::Apply(object))?;
    // The body is JSON, but the server parses it as YAML.
    Ok(request.map(|_| yaml::printable(&object.to_string()).into_bytes()))
}

/// PATCH of single fields as a JSON merge patch (RFC 7396).
pub(crate) fn merge_patch(collection: &Collection, name: &str, patch: &Value) -> Result<ApiRequest, Error> {
    let params = PatchParams::apply(labels::MANAGER).validation_strict();
    builder(collection).patch(name, &params, &Patch::Merge(patch))
}

/// PUT of an object that was read before.
pub(crate) fn replace(collection: &Collection, object: &Value) -> Result<ApiRequest, Error> {
    let params = PostParams { dry_run: false, field_manager: Some(labels::MANAGER.to_owned()) };
    strict(builder(collection).replace(name(object), &params, json(object))?)
}

pub(crate) fn delete(
    collection: &Collection,
    name: &str,
    params: &DeleteParams,
) -> Result<ApiRequest, Error> {
    builder(collection).delete(name, params)
}

/// Adds strict field validation, which kube's parameters of POST and PUT lack.
fn strict(mut request: ApiRequest) -> Result<ApiRequest, Error> {
    let uri = format!("{}&fieldValidation=Strict", request.uri());
    let invalid = |error: http::uri::InvalidUri| Error::BuildRequest(error.into());
    *request.uri_mut() = uri.parse().map_err(invalid)?;
    Ok(request)
}

fn json(object: &Value) -> Vec<u8> {
    object.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::kind::{CONFIG_MAP, NODE, POD};
    use serde_json::json;

    fn request_line(request: &ApiRequest) -> String {
        format!("{} {}", request.method(), request.uri())
    }

    fn config_map() -> Value {
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": { "a": "\u{7f}" } })
    }

    #[test]
    fn selectors_are_encoded() {
        let params = ListParams::default().labels("a=b,c").fields("status.phase!=Failed").limit(5);
        assert_eq!(
            request_line(&list(&POD.in_namespace("n"), &params).unwrap()),
            "GET /api/v1/namespaces/n/pods?&fieldSelector=status.phase%21%3DFailed&labelSelector=a%3Db%2Cc&limit=5"
        );
        assert_eq!(request_line(&get(&NODE.collection(None), "one").unwrap()), "GET /api/v1/nodes/one");
    }

    #[test]
    fn writes_have_our_field_manager_and_strict_validation() {
        let maps = CONFIG_MAP.in_namespace("n");
        let base = "/api/v1/namespaces/n/configmaps";
        assert_eq!(
            request_line(&create(&maps, &config_map(), true).unwrap()),
            format!("POST {base}?&dryRun=All&fieldManager=handsctl&fieldValidation=Strict")
        );
        let options = ApplyOptions { dry_run: true, force: true };
        assert_eq!(
            request_line(&apply(&maps, &config_map(), options).unwrap()),
            format!("PATCH {base}/a?&dryRun=All&force=true&fieldManager=handsctl&fieldValidation=Strict")
        );
        assert_eq!(
            request_line(&apply_as_restart(&maps, &config_map()).unwrap()),
            format!("PATCH {base}/a?&force=true&fieldManager=handsctl-restart&fieldValidation=Strict")
        );
        assert_eq!(
            request_line(&apply_as_restore(&maps, &config_map()).unwrap()),
            format!("PATCH {base}/a?&force=true&fieldManager=handsctl-restore&fieldValidation=Strict")
        );
        assert_eq!(
            request_line(&merge_patch(&maps, "a", &json!({})).unwrap()),
            format!("PATCH {base}/a?&fieldManager=handsctl&fieldValidation=Strict")
        );
        assert_eq!(
            request_line(&replace(&maps, &config_map()).unwrap()),
            format!("PUT {base}/a?&fieldManager=handsctl&fieldValidation=Strict")
        );
    }

    #[test]
    fn apply_body_escapes_control_characters_for_yaml() {
        let request = apply(&CONFIG_MAP.in_namespace("n"), &config_map(), ApplyOptions::default()).unwrap();
        assert_eq!(request.headers()["content-type"], "application/apply-patch+yaml");
        let body = String::from_utf8(request.into_body()).unwrap();
        assert!(!body.contains('\u{7f}'), "a control character is escaped: {body}");
    }

    #[test]
    fn deletes_carry_uid_and_version_preconditions() {
        let object = json!({ "metadata": { "name": "a", "uid": "u", "resourceVersion": "7" } });
        let body = |params: &DeleteParams| -> Value {
            let request = delete(&CONFIG_MAP.in_namespace("n"), "a", params).unwrap();
            serde_json::from_slice(request.body()).unwrap()
        };
        assert_eq!(body(&if_same_object(&object))["preconditions"], json!({ "uid": "u" }));
        let unchanged = body(&if_unchanged(&object));
        assert_eq!(unchanged["preconditions"], json!({ "uid": "u", "resourceVersion": "7" }));
    }

    #[test]
    fn requests_are_described_with_verb_object_and_namespace() {
        let maps = CONFIG_MAP.in_namespace("n");
        let dry_run = ApplyOptions { dry_run: true, force: false };
        let rows = [
            (list(&maps, &ListParams::default()), "list configmaps in namespace n"),
            (get(&maps, "a"), "get configmaps/a in namespace n"),
            (get(&NODE.collection(None), "one"), "get nodes/one"),
            (get_path("/version"), "get /version"),
            (watch(&maps, &WatchParams::default(), "0"), "watch configmaps in namespace n"),
            (create(&maps, &config_map(), false), "create configmaps in namespace n"),
            (apply(&maps, &config_map(), dry_run), "apply configmaps/a in namespace n as a dry run"),
            (merge_patch(&maps, "a", &json!({})), "patch configmaps/a in namespace n"),
            (replace(&maps, &config_map()), "update configmaps/a in namespace n"),
            (delete(&maps, "a", &DeleteParams::default()), "delete configmaps/a in namespace n"),
            (log(&POD.in_namespace("n"), "p", &LogParams::default()), "get pods/p/log in namespace n"),
        ];
        for (request, text) in rows {
            assert_eq!(describe(&request.unwrap()), text);
        }
        let namespaces = crate::object::kind::NAMESPACE.collection(None);
        assert_eq!(describe(&get(&namespaces, "n").unwrap()), "get namespaces/n");
    }

    #[test]
    fn dry_runs_and_reviews_are_no_writes() {
        let maps = CONFIG_MAP.in_namespace("n");
        let options = |dry_run| ApplyOptions { dry_run, force: false };
        assert!(is_write(&apply(&maps, &config_map(), options(false)).unwrap()));
        assert!(is_write(&delete(&maps, "a", &DeleteParams::default()).unwrap()));
        assert!(!is_write(&apply(&maps, &config_map(), options(true)).unwrap()));
        assert!(!is_write(&get(&maps, "a").unwrap()));
        let reviews = crate::object::kind::SELF_RULES_REVIEW.collection(None);
        assert!(!is_write(&review(&reviews, &json!({})).unwrap()));
    }

    #[test]
    fn object_without_name_is_an_error() {
        let nameless = json!({ "metadata": {} });
        assert!(apply(&POD.in_namespace("n"), &nameless, ApplyOptions::default()).is_err());
    }
}
