//! Agent Canvas on the API server: its objects and keys, the change of the edition, and what its application answers, which
//! a proxy plays.

use serde_json::{Value, json};

use super::logs::append_now;
use crate::bed::{Bed, Namespace};
use crate::canvas::{CANVAS, MODEL_KEY, canvas, deploy_through, handsctl, playing, requests_to, settings};
use crate::fault::{Fault, Proxy, Request};
use crate::planted::{assert_hidden, quotations};

const CLASSIC: &str = "deploy.edition=\"classic\"";

fn object(namespace: &Namespace, name: &str) -> Value {
    namespace.bed.get(&[name, "-n", &namespace.name])
}

/// The same on nodes that do not look simulated.
fn playing_on_real_nodes(change: impl FnOnce(&Proxy)) -> Proxy {
    let proxy = playing(change, "a/m");
    proxy.hide_simulation();
    proxy
}

fn is_of_conversations(request: &Request) -> bool {
    request.path.contains("/proxy/api/conversations/")
}

#[test]
fn canvas_has_its_objects_and_no_account() {
    let namespace = Bed::shared().namespace("canvas-set");
    namespace.create(&[
        ("pod-security.kubernetes.io/enforce", "restricted"),
        ("pod-security.kubernetes.io/warn", "restricted"),
    ]);
    namespace.config(CANVAS);
    handsctl(&namespace, &["deploy"]).exits(0).says("5 created").never_says("HC3010");
    for absent in ["serviceaccount/oh", "role/oh", "rolebinding/oh", "networkpolicy/oh"] {
        assert!(!namespace.has(absent), "{absent}");
    }
    let deployment = object(&namespace, "deployment/oh");
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    let variables = pod["containers"][0]["env"].as_array().unwrap();
    let named = |name: &str| variables.iter().find(|variable| variable["name"] == name).unwrap();
    assert_eq!(named("OH_SESSION_API_KEYS_0")["valueFrom"]["secretKeyRef"]["key"], "api-key");
    assert!(variables.iter().all(|variable| variable["name"] != "LLM_API_KEY"), "it goes to the API");
    assert_eq!(object(&namespace, "service/oh")["spec"]["ports"][0]["port"], 8002);
    let policy = &object(&namespace, "networkpolicy/oh-app")["spec"];
    assert_eq!(policy["ingress"][0]["ports"], json!([{ "port": 8002, "protocol": "TCP" }]));
    handsctl(&namespace, &["diff"]).exits(0).says("no differences");
    handsctl(&namespace, &["deploy"]).exits(0).says("5 unchanged");
}

#[test]
fn agent_server_has_the_objects_of_canvas_with_its_own_image_port_and_claim() {
    let namespace = Bed::shared().namespace("agent-server-set");
    namespace.create(&[
        ("pod-security.kubernetes.io/enforce", "restricted"),
        ("pod-security.kubernetes.io/warn", "restricted"),
    ]);
    // The image alone chooses the edition, and no port leads past its login.
    namespace.config(
        "[deploy]\nimage = \"registry.example/agent-server:1.49.1-python\"\nnetwork_policy = false\n",
    );
    handsctl(&namespace, &["deploy"]).exits(0).says("4 created").never_says("HC3010");
    assert!(!namespace.has("serviceaccount/oh") && namespace.has("pvc/oh-agent-server"));
    let deployment = object(&namespace, "deployment/oh");
    assert_eq!(deployment["metadata"]["annotations"]["handsctl.dev/edition"], "agent-server");
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["ports"][0]["containerPort"], 8000);
    assert_eq!(container["volumeMounts"][1]["mountPath"], "/workspace");
    let variables = container["env"].as_array().unwrap();
    assert!(variables.iter().all(|variable| variable["name"] != "PUBLIC_MODE_PORT"));
    assert!(variables.iter().any(|variable| variable["name"] == "OH_CONVERSATIONS_PATH"));
    handsctl(&namespace, &["open", "--key"]).exits(0);
    let image = ["--set", "deploy.image=\"agent-canvas:1.20.0\""];
    let canvas = [&["deploy", "--set", "deploy.network_policy=true"][..], &image].concat();
    handsctl(&namespace, &canvas).exits(2).says("HC3019").says("Agent Server").says("oh-agent-server");
}

