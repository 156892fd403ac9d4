//! The commands to type next, for an id or an exit code: what `explain` ends with. Pure.

use crate::catalogue::Id;
use crate::error::Kind;

/// A command and what it is for.
pub(crate) type NextCommand = (&'static str, &'static str);

const CHECK: NextCommand = ("handsctl config check", "lists every mistake of config.toml with its line");
const STATUS: NextCommand = ("handsctl status", "shows the findings with their evidence");
const DEPLOY: NextCommand = ("handsctl deploy", "applies config.toml");
const DIFF: NextCommand = ("handsctl diff", "shows what differs from config.toml");
const HISTORY: NextCommand = ("handsctl history", "lists the revisions");
const ROLLBACK: NextCommand = ("handsctl rollback", "restores the last good revision");
const RESTART: NextCommand = ("handsctl restart", "creates the pods again, after the cause is fixed");
const RBAC: NextCommand = ("handsctl rbac", "prints the permissions that this configuration needs");
const VERSION: NextCommand = ("handsctl version", "connects and prints the server's version");
const CLUSTER_STATUS: NextCommand = ("handsctl cluster status", "shows the local cluster and its parts");
const CLUSTER_UP: NextCommand = ("handsctl cluster up", "creates or starts the local cluster");
const PODS: NextCommand =
    ("kubectl describe pods -n NAMESPACE", "shows the pods with the Events of the cluster");
const LOGS: NextCommand = ("handsctl logs --previous", "prints what the container wrote before it ended");
const DOCTOR: NextCommand = ("handsctl doctor", "checks it again, and shows what else is missing");
const VERBOSE: NextCommand = ("handsctl COMMAND -v", "also prints what the system or a library reported");
const HELP: NextCommand = ("handsctl COMMAND --help", "lists the flags of a command with examples");

/// Returns the commands that fix the cause of an id, or show more of it.
pub(crate) fn for_id(id: Id) -> Vec<NextCommand> {
    let specific = specific(id);
    if !specific.is_empty() {
        return specific;
    }
    match id.code().as_bytes().get(2..4) {
        Some(b"01" | b"02" | b"03") => vec![CHECK],
        Some(b"10") => vec![VERSION, ("kubectl config get-contexts", "lists the clusters of the kubeconfig")],
        Some(b"20") if matches!(id.code().as_bytes().get(4), Some(b'7' | b'8')) => vec![DOCTOR],
        Some(b"20") if matches!(id.code().as_bytes().get(4), Some(b'4' | b'5')) => vec![DOCTOR, STATUS],
        Some(b"20") => vec![CLUSTER_STATUS],
        Some(b"30") => vec![DIFF, STATUS],
        Some(b"40") => vec![STATUS, PODS],
        Some(b"41" | b"42" | b"43" | b"45") => vec![STATUS, DEPLOY],
        Some(b"44") => {
            vec![("kubectl get storageclass,pvc -A", "lists the classes and the volume claims"), STATUS]
        }
        Some(b"46") => vec![STATUS, ("handsctl open --forward", "opens the application without its URL")],
        Some(b"50") => vec![DEPLOY, STATUS],
        Some(b"60") => vec![("handsctl teardown", "continues, and names what holds the object"), STATUS],
        _ => vec![VERBOSE],
    }
}

