//! `render`: what kubectl reads of it is what the API server is sent; without a cluster, and without a secret.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::bed::{Bed, Namespace, Run, alone};
use crate::planted;
use crate::recorder::{Recorder, Request};

const PART_OF: &str = "applyset.kubernetes.io/part-of";

/// Texts that a careless writer or reader of YAML takes for something else, or breaks.
const NASTY: &[&str] = &[
    "on",
    "no",
    "y",
    "1_000",
    "0755",
    "0o17",
    "0x1f",
    "1e3",
    ".5",
    ".inf",
    "1:30",
    "2001-01-01",
    "=",
    "<<",
    "~",
    "null",
    "true",
    "- a",
    "a: b # c",
    "# c",
    "\"quoted\"",
    "it's",
    "'",
    "two\nlines",
    "two\nlines\n",
    "\n\nbegins and ends with breaks\n\n",
    "  leading\n spaces\n   and a tab\t\n",
    " lead",
    "trail ",
    "back\\slash \\n",
    "{{ x }}",
    "{% x %}",
    "${X} $(X) $$",
    "{a: b}",
    "[a]",
    "%YAML 1.1",
    "&a",
    "*a",
    "!!int 3",
    "@x",
    "`x`",
    "| pipe",
    "> fold",
    "? key",
    "---",
    "...",
    "--- a\n...\n",
    "🦀 ünï ✓ 漢字 👩\u{200d}🚀",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    "\u{feff}bom",
    "\u{a0}",
    "line\r",
    "\r\n",
    "\u{1}",
    "\u{1b}[31mred",
    "\u{10ffff}",
    "",
    "a very long line, longer than every width at which a writer of YAML would like to fold it: 0123456789 0123456789 0123456789 0123456789 0123456789",
];

/// The same, of those that may be values of labels.
const LABELS: &[&str] =
    &["on", "no", "y", "1_000", "0755", "0x1f", "1e3", "1.5", "2001-01-01", "null", "true", ""];

fn environment() -> BTreeMap<String, String> {
    NASTY.iter().enumerate().map(|(number, text)| (format!("N{number:02}"), (*text).to_owned())).collect()
}

fn selector() -> BTreeMap<String, String> {
    let pairs = LABELS.iter().enumerate();
    let mut selector: BTreeMap<_, _> =
        pairs.map(|(number, text)| (format!("example.io/n{number}"), (*text).to_owned())).collect();
    for key in ["on", "0755", "1e3", "null", "y"] {
        selector.insert(key.to_owned(), key.to_owned());
    }
    selector
}

