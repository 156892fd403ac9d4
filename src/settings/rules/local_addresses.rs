//! Addresses of this computer: in a pod they are the pod itself, or a name that nobody knows.

use std::net::{IpAddr, Ipv4Addr};

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
/// Names that only the nodes and pods of minikube and k3d resolve. Of the clusters here only an existing one can be theirs.
const CLUSTER_NAMES: &[&str] = &["host.minikube.internal", "host.k3d.internal"];
/// Names of the loopback addresses in `/etc/hosts`, as Linux distributions and Kubernetes write it.
const LOOPBACK_NAMES: &[&str] = &[
    "localhost",
    "localhost.localdomain",
    "localhost4",
    "localhost6",
    "localhost6.localdomain6",
    "ip6-localhost",
    "ip6-loopback",
];
/// Variables of `[deploy].env` from which the application and its libraries read a server's URL.
const URL_VARIABLES: &[&str] = &["BASE_URL", "_PROXY", "API_BASE", "ENDPOINT_URL"];
/// The same for the variables of a sandbox, as far as they name servers of models: `APP_BASE_URL` may be the URL of the
/// program that the agent writes, and that runs in the sandbox.
const MODEL_VARIABLES: &[&str] =
    &["LLM_", "OPENAI_", "ANTHROPIC_", "OLLAMA_", "LITELLM_", "AZURE_", "GEMINI_", "GROQ_", "MISTRAL_"];

/// An address that does not lead from a pod to this computer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LocalAddress {
    Loopback,
    EngineName,
    ClusterName,
}

fn local_address(host: &str) -> Option<LocalAddress> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    let is_loopback = match address.or_else(|| short_address(&host).map(IpAddr::V4)) {
        Some(IpAddr::V6(address)) => {
            let mapped = address.to_ipv4_mapped();
            address.is_loopback()
                || address.is_unspecified()
                || mapped.is_some_and(|mapped| mapped.is_loopback() || mapped.is_unspecified())
        }
        Some(IpAddr::V4(address)) => address.is_loopback() || address.is_unspecified(),
        None => LOOPBACK_NAMES.contains(&host.as_str()) || host.ends_with(".localhost"),
    };
    match host.as_str() {
        _ if is_loopback => Some(LocalAddress::Loopback),
        name if ENGINE_NAMES.contains(&name) => Some(LocalAddress::EngineName),
        name if CLUSTER_NAMES.contains(&name) => Some(LocalAddress::ClusterName),
        _ => None,
    }
}

