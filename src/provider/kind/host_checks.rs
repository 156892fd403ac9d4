//! Checks whether this computer can run a cluster, and reports all findings at once. Pure.

use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::provider::cluster_spec::{ClusterSpec, Ports, ResourceAmount};
use crate::provider::engine::{Engine, Info, NoEngine};

/// Facts about this computer and its engine.
#[derive(Debug, Clone)]
pub(super) struct HostFacts {
    /// The engine and its info, or why none is usable.
    pub(super) engine: Result<(Engine, Info), NoEngine>,
    /// The address of the engine, if it runs on another computer.
    pub(super) other_computer: Option<String>,
    /// kind's version, or the places that do not have a suitable one.
    pub(super) kind: Result<String, Vec<String>>,
    /// The ports that the cluster will map, with their states; empty if they are another computer's.
    pub(super) ports: Vec<(u16, Port)>,
    /// Free bytes on the engine's disk of images and volumes; None: that disk is not on this computer.
    pub(super) disk: Option<u64>,
    /// The kernel's inotify limits; None: the engine does not use this kernel.
    pub(super) inotify: Option<Inotify>,
    /// A context of the cluster's name that handsctl did not write, and its kubeconfig.
    pub(super) stale_context: Option<(String, String)>,
}

/// State of a port of this computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Port {
    /// No process listens on it.
    Free,
    /// The nodes of this very cluster publish it.
    OfCluster,
    /// A process listens on it.
    Busy {
        /// The process, if known: `nginx (pid 812)`, `container other-control-plane`.
        by: Option<String>,
        /// The cluster of handsctl whose node the container is.
        cluster: Option<String>,
    },
    /// This computer does not have the address.
    NoSuchAddress,
}

/// inotify limits of the kernel
/// (<https://kind.sigs.k8s.io/docs/user/known-issues/#pod-errors-due-to-too-many-open-files>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inotify {
    pub(super) watches: u64,
    pub(super) instances: u64,
}

/// A problem that blocks the cluster or will affect it later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFinding {
    /// The id in the catalogue.
    pub id: Id,
    /// Whether it prevents the creation of the cluster.
    pub blocks: bool,
    /// The problem.
    pub message: String,
    /// How to fix it: one hint per line.
    pub hint: String,
}

/// This computer as a host of a kind cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostReport {
    /// Whether a container engine is installed, usable or not.
    pub has_engine: bool,
    /// The facts in one line.
    pub summary: String,
    /// The problems, those that block a cluster first.
    pub findings: Vec<HostFinding>,
}

/// Requests of the first node's system pods: etcd, the control plane, DNS and the network
/// (kubeadm's and kind's manifests of Kubernetes 1.34).
const CONTROL_PLANE: ResourceAmount = ResourceAmount { cpu: 950, memory: 290 << 20 };
/// Memory that a node really uses, including its system processes.
const NODE_MEMORY: u64 = 700 << 20;

/// Bytes that a node needs: 1.4 GB for its container and as much for its image.
const MIN_DISK: u64 = 3 << 30;
/// Bytes for a node and the images of the application and the sandboxes, which take several GB.
const COMFORTABLE_DISK: u64 = 12 << 30;

/// inotify limits that each node needs.
const INOTIFY_PER_NODE: Inotify = Inotify { watches: 8192, instances: 128 };

/// Returns all findings, those that block the cluster first.
pub(super) fn check(facts: &HostFacts, desired: &ClusterSpec) -> Vec<HostFinding> {
    let mut findings = Vec::new();
    match &facts.engine {
        Err(none) => findings.extend(no_engine(none)),
        Ok((_, info)) => findings.extend(capacity(info, desired)),
    }
    findings.extend(facts.ports.iter().filter_map(|(port, state)| port_finding(*port, state, desired.ports)));
    if let Ok((engine, _)) = &facts.engine {
        findings.extend(facts.other_computer.as_ref().map(|address| other_computer(*engine, address)));
        findings.extend(disk(*engine, facts.disk));
    }
    findings.extend(inotify(facts.inotify, desired.workers));
    findings.extend(
        facts.stale_context.as_ref().map(|(context, file)| stale_context(context, file, &desired.name)),
    );
    findings.sort_by_key(|finding| !finding.blocks);
    findings
}

fn blocker(id: Id, message: impl Into<String>, hint: impl Into<String>) -> HostFinding {
    HostFinding { id, blocks: true, message: message.into(), hint: hint.into() }
}

fn warning(id: Id, message: impl Into<String>, hint: impl Into<String>) -> HostFinding {
    HostFinding { blocks: false, ..blocker(id, message, hint) }
}

