//! Secrets of a kubeconfig, of its credential plugin and of a container engine: no output and no file shows them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bed::in_home;
use crate::planted;

/// Commands that read the kubeconfig, each with its form of output.
const COMMANDS: &[&[&str]] = &[
    &["status"],
    &["status", "-o", "json"],
    &["deploy", "-vv", "--events", "events"],
    &["deploy", "-o", "json"],
    &["deploy", "--events", "-"],
    &["diff", "-o", "yaml"],
    &["version"],
];

/// A home whose kubeconfig has this user.
fn home(server: &str, user: &Value) -> TempDir {
    let home = TempDir::new().unwrap();
    std::fs::write(home.path().join("config.toml"), "[cluster]\ncontext = \"c\"\n").unwrap();
    let kubeconfig = json!({
        "clusters": [{ "name": "c", "cluster": { "server": server } }],
        "users": [{ "name": "c", "user": user }],
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "c" } }],
    });
    std::fs::create_dir_all(home.path().join(".kube")).unwrap();
    std::fs::write(home.path().join(".kube/config"), kubeconfig.to_string()).unwrap();
    home
}

/// Runs every command. Panics if a secret is in an output or in a file other than `own`. Returns the outputs.
fn assert_hidden_everywhere(home: &Path, secrets: &[String], own: &[&str]) -> Vec<String> {
    let mut outputs = Vec::new();
    for command in COMMANDS {
        for github in ["false", "true"] {
            let run = in_home(home, command)
                .env("GITHUB_ACTIONS", github)
                .env("GITHUB_STEP_SUMMARY", home.join("summary"))
                .env("GITHUB_OUTPUT", home.join("output"))
                .run();
            let expected = if command[0] == "version" { Some(0) } else { run.code.filter(|code| *code != 0) };
            assert_eq!(run.code, expected, "{}{}", run.stdout, run.stderr);
            let output = format!("{}{}", run.stdout, run.stderr);
            assert!(!output.contains("panicked"), "{output}");
            for secret in secrets {
                planted::assert_hidden(secret, &command.join(" "), &output);
            }
            outputs.push(output);
        }
    }
    let mut files = Vec::new();
    list_files(home, &mut files);
    for file in files.iter().filter(|file| !own.iter().any(|own| file.ends_with(own))) {
        let text = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
        for secret in secrets {
            planted::assert_hidden(secret, &file.display().to_string(), &text);
        }
    }
    outputs
}

fn list_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { list_files(&path, files) } else { files.push(path) }
    }
}

