//! The binary without a cluster: help, exit codes, streams, config mistakes, secrets.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use clap::CommandFactory as _;
use handsctl::catalogue::Id;
use handsctl::error::Kind;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::words;
use crate::bed::{Run, finish, in_home, run_in_home};

/// Three errors in two tables and a warning. The masked secret and the multi-byte letters before them must not shift
/// their locations.
const MISTAKES: &str = r#"[llm]
api_key = "sk-ÄÖÜ-planted" # warned about
[kubernetes]
pvc_storage_sise = "2Gi"
[deploy]
host = "häuser.example" # an error of its own
replicas = "three"
"#;

fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn with_config(text: &str) -> TempDir {
    let home = home();
    std::fs::write(home.path().join("config.toml"), text).unwrap();
    home
}

/// Every command path, as `["cluster", "up"]`, and whether it has subcommands.
fn commands() -> Vec<(Vec<String>, bool)> {
    fn collect(command: &clap::Command, path: &[String], all: &mut Vec<(Vec<String>, bool)>) {
        all.push((path.to_vec(), command.has_subcommands()));
        for inner in command.get_subcommands() {
            let path: Vec<String> = path.iter().cloned().chain([inner.get_name().to_owned()]).collect();
            collect(inner, &path, all);
        }
    }
    let mut all = Vec::new();
    collect(&handsctl::cli::Cli::command(), &[], &mut all);
    all
}

/// Writes a kubeconfig whose server is the returned listener, which shows whether the binary connects.
fn watched_kubeconfig(home: &Path) -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let kubeconfig = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "watched",
        "clusters": [{"name": "watched", "cluster": {"server": format!("http://{}", listener.local_addr().unwrap())}}],
        "users": [{"name": "watched", "user": {"token": "t"}}],
        "contexts": [{"name": "watched", "context": {"cluster": "watched", "user": "watched"}}],
    });
    std::fs::create_dir_all(home.join(".kube")).unwrap();
    std::fs::write(home.join(".kube/config"), kubeconfig.to_string()).unwrap();
    listener
}

#[test]
fn help_and_descriptions_use_no_banned_words() {
    let home = home();
    let helps = commands().into_iter().map(|(path, _)| [path, vec!["--help".to_owned()]].concat());
    let words = |line: &[&str]| line.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
    for arguments in helps.chain([words(&["config", "schema"]), words(&["explain"])]) {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let run = run_in_home(home.path(), &arguments).exits(0);
        assert_eq!(words::offences_of_message(&run.stdout), Vec::<String>::new(), "{arguments:?}");
    }
}

#[test]
fn help_of_every_command_shows_examples() {
    let home = home();
    let commands = commands();
    assert!(commands.len() > 12, "{commands:?}");
    for (path, is_group) in commands {
        for flag in ["--help", "-h"] {
            let arguments: Vec<&str> = path.iter().map(String::as_str).chain([flag]).collect();
            let run = run_in_home(home.path(), &arguments).exits(0);
            assert_eq!(run.stderr, "", "{arguments:?}");
            assert!(run.stdout.contains("Usage: handsctl"), "{arguments:?}: {}", run.stdout);
            let wants_examples = !is_group || path.is_empty();
            assert!(!wants_examples || run.stdout.contains("Examples:\n"), "{arguments:?}: {}", run.stdout);
            for (columns, widest) in [("80", 80), ("300", 100)] {
                let run = in_home(home.path(), &arguments).env("COLUMNS", columns).run().exits(0);
                for line in run.stdout.lines() {
                    assert!(line.chars().count() <= widest, "{columns} columns: {arguments:?}: {line}");
                }
            }
        }
    }
}

#[test]
fn invalid_arguments_exit_2_on_stderr() {
    let home = home();
    let invalid: &[&[&str]] = &[
        &["deploy", "--colour=always"],
        &["--nonsense"],
        &["deplyo"],
        &["cluster"],
        &[],
        &["logs", "--tail", "-1"],
        &["logs", "--since", "soon"],
        &["logs", "-f", "--previous"],
        &["deploy", "--timeout", "0"],
        &["deploy", "--dry-run=maybe"],
        &["deploy", "-q", "-v"],
        &["status", "-o", "xml"],
        &["completion", "tcsh"],
        &["explain", "HC9999"],
        &["explain", "exit-code", "42"],
        &["explain", "HC4103", "9"],
    ];
    for arguments in invalid {
        let run = run_in_home(home.path(), arguments);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", run.stderr);
        assert!(!run.stderr.is_empty(), "{arguments:?}");
    }
    let run = run_in_home(home.path(), &["deplyo"]);
    assert!(run.stderr.contains("deploy"), "a misspelled command gets a suggestion: {}", run.stderr);
}

#[test]
fn config_mistakes_exit_3_with_location_and_suggestion() {
    let home = with_config(MISTAKES);
    let listener = watched_kubeconfig(home.path());
    for command in [
        &["deploy", "--context", "watched"][..],
        &["status"],
        &["logs"],
        &["teardown", "--context", "watched"],
        &["render"],
        &["config", "check"],
        &["config", "show"],
        &["cluster", "up"],
        &["up"],
    ] {
        let run = run_in_home(home.path(), command).exits(3);
        assert_eq!(run.stdout, "", "{command:?}");
        let stderr = run
            .says("error[HC0105]: unknown key `pvc_storage_sise` in [kubernetes]")
            .says("--> config.toml:4:1\n")
            .says("4 | pvc_storage_sise = \"2Gi\"\n  | ^^^^^^^^^^^^^^^^ did you mean `pvc_storage_size`?")
            .says("error[HC0110]: `deploy.replicas` must be an integer")
            .says("--> config.toml:7:12\n")
            .says("  |            ^^^^^^^\n")
            .says("warning[HC0213]")
            .says("config.toml: 3 errors, 1 warning")
            .stderr;
        assert_eq!(
            stderr.matches("error[HC0105]").count(),
            1,
            "{command:?}: the error is repeated: {stderr}"
        );
    }
    assert!(listener.accept().is_err(), "handsctl connected to the cluster with an invalid configuration");
    let files: Vec<_> =
        std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files.len(), 2, "only config.toml and .kube: {files:?}");
}

