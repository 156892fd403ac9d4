//! How one container is.

use super::fault::Fault;

/// What a container is for in its pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ContainerRole {
    /// It must end well before the next one starts.
    Init,
    /// It must run: a main container, or an init container with `restartPolicy: Always`.
    Runs,
    /// It must run to its end: a Job's. The Job counts its failures.
    Completes,
}

/// How a container is.
#[derive(Debug)]
pub(crate) enum ContainerHealth {
    /// As it should be.
    Healthy,
    /// On its way; the gap in few words.
    Progressing(String),
    /// Faulty.
    Faulty(Box<Fault>),
}

impl From<Fault> for ContainerHealth {
    fn from(symptom: Fault) -> Self {
        Self::Faulty(Box::new(symptom))
    }
}