#[test]
fn keys_are_made_once_and_appear_in_no_output() {
    let namespace = canvas("canvas-keys");
    handsctl(&namespace, &["deploy"]).exits(0);
    let keys = object(&namespace, "secret/oh-keys");
    let decoded = |name: &str| {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::STANDARD.decode(keys["data"][name].as_str().unwrap());
        String::from_utf8(bytes.unwrap()).unwrap()
    };
    let planted = [decoded("api-key"), decoded("secret-key"), MODEL_KEY.to_owned()];
    let printed = handsctl(&namespace, &["open", "--key"]).exits(0);
    assert_eq!(printed.stdout.trim(), planted[0]);
    let folder = namespace.folder.path();
    let (events, report) = (folder.join("events"), folder.join("report.html"));
    let files = ["--events", events.to_str().unwrap(), "--report", report.to_str().unwrap()];
    for command in [
        &["deploy", "--set", "deploy.env={A=\"1\"}"][..],
        &["diff", "--set", "deploy.env={A=\"2\"}", "-o", "json"],
        &["status", "-o", "yaml"],
        &["history", "1", "-o", "yaml"],
        &["render"],
        &["doctor", "-o", "json"],
        &["config", "show"],
        &["restart"],
        &["rollback"],
        &["teardown"],
        &["deploy"],
    ] {
        let arguments =
            if command == ["restart"] { [command, &files[..2]].concat() } else { command.to_vec() };
        let run = handsctl(&namespace, &arguments);
        for value in &planted {
            assert_hidden(value, &command.join(" "), &format!("{}{}", run.stdout, run.stderr));
        }
    }
    let revisions =
        namespace.bed.kubectl(&["get", "secrets,configmaps", "-n", &namespace.name, "-o", "yaml"]);
    let without_keys: String =
        revisions.split("- apiVersion").filter(|part| !part.contains("name: oh-keys")).collect();
    assert_hidden(&planted[0], "the other Secrets", &without_keys);
    let text = std::fs::read_to_string(events).unwrap();
    assert_hidden(&planted[0], "events", &text);
    assert_eq!(object(&namespace, "secret/oh-keys")["data"], keys["data"], "they survive the teardown");
}

#[test]
fn keys_in_the_log_of_the_application_are_hidden() {
    let namespace = canvas("canvas-logged");
    handsctl(&namespace, &["deploy"]).exits(0);
    let key = handsctl(&namespace, &["open", "--key"]).exits(0).stdout.trim().to_owned();
    let mark = &namespace.name;
    let append = || {
        for quotation in quotations(&key) {
            append_now(namespace.bed, &format!("{mark} {quotation}"));
        }
    };
    append();
    let run = handsctl(&namespace, &["logs"]).exits(0);
    assert!(run.stdout.contains(mark.as_str()) && run.stdout.contains("(redacted)"), "{}", run.stdout);
    run.hides(&key);
    // A run that fails, and the status afterwards, quote the last lines.
    let failing = "deploy.image=\"registry.example/simulate-crash-loop-backoff:1.20.0\"";
    append();
    let run =
        handsctl(&namespace, &["deploy", "--no-rollback", "--set", failing]).exits(9).says("error[HC42");
    assert!(run.stderr.contains("(redacted)"), "{}", run.stderr);
    run.hides(&key);
    append();
    let run = handsctl(&namespace, &["status"]);
    assert!(run.stdout.contains("(redacted)"), "{}", run.stdout);
    run.hides(&key);
}