#[test]
fn config_check_json_has_byte_ranges() {
    let home = with_config(MISTAKES);
    let run = run_in_home(home.path(), &["config", "check", "-o", "json"]).exits(3);
    assert_eq!(run.stderr, "");
    let checked = run.json();
    let ranges: Vec<(&str, &str)> = checked["diagnostics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|diagnostic| {
            let byte = |key: &str| usize::try_from(diagnostic["location"][key].as_u64().unwrap()).unwrap();
            (diagnostic["id"].as_str().unwrap(), &MISTAKES[byte("start")..byte("end")])
        })
        .collect();
    assert_eq!(
        ranges,
        [
            ("HC0105", "pvc_storage_sise"),
            ("HC0111", "ä"),
            ("HC0110", "\"three\""),
            ("HC0213", "\"sk-ÄÖÜ-planted\""),
        ]
    );
    assert_eq!(checked["summary"], "config.toml: 3 errors, 1 warning");

    let home = with_config("[deploy]\nreplicas = 1\n");
    let run = run_in_home(home.path(), &["config", "check", "-o", "json"]).exits(0);
    assert_eq!(run.json()["diagnostics"], Value::Array(Vec::new()));
}

#[test]
fn invalid_or_missing_config_file_exits_3() {
    let home = with_config("[deploy\nname = \n");
    run_in_home(home.path(), &["config", "check"]).exits(3).says("error[HC0102]").says("config.toml:1:");
    run_in_home(home.path(), &["config", "check", "--config", "nowhere.toml"])
        .exits(3)
        .says("error[HC0101]")
        .says("nowhere.toml");
    run_in_home(home.path(), &["config", "check", "--set", "deploy.replicas"]).exits(3);
}

#[test]
fn config_show_names_origin_of_every_value() {
    let home = with_config("[deploy]\nhost = \"hands.example\"\nreplicas = 1\n");
    std::fs::write(home.path().join("later.toml"), "[deploy]\nhost = \"later.example\"\n").unwrap();
    let files = ["--config", "config.toml", "--config", "later.toml"];
    let arguments: Vec<&str> = ["config", "show", "--origin", "-o", "json", "-n", "elsewhere"]
        .into_iter()
        .chain(["--set", "deploy.image_pull_policy=\"Always\"", "--set", "deploy.storage_size=\"9Gi\""])
        .chain(files)
        .collect();
    let run = in_home(home.path(), &arguments)
        .env("HANDSCTL_DEPLOY__STORAGE_SIZE", "7Gi")
        .env("HANDSCTL_DEPLOY__PROGRESS_DEADLINE", "5m")
        .env("HANDSCTL_DEPLOY__NAMESPACE", "from-environment")
        .run()
        .exits(0);
    let shown = run.json();
    let origin = |key: &str| {
        let setting = shown
            .as_array()
            .unwrap()
            .iter()
            .find(|setting| setting["key"] == key)
            .unwrap_or_else(|| panic!("{key}"));
        (setting["value"].clone(), setting["origin"].as_str().unwrap().to_owned())
    };
    let expected = [
        ("deploy.name", json!("openhands"), "default"),
        ("deploy.replicas", json!(1), "config.toml:3:12"),
        ("deploy.host", json!("later.example"), "later.toml:2:8"),
        ("deploy.progress_deadline", json!("5m"), "environment HANDSCTL_DEPLOY__PROGRESS_DEADLINE"),
        ("deploy.image_pull_policy", json!("Always"), "--set"),
        ("deploy.storage_size", json!("9Gi"), "--set"),
        ("deploy.namespace", json!("elsewhere"), "flag"),
        ("core.runtime", json!("kubernetes"), "handsctl"),
    ];
    for (key, value, from) in expected {
        assert_eq!(origin(key), (value, from.to_owned()), "{key}");
    }
    let table = run_in_home(home.path(), &["config", "show", "--origin"]).exits(0).stdout;
    assert!(table.lines().next().unwrap().starts_with("KEY"), "{table}");
    assert!(table.contains("config.toml:2:8"), "{table}");
}

#[test]
fn json_failure_is_one_value_on_stdout_and_text_on_stderr() {
    let home = with_config(MISTAKES);
    for command in [
        &["deploy", "-o", "json"][..],
        &["teardown", "-o", "json"],
        &["status", "-o", "json"],
        &["config", "show", "-o", "json"],
        &["up", "-q", "-o", "json"],
    ] {
        let run = run_in_home(home.path(), command).exits(3).says("error[HC0105]");
        let value = run.json();
        let error = &value["error"];
        assert_eq!((error["id"].as_str(), error["exit"].as_u64()), (Some("HC0105"), Some(3)), "{command:?}");
        let diagnostics = error["diagnostics"].as_array().unwrap();
        assert_eq!(diagnostics.len(), 4, "{command:?}");
        let position = &diagnostics[0]["location"];
        assert_eq!(position["file"], "config.toml", "{command:?}");
        assert!(position["line"].as_u64() >= Some(1) && position["column"].as_u64() >= Some(1), "{position}");
        assert!(!run.stderr.contains("{\"id\""), "people read text: {}", run.stderr);
    }
    let home = with_config("");
    for command in
        [&["config", "explain", "no.such.key", "-o", "json"][..], &["rbac", "nobody", "-o", "json"]]
    {
        let run = run_in_home(home.path(), command).exits(2);
        assert_eq!(run.json()["error"]["id"], "HC9001", "{command:?}");
    }
}

