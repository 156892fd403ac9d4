//! Completion of a typed word: the requests of the scripts, and bash itself.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bed::{HANDSCTL, Run, finish, in_home};
use crate::planted;

/// Far longer than a completion takes, on a computer that runs hundreds of tests.
const PROMPT: Duration = Duration::from_secs(10);

/// A home whose kubeconfig has a context of each of these names, with this server and user.
fn home(contexts: &[&str], server: &str, user: &Value) -> TempDir {
    let home = TempDir::new().unwrap();
    let context = |name: &&str| json!({ "name": name, "context": { "cluster": "c", "user": "u" } });
    let kubeconfig = json!({
        "clusters": [{ "name": "c", "cluster": { "server": server } }],
        "users": [{ "name": "u", "user": user }],
        "contexts": contexts.iter().map(context).collect::<Vec<_>>(),
        "current-context": contexts[0],
    });
    std::fs::create_dir_all(home.path().join(".kube")).unwrap();
    std::fs::write(home.path().join(".kube/config"), kubeconfig.to_string()).unwrap();
    home
}

/// A server that accepts connections and never responds.
fn silent_server() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

/// The answer of the binary to a script: the words behind `handsctl`, the last one is completed.
fn answer(home: &Path, shell: &str, words: &[&str]) -> String {
    let arguments: Vec<&str> = ["__complete", shell].iter().chain(words).copied().collect();
    let run = in_home(home, &arguments).run().exits(0).within(PROMPT);
    assert_eq!(run.stderr, "", "{words:?}");
    run.stdout
}

/// The values that the binary offers to bash.
fn values(home: &Path, words: &[&str]) -> Vec<String> {
    let answer = answer(home, "bash", words);
    let mut lines = answer.lines().map(str::to_owned);
    let mode = lines.next();
    assert!(matches!(mode.as_deref(), Some("values" | "parts")), "{words:?}: {answer}");
    lines.collect()
}