#[test]
fn missing_or_other_key_of_a_volume_is_refused() {
    let namespace = canvas("canvas-guard");
    handsctl(&namespace, &["deploy"]).exits(0);
    let mut keys = object(&namespace, "secret/oh-keys");
    let delete = || namespace.bed.kubectl(&["delete", "secret", "oh-keys", "-n", &namespace.name]);
    delete();
    let refused = handsctl(&namespace, &["deploy"]).exits(14).says("HC3018");
    refused.says("secret/oh-keys does not exist, and its secret-key encrypts the secrets on persistentvolumeclaim/oh-canvas");
    keys["metadata"] = json!({ "name": "oh-keys", "labels": keys["metadata"]["labels"] });
    let good = keys.clone();
    keys["data"]["secret-key"] = json!("b3RoZXI=");
    let create = |keys: &Value| {
        namespace.bed.kubectl_with(&["create", "-n", &namespace.name, "-f", "-"], &keys.to_string());
    };
    create(&keys);
    handsctl(&namespace, &["deploy"]).exits(14).says("HC3018").says("has another secret-key");
    handsctl(&namespace, &["restart"]).exits(14).says("HC3018").says("has another secret-key");
    delete();
    create(&good);
    handsctl(&namespace, &["deploy"]).exits(0);
    handsctl(&namespace, &["teardown"]).exits(0).says("secret/oh-keys").says("its secret-key encrypts");
    delete();
    handsctl(&namespace, &["deploy"]).exits(14).says("HC3018");
    handsctl(&namespace, &["teardown", "--delete-data", "--yes"]).exits(0);
    handsctl(&namespace, &["deploy"]).exits(0).says("secret/oh-keys created");
    handsctl(&namespace, &["teardown", "--delete-data", "--yes"]).exits(0).says("secret/oh-keys deleted");
}

#[test]
fn secret_of_others_with_the_name_of_the_keys_is_kept() {
    let namespace = canvas("canvas-foreign");
    namespace.create(&[]);
    namespace.bed.kubectl(&[
        "create",
        "secret",
        "generic",
        "oh-keys",
        "-n",
        &namespace.name,
        "--from-literal=a=b",
    ]);
    let refused = handsctl(&namespace, &["deploy"]).exits(7);
    refused.says("secret/oh-keys in namespace").says("does not hold the keys of this installation");
    assert!(!namespace.has("configmap/handsctl-oh"), "nothing was written");
    // OpenHands itself may read a Secret of this name.
    let classic = "[llm]\napi_key = { secret = \"oh-keys\", key = \"a\" }\n";
    namespace.config(classic);
    namespace.handsctl(&["deploy"]).exits(0);
    namespace.handsctl(&["restart"]).exits(0);
    namespace.handsctl(&["teardown", "--delete-data", "--yes"]).exits(0);
    assert_eq!(object(&namespace, "secret/oh-keys")["data"], json!({ "a": "Yg==" }));
}