/// OpenHands' tables: every text in every kind of place that takes any text.
fn openhands() -> toml::Table {
    let text = |text: &str| toml::Value::from(text);
    let table = |pairs: Vec<(&str, toml::Value)>| {
        toml::Value::Table(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    };
    let list = toml::Value::Array(NASTY.iter().map(|nasty| text(nasty)).collect());
    let named = NASTY.iter().enumerate().map(|(number, nasty)| {
        (format!("n{number}"), table(vec![("model", text(nasty)), ("custom_llm_provider", text("on"))]))
    });
    let mut llm: toml::Table = named.collect();
    llm.extend([("model".to_owned(), text("no")), ("reasoning_effort".to_owned(), text("0755"))]);
    // As keys too, where the application takes any.
    let free: toml::Table = NASTY.iter().map(|nasty| ((*nasty).to_owned(), text(nasty))).collect();
    let startup: toml::Table =
        environment().into_iter().map(|(name, value)| (name, toml::Value::from(value))).collect();
    toml::Table::from_iter([
        (
            "core".to_owned(),
            table(vec![
                ("default_agent", text("on")),
                ("git_user_name", text("🦀 \"=\"\n'no'")),
                ("file_uploads_allowed_extensions", list),
            ]),
        ),
        ("llm".to_owned(), toml::Value::Table(llm)),
        ("agent".to_owned(), table(vec![("on", table(vec![("classpath", text("1_000"))]))])),
        ("sandbox".to_owned(), table(vec![("runtime_startup_env_vars", toml::Value::Table(startup))])),
        (
            "kubernetes".to_owned(),
            table(vec![
                ("node_selector_key", text("on")),
                ("node_selector_val", text("0755")),
                ("tolerations_yaml", text("- key: \"no\"\n  operator: Exists\n  effect: NoSchedule\n")),
                ("ingress_domain", text("no")),
                ("image_pull_secret", text("1e3")),
            ]),
        ),
        ("extended".to_owned(), toml::Value::Table(free)),
    ])
}

/// A config.toml with such texts in every place that the user sets.
fn nasty_config(namespace: &str) -> String {
    let pairs = |map: BTreeMap<String, String>| {
        toml::Value::Table(map.into_iter().map(|(key, value)| (key, toml::Value::from(value))).collect())
    };
    let mut deploy: toml::Table = "
        name = 'on'
        image = 'no:5000/on/1_000:0.59'
        image_pull_secrets = ['on', '0755', '1e3']
        host = 'no'
        ingress_class = '1e3'
        ingress_namespace = 'y'
        tls_secret = '0x1f'
        storage_class = 'null'
        storage_size = '1e9'
        resources = { requests = { cpu = '1000m', memory = '1024Mi' }, limits = { cpu = '1.5', memory = '2e9' } }
    "
    .parse()
    .unwrap();
    deploy.insert("namespace".to_owned(), namespace.into());
    deploy.insert("env".to_owned(), pairs(environment()));
    deploy.insert("node_selector".to_owned(), pairs(selector()));
    let mut config = openhands();
    config.insert("deploy".to_owned(), toml::Value::Table(deploy));
    config.to_string()
}

/// `Deployment/namespace/name`.
fn name(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    format!("{}/{}/{}", text(&object["kind"]), text(&metadata["namespace"]), text(&metadata["name"]))
}

/// What kubectl reads: manifests on stdin, or a folder of them.
fn kubectl_reads(bed: &Bed, file: &str, manifests: &str) -> BTreeMap<String, Value> {
    let text = bed.kubectl_with(
        &["create", "--dry-run=client", "--validate=false", "-o", "json", "-f", file],
        manifests,
    );
    let objects = serde_json::Deserializer::from_str(&text).into_iter::<Value>().map(Result::unwrap);
    objects.map(|object| (name(&object), object)).collect()
}

/// The members among what was sent, without what `render` cannot know: whether the object is there, the set's label,
/// the versions of referenced Secrets, the name of our own Secret.
fn members(requests: &[Request]) -> BTreeMap<String, Value> {
    let sent: Vec<Value> = requests
        .iter()
        .filter(|request| request.method == "PATCH")
        .map(Request::json)
        .filter(|object| object["metadata"]["labels"][PART_OF].is_string())
        .collect();
    let secrets: Vec<&str> = sent
        .iter()
        .filter(|object| object["kind"] == "Secret")
        .map(|object| object["metadata"]["name"].as_str().unwrap())
        .collect();
    let members = sent.iter().filter(|object| object["kind"] != "Secret").map(|object| {
        let mut object = object.clone();
        let metadata = object["metadata"].as_object_mut().unwrap();
        assert_eq!(metadata.remove("resourceVersion"), Some(Value::from("1")), "create-only");
        metadata["labels"].as_object_mut().unwrap().remove(PART_OF);
        if let Some(template) = object.pointer_mut("/spec/template/metadata").and_then(Value::as_object_mut)
            && let Some(mut annotations) = template.remove("annotations")
        {
            annotations.as_object_mut().unwrap().retain(|key, _| !key.starts_with("handsctl.dev/secret-"));
            assert_eq!(annotations, serde_json::json!({}), "the only annotations of pods");
        }
        let variables =
            object.pointer_mut("/spec/template/spec/containers/0/env").and_then(Value::as_array_mut);
        for variable in variables.into_iter().flatten() {
            let reference = variable.pointer_mut("/valueFrom/secretKeyRef/name");
            if let Some(reference) = reference.filter(|name| secrets.iter().any(|secret| **name == **secret))
            {
                let (stem, _hash) = reference.as_str().unwrap().rsplit_once('-').unwrap();
                *reference = Value::from(format!("{stem}-rendered"));
            }
        }
        (name(&object), object)
    });
    members.collect()
}

fn assert_same(read: &BTreeMap<String, Value>, sent: &BTreeMap<String, Value>) {
    assert_eq!(read.keys().collect::<Vec<_>>(), sent.keys().collect::<Vec<_>>());
    for (name, sent) in sent {
        assert_eq!(read[name], *sent, "{name}");
    }
}

/// Deploys the folder's `config.toml` through a recorder.
fn deploy_recorded(namespace: &Namespace) -> Recorder {
    let recorder = Recorder::before(namespace.bed);
    let arguments = ["deploy", "--no-wait", "--context", Recorder::CONTEXT, "-n", &namespace.name];
    alone(namespace.folder.path(), &arguments)
        .env("KUBECONFIG", recorder.kubeconfig())
        .env("TOKEN_OF_TEST", "t")
        .run()
        .exits(0);
    recorder
}

/// Runs `render` where there is no cluster: no kubeconfig, an empty home, no network that it could know of.
fn render(folder: &Path, arguments: &[&str]) -> Run {
    let home = TempDir::new().unwrap();
    let all: Vec<&str> = std::iter::once("render").chain(arguments.iter().copied()).collect();
    let run = alone(folder, &all).env("HOME", home.path()).env("KUBECONFIG", "/nowhere/at/all").run();
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "render writes into the home");
    run
}

