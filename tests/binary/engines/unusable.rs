//! Engines that are there and cannot be used: `auto` creates no simulated cluster beside them, and no command waits for
//! them without end.

use std::net::TcpListener;

use super::{Computer, DOCKER, HANGING_ENGINE_LIMIT, KIND, VARIABLES};
use crate::bed::{CommandLine, in_home};

const AUTO: [&str; 2] = ["--set", "cluster.provider=\"auto\""];

/// A client whose `info` fails with this message.
fn failing(message: &str) -> String {
    format!("echo '{message}' >&2; exit 1")
}

#[test]
fn auto_with_a_failing_daemon_gets_no_simulated_cluster() {
    for message in [
        "Error response from daemon: Docker Desktop is unable to start",
        "request returned 500 Internal Server Error for API route and version http://%2Fdocker.sock/v1.51/info, check if the server supports the requested API version",
    ] {
        let computer = Computer::new(&[("docker", &failing(message)), ("kind", KIND)]);
        computer
            .cluster_up(&AUTO)
            .exits(14)
            .says(&format!("error[HC2003]: docker: {message}"))
            .says("hint: restart it: ")
            .says("[cluster] provider = \"kwok\" simulates a cluster");
        assert_eq!(computer.state(), Vec::<String>::new());
    }
}

#[test]
fn auto_with_a_chosen_engine_gets_no_simulated_cluster() {
    let down =
        failing("Cannot connect to the Docker daemon at tcp://127.0.0.1:1. Is the docker daemon running?");
    let podman_down = failing("Cannot connect to Podman. Please verify your connection to the Linux system");
    for (engine, script, variable, value, id, hint) in [
        ("docker", &down, "DOCKER_HOST", "tcp://127.0.0.1:1", "HC2003", "or unset DOCKER_HOST"),
        ("docker", &down, "DOCKER_CONTEXT", "build", "HC2003", "or unset DOCKER_CONTEXT"),
        ("podman", &podman_down, "CONTAINER_HOST", "ssh://build.test", "HC2003", "or unset CONTAINER_HOST"),
        ("docker", &down, "KIND_EXPERIMENTAL_PROVIDER", "docker", "HC2003", "sudo systemctl start docker"),
        ("docker", &down, "KIND_EXPERIMENTAL_PROVIDER", "podman", "HC2001", "install podman, or unset"),
    ] {
        let computer = Computer::new(&[(engine, script), ("kind", KIND)]);
        let run = computer.command(&AUTO).env(variable, value).run();
        run.exits(14).says(&format!("error[{id}]: ")).says(hint).never_says("simulated cluster,");
        assert_eq!(computer.state(), Vec::<String>::new());
    }
    // Another engine's variable chooses nothing.
    let computer = Computer::new(&[("docker", &down)]);
    let command = computer.command(&AUTO).env("CONTAINER_HOST", "ssh://build.test");
    let unfinished =
        command.env("HANDSCTL_ASSETS", "/nowhere").env("HANDSCTL_TEST_RELEASES", "http://127.0.0.1:1");
    unfinished.env("XDG_CACHE_HOME", computer.path().join("cache")).run().says("simulated cluster,");
}

#[test]
fn auto_with_an_unreachable_context_gets_no_simulated_cluster() {
    let ssh = "error during connect: Get \"http://docker.example.com/v1.51/info\": command [ssh -l ana -- build.test docker system dial-stdio] has exited with exit status 255: Permission denied (publickey).";
    let remote =
        format!("case \"$*\" in context*) echo 'ssh://ana:pw@build.test' ;; *) {} ;; esac", failing(ssh));
    let missing = "Failed to initialize: unable to resolve docker endpoint: context \"x\": context not found: no such file or directory";
    let podman = "case \"$*\" in system*) echo '[{\"Name\":\"b\",\"URI\":\"ssh://ana:pw@build.test/x.sock\",\"Default\":true}]' ;; *) echo 'Cannot connect to Podman.' >&2; exit 1 ;; esac";
    for (engine, script, hint) in [
        ("docker", remote.as_str(), "docker's context leads to ssh://build.test: start the engine there"),
        ("docker", &failing(missing), "docker context ls lists the contexts"),
        (
            "podman",
            podman,
            "podman's default connection leads to ssh://build.test/x.sock: start the engine there",
        ),
    ] {
        let computer = Computer::new(&[(engine, script), ("kind", KIND)]);
        let run = computer.cluster_up(&AUTO).exits(14).says("error[HC2003]: ").says(hint);
        run.never_says("systemctl").never_says("usermod").never_says("pw@");
        assert_eq!(computer.state(), Vec::<String>::new());
    }
}

#[test]
fn recreation_with_a_slow_engine_replaces_the_simulated_cluster() {
    // Longer than an engine that only adds detail is waited for.
    let slow = DOCKER.replace("info*)", "info*) [ -e woken ] || /bin/sleep 7; : > woken;");
    let computer = Computer::new(&[("docker", &slow), ("kind", KIND)]);
    computer.write_simulated_record(0);
    computer
        .cluster_up(&["--recreate", "--yes", AUTO[0], AUTO[1]])
        .exits(14)
        .says("docker 28.2.2 responded after 7 s")
        .says("deleting the incomplete cluster trial")
        // The script of kind fails; a real one would have created the nodes.
        .says("error[HC2020]: cannot create the local cluster trial");
    assert_eq!(computer.record(), None);
}

#[test]
fn recreation_with_a_forbidden_engine_keeps_the_simulated_cluster() {
    let denied = failing("permission denied while trying to connect to the Docker daemon socket");
    let computer = Computer::new(&[("docker", &denied), ("kind", KIND)]);
    computer.write_simulated_record(0);
    computer
        .cluster_up(&["--recreate", "--yes", AUTO[0], AUTO[1]])
        .exits(14)
        .says("error[HC2004]: docker: permission denied");
    assert!(computer.record().is_some());
}

#[test]
fn podman_of_another_computer_skips_the_checks_of_this_one() {
    let script = r#"
    case "$*" in
        info*) echo '{"host":{"cpus":8,"memTotal":33000000000,"kernel":"6.1","serviceIsRemote":true},"version":{"Version":"5.4.1"}}' ;;
        system*) echo '[{"Name":"b","URI":"ssh://ana:pw@build.test/run/podman.sock","Identity":"","Default":true}]' ;;
    esac
    exit 0
    "#;
    let computer = Computer::new(&[("podman", script), ("kind", KIND)]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // docker's variable says nothing about podman.
    let command = computer.command(&["--set", &format!("cluster.http_port={port}")]);
    let run = command.env("DOCKER_HOST", "unix:///var/run/docker.sock").run();
    run.exits(14)
        .says("HC2090 the engine runs on another computer (ssh://build.test/run/podman.sock): its ports")
        .says("podman system connection default NAME selects another engine")
        .never_says("HC2006")
        .says("error[HC2020]: cannot create the local cluster trial");
}

#[test]
fn doctor_with_a_hanging_engine_ends_at_the_limit() {
    let computer = Computer::new(&[("docker", "exec /bin/sleep 60 2>&-")]);
    let config = "[cluster]\nname = \"trial\"\nprovider = \"kind\"\n";
    std::fs::write(computer.path().join("config.toml"), config).unwrap();
    let command = in_home(computer.path(), &["doctor", "--timeout", "1s"]).env("PATH", computer.path());
    let run = VARIABLES.into_iter().fold(command, CommandLine::without).run();
    run.exits(10).within(HANGING_ENGINE_LIMIT);
}