/// Parses an IPv4 address in the forms that resolvers accept besides the usual one: `127.1`, `2130706433`, `0x7f.0.0.1`
/// (<https://man7.org/linux/man-pages/man3/inet_aton.3.html>).
fn short_address(host: &str) -> Option<Ipv4Addr> {
    let number = |part: &str| match (part.strip_prefix("0x"), part.strip_prefix('0')) {
        (Some(digits), _) => u32::from_str_radix(digits, 16).ok(),
        (None, Some(digits)) if !digits.is_empty() => u32::from_str_radix(digits, 8).ok(),
        _ if part.starts_with('+') => None,
        _ => part.parse::<u32>().ok(),
    };
    let parts = host.split('.').map(number).collect::<Option<Vec<u32>>>()?;
    let (last, bytes) = parts.split_last()?;
    if bytes.len() > 3 || bytes.iter().any(|byte| *byte > 255) {
        return None;
    }
    // The last number fills the remaining bytes.
    let bits = 32 - 8 * u32::try_from(bytes.len()).ok()?;
    if bits < 32 && *last >= 1 << bits {
        return None;
    }
    let first = bytes.iter().zip([24, 16, 8]).fold(0, |address, (byte, shift)| address | (byte << shift));
    Some(Ipv4Addr::from(first | last))
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
        self.addresses_in_sandbox();
    }

    /// Warns about the variables and the MCP servers of a sandbox. `localhost` is the sandbox itself there.
    fn addresses_in_sandbox(&mut self) {
        let settings = self.settings;
        let (section, key) = ("sandbox", "runtime_startup_env_vars");
        if let Some(Data::Table(variables)) = settings.entry(&[section, key]).map(|entry| &entry.node.data) {
            for (variable, entry) in variables {
                let path = [section, key, variable].map(str::to_owned);
                match entry.node.data.as_text().and_then(host_of_url) {
                    Some(host) if is_loopback(host) && !is_model_variable(variable) => {}
                    // A name of the engine is never one of the sandbox.
                    Some(host) => self.address(&path, host, &entry.node),
                    None => {}
                }
            }
        }
        let (section, key) = ("mcp", "stdio_servers");
        if let Some(Data::List(servers)) = settings.entry(&[section, key]).map(|entry| &entry.node.data) {
            for server in servers {
                let Data::Table(server) = &server.data else { continue };
                for part in ["args", "env"] {
                    let Some(entry) = server.get(part) else { continue };
                    self.urls_under(&[section, key, part].map(str::to_owned), &entry.node);
                }
            }
        }
    }

    /// Warns about the first URL of this computer in each text: an argument such as `--url=http://localhost`, or a line of
    /// arguments or variables.
    fn urls_under(&mut self, path: &[String], node: &Node) {
        match &node.data {
            Data::Text(text) => {
                let mut hosts = text.split(URL_SEPARATORS).filter_map(host_of_url);
                if let Some(host) = hosts.find(|host| local_address(host).is_some()) {
                    self.address(path, host, node);
                }
            }
            Data::List(items) => items.iter().for_each(|item| self.urls_under(path, item)),
            Data::Table(table) => {
                for (name, entry) in table {
                    self.urls_under(&[path, std::slice::from_ref(name)].concat(), &entry.node);
                }
            }
            _ => {}
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
        let advice = self.address_that_works();
        // The existing cluster may be minikube or k3d.
        if address == LocalAddress::ClusterName && advice == IN_THE_CLUSTER {
            return;
        }
        let problem = match address {
            LocalAddress::Loopback => format!("{host} in a pod is the pod itself, not this computer"),
            LocalAddress::EngineName => {
                format!("{host} is known only to containers of a desktop engine on this computer")
            }
            LocalAddress::ClusterName => {
                format!("{host} is known only to the nodes and pods of another kind of local cluster")
            }
        };
        self.diagnostics.push(Diagnostic {
            id: Id::LocalAddress,
            severity: Severity::Warning,
            message: format!("`{}`: {problem}", dotted(path)),
            location: Some(node.position.location.clone()),
            label: advice.to_owned(),
            masked: false,
        });
    }

    /// Returns the address under which pods of the configured provider reach a server on this computer.
    fn address_that_works(&self) -> &'static str {
        let cluster = &self.settings.cluster;
        let context = cluster.context.as_deref().filter(|context| !context.is_empty());
        let is_of = |prefix: &str| context.is_some_and(|context| context.starts_with(prefix));
        match cluster.provider {
            Provider::Kind => FROM_KIND,
            Provider::Kwok => SIMULATED,
            Provider::Auto | Provider::Existing if is_of("kind-") => FROM_KIND,
            Provider::Auto | Provider::Existing if is_of("kwok-") => SIMULATED,
            Provider::Auto if context.is_none() => FROM_KIND,
            Provider::Auto | Provider::Existing => IN_THE_CLUSTER,
        }
    }
}

const SIMULATED: &str = "simulated nodes run no container: nothing opens it there";
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

/// Ends of words in a text of arguments or variables: `--url="http://localhost"`, `A=http://localhost,B=1`.
const URL_SEPARATORS: [char; 6] = [' ', ',', ';', '=', '\'', '"'];

fn is_loopback(host: &str) -> bool {
    local_address(host) == Some(LocalAddress::Loopback)
}

/// Whether a variable of a sandbox names the server of a model, or a proxy.
fn is_model_variable(name: &str) -> bool {
    let uppercase = name.to_ascii_uppercase();
    let is_model = MODEL_VARIABLES.iter().any(|start| uppercase.starts_with(start));
    is_url_variable(name) && (is_model || uppercase.ends_with("_PROXY"))
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
            "localhost.localdomain",
            "ip6-localhost",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "0",
        ] {
            assert_eq!(local_address(host), Some(LocalAddress::Loopback), "{host}");
        }
        for host in ENGINE_NAMES {
            assert_eq!(local_address(host), Some(LocalAddress::EngineName), "{host}");
        }
        for host in CLUSTER_NAMES {
            assert_eq!(local_address(host), Some(LocalAddress::ClusterName), "{host}");
        }
        for host in [
            "ollama",
            "localhost.example.com",
            "172.18.0.1",
            "[fd00::1]",
            "1270.0.0.1",
            "10.1",
            "127.0.0.0.1",
            "127.0.0.256",
            "3232235777",
            "2130706433.example.com",
            "+127.1",
            "",
        ] {
            assert!(local_address(host).is_none(), "{host}");
        }
    }
}
