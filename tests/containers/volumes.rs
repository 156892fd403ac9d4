//! Nothing is lost: the application's volume and the conversations' volumes, whatever happens to nodes and pods.

use std::sync::{MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::kind::{Conversation, READY, Site, docker, is_ready, one_at_a_time, shared, wait_until};

/// The cluster of two nodes that the tests share: the API server outlives the application's node.
pub(super) fn two_nodes() -> (&'static Site, MutexGuard<'static, ()>) {
    static SITE: OnceLock<Site> = OnceLock::new();
    let guard = one_at_a_time();
    let site = SITE.get_or_init(|| {
        let site = Site::with_workers("halves", 1);
        site.handsctl(&["up", "--timeout", "12m"]).exits(0);
        site
    });
    (site, guard)
}

fn worker(site: &Site) -> String {
    format!("{}-worker", site.own.cluster)
}

/// Has the application start a conversation's sandbox again, and waits until the sandbox is ready.
fn resume(site: &Site, conversation: &Conversation) {
    let path = format!("/api/conversations/{}/start", conversation.id);
    let (mut status, mut body) = site.post_when_reachable(&path);
    // OpenHands truncates its statistics before it writes them (`storage/local.py`), and cannot read an empty file
    // (`services/conversation_stats.py`): a kill between the two costs them. The files of the conversation are elsewhere.
    if status == 500 && body["message"].as_str().is_some_and(|text| text.ends_with("Ran out of input")) {
        let (is_found, files) = site.run_in_container(&format!(
            "find /.openhands -path '*{}*' -name '*.pkl' -size 0 -print -delete",
            conversation.id
        ));
        assert!(is_found, "{files}");
        eprintln!("OpenHands left empty: {files}");
        (status, body) = site.post_when_reachable(&path);
    }
    assert_eq!(status, 200, "{body}");
    site.await_sandbox(conversation);
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn stopped_node_costs_no_conversation_its_files() {
    let (site, _guard) = two_nodes();
    let (worker, app) = (worker(site), site.pod());
    assert_eq!(app["spec"]["nodeName"], worker.as_str(), "the API server outlives the application");

    // OpenHands would delete the first conversation of its process. systemd sends SIGTERM to every process.
    let first = site.start_conversation();
    let claim = site.claim(&first);
    site.run_in_sandbox(&first, "echo precious > /workspace/p.txt");
    let container = app["status"]["containerStatuses"][0]["containerID"].as_str().unwrap();
    let scope = format!("cri-containerd-{}.scope", container.trim_start_matches("containerd://"));
    docker(&["exec", &worker, "systemctl", "stop", &scope]);
    wait_until("the container is restarted", READY, || {
        let app = site.pod();
        app["status"]["containerStatuses"][0]["restartCount"] == 1 && is_ready(&app)
    });
    assert_eq!(site.claim(&first), claim);

    let second = site.start_conversation();
    let claims = [&first, &second].map(|conversation| site.claim(conversation));
    site.run_in_sandbox(&second, "echo precious too > /workspace/p.txt");
    docker(&["stop", &worker]);
    assert_eq!([&first, &second].map(|conversation| site.claim(conversation)), claims);
    let up = site.handsctl(&["up"]).exits(0).says("nodes: 1 started").says("2 ended sandboxes deleted");
    up.within(Duration::from_secs(300));
    assert_eq!([&first, &second].map(|conversation| site.claim(conversation)), claims);
    for (conversation, text) in [(&first, "precious"), (&second, "precious too")] {
        resume(site, conversation);
        assert_eq!(site.run_in_sandbox(conversation, "cat /workspace/p.txt").trim(), text);
    }
    assert_eq!([&first, &second].map(|conversation| site.claim(conversation)), claims);
    site.delete_sandboxes();
}

/// What happens to the cluster or the application while a conversation runs.
#[derive(Clone, Copy, Debug)]
enum Disruption {
    StopAndStart,
    EngineRestart,
    Drain,
    Deploy,
    Restart,
    Rollback,
}

impl Disruption {
    const ALL: [Self; 6] =
        [Self::StopAndStart, Self::EngineRestart, Self::Drain, Self::Deploy, Self::Restart, Self::Rollback];

    fn happen(self, site: &Site, round: usize) {
        let worker = worker(site);
        match self {
            Self::StopAndStart => {
                docker(&["stop", &worker]);
                docker(&["start", &worker]);
                site.handsctl(&["up"]).exits(0);
            }
            Self::EngineRestart => {
                docker(&["restart", &worker]);
                site.handsctl(&["up"]).exits(0);
            }
            Self::Drain => {
                site.kubectl(&[
                    "drain",
                    &worker,
                    "--ignore-daemonsets",
                    "--delete-emptydir-data",
                    "--force",
                    "--timeout=120s",
                ]);
                site.kubectl(&["uncordon", &worker]);
                site.handsctl(&["deploy"]).exits(0);
            }
            Self::Deploy => {
                let change = format!("deploy.env={{ ROUND = \"{round}\" }}");
                site.handsctl(&["deploy", "--set", &change]).exits(0);
            }
            Self::Restart => {
                site.handsctl(&["restart"]).exits(0);
            }
            Self::Rollback => {
                site.handsctl(&["rollback"]).exits(0);
            }
        }
    }
}

/// A conversation with a file in its volume.
struct Precious<'a> {
    site: &'a Site,
    conversation: Conversation,
    claims: [Value; 2],
    text: String,
}

impl<'a> Precious<'a> {
    fn create(site: &'a Site) -> Self {
        let conversation = site.start_conversation();
        let text = format!("precious file of {}", conversation.id);
        site.run_in_sandbox(&conversation, &format!("echo {text} > /workspace/p.txt"));
        let claims = Self::claims(site, &conversation);
        Self { site, conversation, claims, text }
    }

    /// UID and deletion of the application's claim and of the conversation's claim.
    fn claims(site: &Site, conversation: &Conversation) -> [Value; 2] {
        ["openhands-state", &format!("{}-pvc", conversation.pod)].map(|name| {
            let metadata = &site.get(&["pvc", name])["metadata"];
            json!([metadata["uid"], metadata["deletionTimestamp"]])
        })
    }

    /// Panics unless both claims are as they were, and a running sandbox of the conversation has the file.
    fn assert_kept(&self, what: &str) {
        assert_eq!(Self::claims(self.site, &self.conversation), self.claims, "{what}");
        let pods = self.site.get(&["pods", "-l", "app=openhands-runtime"]);
        let runs = |pod: &Value| {
            pod["metadata"]["name"] == self.conversation.pod.as_str()
                && pod["metadata"]["deletionTimestamp"].is_null()
                && is_ready(pod)
        };
        if !pods["items"].as_array().is_some_and(|pods| pods.iter().any(runs)) {
            resume(self.site, &self.conversation);
        }
        let file = self.site.run_in_sandbox(&self.conversation, "cat /workspace/p.txt");
        assert_eq!(file.trim(), self.text, "{what}");
        assert_eq!(Self::claims(self.site, &self.conversation), self.claims, "{what}, resumed");
    }
}

/// `HANDSCTL_TEST_ROUNDS=20` runs twenty rounds: 40 minutes.
#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn every_round_of_disruptions_keeps_the_conversations_file() {
    let (site, _guard) = two_nodes();
    site.handsctl(&["deploy", "--set", "deploy.env={ ROUND = \"none\" }"]).exits(0);
    let precious = Precious::create(site);
    let rounds = std::env::var("HANDSCTL_TEST_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap());
    for round in 1..=rounds {
        for disruption in Disruption::ALL {
            let begin = Instant::now();
            disruption.happen(site, round);
            precious.assert_kept(&format!("round {round}, {disruption:?}"));
            eprintln!("round {round}: {disruption:?}: the file is there after {:.0?}", begin.elapsed());
        }
    }
    site.delete_sandboxes();
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn deleted_claim_keeps_its_file_until_delete_data() {
    let (site, _, _guard) = shared();
    site.configure("openai/gpt-4o", "");
    site.handsctl(&["deploy"]).exits(0);
    let file = || site.run_in_container("cat /.openhands/precious.txt");
    assert!(site.run_in_container("echo precious > /.openhands/precious.txt").0);
    let (claim, pod) = (site.get(&["pvc", "openhands-state"]), site.pod());
    site.kubectl(&["delete", "pvc", "openhands-state", "--wait=false"]);

    site.handsctl(&["restart"]).exits(2).says("HC2045").says("save the data first: handsctl backup");
    site.handsctl(&["deploy", "--set", "kubernetes.resource_memory_limit=\"2Gi\""]).exits(2).says("HC2045");
    site.handsctl(&["deploy", "--set", "deploy.image=\"acme/openhands:0.59\""])
        .exits(2)
        .says("HC2045")
        .within(Duration::from_secs(30));
    site.handsctl(&["teardown"]).exits(2).says("HC2045");
    assert_eq!(site.pod()["metadata"]["uid"], pod["metadata"]["uid"]);
    assert_eq!(file(), (true, "precious\n".to_owned()));

    site.handsctl(&["deploy", "--delete-data", "--yes"]).exits(0);
    assert_ne!(site.get(&["pvc", "openhands-state"])["metadata"]["uid"], claim["metadata"]["uid"]);
    assert!(!file().0, "the new volume is empty");
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn refusal_is_reported_before_pull_and_before_stop() {
    let (site, _, _guard) = shared();
    site.configure("openai/gpt-4o", "");
    site.handsctl(&["deploy"]).exits(0);
    let refused = |code: i32| {
        let before = site.pod()["metadata"]["uid"].clone();
        let run = site.deploy_image("registry.invalid/acme/openhands:0.59", &[]).exits(code);
        let pulls = site.get(&["pods", "-l", "handsctl.dev/pull-for"]);
        assert_eq!(pulls["items"], json!([]), "no image is pulled before the refusal");
        assert_eq!(site.pod()["metadata"]["uid"], before, "the old pod is not stopped");
        run.never_says("prepull")
    };

    let set_deadline = |seconds: u32| {
        let patch = json!({ "spec": { "progressDeadlineSeconds": seconds } }).to_string();
        site.kubectl(&["patch", "deployment/openhands", "--type=merge", "-p", &patch]);
    };
    set_deadline(700);
    refused(7).says("HC3007");
    set_deadline(600);

    site.kubectl(&["create", "quota", "tight", "--hard=limits.memory=1Ki"]);
    refused(8).says("exceeded quota");
    site.kubectl(&["delete", "quota", "tight"]);

    site.kubectl(&["create", "namespace", "refused"]);
    site.kubectl(&["create", "service", "clusterip", "openhands", "--tcp=80:80", "-n", "refused"]);
    site.handsctl(&["deploy", "-n", "refused"]).exits(7).says("service/openhands");
    let left = site.kubectl(&["get", "secrets,configmaps,deployments", "-n", "refused", "-o", "name"]);
    site.kubectl(&["delete", "namespace", "refused"]);
    assert_eq!(left.trim(), "configmap/kube-root-ca.crt", "a refused first deploy leaves nothing behind");
    site.handsctl(&["deploy"]).exits(0);
}
