//! What the application does when its pod stops. It answers SIGTERM by deleting the first conversation's pod, services and
//! **claim** (`openhands/runtime/impl/kubernetes/kubernetes_runtime.py`), which is user data. Pure.

use serde_json::Value;

use crate::settings::handsctl::OnStop;

/// On the pod template where the application is told that it stops.
pub const ANNOTATION: &str = "handsctl.dev/on-stop";
/// Its value.
const CLEAN: &str = "clean";

/// The shell's line that starts the application.
#[must_use]
pub fn start(stop: OnStop) -> &'static str {
    match stop {
        OnStop::Keep => "uvicorn openhands.server.listen:app --host 0.0.0.0 --port 3000; exit $?",
        OnStop::Clean => "exec uvicorn openhands.server.listen:app --host 0.0.0.0 --port 3000",
    }
}

/// Seconds until the pod is killed: one that is not told need not be waited for.
#[must_use]
pub fn grace(stop: OnStop) -> u32 {
    match stop {
        OnStop::Keep => 5,
        OnStop::Clean => 60,
    }
}

/// What the pod template says of it.
pub(crate) fn annotation(stop: OnStop) -> Option<(&'static str, &'static str)> {
    (stop == OnStop::Clean).then_some((ANNOTATION, CLEAN))
}

/// Whether the pods of a Deployment, live or planned, delete a conversation's claim when they stop.
#[must_use]
pub fn is_clean(deployment: &Value) -> bool {
    deployment["spec"]["template"]["metadata"]["annotations"][ANNOTATION] == CLEAN
}