/// The words of every command that has `-o`.
fn commands_with_output(command: &clap::Command, path: &[String], all: &mut Vec<Vec<String>>) {
    for child in command.get_subcommands() {
        let path = [path, &[child.get_name().to_owned()]].concat();
        if child.get_arguments().any(|argument| argument.get_id() == "output") {
            all.push(path.clone());
        }
        commands_with_output(child, &path, all);
    }
}

#[test]
fn usage_error_of_every_command_is_a_json_value() {
    let home = with_config("");
    let mut commands = Vec::new();
    commands_with_output(&handsctl::cli::definition(), &[], &mut commands);
    assert!(commands.len() >= 17, "{commands:?}");
    for command in commands {
        let mut words: Vec<&str> = command.iter().map(String::as_str).collect();
        words.extend(["-o", "json", "--no-such-flag"]);
        let run = run_in_home(home.path(), &words).exits(2).says("error: unexpected argument");
        let error = &run.json()["error"];
        assert_eq!((&error["id"], &error["exit"]), (&"HC9001".into(), &2.into()), "{command:?}");
        assert_eq!(error["message"], "unexpected argument '--no-such-flag' found", "{command:?}");
    }
    let run = run_in_home(home.path(), &["ps", "-o", "json"]).exits(2);
    assert!(run.json()["error"]["hints"][0].as_str().unwrap().contains("handsctl status"), "{}", run.stdout);
}

#[test]
fn events_and_result_do_not_share_stdout() {
    let home = with_config("");
    let run = run_in_home(home.path(), &["deploy", "-o", "json", "--events", "-"]).exits(2);
    assert_eq!(run.json()["error"]["id"], "HC9001");
    let run = run_in_home(home.path(), &["deploy", "-o", "json", "--events", "/no/such/events"]).exits(2);
    assert!(run.json()["error"]["message"].as_str().unwrap().contains("/no/such/events"), "{}", run.stdout);
}

#[test]
fn finished_event_has_the_whole_error() {
    let home = with_config(MISTAKES);
    let run = run_in_home(home.path(), &["deploy", "--events", "-"]).exits(3);
    let last: Value = serde_json::from_str(run.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((&last["type"], &last["exit"]), (&"finished".into(), &3.into()));
    assert_eq!(last["error"]["id"], last["id"]);
    assert_eq!(last["error"]["diagnostics"].as_array().unwrap().len(), 4);
}

#[test]
fn every_id_and_exit_code_is_explained() {
    let home = home();
    for id in Id::ALL {
        let entry = id.entry();
        let text = run_in_home(home.path(), &["explain", entry.code]).exits(0).stdout;
        assert!(text.starts_with(&format!("{}: {}\n\n", entry.code, entry.title)), "{text}");
        assert!(text.replace('\n', " ").contains(entry.explanation), "{text}");
        let headings =
            id.guide().into_iter().flat_map(str::lines).filter_map(|line| line.strip_prefix("## "));
        headings.for_each(|heading| assert!(text.contains(&format!("\n{heading}\n")), "{text}"));
        assert!(text.contains("\nnext: "), "{text}");
    }
    let list = run_in_home(home.path(), &["explain", "exit-code"]).exits(0).stdout;
    for code in Kind::ALL.iter().map(|kind| kind.exit_code()).chain([0]) {
        let text = run_in_home(home.path(), &["explain", "exit-code", &code.to_string()]).exits(0).stdout;
        assert!(text.starts_with(&format!("{code}: ")), "{text}");
        let meaning = text.lines().next().unwrap().split_once(": ").unwrap().1;
        assert_eq!(text.contains("\nnext: "), code != 0, "{text}");
        assert!(list.lines().any(|line| line.trim() == format!("{code}  {meaning}")), "{code} in {list}");
    }
}

#[test]
fn explain_takes_bare_numbers_and_lists_everything() {
    let home = home();
    let whole = run_in_home(home.path(), &["explain", "HC4103"]).exits(0).stdout;
    for typed in ["4103", "hc4103", "[HC4103]"] {
        assert_eq!(run_in_home(home.path(), &["explain", typed]).exits(0).stdout, whole, "{typed}");
    }
    assert!(run_in_home(home.path(), &["explain", "9"]).exits(0).stdout.starts_with("9: "));
    let list = run_in_home(home.path(), &["explain"]).exits(0).stdout;
    for id in Id::ALL {
        assert!(list.contains(&format!("{}  {}\n", id.code(), id.entry().title)), "{}", id.code());
    }
    assert!(list.contains("Exit codes:\n  0  done"), "{list}");
}

#[test]
fn commands_of_other_tools_lead_to_ours() {
    let home = home();
    for (word, ours) in [
        ("ps", "handsctl status"),
        ("apply", "handsctl deploy"),
        ("destroy", "handsctl teardown"),
        ("down", "handsctl cluster down"),
        ("undo", "handsctl rollback"),
        ("template", "handsctl render"),
        ("lint", "handsctl config check"),
        ("ssh", "handsctl exec"),
        ("top", "handsctl status"),
        ("upgrade", "handsctl deploy"),
        ("export", "handsctl backup FILE"),
        ("set", "handsctl config set"),
        ("cluster ls", "handsctl cluster list"),
        ("cluster create", "handsctl cluster up"),
        ("cluster delete", "handsctl cluster down"),
        ("config validate", "handsctl config check"),
    ] {
        let words: Vec<&str> = word.split(' ').collect();
        let run = run_in_home(home.path(), &words).exits(2);
        assert!(run.stderr.contains(&format!("handsctl has no command `{word}`")), "{}", run.stderr);
        assert!(run.stderr.contains(&format!("hint: {ours}")), "{word}: {}", run.stderr);
    }
    for (word, hint) in [
        ("stop", "with Docker, docker stop local-hands-control-plane "),
        ("delploy", "did you mean handsctl deploy?"),
        ("config chek", "did you mean handsctl config check?"),
        ("xyzzy", "handsctl --help lists the commands"),
        ("deploy -f config.toml", "--config FILE names the config file"),
        ("cluster status --watch", "watch handsctl cluster status repeats it"),
    ] {
        let words: Vec<&str> = word.split(' ').collect();
        let run = run_in_home(home.path(), &words).exits(2);
        assert!(run.stderr.starts_with("error[HC9001]: "), "{word}: {}", run.stderr);
        assert!(run.stderr.contains(&format!("hint: {hint}")), "{word}: {}", run.stderr);
    }
    run_in_home(home.path(), &["deploy", "--wait", "--no-wait"]).exits(2);
    run_in_home(home.path(), &["deploy", "--wait", "--config", "nowhere.toml"]).exits(3);
}

#[test]
fn foreign_command_names_the_installation_of_the_configuration() {
    let home = with_config("[deploy]\nname = \"mine\"\nnamespace = \"two\"\n");
    let command = "kubectl scale deployment/mine -n two --replicas=0";
    run_in_home(home.path(), &["suspend"]).exits(2).says(command);
    run_in_home(home.path(), &["suspend", "-it", "--", "bash"]).exits(2).says(command);
    let other = "kubectl --context c scale deployment/mine -n three --replicas=0";
    run_in_home(home.path(), &["suspend", "-n", "three", "--context", "c"]).exits(2).says(other);
    std::fs::write(home.path().join("config.toml"), "[deploy\n").unwrap();
    run_in_home(home.path(), &["suspend"])
        .exits(2)
        .says("kubectl scale deployment/NAME -n NAMESPACE --replicas=0");
}

#[test]
fn config_from_standard_input_is_refused_with_the_way() {
    let home = home();
    let run = run_in_home(home.path(), &["config", "check", "--config", "-"]).exits(2);
    run.says("--config - is not a file").says("--config /dev/stdin");
}

#[test]
fn every_shell_has_a_completion_script() {
    let home = home();
    for shell in ["bash", "zsh", "fish", "kubectl", "elvish", "powershell"] {
        let run = run_in_home(home.path(), &["completion", shell]).exits(0);
        assert_eq!(run.stderr, "", "{shell}");
        assert!(run.stdout.contains("hands"), "{shell}");
    }
    for shell in ["elvish", "powershell"] {
        let script = run_in_home(home.path(), &["completion", shell]).stdout;
        assert!(script.contains("teardown"), "it lists the commands: {script}");
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let home = home();
    let run = run_in_home(home.path(), &["man", "pages/man1"]).exits(0);
    assert_eq!(run.stdout, "");
    let (paths, folder) = (commands(), home.path().join("pages/man1"));
    let run = run.says(&format!("{} pages written to pages/man1", paths.len()));
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), paths.len(), "{}", run.stderr);
    for (path, _) in paths {
        let name =
            ["handsctl"].into_iter().chain(path.iter().map(String::as_str)).collect::<Vec<_>>().join("-");
        let page = std::fs::read_to_string(folder.join(format!("{name}.1"))).unwrap();
        assert!(page.contains(&format!(".TH {name} 1")), "{page}");
        assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{page}");
        let describes_context = page.contains("\\fB\\-\\-context\\fR");
        assert_eq!(describes_context, path == ["options"], "{page}");
    }
    let again = run_in_home(home.path(), &["man", "pages/man1"]).exits(0);
    assert_eq!(again.stdout, "");
    run_in_home(home.path(), &["man", "pages/man1/handsctl.1"])
        .exits(14)
        .says("cannot write pages/man1/handsctl.1");
}