#[test]
fn edition_changes_only_when_asked_and_rolls_back_to_its_volume() {
    let namespace = canvas("canvas-change");
    handsctl(&namespace, &["deploy", "--set", CLASSIC]).exits(0);
    let refused = handsctl(&namespace, &["deploy"]).exits(2).says("HC3019");
    refused
        .says("is OpenHands, and the configuration deploys Agent Canvas; nothing was changed")
        .says("--change-edition");
    handsctl(&namespace, &["deploy", "--dry-run"]).exits(2).says("HC3019");
    let proxy = playing(|_| {}, "a/m");
    let change = ["deploy", "--change-edition", "--probe", "always"];
    let changed = proxy.command(&namespace, &change).env("LLM_API_KEY", MODEL_KEY).run().exits(0);
    let changed = changed.says("/server_info 200").says("model a/m given").never_says("no longer set");
    changed.says("persistentvolumeclaim/oh-state kept").says("conversations and settings stay on");
    let claim = |namespace: &Namespace| {
        let volumes = object(namespace, "deployment/oh")["spec"]["template"]["spec"]["volumes"].clone();
        let claims = volumes.as_array().unwrap().iter();
        claims
            .filter_map(|it| it["persistentVolumeClaim"]["claimName"].as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    assert_eq!(claim(&namespace), ["oh-canvas"]);
    handsctl(&namespace, &["sandbox", "list"]).exits(14).says("simulated nodes: no container runs");
    handsctl(&namespace, &["backup", "b.tar.gz"]).exits(2).says("does not copy volumes of Agent Canvas yet");
    handsctl(&namespace, &["rollback", "--yes"]).exits(0).says("rolled back to revision 1");
    assert_eq!(claim(&namespace), ["oh-state"]);
    handsctl(&namespace, &["sandbox", "list"]).exits(0);
    handsctl(&namespace, &["rollback", "--yes"]).exits(0);
    assert_eq!(claim(&namespace), ["oh-canvas"]);
}

#[test]
fn settings_are_given_once_for_each_change() {
    let namespace = canvas("canvas-given");
    let proxy = playing(|_| {}, "a/m");
    deploy_through(&proxy, &namespace).exits(0).says("model a/m given").hides(MODEL_KEY);
    assert_eq!(requests_to(&proxy, "/api/settings"), ["GET", "PATCH"]);
    let sent = proxy
        .requests_that(|request| request.method == "PATCH" && request.path.contains("/proxy/"))
        .remove(0);
    assert_eq!(
        sent.json(),
        json!({ "agent_settings_diff": { "llm": { "model": "a/m", "api_key": MODEL_KEY } } })
    );
    deploy_through(&proxy, &namespace).exits(0).says("model a/m, its own setting");
    assert_eq!(requests_to(&proxy, "/api/settings"), ["GET", "PATCH", "GET"]);
    let other = proxy.command(&namespace, &["deploy", "--probe", "always"]).env("LLM_API_KEY", "sk-2").run();
    other.exits(0).says("model a/m given");
    assert_eq!(requests_to(&proxy, "/api/settings"), ["GET", "PATCH", "GET", "GET", "PATCH"]);
}

#[test]
fn answers_of_the_application_are_told_apart() {
    let is_settings = |method: &'static str| {
        move |request: &Request| request.method == method && request.path.contains("/proxy/api/settings")
    };
    let namespace = canvas("canvas-answers");
    let run = |change: &dyn Fn(&Proxy), model: &'static str| {
        handsctl(&namespace, &["teardown", "--delete-data", "--yes"]).exits(0);
        deploy_through(&playing(change, model), &namespace).hides(MODEL_KEY)
    };
    let unauthorized = |proxy: &Proxy| {
        proxy.on(is_settings("GET")).inject(Fault::AnswerWith(401, json!({ "detail": "no" })));
    };
    run(&unauthorized, "a/m").exits(9).says("HC5004").says("does not accept the key of secret/oh-keys");
    let wrong_type = |proxy: &Proxy| {
        proxy.on(is_settings("PATCH")).inject(Fault::AnswerWith(422, json!({ "detail": "validation" })));
    };
    run(&wrong_type, "a/m").exits(0).says("HC5001").says("a value has another type");
    run(&|_| {}, "another/model").exits(0).says("HC5002").says("did not take llm.model");
    let without_key =
        |proxy: &Proxy| proxy.on(is_settings("PATCH")).inject(Fault::Answer(settings("a/m", false)));
    run(&without_key, "a/m").exits(0).says("HC5003");
    let down = |proxy: &Proxy| {
        proxy.on(is_settings("GET")).inject(Fault::AnswerWith(502, json!("bad gateway")));
    };
    run(&down, "a/m").exits(0).says("HC5001").says("502");
    namespace.config("[deploy]\nedition = \"canvas\"\n");
    let fresh = |proxy: &Proxy| {
        proxy.on(is_settings("GET")).inject(Fault::Answer(settings("gpt", false)));
    };
    run(&fresh, "a/m")
        .exits(0)
        .says("conversations need a model and its key: handsctl config set llm.model=MODEL");
    namespace.config(CANVAS);
    let not_alive = |proxy: &Proxy| {
        proxy
            .on(|request| request.path.contains("/proxy/alive"))
            .inject(Fault::AnswerWith(502, json!("down")));
    };
    run(&not_alive, "a/m").exits(9).says("HC4601");
}