fn no_engine(none: &NoEngine) -> Vec<HostFinding> {
    if none.faults.is_empty() {
        return vec![blocker(Id::EngineMissing, none.summary(), none.installation_hint())];
    }
    none.faults.iter().map(|fault| blocker(fault.id(), fault.summary(), fault.hint())).collect()
}

/// Returns the error for a missing engine.
pub(in crate::provider) fn no_engine_error(none: &NoEngine) -> Error {
    let findings = no_engine(none);
    let id = findings.first().map_or(Id::EngineMissing, |finding| finding.id);
    let error = Error::new(id, Kind::Prerequisite, none.summary());
    findings.into_iter().fold(error, |error, finding| error.hint(finding.hint))
}

/// Returns how many sandboxes fit in addition to the application; None: the application does not fit or starts none, or CPU
/// or memory is unknown.
pub(super) fn sandboxes(info: &Info, desired: &ClusterSpec) -> Option<u64> {
    let free = remaining(info, desired)?;
    let fits = |free: u64, one: u64| free.checked_div(one).unwrap_or(u64::MAX);
    let sandbox = desired.load.sandbox;
    if sandbox == ResourceAmount::default() {
        return None;
    }
    Some(fits(free.cpu, sandbox.cpu).min(fits(free.memory, sandbox.memory)))
}

/// Returns the resources that the control plane and the application leave; None: they do not fit, or the engine does
/// not report its resources.
fn remaining(info: &Info, desired: &ClusterSpec) -> Option<ResourceAmount> {
    let application = desired.load.application;
    Some(ResourceAmount {
        cpu: (info.cpus? * 1000).checked_sub(CONTROL_PLANE.cpu + application.cpu)?,
        memory: info.memory?.checked_sub(CONTROL_PLANE.memory + application.memory)?,
    })
}

fn capacity(info: &Info, desired: &ClusterSpec) -> Option<HostFinding> {
    let (cpus, memory) = (info.cpus?, info.memory?);
    let application = desired.load.application;
    if cpus * 1000 < CONTROL_PLANE.cpu + application.cpu {
        let message = format!(
            "the engine has {cpus} cpu, but the control plane and the application request {}m",
            CONTROL_PLANE.cpu + application.cpu
        );
        let hint = "give the engine more cpus, or lower [deploy].resources.requests.cpu";
        return Some(blocker(Id::ComputerTooSmall, message, hint));
    }
    let needed = NODE_MEMORY * u64::from(desired.workers + 1) + application.memory;
    if memory < needed {
        let message = format!(
            "the engine has {} of memory, but the nodes and the application need {}",
            size(memory),
            size(needed)
        );
        let hint = "give the engine more memory, or lower [deploy].resources.requests.memory";
        return Some(blocker(Id::ComputerTooSmall, message, hint));
    }
    (sandboxes(info, desired) == Some(0)).then(|| {
        let message = format!(
            "no sandbox fits in addition to the application: the engine has {cpus} cpu and {} of memory",
            size(memory)
        );
        let hint =
            "give the engine more of both, or lower [kubernetes].resource_cpu_request and resource_memory_request";
        warning(Id::ComputerTooSmall, message, hint)
    })
}

fn port_finding(port: u16, state: &Port, ports: Ports) -> Option<HostFinding> {
    let key = if ports.http == Some(port) { "http_port" } else { "https_port" };
    match state {
        Port::Free | Port::OfCluster => None,
        Port::Busy { by, cluster } => {
            let holder = by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
            let message = format!("port {port} of {} is in use{holder}", ports.address);
            let key = format!("cluster.{key}={}", alternative(port));
            let other = format!(
                "handsctl up --set {key} uses another port\nhandsctl config set {key} keeps it in config.toml"
            );
            let hint = match cluster {
                Some(cluster) => format!(
                    "{other}\nto delete the cluster {cluster} with everything in it, whose node uses the port: handsctl cluster down {cluster}"
                ),
                None => format!("{other}\nor stop the process that uses it"),
            };
            Some(blocker(Id::PortBusy, message, hint))
        }
        Port::NoSuchAddress => {
            let message = format!("this computer does not have the address {}", ports.address);
            Some(blocker(
                Id::PortBusy,
                message,
                "[cluster] http_address = \"127.0.0.1\", or \"0.0.0.0\" for all",
            ))
        }
    }
}

/// Returns a port that is rarely in use: 8080 for 80, 8443 for 443.
fn alternative(port: u16) -> u16 {
    match port {
        443 => 8443,
        8443 => 9443,
        8080 => 8081,
        _ => 8080,
    }
}

