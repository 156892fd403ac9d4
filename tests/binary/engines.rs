//! kind clusters with scripts as engine and kind: preflight, and the evidence of a failed creation. The tests in
//! `containers/kind.rs` create real clusters.

mod replacement;
mod unusable;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::bed::{CommandLine, Run, in_home};

/// Time limit of preflight with an engine that does not respond: half of the time that the engine's script takes.
const HANGING_ENGINE_LIMIT: Duration = Duration::from_secs(30);

const DOCKER: &str = r#"
case "$*" in
    info*) echo '{"ServerVersion":"28.2.2","NCPU":8,"MemTotal":33000000000}' ;;
    ps*publish*) ;;
    ps*) [ -e made ] && echo abc ;;
    inspect*)
        read -r port < made
        echo '[{"Id":"abc","Name":"/trial-control-plane","State":{"Running":true},"Config":{"Image":"n:1","Labels":{"io.x-k8s.kind.role":"control-plane"}},'
        echo '"HostConfig":{"PortBindings":{"6443/tcp":[{"HostIp":"127.0.0.1","HostPort":"'"$port"'"}]}}}]' ;;
    exec*) [ -e label ] || exit 1; read -r label < label; echo "$label" ;;
esac
exit 0
"#;

const KIND: &str = r#"
case "$*" in
    version*) echo 'kind v0.33.0 go1.26.0 linux/amd64' ;;
    create*)
        while [ "$1" != --config ]; do shift; done
        /bin/sed -n 's/.*"apiServerPort": *\([0-9]*\).*/\1/p' "$2" > made
        /bin/sed -n 's/.*created-by": *"\([^"]*\)".*/\1/p' "$2" > label
        echo 'Creating cluster "trial" ...' >&2
        echo ' • Preparing nodes 📦  ...' >&2
        echo 'ERROR: failed to create cluster: command "docker run" failed with error: exit status 125' >&2
        echo 'docker: Error response from daemon: no space left on device' >&2
        exit 1 ;;
    export*logs*)
        for folder in "$@"; do :; done
        /bin/mkdir -p "$folder/trial-control-plane"
        echo 'kubelet: started' > "$folder/trial-control-plane/kubelet.log" ;;
    delete*) /bin/rm made; echo "$*" > deleted ;;
esac
exit 0
"#;

/// The variables of the tester's environment that choose an engine or its server.
const VARIABLES: [&str; 6] = [
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "CONTAINER_HOST",
    "CONTAINER_CONNECTION",
    "KIND_EXPERIMENTAL_PROVIDER",
    "KIND_NODE_IMAGE",
];

/// A home whose `PATH` has only these programs.
struct Computer(TempDir);