/// A plugin that quotes its environment, its argument and its standard output on standard error.
fn plugin(home: &Path, stdout: &str, stderr: &[String], code: i32) {
    let (out, err) = (home.join("stdout"), home.join("stderr"));
    std::fs::write(&out, stdout).unwrap();
    std::fs::write(&err, stderr.join("\n")).unwrap();
    let path = home.join("plugin");
    let (out, err) = (out.display(), err.display());
    std::fs::write(&path, format!("#!/bin/sh\ncat '{out}'\ncat '{err}' >&2\nexit {code}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn exec(home: &Path, secrets: &[String]) -> Value {
    json!({ "exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": home.join("plugin"), "interactiveMode": "Never",
        "args": ["get-token", "--key", &secrets[1]], "env": [{ "name": "SECRET", "value": &secrets[0] }],
    } })
}

#[test]
fn credential_plugin_failure_shows_no_secret() {
    let secrets = ["e1", "a2", "o3"].map(planted::secret);
    let folder = TempDir::new().unwrap();
    let home = home("http://127.0.0.1:1", &exec(folder.path(), &secrets));
    // Of standard output only whole words are recognized on standard error.
    let word: String = secrets[2].chars().filter(|c| *c != '"').collect();
    let token = json!({ "kind": "ExecCredential", "status": { "token": word } }).to_string();
    let quoted: Vec<String> = secrets[..2].iter().flat_map(|secret| planted::quotations(secret)).collect();
    let own = ["config", "stderr", "stdout"];
    for stderr in quoted.chunks(4).chain([&[format!("token {word} expired")][..]]) {
        plugin(folder.path(), &token, stderr, 3);
        let outputs = assert_hidden_everywhere(
            home.path(),
            &[&secrets[..2], std::slice::from_ref(&word)].concat(),
            &own,
        );
        for output in &outputs {
            assert!(output.contains("credential plugin plugin failed: exit status: 3"), "{output}");
        }
        assert!(outputs[0].contains("(redacted)"), "{}", outputs[0]);
    }
    in_home(home.path(), &["status"]).run().exits(5).says("error[HC1020]");
    // Output that is no ExecCredential.
    for stdout in
        [format!("kind: [{}", secrets[2]), secrets[2].clone(), format!("kind: a\nkind: '{}'", secrets[2])]
    {
        plugin(folder.path(), &stdout, &[], 0);
        assert_hidden_everywhere(home.path(), &secrets, &own);
        in_home(home.path(), &["status"]).run().exits(5).says("wrote no valid ExecCredential: line ");
    }
}

#[test]
fn yaml_mistake_in_kubeconfig_shows_no_secret() {
    let secrets = ["t1", "p2"].map(planted::secret);
    let home = home("http://127.0.0.1:1", &json!({}));
    let path = home.path().join(".kube/config");
    for user in [
        format!("token: '{}'\n   password: '{}'", secrets[0], secrets[1]),
        format!("token: {{ '{}'\n    password: {}", secrets[0], secrets[1]),
        format!("token: '{}\n    password: {}", secrets[0], secrets[1]),
        format!("exec: {{ interactiveMode: '{}', command: '{}' }}", secrets[0], secrets[1]),
    ] {
        std::fs::write(&path, format!("users:\n- name: a\n  user:\n    {user}\n")).unwrap();
        let outputs = assert_hidden_everywhere(home.path(), &secrets, &["config"]);
        let place = format!("cannot use the kubeconfig {}", path.display());
        let has_cause = |output: &String| output.contains("it is not a kubeconfig: line ");
        assert!(outputs.iter().all(has_cause), "{outputs:?}");
        assert!(outputs[0].contains(&place), "{}", outputs[0]);
    }
}

/// A server that rejects every request and quotes texts in its answer. It ends with the test process.
fn quoting_server(texts: Vec<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            answer(connection.unwrap(), &texts);
        }
    });
    address
}

fn answer(mut connection: TcpStream, texts: &[String]) {
    let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let message = format!("bad credentials: {}", texts.join("; "));
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Unauthorized", "code": 401, "message": message,
    });
    let body = status.to_string();
    let head = "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\nconnection: close";
    let _the_client_may_be_gone =
        write!(connection, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
}

/// Secrets that a connection or the configuration has from elsewhere: a file, or the output of a plugin.
#[test]
fn secret_in_a_server_answer_is_hidden_whatever_its_source() {
    // A header cannot carry the usual planted secret.
    let token = "sk-planted/Token+4711==?&=%x".to_owned();
    let server = quoting_server(planted::quotations(&token));
    let folder = TempDir::new().unwrap();
    let credential = json!({ "kind": "ExecCredential", "status": { "token": token } }).to_string();
    plugin(folder.path(), &credential, &[], 0);
    let secret = folder.path().join("secret");
    std::fs::write(&secret, format!("{token}\n")).unwrap();
    let file = format!("[llm]\napi_key = {{ file = {secret:?} }}\n");
    let unused = ["unused".to_owned(), "unused".to_owned()];
    for (user, config) in [
        (json!({ "token": token }), ""),
        (json!({ "tokenFile": secret }), ""),
        (exec(folder.path(), &unused), ""),
        (json!({ "token": "another" }), file.as_str()),
    ] {
        let home = home(&server, &user);
        let config = format!("{config}[cluster]\ncontext = \"c\"\n");
        std::fs::write(home.path().join("config.toml"), config).unwrap();
        let outputs = assert_hidden_everywhere(home.path(), std::slice::from_ref(&token), &["config"]);
        assert!(outputs[0].contains("bad credentials: key (redacted) is wrong"), "{user}: {}", outputs[0]);
    }
}