fn disk(engine: Engine, free: Option<u64>) -> Option<HostFinding> {
    let free = free?;
    let hint = format!("{engine} system prune deletes data that no container uses");
    if free < MIN_DISK {
        let message =
            format!("the engine's disk has {} free, but a node alone needs {}", size(free), size(MIN_DISK));
        return Some(blocker(Id::DiskFull, message, hint));
    }
    (free < COMFORTABLE_DISK).then(|| {
        let message = format!(
            "the engine's disk has {} free, but the images of the application and the sandboxes need several GiB more",
            size(free)
        );
        warning(Id::DiskFull, message, hint)
    })
}

fn inotify(limits: Option<Inotify>, workers: u32) -> Option<HostFinding> {
    let limits = limits?;
    let nodes = u64::from(workers + 1);
    let needed =
        Inotify { watches: INOTIFY_PER_NODE.watches * nodes, instances: INOTIFY_PER_NODE.instances * nodes };
    (limits.watches < needed.watches || limits.instances < needed.instances).then(|| {
        let message = format!(
            "fs.inotify.max_user_watches is {} and max_user_instances is {}: pods may fail with `too many open files`",
            limits.watches, limits.instances
        );
        let hint = "sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512";
        warning(Id::InotifyLow, message, hint)
    })
}

fn other_computer(engine: Engine, address: &str) -> HostFinding {
    let message = format!(
        "the engine runs on another computer ({address}): its ports, its disk and its inotify limits are not checked, \
         and the cluster listens on that computer"
    );
    let other_engine = match engine {
        Engine::Docker => "docker context use default selects the engine of this computer",
        Engine::Podman => "podman system connection default NAME selects another engine",
        Engine::Nerdctl => "CONTAINERD_ADDRESS selects another engine",
    };
    let hint = format!("{other_engine}; or run handsctl on that computer");
    warning(Id::EngineRemote, message, hint)
}

fn stale_context(context: &str, file: &str, name: &str) -> HostFinding {
    let message =
        format!("{file} has a context {context} that handsctl did not write, but there is no such cluster");
    let hint = format!("kind delete cluster --name {name} removes it, or choose another [cluster] name");
    blocker(Id::StaleContext, message, hint)
}

fn size(bytes: u64) -> String {
    let tenths = bytes * 10 / (1 << 30);
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}

/// Summarizes the facts in one line: `docker 28.2.2, kind v0.33.0, 2 cpus, 23.4 GiB, port 80 free, room for 3
/// sandboxes`.
pub(super) fn summary(facts: &HostFacts, desired: &ClusterSpec) -> String {
    let mut parts = Vec::new();
    if let Ok((engine, info)) = &facts.engine {
        parts.push(format!("{engine} {}", info.version));
        parts.extend(info.cpus.map(|cpus| format!("{cpus} cpus")));
        parts.extend(info.memory.map(size));
    }
    parts.extend(facts.kind.as_ref().ok().map(|version| format!("kind {version}")));
    parts.extend(facts.ports.iter().map(|(port, state)| match state {
        Port::OfCluster => format!("port {port} of cluster {}", desired.name),
        Port::Free | Port::Busy { .. } | Port::NoSuchAddress => format!("port {port} free"),
    }));
    if let Some(count) = facts.engine.as_ref().ok().and_then(|(_, info)| sandboxes(info, desired)) {
        parts.push(format!("room for {count} sandbox{}", if count == 1 { "" } else { "es" }));
    }
    parts.join(", ")
}

