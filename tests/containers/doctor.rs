//! `doctor` where containers run: it connects from the application's pod, and notices a DNS and a controller that are gone.

use std::time::Duration;

use serde_json::Value;

use super::kind::{Site, shared, wait_until};

/// Runs `doctor -o json` and returns the results of a check of the network, with the ids of its problems.
fn network(site: &Site, name: &str) -> Vec<(String, String)> {
    let value = site.handsctl(&["doctor", "-o", "json"]).json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    value["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["category"] == "network" && check["name"] == name)
        .map(|check| (text(&check["result"]), text(&check["problem"]["id"])))
        .collect()
}

fn result(result: &str, id: &str) -> Vec<(String, String)> {
    vec![(result.to_owned(), id.to_owned())]
}

/// Deployments of the cluster without pods, until it is dropped.
struct ScaledDown<'a>(&'a Site);

const SCALED: [[&str; 4]; 2] = [
    ["-n", "kube-system", "deployment/coredns", "--replicas=2"],
    ["-n", "traefik", "deployment/traefik", "--replicas=1"],
];

impl<'a> ScaledDown<'a> {
    fn new(site: &'a Site) -> Self {
        let guard = Self(site);
        for [flag, namespace, deployment, _] in SCALED {
            site.kubectl(&[flag, namespace, "scale", deployment, "--replicas=0"]);
        }
        guard
    }
}

impl Drop for ScaledDown<'_> {
    fn drop(&mut self) {
        for [flag, namespace, deployment, replicas] in SCALED {
            self.0.kubectl(&[flag, namespace, "scale", deployment, replicas]);
        }
        for [flag, namespace, deployment, _] in SCALED {
            self.0.kubectl(&[flag, namespace, "rollout", "status", deployment, "--timeout=90s"]);
        }
    }
}

#[test]
#[ignore = "needs a container engine and OpenHands' images, see CONTRIBUTING.md"]
fn doctor_connects_from_the_pod_and_notices_what_is_gone() {
    let (site, _, _guard) = shared();
    site.configure("openai/gpt-4o", "");
    site.handsctl(&["deploy"]).exits(0);
    for name in
        ["cluster DNS", "ingress class", "names from a pod", "API server from a pod", "service from a pod"]
    {
        assert_eq!(network(site, name), result("passed", ""), "{name}");
    }
    let scaled_down = ScaledDown::new(site);
    wait_until("DNS and controller are gone", Duration::from_secs(60), || {
        network(site, "cluster DNS") == result("failed", "HC2074")
            && network(site, "ingress class") == result("failed", "HC2073")
            // One failure: the pod resolves no name because of the DNS, whose old pods answer for some seconds.
            && network(site, "names from a pod") == result("unknown", "")
    });
    site.handsctl(&["doctor"]).exits(14).prints("error[HC2074]").prints("error[HC2073]");
    drop(scaled_down);
}