/// Tokens in the URLs of a kubeconfig, which the plugin quotes.
#[test]
fn tokens_in_kubeconfig_urls_are_hidden() {
    let [user, query, named, proxy] =
        ["tok-planted-user", "planted-k", "planted-token", "tok-planted-proxy"].map(str::to_owned);
    let folder = TempDir::new().unwrap();
    let secrets = [user.clone(), query.clone(), named.clone(), proxy.clone()];
    let exec = exec(folder.path(), &["unused".to_owned(), "unused".to_owned()]);
    let mut exec = exec;
    exec["exec"]["provideClusterInfo"] = json!(true);
    let token = json!({ "kind": "ExecCredential", "status": { "token": "t-4711" } }).to_string();
    let home = home("unused", &exec);
    let path = home.path().join(".kube/config");
    let mut kubeconfig: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let cluster = &mut kubeconfig["clusters"][0]["cluster"];
    cluster["server"] = json!(format!("http://{user}@127.0.0.1:1/?k={query}&token={named}"));
    cluster["proxy-url"] = json!(format!("http://{proxy}@127.0.0.1:1/?k={query}"));
    std::fs::write(&path, kubeconfig.to_string()).unwrap();
    for code in [0, 3] {
        plugin(folder.path(), &token, &[], code);
        // The plugin prints what it was told about the cluster.
        let script = std::fs::read_to_string(folder.path().join("plugin")).unwrap();
        let script = script.replace("exit ", "echo \"$KUBERNETES_EXEC_INFO\" >&2\nexit ");
        std::fs::write(folder.path().join("plugin"), script).unwrap();
        let outputs = assert_hidden_everywhere(home.path(), &secrets, &["config", "plugin"]);
        let shown = if code == 0 { "http://127.0.0.1:1" } else { "(redacted)" };
        assert!(outputs[0].contains(shown), "{}", outputs[0]);
    }
}

/// A key in the place of the name of its source.
#[test]
fn key_in_place_of_a_name_is_never_printed() {
    let home = TempDir::new().unwrap();
    let key = "sk-planted-4711";
    let hidden = |arguments: &[&str]| {
        let run = in_home(home.path(), arguments).env("HANDSCTL_UNRELATED", key).run();
        run.hides(key)
    };
    for reference in ["env", "file"].map(|form| format!("{{ {form} = \"{key}\" }}")).into_iter().chain([
        format!("{{ secret = \"{key}\", key = \"k\" }}"),
        format!("{{ secret = \"s\", key = \"{key}\" }}"),
        format!("{{ env = \"{key}\", file = \"f\" }}"),
    ]) {
        for config in [
            format!("[llm]\napi_key = {reference}"),
            format!("[deploy.env]\nX = {reference}"),
            format!("[sandbox]\nruntime_startup_env_vars = {{ A = {reference}, B_TOKEN = {reference} }}"),
            format!("[condenser]\ntype = \"llm\"\nllm_config = {{ model = \"m\", api_key = {reference} }}"),
            format!("[agent.a.extended]\napi_key = {reference}"),
            format!("[extended]\napi_key = {reference}"),
        ] {
            std::fs::write(home.path().join("config.toml"), &config).unwrap();
            for command in [
                &["config", "check"][..],
                &["config", "show"],
                &["render"],
                &["deploy"],
                &["config", "get", "llm"],
            ] {
                let run = hidden(command);
                assert!(run.code != Some(0) || command[1..] == ["get", "llm"], "{config}: {}", run.stderr);
            }
        }
        std::fs::write(home.path().join("config.toml"), "").unwrap();
        let assignment = format!("llm.api_key={reference}");
        hidden(&["config", "check", "--set", &assignment]).exits(3);
        hidden(&["config", "set", &assignment]).exits(3);
        let variable = in_home(home.path(), &["config", "check"]).env("HANDSCTL_LLM__API_KEY", &reference);
        variable.run().exits(3).hides(key);
    }
    let set = hidden(&["config", "check", "--set", &format!("llm.api_key={{ env = \"{key}\" }}")]);
    set.says("error[HC0141]").says("the value looks like a key; write the name of the variable");
}