#[test]
fn options_are_listed_in_one_place() {
    let home = home();
    let run = run_in_home(home.path(), &["options"]).exits(0);
    assert_eq!(run.stderr, "");
    for flag in
        ["--config <FILE>", "--set <KEY=VALUE>", "-n, --namespace", "--context", "-y, --yes", "-h, --help"]
    {
        assert!(run.stdout.contains(flag), "{flag}: {}", run.stdout);
    }
    let help = run_in_home(home.path(), &["help", "--help"]).exits(0);
    assert!(help.stdout.contains("Usage: handsctl help"), "{}", help.stdout);
}

#[test]
fn client_version_needs_no_cluster() {
    let home = home();
    let listener = watched_kubeconfig(home.path());
    let run = run_in_home(home.path(), &["version", "--client"]).exits(0);
    assert_eq!(run.stdout, format!("handsctl    {}\n", env!("CARGO_PKG_VERSION")));
    let json = run_in_home(home.path(), &["version", "--client", "-o", "json"]).exits(0).json();
    assert_eq!(json["client"], env!("CARGO_PKG_VERSION"));
    assert!(listener.accept().is_err(), "handsctl connected to the server");
}

#[test]
fn version_without_server_exits_0_with_reason() {
    let home = home();
    let run = run_in_home(home.path(), &["version"]).exits(0);
    assert!(run.stdout.contains("kubernetes  unknown: "), "{}", run.stdout);
    drop(watched_kubeconfig(home.path()));
    let run = run_in_home(home.path(), &["version"]).exits(0);
    let unknown = "kubernetes  unknown: cannot reach the cluster of context `watched`: ";
    assert!(run.stdout.contains(unknown), "{}", run.stdout);
}

