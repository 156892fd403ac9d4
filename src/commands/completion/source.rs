//! Where the values of an argument come from. Pure.

use clap::{Arg, ValueHint};

/// The source of the values of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueSource {
    /// The contexts of the kubeconfig.
    Contexts,
    /// The namespaces of the cluster.
    Namespaces,
    /// The installations in the namespace.
    Installations,
    /// The kept revisions of the installation.
    Revisions,
    /// The snapshots of the installation's volume.
    VolumeSnapshots,
    /// The containers of the installation's pods.
    Containers,
    /// The components with logs, and the installation's pods.
    LogTargets,
    /// The conversations with objects in the cluster.
    Conversations,
    /// The local clusters that handsctl created.
    LocalClusters,
    /// `KEY=VALUE` of config.toml.
    Assignments,
    /// The keys and tables of config.toml.
    Keys,
    /// The ids of the catalogue, and the exit codes.
    Subjects,
    /// The exit codes.
    ExitCodes,
    /// The files of this computer.
    Files,
}

/// Returns the source of an argument's values; `command` is its command in words. None: clap knows all values, or there
/// are none to choose from.
pub(super) fn source_of(command: &str, argument: &Arg) -> Option<ValueSource> {
    Some(match (command, argument.get_id().as_str()) {
        (_, "context") => ValueSource::Contexts,
        (_, "namespace") => ValueSource::Namespaces,
        (_, "name") => ValueSource::Installations,
        (_, "set") | ("config set", "assignments") => ValueSource::Assignments,
        ("history" | "history diff" | "rollback" | "diff", "revision" | "from" | "to") => {
            ValueSource::Revisions
        }
        ("restore", "snapshot") => ValueSource::VolumeSnapshots,
        ("logs" | "exec", "container") => ValueSource::Containers,
        ("logs", "targets") => ValueSource::LogTargets,
        ("sandbox logs" | "sandbox describe" | "sandbox exec", "conversation") => ValueSource::Conversations,
        ("cluster up" | "cluster down" | "cluster status", "cluster") => ValueSource::LocalClusters,
        ("config explain" | "config get", "key") => ValueSource::Keys,
        ("explain", "subject") => ValueSource::Subjects,
        ("explain", "number") => ValueSource::ExitCodes,
        // That of every path, such as --config.
        _ if argument.get_value_hint() == ValueHint::AnyPath => ValueSource::Files,
        _ => return None,
    })
}
