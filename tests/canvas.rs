//! Agent Canvas in a test: its configuration, and a proxy that plays its application.

use serde_json::{Value, json};

use crate::bed::{Bed, Namespace, Run};
use crate::fault::{Fault, Proxy};

pub(crate) const CANVAS: &str =
    "[llm]\nmodel = \"a/m\"\napi_key = { env = \"LLM_API_KEY\" }\n[deploy]\nedition = \"canvas\"\n";
pub(crate) const MODEL_KEY: &str = "sk-canvas-planted-0123456789";

pub(crate) fn canvas(test: &str) -> Namespace {
    let namespace = Bed::shared().namespace(test);
    namespace.config(CANVAS);
    namespace
}

pub(crate) fn handsctl(namespace: &Namespace, arguments: &[&str]) -> Run {
    namespace.command(arguments).env("LLM_API_KEY", MODEL_KEY).run()
}

/// The settings of the application as it answers them.
pub(crate) fn settings(model: &str, has_key: bool) -> Value {
    json!({ "agent_settings": { "llm": { "model": model, "api_key": "**********" } }, "conversation_settings": {},
        "llm_api_key_is_set": has_key })
}

/// A profile as the application answers it.
pub(crate) fn profile(model: &str) -> Value {
    json!({ "config": { "model": model, "api_key": null }, "api_key_set": true })
}

/// A proxy that plays an application whose settings have this model. `change` comes before it.
pub(crate) fn playing(change: impl FnOnce(&Proxy), model: &'static str) -> Proxy {
    let proxy = Proxy::for_cluster(Bed::shared());
    change(&proxy);
    let answer = |part: &'static str, answer: Value| {
        proxy.on(move |request| request.path.contains(part)).inject(Fault::Answer(answer));
    };
    answer("/proxy/alive", json!({ "status": "ok" }));
    answer("/proxy/server_info", json!({ "version": "1.49.1" }));
    answer("/proxy/api/automation/ready", json!({}));
    answer("/proxy/api/conversations/count?status=running", json!(1));
    answer("/proxy/api/conversations/count", json!(3));
    answer("/proxy/canvas/", json!("<html>Enter the key</html>"));
    answer("/proxy/api/settings", settings(model, true));
    answer("/proxy/api/profiles/default", profile(model));
    proxy
}

pub(crate) fn deploy_through(proxy: &Proxy, namespace: &Namespace) -> Run {
    proxy.command(namespace, &["deploy", "--probe", "always"]).env("LLM_API_KEY", MODEL_KEY).run()
}

/// The methods of the requests to a path of the application.
pub(crate) fn requests_to(proxy: &Proxy, path: &str) -> Vec<String> {
    let path = format!("/proxy{path}");
    let requests = proxy.requests_that(|request| request.path.contains(&path));
    requests.into_iter().map(|request| request.method).collect()
}