#[test]
fn page_with_the_key_fails_the_deploy() {
    let namespace = canvas("canvas-page");
    handsctl(&namespace, &["deploy"]).exits(0);
    let key = handsctl(&namespace, &["open", "--key"]).exits(0).stdout.trim().to_owned();
    let page = json!(format!("<script>window.key = \"{key}\"</script>"));
    let proxy = playing(
        |proxy| {
            proxy.on(|request| request.path.contains("/proxy/canvas/")).inject(Fault::Answer(page));
        },
        "a/m",
    );
    let failed = deploy_through(&proxy, &namespace).exits(9).says("HC0170");
    failed.says("contains the application's key").hides(&key);
}

#[test]
fn doctor_checks_the_page_and_the_key_of_the_running_application() {
    let namespace = canvas("canvas-doctor");
    handsctl(&namespace, &["deploy"]).exits(0);
    let key = handsctl(&namespace, &["open", "--key"]).exits(0).stdout.trim().to_owned();
    let examined = |path: &'static str, fault: Option<Fault>| {
        let proxy = playing_on_real_nodes(|proxy| {
            if let Some(fault) = fault {
                proxy.on(move |request| request.path.contains(path)).inject(fault);
            }
        });
        let run = proxy.command(&namespace, &["doctor", "-o", "json"]).env("LLM_API_KEY", MODEL_KEY).run();
        for output in [&run.stdout, &run.stderr] {
            assert_hidden(&key, "doctor", output);
        }
        let checks = run.json()["checks"].as_array().cloned().unwrap_or_default();
        move |name: &str| {
            let check = checks.iter().find(|check| check["category"] == "app" && check["name"] == name);
            check.cloned().unwrap_or_else(|| panic!("{name}: {checks:?}"))
        }
    };
    let healthy = examined("", None);
    assert_eq!((&healthy("page")["result"], &healthy("key")["result"]), (&json!("passed"), &json!("passed")));
    let page = json!(format!("<script>window.key = \"{key}\"</script>"));
    let leaking = examined("/proxy/canvas/", Some(Fault::Answer(page)))("page");
    assert_eq!((&leaking["result"], &leaking["problem"]["id"]), (&json!("failed"), &json!("HC0170")));
    let rejected = examined("/proxy/api/settings", Some(Fault::AnswerWith(401, json!({}))))("key");
    assert_eq!((&rejected["result"], &rejected["problem"]["id"]), (&json!("failed"), &json!("HC5004")));
    let keyless = examined("/proxy/api/settings", Some(Fault::Answer(settings("a/m", false))))("key");
    assert_eq!((&keyless["result"], &keyless["problem"]["id"]), (&json!("warning"), &json!("HC5003")));
    let down = examined("/proxy/api/settings", Some(Fault::AnswerWith(502, json!("down"))))("key");
    assert_eq!(down["result"], "unknown");
}

#[test]
fn status_is_degraded_without_the_automation_only() {
    let namespace = canvas("canvas-status");
    handsctl(&namespace, &["deploy"]).exits(0);
    let status =
        |change: &dyn Fn(&Proxy)| playing_on_real_nodes(change).command(&namespace, &["status"]).run();
    let healthy = status(&|_| {}).never_says("HC5005").prints("activity   3 conversations, 1 running");
    healthy.prints("server     agent-server 1.49.1");
    let rejected = |proxy: &Proxy| proxy.on(is_of_conversations).inject(Fault::AnswerWith(401, json!("no")));
    status(&rejected).prints("unknown    conversations: the application does not accept its key");
    let down = |proxy: &Proxy| {
        let is_automation = |request: &Request| request.path.contains("/proxy/api/automation/");
        proxy.on(is_automation).inject(Fault::AnswerWith(502, json!("down")));
    };
    let run = status(&down).exits(11).prints("HC5005");
    run.prints("the automation does not answer").prints("/api/automation/ready");
}