/// As [`values`], for names that the binary looks up: a busy computer takes longer than a prompt may.
fn looked_up(home: &Path, words: &[&str]) -> Vec<String> {
    let words = [&["__complete", "bash"], words].concat();
    let run = in_home(home, &words).env("HANDSCTL_COMPLETION_LIMIT", "10s").run().exits(0);
    run.stdout.lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn commands_and_options_are_completed() {
    let (_listener, server) = silent_server();
    let home = home(&["c"], &server, &json!({ "token": "t" }));
    let commands = values(home.path(), &[""]);
    assert!(
        commands.contains(&"deploy".to_owned()) && commands.contains(&"options".to_owned()),
        "{commands:?}"
    );
    assert!(commands.iter().all(|value| !value.starts_with('-')), "{commands:?}");
    assert_eq!(values(home.path(), &["cluster", "st"]), ["status"]);
    assert_eq!(values(home.path(), &["-n", "dev", "logs", "--prev"]), ["--previous"]);
    assert_eq!(values(home.path(), &["deploy", "--con"]), ["--config", "--context"]);
    assert_eq!(values(home.path(), &["cluster", "down", "--con"]), ["--config"], "it rejects --context");
    assert_eq!(values(home.path(), &["status", "-o", ""]), ["table", "json", "yaml"]);
    assert_eq!(values(home.path(), &["deploy", "--dry-run=s"]), ["--dry-run=server"]);
    assert_eq!(values(home.path(), &["logs", "--tail", ""]), [""; 0], "no files");
}

#[test]
fn contexts_are_completed_without_a_connection() {
    let (listener, server) = silent_server();
    listener.set_nonblocking(true).unwrap();
    let names = ["prod", "arn:aws:eks:eu:1:cluster/a", "$(touch x)", "--yes", "stage"];
    let home = home(&names, &server, &json!({ "token": "t" }));
    assert_eq!(
        looked_up(home.path(), &["status", "--context", ""]),
        ["prod", "arn:aws:eks:eu:1:cluster/a", "stage"],
        "nothing that a shell would execute"
    );
    assert_eq!(looked_up(home.path(), &["status", "--context=st"]), ["--context=stage"]);
    assert!(listener.accept().is_err(), "it connected");
}

#[test]
fn local_clusters_are_completed_from_their_records() {
    let home = TempDir::new().unwrap();
    assert_eq!(values(home.path(), &["cluster", "down", ""]), [""; 0], "no cluster, and no options");
    for name in ["work", "trial"] {
        std::fs::create_dir_all(home.path().join(".local/state/handsctl/clusters").join(name)).unwrap();
    }
    for command in ["down", "up", "status"] {
        assert_eq!(values(home.path(), &["cluster", command, ""]), ["trial", "work"], "{command}");
    }
    assert_eq!(values(home.path(), &["cluster", "down", "--yes", "t"]), ["trial"]);
}

#[test]
fn only_paths_are_completed_as_files() {
    let (_listener, server) = silent_server();
    let home = home(&["c"], &server, &json!({ "token": "t" }));
    for words in [&["deploy", "--config", ""][..], &["deploy", "--kubeconfig="], &["config", "init", ""]] {
        assert_eq!(answer(home.path(), "bash", words), "files\n", "{words:?}");
        assert_eq!(answer(home.path(), "kubectl", words), ":0\n", "{words:?}");
    }
}

#[test]
fn keys_and_ids_are_completed() {
    let home = TempDir::new().unwrap();
    assert_eq!(values(home.path(), &["deploy", "--set", "deploy.storage_s"]), ["deploy.storage_size="]);
    assert_eq!(
        values(home.path(), &["deploy", "--set=cluster.provider=kw"]),
        ["--set=cluster.provider=kwok"]
    );
    assert_eq!(values(home.path(), &["config", "explain", "deploy.storage_s"]), ["deploy.storage_size"]);
    assert!(values(home.path(), &["explain", "HC41"]).contains(&"HC4103".to_owned()));
    assert_eq!(values(home.path(), &["explain", "exit-code", "13"]), ["13", "130"]);
}

#[test]
fn silent_cluster_delays_a_tab_by_a_tenth_of_a_second() {
    let (_listener, server) = silent_server();
    let home = home(&["c"], &server, &json!({ "token": "t" }));
    let began = Instant::now();
    // Hundreds of tests share the processors: one undisturbed answer shows the limit.
    loop {
        let tab = Instant::now();
        assert_eq!(values(home.path(), &["status", "-n", ""]), [""; 0]);
        if tab.elapsed() <= Duration::from_millis(100) {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "no answer within 0.1 s");
    }
}

#[test]
fn silent_cluster_gives_no_candidate() {
    let (listener, server) = silent_server();
    let home = home(&["c"], &server, &json!({ "token": "t" }));
    for words in [
        &["status", "-n", ""][..],
        &["status", "--name", ""],
        &["rollback", ""],
        &["rollback", "--to", ""],
        &["logs", "-c", ""],
    ] {
        assert_eq!(values(home.path(), words), [""; 0], "{words:?}");
    }
    drop(listener);
    assert_eq!(values(home.path(), &["rollback", ""]), [""; 0], "nothing listens");
}

#[test]
fn broken_configuration_gives_no_candidate_of_the_cluster() {
    let (_listener, server) = silent_server();
    let home = home(&["c"], &server, &json!({ "token": "t" }));
    std::fs::write(home.path().join("config.toml"), "[deploy\nname = ").unwrap();
    assert_eq!(values(home.path(), &["rollback", ""]), [""; 0]);
    assert_eq!(values(home.path(), &["history", "--config", "nowhere.toml", "-n", ""]), [""; 0]);
    assert_eq!(values(home.path(), &["history", "--color", "purple", "-n", ""]), [""; 0]);
    assert_eq!(looked_up(home.path(), &["history", "--context", ""]), ["c"]);
    std::fs::write(home.path().join(".kube/config"), "{").unwrap();
    assert_eq!(values(home.path(), &["history", "--context", ""]), [""; 0]);
}

#[test]
fn completion_runs_no_credential_plugin() {
    let (_listener, server) = silent_server();
    for mode in ["Never", "IfAvailable", "Always"] {
        let plugin = json!({ "exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": mode,
            "command": "sh", "args": ["-c", "touch plugin-ran; echo asking >&2; cat"],
        } });
        let home = home(&["c"], &server, &plugin);
        for words in [&["rollback", ""][..], &["status", "-n", ""], &["status", "--context", ""]] {
            answer(home.path(), "bash", words);
        }
        assert!(!home.path().join("plugin-ran").exists(), "{mode}");
    }
}

