//! `render` without a cluster: its output is deterministic and contains no secret.

use tempfile::TempDir;

use crate::bed::{in_home, render};
use crate::planted;
use crate::yaml_traps::trap_config;

#[test]
fn render_is_deterministic_without_a_cluster() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("config.toml"), trap_config("a")).unwrap();
    let first = render(folder.path(), &["--include-namespace"]).exits(0);
    let second = render(folder.path(), &["--include-namespace"]).exits(0);
    assert_eq!(first.stdout, second.stdout);
    assert_eq!(first.stdout.matches("\n---\n").count() + 1, 11, "{}", first.stdout);
    // The order of the tables in the file does not matter.
    let mut keys: Vec<String> = Vec::new();
    for table in trap_config("a").split("\n[") {
        keys.insert(0, table.trim_start_matches('[').to_owned());
    }
    let reordered = format!("[{}", keys.join("\n["));
    std::fs::write(folder.path().join("config.toml"), &reordered).unwrap();
    assert_eq!(render(folder.path(), &["--include-namespace"]).exits(0).stdout, first.stdout);
}

#[test]
fn split_files_sort_with_the_namespace_first() {
    let folder = TempDir::new().unwrap();
    let split = folder.path().join("split");
    render(folder.path(), &["--split", split.to_str().unwrap(), "--include-namespace"]).exits(0);
    let names =
        std::fs::read_dir(&split).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    assert_eq!(names[0], "00-namespace-openhands.yaml", "{names:?}");
    let position = |part: &str| names.iter().position(|name| name.contains(part)).unwrap();
    assert!(position("10-configmap-") < position("20-deployment.apps-openhands.yaml"), "{names:?}");
    // Whoever applies the namespace creates it: teardown must not delete it.
    let namespace = std::fs::read_to_string(split.join(&names[0])).unwrap();
    assert!(namespace.contains("kind: Namespace") && !namespace.contains("created-by"), "{namespace}");
}

#[test]
fn split_deletes_only_files_of_a_former_render() {
    let folder = TempDir::new().unwrap();
    let split = folder.path().join("split");
    let run = |host: &str| {
        let host = format!("deploy.host=\"{host}\"");
        let memory = format!("kubernetes.resource_memory_limit=\"{}Gi\"", host.len());
        let key = "llm.api_key={ env = \"K\" }";
        let set = ["--set", &host, "--set", &memory, "--set", key, "--split", split.to_str().unwrap()];
        render(folder.path(), &set).exits(0)
    };
    let config_maps = || {
        let entries = std::fs::read_dir(&split).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains("configmap")).collect::<Vec<String>>()
    };
    run("a.example").says(" files in ").never_says("deleted");
    let former = config_maps();
    // Files of others: one that looks alike, and a copy under another name.
    let theirs = std::fs::read_to_string(split.join(&former[0])).unwrap();
    std::fs::write(split.join("kustomization.yaml"), "resources: []\n").unwrap();
    std::fs::write(split.join("10-configmap-copy.yaml"), &theirs).unwrap();
    std::fs::write(
        split.join("10-configmap-mine.yaml"),
        theirs.replace("managed-by: handsctl", "managed-by: me"),
    )
    .unwrap();
    let second = run("another.example").says(&format!("; deleted {}", former[0]));
    second.says("not there: secret/openhands-env-rendered; create it: kubectl create secret generic");
    let mut left = config_maps();
    left.retain(|name| !name.contains("config-"));
    left.sort();
    assert_eq!(left, ["10-configmap-copy.yaml", "10-configmap-mine.yaml"]);
    assert!(split.join("kustomization.yaml").exists());
    assert!(!split.join(&former[0]).exists());
    let file = split.join("kustomization.yaml");
    render(folder.path(), &["--split", file.to_str().unwrap()]).exits(2).says("--split needs a folder");
}