#[test]
fn kubectl_reads_from_render_what_the_server_is_sent_whatever_the_texts_look_like() {
    if Bed::is_off("kubectl_reads_from_render_what_the_server_is_sent_whatever_the_texts_look_like") {
        return;
    }
    let bed = Bed::shared();
    let namespace = bed.namespace("nasty");
    namespace.config(&nasty_config(&namespace.name));
    let recorder = deploy_recorded(&namespace);
    let rendered = render(namespace.folder.path(), &["-n", &namespace.name]).exits(0).stdout;
    let sent = members(&recorder.requests());
    assert_eq!(sent.len(), 9);
    assert_same(&kubectl_reads(bed, "-", &rendered), &sent);
    let folder = namespace.folder.path().join("split");
    let path = folder.to_str().unwrap();
    let split = render(namespace.folder.path(), &["-n", &namespace.name, "--split", path]).exits(0);
    assert_eq!(split.stdout, "");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 9);
    assert_same(&kubectl_reads(bed, path, ""), &sent);

    // Not only the same: right. What the server keeps is what the user wrote.
    let deployment = bed.get(&["deployment", "on", "-n", &namespace.name]);
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let mut variables: BTreeMap<&str, &str> = container["env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["name"].as_str().unwrap(), item["value"].as_str().unwrap_or_default()))
        .collect();
    variables.retain(|name, _| name.starts_with('N'));
    let wanted = environment();
    assert_eq!(variables, wanted.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect());
    assert_eq!(pod["nodeSelector"], serde_json::to_value(selector()).unwrap());
    assert_eq!(container["image"], "no:5000/on/1_000:0.59");
    let configuration =
        pod["volumes"].as_array().unwrap().iter().find_map(|volume| volume["configMap"]["name"].as_str());
    let file = bed.get(&["configmap", configuration.unwrap(), "-n", &namespace.name]);
    let mut file: toml::Table = file["data"]["config.toml"].as_str().unwrap().parse().unwrap();
    for (table, key) in
        [("core", "runtime"), ("kubernetes", "namespace"), ("sandbox", "runtime_container_image")]
    {
        assert!(file[table].as_table_mut().unwrap().remove(key).is_some(), "[{table}] {key}");
    }
    assert_eq!(file, openhands());
}

#[test]
fn kubectl_reads_from_render_what_the_server_is_sent_with_defaults_secrets_and_two_namespaces() {
    if Bed::is_off(
        "kubectl_reads_from_render_what_the_server_is_sent_with_defaults_secrets_and_two_namespaces",
    ) {
        return;
    }
    let bed = Bed::shared();
    let boxes = bed.namespace("boxes");
    let configs = [
        String::new(),
        format!(
            "[llm]\napi_key = \"k\"\n[core]\njwt_secret = {{ env = \"TOKEN_OF_TEST\" }}\n\
             search_api_key = {{ secret = \"theirs\", key = \"k\" }}\n[kubernetes]\nnamespace = \"{}\"\n",
            boxes.name
        ),
        "[deploy]\nexpose = \"nodeport\"\nnode_port = 30999\nnetwork_policy = false\nexisting_claim = \"no\"\n\
         min_ready_seconds = 3\n"
            .to_owned(),
    ];
    for config in configs {
        let namespace = bed.namespace("rendered");
        namespace.make(&[]);
        bed.kubectl(&["create", "secret", "generic", "theirs", "--from-literal=k=v", "-n", &namespace.name]);
        namespace.config(&config);
        let sent = members(&deploy_recorded(&namespace).requests());
        let rendered = render(namespace.folder.path(), &["-n", &namespace.name]).exits(0).stdout;
        assert_same(&kubectl_reads(bed, "-", &rendered), &sent);
        let folder = namespace.folder.path().join("split");
        render(namespace.folder.path(), &["-n", &namespace.name, "--split", folder.to_str().unwrap()])
            .exits(0);
        assert_same(&kubectl_reads(bed, folder.to_str().unwrap(), ""), &sent);
    }
}

