//! `history`, `rollback`, `restart`, and the configuration that is kept for them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::bed::{Bed, Namespace};

const MEMBERS: &str = "serviceaccounts,roles,rolebindings,configmaps,secrets,persistentvolumeclaims,deployments,services,ingresses,networkpolicies";

fn get(namespace: &Namespace, arguments: &[&str]) -> Value {
    namespace.bed.get(&[arguments, &["-n", &namespace.name]].concat())
}

fn names(namespace: &Namespace, kind: &str) -> BTreeSet<String> {
    let items = get(namespace, &[kind])["items"].as_array().unwrap().clone();
    items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

fn with_prefix(names: &BTreeSet<String>, prefix: &str) -> BTreeSet<String> {
    names.iter().filter(|name| name.starts_with(prefix)).cloned().collect()
}

/// The live members without the fields that the server and its controllers write.
fn members(namespace: &Namespace) -> BTreeMap<String, Value> {
    let list = get(namespace, &[MEMBERS, "-l", "applyset.kubernetes.io/part-of"]);
    let members = list["items"].as_array().unwrap().iter().map(|item| {
        let mut item = item.clone();
        let metadata = item["metadata"].as_object_mut().unwrap();
        for volatile in ["resourceVersion", "uid", "generation", "creationTimestamp", "managedFields"] {
            metadata.remove(volatile);
        }
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("deployment.kubernetes.io/revision");
        }
        item.as_object_mut().unwrap().remove("status");
        (format!("{}/{}", item["kind"].as_str().unwrap(), item["metadata"]["name"].as_str().unwrap()), item)
    });
    members.collect()
}

/// The members without the configuration of other revisions.
fn current_members(namespace: &Namespace) -> BTreeMap<String, Value> {
    let all = members(namespace);
    let template = all["Deployment/oh"]["spec"]["template"].to_string();
    all.into_iter()
        .filter(|(id, _)| {
            let name = id.split_once('/').unwrap().1;
            let is_configuration = name.starts_with("oh-config-") || name.starts_with("oh-env-");
            !is_configuration || template.contains(name)
        })
        .collect()
}

fn config(namespace: &Namespace, model: &str, rest: &str) {
    namespace.config(&format!("[llm]\nmodel = \"{model}\"\n{rest}"));
}

pub(super) fn history(namespace: &Namespace) -> Vec<Value> {
    let run = namespace.handsctl(&["history", "-o", "json"]).exits(0);
    crate::binary::pipelines::assert_matches(&crate::binary::pipelines::schema("history"), &run.json());
    run.json().as_array().unwrap().clone()
}

pub(super) fn outcomes(namespace: &Namespace) -> Vec<(u64, String)> {
    let of = |revision: &Value| {
        (revision["number"].as_u64().unwrap(), revision["result"].as_str().unwrap().to_owned())
    };
    history(namespace).iter().map(of).collect()
}

pub(super) fn good(numbers: &[u64]) -> Vec<(u64, String)> {
    numbers.iter().map(|number| (*number, "good".to_owned())).collect()
}