#[test]
fn rotated_key_replaces_the_one_before_it_after_the_next_restart() {
    let namespace = canvas("canvas-rotation");
    handsctl(&namespace, &["deploy"]).exits(0);
    let key = || handsctl(&namespace, &["open", "--key"]).exits(0).stdout.trim().to_owned();
    let data = || object(&namespace, "secret/oh-keys")["data"].clone();
    let (first, before) = (key(), data());
    let pod = || object(&namespace, "deployment/oh")["spec"]["template"]["metadata"]["annotations"].clone();
    let of_first = pod();

    let proxy = playing(|_| {}, "a/m");
    let rotate = ["restart", "--rotate-key", "--probe", "always"];
    let rotated = proxy.command(&namespace, &rotate).run().exits(0).says("secret/oh-keys configured");
    let second = key();
    rotated.says("the earlier one is accepted until the next handsctl restart").hides(&first).hides(&second);
    assert_ne!(first, second);
    assert_eq!(data()["previous-api-key"], before["api-key"]);
    assert_eq!(data()["secret-key"], before["secret-key"], "the volume stays readable");
    assert_ne!(pod(), of_first, "the pod is replaced");
    let sent = proxy.requests_that(|request| request.path.contains("/proxy/api/settings"));
    assert!(sent.iter().all(|request| request.method == "GET") && !sent.is_empty(), "{sent:?}");
    handsctl(&namespace, &["deploy"]).exits(0).says("5 unchanged").hides(&second);

    handsctl(&namespace, &["restart"]).exits(0).says("is not accepted any more").says("secret/oh-keys");
    assert_eq!((key(), data()["previous-api-key"].clone()), (second, Value::Null));
    handsctl(&namespace, &["restart"]).exits(0).never_says("secret/oh-keys");
}

#[test]
fn rotated_key_that_the_application_rejects_ends_the_restart() {
    let namespace = canvas("canvas-rotation-401");
    handsctl(&namespace, &["deploy"]).exits(0);
    let proxy = playing(
        |proxy| {
            proxy
                .on(|request| request.path.contains("/proxy/api/settings"))
                .inject(Fault::AnswerWith(401, json!({})));
        },
        "a/m",
    );
    let rotate = ["restart", "--rotate-key", "--probe", "always"];
    proxy.command(&namespace, &rotate).run().exits(9).says("HC5004").says("handsctl restart");
    let classic = Bed::shared().namespace("classic-rotation");
    classic.config("[llm]\nmodel = \"a/m\"\n");
    handsctl(&classic, &["deploy"]).exits(0);
    handsctl(&classic, &["restart", "--rotate-key"])
        .exits(2)
        .says("cannot replace the key: OpenHands has none");
}

#[test]
fn restart_warns_of_the_conversation_at_work() {
    let namespace = canvas("canvas-at-work");
    handsctl(&namespace, &["deploy"]).exits(0);
    let restart = |change: &dyn Fn(&Proxy)| {
        let proxy = playing_on_real_nodes(change);
        proxy.command(&namespace, &["restart"]).env("LLM_API_KEY", MODEL_KEY).run().exits(0)
    };
    restart(&|_| {})
        .says("HC2047")
        .says("1 conversation is at work and is interrupted; its messages and files stay");
    let answering =
        |answer: Fault| restart(&move |proxy: &Proxy| proxy.on(is_of_conversations).inject(answer.clone()));
    answering(Fault::Answer(json!(0))).never_says("HC2047");
    answering(Fault::AnswerWith(500, json!("x"))).says(
        "conversations that are at work are interrupted; their number is unknown: /api/conversations/count",
    );
}
