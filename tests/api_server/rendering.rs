//! `render`: kubectl parses its output to exactly the objects that `deploy` sends to the API server.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::bed::{Bed, Namespace, in_home, render};
use crate::fault::{Proxy, Request};
use crate::yaml_traps::{environment, openhands, selector, trap_config};

const PART_OF: &str = "applyset.kubernetes.io/part-of";

/// `Deployment/namespace/name`.
fn name(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    format!("{}/{}/{}", text(&object["kind"]), text(&metadata["namespace"]), text(&metadata["name"]))
}

/// The objects that kubectl parses from manifests on stdin or from a folder.
fn parse_with_kubectl(bed: &Bed, file: &str, manifests: &str) -> BTreeMap<String, Value> {
    let text = bed.kubectl_with(
        &["create", "--dry-run=client", "--validate=false", "-o", "json", "-f", file],
        manifests,
    );
    let objects = serde_json::Deserializer::from_str(&text).into_iter::<Value>().map(Result::unwrap);
    objects.map(|object| (name(&object), object)).collect()
}

/// The sent members, without the fields that `render` cannot know: whether the object exists, the set's label, the
/// versions of referenced Secrets, and the name of the set's own Secret.
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
        assert_eq!(metadata.remove("resourceVersion"), Some(Value::from("1")), "a create-only apply");
        metadata["labels"].as_object_mut().unwrap().remove(PART_OF);
        if let Some(template) = object.pointer_mut("/spec/template/metadata").and_then(Value::as_object_mut)
            && let Some(mut annotations) = template.remove("annotations")
        {
            annotations.as_object_mut().unwrap().retain(|key, _| !key.starts_with("handsctl.dev/secret-"));
            assert_eq!(annotations, serde_json::json!({}), "pods have other annotations");
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

fn assert_same(parsed: &BTreeMap<String, Value>, sent: &BTreeMap<String, Value>) {
    assert_eq!(parsed.keys().collect::<Vec<_>>(), sent.keys().collect::<Vec<_>>());
    for (name, sent) in sent {
        assert_eq!(parsed[name], *sent, "{name}");
    }
}

/// Deploys the folder's `config.toml` through a proxy, which it returns.
fn deploy_recorded(namespace: &Namespace) -> Proxy {
    let proxy = Proxy::for_cluster(namespace.bed);
    let arguments = ["deploy", "--no-wait", "--context", Proxy::CONTEXT, "-n", &namespace.name];
    in_home(namespace.folder.path(), &arguments)
        .env("KUBECONFIG", proxy.kubeconfig())
        .env("TOKEN_OF_TEST", "t")
        .run()
        .exits(0);
    proxy
}

#[test]
fn render_equals_deployed_objects_for_yaml_traps() {
    let bed = Bed::shared();
    let namespace = bed.namespace("nasty");
    namespace.config(&trap_config(&namespace.name));
    let proxy = deploy_recorded(&namespace);
    let rendered = render(namespace.folder.path(), &["-n", &namespace.name]).exits(0).stdout;
    let sent = members(&proxy.requests());
    assert_eq!(sent.len(), 10);
    assert_same(&parse_with_kubectl(bed, "-", &rendered), &sent);
    let folder = namespace.folder.path().join("split");
    let path = folder.to_str().unwrap();
    let split = render(namespace.folder.path(), &["-n", &namespace.name, "--split", path]).exits(0);
    assert_eq!(split.stdout, "");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 10);
    assert_same(&parse_with_kubectl(bed, path, ""), &sent);

    // The server stores the values that the user wrote.
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
    let expected = environment();
    assert_eq!(variables, expected.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect());
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
fn render_equals_deployed_objects_for_each_configuration() {
    let bed = Bed::shared();
    let boxes = bed.namespace("boxes");
    let configs = [
        String::new(),
        format!(
            "[llm]\napi_key = \"k\"\n[core]\njwt_secret = {{ env = \"TOKEN_OF_TEST\" }}\n\
             search_api_key = {{ secret = \"theirs\", key = \"k\" }}\n[kubernetes]\nnamespace = \"{}\"\n",
            boxes.name
        ),
        "[deploy]\nexpose = \"nodeport\"\nexposure = \"acknowledged\"\nnode_port = 30999\nnetwork_policy = false\nexisting_claim = \"no\"\n\
         min_ready_seconds = 3\n"
            .to_owned(),
    ];
    for config in configs {
        let namespace = bed.namespace("rendered");
        namespace.create(&[]);
        bed.kubectl(&["create", "secret", "generic", "theirs", "--from-literal=k=v", "-n", &namespace.name]);
        let claim = json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "no" },
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } });
        bed.kubectl_with(&["create", "-n", &namespace.name, "-f", "-"], &claim.to_string());
        namespace.config(&config);
        let sent = members(&deploy_recorded(&namespace).requests());
        let rendered = render(namespace.folder.path(), &["-n", &namespace.name]).exits(0).stdout;
        assert_same(&parse_with_kubectl(bed, "-", &rendered), &sent);
        let folder = namespace.folder.path().join("split");
        render(namespace.folder.path(), &["-n", &namespace.name, "--split", folder.to_str().unwrap()])
            .exits(0);
        assert_same(&parse_with_kubectl(bed, folder.to_str().unwrap(), ""), &sent);
    }
}

#[test]
fn render_equals_local_deploy() {
    let bed = Bed::shared();
    let namespace = bed.namespace("laptop");
    namespace.config("");
    namespace.handsctl(&["deploy", "--no-wait"]).exits(0);
    let arguments = ["-n", &namespace.name, "--name", "oh", "--set", "cluster.provider=kwok"];
    let rendered = render(namespace.folder.path(), &arguments).exits(0).stdout;
    let parsed = parse_with_kubectl(bed, "-", &rendered);
    let configurations = |names: BTreeSet<String>| {
        names.into_iter().filter(|name| name.starts_with("ConfigMap/")).collect::<BTreeSet<_>>()
    };
    let live = bed.get(&["configmaps", "-n", &namespace.name, "-l", PART_OF]);
    let live = live["items"].as_array().unwrap().iter().map(name).collect();
    assert_eq!(configurations(parsed.keys().cloned().collect()), live);
    let cpu = |object: &Value| {
        object["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"].clone()
    };
    assert_eq!(cpu(&parsed[&format!("Deployment/{}/oh", namespace.name)]), "250m");
    assert_eq!(cpu(&bed.get(&["deployment", "oh", "-n", &namespace.name])), "250m");
}
