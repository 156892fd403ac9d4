//! Runs a few lines of Python in the application's pod: whether it resolves names and reaches Services.

use std::time::Duration;

use http::StatusCode;
use k8s_openapi::api::core::v1::Pod;
use kube::api::AttachParams;
use kube::client::UpgradeConnectionError;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::cluster::client::api::Api;
use crate::cluster::client::transport_error::message_of;
use crate::object::container_names;

/// The most that the program prints.
const MAX_OUTPUT: u64 = 16 * 1024;
/// The limit of each step is in the program; this one ends a pod that hangs.
const LIMIT: Duration = Duration::from_secs(8);

/// Prints the result of each step as JSON. The images of every supported release have Python.
const PROGRAM: &str = r#"
import json, socket, sys, threading, time
def step(action):
    result = {}
    def run():
        began = time.monotonic()
        try:
            action()
            result["milliseconds"] = round((time.monotonic() - began) * 1000)
        except OSError as error:
            result["error"] = str(error)
    # The resolution of a name has no limit of its own.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(2)
    return dict(result) or {"error": "no answer within 2 s"}
def connect(host, port):
    socket.create_connection((host, port), 2).close()
server, service = "kubernetes.default.svc", sys.argv[1]
print(json.dumps({
    "resolve": step(lambda: socket.getaddrinfo(server, 443)),
    "server": step(lambda: connect(server, 443)),
    "service": step(lambda: connect(service, int(sys.argv[2]))),
}))
"#;

/// Runs the program in a pod, with a connection to this service.
///
/// # Errors
/// Why it did not run, or printed no result.
pub(super) async fn connections(
    api: &Api,
    namespace: &str,
    pod: &str,
    service: (&str, u16),
) -> Result<Value, String> {
    let running = run(api, namespace, pod, service);
    tokio::time::timeout(LIMIT, running)
        .await
        .unwrap_or_else(|_elapsed| Err(format!("pod/{pod} did not answer")))
}

async fn run(api: &Api, namespace: &str, pod: &str, (service, port): (&str, u16)) -> Result<Value, String> {
    let pods: kube::Api<Pod> = kube::Api::namespaced(api.client().clone(), namespace);
    let command = ["python3", "-c", PROGRAM, service, &port.to_string()];
    let params =
        AttachParams::default().container(container_names::APP).stdin(false).stdout(true).stderr(true);
    let mut process = pods.exec(pod, command, &params).await.map_err(|error| refusal(&error, namespace))?;
    let (stdout, stderr) = (process.stdout(), process.stderr());
    let (output, complaint) = tokio::join!(text(stdout), text(stderr));
    serde_json::from_str(&output).map_err(|_no_result| {
        let last = complaint.lines().last().unwrap_or("it printed nothing").to_owned();
        format!("python3 in pod/{pod}: {last}")
    })
}

fn refusal(error: &kube::Error, namespace: &str) -> String {
    match error {
        kube::Error::UpgradeConnection(UpgradeConnectionError::ProtocolSwitch(StatusCode::FORBIDDEN)) => {
            format!("no right to create pods/exec in namespace {namespace}")
        }
        kube::Error::Api(status) if status.code == 403 => {
            format!("no right to create pods/exec in namespace {namespace}")
        }
        error => format!("cannot run a command in the pod: {}", message_of(error)),
    }
}

async fn text(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // A broken connection leaves a part, which is no JSON.
        let _partial = stream.take(MAX_OUTPUT).read_to_end(&mut bytes).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