/// A config.toml with a secret in each place that is none for secrets.
fn config_with_secrets() -> (String, Vec<String>) {
    let marks = ["url", "env", "harmless", "extended", "list", "flag", "volume", "options", "header"];
    let values = marks.map(planted::word);
    let [url, env, harmless, extended, list, flag, volume, options, header] = &values;
    let text = format!(
        "[llm]\nmodel = \"openai/gpt-5\"\nbase_url = \"https://me:{url}@h/v1\"\n\
         [extended]\nheader = \"Authorization: Bearer {extended}\"\nHeaders = {{ Authorization = \"Bearer {header}\" }}\n\
         [mcp]\nstdio_servers = [{{ name = \"a\", command = \"b\", args = [\"--password={list}\", \"--token\", \"{flag}\"] }}]\n\
         [sandbox]\nvolumes = \"/a?token={volume}:/workspace:rw\"\n\
         [deploy]\nextra_manifests = [\"extra.yaml\"]\n\
         [deploy.env]\nMY_TOKEN = \"{env}\"\nX = \"sk-{harmless}\"\nY = \"ghp_0123456789abcdefghij\"\n\
         JAVA_OPTS = \"-Ddb.password={options}\"\n"
    );
    (text, values.into_iter().chain(["ghp_0123456789abcdefghij".to_owned()]).collect())
}

/// Commands that show a configuration without a cluster.
const OFFLINE: &[&[&str]] = &[
    &["config", "check"],
    &["config", "check", "-o", "json", "--junit", "junit.xml"],
    &["config", "show", "--origin"],
    &["config", "show", "-o", "yaml"],
    &["config", "get", "deploy.env"],
    &["config", "get", "extended", "-o", "json"],
    &["config", "get", "sandbox.volumes"],
    &["render"],
    &["render", "--split", "split"],
    &["deploy", "-vv", "--events", "events"],
    &["diff", "-o", "json"],
    &["rbac"],
];

#[test]
fn secrets_in_files_are_in_no_output() {
    let home = TempDir::new().unwrap();
    let (config, mut secrets) = config_with_secrets();
    let (manifests, more) = planted::manifests("1", "busybox");
    secrets.extend(more);
    std::fs::write(home.path().join("config.toml"), &config).unwrap();
    std::fs::write(home.path().join("extra.yaml"), manifests).unwrap();
    for command in OFFLINE {
        for github in ["false", "true"] {
            let run = in_home(home.path(), command)
                .env("GITHUB_ACTIONS", github)
                .env("GITHUB_STEP_SUMMARY", home.path().join("summary"))
                .run();
            for secret in &secrets {
                planted::assert_hidden(secret, &command.join(" "), &format!("{}{}", run.stdout, run.stderr));
            }
        }
    }
    let mut files = Vec::new();
    list_files(home.path(), &mut files);
    for file in files.iter().filter(|file| !file.ends_with("config.toml") && !file.ends_with("extra.yaml")) {
        let text = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
        for secret in &secrets {
            planted::assert_hidden(secret, &file.display().to_string(), &text);
        }
    }
    // One warning for each kind of place, with what to do.
    let check = in_home(home.path(), &["config", "check"]).run().exits(0);
    assert_eq!(check.stderr.matches("warning[HC0214]").count(), 6, "{}", check.stderr);
    for key in ["deploy.env.X", "deploy.env.Y", "deploy.env.JAVA_OPTS", "extended"] {
        assert!(check.stderr.contains(&format!("secret `{key}")), "{key}: {}", check.stderr);
    }
    for text in [
        "configmap/side of extra.yaml#1 has a secret in clear text",
        "deployment/side of extra.yaml#2 has a secret in clear text",
        "env[name=\"DB_PASSWORD\"].value",
        "valueFrom.secretKeyRef",
        "a probe cannot refer to a Secret",
        "an annotation cannot refer to a Secret",
    ] {
        assert!(check.stderr.contains(text), "{text}: {}", check.stderr);
    }
    // A mask would be applied as if it were the value, so the object is left out.
    let render = in_home(home.path(), &["render"]).run().exits(0);
    render
        .prints("# not shown: configmap/side, which has")
        .prints("# not shown: deployment.apps/side, which has");
    assert!(!home.path().join("split").join("20-deployment.apps-side.yaml").exists());
    assert!(home.path().join("split").join("20-deployment.apps-openhands.yaml").exists());
}

#[test]
fn annotation_allows_an_object_to_be_rendered() {
    let home = TempDir::new().unwrap();
    std::fs::write(home.path().join("config.toml"), "[deploy]\nextra_manifests = [\"extra.yaml\"]\n")
        .unwrap();
    let manifest = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "reset_token": "a-word" },
        "metadata": { "name": "own", "annotations": { "handsctl.dev/secrets": "none" } } });
    std::fs::write(home.path().join("extra.yaml"), manifest.to_string()).unwrap();
    let run = in_home(home.path(), &["render"]).run().exits(0).prints("reset_token: a-word");
    assert!(!run.stderr.contains("HC0214"), "{}", run.stderr);
}

