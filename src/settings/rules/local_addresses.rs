//! Addresses of this computer: in a pod they are the pod itself, or a name that nobody knows.

use super::checker::RuleChecker;
use crate::catalogue::Id;
use crate::diagnostic::{Diagnostic, Severity};
use crate::settings::format::host_of_url;
use crate::settings::handsctl::Provider;
use crate::settings::load::schema::{Shape, TableShape};
use crate::settings::load::toml_key::dotted;
use crate::settings::load::tree::{Data, Node, Table};

/// Names that only the engine of one computer resolves, for containers that it runs itself.
const ENGINE_NAMES: &[&str] = &[
    "host.docker.internal",
    "gateway.docker.internal",
    "kubernetes.docker.internal",
    "host.containers.internal",
    "host.lima.internal",
    "host.rancher-desktop.internal",
    "host.orb.internal",
];
/// Variables of `[deploy].env` from which the application and its libraries read a server's URL.
const URL_VARIABLES: &[&str] = &["BASE_URL", "_PROXY", "API_BASE", "ENDPOINT_URL"];

/// An address that does not lead from a pod to this computer.
enum LocalAddress {
    Loopback,
    EngineName,
}

fn local_address(host: &str) -> Option<LocalAddress> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    let is_loopback = match address {
        Ok(std::net::IpAddr::V6(address)) => {
            let mapped = address.to_ipv4_mapped();
            address.is_loopback()
                || address.is_unspecified()
                || mapped.is_some_and(|mapped| mapped.is_loopback() || mapped.is_unspecified())
        }
        Ok(std::net::IpAddr::V4(address)) => address.is_loopback() || address.is_unspecified(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    };
    if is_loopback {
        return Some(LocalAddress::Loopback);
    }
    ENGINE_NAMES.contains(&host.as_str()).then_some(LocalAddress::EngineName)
}

impl RuleChecker<'_> {
    /// Warns about every URL that the application or a sandbox would open at the wrong computer.
    pub(crate) fn local_addresses(&mut self, schema: &TableShape) {
        let settings = self.settings;
        self.addresses_in(schema, settings.tree(), &mut Vec::new());
        if let Some(entry) = settings.entry(&["deploy", "database", "host"])
            && let Some(host) = entry.node.data.as_text()
        {
            self.address(&["deploy", "database", "host"].map(str::to_owned), host, &entry.node);
        }
        for name in settings.env.keys().filter(|name| is_url_variable(name)) {
            let path = ["deploy".to_owned(), "env".to_owned(), name.clone()];
            if let Some(entry) = settings.entry(&["deploy", "env", name]) {
                self.url(&path, &entry.node);
            }
        }
    }

    fn addresses_in(&mut self, shape: &TableShape, table: &Table, path: &mut Vec<String>) {
        for (name, entry) in table {
            path.push(name.clone());
            if let Some(inner) = shape.inner(name) {
                self.addresses_under(inner, &entry.node, path);
            }
            path.pop();
        }
    }

    fn addresses_under(&mut self, shape: &Shape, node: &Node, path: &mut Vec<String>) {
        match &node.data {
            Data::Text(_) if accepts_url(shape) => self.url(path, node),
            // The model of a condenser is a table without a schema.
            Data::Text(_)
                if *shape == Shape::Any && path.last().is_some_and(|name| name.ends_with("base_url")) =>
            {
                self.url(path, node);
            }
            Data::Table(table) => {
                if let Some(inner) = shape.as_table() {
                    self.addresses_in(inner, table, path);
                }
            }
            Data::List(items) => {
                if let Some(inner) = shape.as_list() {
                    for item in items {
                        self.addresses_under(inner, item, path);
                    }
                }
            }
            _ => {}
        }
    }

    fn url(&mut self, path: &[String], node: &Node) {
        if let Some(host) = node.data.as_text().and_then(host_of_url) {
            self.address(path, host, node);
        }
    }

    fn address(&mut self, path: &[String], host: &str, node: &Node) {
        let Some(address) = local_address(host) else { return };
        let problem = match address {
            LocalAddress::Loopback => format!("{host} in a pod is the pod itself, not this computer"),
            LocalAddress::EngineName => {
                format!("{host} is known only to containers of a desktop engine on this computer")
            }
        };
        self.diagnostics.push(Diagnostic {
            id: Id::LocalAddress,
            severity: Severity::Warning,
            message: format!("`{}`: {problem}", dotted(path)),
            location: Some(node.position.location.clone()),
            label: self.address_that_works().to_owned(),
            masked: false,
        });
    }

    /// Returns the address under which pods of the configured provider reach a server on this computer.
    fn address_that_works(&self) -> &'static str {
        let cluster = &self.settings.cluster;
        let context = cluster.context.as_deref().filter(|context| !context.is_empty());
        let is_remote = context.is_some_and(|name| !name.starts_with("kind-") && !name.starts_with("kwok-"));
        match cluster.provider {
            Provider::Existing => IN_THE_CLUSTER,
            Provider::Auto if is_remote => IN_THE_CLUSTER,
            Provider::Auto | Provider::Kind => FROM_KIND,
            Provider::Kwok => "simulated nodes run no container: nothing opens it there",
        }
    }
}

const IN_THE_CLUSTER: &str =
    "use a name that the cluster resolves: SERVICE.NAMESPACE.svc, or the server's own DNS name";
const FROM_KIND: &str = "in kind: host.docker.internal with Docker Desktop, else the gateway of the engine's network `kind` (often 172.18.0.1); the server listens on 0.0.0.0";

fn accepts_url(shape: &Shape) -> bool {
    match shape {
        Shape::Text { format: Some(format), .. } => matches!(format.as_str(), "http-url" | "server-url"),
        Shape::Either(shapes) => shapes.iter().any(accepts_url),
        _ => false,
    }
}

fn is_url_variable(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    name != "NO_PROXY" && URL_VARIABLES.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_computer_are_recognized() {
        for host in [
            "localhost",
            "LOCALHOST",
            "a.localhost",
            "127.0.0.1",
            "127.1.2.3",
            "[::1]",
            "::1",
            "0.0.0.0",
            "[::]",
            "[::ffff:127.0.0.1]",
            "localhost.",
        ] {
            assert!(matches!(local_address(host), Some(LocalAddress::Loopback)), "{host}");
        }
        for host in ENGINE_NAMES {
            assert!(matches!(local_address(host), Some(LocalAddress::EngineName)), "{host}");
        }
        for host in ["ollama", "localhost.example.com", "172.18.0.1", "[fd00::1]", "1270.0.0.1"] {
            assert!(local_address(host).is_none(), "{host}");
        }
    }
}
