//! Agent Canvas and its server alone, the real applications, beside OpenHands 0.59 in the shared cluster: page, settings,
//! conversations, keys, and the way there and back.

use serde_json::{Value, json};

use super::kind::{READY, Site, shared, wait_until};
use crate::bed::Run;
use crate::planted::assert_hidden;

const IMAGE: &str = "ghcr.io/openhands/agent-canvas:1.20.0";
const EDITION: &str = "deploy.edition=\"canvas\"";
const SERVER_IMAGE: &str = "ghcr.io/openhands/agent-server:1.49.1-python";
const SERVER_EDITION: &str = "deploy.edition=\"agent-server\"";
const MODEL: &str = "openai/gpt-4o";

/// An installation of Agent Canvas, or of its server alone, in a namespace of its own.
struct Canvas<'a> {
    site: &'a Site,
    namespace: &'static str,
    /// The setting that chooses the edition.
    edition: &'static str,
    /// The folder of its image in which conversations work.
    workspace: &'static str,
}

impl<'a> Canvas<'a> {
    fn new(site: &'a Site, namespace: &'static str) -> Self {
        site.handsctl(&["image", "load", IMAGE]).exits(0);
        Self { site, namespace, edition: EDITION, workspace: "/home/openhands/workspace" }
    }

    fn server_alone(site: &'a Site, namespace: &'static str) -> Self {
        site.handsctl(&["image", "load", SERVER_IMAGE]).exits(0);
        Self { site, namespace, edition: SERVER_EDITION, workspace: "/workspace" }
    }

    fn host(&self) -> String {
        format!("{}.localhost", self.namespace)
    }

    fn handsctl(&self, arguments: &[&str]) -> Run {
        let host = format!("deploy.host=\"{}\"", self.host());
        let own = ["-n", self.namespace, "--set", self.edition, "--set", &host];
        self.site.handsctl(&[arguments, &own].concat())
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        self.site.kubectl(&[&["-n", self.namespace], arguments].concat())
    }

    /// The key that the application's page asks for.
    fn key(&self) -> String {
        self.handsctl(&["open", "--key"]).exits(0).stdout.trim().to_owned()
    }

