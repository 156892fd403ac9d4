//! What on this computer is in the way of a cluster. Pure: facts in, findings out, all of them.

use crate::catalogue::Id;
use crate::error::{Error, Kind};
use crate::provider::cluster_spec::{ClusterSpec, Ports, ResourceAmount};
use crate::provider::engine::{Info, NoEngine};

/// What is known of this computer and its engine.
#[derive(Debug, Clone)]
pub(super) struct HostFacts {
    /// The engine, or why there is none.
    pub(super) engine: Result<(String, Info), NoEngine>,
    /// kind's version, or what was looked at in vain.
    pub(super) kind: Result<String, Vec<String>>,
    /// The ports that will be mapped.
    pub(super) ports: Vec<(u16, Port)>,
    /// Bytes that are free where the engine keeps images and volumes, where that is on this computer.
    pub(super) disk: Option<u64>,
    /// The kernel's limits, where the engine uses this kernel.
    pub(super) inotify: Option<Inotify>,
    /// The kubeconfig that has a context of this name which handsctl did not write.
    pub(super) stale_context: Option<(String, String)>,
}

/// How a port of this computer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Port {
    /// Nobody has it.
    Free,
    /// Somebody has it.
    Busy {
        /// Who, where that is known: `nginx (pid 812)`, `container other-control-plane`.
        by: Option<String>,
    },
    /// This computer does not have the address.
    NoSuchAddress,
}

/// Limits of the kernel (<https://kind.sigs.k8s.io/docs/user/known-issues/#pod-errors-due-to-too-many-open-files>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inotify {
    pub(super) watches: u64,
    pub(super) instances: u64,
}

/// Something that is in the way, or will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostFinding {
    pub(super) id: Id,
    /// Whether the cluster cannot be made.
    pub(super) stops: bool,
    pub(super) message: String,
    /// The sentence that mends it.
    pub(super) hint: String,
}

/// What a first node's own pods ask for: etcd, the control plane, DNS, the network
/// (kubeadm's and kind's manifests of Kubernetes 1.34).
const CONTROL_PLANE: ResourceAmount = ResourceAmount { cpu: 950, memory: 290 << 20 };
/// What they really use, with the node's own programs.
const NODE_MEMORY: u64 = 700 << 20;

/// A node takes 1.4 GB, its image as much again.
const LEAST_DISK: u64 = 3 << 30;
/// The application's and the sandboxes' images take several GB beside that.
const COMFORTABLE_DISK: u64 = 12 << 30;

/// What one node needs of the kernel; each further one needs as much.
const INOTIFY: Inotify = Inotify { watches: 8192, instances: 128 };

/// Everything that is in the way.
pub(super) fn check(facts: &HostFacts, wanted: &ClusterSpec) -> Vec<HostFinding> {
    let mut found = Vec::new();
    match &facts.engine {
        Err(none) => found.extend(no_engine(none)),
        Ok((_, info)) => found.extend(room(info, wanted)),
    }
    found.extend(facts.ports.iter().filter_map(|(port, is)| busy(*port, is, wanted.ports)));
    found.extend(disk(facts.disk));
    found.extend(inotify(facts.inotify, wanted.workers));
    found.extend(facts.stale_context.as_ref().map(|(context, file)| stale(context, file, &wanted.name)));
    // What stops the cluster comes first.
    found.sort_by_key(|finding| !finding.stops);
    found
}

fn stop(id: Id, message: impl Into<String>, hint: impl Into<String>) -> HostFinding {
    HostFinding { id, stops: true, message: message.into(), hint: hint.into() }
}

fn warn(id: Id, message: impl Into<String>, hint: impl Into<String>) -> HostFinding {
    HostFinding { stops: false, ..stop(id, message, hint) }
}

fn no_engine(none: &NoEngine) -> Vec<HostFinding> {
    if none.faults.is_empty() {
        let hint = "install Docker (https://docs.docker.com/engine/install), Podman or nerdctl; \
                    [cluster] provider = \"kwok\" needs none and runs no container";
        return vec![stop(Id::EngineMissing, none.summary(), hint)];
    }
    none.faults
        .iter()
        .map(|fault| stop(fault.id(), fault.summary(), fault.hint(none.host.as_ref())))
        .collect()
}

/// That there is no engine, as an error of its own.
pub(super) fn no_engine_error(none: &NoEngine) -> Error {
    let findings = no_engine(none);
    let id = findings.first().map_or(Id::EngineMissing, |finding| finding.id);
    let error = Error::new(id, Kind::Prerequisite, none.summary());
    findings.into_iter().fold(error, |error, finding| error.hint(finding.hint))
}

/// How many sandboxes fit beside the application, where cpu and memory are known.
pub(super) fn sandboxes(info: &Info, wanted: &ClusterSpec) -> Option<u64> {
    let left = left(info, wanted)?;
    let fits = |left: u64, one: u64| left.checked_div(one).unwrap_or(u64::MAX);
    let sandbox = wanted.load.sandbox;
    Some(fits(left.cpu, sandbox.cpu).min(fits(left.memory, sandbox.memory)))
}