/// Returns one error with all blocking findings; None: no finding blocks the cluster.
pub(super) fn error(findings: &[HostFinding], name: &str) -> Option<Error> {
    let blocking: Vec<&HostFinding> = findings.iter().filter(|finding| finding.blocks).collect();
    let (first, others) = blocking.split_first()?;
    let error = Error::new(first.id, Kind::Prerequisite, first.message.clone())
        .fact("cluster", format!("kind-{name} was not created; nothing was changed"));
    let error = first.hint.lines().fold(error, Error::hint);
    Some(others.iter().fold(error, |error, other| {
        error.fact("also", format!("{} {}\n{}", other.id, other.message, other.hint))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::cluster_spec::Workload;

    fn facts() -> HostFacts {
        let info = Info { version: "28.2.2".into(), cpus: Some(2), memory: Some(8 << 30), ..Info::default() };
        HostFacts {
            engine: Ok((Engine::Docker, info)),
            other_computer: None,
            kind: Ok("v0.33.0".into()),
            ports: vec![(80, Port::Free)],
            disk: Some(100 << 30),
            inotify: Some(Inotify { watches: 524_288, instances: 512 }),
            stale_context: None,
        }
    }

    fn spec() -> ClusterSpec {
        let application = ResourceAmount { cpu: 300, memory: 1 << 30 };
        let sandbox = ResourceAmount { cpu: 250, memory: 1 << 30 };
        ClusterSpec {
            ports: Ports { http: Some(80), ..Ports::NONE },
            load: Workload { application, sandbox },
            ..ClusterSpec::named("x")
        }
    }

    fn ids(facts: &HostFacts, desired: &ClusterSpec) -> Vec<(Id, bool)> {
        check(facts, desired).into_iter().map(|finding| (finding.id, finding.blocks)).collect()
    }

    #[test]
    fn large_enough_computer_has_no_findings() {
        assert_eq!(ids(&facts(), &spec()), []);
        assert_eq!(
            summary(&facts(), &spec()),
            "docker 28.2.2, 2 cpus, 8.0 GiB, kind v0.33.0, port 80 free, room for 3 sandboxes"
        );
        let published = HostFacts { ports: vec![(80, Port::OfCluster)], ..facts() };
        assert_eq!(ids(&published, &spec()), []);
        assert!(summary(&published, &spec()).contains("port 80 of cluster x"));
    }

    #[test]
    fn each_missing_prerequisite_has_its_finding() {
        let with = |change: fn(&mut HostFacts, &mut ClusterSpec)| {
            let (mut facts, mut desired) = (facts(), spec());
            change(&mut facts, &mut desired);
            ids(&facts, &desired)
        };
        assert_eq!(with(|facts, _| facts.disk = Some(1 << 30)), [(Id::DiskFull, true)]);
        assert_eq!(with(|facts, _| facts.disk = Some(5 << 30)), [(Id::DiskFull, false)]);
        assert_eq!(
            with(|facts, _| facts.ports[0].1 = Port::Busy { by: None, cluster: None }),
            [(Id::PortBusy, true)]
        );
        let hints = |cluster: Option<&str>| {
            let state = Port::Busy { by: None, cluster: cluster.map(str::to_owned) };
            let finding = port_finding(80, &state, spec().ports).expect("a finding");
            error(&[finding], "x").expect("an error").hints().to_vec()
        };
        let [up, keep] = [
            "handsctl up --set cluster.http_port=8080 uses another port",
            "handsctl config set cluster.http_port=8080 keeps it in config.toml",
        ];
        assert_eq!(hints(None), [up, keep, "or stop the process that uses it"]);
        let own = "to delete the cluster trial with everything in it, whose node uses the port: handsctl cluster down trial";
        assert_eq!(hints(Some("trial")), [up, keep, own]);
        assert_eq!(with(|facts, _| facts.ports[0].1 = Port::NoSuchAddress), [(Id::PortBusy, true)]);
        let remote =
            |facts: &mut HostFacts, _: &mut ClusterSpec| facts.other_computer = Some("ssh://a".into());
        assert_eq!(with(remote), [(Id::EngineRemote, false)]);
        assert_eq!(
            with(|facts, _| facts.inotify = Some(Inotify { watches: 8192, instances: 64 })),
            [(Id::InotifyLow, false)]
        );
        assert_eq!(with(|_, desired| desired.load.application.cpu = 1500), [(Id::ComputerTooSmall, true)]);
        assert_eq!(with(|_, desired| desired.load.sandbox.cpu = 1000), [(Id::ComputerTooSmall, false)]);
        assert_eq!(
            with(|_, desired| desired.load.application.memory = 8 << 30),
            [(Id::ComputerTooSmall, true)]
        );
        assert_eq!(
            with(|facts, _| facts.stale_context = Some(("kind-x".into(), "config".into()))),
            [(Id::StaleContext, true)]
        );
    }

    #[test]
    fn all_findings_are_reported_with_blocking_ones_first() {
        let mut facts = facts();
        facts.disk = Some(5 << 30);
        facts.ports[0].1 = Port::Busy { by: Some("nginx (pid 7)".into()), cluster: None };
        facts.stale_context = Some(("kind-x".into(), "config".into()));
        let findings = check(&facts, &spec());
        assert_eq!(findings.len(), 3);
        let error = error(&findings, "x").unwrap();
        assert_eq!(error.message(), "port 80 of 127.0.0.1 is in use by nginx (pid 7)");
        assert_eq!(
            error.hints(),
            [
                "handsctl up --set cluster.http_port=8080 uses another port",
                "handsctl config set cluster.http_port=8080 keeps it in config.toml",
                "or stop the process that uses it",
            ]
        );
        let also: Vec<&str> =
            error.facts().iter().filter(|fact| fact.label == "also").map(|fact| fact.text.as_str()).collect();
        assert_eq!(also.len(), 1, "a warning is not part of the error: {also:?}");
        assert!(also[0].contains("kind delete cluster --name x"), "{also:?}");
        assert!(super::error(&findings[2..], "x").is_none());
    }
}
