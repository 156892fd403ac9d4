//! Who may connect to the application's pod, and where sandboxes may connect to. Pure.

use serde_json::{Value, json};

use crate::object::labels;
use crate::settings::Settings;
use crate::settings::format::DnsLabel;
use crate::settings::handsctl::{Expose, SandboxEgress};

/// The label with a namespace's own name, which the API server sets.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
/// The namespace of `OpenShift`'s DNS pods, which listen on port 5353. A policy sees the pod's port, not the Service's.
const OPENSHIFT_DNS: &str = "openshift-dns";

/// IPv4 addresses that are not on the internet (IANA's special-purpose registry), and metadata servers outside of them.
const PRIVATE_IPV4: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    // Azure's WireServer, which returns a virtual machine's settings
    // (https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16).
    "168.63.129.16/32",
    // The metadata servers of the clouds: 169.254.169.254.
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
];
/// The same for IPv6, and the ranges that a gateway translates to IPv4.
const PRIVATE_IPV6: &[&str] =
    &["::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "fc00::/7", "fe80::/10", "ff00::/8"];

/// Returns the values of the policies' templates.
pub(super) fn values(settings: &Settings) -> Value {
    json!({
        "application": format!("{}-app", settings.deploy.name),
        "application_clients": application_clients(settings),
        "ingress_namespace": settings.deploy.ingress_namespace,
        "sandbox_egress": sandbox_egress(settings.deploy.sandbox_egress),
    })
}

/// Returns the peers that may connect to the application. Kubelets need no rule: a pod always accepts connections from
/// its own node (<https://kubernetes.io/docs/concepts/services-networking/network-policies/>).
fn application_clients(settings: &Settings) -> Vec<Value> {
    let deploy = &settings.deploy;
    let named: Vec<&str> =
        deploy.ingress_namespace.iter().chain(&deploy.client_namespaces).map(DnsLabel::as_str).collect();
    let mut peers = if named.is_empty() {
        // Sandboxes run in other namespaces, too: those of other installations, and those of a former configuration.
        vec![all_but_sandboxes(&json!({}))]
    } else {
        let mut namespaces = named.clone();
        namespaces.push(deploy.namespace.as_str());
        namespaces.sort_unstable();
        namespaces.dedup();
        let of_name = |name| json!({ "matchLabels": { NAMESPACE_NAME: name } });
        namespaces.into_iter().map(|name| all_but_sandboxes(&of_name(name))).collect()
    };
    if admits_every_address(settings, named.is_empty()) {
        peers.extend(["0.0.0.0/0", "::/0"].map(|range| json!({ "ipBlock": { "cidr": range } })));
    }
    peers
}

/// Whether clients are admitted by address as well. Those of a node port or a load balancer are outside of the cluster;
/// an ingress controller may run in the host's network, or be the cloud's. Some network plugins match pods by address,
/// too, so with unrestricted sandboxes the addresses are left out where no client is known to need them.
fn admits_every_address(settings: &Settings, any_namespace: bool) -> bool {
    match settings.deploy.expose {
        Expose::NodePort | Expose::LoadBalancer => true,
        Expose::Ingress | Expose::Route | Expose::None => {
            any_namespace && settings.deploy.sandbox_egress != SandboxEgress::All
        }
    }
}

/// Returns the peer of all pods but sandboxes, in the namespaces that the selector selects.
fn all_but_sandboxes(namespaces: &Value) -> Value {
    let (label, value) = labels::SANDBOX;
    json!({
        "namespaceSelector": namespaces,
        "podSelector": { "matchExpressions": [{ "key": label, "operator": "NotIn", "values": [value] }] },
    })
}

/// Returns the rules for connections from sandboxes. An empty list admits none; null leaves them unrestricted.
fn sandbox_egress(egress: SandboxEgress) -> Value {
    let block = |range: &str, except: &[&str]| json!({ "ipBlock": { "cidr": range, "except": except } });
    match egress {
        SandboxEgress::All => Value::Null,
        SandboxEgress::None => json!([]),
        SandboxEgress::Internet => json!([
            { "ports": dns_ports(53) },
            { "ports": dns_ports(5353),
              "to": [{ "namespaceSelector": { "matchLabels": { NAMESPACE_NAME: OPENSHIFT_DNS } } }] },
            { "to": [block("0.0.0.0/0", PRIVATE_IPV4), block("::/0", PRIVATE_IPV6)] },
        ]),
    }
}

/// The ports of a DNS server. Its address is unknown: a Service, a node-local cache or the cloud's resolver.
fn dns_ports(port: u16) -> Value {
    json!([{ "port": port, "protocol": "UDP" }, { "port": port, "protocol": "TCP" }])
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::plan::{SecretNaming, build};
    use crate::settings::format::IpRange;
    use crate::settings::{Request, read};

    fn settings(text: &str) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.toml"), text).unwrap();
        let loaded = read(&Request::default(), &[], folder.path());
        loaded.unwrap_or_else(|error| panic!("{:?}", error.diagnostics())).settings
    }

    fn policy(settings: &Settings, name: &str) -> Option<Value> {
        let plan = build(settings, SecretNaming::Placeholder, &[]).unwrap();
        let mut members = plan.members.into_iter();
        members
            .find(|member| member.id.kind == "NetworkPolicy" && member.id.name == name)
            .map(|one| one.manifest)
    }

    /// A peer of a policy, as an enforcing network plugin evaluates it for one client.
    struct Client<'a> {
        namespace: &'a str,
        app_label: Option<&'a str>,
        /// The address of a client that is not a pod, or whose plugin matches pods by address.
        address: Option<&'a str>,
    }

    fn selects(selector: &Value, label: &str, value: Option<&str>) -> bool {
        let equal = selector["matchLabels"].as_object().into_iter().flatten();
        let expressions = selector["matchExpressions"].as_array().into_iter().flatten();
        equal.clone().all(|(key, wanted)| key == label && wanted.as_str() == value)
            && expressions.clone().all(|one| {
                assert_eq!((&one["key"], &one["operator"]), (&json!(label), &json!("NotIn")));
                !one["values"].as_array().unwrap().iter().any(|other| other.as_str() == value)
            })
    }

    fn is_in(range: &str, address: &str) -> bool {
        IpRange::parse(range).unwrap();
        let (base, prefix) = range.split_once('/').unwrap();
        let bits = |text: &str| match text.parse().unwrap() {
            IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 4),
            IpAddr::V6(address) => (address.to_bits(), 6),
        };
        let ((base, family), (address, other)) = (bits(base), bits(address));
        let shift = 128 - prefix.parse::<u32>().unwrap();
        family == other && (base ^ address).checked_shr(shift).unwrap_or(0) == 0
    }

    fn matches(peer: &Value, client: &Client<'_>) -> bool {
        if let Some(range) = peer["ipBlock"]["cidr"].as_str() {
            let except = peer["ipBlock"]["except"].as_array().into_iter().flatten();
            return client.address.is_some_and(|address| {
                is_in(range, address) && !except.clone().any(|one| is_in(one.as_str().unwrap(), address))
            });
        }
        !client.namespace.is_empty()
            && selects(&peer["namespaceSelector"], NAMESPACE_NAME, Some(client.namespace))
            && selects(&peer["podSelector"], "app", client.app_label)
    }

    fn is_admitted(policy: &Value, client: &Client<'_>) -> bool {
        let rules = policy["spec"]["ingress"].as_array().unwrap();
        rules.iter().any(|rule| rule["from"].as_array().unwrap().iter().any(|peer| matches(peer, client)))
    }

    fn may_connect(policy: &Value, address: &str, port: u16) -> bool {
        let target = Client { namespace: "", app_label: None, address: Some(address) };
        let Some(rules) = policy["spec"]["egress"].as_array() else {
            return !policy["spec"]["policyTypes"].as_array().unwrap().contains(&json!("Egress"));
        };
        rules.iter().any(|rule| {
            let ports = rule["ports"].as_array();
            let to = rule["to"].as_array();
            ports.is_none_or(|ports| ports.iter().any(|one| one["port"] == port))
                && to.is_none_or(|to| to.iter().any(|peer| matches(peer, &target)))
        })
    }

    const fn pod(namespace: &str) -> Client<'_> {
        Client { namespace, app_label: None, address: None }
    }

    const fn sandbox(namespace: &str) -> Client<'_> {
        Client { namespace, app_label: Some("openhands-runtime"), address: None }
    }

    #[test]
    fn application_admits_controllers_and_refuses_sandboxes() {
        for (text, sandboxes) in [("", "openhands"), ("[kubernetes]\nnamespace = \"boxes\"\n", "boxes")] {
            let policy = policy(&settings(text), "openhands-app").unwrap();
            assert_eq!(policy["metadata"]["namespace"], "openhands");
            assert_eq!(policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"], "app");
            assert!(is_admitted(&policy, &pod("traefik")) && is_admitted(&policy, &pod("openhands")));
            for namespace in [sandboxes, "openhands", "other-installation"] {
                assert!(!is_admitted(&policy, &sandbox(namespace)), "{namespace}: {policy}");
            }
            assert!(is_admitted(&policy, &pod(sandboxes)), "a client in the sandboxes' namespace");
            // A controller in the host's network, and the API server's proxy.
            let node = Client { namespace: "", app_label: None, address: Some("172.18.0.2") };
            assert!(is_admitted(&policy, &node));
        }
    }

    #[test]
    fn named_namespaces_are_the_only_clients() {
        let text =
            "[deploy]\ningress_namespace = \"traefik\"\nclient_namespaces = [\"login\", \"openhands\"]\n";
        let policy = policy(&settings(text), "openhands-app").unwrap();
        for namespace in ["traefik", "login", "openhands"] {
            assert!(is_admitted(&policy, &pod(namespace)), "{namespace}");
            assert!(!is_admitted(&policy, &sandbox(namespace)), "{namespace}");
        }
        assert!(!is_admitted(&policy, &pod("default")));
        assert!(!is_admitted(&policy, &Client { address: Some("10.0.0.1"), ..pod("") }));
    }

    #[test]
    fn clients_of_load_balancers_are_admitted_by_address() {
        let outside = Client { address: Some("203.0.113.5"), ..pod("") };
        for expose in ["nodeport", "loadbalancer"] {
            let text = format!(
                "[deploy]\nexpose = \"{expose}\"\nexposure = \"acknowledged\"\nclient_namespaces = [\"a\"]\n"
            );
            assert!(is_admitted(&policy(&settings(&text), "openhands-app").unwrap(), &outside), "{expose}");
        }
    }

    /// A plugin may match a sandbox by its address, and nothing else keeps an unrestricted one from the application.
    #[test]
    fn unrestricted_sandboxes_are_not_admitted_by_address() {
        let by_address = Client { address: Some("10.244.0.9"), ..sandbox("openhands") };
        let policy = policy(&settings("[deploy]\nsandbox_egress = \"all\"\n"), "openhands-app").unwrap();
        assert!(!is_admitted(&policy, &by_address));
        assert!(is_admitted(&policy, &pod("traefik")));
    }

    #[test]
    fn sandbox_reaches_internet_and_dns_but_no_private_address() {
        let policy = policy(&settings(""), "openhands").unwrap();
        for address in ["140.82.121.4", "1.1.1.1", "2606:4700::1", "168.63.129.17"] {
            assert!(may_connect(&policy, address, 443), "{address}");
        }
        for address in [
            "10.96.0.1",
            "10.244.0.7",
            "172.18.0.2",
            "172.31.255.255",
            "192.168.1.1",
            "100.100.100.200",
            "169.254.169.254",
            "168.63.129.16",
            "192.0.0.192",
            "127.0.0.1",
            "0.0.0.0",
            "224.0.0.251",
            "255.255.255.255",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fe80::1",
            "::1",
            "ff02::1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
        ] {
            for port in [80, 443, 3000, 8080] {
                assert!(!may_connect(&policy, address, port), "{address}:{port}");
            }
        }
        assert!(may_connect(&policy, "10.96.0.10", 53) && may_connect(&policy, "169.254.20.10", 53));
        assert!(!may_connect(&policy, "10.96.0.10", 5353), "only in OpenShift's namespace");
    }

    #[test]
    fn egress_none_and_all_are_what_they_say() {
        let none = policy(&settings("[deploy]\nsandbox_egress = \"none\"\n"), "openhands").unwrap();
        assert_eq!(none["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
        assert!(!may_connect(&none, "1.1.1.1", 443) && !may_connect(&none, "10.96.0.10", 53));
        assert_eq!(none["spec"].get("egress"), None, "the API server drops an empty list");
        let all = policy(&settings("[deploy]\nsandbox_egress = \"all\"\n"), "openhands").unwrap();
        assert_eq!(all["spec"]["policyTypes"], json!(["Ingress"]));
        assert!(may_connect(&all, "169.254.169.254", 80));
        // The application may still connect to sandboxes.
        assert_eq!(none["spec"]["ingress"], all["spec"]["ingress"]);
    }

    #[test]
    fn switched_off_policies_and_profile_dev_have_none() {
        for text in ["[deploy]\nnetwork_policy = false\n", "[deploy]\nprofile = \"dev\"\n"] {
            let settings = settings(text);
            assert_eq!((policy(&settings, "openhands"), policy(&settings, "openhands-app")), (None, None));
        }
    }
}