/// Runs a shell command line with the binary as `$0`.
fn shell(home: &Path, line: &str) -> Run {
    let binary = in_home(home, &[]).into_command();
    let mut command = Command::new("bash");
    command.args(["-c", line]).arg(binary.get_program()).current_dir(home).env_clear();
    command.envs(binary.get_envs().filter_map(|(name, value)| Some((name, value?))));
    finish(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

#[test]
fn closed_stdout_ends_every_reading_command_silently() {
    let home = with_config("[deploy]\nreplicas = 1\n");
    for command in [
        "config show",
        "config show -o json",
        "config check",
        "config init -",
        "rbac",
        "config explain",
        "config schema",
        "render",
        "completion bash",
        "explain exit-code",
        "explain HC4103",
        "version --client",
        "--help",
        "deploy --help",
        "cluster status",
    ] {
        let arguments: Vec<&str> = command.split(' ').collect();
        let code = if command == "cluster status" { 12 } else { 0 };
        let run = in_home(home.path(), &arguments).run_with_closed_stdout().exits(code);
        assert_eq!(run.stderr, "", "{command}");
    }
    let run = shell(home.path(), "\"$0\" config show | head -1; exit ${PIPESTATUS[0]}").exits(0);
    assert!(run.stdout.starts_with("KEY"), "{}", run.stdout);
    assert_eq!(run.stderr, "");
    let run = shell(home.path(), "\"$0\" config show > /dev/full").exits(70);
    assert!(run.stderr.contains("cannot write to standard output"), "{}", run.stderr);
}

#[test]
fn color_follows_flag_then_environment_then_terminal() {
    let home = with_config(MISTAKES);
    let colored = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = in_home(home.path(), arguments).without("NO_COLOR");
        for (name, value) in variables {
            command = command.env(name, value);
        }
        command.run().exits(3).stderr.contains('\u{1b}')
    };
    let check = &["config", "check"][..];
    let with = |when| ["config", "check", "--color", when];
    assert!(!colored(check, &[]), "no color without a terminal");
    assert!(colored(&with("always"), &[]));
    assert!(colored(&with("always"), &[("NO_COLOR", "1")]), "the flag wins");
    assert!(!colored(&with("never"), &[("CLICOLOR_FORCE", "1")]), "the flag wins");
    assert!(colored(check, &[("CLICOLOR_FORCE", "1")]));
    assert!(!colored(check, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
    assert!(colored(check, &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "")]), "an empty NO_COLOR has no effect");
}

#[test]
fn github_workflow_gets_annotations_with_location() {
    let home = with_config(MISTAKES);
    let run = in_home(home.path(), &["config", "check"]).env("GITHUB_ACTIONS", "true").run().exits(3);
    let annotations: Vec<&str> = run.stderr.lines().filter(|line| line.starts_with("::")).collect();
    assert_eq!(annotations.len(), 4, "{}", run.stderr);
    assert!(
        annotations[0].starts_with("::error file=config.toml,line=4,col=1,title=HC0105 "),
        "{annotations:?}"
    );
    assert!(
        annotations[3].starts_with("::warning file=config.toml,line=2,col=11,title=HC0213 "),
        "{annotations:?}"
    );
    let summary = home.path().join("summary.md");
    let run = in_home(home.path(), &["deploy"])
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", &summary)
        .env("GITHUB_OUTPUT", home.path().join("output"))
        .run()
        .exits(3);
    assert_eq!(run.stderr.matches("::error file=config.toml,line=4,").count(), 1, "{}", run.stderr);
    assert!(std::fs::read_to_string(summary).unwrap().contains("HC0105"));
}

#[test]
fn events_end_with_finished_after_config_mistake() {
    let home = with_config(MISTAKES);
    let run = run_in_home(home.path(), &["deploy", "--events", "-"]).exits(3);
    let events: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (index, event) in events.iter().enumerate() {
        assert_eq!(
            (event["v"].as_u64(), event["seq"].as_u64()),
            (Some(1), Some(index as u64 + 1)),
            "{event}"
        );
    }
    let last = events.last().unwrap();
    assert_eq!(
        (&last["type"], &last["exit"], &last["id"]),
        (&"finished".into(), &3.into(), &"HC0105".into())
    );
    let file = home.path().join("events.ndjson");
    run_in_home(home.path(), &["deploy", "-q", "--events", file.to_str().unwrap()]).exits(3);
    assert!(std::fs::read_to_string(file).unwrap().lines().last().unwrap().contains("\"finished\""));
    run_in_home(home.path(), &["deploy", "--events", "/nowhere/at/all"])
        .says("cannot create the events file");
}

#[test]
fn deletion_of_data_without_terminal_exits_2() {
    let home = with_config("[deploy]\nreplicas = 1\n");
    let listener = watched_kubeconfig(home.path());
    for flags in [&["--delete-data"][..], &["--delete-data", "--delete-namespace"]] {
        let arguments = [&["teardown", "--context", "watched"], flags].concat();
        let run = run_in_home(home.path(), &arguments).exits(2);
        run.says("needs a confirmation, but there is no terminal").says("hint: --yes confirms it");
    }
    assert!(listener.accept().is_err(), "handsctl connected to the server");
    // A piped answer is not a confirmation.
    let piped = in_home(home.path(), &["teardown", "--delete-data", "--context", "watched"]).run_with("y\n");
    piped.exits(2);
}

#[test]
fn changing_command_rejects_implicit_current_context() {
    let home = with_config("[deploy]\nreplicas = 1\n");
    let listener = watched_kubeconfig(home.path());
    for command in [&["deploy"][..], &["teardown"]] {
        for flags in [&[][..], &["-y"]] {
            let arguments = [command, flags].concat();
            run_in_home(home.path(), &arguments).exits(3).says("HC0152").says("--context watched");
        }
    }
    // The server is not a local one, and neither a configuration file nor a name and a namespace is given.
    std::fs::remove_file(home.path().join("config.toml")).unwrap();
    let remote = std::fs::read_to_string(home.path().join(".kube/config")).unwrap();
    std::fs::write(home.path().join(".kube/config"), remote.replace("127.0.0.1", "192.0.2.1")).unwrap();
    run_in_home(home.path(), &["teardown", "--context", "watched"]).exits(3).says("HC0153");
    run_in_home(home.path(), &["teardown", "--context", "watched", "-n", "x"]).exits(3).says("HC0153");
    assert!(listener.accept().is_err(), "handsctl connected to the server");
}

/// Writes the record of a stopped simulated cluster.
fn record_stopped_cluster(home: &Path, name: &str) {
    let state = home.join(".local/state/handsctl");
    let record = serde_json::json!({
        "schema": 2, "provider": "kwok", "phase": "ready",
        "spec": {"workers": 0, "kubernetes": "v1.34.4"},
        "ports": {
            "etcd": 20001, "etcd_peer": 20002, "kube_apiserver": 20003, "kube_controller_manager": 20004,
            "kube_scheduler": 20005, "kwok_controller": 20006,
        },
    });
    for (folder, file, text) in [
        (state.join("clusters").join(name), "handsctl.json", record.to_string()),
        (state.join("kwok/clusters").join(name), "kubeconfig.yaml", "{}".to_owned()),
    ] {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(file), text).unwrap();
    }
}