/// The configuration that the running pod mounts, and the API key in its Secret.
fn running_configuration(namespace: &Namespace) -> (String, Value) {
    let pods = get(namespace, &["pods", "-l", "app.kubernetes.io/instance=oh"]);
    let running: Vec<&Value> = pods["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .collect();
    assert_eq!(running.len(), 1, "{pods}");
    let volumes = running[0]["spec"]["volumes"].as_array().unwrap();
    let volume = volumes.iter().find(|volume| volume["name"] == "config").unwrap();
    let mounted = volume["configMap"]["name"].as_str().unwrap();
    let text = get(namespace, &["configmap", mounted])["data"]["config.toml"].as_str().unwrap().to_owned();
    let env = running[0]["spec"]["containers"][0]["env"].as_array().unwrap();
    let key = env.iter().find(|entry| entry["name"] == "LLM_API_KEY").map(|entry| {
        let name = entry["valueFrom"]["secretKeyRef"]["name"].as_str().unwrap();
        get(namespace, &["secret", name])["data"]["LLM_API_KEY"].clone()
    });
    (text, key.unwrap_or_default())
}

#[test]
fn oldest_revision_is_deleted_and_rollback_restores_kept_one() {
    let namespace = Bed::shared().namespace("history");
    let mut sets = vec![BTreeMap::new()];
    for number in 1..=4 {
        let keep = "[deploy]\nrevision_history = 2\n";
        let more = if number % 2 == 0 { "network_policy = false\nhost = \"two.example\"\n" } else { "" };
        let rest = format!("api_key = {{ file = \"key\" }}\n{keep}{more}");
        std::fs::write(namespace.folder.path().join("key"), format!("secret-{number}")).unwrap();
        config(&namespace, &format!("openai/gpt-{number}"), &rest);
        namespace.handsctl(&["deploy"]).exits(0).says(&format!("revision {number}"));
        sets.push(current_members(&namespace));
        if number == 3 {
            assert_eq!(outcomes(&namespace), good(&[3, 2, 1]));
            assert_eq!(with_prefix(&names(&namespace, "configmaps"), "oh-config-").len(), 3);
        }
    }
    assert_eq!(outcomes(&namespace), good(&[4, 3, 2]));
    let secrets = names(&namespace, "secrets");
    let kept = ["handsctl-oh-r2", "handsctl-oh-r3", "handsctl-oh-r4"].map(str::to_owned);
    assert_eq!(with_prefix(&secrets, "handsctl-oh-r"), kept.into());
    let configured = |number: usize, kind: &str| -> String {
        let prefix = format!("{kind}/oh-");
        let mut ids =
            sets[number].keys().filter(|id| id.starts_with(&prefix) && **id != "ConfigMap/oh-state");
        ids.next().unwrap().split_once('/').unwrap().1.to_owned()
    };
    let configs = with_prefix(&names(&namespace, "configmaps"), "oh-config-");
    assert_eq!(
        configs,
        [2, 3, 4].map(|number| configured(number, "ConfigMap")).into(),
        "the first revision's configuration is deleted"
    );
    let envs = with_prefix(&secrets, "oh-env-");
    assert_eq!(envs, [2, 3, 4].map(|number| configured(number, "Secret")).into());

    // A rollback needs neither the secret's file nor the configuration.
    std::fs::remove_file(namespace.folder.path().join("key")).unwrap();
    namespace
        .handsctl(&["rollback", "--to", "2"])
        .exits(0)
        .says("revision 5")
        .says("rolled back to revision 2")
        .says(&format!("undo: {}", namespace.suggested("rollback", "--to 4")))
        .says("config.toml was not changed");
    assert_eq!(current_members(&namespace), sets[2]);
    let (text, key) = running_configuration(&namespace);
    assert!(text.contains("openai/gpt-2"), "{text}");
    assert_eq!(key, json!("c2VjcmV0LTI="));
    assert_eq!(outcomes(&namespace), good(&[5, 4, 3]));
    assert_eq!(history(&namespace)[0]["note"], "rollback to 2");

    // The content of revision 2 is kept as revision 5, although its first number is not.
    namespace.handsctl(&["rollback"]).exits(0).says("rolled back to revision 4").says("revision 6");
    assert_eq!(current_members(&namespace), sets[4]);
    let hint =
        format!("revision 5 has its content, by a rollback: {}", namespace.suggested("rollback", "--to 5"));
    namespace
        .handsctl(&["rollback", "2"])
        .exits(2)
        .says("revision 2 is not kept")
        .says("3, 5, 6")
        .says(&hint);
    namespace.handsctl(&["history", "2"]).exits(2).says("revision 5 has its content");
}

#[test]
fn unchanged_deploy_records_nothing_and_failure_is_marked() {
    let namespace = Bed::shared().namespace("marks");
    namespace.handsctl(&["history"]).exits(0);
    namespace
        .handsctl(&["rollback"])
        .exits(12)
        .says("error[HC3011]")
        .says(&namespace.suggested("deploy", "creates it"));
    let undo = format!("undo: {}", namespace.suggested("teardown", "(keeps the volume)"));
    namespace.handsctl(&["deploy"]).exits(0).says(&undo);
    namespace.handsctl(&["deploy"]).exits(0).says("revision 1").never_says("undo:");
    assert_eq!(outcomes(&namespace), good(&[1]));
    namespace
        .handsctl(&["rollback"])
        .exits(14)
        .says("no good revision is kept whose content differs from revision 1");

    let bad = "[deploy]\nimage = \"example.com/simulate-image-pull-backoff:0.59\"\n";
    namespace.config(bad);
    namespace
        .handsctl(&["deploy", "--no-rollback"])
        .exits(9)
        .says("the applied objects are kept; no pod is serving");
    assert_eq!(outcomes(&namespace), [(2, "failed".to_owned()), (1, "good".to_owned())]);
    // An unchanged deploy is not a new revision.
    namespace.handsctl(&["deploy", "--no-rollback"]).exits(9);
    assert_eq!(outcomes(&namespace), [(2, "failed".to_owned()), (1, "good".to_owned())]);
    namespace.handsctl(&["rollback"]).exits(0).says("rolled back to revision 1").says("revision 3");
    assert_eq!(outcomes(&namespace)[0], (3, "good".to_owned()));
    // Without waiting the result is unknown; the next run that waits records it.
    namespace.config("[llm]\nmodel = \"openai/gpt-5\"\n");
    namespace.handsctl(&["deploy", "--no-wait"]).exits(0);
    assert_eq!(outcomes(&namespace)[0], (4, "not watched".to_owned()));
    namespace.handsctl(&["deploy"]).exits(0).says("10 unchanged");
    assert_eq!(outcomes(&namespace)[0], (4, "good".to_owned()));
}

#[test]
fn rollback_suggests_no_command_about_its_deleted_pod() {
    let namespace = Bed::shared().namespace("gone-pod");
    namespace.handsctl(&["deploy"]).exits(0);
    let crashing = "deploy.image=\"registry.example/simulate-crash-loop-backoff:0.59\"";
    namespace
        .handsctl(&["deploy", "--set", crashing])
        .exits(9)
        .says("error[HC4201]")
        .says("state     rolled back to revision 1")
        .says(&namespace.suggested("history", "2 shows the evidence of the failed revision"))
        .never_says("logs pod/");
}

#[test]
fn failed_rollout_restores_good_revision_and_keeps_evidence() {
    let namespace = Bed::shared().namespace("recovers");
    let bad = "[deploy]\nimage = \"example.com/simulate-image-pull-backoff:0.59\"\n";
    // There is no good revision to roll back to.
    namespace.config(bad);
    namespace.handsctl(&["deploy"]).exits(9).says("the applied objects are kept").never_says("rolled back");
    namespace.config("");
    namespace.handsctl(&["deploy"]).exits(0).says("revision 2");

    namespace.config(bad);
    namespace
        .handsctl(&["deploy"])
        .exits(9)
        .says("rollback  to revision 2, because")
        .says("error[HC4103]")
        .says("state     rolled back to revision 2, as a simulation")
        .says(&namespace.suggested("history", "3 shows the evidence of the failed revision"))
        .never_says("no pod is serving");
    let status = namespace.handsctl(&["status"]).exits(0).stdout;
    assert!(status.contains("revision 4"), "{status}");
    let good = "good".to_owned();
    let failed = "failed".to_owned();
    // The content of revision 2 is kept as revision 4.
    assert_eq!(outcomes(&namespace), [(4, good), (3, failed.clone()), (1, failed.clone())]);
    assert_eq!(history(&namespace)[0]["note"], "rollback to 2");
    let evidence = history(&namespace)[1]["evidence"].as_str().unwrap().to_owned();
    assert!(evidence.starts_with("HC4103: ") && evidence.contains("not found"), "{evidence}");
    assert!(!evidence.contains("state:"), "{evidence}");
    let content = namespace.handsctl(&["history", "3"]).exits(0).stdout;
    assert!(content.contains("why it failed\n  HC4103: "), "{content}");

    // rollback_on_failure = "never" keeps the failed objects.
    namespace.config(&format!("{bad}rollback_on_failure = \"never\"\n"));
    namespace.handsctl(&["deploy"]).exits(9).says("the applied objects are kept; no pod is serving");
    assert_eq!(outcomes(&namespace)[0], (5, failed));
}

#[test]
fn revision_names_author_and_image_without_secrets() {
    let namespace = Bed::shared().namespace("content");
    config(&namespace, "openai/gpt-5", "api_key = { env = \"KEY\" }\n");
    let secret = "sk-planted-0123456789";
    namespace.command(&["deploy"]).env("KEY", secret).env("USER", "ana").run().exits(0);
    let revision = &history(&namespace)[0];
    assert!(revision["by"].as_str().unwrap().starts_with("ana@"), "{revision}");
    assert!(revision["image"].as_str().unwrap().ends_with("openhands:0.59"), "{revision}");
    let content = namespace.handsctl(&["history", "1", "-o", "yaml"]).exits(0).stdout;
    assert!(content.contains("kind: Deployment") && content.contains("oh-env-"), "{content}");
    for form in [secret, "c2stcGxhbnRlZC0wMTIzNDU2Nzg5"] {
        assert!(!content.contains(form), "{content}");
    }
    let stored = get(&namespace, &["secret", "handsctl-oh-r1"]);
    assert_eq!((&stored["type"], &stored["immutable"]), (&json!("handsctl.dev/revision"), &json!(true)));
    let table = namespace.handsctl(&["history"]).exits(0).stdout;
    assert!(table.starts_with("REVISION  RESULT"), "{table}");
    namespace.handsctl(&["history", "7"]).exits(2).says("revision 7 is not kept");
}

#[test]
fn rollback_without_its_secret_is_rejected_before_changes() {
    let namespace = Bed::shared().namespace("gone");
    for key in ["one", "two"] {
        config(&namespace, "openai/gpt-5", "api_key = { env = \"KEY\" }\n");
        namespace.command(&["deploy"]).env("KEY", key).run().exits(0);
    }
    let (_, present) = running_configuration(&namespace);
    for name in with_prefix(&names(&namespace, "secrets"), "oh-env-") {
        if get(&namespace, &["secret", &name])["data"]["LLM_API_KEY"] != present {
            namespace.bed.kubectl(&["delete", "secret", &name, "-n", &namespace.name]);
        }
    }
    let before = members(&namespace);
    namespace
        .handsctl(&["rollback"])
        .exits(14)
        .says("revision 1 cannot be restored; nothing was changed")
        .says("secret/oh-env-");
    assert_eq!(members(&namespace), before);
}

#[test]
fn restart_replaces_pod_and_next_deploy_keeps_it() {
    let namespace = Bed::shared().namespace("restart");
    namespace.handsctl(&["restart"]).exits(12).says("nothing to restart");
    namespace.handsctl(&["deploy"]).exits(0);
    let pod = || {
        let pods = get(&namespace, &["pods", "-l", "app.kubernetes.io/instance=oh"]);
        let running = pods["items"].as_array().unwrap().iter();
        let mut running = running.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        running.next().unwrap()["metadata"]["uid"].clone()
    };
    let before = (pod(), get(&namespace, &["pvc", "oh-state"])["metadata"]["uid"].clone());
    namespace.handsctl(&["restart"]).exits(0).says("1 restarted").says("deployment.apps/oh 1/1");
    let after = (pod(), get(&namespace, &["pvc", "oh-state"])["metadata"]["uid"].clone());
    assert_ne!(before.0, after.0);
    assert_eq!(before.1, after.1, "the volume is kept");
    let deployment = get(&namespace, &["deployment", "oh"]);
    let managers: Vec<&str> = deployment["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry.to_string().contains("restartedAt"))
        .map(|entry| entry["manager"].as_str().unwrap())
        .collect();
    assert_eq!(managers, ["handsctl-restart"]);

    namespace.handsctl(&["deploy"]).exits(0).says("10 unchanged");
    assert_eq!(pod(), after.0);
    // The annotation of the restart is kept by a changed deploy.
    config(&namespace, "openai/gpt-5", "");
    namespace.handsctl(&["deploy"]).exits(0).says("1 created, 1 configured");
    let deployment = get(&namespace, &["deployment", "oh"]);
    let annotations = &deployment["spec"]["template"]["metadata"]["annotations"];
    assert!(annotations["kubectl.kubernetes.io/restartedAt"].is_string(), "{annotations}");
    assert_eq!(outcomes(&namespace), good(&[2, 1]), "a restart is not a revision");
}

/// A run in a GitHub workflow of this commit.
fn in_github(namespace: &Namespace, arguments: &[&str], commit: &str) -> crate::bed::Run {
    let variables = [
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_ACTOR", "octocat"),
        ("GITHUB_SHA", commit),
        ("GITHUB_SERVER_URL", "https://git.example"),
        ("GITHUB_REPOSITORY", "team/app"),
        ("GITHUB_RUN_ID", "42"),
    ];
    let command = namespace.command(arguments);
    variables.into_iter().fold(command, |command, (name, value)| command.env(name, value)).run()
}

#[test]
fn history_shows_what_each_revision_changed() {
    let namespace = Bed::shared().namespace("changed");
    config(&namespace, "openai/gpt-4", "api_key = { env = \"KEY\" }\n");
    let deploy = |key: &str| namespace.command(&["deploy"]).env("KEY", key).run().exits(0);
    deploy("sk-planted-0123456789");
    config(&namespace, "openai/gpt-5", "api_key = { env = \"KEY\" }\n[deploy]\nhost = \"two.example\"\n");
    deploy("sk-planted-0123456789");
    deploy("sk-planted-9876543210");
    let changed: Vec<Value> =
        history(&namespace).iter().map(|revision| revision["changed"].clone()).collect();
    assert_eq!(changed, [json!(["secret values"]), json!(["llm.model", "deploy.host"]), Value::Null]);
    let table = namespace.handsctl(&["history"]).exits(0).stdout;
    assert!(table.contains("llm.model, deploy.host  "), "{table}");
    let second = namespace.handsctl(&["history", "2"]).exits(0).stdout;
    assert!(second.contains("changed against revision 1: llm.model, deploy.host\n"), "{second}");
    assert!(second.contains("-   model = \"openai/gpt-4\"\n+   model = \"openai/gpt-5\"\n"), "{second}");
    let both = namespace.handsctl(&["history", "diff", "1", "3"]).exits(0);
    assert!(both.stdout.contains("openai/gpt-5") && both.stdout.contains("two.example"), "{}", both.stdout);
    assert!(both.stdout.contains("(changed, hidden)"), "{}", both.stdout);
    for run in [&both.stdout, &second, &table] {
        assert!(!run.contains("planted"), "{run}");
    }
    let keys = namespace.handsctl(&["history", "diff", "1", "3", "-o", "json"]).exits(0).json();
    assert_eq!(keys["changed"], json!(["llm.model", "deploy.host", "secret values"]));
    namespace
        .handsctl(&["history", "diff", "3", "3"])
        .exits(0)
        .says("no differences between revisions 3 and 3");
    namespace.handsctl(&["history", "diff", "3", "9"]).exits(2).says("revision 9 is not kept");
    namespace.handsctl(&["history", "3", "diff"]).exits(2).says("the numbers stand after the word diff");
}

#[test]
fn diff_of_a_revision_is_what_its_rollback_changes() {
    let namespace = Bed::shared().namespace("diff-revision");
    config(&namespace, "openai/gpt-4", "");
    namespace.handsctl(&["deploy"]).exits(0);
    config(&namespace, "openai/gpt-5", "");
    namespace.handsctl(&["deploy"]).exits(0);
    let back = namespace.handsctl(&["diff", "--revision", "1"]).exits(1).stdout;
    assert!(back.contains("-   model = \"openai/gpt-5\"\n+   model = \"openai/gpt-4\"\n"), "{back}");
    namespace.handsctl(&["diff", "--revision", "2"]).exits(0).says("no differences");
    namespace.handsctl(&["rollback", "1"]).exits(0);
    // The content of revision 1 is kept as revision 3.
    namespace.handsctl(&["diff", "--revision", "3"]).exits(0).says("no differences");
    namespace.handsctl(&["diff", "--revision", "9"]).exits(2).says("revision 9 is not kept");
}

#[test]
fn revision_names_ci_user_commit_run_and_note() {
    const SHA: &str = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d";
    let namespace = Bed::shared().namespace("provenance");
    let note = ["deploy", "--note", "adds the\nEU host"];
    in_github(&namespace, &note, SHA).exits(0);
    let provenance = json!({
        "actor": "octocat", "commit": SHA, "run_url": "https://git.example/team/app/actions/runs/42",
        "note": "adds the EU host",
    });
    assert_eq!(history(&namespace)[0]["provenance"], provenance);
    let table = namespace.handsctl(&["history"]).exits(0).stdout;
    for text in ["COMMIT", "octocat", "1a2b3c4 ", "adds the EU host"] {
        assert!(table.contains(text), "{text} {table}");
    }
    let details = namespace.handsctl(&["history", "1"]).exits(0).stdout;
    assert!(
        details.contains("by octocat (") && details.contains("  run     https://git.example/"),
        "{details}"
    );
    namespace.handsctl(&["status"]).exits(0).prints(" by octocat, commit 1a2b3c4");
    let status = namespace.handsctl(&["status", "-o", "json"]).exits(0).json();
    assert_eq!(status["revision"]["provenance"], provenance);
    // A person's revision beside it has neither.
    namespace.command(&["deploy", "--set", "deploy.host=\"b.example\""]).env("USER", "ana").run().exits(0);
    let newest = history(&namespace)[0].clone();
    assert_eq!(newest["provenance"]["actor"], Value::Null);
    assert!(newest["by"].as_str().unwrap().starts_with("ana@"), "{newest}");
}

#[test]
fn history_note_has_the_id_of_the_failure() {
    let namespace = Bed::shared().namespace("failure-id");
    namespace.config("[deploy]\nimage = \"example.com/simulate-image-pull-backoff:0.59\"\n");
    namespace.handsctl(&["deploy", "--note", "a try"]).exits(9);
    assert_eq!(history(&namespace)[0]["failure"], "HC4103");
    assert!(namespace.handsctl(&["history"]).exits(0).stdout.contains("HC4103; a try"));
}