/// What the control plane and the application leave; None where they do not fit or nothing is known.
fn left(info: &Info, wanted: &ClusterSpec) -> Option<ResourceAmount> {
    let application = wanted.load.application;
    Some(ResourceAmount {
        cpu: (info.cpus? * 1000).checked_sub(CONTROL_PLANE.cpu + application.cpu)?,
        memory: info.memory?.checked_sub(CONTROL_PLANE.memory + application.memory)?,
    })
}

fn room(info: &Info, wanted: &ClusterSpec) -> Option<HostFinding> {
    let (cpus, memory) = (info.cpus?, info.memory?);
    let application = wanted.load.application;
    if cpus * 1000 < CONTROL_PLANE.cpu + application.cpu {
        let message = format!(
            "the engine has {cpus} cpu, and control plane and application ask for {}m",
            CONTROL_PLANE.cpu + application.cpu
        );
        let hint = "give the engine more cpus, or lower [deploy].resources.requests.cpu";
        return Some(stop(Id::ComputerTooSmall, message, hint));
    }
    let needed = NODE_MEMORY * u64::from(wanted.workers + 1) + application.memory;
    if memory < needed {
        let message = format!(
            "the engine has {} of memory, and nodes and application need {}",
            size(memory),
            size(needed)
        );
        let hint = "give the engine more memory, or lower [deploy].resources.requests.memory";
        return Some(stop(Id::ComputerTooSmall, message, hint));
    }
    (sandboxes(info, wanted) == Some(0)).then(|| {
        let message = format!(
            "no sandbox will fit beside the application: the engine has {cpus} cpu and {} of memory",
            size(memory)
        );
        let hint =
            "give the engine more, or lower [kubernetes].resource_cpu_request and resource_memory_request";
        warn(Id::ComputerTooSmall, message, hint)
    })
}

fn busy(port: u16, is: &Port, ports: Ports) -> Option<HostFinding> {
    let key = if ports.http == Some(port) { "http_port" } else { "https_port" };
    match is {
        Port::Free => None,
        Port::Busy { by } => {
            let whose = by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
            let message = format!("port {port} of {} is taken{whose}", ports.address);
            let hint = format!("stop what has it, or choose another: [cluster] {key} = {}", other(port));
            Some(stop(Id::PortBusy, message, hint))
        }
        Port::NoSuchAddress => {
            let message = format!("this computer does not have the address {}", ports.address);
            Some(stop(
                Id::PortBusy,
                message,
                "[cluster] http_address = \"127.0.0.1\", or \"0.0.0.0\" for all",
            ))
        }
    }
}

/// A port that is seldom taken: 8080 for 80, 8443 for 443.
fn other(port: u16) -> u16 {
    match port {
        443 => 8443,
        8443 => 9443,
        8080 => 8081,
        _ => 8080,
    }
}

fn disk(free: Option<u64>) -> Option<HostFinding> {
    let free = free?;
    let hint = "docker system prune frees what no container uses";
    if free < LEAST_DISK {
        let message = format!(
            "{} are free where the engine keeps images; a node alone needs {}",
            size(free),
            size(LEAST_DISK)
        );
        return Some(stop(Id::DiskFull, message, hint));
    }
    (free < COMFORTABLE_DISK).then(|| {
        let message = format!(
            "{} are free where the engine keeps images; application and sandboxes need several more",
            size(free)
        );
        warn(Id::DiskFull, message, hint)
    })
}

fn inotify(limits: Option<Inotify>, workers: u32) -> Option<HostFinding> {
    let limits = limits?;
    let nodes = u64::from(workers + 1);
    let needed = Inotify { watches: INOTIFY.watches * nodes, instances: INOTIFY.instances * nodes };
    (limits.watches < needed.watches || limits.instances < needed.instances).then(|| {
        let message = format!(
            "fs.inotify.max_user_watches is {} and max_user_instances is {}: pods may fail with `too many open files`",
            limits.watches, limits.instances
        );
        let hint = "sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=512";
        warn(Id::InotifyLow, message, hint)
    })
}

fn stale(context: &str, file: &str, name: &str) -> HostFinding {
    let message =
        format!("{file} has a context {context} that handsctl did not write, and there is no such cluster");
    let hint = format!("kind delete cluster --name {name} removes it, or choose another [cluster] name");
    stop(Id::StaleContext, message, hint)
}

fn size(bytes: u64) -> String {
    let tenths = bytes * 10 / (1 << 30);
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}

/// One line of what is there: `docker 28.2.2, kind v0.33.0, 2 cpus, 23.4 GiB, port 80 free, room for 3 sandboxes`.
pub(super) fn summary(facts: &HostFacts, wanted: &ClusterSpec) -> String {
    let mut parts = Vec::new();
    if let Ok((name, info)) = &facts.engine {
        parts.push(name.clone());
        parts.extend(info.cpus.map(|cpus| format!("{cpus} cpus")));
        parts.extend(info.memory.map(size));
    }
    parts.extend(facts.kind.as_ref().ok().map(|version| format!("kind {version}")));
    parts.extend(facts.ports.iter().map(|(port, _)| format!("port {port} free")));
    if let Some(count) = facts.engine.as_ref().ok().and_then(|(_, info)| sandboxes(info, wanted)) {
        parts.push(format!("room for {count} sandbox{}", if count == 1 { "" } else { "es" }));
    }
    parts.join(", ")
}

