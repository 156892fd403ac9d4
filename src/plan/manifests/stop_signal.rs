//! Decides whether the application receives SIGTERM when its pod or its node stops. On SIGTERM it deletes the first
//! conversation's pod, services and **claim** (`openhands/runtime/impl/kubernetes/kubernetes_runtime.py`), which is
//! user data. Pure.

use serde_json::Value;

use crate::settings::handsctl::OnStop;

/// The pod template's annotation for pods whose application receives SIGTERM.
pub const ANNOTATION: &str = "handsctl.dev/on-stop";
/// The annotation's value.
const CLEAN: &str = "clean";

/// The script of a container whose application must not receive SIGTERM: the arguments are the application's command.
///
/// A kubelet sends SIGTERM to PID 1 only, but the systemd of a node that shuts down sends it to every process of the
/// container (`KillMode=control-group`, systemd.kill(5)). A program cannot refuse a signal that it handles, and uvicorn
/// and OpenHands install handlers. Therefore the launcher blocks the signals before it executes uvicorn: a blocked
/// signal stays pending, whatever handler is installed, and exec and new threads inherit the mask (sigprocmask(2)). So
/// do processes that the application starts: they end with the container, not by SIGTERM.
///
/// PID 1 is the shell. It exits at once on SIGTERM, and then the kernel kills the rest of the container with SIGKILL
/// (`pid_namespaces(7)`), so that a stop does not wait for the grace period. An image without Python has no OpenHands;
/// its stand-in is started without the launcher.
const LAUNCHER: &str = r#"if command -v python3 >/dev/null; then
  set -- python3 -c "
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
os.execvp(sys.argv[1], sys.argv[1:])
" "$@"
else
  echo "no python3 in this image: SIGTERM is not blocked" >&2
fi
"$@" &
wait $!
exit $?
"#;

/// Returns the script that starts the application by its command. Only with `exec` does it receive SIGTERM.
#[must_use]
pub fn start(stop: OnStop, command: &str) -> String {
    match stop {
        OnStop::Keep => format!("trap \"exit 143\" TERM INT\nset -- {command}\n{LAUNCHER}"),
        OnStop::Clean => format!("exec {command}"),
    }
}

/// Returns the termination grace period in seconds. Without SIGTERM it is short, because there is no shutdown to wait
/// for: it only covers the seconds in which a pod beside another one still serves.
#[must_use]
pub fn grace(stop: OnStop) -> u32 {
    match stop {
        OnStop::Keep => 5,
        OnStop::Clean => 60,
    }
}

/// Returns how many seconds a pod that is being deleted still serves before it is stopped; None: not at all. Beside
/// another pod it must, because the Service's endpoints and the ingress controller lag behind the deletion
/// (<https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination>).
#[must_use]
pub(crate) fn drain_seconds(stop: OnStop, beside_another_pod: bool) -> Option<u32> {
    (stop == OnStop::Keep && beside_another_pod).then_some(4)
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

/// Returns whether the application of a live or planned Deployment receives SIGTERM when its node stops: its container
/// starts uvicorn as earlier versions of handsctl did, without the launcher that blocks the signal.
#[must_use]
pub fn receives_sigterm_of_node(deployment: &Value) -> bool {
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let words = ["command", "args"].into_iter().filter_map(|field| container[field].as_array()).flatten();
    let start: Vec<&str> = words.filter_map(Value::as_str).collect();
    let has = |text: &str| start.iter().any(|word| word.contains(text));
    has("uvicorn") && !has("SIG_BLOCK") && !deletes_conversation_on_stop(deployment)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::settings::edition::CLASSIC;

    /// A stand-in for uvicorn that deletes a file on SIGTERM, as OpenHands deletes a claim.
    const UVICORN: &str = r#"#!/usr/bin/env python3
import os, signal, time
def delete(*_):
    os.remove("claim")
signal.signal(signal.SIGTERM, delete)
signal.signal(signal.SIGINT, delete)
open("started", "w").close()
time.sleep(60)
"#;

    /// A folder with this `uvicorn` on the script's PATH.
    fn folder(uvicorn: &str) -> tempfile::TempDir {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("uvicorn");
        std::fs::write(&program, uvicorn).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        folder
    }

    /// The start script in this folder, in a process group of its own.
    fn script(folder: &tempfile::TempDir, path: &str) -> Command {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", &start(OnStop::Keep, CLASSIC.start.unwrap())])
            .current_dir(folder)
            .process_group(0);
        command.env("PATH", format!("{}:{path}", folder.path().display()));
        command
    }

    #[test]
    fn sigterm_to_every_process_keeps_the_claim() {
        let folder = folder(UVICORN);
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("claim"), "").unwrap();
        let mut shell = script(&folder, &std::env::var("PATH").unwrap()).spawn().unwrap();
        let limit = Instant::now() + Duration::from_secs(30);
        while !path("started").exists() {
            assert!(Instant::now() < limit, "uvicorn did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        let group = format!("-{}", shell.id());
        let kill = |signal: &str| Command::new("kill").args([signal, "--", &group]).status().unwrap();
        assert!(kill("-TERM").success());
        assert_eq!(shell.wait().unwrap().code(), Some(143), "PID 1 exits at once");
        // Outside of a container uvicorn outlives PID 1.
        assert!(kill("-INT").success(), "uvicorn ended");
        std::thread::sleep(Duration::from_millis(200));
        assert!(path("claim").exists());
        assert!(kill("-KILL").success());
    }

    #[test]
    fn exit_code_of_the_application_is_the_containers() {
        let failing = folder("#!/bin/sh\nexit 7\n");
        let path = std::env::var("PATH").unwrap();
        assert_eq!(script(&failing, &path).status().unwrap().code(), Some(7));
    }

    #[test]
    fn image_without_python_reports_a_missing_command() {
        let empty = tempfile::tempdir().unwrap();
        let output = script(&empty, "/nowhere").output().unwrap();
        assert_eq!(output.status.code(), Some(127));
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(log.contains("no python3") && log.contains("uvicorn: not found"), "{log}");
    }

    #[test]
    fn start_without_the_launcher_receives_sigterm_of_node() {
        let deployment = |script: &str| {
            let container = json!({ "command": ["/bin/sh", "-c"], "args": [script] });
            json!({ "spec": { "template": { "spec": { "containers": [container] } } } })
        };
        let earlier = "trap 'exit 143' TERM\nuvicorn openhands.server.listen:app --port 3000 &\nwait $!\n";
        assert!(receives_sigterm_of_node(&deployment(earlier)));
        assert!(!receives_sigterm_of_node(&deployment(&start(OnStop::Keep, CLASSIC.start.unwrap()))));
        assert!(!receives_sigterm_of_node(&deployment("sleep infinity")), "it is not the application");
        let mut clean = deployment(&start(OnStop::Clean, CLASSIC.start.unwrap()));
        clean["spec"]["template"]["metadata"] = json!({ "annotations": { ANNOTATION: CLEAN } });
        assert!(!receives_sigterm_of_node(&clean), "the configuration wants the signal");
    }

    #[test]
    fn only_a_pod_beside_another_drains() {
        assert_eq!(drain_seconds(OnStop::Keep, false), None);
        assert_eq!(drain_seconds(OnStop::Clean, true), None, "the application ends connections itself");
        assert!(drain_seconds(OnStop::Keep, true).unwrap() < grace(OnStop::Keep));
    }
}