#[test]
fn render_shows_no_secret_but_its_source() {
    let folder = TempDir::new().unwrap();
    let [literal, variable, file, token, header] = ["a1", "b2", "c3", "d4", "e5"].map(planted::secret);
    std::fs::write(folder.path().join("key.txt"), &file).unwrap();
    let config = format!(
        "[llm]\nmodel = \"m\"\napi_key = {literal:?}\n[core]\njwt_secret = {{ env = \"TOKEN_OF_TEST\" }}\n\
         search_api_key = {{ secret = \"theirs\", key = \"k\" }}\n\
         file_store_web_hook_headers = {{ Authorization = {header:?} }}\n\
         [deploy.env]\nGITHUB_TOKEN = {token:?}\nOTHER = {{ file = \"key.txt\" }}\n"
    );
    std::fs::write(folder.path().join("config.toml"), config).unwrap();
    let split = folder.path().join("split");
    let shown = in_home(folder.path(), &["render"]).env("TOKEN_OF_TEST", &variable).run().exits(0);
    let arguments = ["render", "--split", split.to_str().unwrap(), "-v"];
    let files = in_home(folder.path(), &arguments).env("TOKEN_OF_TEST", &variable).run().exits(0);
    let mut texts =
        vec![("stdout", shown.stdout.clone()), ("stderr", shown.stderr), ("split stderr", files.stderr)];
    for entry in std::fs::read_dir(&split).unwrap() {
        texts.push(("file", std::fs::read_to_string(entry.unwrap().path()).unwrap()));
    }
    assert_eq!(texts.len(), 3 + 10);
    for (source, text) in &texts {
        for secret in [&literal, &variable, &file, &token, &header] {
            planted::assert_hidden(secret, source, text);
        }
    }
    for line in [
        "# not shown: LLM_API_KEY, from the configuration",
        "# not shown: JWT_SECRET, from environment variable TOKEN_OF_TEST",
        "# not shown: SEARCH_API_KEY, from secret/theirs, key k",
        "# not shown: GITHUB_TOKEN, from the configuration",
        "# not shown: OTHER, from file key.txt",
        "# not shown: FILE_STORE_WEB_HOOK_HEADERS, from the configuration",
    ] {
        assert!(shown.stdout.lines().any(|shown| shown == line), "{line}\n{}", shown.stdout);
    }
    // render does not read the secrets.
    std::fs::remove_file(folder.path().join("key.txt")).unwrap();
    assert_eq!(render(folder.path(), &[]).exits(0).stdout, shown.stdout);
}

/// The cpu request of the rendered Deployment and the origin that `config show` prints for it.
fn cpu_request(folder: &TempDir, arguments: &[&str]) -> (bool, String) {
    let rendered = render(folder.path(), arguments).exits(0).stdout;
    let all: Vec<&str> = ["config", "show", "--origin"].iter().chain(arguments).copied().collect();
    let shown = in_home(folder.path(), &all).run().exits(0).stdout;
    let line = shown.lines().find(|line| line.starts_with("deploy.resources.requests.cpu")).unwrap();
    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
    let sandboxes = shown.lines().find(|line| line.starts_with("kubernetes.resource_cpu_request")).unwrap();
    assert_eq!(sandboxes.contains("\"250m\""), words[0] == "\"250m\"", "{shown}");
    (rendered.contains("cpu: 250m"), words.join(" "))
}

#[test]
fn defaults_of_the_provider_are_rendered_and_shown() {
    let folder = TempDir::new().unwrap();
    let local = (true, "\"250m\" handsctl".to_owned());
    let remote = (false, "\"500m\" default".to_owned());
    assert_eq!(cpu_request(&folder, &[]), remote, "no local cluster was created");
    for (arguments, expected) in [
        (["--set", "cluster.provider=kwok"], &local),
        (["--set", "cluster.provider=kind"], &local),
        (["--set", "cluster.provider=existing"], &remote),
        (["--context", "kind-local-hands"], &local),
        (["--context", "production"], &remote),
        (["--set", "cluster.context=kwok-a"], &local),
    ] {
        assert_eq!(cpu_request(&folder, &arguments), *expected, "{arguments:?}");
    }
    let set = ["--set", "cluster.provider=kwok", "--set", "deploy.resources.requests.cpu=300m"];
    let rendered = render(folder.path(), &set).exits(0).stdout;
    assert!(rendered.contains("cpu: 300m"), "a configured request stays: {rendered}");
}