/// One error of everything that stops the cluster; None where nothing does.
pub(super) fn error(findings: &[HostFinding], name: &str) -> Option<Error> {
    let stopping: Vec<&HostFinding> = findings.iter().filter(|finding| finding.stops).collect();
    let (first, others) = stopping.split_first()?;
    let error = Error::new(first.id, Kind::Prerequisite, first.message.clone())
        .fact("cluster", format!("kind-{name} was not made; nothing was changed"))
        .hint(first.hint.clone());
    Some(others.iter().fold(error, |error, other| {
        error.fact("also", format!("{} {}\n{}", other.id, other.message, other.hint))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::cluster_spec::Workload;

    fn facts() -> HostFacts {
        let info = Info { version: "28.2.2".into(), cpus: Some(2), memory: Some(8 << 30), root: None };
        HostFacts {
            engine: Ok(("docker 28.2.2".into(), info)),
            kind: Ok("v0.33.0".into()),
            ports: vec![(80, Port::Free)],
            disk: Some(100 << 30),
            inotify: Some(Inotify { watches: 524_288, instances: 512 }),
            stale_context: None,
        }
    }

    fn wanted() -> ClusterSpec {
        let application = ResourceAmount { cpu: 300, memory: 1 << 30 };
        let sandbox = ResourceAmount { cpu: 250, memory: 1 << 30 };
        ClusterSpec {
            ports: Ports { http: Some(80), ..Ports::NONE },
            load: Workload { application, sandbox },
            ..ClusterSpec::named("x")
        }
    }

    fn ids(facts: &HostFacts, wanted: &ClusterSpec) -> Vec<(Id, bool)> {
        check(facts, wanted).into_iter().map(|finding| (finding.id, finding.stops)).collect()
    }

    #[test]
    fn a_computer_that_is_large_enough() {
        assert_eq!(ids(&facts(), &wanted()), []);
        assert_eq!(
            summary(&facts(), &wanted()),
            "docker 28.2.2, 2 cpus, 8.0 GiB, kind v0.33.0, port 80 free, room for 3 sandboxes"
        );
    }

    #[test]
    fn each_thing_that_is_in_the_way() {
        let with = |change: fn(&mut HostFacts, &mut ClusterSpec)| {
            let (mut facts, mut wanted) = (facts(), wanted());
            change(&mut facts, &mut wanted);
            ids(&facts, &wanted)
        };
        assert_eq!(with(|facts, _| facts.disk = Some(1 << 30)), [(Id::DiskFull, true)]);
        assert_eq!(with(|facts, _| facts.disk = Some(5 << 30)), [(Id::DiskFull, false)]);
        assert_eq!(with(|facts, _| facts.ports[0].1 = Port::Busy { by: None }), [(Id::PortBusy, true)]);
        assert_eq!(with(|facts, _| facts.ports[0].1 = Port::NoSuchAddress), [(Id::PortBusy, true)]);
        assert_eq!(
            with(|facts, _| facts.inotify = Some(Inotify { watches: 8192, instances: 64 })),
            [(Id::InotifyLow, false)]
        );
        assert_eq!(with(|_, wanted| wanted.load.application.cpu = 1500), [(Id::ComputerTooSmall, true)]);
        assert_eq!(with(|_, wanted| wanted.load.sandbox.cpu = 1000), [(Id::ComputerTooSmall, false)]);
        assert_eq!(
            with(|_, wanted| wanted.load.application.memory = 8 << 30),
            [(Id::ComputerTooSmall, true)]
        );
        assert_eq!(
            with(|facts, _| facts.stale_context = Some(("kind-x".into(), "config".into()))),
            [(Id::StaleContext, true)]
        );
    }

    #[test]
    fn everything_is_told_at_once_and_what_stops_it_first() {
        let mut facts = facts();
        facts.disk = Some(5 << 30);
        facts.ports[0].1 = Port::Busy { by: Some("nginx (pid 7)".into()) };
        facts.stale_context = Some(("kind-x".into(), "config".into()));
        let findings = check(&facts, &wanted());
        assert_eq!(findings.len(), 3);
        let error = error(&findings, "x").unwrap();
        assert_eq!(error.message(), "port 80 of 127.0.0.1 is taken by nginx (pid 7)");
        assert_eq!(error.hints(), ["stop what has it, or choose another: [cluster] http_port = 8080"]);
        let also: Vec<&str> =
            error.facts().iter().filter(|fact| fact.label == "also").map(|fact| fact.text.as_str()).collect();
        assert_eq!(also.len(), 1, "a warning stops nothing: {also:?}");
        assert!(also[0].contains("kind delete cluster --name x"), "{also:?}");
        assert!(super::error(&findings[2..], "x").is_none());
    }
}