/// The commands of ids that need others than those of their range.
fn specific(id: Id) -> Vec<NextCommand> {
    let explain_image = ("handsctl config get deploy.image", "prints the image that a deploy uses");
    match id {
        Id::ContextPinned | Id::ContextMissing | Id::ContextNotChosen => {
            vec![
                ("kubectl config get-contexts", "lists the contexts"),
                ("handsctl deploy --context NAME", "chooses one"),
            ]
        }
        Id::TargetNotNamed => vec![("handsctl deploy -n NAMESPACE --name NAME", "names the installation")],
        Id::Forbidden => vec![RBAC],
        Id::EngineMissing | Id::EngineDown | Id::EngineForbidden | Id::EngineTooOld | Id::EngineRemote => {
            vec![("docker version", "shows whether the engine responds to this user"), CLUSTER_UP]
        }
        Id::PortBusy => vec![
            ("ss -ltnp", "lists the programs that listen on ports of this computer"),
            ("handsctl config set cluster.http_port=8080", "chooses another port"),
        ],
        Id::ComputerTooSmall => {
            vec![("handsctl config explain resources", "lists the keys that ask for cpu and memory")]
        }
        Id::DiskFull => vec![("docker system df", "shows what the container engine keeps")],
        Id::ImageNotInEngine | Id::ImageNotLoaded => {
            vec![("docker pull IMAGE", "downloads it"), ("handsctl image load IMAGE", "puts it on the nodes")]
        }
        Id::SandboxImageAbsent | Id::NotPrepulled => {
            vec![("handsctl image pull", "pulls the images on every node before pods need them")]
        }
        Id::SimulatedNodes => vec![
            ("docker version", "shows whether a container engine runs"),
            (
                "handsctl cluster up --recreate",
                "once it runs: replaces the simulation, with everything in it",
            ),
        ],
        Id::ClusterCreateFailed => vec![CLUSTER_UP, CLUSTER_STATUS],
        Id::VersionChanges | Id::VersionDowngrade => vec![explain_image, DIFF],
        Id::Locked | Id::LockLost | Id::LockUnconfirmed | Id::LockNotReleased => vec![
            ("handsctl status", "shows the run that holds the lock"),
            ("handsctl deploy --lock-wait 10m", "waits for it"),
        ],
        Id::ForeignObject | Id::ManagedByOthers => {
            vec![("handsctl deploy --adopt", "makes existing objects of these names members")]
        }
        Id::FieldConflict | Id::ChangedByOthers => {
            vec![DIFF, ("handsctl deploy --force-conflicts", "overwrites what others changed")]
        }
        Id::NoSuchRevision
        | Id::RevisionIncomplete
        | Id::RevisionUnreadable
        | Id::ForeignRevision
        | Id::RevisionRejected
        | Id::AdditionsNotAccepted => vec![HISTORY],
        Id::RolloutPaused => vec![("kubectl rollout resume deployment/NAME -n NAMESPACE", "continues it")],
        Id::ScaledToZero => {
            vec![("kubectl scale deployment/NAME -n NAMESPACE --replicas=1", "starts the application")]
        }
        Id::NothingDeployed | Id::MemberMissing => vec![DEPLOY],
        Id::DeadlinePassed => vec![STATUS, ("handsctl deploy --timeout 30m", "waits longer")],
        Id::ConversationStuck | Id::PodsRejected => vec![STATUS, RESTART],
        Id::ImageInvalidName
        | Id::ImageNeverPull
        | Id::ImageNotFound
        | Id::ImageForbidden
        | Id::ImageUnavailable => {
            let set = (
                "handsctl config set deploy.image=IMAGE",
                "names an image that exists; then handsctl deploy",
            );
            vec![explain_image, set]
        }
        Id::ImageReplaced => vec![("handsctl restart", "replaces the pod")],
        Id::CrashLoop => vec![LOGS, ROLLBACK],
        Id::OutOfMemory => {
            vec![(
                "handsctl config set deploy.resources.limits.memory=8Gi",
                "raises the limit; then handsctl deploy",
            )]
        }
        Id::NotReady | Id::PodFailed => vec![("handsctl logs", "prints what the container writes"), PODS],
        Id::Unschedulable => vec![
            ("kubectl describe nodes", "shows what is free on each node, and the taints"),
            ("handsctl config explain resources", "lists the keys that ask for cpu and memory"),
        ],
        Id::QuotaExceeded | Id::QuotaRejected => {
            vec![("kubectl describe quota -n NAMESPACE", "shows what is used and what is left")]
        }
        Id::Usage => vec![HELP],
        Id::Interrupted => {
            vec![("handsctl COMMAND", "the same command again continues where it ended"), STATUS]
        }
        _ => Vec::new(),
    }
}

/// Returns the commands that show the cause of an exit code.
pub(crate) fn for_exit(kind: Kind) -> Vec<NextCommand> {
    match kind {
        Kind::Differences => vec![DEPLOY],
        Kind::Usage => vec![HELP],
        Kind::Config => vec![CHECK],
        Kind::Unreachable | Kind::Unauthenticated => vec![VERSION, CLUSTER_STATUS],
        Kind::Forbidden => vec![RBAC],
        Kind::Ownership => for_id(Id::FieldConflict),
        Kind::Rejected => vec![DIFF],
        Kind::Rollout => vec![STATUS, HISTORY],
        Kind::Deadline => for_id(Id::DeadlinePassed),
        Kind::Degraded | Kind::Down => vec![STATUS],
        Kind::Locked => for_id(Id::Locked),
        Kind::Prerequisite => vec![CLUSTER_STATUS],
        Kind::Internal => vec![VERBOSE],
        Kind::Interrupted | Kind::Terminated | Kind::HungUp => for_id(Id::Interrupted),
    }
}

/// Formats commands, one per line: `next: handsctl status   # shows …`.
pub(crate) fn describe(commands: &[NextCommand]) -> String {
    let width = commands.iter().map(|(command, _)| command.len()).max().unwrap_or_default();
    let line = |(index, (command, purpose)): (usize, &NextCommand)| {
        let label = if index == 0 { "next:" } else { "" };
        format!("{label:<5} {command:width$}  # {purpose}\n")
    };
    commands.iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_and_exit_code_has_a_command() {
        let ids = Id::ALL.iter().map(|id| (id.code().to_owned(), for_id(*id)));
        let exits = Kind::ALL.iter().map(|kind| (format!("{kind:?}"), for_exit(*kind)));
        for (name, commands) in ids.chain(exits) {
            assert!(!commands.is_empty() && commands.len() <= 2, "{name}");
            for (command, purpose) in commands {
                let program = command.split(' ').next().unwrap();
                assert!(["handsctl", "kubectl", "docker", "ss"].contains(&program), "{name}: {command}");
                assert!(!purpose.is_empty() && !purpose.ends_with('.'), "{name}: {purpose}");
            }
        }
    }

    #[test]
    fn commands_are_a_column() {
        let text = describe(&[("handsctl a", "one"), ("kubectl", "two")]);
        assert_eq!(text, "next: handsctl a  # one\n      kubectl     # two\n");
    }
}
