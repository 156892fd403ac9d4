//! The URL of the application, computed from the configuration or from the live Ingress. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_json::Value;

use crate::cluster::app::url_probe::ProbeTarget;
use crate::provider::Ports;
use crate::proxy::ProxyVariables;
use crate::settings::Settings;
use crate::settings::edition::Edition;
use crate::settings::handsctl::{Expose, Ingress};

/// The configured address of the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exposure {
    /// At a URL.
    Url {
        /// The URL, and the address under which this computer reaches it.
        target: ProbeTarget,
        /// True if handsctl created the whole path to the application, so that no answer is an error.
        managed: bool,
    },
    /// Inside the cluster only, or at an unknown address.
    ClusterOnly,
}

/// Returns the address of an application of this edition. `local` are the host ports of a kind cluster that handsctl
/// created; `proxies` choose the way to any other.
pub(crate) fn for_settings(
    settings: &Settings,
    edition: &Edition,
    local: Option<Ports>,
    proxies: &ProxyVariables,
) -> Exposure {
    let deploy = &settings.deploy;
    if deploy.expose == Expose::Route && !is_localhost(deploy.host.as_str()) {
        let target = target(&format!("https://{}", deploy.host), None, edition, proxies);
        return Exposure::Url { target, managed: false };
    }
    if deploy.expose != Expose::Ingress {
        return Exposure::ClusterOnly;
    }
    through_ingress(deploy.host.as_str(), deploy.tls_secret.is_some(), settings, edition, local, proxies)
}

/// Returns the address that the live Ingress serves. The configuration may have another one, which the next deploy applies.
/// Without a live host it is the configured address.
pub(crate) fn for_live(
    ingress: Option<&Value>,
    settings: &Settings,
    edition: &Edition,
    local: Option<Ports>,
    proxies: &ProxyVariables,
) -> Exposure {
    let spec = ingress.map(|ingress| &ingress["spec"]);
    match spec.and_then(|spec| Some((spec, spec["rules"].as_array()?.first()?["host"].as_str()?))) {
        Some((spec, host)) if settings.deploy.expose == Expose::Ingress => {
            let has_tls = spec["tls"].as_array().is_some_and(|entries| !entries.is_empty());
            through_ingress(host, has_tls, settings, edition, local, proxies)
        }
        _ => for_settings(settings, edition, local, proxies),
    }
}

fn through_ingress(
    host: &str,
    has_tls: bool,
    settings: &Settings,
    edition: &Edition,
    local: Option<Ports>,
    proxies: &ProxyVariables,
) -> Exposure {
    let (scheme, default_port) = if has_tls { ("https", 443) } else { ("http", 80) };
    let Some(ports) = local else {
        let target = target(&format!("{scheme}://{host}"), None, edition, proxies);
        return Exposure::Url { target, managed: false };
    };
    let Some(port) = (if scheme == "https" { ports.https } else { ports.http }) else {
        return Exposure::ClusterOnly;
    };
    let port_suffix = if port == default_port { String::new() } else { format!(":{port}") };
    let origin = format!("{scheme}://{host}{port_suffix}");
    let local = Some(SocketAddr::new(connectable(ports.address), port));
    Exposure::Url {
        target: target(&origin, local, edition, proxies),
        managed: settings.cluster.ingress != Some(Ingress::None),
    }
}

/// Returns the page of the application under a scheme and a host.
fn target(
    origin: &str,
    local: Option<SocketAddr>,
    edition: &Edition,
    proxies: &ProxyVariables,
) -> ProbeTarget {
    ProbeTarget {
        url: format!("{origin}{}", edition.page),
        path: edition.probes.liveness,
        local,
        proxies: proxies.clone(),
    }
}

/// Replaces the wildcard address by loopback: a server on the wildcard address also listens on loopback.
fn connectable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        other => other,
    }
}

/// Returns true for names that browsers resolve to loopback without DNS (RFC 6761, section 6.3).
pub(crate) fn is_localhost(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::settings::edition::CLASSIC;
    use crate::settings::{Request, read};

    fn settings(set: &[&str]) -> Settings {
        let set = set.iter().map(|text| (*text).to_owned()).collect();
        let request = Request { set, ..Request::default() };
        let empty_folder = tempfile::tempdir().unwrap();
        read(&request, &[], empty_folder.path()).unwrap().settings
    }

    fn url(settings: &Settings, local: Option<Ports>) -> Option<(String, Option<String>, bool)> {
        match for_settings(settings, settings.edition(), local, &ProxyVariables::default()) {
            Exposure::Url { target, managed } => {
                Some((target.url, target.local.map(|local| local.to_string()), managed))
            }
            Exposure::ClusterOnly => None,
        }
    }

    #[test]
    fn url_has_configured_host_and_port_of_local_cluster() {
        let ports = |http, https| Some(Ports { address: Ipv4Addr::UNSPECIFIED.into(), http, https });
        let defaults = settings(&[]);
        assert_eq!(url(&defaults, None), Some(("http://localhost/".into(), None, false)));
        let local =
            |url: &str, address: &str, managed| Some((url.to_owned(), Some(address.to_owned()), managed));
        assert_eq!(url(&defaults, ports(Some(80), None)), local("http://localhost/", "127.0.0.1:80", true));
        assert_eq!(
            url(&defaults, ports(Some(8080), None)),
            local("http://localhost:8080/", "127.0.0.1:8080", true)
        );
        assert_eq!(url(&defaults, ports(None, Some(443))), None);
        let tls = settings(&["deploy.tls_secret=\"t\"", "cluster.ingress=\"none\""]);
        assert_eq!(
            url(&tls, ports(Some(80), Some(8443))),
            local("https://localhost:8443/", "127.0.0.1:8443", false)
        );
        assert_eq!(url(&settings(&["deploy.expose=\"none\""]), None), None);
    }

    #[test]
    fn live_ingress_counts_until_the_configured_one_is_deployed() {
        let live = |ingress: &Value, set: &[&str]| match for_live(
            Some(ingress),
            &settings(set),
            &CLASSIC,
            None,
            &ProxyVariables::default(),
        ) {
            Exposure::Url { target, .. } => Some(target.url),
            Exposure::ClusterOnly => None,
        };
        let edited = &["deploy.host=\"b.localhost\"", "deploy.tls_secret=\"t\""][..];
        let served = json!({ "spec": { "rules": [{ "host": "a.localhost" }] } });
        assert_eq!(live(&served, edited).as_deref(), Some("http://a.localhost/"));
        let encrypted =
            json!({ "spec": { "rules": [{ "host": "a.localhost" }], "tls": [{ "secretName": "t" }] } });
        assert_eq!(live(&encrypted, &[]).as_deref(), Some("https://a.localhost/"));
        assert_eq!(live(&json!({ "spec": {} }), edited).as_deref(), Some("https://b.localhost/"));
        assert_eq!(live(&served, &["deploy.expose=\"none\""]), None);
    }
}
