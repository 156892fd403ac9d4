//! Decides whether the application receives SIGTERM when its pod stops. On SIGTERM it deletes the first conversation's
//! pod, services and **claim** (`openhands/runtime/impl/kubernetes/kubernetes_runtime.py`), which is user data. Pure.

use serde_json::Value;

use crate::settings::handsctl::OnStop;

/// The pod template's annotation for pods whose application receives SIGTERM.
pub const ANNOTATION: &str = "handsctl.dev/on-stop";
/// The annotation's value.
const CLEAN: &str = "clean";

/// Returns the shell command that starts the application. Only with `exec` does it receive SIGTERM.
#[must_use]
pub fn start(stop: OnStop) -> &'static str {
    match stop {
        OnStop::Keep => "uvicorn openhands.server.listen:app --host 0.0.0.0 --port 3000; exit $?",
        OnStop::Clean => "exec uvicorn openhands.server.listen:app --host 0.0.0.0 --port 3000",
    }
}

/// Returns the termination grace period in seconds. Without SIGTERM it is short, because there is no shutdown to wait
/// for.
#[must_use]
pub fn grace(stop: OnStop) -> u32 {
    match stop {
        OnStop::Keep => 5,
        OnStop::Clean => 60,
    }
}

/// Returns the annotation of the pod template, if it has one.
pub(crate) fn annotation(stop: OnStop) -> Option<(&'static str, &'static str)> {
    (stop == OnStop::Clean).then_some((ANNOTATION, CLEAN))
}

/// Returns whether the pods of a live or planned Deployment delete a conversation's claim when they stop.
#[must_use]
pub fn deletes_conversation_on_stop(deployment: &Value) -> bool {
    deployment["spec"]["template"]["metadata"]["annotations"][ANNOTATION] == CLEAN
}
