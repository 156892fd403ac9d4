//! Reads what the checks need and runs them, all categories at once, each with its own limit.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::future::join_all;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::check::{Category, Check, Listed};
use super::storage::PlannedClaim;
use super::webhooks::{self, ServiceName};
use super::{
    application, computer, connections, dns, host, in_pod, ingress, limit_range, login, metrics, nodes,
    pod_security, policies, quota, reading, rights, server, storage,
};
use crate::catalogue::Id;
use crate::cluster::access::{access_review, deployer_role};
use crate::cluster::client::api::Api;
use crate::cluster::client::discovery;
use crate::error::{Error, Kind};
use crate::object::condition;
use crate::object::kind::{
    CLAIM, ENDPOINT_SLICE, INGRESS, INGRESS_CLASS, KindInfo, LIMIT_RANGE, MUTATING_WEBHOOK, NAMESPACE,
    NETWORK_POLICY, NODE, POD, POD_METRICS, RESOURCE_QUOTA, SECRET, SERVICE, SERVICE_ACCOUNT, STORAGE_CLASS,
    VALIDATING_WEBHOOK,
};
use crate::object::labels;
use crate::phrase;
use crate::plan::checks::node_fit;
use crate::plan::checks::sandbox_capacity::{NodeHosts, SandboxPod};
use crate::plan::checks::secret_refs::{self, SecretRef, SecretUse};
use crate::plan::checks::service_account;
use crate::plan::{self, Member, Plan, SecretNaming};
use crate::provider::{self, ClusterSpec};
use crate::session::cluster_session::Session;
use crate::session::desired_cluster::{desired_cluster, expected_load};
use crate::settings::Settings;
use crate::settings::format::DnsName;
use crate::settings::handsctl::{Profile, Provider};

/// The limit of each category.
const LIMIT: Duration = Duration::from_secs(10);
/// The limit of the lists that several categories share. The other categories do not wait for them.
const LISTS_LIMIT: Duration = Duration::from_secs(5);
/// The limit of a name's resolution.
const RESOLUTION: Duration = Duration::from_secs(3);
/// The most nodes, and the most pods, that are read.
const MAX_OBJECTS: u32 = 1000;

/// Checks this computer, as the host of the local cluster that the configuration describes.
pub(crate) async fn computer(
    environment: &provider::Environment,
    settings: &Settings,
    kubeconfig: Option<&std::path::Path>,
) -> Vec<Check> {
    let desired = ClusterSpec { load: expected_load(settings), ..desired_cluster(settings) };
    within(Category::Computer, "engine", async {
        match provider::inspect_host(environment, &desired, kubeconfig).await {
            Ok(report) => computer::checks(report, settings.cluster.provider),
            Err(error) => vec![Check::failed(Category::Computer, "engine", error)],
        }
    })
    .await
}

/// Whether the configuration describes a local cluster, or may.
pub(crate) fn concerns_computer(session: Option<&Session>, settings: &Settings) -> bool {
    let is_local = session.is_none_or(|session| session.local.is_some());
    settings.cluster.provider != Provider::Existing && is_local
}

/// Checks the cluster of a session. A server that does not respond is the only result.
pub(crate) async fn cluster(session: &Session) -> Vec<Check> {
    let began = Instant::now();
    let version = match tokio::time::timeout(LIMIT, Box::pin(session.server_version())).await {
        Ok(Ok(version)) => version,
        Ok(Err(error)) => return vec![Check::failed(Category::Api, "server", error)],
        Err(_elapsed) => return vec![Check::failed(Category::Api, "server", silent(session))],
    };
    let took = began.elapsed();
    let api = &session.connection.api;
    let settings = &session.settings;
    let plan = match plan::build(settings, SecretNaming::Placeholder, &[]) {
        Ok(plan) => plan,
        Err(error) => return vec![Check::failed(Category::Configuration, "objects", error)],
    };
    let subject = Subject { session, api, settings, plan: &plan, server_minor: version.minor };
    // On the heap: together they are larger than a thread's stack has room for.
    let (rights, metrics, storage, host, webhooks, app, login, listed) = tokio::join!(
        within(Category::Rights, "rules", Box::pin(subject.rights())),
        within(Category::Api, "metrics API", Box::pin(subject.metrics())),
        within(Category::Storage, "storage class", Box::pin(subject.storage())),
        within(Category::Network, "host", Box::pin(subject.host())),
        within(Category::Network, "webhooks", Box::pin(subject.webhooks())),
        within(Category::App, "pod", Box::pin(application::checks(api, settings, &plan))),
        within(Category::App, "login", Box::pin(login::checks(session))),
        Box::pin(subject.checks_of_nodes_and_pods()),
    );
    let mut checks = vec![server::version(&version, took), server::clock(api.clock().ahead())];
    let [network, connections, nodes, sandboxes] = listed;
    for more in [metrics, rights, storage, network, host, connections, webhooks, nodes, sandboxes, app, login]
    {
        checks.extend(more);
    }
    checks
}

