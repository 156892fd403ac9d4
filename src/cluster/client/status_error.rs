//! A `Status` of the API server → error, exit code and hint. Pure.
//!
//! 403 does not always mean missing permissions: quota, Pod Security, terminating namespaces and policies use it too.

use kube::core::Status;

use super::transport_error::PROXY_CREDENTIALS_HINT;
use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::object::webhook;

/// Returns the error for a request that the server rejected. `action` names the failed action: "cannot apply
/// deployment.apps/openhands in namespace openhands".
#[must_use]
pub fn status_error(action: &str, status: &Status) -> Error {
    let message = status.message.as_str();
    match status.code {
        401 => unauthenticated(action, message),
        403 if message.contains("system:anonymous") => unauthenticated(action, message),
        403 => forbidden(action, message),
        404 if is_missing_namespace(message) => Error::new(Id::NamespaceMissing, Kind::Rejected, action)
            .caused_by(message.to_owned())
            .hint("handsctl deploy creates the namespace if the account is allowed to create namespaces"),
        409 if status.details.iter().any(|details| details.causes.iter().any(is_field_conflict)) => {
            Error::new(Id::FieldConflict, Kind::Ownership, action).caused_by(message.to_owned())
        }
        500 if is_type_mismatch(message) => {
            Error::new(Id::Rejected, Kind::Rejected, action).caused_by(message.to_owned())
        }
        500.. if let Some(webhook) = unavailable_webhook(message) => {
            Error::new(Id::WebhookFailed, Kind::Rejected, action).caused_by(message.to_owned()).hint(format!(
                "{webhook} must respond first: kubectl get validatingwebhookconfigurations,\
                 mutatingwebhookconfigurations shows who installed it"
            ))
        }
        429 | 500.. => Error::new(Id::Unreachable, Kind::Unreachable, action)
            .caused_by(format!("the API server responded {}: {message}", status.code))
            .hint("the API server is overloaded or starting; try again"),
        _ => Error::new(Id::Rejected, Kind::Rejected, action).caused_by(message.to_owned()),
    }
}

/// Describes the webhook that the API server could not call; its own failure, unlike an overload, does not
/// end by itself.
fn unavailable_webhook(message: &str) -> Option<String> {
    if let Some(name) = webhook::failed_webhook(message) {
        return Some(format!("the webhook {name}"));
    }
    let (_, rest) = message.split_once("conversion webhook for ")?;
    rest.split_once(" failed").map(|(kind, _)| format!("the conversion webhook for {kind}"))
}

/// The description of a 407, which only a proxy sends.
const PROXY_LOGIN: &str = "a proxy's request for a login (407)";
/// The description of a 511, which only a network sends that requires a login (RFC 6585, section 6).
const NETWORK_LOGIN: &str = "a captive portal's request to log in to the network (511)";

/// Describes a response that cannot come from a Kubernetes API: a redirect or a web page, such as that of a login. The
/// pages of a gateway in front of an API server that is down are not among them.
#[must_use]
pub(crate) fn foreign_response(head: &http::response::Parts, body: &[u8]) -> Option<String> {
    // The answer of Go's server to a request without TLS.
    if head.status.as_u16() == 400
        && String::from_utf8_lossy(body).contains("HTTP request to an HTTPS server")
    {
        return Some("an error: its URL must begin with https".to_owned());
    }
    match head.status.as_u16() {
        407 => return Some(PROXY_LOGIN.to_owned()),
        511 => return Some(NETWORK_LOGIN.to_owned()),
        _ => {}
    }
    let header = |name| head.headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    if head.status.is_redirection() {
        // Its path and query may contain the state of a login.
        let host = header(http::header::LOCATION)
            .and_then(|url| url.parse::<http::Uri>().ok()?.host().map(str::to_owned));
        return Some(match host {
            Some(host) => format!("a redirect to {host}"),
            None => "a redirect".to_owned(),
        });
    }
    let is_page = header(http::header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("text/html"));
    let may_be_gateway = head.status.is_server_error() || matches!(head.status.as_u16(), 401 | 429);
    (is_page && !may_be_gateway).then(|| format!("a web page ({})", head.status.as_u16()))
}

/// Returns the error for a response that does not come from a Kubernetes API.
#[must_use]
pub(crate) fn not_kubernetes_error(action: &str, response: &str) -> Error {
    let error = Error::new(Id::NotKubernetes, Kind::Unreachable, action)
        .caused_by(format!("the server answers with {response}: not a Kubernetes API, or a login is needed"));
    match response {
        PROXY_LOGIN => error.hint(PROXY_CREDENTIALS_HINT),
        NETWORK_LOGIN => error.hint("open any page in a browser to log in to the network"),
        _ => error
            .hint("is the server of the kubeconfig's cluster right, and is a login, VPN or proxy needed?"),
    }
}