impl Computer {
    fn new(programs: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        for (name, script) in programs {
            let path = folder.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\ncd '{}'\n{script}", folder.path().display())).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self(folder)
    }

    /// A computer with a docker that responds, and kind.
    fn with_kind() -> Self {
        Self::new(&[("docker", DOCKER), ("kind", KIND)])
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn cluster_up(&self, more: &[&str]) -> Run {
        self.command(more).run()
    }

    fn command(&self, more: &[&str]) -> CommandLine {
        let config = "[cluster]\nname = \"trial\"\nprovider = \"kind\"\nhttp_port = 0\n";
        std::fs::write(self.path().join("config.toml"), config).unwrap();
        let arguments = [&["cluster", "up"], more].concat();
        let command = in_home(self.path(), &arguments).env("PATH", self.path());
        VARIABLES.into_iter().fold(command, CommandLine::without)
    }

    /// Writes the record of the cluster, as an interrupted creation leaves it.
    fn write_unfinished_record(&self, api_port: u16) {
        let folder = self.path().join(".local/state/handsctl/clusters/trial");
        std::fs::create_dir_all(&folder).unwrap();
        let spec = json!({
            "image": "n:1", "workers": 0, "http_address": "127.0.0.1", "http_port": null, "https_port": null,
        });
        let record = json!({
            "schema": 2, "provider": "kind", "phase": "creating", "engine": "docker", "nodes": [],
            "api_port": api_port, "spec": spec,
        });
        std::fs::write(folder.join("handsctl.json"), record.to_string()).unwrap();
    }

    /// Makes the stand-ins report nodes of the cluster whose API server has this port.
    fn write_nodes(&self, api_port: u16) {
        std::fs::write(self.path().join("made"), format!("{api_port}\n")).unwrap();
    }

    /// Writes the record of a simulated cluster, whose processes do not run.
    fn write_simulated_record(&self, workers: u32) {
        let folder = self.path().join(".local/state/handsctl/clusters/trial");
        std::fs::create_dir_all(&folder).unwrap();
        let record = json!({
            "schema": 2, "provider": "kwok", "phase": "ready", "spec": {"workers": workers, "kubernetes": "v1.34.4"},
            "ports": {
                "etcd": 20001, "etcd_peer": 20002, "kube_apiserver": 20003, "kube_controller_manager": 20004,
                "kube_scheduler": 20005, "kwok_controller": 20006,
            },
        });
        std::fs::write(folder.join("handsctl.json"), record.to_string()).unwrap();
    }

    /// The record of the cluster.
    fn record(&self) -> Option<String> {
        std::fs::read_to_string(self.path().join(".local/state/handsctl/clusters/trial/handsctl.json")).ok()
    }

    /// Leaves the lock of a killed program beside the kubeconfig.
    fn write_stale_lock(&self) {
        std::fs::create_dir_all(self.path().join(".kube")).unwrap();
        std::fs::write(self.path().join(".kube/config.lock"), "").unwrap();
    }

    /// Runs a creation that fails, after which the nodes have the label of this account.
    fn write_label(&self) {
        self.cluster_up(&[]).exits(14).says("the disk is full");
        std::fs::remove_file(self.path().join("deleted")).unwrap();
        let label = std::fs::read_to_string(self.path().join("label")).unwrap();
        assert_eq!(label.trim().len(), 16, "{label:?}");
    }

    /// Runs `cluster down --yes`.
    fn cluster_down(&self, more: &[&str]) -> Run {
        let arguments = [&["cluster", "down", "--yes"], more].concat();
        in_home(self.path(), &arguments).env("PATH", self.path()).without("DOCKER_HOST").run()
    }

    /// Whether `kind delete cluster` was run.
    fn has_deleted(&self) -> bool {
        self.path().join("deleted").exists()
    }

    /// The state files of clusters.
    fn state(&self) -> Vec<String> {
        let clusters = self.path().join(".local/state/handsctl/clusters");
        let entries = std::fs::read_dir(clusters).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
    }
}

#[test]
fn preflight_reports_all_problems_and_creates_nothing() {
    let denied = "echo 'permission denied while trying to connect to the Docker daemon socket' >&2; exit 1";
    let computer = Computer::new(&[("docker", denied), ("kind", KIND)]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let set = format!("cluster.http_port={port}");
    computer
        .cluster_up(&["--set", &set])
        .exits(14)
        .says("error[HC2004]: docker: permission denied")
        .says("hint: sudo usermod -aG docker $USER")
        .says(&format!("HC2006 port {port} of 127.0.0.1 is in use by "))
        .says(&format!("(pid {})", std::process::id()))
        .says("handsctl up --set cluster.http_port=8080")
        .says("kind-trial was not created; nothing was changed");
    assert_eq!(computer.state(), Vec::<String>::new());
}

#[test]
fn missing_stopped_or_old_engine_exits_14_with_fix() {
    Computer::new(&[]).cluster_up(&[]).exits(14).says("error[HC2001]: no docker, podman or nerdctl on PATH");
    Computer::new(&[("docker", "echo 'no daemon' >&2; exit 1"), ("kind", KIND)])
        .cluster_up(&[])
        .exits(14)
        .says("error[HC2003]: docker: no daemon")
        .says("hint: start it:");
    let old = "echo '{\"ServerVersion\":\"19.03.1\"}'";
    Computer::new(&[("docker", old), ("kind", KIND)])
        .cluster_up(&[])
        .exits(14)
        .says("error[HC2005]: docker 19.03.1 is too old: 20.10 or newer is needed");
    let down = "echo 'Cannot connect to the Docker daemon at tcp://127.0.0.1:1.' >&2; exit 1";
    let unreachable = Computer::new(&[("docker", down), ("kind", KIND)]);
    let run = unreachable.command(&[]).env("DOCKER_HOST", "tcp://127.0.0.1:1").run();
    run.exits(14)
        .says("error[HC2003]")
        .says("DOCKER_HOST is tcp://127.0.0.1:1: start the engine at this address, or unset DOCKER_HOST");
}

#[test]
fn docker_info_of_10_s_still_gets_a_kind_cluster() {
    let slow = DOCKER.replace("info*)", "info*) [ -e woken ] || /bin/sleep 10; : > woken;");
    for provider in ["kind", "auto"] {
        let computer = Computer::new(&[("docker", &slow), ("kind", KIND)]);
        let set = format!("cluster.provider=\"{provider}\"");
        computer
            .cluster_up(&["--set", &set])
            .exits(14)
            .says("docker has not responded for 2 s")
            .says("docker 28.2.2 responded after 10 s")
            // The script of kind fails; a real one would have created the nodes.
            .says("error[HC2020]: cannot create the local cluster trial")
            .never_says("simulated");
    }
}

#[test]
fn docker_info_without_response_gets_no_simulated_cluster() {
    for provider in ["kind", "auto"] {
        let computer = Computer::new(&[("docker", "exec /bin/sleep 60"), ("kind", KIND)]);
        let set = format!("cluster.provider=\"{provider}\"");
        computer
            .cluster_up(&["--timeout", "4s", "--set", &set])
            .exits(10)
            .within(HANGING_ENGINE_LIMIT)
            .says("docker has not responded for 2 s")
            .says("step      engine")
            .never_says("simulated");
        assert_eq!(computer.state(), Vec::<String>::new());
    }
}

#[test]
fn auto_with_a_forbidden_engine_gets_no_simulated_cluster() {
    let denied = "echo 'permission denied while trying to connect to the Docker daemon socket' >&2; exit 1";
    let computer = Computer::new(&[("docker", denied), ("kind", KIND)]);
    computer
        .cluster_up(&["--set", "cluster.provider=\"auto\""])
        .exits(14)
        .says("error[HC2004]: docker: permission denied")
        .says("hint: sudo usermod -aG docker $USER")
        .says("[cluster] provider = \"kwok\" simulates a cluster");
    assert_eq!(computer.state(), Vec::<String>::new());
}

#[test]
fn engine_of_another_computer_skips_the_checks_of_this_one() {
    let remote = DOCKER.replace("    exec*)", "    context*) echo 'ssh://ana:pw@build.test' ;;\n    exec*)");
    let computer = Computer::new(&[("docker", &remote), ("kind", KIND)]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    computer
        .cluster_up(&["--set", &format!("cluster.http_port={port}")])
        .exits(14)
        .says("HC2090 the engine runs on another computer (ssh://build.test): its ports, its disk and")
        .says("docker context use default")
        .never_says("HC2006")
        .never_says(&format!("port {port} free"))
        .says("error[HC2020]: cannot create the local cluster trial");
}

#[test]
fn engine_with_too_few_cpus_exits_14() {
    let small = DOCKER.replace("\"NCPU\":8", "\"NCPU\":1");
    let computer = Computer::new(&[("docker", &small), ("kind", KIND)]);
    computer
        .cluster_up(&[])
        .exits(14)
        .says("error[HC2007]: the engine has 1 cpu, but the control plane and the application request ");
    let tight = DOCKER.replace("\"NCPU\":8", "\"NCPU\":2");
    let computer = Computer::new(&[("docker", &tight), ("kind", KIND)]);
    // The application fits, but no sandbox in addition to it.
    let large_sandbox = "kubernetes.resource_cpu_request=\"2\"";
    computer
        .cluster_up(&["--set", large_sandbox])
        .exits(14)
        .says("HC2007 no sandbox fits in addition to the application");
}

#[test]
fn old_kind_without_download_exits_14() {
    let old = KIND.replace("v0.33.0", "v0.11.1");
    let computer = Computer::new(&[("docker", DOCKER), ("kind", &old)]);
    computer
        .command(&[])
        .env("XDG_CACHE_HOME", computer.path().join("cache"))
        .env("HANDSCTL_TEST_RELEASES", "http://127.0.0.1:1")
        .run()
        .exits(14)
        .says("error[HC2010]")
        .says("v0.11.1");
    assert_eq!(computer.state(), Vec::<String>::new());
}

#[test]
fn stale_context_is_not_overwritten() {
    let computer = Computer::with_kind();
    let kubeconfig = "apiVersion: v1\nkind: Config\nclusters:\n- {name: kind-trial, cluster: {server: 'https://127.0.0.1:1'}}\nusers: []\ncontexts:\n- {name: kind-trial, context: {cluster: kind-trial, user: a}}\n";
    std::fs::create_dir(computer.path().join(".kube")).unwrap();
    std::fs::write(computer.path().join(".kube/config"), kubeconfig).unwrap();
    computer
        .cluster_up(&[])
        .exits(14)
        .says("error[HC2024]")
        .says("has a context kind-trial that handsctl did not write, but there is no such cluster");
    assert_eq!(std::fs::read_to_string(computer.path().join(".kube/config")).unwrap(), kubeconfig);
}

#[test]
fn foreign_kind_cluster_is_kept() {
    let computer = Computer::with_kind();
    std::fs::write(computer.path().join("made"), "").unwrap();
    computer
        .cluster_up(&[])
        .exits(14)
        .says("error[HC2022]: a kind cluster trial exists and was not created by handsctl")
        .says("context = \"kind-trial\"");
    computer.cluster_up(&["--recreate", "--yes"]).exits(14).says("error[HC2022]");
    assert!(!computer.path().join("deleted").exists());
}

#[test]
fn cluster_of_another_user_of_the_engine_is_kept() {
    let computer = Computer::with_kind();
    computer.write_label();
    // The containers are there, the record is not: it is lost, or another user's.
    computer.write_nodes(20_001);
    let other = computer.command(&["--recreate", "--yes"]).env("HANDSCTL_TEST_COMPUTER", "other").run();
    other.exits(14).says("error[HC2022]: a kind cluster trial exists");
    let down = in_home(computer.path(), &["cluster", "down", "--yes"]).env("PATH", computer.path());
    down.without("DOCKER_HOST").env("HANDSCTL_TEST_COMPUTER", "other").run().exits(14).says("error[HC2023]");
    assert!(!computer.has_deleted());

    computer.cluster_down(&[]).exits(0);
    assert!(computer.has_deleted());
}

#[test]
fn cluster_made_after_an_interrupted_creation_is_kept() {
    let computer = Computer::with_kind();
    computer.write_unfinished_record(20_001);
    // Somebody creates a cluster of this name with kind, which chooses another port.
    computer.write_nodes(20_002);
    for more in [&[][..], &["--recreate", "--yes"]] {
        computer.cluster_up(more).exits(14).says("error[HC2022]: a kind cluster trial exists");
    }
    computer.cluster_down(&[]).exits(14).says("error[HC2023]");
    assert!(!computer.has_deleted());
}

#[test]
fn interrupted_creation_of_this_computer_is_deleted_and_repeated() {
    let computer = Computer::with_kind();
    computer.write_unfinished_record(20_001);
    computer.write_nodes(20_001);
    computer.cluster_up(&[]).exits(14).says("the disk is full");
    assert!(computer.has_deleted());
}

#[test]
fn nodes_that_another_program_created_meanwhile_are_kept() {
    let conflict = r#"
    case "$*" in
        version*) echo 'kind v0.33.0 go1.26.0 linux/amd64' ;;
        create*)
            echo 1 > made
            echo 'ERROR: failed to create cluster: node(s) already exist for a cluster with the name "trial"' >&2
            exit 1 ;;
        export*) echo exported > exported ;;
        delete*) echo "$*" > deleted ;;
    esac
    "#;
    let computer = Computer::new(&[("docker", DOCKER), ("kind", conflict)]);
    computer
        .cluster_up(&[])
        .exits(14)
        .says(
            "error[HC2020]: cannot create the local cluster trial: containers with these names already exist",
        )
        .says("kept      trial-control-plane: this run did not create them");
    assert!(!computer.has_deleted() && !computer.path().join("exported").exists());
    assert_eq!(computer.state(), Vec::<String>::new());
}