/// Returns the error of an API server that accepts the connection and does not respond.
fn silent(session: &Session) -> Error {
    let message = format!("the API server did not respond within {}", phrase::span(LIMIT));
    Error::new(Id::Unreachable, Kind::Unreachable, message)
        .fact("server", session.connection.server.clone())
        .hint("the API server is overloaded or starting; try again")
}

/// Ends a reading that takes too long.
async fn limited<T>(limit: Duration, reading: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let silent = |_elapsed| Err(format!("no answer within {}", phrase::span(limit)));
    tokio::time::timeout(limit, reading).await.unwrap_or_else(silent)
}

/// Ends a category that takes too long.
pub(crate) async fn within(
    category: Category,
    name: &'static str,
    checks: impl Future<Output = Vec<Check>>,
) -> Vec<Check> {
    let silent =
        |_elapsed| vec![Check::unknown(category, name, format!("no answer within {}", phrase::span(LIMIT)))];
    tokio::time::timeout(LIMIT, checks).await.unwrap_or_else(silent)
}

/// What is checked.
struct Subject<'a> {
    session: &'a Session,
    api: &'a Api,
    settings: &'a Settings,
    plan: &'a Plan,
    /// 0: the server does not tell it.
    server_minor: u32,
}

/// The lists that several categories share.
struct SharedLists {
    nodes: Listed,
    /// The pods of the whole cluster that have not ended.
    pods: Listed,
}