#[test]
fn completion_shows_no_secret() {
    let (_listener, server) = silent_server();
    let secret = planted::secret("completion");
    let home = home(&["c"], &server, &json!({ "token": secret }));
    let config = format!("[llm]\napi_key = {}\n", json!(secret));
    std::fs::write(home.path().join("config.toml"), config).unwrap();
    for words in [
        &["deploy", "--set", "llm.api_key="][..],
        &["deploy", "--set", "llm."],
        &["config", "explain", "llm.api"],
        &["status", "--context", ""],
        &["rollback", ""],
        &["deploy", "--set", "llm.api_key=x", "-n", ""],
    ] {
        for shell in ["bash", "zsh", "fish", "kubectl"] {
            planted::assert_hidden(&secret, shell, &answer(home.path(), shell, words));
        }
    }
}

#[test]
fn other_requests_have_no_answer() {
    let home = TempDir::new().unwrap();
    for arguments in [&["__complete"][..], &["__complete", "tcsh", ""]] {
        let run = in_home(home.path(), arguments).run().exits(0);
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""), "{arguments:?}");
    }
}

/// Runs a program with the binary as `handsctl` and as `kubectl-hands` on its PATH.
fn with_binary_on_path(home: &Path, program: &str, arguments: &[&str]) -> Run {
    let folder = home.join("bin");
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["handsctl", "kubectl-hands"] {
        let _exists_already = std::os::unix::fs::symlink(HANDSCTL, folder.join(name));
    }
    let environment = in_home(home, &[]).into_command();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(home).env_clear();
    command.envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("PATH", path);
    finish(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

#[test]
fn plugin_of_kubectl_names_itself_in_help_and_hints() {
    let home = TempDir::new().unwrap();
    let run = |arguments: &[&str]| with_binary_on_path(home.path(), "kubectl-hands", arguments);
    let help = run(&["deploy", "--help"]).exits(0).stdout;
    for line in [
        "Usage: kubectl hands deploy ",
        "  kubectl hands deploy --dry-run=server\n",
        "kubectl hands options lists",
    ] {
        assert!(help.contains(line), "{help}");
    }
    assert!(!help.contains("  handsctl ") && !help.contains("kubectl-hands"), "{help}");
    let root = run(&["--help"]).exits(0).stdout;
    assert!(root.contains("Usage: kubectl hands") && root.contains("kubectl hands COMMAND --help"), "{root}");
    run(&["deploi"]).exits(2).says("did you mean kubectl hands deploy?");
    run(&["ps"]).exits(2).says("hint: kubectl hands status shows");
    run(&["status", "--context", "nowhere"]).exits(3).never_says("handsctl deploy");
    run(&["explain", "HC2030"]).exits(0).prints("kubectl hands cluster up --recreate");
    run(&["cluster", "down", "--name", "x"]).exits(2).says("hint: kubectl hands cluster down NAME");
    run(&["config", "init"]).exits(0).says("next: kubectl hands up");
    run(&["cluster", "list"]).exits(0).says("kubectl hands up creates one with OpenHands");
    let record = home.path().join(".local/state/handsctl/clusters/old");
    std::fs::create_dir_all(&record).unwrap();
    std::fs::write(record.join("handsctl.json"), "{").unwrap();
    run(&["cluster", "list"]).exits(0).prints("kubectl hands cluster status old");
}

/// What bash offers for a line. The words are those into which bash breaks it, at `=` and `:` too; the last one is `$2`.
fn bash(home: &Path, line: &str, words: &[&str]) -> Vec<String> {
    let script = r#"
        # A busy computer takes longer than a prompt may.
        export HANDSCTL_COMPLETION_LIMIT=10s
        eval "$(handsctl completion bash)" || exit 1
        complete -p handsctl >/dev/null || exit 1
        COMP_LINE=$1 COMP_POINT=${#1}
        shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _handsctl handsctl "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        ((${#COMPREPLY[@]})) && printf '%s\n' "${COMPREPLY[@]}"
        exit 0"#;
    let arguments: Vec<&str> = ["--norc", "-c", script, "bash", line].iter().chain(words).copied().collect();
    let run = with_binary_on_path(home, "bash", &arguments).exits(0);
    run.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_words_with_colons_and_equals_signs() {
    let (_listener, server) = silent_server();
    let home = home(&["arn:aws:eks", "arn:aws:other"], &server, &json!({ "token": "t" }));
    let home = home.path();
    assert_eq!(bash(home, "handsctl tear", &["handsctl", "tear"]), ["teardown"]);
    assert_eq!(
        bash(
            home,
            "handsctl status --context arn:aws:e",
            &["handsctl", "status", "--context", "arn", ":", "aws", ":", "e"]
        ),
        ["eks"]
    );
    assert_eq!(
        bash(
            home,
            "handsctl  status --context=arn:aws:o",
            &["handsctl", "status", "--context", "=", "arn", ":", "aws", ":", "o"]
        ),
        ["other"]
    );
    assert_eq!(
        bash(
            home,
            "handsctl deploy --set cluster.provider=kw",
            &["handsctl", "deploy", "--set", "cluster.provider", "=", "kw"]
        ),
        ["kwok"]
    );
    assert_eq!(
        bash(
            home,
            "handsctl deploy --set 'deploy.host=\"a b\"' --context=",
            &["handsctl", "deploy", "--set", "'deploy.host=\"a b\"'", "--context", "=", ""]
        ),
        ["arn:aws:eks", "arn:aws:other"]
    );
    assert_eq!(bash(home, "handsctl status --config ", &["handsctl", "status", "--config", ""]), [""; 0]);
}

#[test]
fn kubectl_plugin_file_answers_as_cobra_does() {
    let home = TempDir::new().unwrap();
    let script = in_home(home.path(), &["completion", "kubectl"]).run().exits(0).stdout;
    let file = home.path().join("kubectl_complete-hands");
    std::fs::write(&file, &script).unwrap();
    let file = file.to_str().unwrap();
    let run = with_binary_on_path(home.path(), "sh", &[file, "cluster", "st"]).exits(0);
    assert_eq!(run.stdout, "status\tShow whether the local cluster is ready\n:4\n");
    let run = with_binary_on_path(home.path(), "sh", &[file, "deploy", "--set", "deploy.storage_s"]).exits(0);
    let (value, directive) = run.stdout.split_once('\n').unwrap();
    assert!(value.starts_with("deploy.storage_size=\t"), "{}", run.stdout);
    assert_eq!(directive, ":6\n");
}

#[test]
fn scripts_call_the_binary() {
    let home = TempDir::new().unwrap();
    for shell in ["bash", "zsh", "fish", "kubectl"] {
        let script = in_home(home.path(), &["completion", shell]).run().exits(0).stdout;
        assert!(script.contains(&format!(" __complete {shell} ")), "{shell}: {script}");
        assert!(
            script.contains("</dev/null 2>/dev/null"),
            "{shell}: it neither reads the terminal nor writes to it"
        );
    }
}