#[test]
fn on_a_local_cluster_deploy_sends_what_render_shows_but_for_the_cpu_that_a_laptop_does_not_have() {
    if Bed::is_off(
        "on_a_local_cluster_deploy_sends_what_render_shows_but_for_the_cpu_that_a_laptop_does_not_have",
    ) {
        return;
    }
    let bed = Bed::shared();
    let namespace = bed.namespace("laptop");
    namespace.config("[kubernetes]\nresource_cpu_request = \"1\"\n");
    namespace.handsctl(&["deploy", "--no-wait"]).exits(0);
    let rendered = render(namespace.folder.path(), &["-n", &namespace.name, "--name", "oh"]).exits(0).stdout;
    let read = kubectl_reads(bed, "-", &rendered);
    let configurations = |names: BTreeSet<String>| {
        names.into_iter().filter(|name| name.starts_with("ConfigMap/")).collect::<BTreeSet<_>>()
    };
    let live = bed.get(&["configmaps", "-n", &namespace.name, "-l", PART_OF]);
    let live = live["items"].as_array().unwrap().iter().map(name).collect();
    assert_eq!(configurations(read.keys().cloned().collect()), live);
    let cpu = |object: &Value| {
        object["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"].clone()
    };
    assert_eq!(cpu(&read[&format!("Deployment/{}/oh", namespace.name)]), "500m");
    assert_eq!(cpu(&bed.get(&["deployment", "oh", "-n", &namespace.name])), "250m");
}

#[test]
fn render_gives_the_same_bytes_every_time_without_a_cluster() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("config.toml"), nasty_config("a")).unwrap();
    let first = render(folder.path(), &["--include-namespace"]).exits(0);
    let second = render(folder.path(), &["--include-namespace"]).exits(0);
    assert_eq!(first.stdout, second.stdout);
    assert_eq!(first.stdout.matches("\n---\n").count() + 1, 10, "{}", first.stdout);
    // The order of the keys in the file is no input.
    let mut keys: Vec<String> = Vec::new();
    for table in nasty_config("a").split("\n[") {
        keys.insert(0, table.trim_start_matches('[').to_owned());
    }
    let reordered = format!("[{}", keys.join("\n["));
    std::fs::write(folder.path().join("config.toml"), &reordered).unwrap();
    assert_eq!(render(folder.path(), &["--include-namespace"]).exits(0).stdout, first.stdout);
}

#[test]
fn render_shows_no_secret_and_names_where_each_one_comes_from() {
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
    let shown = alone(folder.path(), &["render"]).env("TOKEN_OF_TEST", &variable).run().exits(0);
    let arguments = ["render", "--split", split.to_str().unwrap(), "-v"];
    let files = alone(folder.path(), &arguments).env("TOKEN_OF_TEST", &variable).run().exits(0);
    let mut texts =
        vec![("stdout", shown.stdout.clone()), ("stderr", shown.stderr), ("split stderr", files.stderr)];
    for entry in std::fs::read_dir(&split).unwrap() {
        texts.push(("file", std::fs::read_to_string(entry.unwrap().path()).unwrap()));
    }
    assert_eq!(texts.len(), 3 + 9);
    for (place, text) in &texts {
        for secret in [&literal, &variable, &file, &token, &header] {
            planted::assert_hidden(secret, place, text);
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
    // None of them has to be there.
    std::fs::remove_file(folder.path().join("key.txt")).unwrap();
    assert_eq!(render(folder.path(), &[]).exits(0).stdout, shown.stdout);
}