/// Whether a value of the object has the wrong type for its field. Server-side apply responds 500 then, so a retry is
/// useless [seen with 1.34].
#[must_use]
pub fn is_type_mismatch(message: &str) -> bool {
    message.starts_with("failed to create typed patch object")
}

/// Whether the message means that the namespace of the request does not exist.
#[must_use]
pub fn is_missing_namespace(message: &str) -> bool {
    message.starts_with("namespaces \"") && message.contains("not found")
}

/// Whether a webhook of the object does not support dry runs, so that the server does not call it and rejects the
/// request (k8s.io/apiserver/pkg/admission/plugin/webhook/errors, `NewDryRunUnsupportedErr`).
#[must_use]
pub fn is_dry_run_unsupported(status: &Status) -> bool {
    status.code == 400 && status.message.contains("does not support dry run")
}

/// Whether this cause of a 409 is a field of another manager.
#[must_use]
pub fn is_field_conflict(cause: &kube::core::response::StatusCause) -> bool {
    cause.reason == "FieldManagerConflict"
}

fn unauthenticated(action: &str, message: &str) -> Error {
    Error::new(Id::Unauthenticated, Kind::Unauthenticated, action)
        .caused_by(format!("the cluster did not accept your credentials: {message}"))
        .hint("log in again, or choose another user with --context")
}

fn forbidden(action: &str, message: &str) -> Error {
    if message.contains("is being terminated") {
        return Error::new(Id::NamespaceTerminating, Kind::Rejected, action)
            .caused_by(message.to_owned())
            .hint("wait until the namespace is gone, or choose another with -n");
    }
    if message.contains("exceeded quota") {
        return Error::new(Id::QuotaRejected, Kind::Rejected, action)
            .caused_by(message.to_owned())
            .hint(quota_hint(action));
    }
    if message.contains(" cannot ") && (message.contains(" resource ") || message.contains(" path "))
        || message.contains("attempting to grant")
    {
        let error = Error::new(Id::Forbidden, Kind::Forbidden, action).caused_by(message.to_owned());
        return match missing_rule(message) {
            Some(rule) => error.hint(format!("the account needs the rule {rule}")),
            None => error,
        };
    }
    Error::new(Id::Rejected, Kind::Rejected, action).caused_by(message.to_owned())
}

/// Returns the command that shows a quota. Its namespace is in the failed action, as in every text about an object.
fn quota_hint(action: &str) -> String {
    let namespace =
        action.split_once(" in namespace ").and_then(|(_, rest)| rest.split([' ', ',', ':']).next());
    let namespace = namespace.map_or_else(|| "--all-namespaces".to_owned(), |name| format!("-n {name}"));
    format!("kubectl describe resourcequota {namespace} shows what is used")
}