#[test]
fn cluster_status_names_the_cluster_that_was_asked_for() {
    let home = with_config("");
    record_stopped_cluster(home.path(), "local-hands");
    record_stopped_cluster(home.path(), "trial");
    let run = run_in_home(home.path(), &["cluster", "status", "trial"]).exits(12);
    assert!(
        run.stdout.starts_with("trial  stopped; handsctl cluster up trial starts it\n"),
        "{}",
        run.stdout
    );
    let run = run_in_home(home.path(), &["cluster", "status", "--name", "foo", "-n", "bar"]).exits(2);
    assert_eq!(run.stdout, "");
    run.says("handsctl cluster status does not use --namespace, --name")
        .says("[cluster].name is the cluster's name; --name is that of the application");
    run_in_home(home.path(), &["cluster", "down", "trial"])
        .exits(2)
        .says("deleting cluster trial deletes data");
}

#[test]
fn cluster_status_knows_nothing_of_an_existing_cluster() {
    let home = with_config("[cluster]\nprovider = \"existing\"\n");
    record_stopped_cluster(home.path(), "local-hands");
    let run = run_in_home(home.path(), &["cluster", "status"]).exits(3);
    assert_eq!(run.stdout, "");
    run.says("error[HC2022]: provider = \"existing\": handsctl did not create this cluster");
    // The other commands do not choose it, either.
    run_in_home(home.path(), &["status"]).exits(4).says("error[HC1001]").never_says("local-hands");
    let run = run_in_home(home.path(), &["cluster", "status", "local-hands"]).exits(12);
    assert!(run.stdout.starts_with("local-hands  stopped"), "{}", run.stdout);
}

#[test]
fn stopped_local_cluster_explains_the_failed_connection() {
    let home = with_config("[cluster]\nname = \"lap\"\n");
    record_stopped_cluster(home.path(), "lap");
    let hint = "hint: handsctl cluster up --config config.toml starts it";
    let status = &["status", "--config", "config.toml"];
    run_in_home(home.path(), status).exits(3).says("the local cluster lap is stopped").says(hint);
    let kubeconfig = serde_json::json!({
        "clusters": [{"name": "kwok-lap", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "kwok-lap", "user": {}}],
        "contexts": [{"name": "kwok-lap", "context": {"cluster": "kwok-lap", "user": "kwok-lap"}}],
    });
    std::fs::create_dir_all(home.path().join(".kube")).unwrap();
    std::fs::write(home.path().join(".kube/config"), kubeconfig.to_string()).unwrap();
    run_in_home(home.path(), status)
        .exits(4)
        .says("the local cluster lap is stopped")
        .says(hint)
        .never_says("is the cluster running");
}

#[test]
fn record_of_a_deleted_cluster_does_not_choose_its_successor() {
    let home = with_config("[cluster]\nname = \"lap\"\n");
    record_stopped_cluster(home.path(), "lap");
    // Somebody created another cluster of that name.
    let listener = watched_kubeconfig(home.path());
    let config = home.path().join(".kube/config");
    let theirs = std::fs::read_to_string(&config).unwrap().replace("watched", "kwok-lap");
    std::fs::write(&config, theirs).unwrap();
    let own = home.path().join(".local/state/handsctl/kwok/clusters/lap/kubeconfig.yaml");
    std::fs::write(own, "clusters:\n- {name: kwok-lap, cluster: {server: 'https://127.0.0.1:20003'}}\n")
        .unwrap();
    for command in [&["deploy", "--yes"][..], &["status"], &["teardown"]] {
        run_in_home(home.path(), command)
            .exits(14)
            .says("error[HC2065]: context `kwok-lap` does not lead to the local cluster lap")
            .says("the API server of lap is https://127.0.0.1:20003")
            .says("--context kwok-lap uses the cluster of the context")
            .says("cluster down");
    }
    assert!(listener.accept().is_err(), "handsctl connected to the server");
    run_in_home(home.path(), &["status", "--context", "kwok-lap", "--timeout", "1s"]).never_says("HC2065");
}

#[test]
fn state_file_of_other_version_is_an_error() {
    let home = with_config("[cluster]\nname = \"newer\"\n");
    let listener = watched_kubeconfig(home.path());
    let folder = home.path().join(".local/state/handsctl/clusters/newer");
    std::fs::create_dir_all(&folder).unwrap();
    for (state, reason) in [
        ("{\"schema\": 99, \"provider\": \"kwok\"}", "was written by a newer version of handsctl"),
        ("no json", "was not written by this version"),
    ] {
        std::fs::write(folder.join("handsctl.json"), state).unwrap();
        for command in [&["deploy", "-y"][..], &["status"]] {
            let run = run_in_home(home.path(), command);
            assert_ne!(run.code, Some(0), "{}", run.stderr);
            run.says(&format!("handsctl.json {reason}")).never_says("HC0152");
        }
    }
    assert!(listener.accept().is_err(), "handsctl connected to the server");
    // --context needs no state file.
    run_in_home(home.path(), &["status", "--context", "watched", "--timeout", "1s"])
        .never_says("handsctl.json");
}