impl Subject<'_> {
    fn namespace(&self) -> &str {
        self.settings.deploy.namespace.as_str()
    }

    /// Whether no node runs a container.
    fn is_simulation(&self, lists: &SharedLists) -> bool {
        let all_simulated =
            |nodes: &Vec<Value>| !nodes.is_empty() && nodes.iter().all(node_fit::is_simulated);
        self.session.is_simulation || lists.nodes.as_ref().is_ok_and(all_simulated)
    }

    /// Reads the lists that several categories share, and runs their checks: of the network, of connections from a pod, of
    /// nodes and of sandboxes.
    async fn checks_of_nodes_and_pods(&self) -> [Vec<Check>; 4] {
        let all = ListParams::default().limit(MAX_OBJECTS);
        let running = all.clone().fields("status.phase!=Succeeded,status.phase!=Failed");
        let (nodes, pods) = tokio::join!(
            limited(LISTS_LIMIT, reading::list(self.api, NODE, None, &all)),
            limited(LISTS_LIMIT, reading::list(self.api, POD, None, &running))
        );
        let lists = SharedLists { nodes, pods };
        let (network, connected, nodes, sandboxes) = tokio::join!(
            within(Category::Network, "ingress class", Box::pin(self.network(&lists))),
            limited(LIMIT, Box::pin(self.connections(&lists))),
            within(Category::Nodes, "nodes", Box::pin(self.nodes(&lists.nodes))),
            within(Category::Sandboxes, "sandboxes", Box::pin(self.sandboxes(&lists))),
        );
        let is_dns_down = network.iter().any(Check::is_dns_down);
        let connections = match connected {
            // No container answers there.
            _ if self.is_simulation(&lists) => Vec::new(),
            Ok((pod, steps)) => connections::checks(&Ok(steps), &pod, is_dns_down),
            Err(reason) => connections::checks(&Err(reason), "", is_dns_down),
        };
        [network, connections, nodes, sandboxes]
    }

    fn members(&self, kind: KindInfo) -> impl Iterator<Item = &Member> {
        self.plan.members.iter().filter(move |member| member.kind == kind)
    }

    async fn rights(&self) -> Vec<Check> {
        let needed = deployer_role::deployer_permissions(self.plan, &secret_refs::secret_refs(self.settings));
        let all: BTreeSet<_> = needed.keys().cloned().collect();
        match access_review::denied(self.api, &all).await {
            Ok(denied) => rights::checks(&needed, &denied),
            Err(error) if error.kind() == Kind::Unauthenticated => {
                vec![Check::failed(Category::Rights, "login", error)]
            }
            Err(error) => vec![Check::unknown(Category::Rights, "rules", error.with_causes())],
        }
    }

    async fn metrics(&self) -> Vec<Check> {
        let is_served =
            discovery::serves(self.api, &POD_METRICS.api_version()).await.map_err(|error| error.reason());
        vec![metrics::api(is_served, self.settings)]
    }

    async fn storage(&self) -> Vec<Check> {
        let classes = reading::list(self.api, STORAGE_CLASS, None, &ListParams::default()).await;
        let mut checks = Vec::new();
        for member in self.members(CLAIM) {
            let live = reading::get(self.api, CLAIM, member.id.namespace.as_deref(), &member.id.name).await;
            let name = member.id.to_string();
            let existing = match live {
                Err(reason) => Some(Check::unknown(Category::Storage, "volume", reason)),
                Ok(live) => storage::existing(&name, live.as_ref()),
            };
            let class = member.manifest["spec"]["storageClassName"].as_str();
            let key = "deploy.storage_class";
            let claim = PlannedClaim { category: Category::Storage, name: &name, class, key };
            checks.push(existing.unwrap_or_else(|| storage::class(claim, &classes, self.settings)));
        }
        if let Some(claim) = &self.settings.deploy.existing_claim {
            checks.push(self.named_claim(claim.as_str()).await);
        }
        if !self.settings.edition().has_sandbox_pods() {
            return checks;
        }
        let class = self.settings.openhands.kubernetes.pvc_storage_class.as_ref();
        let claim = PlannedClaim {
            category: Category::Sandboxes,
            name: "a sandbox's volume claim",
            class: class.map(DnsName::as_str),
            key: "kubernetes.pvc_storage_class",
        };
        checks.push(storage::class(claim, &classes, self.settings));
        checks
    }

    /// Checks the claim that `[deploy].existing_claim` names.
    async fn named_claim(&self, name: &str) -> Check {
        let id = CLAIM.id(self.namespace(), name);
        match reading::get(self.api, CLAIM, Some(self.namespace()), name).await {
            Err(reason) => Check::unknown(Category::Storage, "volume", reason),
            Ok(live) => storage::existing(&id.to_string(), live.as_ref()).unwrap_or_else(|| {
                let message = format!(
                    "{id} does not exist in namespace {}: the pod would wait for it",
                    self.namespace()
                );
                let error = Error::new(Id::ClaimMissing, Kind::Prerequisite, message)
                    .with_keys(self.settings.config_keys(&["deploy.existing_claim".to_owned()]));
                Check::failed(Category::Storage, "volume", error)
            }),
        }
    }

    async fn network(&self, lists: &SharedLists) -> Vec<Check> {
        let is_simulation = self.is_simulation(lists);
        let of_dns = ListParams::default().labels(&format!("{}={}", labels::SERVICE_NAME, dns::SERVICE));
        let all = ListParams::default();
        let (slices, classes, secrets) = tokio::join!(
            reading::list(self.api, ENDPOINT_SLICE, Some("kube-system"), &of_dns),
            reading::list(self.api, INGRESS_CLASS, None, &all),
            self.secrets(),
        );
        let ingresses =
            self.members(INGRESS).map(|member| member.manifest["spec"]["ingressClassName"].as_str());
        // Simulated nodes run no controller. A class that the configuration names must exist all the same.
        let ingresses = ingresses.filter(|class| !is_simulation || class.is_some());
        let mut checks: Vec<Check> =
            ingresses.map(|class| ingress::class(class, &classes, &lists.pods, self.settings)).collect();
        if is_simulation {
            let text = "simulated nodes run no pod that resolves names";
            checks.push(Check::noted(Category::Network, "cluster DNS", text));
        } else {
            checks.insert(0, dns::endpoints(&slices));
            if self.members(NETWORK_POLICY).next().is_some() {
                checks.push(policies::enforced(&lists.pods, self.settings));
            }
        }
        checks.extend(secrets);
        checks.extend(self.service_account().await);
        checks
    }

    /// Checks that no Ingress of others has the host: of the whole cluster, or of the namespace if the account may not list
    /// more.
    async fn host(&self) -> Vec<Check> {
        let planned: Vec<&Value> = self.members(INGRESS).map(|member| &member.manifest).collect();
        if planned.is_empty() {
            return Vec::new();
        }
        let all = ListParams::default();
        let (others, unlisted) = match reading::list(self.api, INGRESS, None, &all).await {
            Ok(others) => (Ok(others), None),
            Err(reason) => {
                (reading::list(self.api, INGRESS, Some(self.namespace()), &all).await, Some(reason))
            }
        };
        host::unshared(&planned, &others, unlisted.as_deref(), self.settings)
    }

    /// Checks the ServiceAccount that `[deploy].service_account` names.
    async fn service_account(&self) -> Option<Check> {
        let id = service_account::named(self.settings)?;
        let (category, name) = (Category::Configuration, "service account");
        Some(match reading::get(self.api, SERVICE_ACCOUNT, Some(self.namespace()), &id.name).await {
            Err(reason) => Check::unknown(category, name, reason),
            Ok(Some(_)) => Check::passed(category, name, id.to_string()),
            Ok(None) => {
                let message = format!("{id} does not exist in namespace {}", self.namespace());
                let error = Error::new(Id::ServiceAccountMissing, Kind::Prerequisite, message)
                    .with_keys(self.settings.config_keys(&["deploy.service_account".to_owned()]))
                    .hint("handsctl deploy names the commands with which an administrator creates it");
                Check::failed(category, name, error)
            }
        })
    }

    /// Checks the user's Secrets that the configuration names.
    async fn secrets(&self) -> Vec<Check> {
        let refs = secret_refs::secret_refs(self.settings);
        join_all(refs.iter().map(|secret_ref| self.secret(secret_ref))).await
    }

    async fn secret(&self, secret_ref: &SecretRef) -> Check {
        let SecretRef { namespace, name, used_for } = secret_ref;
        let is_of_sandboxes = namespace.as_str() != self.namespace();
        let category = if is_of_sandboxes { Category::Sandboxes } else { Category::Configuration };
        let label = "secrets";
        let secret = match reading::get(self.api, SECRET, Some(namespace), name).await {
            Ok(secret) => secret,
            Err(reason) => return Check::unknown(category, label, format!("secret/{name}: {reason}")),
        };
        let fault = secret_ref.fault(secret.as_ref(), self.api.clock().now());
        match (fault, used_for) {
            (None, _) => Check::passed(category, label, format!("secret/{name} in namespace {namespace}")),
            (Some(fault), SecretUse::Keys(_)) => {
                // A fault of keys is that some are missing.
                let hint = secret_ref.completing_command(secret.as_ref()).unwrap_or_default();
                Check::failed(category, label, secret_error(fault, hint))
            }
            (Some(fault), SecretUse::Pull) => {
                let hint = format!(
                    "kubectl create secret docker-registry {name} -n {namespace} --docker-server=HOST"
                );
                Check::warning(category, label, secret_error(fault, hint))
            }
            (Some(fault), SecretUse::Certificate { .. }) => {
                let hint = format!("kubectl create secret tls {name} -n {namespace} --cert=FILE --key=FILE");
                Check::warning(category, label, secret_error(fault, hint))
            }
        }
    }

    async fn webhooks(&self) -> Vec<Check> {
        let all = ListParams::default();
        let (validating, mutating, namespace) = tokio::join!(
            reading::list(self.api, VALIDATING_WEBHOOK, None, &all),
            reading::list(self.api, MUTATING_WEBHOOK, None, &all),
            reading::get(self.api, NAMESPACE, None, self.namespace()),
        );
        if let Some(unknown) = webhooks::unreadable(&[&validating, &mutating]) {
            return vec![unknown];
        }
        let mut kinds: Vec<KindInfo> = self.plan.members.iter().map(|member| member.kind).collect();
        let namespace = match namespace {
            Err(reason) => return vec![Check::unknown(Category::Network, "webhooks", reason)],
            Ok(Some(namespace)) => namespace,
            Ok(None) => {
                kinds.push(NAMESPACE);
                self.planned_namespace()
            }
        };
        let mut called = webhooks::called(
            &mutating.unwrap_or_default(),
            "mutatingwebhookconfiguration",
            &kinds,
            &namespace,
        );
        called.extend(webhooks::called(
            &validating.unwrap_or_default(),
            "validatingwebhookconfiguration",
            &kinds,
            &namespace,
        ));
        let services: BTreeSet<&ServiceName> =
            called.iter().filter_map(|webhook| webhook.service.as_ref()).collect();
        let servers =
            services.into_iter().map(async |service| (service.clone(), self.ready_endpoints(service).await));
        let servers: BTreeMap<ServiceName, Result<usize, String>> =
            join_all(servers).await.into_iter().collect();
        webhooks::served(&called, &servers)
    }

    /// Returns the namespace that a deploy creates, with the label that the API server adds.
    fn planned_namespace(&self) -> Value {
        let mut labels = labels::namespace_labels(self.settings.openhands.kubernetes.privileged);
        labels["kubernetes.io/metadata.name"] = json!(self.namespace());
        json!({ "metadata": { "name": self.namespace(), "labels": labels } })
    }

    async fn ready_endpoints(&self, (namespace, service): &ServiceName) -> Result<usize, String> {
        let of_service = ListParams::default().labels(&format!("{}={service}", labels::SERVICE_NAME));
        let slices = reading::list(self.api, ENDPOINT_SLICE, Some(namespace), &of_service).await?;
        Ok(dns::ready_endpoints(&slices))
    }

    /// Connects from a ready pod of the application. Returns the pod's name, and what it reports.
    async fn connections(&self, lists: &SharedLists) -> Result<(String, Value), String> {
        if self.is_simulation(lists) {
            return Err("simulated nodes run no container".to_owned());
        }
        if self.settings.deploy.profile == Profile::Dev {
            return Err("profile dev runs the application on this computer".to_owned());
        }
        let selector = labels::instance_selector(self.settings.deploy.name.as_str());
        let selector = ListParams::default().labels(&selector);
        let pods = reading::list(self.api, POD, Some(self.namespace()), &selector).await?;
        let ready =
            pods.iter().find(|pod| condition::is_ready(pod)).and_then(|pod| pod["metadata"]["name"].as_str());
        let (Some(pod), Some(service)) = (ready, self.members(SERVICE).next()) else {
            return Err("no pod of the application is ready".to_owned());
        };
        let port =
            service.manifest["spec"]["ports"][0]["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        let target = (service.id.name.as_str(), port.unwrap_or_default());
        let steps = in_pod::connections(self.api, self.namespace(), pod, target).await?;
        Ok((pod.to_owned(), steps))
    }

    async fn nodes(&self, nodes: &Listed) -> Vec<Check> {
        match nodes {
            Err(reason) => vec![Check::unknown(Category::Nodes, "nodes", reason.as_str())],
            Ok(nodes) => {
                let having = self.local_nodes_with(self.settings.deploy.image.as_str()).await;
                let kubelets = nodes::kubelets(nodes, self.server_minor);
                let placement =
                    [nodes::placement(nodes, self.settings), nodes::app_image(nodes, &having, self.settings)];
                [nodes::ready(nodes)].into_iter().chain(kubelets).chain(placement).collect()
            }
        }
    }

    /// Returns the kind nodes on this computer that have the image: a node's status lists a new one only after some time.
    async fn local_nodes_with(&self, image: &str) -> Vec<String> {
        match provider::kind_cluster(&self.session.connection.choice.context) {
            Some(cluster) => provider::nodes_with_image(&self.session.environment, cluster, image).await,
            None => Vec::new(),
        }
    }

    async fn sandboxes(&self, lists: &SharedLists) -> Vec<Check> {
        if !self.settings.edition().has_sandbox_pods() {
            return Vec::new();
        }
        let runtime = match self.settings.deploy.profile {
            // mirrord's agent runs beside the pod.
            Profile::Dev => self.namespace(),
            _ => self.settings.runtime_namespace(),
        };
        let all = ListParams::default();
        let (namespace, quotas, ranges, domain) = tokio::join!(
            reading::get(self.api, NAMESPACE, None, runtime),
            reading::list(self.api, RESOURCE_QUOTA, Some(runtime), &all),
            reading::list(self.api, LIMIT_RANGE, Some(runtime), &all),
            self.domain(),
        );
        let mut checks = vec![
            pod_security::check(namespace, self.settings),
            quota::sandbox_room(&quotas, self.settings),
            limit_range::sandbox(&ranges.map(|ranges| self.with_planned_ranges(ranges)), self.settings),
        ];
        match (&lists.nodes, &lists.pods) {
            (Err(reason), _) | (_, Err(reason)) => {
                checks.push(Check::unknown(Category::Sandboxes, "room", reason.as_str()));
            }
            (Ok(nodes), Ok(pods)) => {
                let own = provider::kind_cluster(&self.session.connection.choice.context);
                let hosts = if own.is_some() { NodeHosts::OneComputer } else { NodeHosts::Separate };
                let sandbox = SandboxPod::from_settings(self.settings);
                checks.push(nodes::sandbox_room(&sandbox.estimate(nodes, pods, hosts), self.settings));
                let having = match sandbox.image() {
                    Some(image) => self.local_nodes_with(image).await,
                    None => Vec::new(),
                };
                checks.push(nodes::sandbox_image(nodes, &having, self.settings));
            }
        }
        checks.push(domain);
        checks
    }

    /// Returns the limit ranges as they are after a deploy.
    fn with_planned_ranges(&self, mut ranges: Vec<Value>) -> Vec<Value> {
        for member in self.members(LIMIT_RANGE) {
            ranges.retain(|range| range["metadata"]["name"] != member.id.name.as_str());
            ranges.push(member.manifest.clone());
        }
        ranges
    }

    /// Checks that a sandbox's host has an address.
    async fn domain(&self) -> Check {
        let (category, name) = (Category::Sandboxes, "domain");
        let host = self.settings.sandbox_host();
        let domain = &self.settings.openhands.kubernetes.ingress_domain;
        // https://www.rfc-editor.org/rfc/rfc6761#section-6.3: browsers resolve it themselves.
        if host.ends_with(".localhost") {
            return Check::passed(category, name, format!("*.{domain} is this computer"));
        }
        let resolution = tokio::net::lookup_host((host.as_str(), 80));
        let error = match tokio::time::timeout(RESOLUTION, resolution).await {
            Err(_elapsed) => {
                let reason = format!("no answer about {host} within {}", phrase::span(RESOLUTION));
                return Check::unknown(category, name, reason);
            }
            Ok(Ok(_addresses)) => return Check::passed(category, name, format!("*.{domain} resolves")),
            Ok(Err(error)) => error,
        };
        let message = format!(
            "*.{domain} does not resolve from this computer: the editor of a conversation cannot be opened"
        );
        let error = Error::new(Id::DomainNotResolved, Kind::Prerequisite, message)
            .caused_by(error)
            .with_keys(self.settings.config_keys(&["kubernetes.ingress_domain".to_owned()]))
            .hint(format!(
                "an administrator adds a DNS entry *.{domain} that leads to the ingress controller"
            ));
        Check::warning(category, name, error)
    }
}

fn secret_error(fault: String, hint: String) -> Error {
    Error::new(Id::MissingReference, Kind::Prerequisite, fault).hint(hint)
}