#[test]
fn stale_kubeconfig_lock_is_found_before_a_cluster_is_created() {
    let computer = Computer::with_kind();
    computer.write_stale_lock();
    let lock = computer.path().join(".kube/config.lock");
    computer
        .cluster_up(&[])
        .exits(14)
        .says(".kube/config has been locked for more than 10 s")
        .says(&format!("rm {}", lock.display()));
    assert!(!computer.path().join("made").exists(), "the cluster was created");
    assert_eq!(computer.state(), Vec::<String>::new());
}

#[test]
fn newer_record_of_a_kind_cluster_is_deleted_by_kind_only() {
    let computer = Computer::with_kind();
    let folder = computer.path().join(".local/state/handsctl/clusters/local-hands");
    std::fs::create_dir_all(&folder).unwrap();
    let record = folder.join("handsctl.json");
    std::fs::write(&record, r#"{"schema": 99, "provider": "kind"}"#).unwrap();
    computer.write_nodes(20_001);
    // Nothing proves that the nodes are ours, so the files are kept, too.
    computer.cluster_down(&[]).exits(14).says("error[HC2023]").says("written by a newer version of handsctl");
    std::fs::write(&record, "{").unwrap();
    computer.cluster_down(&[]).exits(14).says("error[HC9003]").says("provider of the cluster");
    assert!(record.exists() && !computer.has_deleted());
    let computer = Computer::with_kind();
    computer.write_label();
    let folder = computer.path().join(".local/state/handsctl/clusters/trial");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("handsctl.json"), r#"{"schema": 99, "provider": "kind"}"#).unwrap();
    computer.write_nodes(20_001);
    computer.cluster_down(&[]).exits(0).says("cluster trial is deleted");
    assert!(computer.has_deleted() && !folder.exists());
}

#[test]
fn unreadable_state_file_never_leads_to_the_current_context() {
    let home = TempDir::new().unwrap();
    let kubeconfig = "apiVersion: v1\nkind: Config\ncurrent-context: prod\nclusters: [{name: prod, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: []\ncontexts: [{name: prod, context: {cluster: prod, user: a}}]\n";
    std::fs::create_dir(home.path().join(".kube")).unwrap();
    std::fs::write(home.path().join(".kube/config"), kubeconfig).unwrap();
    let folder = home.path().join(".local/state/handsctl/clusters/local-hands");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(home.path().join("config.toml"), "").unwrap();
    for record in ["", "{", r#"{"schema": 99, "provider": "vm"}"#, r#"{"schema": 2, "provider": "vm"}"#] {
        std::fs::write(folder.join("handsctl.json"), record).unwrap();
        for command in [&["deploy", "--yes"][..], &["teardown", "--yes"], &["status"]] {
            in_home(home.path(), command).run().exits(14).says("error[HC9003]").never_says("prod");
        }
    }
}

#[test]
fn failed_creation_keeps_evidence_and_cleans_up() {
    let computer = Computer::with_kind();
    let run = computer.cluster_up(&[]).exits(14);
    let file = computer.path().join(".local/state/handsctl/failed/trial.log");
    let run = run.says("error[HC2020]: cannot create the local cluster trial: the disk is full");
    run.says(&format!("evidence  {}", file.display()));
    let evidence = std::fs::read_to_string(&file).unwrap();
    for text in [
        "==> kind create cluster <==",
        "no space left on device",
        "==> docker inspect <==",
        "kubelet: started",
    ] {
        assert!(evidence.contains(text), "lacks {text}:\n{evidence}");
    }
    let deleted = std::fs::read_to_string(computer.path().join("deleted")).unwrap();
    assert!(deleted.starts_with("delete cluster --name trial"), "{deleted}");
    assert_eq!(computer.state(), Vec::<String>::new());
    computer.cluster_down(&[]).exits(0);
    assert!(!file.exists(), "`cluster down` removes everything of the cluster");
}

#[test]
fn cluster_status_with_hanging_engine_exits_10() {
    let computer = Computer::new(&[("docker", "exec /bin/sleep 60 2>&-")]);
    let status = ["cluster", "status", "--set", "cluster.provider=\"kind\"", "--timeout", "1s"];
    let run = in_home(computer.path(), &status).env("PATH", computer.path()).without("DOCKER_HOST").run();
    run.exits(10).says("the state of cluster local-hands was not read").within(HANGING_ENGINE_LIMIT);
}

#[test]
fn cluster_list_without_clusters_names_the_next_command() {
    let computer = Computer::new(&[]);
    let run = in_home(computer.path(), &["cluster", "list"]).run().exits(0);
    assert_eq!(
        (run.stdout.as_str(), run.stderr.contains("no local clusters\n  handsctl up creates one")),
        ("", true)
    );
    let run = in_home(computer.path(), &["cluster", "list", "-o", "json"]).run().exits(0);
    assert_eq!((run.stdout.trim(), run.stderr.as_str()), ("[]", ""));
}

#[test]
fn cluster_list_reports_each_record_also_without_engine() {
    let computer = Computer::new(&[("docker", DOCKER)]);
    computer.write_unfinished_record(16443);
    let clusters = computer.path().join(".local/state/handsctl/clusters");
    let damaged = clusters.join("damaged");
    std::fs::create_dir_all(&damaged).unwrap();
    std::fs::write(damaged.join("handsctl.json"), r#"{"schema": 99, "provider": "kind"}"#).unwrap();
    std::fs::create_dir_all(clusters.join("empty")).unwrap();
    let list = || {
        let command =
            in_home(computer.path(), &["cluster", "list", "-o", "json"]).env("PATH", computer.path());
        let run = command.without("DOCKER_HOST").without("KIND_EXPERIMENTAL_PROVIDER").run().exits(0);
        let states: Vec<(String, String)> = run
            .json()
            .as_array()
            .unwrap()
            .iter()
            .map(|cluster| {
                ["name", "condition"].map(|field| cluster[field].as_str().unwrap().to_owned()).into()
            })
            .collect();
        (states, run.stderr)
    };
    let states = |trial: &str| [("damaged", "unknown"), ("trial", trial)].map(|(a, b)| (a.into(), b.into()));
    // Its containers do not exist.
    assert_eq!(list(), (states("gone").to_vec(), String::new()));
    computer.write_nodes(16_443);
    assert_eq!(list().0, states("incomplete"));
    std::fs::remove_file(computer.path().join("docker")).unwrap();
    let (without_engine, warning) = list();
    assert_eq!(without_engine, states("unknown"));
    assert!(warning.starts_with("warning[HC2001]"), "{warning}");
}
