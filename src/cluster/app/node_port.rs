//! Finds the URLs under which the application's Service is reachable at a port of the nodes.

use std::net::IpAddr;
use std::time::Duration;

use kube::api::ListParams;
use serde_json::Value;

use super::url_probe::{self, ProbeResponse, ProbeTarget};
use crate::cluster::client::api::Api;
use crate::object::kind::{NODE, SERVICE};
use crate::proxy::ProxyVariables;
use crate::settings::edition::Edition;

/// Number of nodes that are probed: every node forwards the port, so a few show whether this computer reaches any.
const NODES: u32 = 3;

/// Returns the first URL at a node's address that answers from this computer within this time. None if none answers, the
/// Service has no node port, or the account may not get the Service or list nodes.
pub async fn answering_url(
    api: &Api,
    namespace: &str,
    service: &str,
    edition: &Edition,
    within: Duration,
) -> Option<String> {
    let services = SERVICE.in_namespace(namespace);
    let first_nodes = ListParams::default().limit(NODES);
    let nodes = NODE.collection(None);
    let (service, nodes) = tokio::join!(api.get_opt(&services, service), api.list(&nodes, &first_nodes));
    let port = node_port(&service.ok()??)?;
    let addresses: Vec<IpAddr> = nodes.ok()?.items.iter().filter_map(address).collect();
    let probes = addresses.into_iter().map(|address| async move {
        let target = target(address, port, edition);
        match url_probe::probe_url(&target, within).await {
            ProbeResponse::Answers { .. } => Some(target.url),
            ProbeResponse::LoginPage(_)
            | ProbeResponse::NotTheApplication(_)
            | ProbeResponse::Unreachable(_) => None,
        }
    });
    futures::future::join_all(probes).await.into_iter().flatten().next()
}

/// The nodes' addresses are requested without DNS and without a proxy.
fn target(address: IpAddr, port: u16, edition: &Edition) -> ProbeTarget {
    let local = std::net::SocketAddr::new(address, port);
    ProbeTarget {
        url: format!("http://{local}{}", edition.page),
        path: edition.probes.liveness,
        local: Some(local),
        proxies: ProxyVariables::default(),
    }
}

/// Returns the node port of a Service's first port that has one.
fn node_port(service: &Value) -> Option<u16> {
    let ports = service["spec"]["ports"].as_array()?;
    ports.iter().find_map(|port| u16::try_from(port["nodePort"].as_u64()?).ok())
}

/// Returns the address of a node: the external one, else the internal one.
fn address(node: &Value) -> Option<IpAddr> {
    let addresses = node["status"]["addresses"].as_array()?;
    ["ExternalIP", "InternalIP"].into_iter().find_map(|kind| {
        let address = addresses.iter().find(|address| address["type"] == kind)?;
        address["address"].as_str()?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use serde_json::json;

    use super::*;
    use crate::cluster::scripted::scripted;
    use crate::settings::edition::CLASSIC;

    #[tokio::test]
    async fn node_port_url_is_the_node_address_that_answers() {
        let application = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = application.local_addr().unwrap().port();
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = application.accept().unwrap();
            let mut buffer = [0; 4096];
            let _request = stream.read(&mut buffer).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
        });
        let (api, mut server) = scripted();
        let script = async move {
            let service = json!({ "spec": { "ports": [{ "port": 80, "nodePort": port }] } });
            let node = |address: &str| {
                json!({ "status": { "addresses": [
                    { "type": "Hostname", "address": "n" },
                    { "type": "InternalIP", "address": address },
                ] } })
            };
            server.expect("GET /api/v1/namespaces/n/services/oh").await.ok(&service);
            let nodes = json!({ "metadata": {}, "items": [node("127.0.0.2"), node("127.0.0.1")] });
            server.expect("GET /api/v1/nodes").await.ok(&nodes);
        };
        let (url, ()) = tokio::join!(answering_url(&api, "n", "oh", &CLASSIC, Duration::ZERO), script);
        answering.join().unwrap();
        assert_eq!(url, Some(format!("http://127.0.0.1:{port}/")));
    }

    #[test]
    fn external_address_of_a_node_comes_first() {
        let node = json!({ "status": { "addresses": [
            { "type": "InternalIP", "address": "10.0.0.1" },
            { "type": "ExternalIP", "address": "2001:db8::1" },
        ] } });
        let url = address(&node).map(|address| target(address, 30001, &CLASSIC).url);
        assert_eq!(url.as_deref(), Some("http://[2001:db8::1]:30001/"));
        assert_eq!(node_port(&json!({ "spec": { "ports": [{ "port": 80 }] } })), None);
    }
}