/// The excerpts of mistakes and findings: the caret stays below what it marks.
#[test]
fn excerpt_of_a_mistake_hides_what_looks_like_a_secret() {
    let home = TempDir::new().unwrap();
    let value = planted::word("excerpt");
    for (line, place, caret) in [
        (format!("[deploy]\nhost = \"u:{value}@host\"\n"), "config.toml:2:8", 7),
        (
            "[kubernetes]\nimage_pull_secret = \"ghp_0123456789abcdefghij\"\n".to_owned(),
            "config.toml:2:21",
            20,
        ),
        (format!("[sandbox]\nvolumes = \"/a?token={value}:/b\"\n"), "config.toml:2:1", 0),
        (format!("[cluster]\nprovider = \"kind --token {value}\"\n"), "config.toml:2:12", 11),
        (format!("[deploy]\nenv = {{ A_TOKEN = \"ä{value}\", B = 1 }}\n"), "config.toml:2:48", 47),
        ("[deploy]\nghp_0123456789abcdefghij = \"x\"\n".to_owned(), "config.toml:2:1", 0),
        (format!("[deploy]\nnodes = [\"--token\", \"{value}\"]\n"), "config.toml:2:1", 0),
    ] {
        std::fs::write(home.path().join("config.toml"), &line).unwrap();
        let run = in_home(home.path(), &["config", "check"]).run();
        let run = run.hides(&value).hides("ghp_0123456789abcdefghij").says(place);
        let excerpt = &run.stderr[run.stderr.find(place).unwrap()..];
        let caret_line = excerpt.lines().find(|line| line.contains('^')).unwrap();
        let (_, below) = caret_line.split_once("| ").unwrap();
        assert_eq!(below.chars().take_while(|c| *c == ' ').count(), caret, "{excerpt}");
    }
}

#[test]
fn secret_in_engine_output_is_hidden_in_every_encoding() {
    let home = TempDir::new().unwrap();
    let secret = planted::secret("engine");
    let config = format!(
        "[llm]\napi_key = {secret:?}\n[cluster]\nname = \"trial\"\nprovider = \"kind\"\nhttp_port = 0\n"
    );
    std::fs::write(home.path().join("config.toml"), config).unwrap();
    let path = home.path().join("docker");
    for quotation in planted::quotations(&secret) {
        std::fs::write(&path, format!("#!/bin/sh\nprintf '%s\\n' '{quotation}' >&2\nexit 1\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        for more in [&[][..], &["-v", "--events", "events"]] {
            let arguments = [&["cluster", "up"], more].concat();
            let run = in_home(home.path(), &arguments).env("PATH", home.path()).without("DOCKER_HOST").run();
            assert_ne!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
            run.hides(&secret).says("(redacted)");
        }
        let events = std::fs::read_to_string(home.path().join("events")).unwrap();
        planted::assert_hidden(&secret, "the events", &events);
    }
}

#[test]
fn password_of_a_proxy_in_engine_output_is_hidden() {
    let home = TempDir::new().unwrap();
    let config = "[cluster]\nname = \"trial\"\nprovider = \"kind\"\nhttp_port = 0\n";
    std::fs::write(home.path().join("config.toml"), config).unwrap();
    let quoted = "proxyconnect http://me:planted-4711@proxy:3128 failed, REGISTRY_TOKEN=planted-4711";
    for docker in [format!("echo '{quoted}' >&2; exit 1"), format!("echo '{quoted}'; exit 0")] {
        let path = home.path().join("docker");
        std::fs::write(&path, format!("#!/bin/sh\n{docker}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        for more in [&[][..], &["-o", "json"], &["-v", "--events", "events"]] {
            let arguments = [&["cluster", "up"], more].concat();
            let run = in_home(home.path(), &arguments).env("PATH", home.path()).without("DOCKER_HOST").run();
            let output = format!("{}{}", run.stdout, run.stderr);
            assert_ne!(run.code, Some(0), "{output}");
            assert!(!output.contains("planted-4711"), "{output}");
        }
        let events = std::fs::read_to_string(home.path().join("events")).unwrap();
        assert!(!events.contains("planted-4711"), "{events}");
    }
}
