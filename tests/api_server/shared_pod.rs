//! The commands of the group `sandbox` for Agent Canvas, whose conversations share the application's pod. A proxy plays the
//! application; its answers have the form of those of agent-server 1.49.1.

use serde_json::{Value, json};

use crate::bed::{Bed, Namespace, Run};
use crate::fault::{Fault, Proxy, Request};
use crate::planted::quotations;

const CANVAS: &str = "[deploy]\nedition = \"canvas\"\n";
const OLD: &str = "cb788197-7725-4c40-86d0-077f73fc7fc0";
const RUNNING: &str = "7f26ff04-7111-4ee7-9106-4c95ea6e6f3e";
const NEW: &str = "7f26ff04-7222-4ee7-9106-4c95ea6e6f3e";
/// One whose application was killed: its last update is forgotten, its events are not.
const KILLED: &str = "aa11ff04-7333-4ee7-9106-4c95ea6e6f3e";

/// Returns an installation whose key the second value is.
fn deployed(test: &str) -> (Namespace, String) {
    let namespace = Bed::shared().namespace(test);
    namespace.config(CANVAS);
    namespace.handsctl(&["deploy"]).exits(0);
    let key = namespace.handsctl(&["open", "--key"]).exits(0).stdout.trim().to_owned();
    (namespace, key)
}

/// Returns a time before now, as the application writes it.
fn days_ago(days: i64) -> String {
    (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days)).to_string()
}

fn conversation(id: &str, status: &str, title: &str, days: i64) -> Value {
    json!({
        "id": id, "title": title, "execution_status": status, "parent_conversation_id": null,
        "workspace": { "working_dir": "/home/openhands/workspace/one", "kind": "LocalWorkspace" },
        "created_at": days_ago(days + 1), "updated_at": days_ago(days), "current_model_id": null,
        "agent": { "kind": "Agent", "llm": { "model": "a/m" } },
        "stats": { "usage_to_metrics": { "agent": { "accumulated_cost": 0.5 } } },
    })
}

fn conversations() -> [Value; 4] {
    [
        conversation(OLD, "idle", "Fix the\nbuild", 40),
        conversation(RUNNING, "running", "Write tests", 50),
        conversation(NEW, "finished", "Explain", 1),
        conversation(KILLED, "paused", "Review", 60),
    ]
}

