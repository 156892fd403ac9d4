//! The role and health of one container.

use super::fault::Fault;

/// The role of a container in its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContainerRole {
    /// It must exit with 0 before the next container starts.
    Init,
    /// It must keep running: a main container, or an init container with `restartPolicy: Always`.
    Runs,
    /// It must complete, like a Job's container. The Job counts its failures.
    Completes,
}

/// The health of a container.
#[derive(Debug)]
pub(crate) enum ContainerHealth {
    /// Running and ready, or completed.
    Healthy,
    /// Not ready yet; the text is what it waits for.
    Progressing(String),
    /// Faulty.
    Faulty(Box<Fault>),
}

impl From<Fault> for ContainerHealth {
    fn from(fault: Fault) -> Self {
        Self::Faulty(Box::new(fault))
    }
}
