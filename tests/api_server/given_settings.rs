//! What Agent Canvas gets of config.toml after a rollout. A proxy plays its application.

use serde_json::{Value, json};

use crate::bed::{Namespace, Run};
use crate::canvas::{CANVAS, MODEL_KEY, canvas, playing, profile};
use crate::fault::{Fault, Proxy, Request};
use crate::planted::assert_hidden;

const FAST_KEY: &str = "sk-fast-planted-9876543210";
const FAST: &str = "[llm.fast]\nmodel = \"b/fast\"\napi_key = { env = \"FAST_KEY\" }\n";

/// A proxy that plays the application with a profile beside that of `[llm]`.
fn playing_with_fast(change: impl FnOnce(&Proxy)) -> Proxy {
    let with_fast = |proxy: &Proxy| {
        change(proxy);
        let is_fast = |request: &Request| request.path.contains("/proxy/api/profiles/fast");
        proxy.on(is_fast).inject(Fault::Answer(profile("b/fast")));
    };
    playing(with_fast, "a/m")
}

fn run_through(proxy: &Proxy, namespace: &Namespace, arguments: &[&str]) -> Run {
    let command = proxy.command(namespace, arguments);
    command.env("LLM_API_KEY", MODEL_KEY).env("FAST_KEY", FAST_KEY).run()
}

fn deploy(proxy: &Proxy, namespace: &Namespace) -> Run {
    run_through(proxy, namespace, &["deploy", "--probe", "always"]).hides(MODEL_KEY).hides(FAST_KEY)
}

/// The requests to settings and profiles: method, path and body.
fn given(proxy: &Proxy) -> Vec<(String, Value)> {
    let requests = proxy.requests_that(|request| {
        ["/proxy/api/settings", "/proxy/api/profiles"].iter().any(|part| request.path.contains(part))
    });
    let line = |request: &Request| {
        let path = request.path.split("/proxy").nth(1).unwrap_or_default();
        format!("{} {path}", request.method)
    };
    requests
        .iter()
        .map(|request| (line(request), serde_json::from_slice(&request.body).unwrap_or_default()))
        .collect()
}

fn lines(given: &[(String, Value)]) -> Vec<&str> {
    given.iter().map(|(line, _)| line.as_str()).collect()
}

#[test]
fn named_models_are_given_once_as_profiles() {
    let namespace = canvas("given-models");
    namespace.config(&format!("{CANVAS}{FAST}"));
    let proxy = playing_with_fast(|_| {});
    deploy(&proxy, &namespace).exits(0).says("model a/m given").never_says("HC0228").never_says("HC500");
    let requests = given(&proxy);
    let expected = [
        "GET /api/settings",
        "POST /api/profiles/default",
        "GET /api/profiles/default",
        "POST /api/profiles/fast",
        "GET /api/profiles/fast",
        "POST /api/profiles/default/activate",
        "PATCH /api/settings",
    ];
    assert_eq!(lines(&requests), expected);
    assert_eq!(requests[1].1, json!({ "llm": { "model": "a/m", "api_key": MODEL_KEY } }));
    assert_eq!(requests[3].1, json!({ "llm": { "model": "b/fast", "api_key": FAST_KEY } }));

    let proxy = playing_with_fast(|_| {});
    deploy(&proxy, &namespace).exits(0).says("model a/m, its own setting");
    assert_eq!(lines(&given(&proxy)), ["GET /api/settings"], "equal settings are given once");

    namespace.config(&format!("{CANVAS}{}", FAST.replace("b/fast", "b/other")));
    let proxy = playing_with_fast(|_| {});
    deploy(&proxy, &namespace).exits(0).says("HC5002").says("did not take model of profile fast");
}

#[test]
fn key_of_a_named_model_appears_in_no_output() {
    let namespace = canvas("given-hidden");
    namespace.config(&format!("{CANVAS}{FAST}"));
    let proxy = playing_with_fast(|_| {});
    deploy(&proxy, &namespace).exits(0);
    let changed = ["diff", "--set", "deploy.env={A=\"1\"}", "-o", "json"];
    for arguments in [
        &["status", "-o", "yaml"][..],
        &changed,
        &["history", "1", "-o", "yaml"],
        &["render"],
        &["config", "show", "--origin"],
        &["config", "check"],
        &["doctor", "-o", "json"],
    ] {
        let run = run_through(&proxy, &namespace, arguments);
        assert_hidden(FAST_KEY, &arguments.join(" "), &format!("{}{}", run.stdout, run.stderr));
    }
    let objects = ["get", "secrets,configmaps,deployments,pvc", "-n", &namespace.name, "-o", "yaml"];
    assert_hidden(FAST_KEY, "the objects", &namespace.bed.kubectl(&objects));
    let without_key =
        |request: &Request| request.method == "GET" && request.path.contains("/proxy/api/profiles/fast");
    namespace.config(&format!("{CANVAS}{FAST}seed = 1\n"));
    let answer = json!({ "config": { "model": "b/fast", "seed": 1 }, "api_key_set": false });
    let proxy = playing_with_fast(|proxy| {
        proxy.on(without_key).inject(Fault::Answer(answer));
    });
    deploy(&proxy, &namespace).exits(0).says("HC5003").says("no key of the model of fast");
}

#[test]
fn key_of_a_named_model_is_read_from_a_secret() {
    let namespace = canvas("given-secret");
    namespace.create(&[]);
    let literal = format!("--from-literal=k={FAST_KEY}");
    let create = ["create", "secret", "generic", "models", "-n", &namespace.name, &literal];
    namespace.bed.kubectl(&create);
    let secret = FAST.replace("{ env = \"FAST_KEY\" }", "{ secret = \"models\", key = \"k\" }");
    namespace.config(&format!("{CANVAS}{secret}"));
    let proxy = playing_with_fast(|_| {});
    deploy(&proxy, &namespace).exits(0);
    let requests = given(&proxy);
    assert_eq!(requests[3].1["llm"]["api_key"], FAST_KEY);
}