/// Whether a request is one to the application's conversations, with this method and the beginning of a path.
fn is_to(method: &'static str, path: String) -> impl Fn(&Request) -> bool + Send + Sync + 'static {
    move |request| {
        let (_, rest) = request.path.split_once("/proxy/api/conversations").unwrap_or_default();
        request.method == method
            && request.path.contains("/proxy/api/conversations")
            && rest.starts_with(&path)
    }
}

/// The path of a conversation, as it is requested.
fn path_of(id: &str) -> String {
    format!("/{}", id.replace('-', "%2D"))
}

/// A proxy that plays an application on nodes that do not look simulated. `change` comes before its answers.
fn playing(change: impl FnOnce(&Proxy)) -> Proxy {
    let proxy = Proxy::for_cluster(Bed::shared());
    change(&proxy);
    let [old, running, new, killed] = conversations();
    let answer = |path: String, answer: Value| proxy.on(is_to("GET", path)).inject(Fault::Answer(answer));
    answer("/search?limit=100&page_id=".to_owned(), json!({ "items": [new, killed], "next_page_id": null }));
    answer(
        "/search".to_owned(),
        json!({ "items": [old, running], "next_page_id": "7f26ff0472224ee791064c95ea6e6f3e" }),
    );
    for conversation in conversations() {
        let path = path_of(conversation["id"].as_str().unwrap());
        let events = u8::from(conversation["id"] == KILLED);
        answer(format!("{path}/events/count"), json!(events));
        answer(path, conversation);
    }
    proxy.hide_simulation();
    proxy
}

fn run(namespace: &Namespace, arguments: &[&str]) -> Run {
    playing(|_| {}).command(namespace, arguments).run()
}

/// Runs a command while the application answers each request to its conversations so.
fn answered(namespace: &Namespace, answer: Fault, arguments: &[&str]) -> Run {
    playing(|proxy| proxy.on(is_to("GET", String::new())).inject(answer)).command(namespace, arguments).run()
}

fn message(time: &str, text: &str) -> Value {
    json!({ "id": time, "timestamp": time, "source": "user", "kind": "MessageEvent",
        "llm_message": { "role": "user", "content": [{ "type": "text", "text": text }] } })
}

#[test]
fn list_shows_the_conversations_and_that_they_share_a_pod() {
    let (namespace, key) = deployed("shared-list");
    let listed = run(&namespace, &["sandbox", "list"]).exits(0).hides(&key);
    let listed = listed.says("the conversations of Agent Canvas share the application's pod");
    let lines: Vec<&str> = listed.stdout.lines().collect();
    assert!(lines[0].starts_with("CONVERSATION  STATUS    AGE   UPDATED   FOLDER"), "{}", listed.stdout);
    assert!(
        lines[1].starts_with("7f26ff04-72   finished  2 d   24 h ago  /home/openhands/workspace/one"),
        "{}",
        lines[1]
    );
    assert!(lines[2].starts_with("cb788197      idle      41 d  40 d ago"), "{}", lines[2]);
    assert!(lines[2].ends_with("Fix the build"), "{}", lines[2]);
    assert!(lines[3].starts_with("7f26ff04-71   running"), "{}", lines[3]);
    let items = run(&namespace, &["sandbox", "list", "-o", "json"]).exits(0).json();
    let first = &items[0];
    assert_eq!((&first["conversation"], &first["short"]), (&json!(NEW), &json!("7f26ff04-72")));
    assert_eq!((&first["model"], &first["cost"], &first["v"]), (&json!("a/m"), &json!(0.5), &json!(1)));
    let none = answered(
        &namespace,
        Fault::Answer(json!({ "items": [], "next_page_id": null })),
        &["sandbox", "list"],
    );
    none.exits(0).says("`oh` in namespace").says("has no conversations");
}

#[test]
fn application_that_does_not_answer_is_an_error_with_its_cause() {
    let (namespace, key) = deployed("shared-down");
    let list = ["sandbox", "list"];
    let rejected = answered(&namespace, Fault::AnswerWith(401, json!({ "detail": "Unauthorized" })), &list);
    rejected.exits(12).says("HC5004").says("does not accept the key of secret/oh-keys").hides(&key);
    let down = answered(&namespace, Fault::AnswerWith(502, json!("bad gateway")), &list);
    down.exits(12).says("HC4601").says("/api/conversations/search returns 502").says("shows why");
    let other = answered(&namespace, Fault::Answer(json!({ "results": [] })), &list);
    other.exits(12).says("the answer has no items");
    namespace.handsctl(&list).exits(14).says("simulated nodes");
    namespace.bed.kubectl(&["delete", "secret", "oh-keys", "-n", &namespace.name]);
    run(&namespace, &list).exits(14).says("HC3018").says("does not hold the key");
    namespace.handsctl(&["teardown"]).exits(0);
    run(&namespace, &list).exits(12).says("there are no conversations");
}

#[test]
fn logs_are_the_events_without_keys_and_escapes() {
    let (namespace, key) = deployed("shared-logs");
    let page =
        |events: Value, next: Option<&str>| Fault::Answer(json!({ "items": events, "next_page_id": next }));
    let secret_lines: Vec<Value> =
        quotations(&key).iter().map(|text| message("2026-11-30T17:53:50.5", text)).collect();
    let cut_key = message("2026-11-30T17:53:51.5", &format!("{} {key}", "x".repeat(480)));
    let proxy = playing(|proxy| {
        let events = format!("{}/events/search", path_of(OLD));
        proxy.on(is_to("GET", format!("{events}?limit=50&sort_order=TIMESTAMP_DESC"))).inject(page(
            json!([message("2026-11-30T17:53:52", "newest"), message("2026-11-30T17:53:51", "older")]),
            None,
        ));
        proxy
            .on(is_to("GET", format!("{events}?limit=50&page_id=e")))
            .inject(page(json!(secret_lines), None));
        let first = json!([
            message("2026-11-30T17:53:49.400285", "Hello\n\u{1b}]0;title\u{7}there\u{202e}"),
            cut_key
        ]);
        proxy.on(is_to("GET", events)).inject(page(first, Some("e")));
    });
    let logs =
        |more: &[&str]| proxy.command(&namespace, &[&["sandbox", "logs", "cb78"], more].concat()).run();
    let all = logs(&[]).exits(0).hides(&key);
    assert!(!all.stdout.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{:?}", all.stdout);
    let lines: Vec<&str> = all.stdout.lines().collect();
    assert_eq!(lines.len(), 2 + secret_lines.len());
    assert!(
        lines[0].starts_with("2026-11-30T17:53:49 user MessageEvent: Hello") && lines[0].ends_with("there")
    );
    assert!(!lines[1].contains(&key[..8]), "the cut leaves no part of the key: {}", lines[1]);
    let last = logs(&["--tail", "1", "--since", "1h"]).exits(0);
    assert_eq!(last.stdout, "2026-11-30T17:53:52 user MessageEvent: newest\n");
    let asked = proxy.requests_that(|request| request.path.contains("TIMESTAMP_DESC")).remove(0);
    assert!(asked.path.contains("&timestamp__gte=20"), "{}", asked.path);
    let followed = logs(&["-f"]).exits(2).says("does not follow a conversation of Agent Canvas");
    followed.says("shows a conversation as it goes on").says("-f follows the log of the application's pod");
    let command = |id: &str| proxy.command(&namespace, &["sandbox", "logs", id]).run();
    command("7f26").exits(2).says("2 conversations begin with `7f26`").says(RUNNING).says(NEW);
    command("99").exits(2).says("no conversation of `oh` begins with `99`").says("handsctl sandbox list");
}

const COLLECT: [&str; 5] = ["sandbox", "gc", "--older-than", "30d", "--delete-data"];

/// The conversations that the binary has deleted, by their paths.
fn deletions(proxy: &Proxy) -> Vec<String> {
    let deleted = proxy.requests_that(is_to("DELETE", String::new()));
    deleted.into_iter().map(|request| request.path.rsplit('/').next().unwrap().to_owned()).collect()
}

#[test]
fn gc_deletes_old_conversations_at_rest_only_when_asked() {
    let (namespace, key) = deployed("shared-gc");
    let proxy = playing(|proxy| {
        proxy.on(is_to("DELETE", path_of(OLD))).inject(Fault::Answer(json!({ "success": true })));
    });
    let gc = |arguments: &[&str]| proxy.command(&namespace, arguments).run().hides(&key);
    gc(&["sandbox", "gc"])
        .exits(0)
        .says("nothing to delete")
        .says("--older-than 30d --delete-data deletes those");
    let kept = gc(&COLLECT[..4]).exits(0);
    kept.says("nothing was deleted: 1 conversation at rest for more than 30 d; --delete-data deletes them");
    let listed =
        gc(&[&COLLECT[..], &["--dry-run"]].concat()).exits(0).says("1 conversation would be deleted");
    listed.says(&format!("conversation/{OLD}"));
    let asked = gc(&COLLECT).exits(2).says(&format!("conversation/{OLD}: idle, Fix the"));
    asked.says("deleting 1 conversation deletes data and needs a confirmation");
    assert_eq!(deletions(&proxy), Vec::<String>::new());
    let deleted = gc(&[&COLLECT[..], &["--yes"]].concat()).exits(0);
    deleted.says("1 conversation deleted; the files in their folders stay");
    assert_eq!(deletions(&proxy), [path_of(OLD)[1..].to_owned()]);
    gc(&["sandbox", "gc", "--older-than", "90d", "--delete-data", "--yes"])
        .exits(0)
        .says("nothing to delete");
    let classic = gc(&[&COLLECT[..4], &["--set", "deploy.edition=\"classic\""]].concat());
    classic.exits(2).says("--older-than chooses conversations of Agent Canvas");
}

#[test]
fn gc_keeps_a_conversation_that_is_used_meanwhile() {
    let (namespace, _) = deployed("shared-used");
    let collect = |change: &dyn Fn(&Proxy)| {
        let proxy = playing(change);
        let run = proxy.command(&namespace, &[&COLLECT[..], &["--yes"]].concat()).run();
        (run, deletions(&proxy).len())
    };
    let count = || is_to("GET", format!("{}/events/count", path_of(OLD)));
    let (run, deleted) = collect(&|proxy| proxy.on(count()).nth(2).inject(Fault::Answer(json!(3))));
    run.exits(0).says("somebody has used it since it was listed").says("0 conversations deleted");
    assert_eq!(deleted, 0);
    let gone = |proxy: &Proxy| {
        let get = move |request: &Request| {
            is_to("GET", path_of(OLD))(request) && !request.path.contains("/events/")
        };
        proxy.on(get).inject(Fault::AnswerWith(404, json!({ "detail": "Not Found" })));
    };
    assert_eq!(collect(&gone).1, 0);
    let failing = |proxy: &Proxy| {
        proxy.on(is_to("DELETE", String::new())).inject(Fault::AnswerWith(500, json!("x")));
    };
    let (run, _) = collect(&failing);
    run.exits(12).says("cannot delete conversation").says("returns 500").says("0 conversations deleted");
}

#[test]
fn describe_prints_what_the_application_tells() {
    let (namespace, _) = deployed("shared-describe");
    let described = run(&namespace, &["sandbox", "describe", "cb78"]).exits(0);
    let described = described.prints("title         Fix the build\n").prints("status        idle\n");
    described.prints("which all conversations of Agent Canvas share").prints("last event    40 d ago");
    let object = run(&namespace, &["sandbox", "describe", "cb78", "-o", "json"]).exits(0).json();
    assert_eq!((&object["conversation"], &object["status"]), (&json!(OLD), &json!("idle")));
    assert!(object["pod"].as_str().unwrap().starts_with("oh-"), "{object}");
    run(&namespace, &["sandbox", "describe", "99"]).exits(2).says("handsctl sandbox list");
    run(&namespace, &["sandbox", "exec", "99"]).exits(2).says("no conversation of `oh` begins");
}