/// Returns the RBAC rule that is missing according to the API server's message:
/// `User "x" cannot patch resource "deployments" in API group "apps" in the namespace "n"`, or
/// `User "x" cannot get path "/apis"`.
fn missing_rule(message: &str) -> Option<String> {
    let rest = message.split_once(" cannot ")?.1;
    if let Some((verb, path)) = rest.split_once(" path \"") {
        let path = path.split_once('"')?.0;
        return Some(format!(r#"{{nonResourceURLs: ["{path}"], verbs: ["{verb}"]}} of a ClusterRole"#));
    }
    let (verb, rest) = rest.split_once(" resource \"")?;
    let (resource, rest) = rest.split_once('"')?;
    let group = rest.split_once("in API group \"")?.1.split_once('"')?.0;
    let scope = match rest.split_once("in the namespace \"").and_then(|(_, rest)| rest.split_once('"')) {
        Some((namespace, _)) => format!("in namespace {namespace}"),
        None => "at the cluster scope".to_owned(),
    };
    Some(format!(r#"{{apiGroups: ["{group}"], resources: ["{resource}"], verbs: ["{verb}"]}} {scope}"#))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, message: &str) -> Status {
        Status { code, message: message.to_owned(), ..Status::default() }
    }

    /// Texts of kube-apiserver 1.34.
    #[test]
    fn each_status_maps_to_its_error_id() {
        let rows = [
            (401, "Unauthorized", Id::Unauthenticated),
            (
                403,
                r#"namespaces "a" is forbidden: User "system:anonymous" cannot get resource "namespaces" in API group "" in the namespace "a""#,
                Id::Unauthenticated,
            ),
            (
                403,
                r#"deployments.apps "a" is forbidden: User "x" cannot patch resource "deployments" in API group "apps" in the namespace "n""#,
                Id::Forbidden,
            ),
            (
                403,
                r#"roles.rbac.authorization.k8s.io "a" is forbidden: user "x" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:"#,
                Id::Forbidden,
            ),
            (
                403,
                r#"pods "a" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0"#,
                Id::QuotaRejected,
            ),
            (
                403,
                r#"pods "a" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false"#,
                Id::Rejected,
            ),
            (
                403,
                r#"configmaps "a" is forbidden: unable to create new content in namespace n because it is being terminated"#,
                Id::NamespaceTerminating,
            ),
            (404, r#"namespaces "n" not found"#, Id::NamespaceMissing),
            (
                422,
                r#"Deployment.apps "a" is invalid: spec.selector: Invalid value: field is immutable"#,
                Id::Rejected,
            ),
            (503, "apiserver is shutting down", Id::Unreachable),
            (
                500,
                r#"Internal error occurred: failed calling webhook "policy.example": failed to call webhook: Post "https://policy.x.svc:443/validate?timeout=10s": no endpoints available for service "policy""#,
                Id::WebhookFailed,
            ),
            (
                500,
                "conversion webhook for example.com/v1, Kind=Gadget failed: Post \"https://x\": refused",
                Id::WebhookFailed,
            ),
            (500, "etcdserver: request timed out", Id::Unreachable),
        ];
        for (code, message, id) in rows {
            assert_eq!(status_error("cannot apply", &status(code, message)).id(), id, "{code} {message}");
        }
    }

    #[test]
    fn broken_webhook_is_named_and_not_called_overloaded() {
        let message = r#"Internal error occurred: failed calling webhook "policy.example": EOF"#;
        let error = status_error("cannot apply", &status(500, message));
        assert_eq!(error.kind(), Kind::Rejected);
        assert!(error.hints()[0].starts_with("the webhook policy.example must respond first"), "{error:?}");
        assert!(!format!("{error:?}").contains("try again"), "{error:?}");
    }

    #[test]
    fn login_page_is_no_kubernetes_api() {
        let response = |code: u16, kind: &str, location: &str| {
            let head = http::Response::builder().status(code).header("Content-Type", kind);
            foreign_response(&head.header("Location", location).body(()).unwrap().into_parts().0, b"")
        };
        let html = "text/html; charset=utf-8";
        assert_eq!(response(200, html, "").as_deref(), Some("a web page (200)"));
        assert_eq!(response(403, html, "").as_deref(), Some("a web page (403)"));
        let login = "https://login.example/saml?state=planted";
        assert_eq!(response(302, html, login).as_deref(), Some("a redirect to login.example"));
        assert_eq!(response(307, "", "/login").as_deref(), Some("a redirect"));
        for (code, hint) in [(407, PROXY_CREDENTIALS_HINT), (511, "open any page in a browser")] {
            let response = response(code, "", "").unwrap();
            let error = not_kubernetes_error("cannot get /version", &response);
            assert!(error.hints()[0].starts_with(hint) && error.kind() == Kind::Unreachable, "{error:?}");
        }
        let plain = http::Response::builder().status(400).body(()).unwrap().into_parts().0;
        let without_tls = foreign_response(&plain, b"Client sent an HTTP request to an HTTPS server.\n");
        assert_eq!(without_tls.as_deref(), Some("an error: its URL must begin with https"));
        for (code, kind) in
            [(502, html), (401, html), (429, html), (200, "application/json"), (404, "text/plain")]
        {
            assert_eq!(response(code, kind, ""), None, "{code} {kind}");
        }
    }

    #[test]
    fn forbidden_status_hints_at_missing_rule() {
        let message = r#"deployments.apps "a" is forbidden: User "x" cannot patch resource "deployments" in API group "apps" in the namespace "n""#;
        assert_eq!(
            status_error("cannot apply", &status(403, message)).hints(),
            [
                r#"the account needs the rule {apiGroups: ["apps"], resources: ["deployments"], verbs: ["patch"]} in namespace n"#
            ]
        );
        let error = status_error(
            "cannot list the API",
            &status(403, r#"forbidden: User "x" cannot get path "/apis""#),
        );
        assert_eq!((error.id(), error.kind()), (Id::Forbidden, Kind::Forbidden));
        assert_eq!(
            error.hints(),
            [r#"the account needs the rule {nonResourceURLs: ["/apis"], verbs: ["get"]} of a ClusterRole"#]
        );
    }
}