    /// Sends a request through the ingress; returns status and body.
    fn request(&self, method: &str, path: &str, key: Option<&str>, body: Option<&Value>) -> (u16, String) {
        let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0);
        let agent = ureq::Agent::new_with_config(config.max_redirects_will_error(false).build());
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(self.site.url(path))
            .header("host", self.host())
            .header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("x-session-api-key", key);
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        match agent.run(request.body(body).unwrap()) {
            Ok(mut answer) => {
                (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap_or_default())
            }
            Err(error) => (0, error.to_string()),
        }
    }

    /// Sends a request with the key and returns the JSON of a success.
    fn api(&self, method: &str, path: &str, key: &str, body: Option<&Value>) -> Value {
        let (status, text) = self.request(method, path, Some(key), body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    /// Makes a conversation, for which no model is needed, and returns its id.
    fn start_conversation(&self, key: &str) -> String {
        let llm = json!({ "model": MODEL, "api_key": "x", "usage_id": "test" });
        let body = json!({
            "workspace": { "working_dir": format!("{}/one", self.workspace) },
            "agent": { "kind": "Agent", "llm": llm, "tools": [] },
        });
        let made = self.api("POST", "/api/conversations", key, Some(&body));
        made["id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
    }

    /// Waits until the conversation answers with its events.
    fn assert_answers(&self, key: &str, conversation: &str) {
        let path = format!("/api/conversations/{conversation}/events/search");
        let mut last = (0, String::new());
        wait_until("the conversation answers", READY, || {
            last = self.request("GET", &path, Some(key), None);
            // Until the pod is ready again, the ingress responds with 503. A 404 would be a lease of the killed pod.
            assert_ne!(last.0, 404, "{}", last.1);
            last.0 == 200
        });
    }

    /// The commands of the group `sandbox` show the conversation and run in its folder.
    fn assert_sandbox_commands(&self, key: &str, conversation: &str) {
        let message =
            json!({ "role": "user", "content": [{ "type": "text", "text": "Hello" }], "run": false });
        let path = format!("/api/conversations/{conversation}/events");
        self.api("POST", &path, key, Some(&message));
        let listed = self.handsctl(&["sandbox", "list"]).exits(0).says("share the application's pod");
        listed.prints(&conversation[..8]).prints("idle").prints("/home/openhands/workspace/one");
        self.handsctl(&["sandbox", "logs", conversation]).exits(0).prints(" user MessageEvent: Hello\n");
        self.handsctl(&["sandbox", "describe", conversation])
            .exits(0)
            .prints(&format!("model         {MODEL}"));
        // The flags come first: what follows `--` belongs to the command.
        let flags = ["-n", self.namespace, "--set", EDITION];
        let exec = ["sandbox", "exec", conversation, "--", "pwd"];
        let ran = self.site.handsctl(&[&flags[..], &exec].concat()).exits(0);
        assert_eq!(ran.stdout, "/home/openhands/workspace/one\n");
    }

    /// Deletes the conversation, which is old enough and is not deleted without the flag for data.
    fn assert_collects(&self, key: &str) {
        let gc = ["sandbox", "gc", "--older-than", "1s"];
        self.handsctl(&gc).exits(0).says("nothing was deleted: 1 conversation at rest");
        self.handsctl(&[&gc[..], &["--delete-data", "--yes"]].concat())
            .exits(0)
            .says("1 conversation deleted");
        assert_eq!(self.api("GET", "/api/conversations/search", key, None)["items"], json!([]));
    }

    fn delete(&self) {
        self.handsctl(&["teardown", "--delete-data", "--delete-namespace", "--yes"]).exits(0);
    }
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn canvas_serves_a_page_without_the_key_and_keeps_its_conversations() {
    let (site, _, _guard) = shared();
    let canvas = Canvas::new(site, "canvas");
    let deployed = canvas.handsctl(&["deploy", "--timeout", "6m"]).exits(0);
    let deployed = deployed
        .says("OpenHands is ready at http://canvas.localhost:")
        .says("/canvas/")
        .says("its page asks for a key: handsctl open --key prints it")
        .says(&format!("model {MODEL} given"));
    assert!(
        !deployed.stderr.contains("PodSecurity") && !deployed.stderr.contains("HC3010"),
        "{}",
        deployed.stderr
    );

    let key = canvas.key();
    assert_eq!(key.len(), 43, "32 bytes");
    let (status, page) = canvas.request("GET", "/canvas/", None, None);
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("<html") && !page.contains(&key), "{page}");
    assert_eq!(canvas.request("GET", "/", None, None).0, 308);
    assert_eq!(canvas.request("GET", "/api/settings", None, None).0, 401);
    let settings = canvas.api("GET", "/api/settings", &key, None);
    assert_eq!(settings["agent_settings"]["llm"]["model"], MODEL);
    assert_eq!(settings["llm_api_key_is_set"], true);
    let command =
        json!({ "command": "echo $((6 * 7)); id -u; test -e /var/run/secrets && echo token || true" });
    let ran = canvas.api("POST", "/api/bash/execute_bash_command", &key, Some(&command)).to_string();
    assert!(ran.contains("42") && ran.contains("10001") && !ran.contains("token"), "{ran}");

    let conversation = canvas.start_conversation(&key);
    let status = canvas.handsctl(&["status", "-o", "json"]).exits(0).json();
    assert_eq!(status["conversations"], json!({ "all": 1, "running": 0 }));
    canvas.assert_answers(&key, &conversation);
    canvas.assert_sandbox_commands(&key, &conversation);
    // SIGKILL of every process; init of the container's namespace can only be killed from outside.
    let uid = site.pod_in(canvas.namespace)["metadata"]["uid"].as_str().unwrap().to_owned();
    site.kill_containers_of(&uid);
    wait_until("the container runs again", READY, || {
        let status = &site.pod_in(canvas.namespace)["status"]["containerStatuses"][0];
        status["restartCount"].as_u64() > Some(0) && status["ready"] == true
    });
    canvas.assert_answers(&key, &conversation);
    canvas.handsctl(&["restart", "--timeout", "6m"]).exits(0);
    canvas.assert_answers(&key, &conversation);

    // What people change on the page stays, and a second deploy sends nothing.
    let change = json!({ "agent_settings_diff": { "llm": { "model": "openai/gpt-4.1" } } });
    canvas.api("PATCH", "/api/settings", &key, Some(&change));
    let again = canvas.handsctl(&["deploy"]).exits(0).says("model openai/gpt-4.1, its own setting");
    again.says("0 to send").hides(&key);
    assert_eq!(
        canvas.api("GET", "/api/settings", &key, None)["agent_settings"]["llm"]["model"],
        "openai/gpt-4.1"
    );

    assert_removed_keys_are_reset(&canvas, &key);

    for command in [
        &["status", "-o", "yaml"][..],
        &["diff"],
        &["history", "1", "-o", "yaml"],
        &["render"],
        &["logs", "--tail", "50"],
        &["doctor"],
        &["open", "--no-forward", "--no-browser"],
        &["sandbox", "list"],
        &["backup", "canvas.tar.gz"],
    ] {
        let run = canvas.handsctl(command);
        assert_hidden(&key, &command.join(" "), &format!("{}{}", run.stdout, run.stderr));
    }
    canvas.handsctl(&["backup", "canvas.tar.gz"]).exits(2).says("does not copy volumes of Agent Canvas yet");

    let torn = canvas.handsctl(&["teardown"]).exits(0);
    torn.says("openhands-canvas").says("secret/openhands-keys").says("its secret-key encrypts");
    canvas.handsctl(&["deploy", "--timeout", "6m"]).exits(0);
    assert_eq!(canvas.key(), key);
    canvas.assert_answers(&key, &conversation);
    assert_eq!(canvas.api("GET", "/api/settings", &key, None)["llm_api_key_is_set"], true);
    canvas.assert_collects(&key);

    canvas.kubectl(&["delete", "secret", "openhands-keys"]);
    let refused = canvas.handsctl(&["deploy"]).exits(14).says("HC3018");
    refused.says("secret/openhands-keys does not exist").says("put the Secret back");
    canvas.delete();
}

/// Gives a named model and other keys, and removes them again.
fn assert_removed_keys_are_reset(canvas: &Canvas<'_>, key: &str) {
    let named = ["deploy", "--set", "llm.fast.model=\"openai/gpt-4o-mini\"", "--set", "llm.num_retries=9"];
    let given = [&named[..], &["--set", "core.max_iterations=40"]].concat();
    canvas.handsctl(&given).exits(0).says(&format!("model {MODEL} given")).never_says("HC500");
    let profiles = canvas.api("GET", "/api/profiles", key, None);
    assert_eq!(profiles["active_profile"], "default");
    let profile = |name: &str| {
        let listed = profiles["profiles"].as_array().unwrap().iter();
        listed.clone().find(|profile| profile["name"] == name).unwrap_or_else(|| panic!("{profiles}")).clone()
    };
    assert_eq!(profile("default")["model"], MODEL);
    assert_eq!(
        (&profile("fast")["model"], &profile("fast")["api_key_set"]),
        (&json!("openai/gpt-4o-mini"), &json!(true))
    );
    let settings = || canvas.api("GET", "/api/settings", key, None);
    assert_eq!(settings()["agent_settings"]["llm"]["num_retries"], 9);
    assert_eq!(settings()["conversation_settings"]["max_iterations"], 40);
    canvas.handsctl(&given).exits(0).says(&format!("model {MODEL}, its own setting"));

    canvas.handsctl(&["deploy"]).exits(0).says(&format!("model {MODEL} given")).never_says("HC500");
    assert_eq!(settings()["agent_settings"]["llm"]["num_retries"], 5);
    assert_eq!(settings()["conversation_settings"]["max_iterations"], 500);
    assert_eq!(canvas.request("GET", "/api/profiles/fast", Some(key), None).0, 404);
    assert_eq!(canvas.request("GET", "/api/profiles/default", Some(key), None).0, 200);
    assert_eq!(settings()["llm_api_key_is_set"], true);
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn agent_server_alone_requires_the_key_and_keeps_its_conversations() {
    let (site, _, _guard) = shared();
    let server = Canvas::server_alone(site, "agent-server");
    let deployed = server.handsctl(&["deploy", "--timeout", "6m"]).exits(0);
    let deployed = deployed
        .says("OpenHands is ready at http://agent-server.localhost:")
        .says("its API requires a key: handsctl open --key prints it")
        .says(&format!("model {MODEL} given"));
    assert!(!deployed.stderr.contains("PodSecurity"), "{}", deployed.stderr);
    let key = server.key();
    assert_eq!(server.request("GET", "/api/settings", None, None).0, 401);
    assert_eq!(server.request("GET", "/api/automation/ready", Some(&key), None).0, 404, "no automation");
    let settings = server.api("GET", "/api/settings", &key, None);
    assert_eq!(settings["agent_settings"]["llm"]["model"], MODEL);
    assert_eq!(settings["llm_api_key_is_set"], true);
    let command = json!({ "command": "id -u; touch kept && pwd", "cwd": server.workspace });
    let ran = server.api("POST", "/api/bash/execute_bash_command", &key, Some(&command)).to_string();
    assert!(ran.contains("10001") && ran.contains("/workspace"), "{ran}");

    let conversation = server.start_conversation(&key);
    server.handsctl(&["status"]).exits(0).prints("agent-server:1.49.1-python").hides(&key);
    // Clients with the earlier key work until the restart after the rotation.
    let rotated = server.handsctl(&["restart", "--rotate-key", "--timeout", "6m"]).exits(0);
    rotated.says("the earlier one is accepted until the next handsctl restart").hides(&key);
    let earlier = key;
    let key = server.key();
    server.assert_answers(&earlier, &conversation);
    server.assert_answers(&key, &conversation);
    server.handsctl(&["restart", "--timeout", "6m"]).exits(0).says("is not accepted any more");
    server.assert_answers(&key, &conversation);
    assert_eq!(server.request("GET", "/api/settings", Some(&earlier), None).0, 401);
    assert_eq!(server.api("GET", "/api/settings", &key, None)["llm_api_key_is_set"], true);
    let files = server.kubectl(&["exec", "deploy/openhands", "--", "ls", server.workspace]);
    assert!(files.contains("kept") && files.contains("one"), "{files}");
    server.handsctl(&["deploy"]).exits(0).says("0 to send").hides(&key);
    server.delete();
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn rollback_from_canvas_finds_the_earlier_conversation() {
    let (site, _, _guard) = shared();
    site.handsctl(&["image", "load", IMAGE]).exits(0);
    let conversation = site.start_conversation();
    let canvas =
        |more: &[&str]| site.handsctl(&[&["deploy", "--timeout", "6m", "--set", EDITION], more].concat());
    canvas(&[]).exits(2).says("HC3019").says("--change-edition").says("openhands-state");
    canvas(&["--change-edition"]).exits(0).says("/canvas/").says("HC3019");
    site.handsctl(&["status"]).exits(0).prints("agent-canvas:1.20.0").prints("openhands-canvas");
    let back = site.handsctl(&["rollback", "--yes", "--timeout", "6m"]).exits(0);
    back.says("rolled back to revision");
    wait_until("the conversation is listed", READY, || {
        let (status, body) = site.request("/api/conversations");
        status == 200 && body.contains(&conversation.id)
    });
    let kept = site.kubectl(&["get", "pvc", "-o", "name"]);
    assert!(kept.contains("openhands-canvas") && kept.contains("openhands-state"), "{kept}");
    site.handsctl(&["deploy", "--delete-data", "--yes"]).exits(0);
    site.kubectl(&["delete", "secret", "openhands-keys"]);
}