#[test]
fn unknown_environment_variable_warns_with_suggestion() {
    let home = with_config("[deploy]\nreplicas = 1\n");
    let run = in_home(home.path(), &["config", "check"])
        .env("HANDSCTL_DEPLOY__REPLICAZ", "1")
        .env("HANDSCTL_CONFIG", "config.toml")
        .env("HANDSCTL_TEST_LEASE", "9")
        .run()
        .exits(0)
        .says("warning[HC0221]: the environment variable HANDSCTL_DEPLOY__REPLICAZ matches no key")
        .says("did you mean HANDSCTL_DEPLOY__REPLICAS?");
    assert_eq!(run.stderr.matches("HC0221").count(), 1, "{}", run.stderr);
    assert!(run.stdout.contains("1 warning"), "{}", run.stdout);
}

#[test]
fn missing_config_file_is_reported() {
    let home = home();
    let run = run_in_home(home.path(), &["config", "check"]).exits(0);
    assert!(run.stdout.contains("no config.toml"), "{}", run.stdout);
}

/// The secret in plain text, in base64, percent-encoded and with JSON escapes.
fn encodings(secret: &str) -> Vec<String> {
    let percent = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    vec![
        secret.to_owned(),
        base64::engine::general_purpose::STANDARD.encode(secret),
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(secret),
        secret.bytes().map(percent).collect(),
        serde_json::to_string(secret).unwrap().trim_matches('"').to_owned(),
    ]
}

#[test]
fn configured_secret_appears_in_no_output() {
    const PLANTED: &str = "sk+planted/4711=\\ü&x";
    let literal = "[llm]\nmodel = \"m\"\napi_key = 'SECRET'\n[core]\njwt_secret = 'SECRET'\n[deploy.env]\nGITHUB_TOKEN = 'SECRET'\n";
    let configs = [
        // A valid configuration.
        literal.to_owned(),
        // A mistake in the same table, on another line.
        format!("{literal}X_PASSWORD = 'SECRET'\n[deploy]\nreplicas = 'x'\n"),
        // Invalid TOML on the line of the secret.
        "[llm]\napi_key = 'SECRET' 'SECRET'\n".to_owned(),
        "[llm]\napi_key = 'SECRET\nmodel = 3\n".to_owned(),
        "[core]\njwt_secret = '''\nSECRET\nSECRET'' x\n''' y\nmodel = \n".to_owned(),
        "[llm]\napi_key = \"\"\"\nSECRET \\q\n\"\"\"\n".to_owned(),
        // A wrong type, and an unknown key.
        "[llm]\napi_key = ['SECRET']\napi_keys = 'SECRET'\n".to_owned(),
        "[llm]\napi_key = { value = 'SECRET' }\n".to_owned(),
        // A duplicate key.
        "[llm]\napi_key = 'SECRET'\napi_key = 'SECRET'\n".to_owned(),
        // In a table that the user names.
        "[llm.cheap]\napi_key = 'SECRET'\n".to_owned(),
        // In MCP servers, and in the environment of sandboxes.
        "[mcp]\nsse_servers = [{ url = \"https://a\", api_key = 'SECRET' }]\n".to_owned(),
        "[[mcp.stdio_servers]]\nname = \"a\"\ncommand = \"b\"\nenv = { API_TOKEN = 'SECRET', B = { file = \"planted\" } }\n"
            .to_owned(),
        "[sandbox.runtime_startup_env_vars]\nGITHUB_TOKEN = 'SECRET'\n".to_owned(),
        // In an environment variable and a file.
        "[llm]\napi_key = { env = \"PLANTED\" }\n[core]\njwt_secret = { file = \"planted\" }\n".to_owned(),
    ];
    let commands: &[&[&str]] = &[
        &["config", "check"],
        &["config", "check", "-o", "json"],
        &["config", "show", "--origin"],
        &["config", "show", "-o", "json"],
        &["render"],
        &["deploy", "-vv", "--events", "-"],
        &["deploy", "-vv", "-o", "json"],
        &["status", "-vv", "--timeout", "1s"],
        &["teardown", "-o", "yaml", "--timeout", "1s"],
    ];
    let mut leaks = Vec::new();
    for config in configs {
        let home = with_config(&config.replace("SECRET", PLANTED));
        let _listener = watched_kubeconfig(home.path());
        std::fs::write(home.path().join("planted"), PLANTED).unwrap();
        for command in commands {
            for github in ["false", "true"] {
                let run = in_home(home.path(), command)
                    .env("GITHUB_ACTIONS", github)
                    .env("PLANTED", PLANTED)
                    .env("HANDSCTL_LLM__OTHER__API_KEY", PLANTED)
                    .run();
                let all = format!("{}{}", run.stdout, run.stderr);
                assert!(!all.contains("panicked"), "{all}");
                for form in encodings(PLANTED) {
                    if all.contains(&form) {
                        leaks.push(format!("{command:?} with\n{config}shows {form}:\n{all}"));
                    }
                }
            }
        }
        let set = format!("llm.api_key='{PLANTED}'");
        let run =
            run_in_home(home.path(), &["config", "show", "--origin", "--set", &set, "--set", "nonsense.x=1"]);
        assert!(
            !run.stderr.contains(PLANTED) && !run.stdout.contains(PLANTED),
            "{} {}",
            run.stdout,
            run.stderr
        );
    }
    assert!(leaks.is_empty(), "{} leaks, the first:\n{}", leaks.len(), leaks[0]);
}