/// The schemas of the application, with the defaults of the fields that it resets.
fn with_schemas(proxy: &Proxy) {
    let schema = |part: &'static str, fields: Value| {
        let answer = json!({ "sections": [{ "fields": fields }] });
        proxy.on(move |request| request.path.contains(part)).inject(Fault::Answer(answer));
    };
    let llm = json!([{ "key": "llm.model", "default": "gpt" }, { "key": "llm.num_retries", "default": 5 }]);
    schema("/proxy/api/settings/agent-schema", llm);
    schema("/proxy/api/settings/conversation-schema", json!([{ "key": "max_iterations", "default": 500 }]));
}

/// Answers each request for the settings with these fields of the model and of conversations.
fn with_settings(proxy: &Proxy, llm: &Value, conversation: &Value) {
    let answer = json!({ "agent_settings": { "llm": llm }, "conversation_settings": conversation,
        "llm_api_key_is_set": true, "active_profile": "default" });
    let is_settings = |request: &Request| request.path.ends_with("/proxy/api/settings");
    proxy.on(is_settings).inject(Fault::Answer(answer));
}

const MORE: &str = "[core]\nmax_iterations = 40\n";

/// Deploys a configuration with keys that the next one does not have.
fn deploy_with_more(namespace: &Namespace) {
    namespace.config(&format!("{MORE}{}{FAST}", CANVAS.replace("[deploy]", "num_retries = 9\n[deploy]")));
    let retries = |proxy: &Proxy| {
        let profile = json!({ "config": { "model": "a/m", "num_retries": 9 }, "api_key_set": true });
        let fast = json!({ "config": { "model": "b/fast", "num_retries": 9 }, "api_key_set": true });
        let answer = |part: &'static str, answer: Value| {
            proxy.on(move |request| request.path.contains(part)).inject(Fault::Answer(answer));
        };
        answer("/proxy/api/profiles/default", profile);
        answer("/proxy/api/profiles/fast", fast);
        with_settings(proxy, &json!({ "model": "a/m", "num_retries": 9 }), &json!({ "max_iterations": 40 }));
    };
    deploy(&playing(retries, "a/m"), namespace).exits(0).says("model a/m given").never_says("HC500");
}

#[test]
fn removed_keys_are_reset_once() {
    let namespace = canvas("given-removed");
    deploy_with_more(&namespace);
    let claim = namespace.bed.get(&["pvc/oh-canvas", "-n", &namespace.name]);
    let names =
        "llm.api_key llm.model llm.num_retries conversation.max_iterations profile/default profile/fast";
    assert_eq!(claim["metadata"]["annotations"]["handsctl.dev/given-fields"], names);

    namespace.config(CANVAS);
    let reset = |proxy: &Proxy| {
        with_schemas(proxy);
        with_settings(proxy, &json!({ "model": "a/m", "num_retries": 5 }), &json!({ "max_iterations": 500 }));
    };
    let proxy = playing_with_fast(reset);
    deploy(&proxy, &namespace).exits(0).says("model a/m given").never_says("HC500");
    let requests = given(&proxy);
    assert_eq!(requests.last().unwrap().0, "DELETE /api/profiles/fast");
    let patch = &requests.iter().find(|(line, _)| line.starts_with("PATCH")).unwrap().1;
    let expected = json!({
        "agent_settings_diff": { "llm": { "model": "a/m", "api_key": MODEL_KEY, "num_retries": null } },
        "conversation_settings_diff": { "max_iterations": 500 },
    });
    assert_eq!(*patch, expected);

    let proxy = playing_with_fast(reset);
    deploy(&proxy, &namespace).exits(0).says("model a/m, its own setting");
    assert_eq!(lines(&given(&proxy)), ["GET /api/settings"]);
}

#[test]
fn removed_keys_that_the_application_keeps_are_reported() {
    let namespace = canvas("given-kept");
    deploy_with_more(&namespace);
    namespace.config(CANVAS);
    let ignoring = |proxy: &Proxy| {
        with_schemas(proxy);
        with_settings(proxy, &json!({ "model": "a/m", "num_retries": 9 }), &json!({ "max_iterations": 40 }));
        let is_deletion =
            |request: &Request| request.method == "DELETE" && request.path.contains("/profiles/fast");
        proxy.on(is_deletion).inject(Fault::AnswerWith(409, json!({ "detail": "referenced" })));
    };
    let run = deploy(&playing_with_fast(ignoring), &namespace).exits(0).says("HC5002");
    run.says(
        "the application keeps what config.toml no longer has: llm.num_retries; conversation.max_iterations",
    )
    .says("profile fast, which an agent on its page uses");
}

#[test]
fn profile_that_people_activated_stays() {
    let namespace = canvas("given-activated");
    let proxy = playing(|_| {}, "a/m");
    deploy(&proxy, &namespace).exits(0).says("model a/m given");
    let other = json!({ "agent_settings": { "llm": { "model": "ollama/m" } }, "active_profile": "local",
        "llm_api_key_is_set": false });
    let activated = |proxy: &Proxy| {
        proxy.on(|request| request.path.contains("/proxy/api/settings")).inject(Fault::Answer(other));
    };
    let proxy = playing(activated, "a/m");
    deploy(&proxy, &namespace).exits(0).says("the application keeps its own model ollama/m");
    assert_eq!(lines(&given(&proxy)), ["GET /api/settings"]);
}
