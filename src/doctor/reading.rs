//! Lists and gets of `doctor`: a failed one has a reason instead of objects, because no check depends on another one.

use kube::api::ListParams;
use serde_json::Value;

use super::check::Listed;
use crate::cluster::client::api::{Api, ApiError};
use crate::object::kind::KindInfo;

/// Lists objects of a kind, in a namespace or in the whole cluster.
pub(super) async fn list(api: &Api, kind: KindInfo, namespace: Option<&str>, params: &ListParams) -> Listed {
    match api.list(&kind.collection(namespace), params).await {
        Ok(list) if list.is_complete => Ok(list.items),
        Ok(_page) => Err(format!("there are too many {}", kind.plural)),
        Err(error) => Err(reason(&error, "list", kind, namespace)),
    }
}

/// Gets an object; None if it does not exist.
pub(super) async fn get(
    api: &Api,
    kind: KindInfo,
    namespace: Option<&str>,
    name: &str,
) -> Result<Option<Value>, String> {
    let object = api.get_opt(&kind.collection(namespace), name).await;
    object.map_err(|error| reason(&error, "get", kind, namespace))
}

fn reason(error: &ApiError, verb: &str, kind: KindInfo, namespace: Option<&str>) -> String {
    let place = namespace
        .map_or_else(|| " in the cluster".to_owned(), |namespace| format!(" in namespace {namespace}"));
    match error.code() {
        Some(403) => format!("no right to {verb} {}{place}", kind.plural),
        _ => format!("cannot {verb} {}{place}: {}", kind.plural, error.reason()),
    }
}