#[test]
fn user_without_a_home_needs_it_only_for_local_clusters() {
    let home = with_config("[deploy]\nname = \"oh\"\nnamespace = \"n\"\n");
    let _server = watched_kubeconfig(home.path());
    // As for a user of OpenShift that is in no user database: the variable is set, and names no folder.
    let run = |arguments: &[&str], kubeconfig: &str| {
        in_home(home.path(), arguments).env("HOME", "nowhere").env("KUBECONFIG", kubeconfig).run()
    };
    run(&["status", "--timeout", "1s"], ".kube/config").exits(4).says("HC1010");
    run(&["status", "--timeout", "1s"], "").exits(4).says("HC1001");
    run(&["cluster", "up", "--set", "cluster.provider=kwok"], ".kube/config")
        .exits(14)
        .says("the home folder, which is unknown")
        .says("hint: set HOME, or XDG_STATE_HOME");
    run(&["cluster", "status", "--set", "cluster.provider=kwok"], ".kube/config").exits(14);
}

#[test]
fn missing_file_in_a_kubeconfig_list_is_skipped() {
    let home = with_config("[deploy]\nname = \"oh\"\nnamespace = \"n\"\n");
    let _server = watched_kubeconfig(home.path());
    let run = in_home(home.path(), &["deploy"]).env("KUBECONFIG", "absent:.kube/config:").run();
    run.exits(3).says("HC0152").says("--context watched");
}

/// A home whose kubeconfig gets its credentials from a program that does not end for a minute.
fn with_hanging_plugin() -> TempDir {
    let home = with_config("[cluster]\ncontext = \"slow\"\n[deploy]\nname = \"oh\"\nnamespace = \"n\"\n");
    let plugin = serde_json::json!({
        "apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/sh",
        "args": ["-c", "exec sleep 60 2>&-"], "interactiveMode": "Never",
    });
    let kubeconfig = serde_json::json!({
        "clusters": [{"name": "slow", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "slow", "user": {"exec": plugin}}],
        "contexts": [{"name": "slow", "context": {"cluster": "slow", "user": "slow"}}],
    });
    std::fs::create_dir_all(home.path().join(".kube")).unwrap();
    std::fs::write(home.path().join(".kube/config"), kubeconfig.to_string()).unwrap();
    home
}

/// Less than the plugin takes.
const PLUGIN_LIMIT: Duration = Duration::from_secs(30);

#[test]
fn hanging_credential_plugin_exits_10_at_the_deadline() {
    let home = with_hanging_plugin();
    for command in ["status", "diff", "history", "logs", "open", "version", "deploy", "restart", "teardown"] {
        let run = run_in_home(home.path(), &[command, "--timeout", "1s"]);
        // `version` prints the client's version even without a server.
        let code = if command == "version" { 0 } else { 10 };
        let run = run.exits(code).within(PLUGIN_LIMIT);
        let text = format!("{}{}", run.stdout, run.stderr);
        assert!(text.contains("credential plugin has not ended"), "{command}: {text}");
    }
    for command in ["dev", "exec"] {
        run_in_home(home.path(), &[command, "--timeout", "1s", "--", "true"]).exits(10).within(PLUGIN_LIMIT);
    }
}

#[test]
fn interrupt_ends_a_command_during_a_hanging_plugin() {
    let home = with_hanging_plugin();
    let file = home.path().join("events");
    let child = in_home(home.path(), &["deploy", "--events", file.to_str().unwrap()]).spawn();
    let deadline = std::time::Instant::now() + PLUGIN_LIMIT;
    while !std::fs::read_to_string(&file).is_ok_and(|text| text.contains("config")) {
        assert!(std::time::Instant::now() < deadline, "deploy never reads the configuration");
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    finish(child).exits(130).within(PLUGIN_LIMIT);
}

#[test]
fn empty_names_exit_2_without_empty_quotes() {
    let home = home();
    for command in [
        &["status", "--context", ""][..],
        &["deploy", "--context="],
        &["logs", "-c", ""],
        &["exec", "-c", ""],
        &["teardown", "-n", ""],
        &["teardown", "--name="],
        &["cluster", "down", ""],
    ] {
        run_in_home(home.path(), command).exits(2).says("a value is required").never_says("``");
    }
}

#[test]
fn pod_and_kubeconfig_together_exit_2() {
    let home = home();
    for other in [["--context", "c"], ["--kubeconfig", "file"]] {
        for command in [["status", "--in-cluster"], ["deploy", "--in-cluster"], ["version", "--in-cluster"]] {
            run_in_home(home.path(), &[&command[..], &other[..]].concat())
                .exits(2)
                .says(&format!("--in-cluster and {} choose different clusters", other[0]));
        }
        // The variable is for a pod as a whole; what is typed overrides it.
        let variable = |value: &str| {
            let arguments = [&["status"][..], &other[..]].concat();
            in_home(home.path(), &arguments).env("HANDSCTL_IN_CLUSTER", value).run()
        };
        assert_eq!(variable("true").stderr, variable("false").stderr);
    }
    let pod = |value: &str| in_home(home.path(), &["status"]).env("HANDSCTL_IN_CLUSTER", value).run();
    pod("yes").exits(4).says("cannot use the pod's service account");
    for no in ["no", "0", "Off", ""] {
        pod(no).hides("service account");
    }
    pod("banana")
        .exits(2)
        .says("'banana'")
        .says("the environment variable HANDSCTL_IN_CLUSTER is true (1, yes, on) or false (0, no, off)");
    // A variable of a key names itself and the values, too.
    in_home(home.path(), &["config", "check"])
        .env("HANDSCTL_DEPLOY__PREPULL", "banana")
        .run()
        .exits(3)
        .says("environment variable HANDSCTL_DEPLOY__PREPULL")
        .says("true or false");
}
